//! Requests that take their time: neither sooner nor later than the plan says, and in the order of their deadlines.

use super::common::{Host, Memory, Net, sge};
use ndk_backend_sim::{Clock, Config};
use ndk_core::RemoteAddress;
use ndk_core::abi::*;
use std::ptr::null_mut;
use std::time::Duration;

const WRITABLE: ULONG = NDK_MR_FLAG_ALLOW_REMOTE_WRITE | NDK_MR_FLAG_ALLOW_REMOTE_READ;

fn us(us: u64) -> Duration {
    Duration::from_micros(us)
}

/// Lets time pass, and what becomes due on the way run at its time.
fn pass(host: &Host, by: Duration) {
    let clock = host.pump.clock();
    host.pump.run_ready();
    clock.advance(by);
    host.pump.run_ready();
}

#[test]
fn b2_every_operation_completes_at_its_time_and_not_before() {
    let host = Host::planned("latency = { all = '100us' }");
    let check = |what: &str, request: super::common::Request| {
        assert_eq!(request.inline, STATUS_PENDING, "{what}");
        pass(&host, us(99));
        assert!(!request.is_over(), "{what} is early");
        pass(&host, us(1));
        assert!(request.is_over(), "{what} is late");
        let call = request.finish_with_object(&host.pump);
        assert_eq!(call.status, STATUS_SUCCESS, "{what}");
        call.object()
    };
    let (mut pd, mut mr, mut fast) = (null_mut(), null_mut(), null_mut());
    let object = check("a domain", host.begin_pd(&mut pd));
    assert!(pd.is_null(), "A1: the out pointer is not touched");
    let pd = super::common::Pd {
        raw: std::ptr::NonNull::new(object.cast()).unwrap(),
        pump: host.pump.clone(),
    };
    let region = |object: *mut NDK_OBJECT_HEADER| super::common::Mr {
        raw: std::ptr::NonNull::new(object.cast()).unwrap(),
        pump: host.pump.clone(),
    };
    let object = check("a region", pd.begin_mr(false, &mut mr));
    assert!(mr.is_null(), "A1");
    let mr = region(object);
    let fast = region(check("a region", pd.begin_mr(true, &mut fast)));
    let memory = Memory::new(100);
    check("register", mr.begin_register(&memory, 100, 0));
    check("deregister", mr.begin_deregister());
    check("initialise", fast.begin_initialise(1, true));
    check("close of a region", mr.begin_close());
    check("close of a region", fast.begin_close());
    check("close of a domain", pd.begin_close());
    host.close();
}

#[test]
fn the_plan_s_draws_decide_the_order_of_completions() {
    let host = Host::planned("latency = { register = '10us..500us' }");
    let (pd, memory) = (host.pd(), Memory::new(100));
    let regions: Vec<_> = (0..40).map(|_| pd.mr()).collect();
    let requests: Vec<_> = regions.iter().map(|mr| mr.begin_register(&memory, 100, 0)).collect();
    let calls: Vec<_> =
        requests.into_iter().map(|request| request.finish_with_object(&host.pump).order).collect();
    let inversions = calls.windows(2).filter(|pair| pair[0] > pair[1]).count();
    assert!((8..32).contains(&inversions), "neither in order nor in reverse: {inversions}");
    regions.into_iter().for_each(|mr| mr.close());
    pd.close();
    host.close();
}

#[test]
fn a_request_that_is_late_keeps_those_behind_it_waiting_on_its_queue_pair_only() {
    let net = Net::planned(
        "latency = { write = '10us' }
        [[fault]]
        operation = 'write'
        nth = 1
        complete-late = '90us'",
    );
    let (source, sink) = (Memory::new(64), Memory::new(64));
    source.fill(5);
    let (from, to) = (net.here.registered(&source, 0), net.there.registered(&sink, WRITABLE));
    let remote = |at: u64| RemoteAddress { address: sink.base() + at, token: to.remote() };
    let element = [sge(from.local(), source.base(), 1)];
    let (other, other_peer) = super::common::connect(&net.here, &net.there);
    net.qp.write(1, &element, remote(0)).unwrap();
    net.qp.write(2, &element, remote(1)).unwrap();
    // A request without a latency of its own waits for its turn all the same.
    net.qp.send(3, &[], None).unwrap();
    net.peer.receive(9, &[]).unwrap();
    other.write(4, &element, remote(2)).unwrap();
    pass(&net.a, us(10));
    assert_eq!(other.poll().map(|completion| completion.id.context), Some(4));
    pass(&net.a, us(89));
    assert!(net.qp.poll().is_none(), "99 us");
    assert_eq!(sink.bytes()[..3], [0, 0, source.bytes()[0]]);
    pass(&net.a, us(1));
    let done: Vec<_> = std::iter::from_fn(|| net.qp.poll()).collect();
    assert_eq!(done.iter().map(|done| done.id.context).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(done.iter().all(|done| done.result.is_ok()));
    assert_eq!(net.peer.outcome(), Ok(0));
    other.close();
    other_peer.close();
    net.finish([from, to]);
}

#[test]
fn h1_h4_late_closes_succeed_in_their_order() {
    let host = Host::planned("latency = { close-mr = '~50us', close-pd = '20us' }");
    let (pd, memory) = (host.pd(), Memory::new(100));
    let regions: Vec<_> = (0..20).map(|_| pd.registered(&memory, 0)).collect();
    let domain = pd.begin_close();
    assert_eq!(domain.inline, STATUS_PENDING, "H4");
    let closes: Vec<_> = regions.iter().map(|mr| mr.begin_close()).collect();
    let orders: Vec<_> = closes
        .into_iter()
        .map(|close| {
            let call = close.finish_with_object(&host.pump);
            assert_eq!(call.status, STATUS_SUCCESS, "H1");
            call.order
        })
        .collect();
    let last = domain.finish_with_object(&host.pump);
    assert_eq!(last.status, STATUS_SUCCESS);
    assert!(orders.iter().all(|order| *order < last.order), "H4: after the last region's");
    assert_eq!(host.sim().live_records(), 0);
    host.close();
}

#[test]
fn however_short_a_latency_is_the_operation_pends() {
    let pump = super::common::Pump::threads(1);
    let plan = "latency = { all = '1ns' }\n[[fault]]\noperation = 'register'\nevery = 2\nstatus = 'timeout'\nwhen = 'pending'";
    let config = Config { plan: plan.parse().unwrap(), clock: Clock::real(), ..Config::default() };
    let host = Host::new(config, &pump);
    let (pd, memory) = (host.pd(), Memory::new(100));
    let mr = pd.mr();
    for number in 0..200 {
        let register = mr.begin_register(&memory, 100, 0);
        assert_eq!(register.inline, STATUS_PENDING, "registration {number}");
        if register.finish(&pump) == STATUS_SUCCESS {
            let deregister = mr.begin_deregister();
            assert_eq!(deregister.inline, STATUS_PENDING, "deregistration {number}");
            assert_eq!(deregister.finish(&pump), STATUS_SUCCESS);
        }
    }
    mr.close();
    pd.close();
    host.close();
}
