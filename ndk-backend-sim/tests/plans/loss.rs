//! The adapter goes away (H8): new requests are refused, pending ones complete once, every close succeeds.

use super::common::{Host, Memory, Net, loopback, sge};
use ndk_core::abi::*;
use ndk_core::{Access, ErrorKind, FastMemory, QueueDepths, RemoteAddress};
use std::ptr::null_mut;
use std::time::Duration;

const GONE: NTSTATUS = STATUS_DEVICE_REMOVED;
const REMOTE: ULONG = NDK_MR_FLAG_ALLOW_REMOTE_READ | NDK_MR_FLAG_ALLOW_REMOTE_WRITE;

#[test]
fn h8_new_requests_of_every_kind_are_refused_and_closes_succeed() {
    let host = Host::planned("");
    let (pd, memory) = (host.pd(), Memory::new(100));
    let (mr, fresh, fast) = (pd.registered(&memory, REMOTE), pd.mr(), pd.fast_mr(1, true));
    let (lam, qp) = (host.map(&memory), loopback(&pd));
    let element = [sge(mr.local(), memory.base(), 10)];
    let remote = RemoteAddress { address: memory.base(), token: mr.remote() };
    host.sim().lose();
    assert_eq!(mr.deregister(), GONE);
    assert_eq!(fresh.register(&memory, REMOTE), GONE);
    assert_eq!(fast.initialise(1, true), GONE);
    assert_eq!(pd.try_mr(false).err(), Some(GONE));
    assert_eq!(host.begin_pd(&mut null_mut()).finish(&host.pump), GONE);
    assert_eq!(host.try_map(&memory).err(), Some(GONE));
    // SAFETY: the domain is not closed.
    let made = host
        .pump
        .block_on("a queue pair", unsafe { pd.domain().create_qp(QueueDepths::default()) });
    assert_eq!(made.unwrap_err().kind(), ErrorKind::DeviceRemoved);
    let described = FastMemory { pages: &lam.pages, first_byte: 0, length: 1, base: 0 };
    let posts = [
        qp.write(1, &element, remote),
        qp.read(1, &element, remote),
        qp.send(1, &element, None),
        qp.receive(1, &element),
        qp.fast_register(&fast, described, Access::REMOTE_READ),
        qp.invalidate(&fast),
    ];
    for posted in posts {
        let kind = posted.unwrap_err().kind();
        assert!(
            matches!(kind, ErrorKind::DeviceRemoved | ErrorKind::InvalidDeviceState),
            "{kind:?}"
        );
    }
    assert!(qp.poll().is_none(), "nothing was posted");
    host.release(lam);
    qp.close();
    [mr, fresh, fast].into_iter().for_each(|mr| mr.close());
    pd.close();
    host.close();
}

/// As for a region's request: what would be wrong on any device is said first.
#[test]
fn h7_h8_a_creation_in_a_domain_that_is_being_closed_keeps_its_status_on_a_lost_device() {
    let host = Host::planned("");
    let pd = host.pd();
    let mr = pd.mr();
    let close = pd.begin_close();
    host.sim().lose();
    assert_eq!(pd.try_mr(false).err(), Some(STATUS_INVALID_DEVICE_STATE));
    // SAFETY: the close of the domain waits for the region.
    let window = unsafe { pd.domain().create_window() };
    let window = host.pump.block_on("a window", window);
    assert_eq!(window.err().map(|error| error.kind()), Some(ErrorKind::InvalidDeviceState));
    mr.close();
    assert_eq!(close.finish(&host.pump), STATUS_SUCCESS);
    host.close();
}

#[test]
fn h8_what_pends_when_the_time_has_come_completes_once() {
    let host = Host::planned(
        "latency = { register = '3600s', deregister = '3600s', initialize-fast-register = '3600s', \
         close-mr = '3600s' }\nlose-adapter = { at = '50us' }",
    );
    let (pd, memory) = (host.pd(), Memory::new(100));
    let (one, two, fast) = (pd.mr(), pd.mr(), pd.try_mr(true).unwrap());
    let register = one.begin_register(&memory, 100, REMOTE);
    let first = fast.begin_initialise(1, true);
    let queued = fast.begin_initialise(2, true);
    let closing = two.begin_close();
    host.pump.clock().advance(Duration::from_micros(40));
    host.pump.run_ready();
    assert!(!register.is_over() && !closing.is_over());
    host.pump.clock().advance(Duration::from_micros(10));
    host.pump.run_ready();
    assert!(closing.is_over(), "H8: promptly");
    for request in [register, first, queued] {
        assert!(request.is_over(), "H8: promptly");
        assert_eq!(request.finish(&host.pump), GONE);
    }
    assert_eq!(closing.finish(&host.pump), STATUS_SUCCESS, "H1");
    assert_eq!((one.local_value(), fast.local_value()), (0, 0));
    let closes = [one.begin_close(), fast.begin_close()];
    let domain = pd.begin_close();
    for close in closes.into_iter().chain([domain]) {
        assert_eq!(close.finish(&host.pump), STATUS_SUCCESS, "H8");
    }
    assert_eq!(host.pump.clock().now(), Duration::from_micros(50), "nobody waited for an hour");
    host.close();
}

#[test]
fn h8_the_operation_that_ends_it_has_begun_and_those_after_it_are_refused() {
    for after in 1..12 {
        let host = Host::planned(&format!("lose-adapter = {{ after = {after} }}"));
        let memory = Memory::new(100);
        let (mut begun, mut lost) = (0, false);
        let mut note = |status: NTSTATUS| {
            match lost {
                false => {
                    assert_eq!(status, STATUS_SUCCESS, "operation {begun} of {after}");
                    begun += 1;
                }
                true => assert_eq!(status, GONE, "after {after}"),
            }
            lost = begun == after;
            status == STATUS_SUCCESS
        };
        let mut out = null_mut();
        let call = host.begin_pd(&mut out).finish_with_object(&host.pump);
        if note(call.status) {
            let raw = std::ptr::NonNull::new(out).unwrap();
            let pd = super::common::Pd { raw, pump: host.pump.clone() };
            let mut regions = Vec::new();
            for _ in 0..2 {
                let made = pd.try_mr(false);
                if note(made.as_ref().map_or_else(|status| *status, |_| STATUS_SUCCESS)) {
                    let mr = made.unwrap();
                    for _ in 0..2 {
                        if !note(mr.register(&memory, REMOTE)) || !note(mr.deregister()) {
                            break;
                        }
                    }
                    regions.push(mr);
                }
            }
            regions.into_iter().for_each(|mr| mr.close());
            pd.close();
        }
        host.close();
    }
}

#[test]
fn h8_work_on_its_way_completes_once_and_moves_nothing() {
    let net =
        Net::planned("latency = { write = '10us', read = '10us' }\nlose-adapter = { at = '15us' }");
    let (source, sink) = (Memory::new(64), Memory::new(64));
    source.fill(5);
    let before = sink.fill(6);
    let (from, to) = (
        net.here.registered(&source, NDK_MR_FLAG_ALLOW_LOCAL_WRITE),
        net.there.registered(&sink, REMOTE),
    );
    let target = RemoteAddress { address: sink.base(), token: to.remote() };
    let element = |at: u64| [sge(from.local(), source.base() + at, 1)];
    net.qp.write(0, &element(0), target).unwrap();
    net.a.pump.clock().advance(Duration::from_micros(6));
    for context in 1..6 {
        net.qp.write(context, &element(1), target).unwrap();
    }
    while net.a.pump.turn() {}
    let done: Vec<_> = std::iter::from_fn(|| net.qp.poll()).collect();
    assert_eq!(done.iter().map(|done| done.id.context).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
    assert_eq!(done[0].result, Ok(()), "before the loss");
    assert!(done[1..].iter().all(|done| done.result == Err(ErrorKind::Cancelled)), "F6");
    assert_eq!(sink.bytes()[0], source.bytes()[0]);
    assert_eq!(sink.bytes()[1..], before[1..]);
    let back = net.peer.read_through(sge(to.local(), sink.base(), 1), to.remote(), 0);
    assert_eq!(back, Err(ErrorKind::Timeout), "the peer finds out when nobody answers");
    assert!(net.peer.is_broken(), "F6");
    net.finish([from, to]);
}

#[test]
fn h8_a_device_that_is_gone_moves_no_bytes_for_its_peers() {
    let net = Net::new();
    let (source, sink) = (Memory::new(64), Memory::new(64));
    source.fill(5);
    let before = sink.fill(6);
    let (from, to) = (
        net.here.registered(&source, NDK_MR_FLAG_ALLOW_LOCAL_WRITE),
        net.there.registered(&sink, REMOTE),
    );
    let element = sge(from.local(), source.base(), 64);
    net.b.sim().lose();
    let outcome = net.qp.write_through(element, to.remote(), sink.base());
    assert_eq!(outcome, Err(ErrorKind::Timeout), "nobody answers");
    assert_eq!(sink.bytes(), before);
    assert!(net.qp.is_broken());
    net.finish([from, to]);
}
