//! What waits in a queue when its queue pair goes to error completes with CANCELLED at once, in the order of the
//! posting, and never happens (F6). The plans have it wait for an hour, so whatever has not ended by then is late.

use super::common::{Memory, Mr, Net, Qp, sge};
use ndk_core::abi::*;
use ndk_core::{ErrorKind, RemoteAddress, RemoteToken, WorkCompletion};
use std::time::Duration;

const REMOTE: ULONG = NDK_MR_FLAG_ALLOW_REMOTE_READ | NDK_MR_FLAG_ALLOW_REMOTE_WRITE;
const SLOW: &str = "latency = { write = '3600s', send = '3600s' }";
const HOUR: Duration = Duration::from_secs(3600);

/// Memory at each end that the other may reach for, and requests that wait.
struct Desk {
    net: Net,
    ends: [(Memory, Mr); 2],
    before: [Vec<u8>; 2],
}

impl Desk {
    fn new(plan: &str) -> Self {
        let net = Net::planned_at_both(plan);
        let (one, two) = (Memory::new(64), Memory::new(64));
        let before = [one.fill(1), two.fill(2)];
        let ends = [net.here.registered(&one, REMOTE), net.there.registered(&two, REMOTE)];
        let [first, second] = ends;
        Self { net, ends: [(one, first), (two, second)], before }
    }

    /// Three requests that wait at an end: two writes into the other's memory, and a send between them.
    fn wait_at(&self, end: usize, qp: &Qp) {
        let ((own, own_mr), (far, far_mr)) = (&self.ends[end], &self.ends[1 - end]);
        let element = [sge(own_mr.local(), own.base(), 32)];
        let target = RemoteAddress { address: far.base(), token: far_mr.remote() };
        qp.write(1, &element, target).unwrap();
        qp.send(2, &element, None).unwrap();
        qp.write(3, &element, target).unwrap();
    }

    /// Time goes on, and nothing that waited happens.
    fn finish(self) {
        let clock = self.net.a.pump.clock();
        assert_eq!(clock.waiting(), 0, "F6: nothing waits for its time any more");
        clock.advance(2 * HOUR);
        self.net.a.pump.run_ready();
        for ((memory, _), before) in self.ends.iter().zip(&self.before) {
            assert_eq!(&memory.bytes(), before, "F6: a flushed request moved bytes");
        }
        let [(_, one), (_, two)] = self.ends;
        self.net.finish([one, two]);
    }
}

/// What has completed so far; no time passes.
fn done(qp: &Qp) -> Vec<WorkCompletion> {
    std::iter::from_fn(|| qp.poll()).collect()
}

/// All three were flushed, in their order, and nothing else completed.
#[track_caller]
fn all_flushed(qp: &Qp) {
    let done = done(qp);
    let contexts: Vec<_> = done.iter().map(|done| done.id.context).collect();
    assert_eq!(contexts, [1, 2, 3], "F6: each once, in the order of the posting");
    for completion in done {
        assert_eq!(completion.result, Err(ErrorKind::Cancelled), "F6: {:?}", completion.kind);
    }
}

#[test]
fn f6_a_refusal_flushes_both_ends() {
    let desk = Desk::new(&SLOW.replace("latency = {", "latency = { read = '10us',"));
    let (qp, peer) = (&desk.net.qp, &desk.net.peer);
    let (memory, mr) = &desk.ends[0];
    let nobody = RemoteAddress { address: 0, token: RemoteToken::new(1).unwrap() };
    qp.read(0, &[sge(mr.local(), memory.base(), 8)], nobody).unwrap();
    desk.wait_at(0, qp);
    desk.wait_at(1, peer);
    desk.net.a.pump.clock().advance(Duration::from_micros(9));
    assert!(qp.poll().is_none() && peer.poll().is_none());
    desk.net.a.pump.clock().advance(Duration::from_micros(1));
    assert_eq!(qp.poll().unwrap().result, Err(ErrorKind::AccessViolation), "the refusal is first");
    all_flushed(qp);
    all_flushed(peer);
    // In error, a request completes without its delay.
    desk.wait_at(0, qp);
    all_flushed(qp);
    desk.finish();
}

#[test]
fn f6_a_flush_flushes_both_ends() {
    for flushes in [0, 1] {
        let desk = Desk::new(SLOW);
        let ends = [&desk.net.qp, &desk.net.peer];
        (0..2).for_each(|end| desk.wait_at(end, ends[end]));
        ends[flushes].flush();
        ends.into_iter().for_each(all_flushed);
        desk.finish();
    }
}

#[test]
fn f6_the_close_of_one_end_flushes_the_other() {
    let mut desk = Desk::new(SLOW);
    desk.wait_at(0, &desk.net.qp);
    desk.wait_at(1, &desk.net.peer);
    let spare = Qp::new(&desk.net.there);
    std::mem::replace(&mut desk.net.peer, spare).close();
    all_flushed(&desk.net.qp);
    desk.finish();
}

#[test]
fn h8_the_loss_of_a_device_ends_what_waits_there() {
    let desk = Desk::new(SLOW);
    let (qp, peer) = (&desk.net.qp, &desk.net.peer);
    desk.wait_at(0, qp);
    desk.wait_at(1, peer);
    qp.receive(9, &[]).unwrap();
    peer.receive(9, &[]).unwrap();
    desk.net.a.sim().lose();
    let completed = done(qp);
    let mut contexts: Vec<_> = completed.iter().map(|done| done.id.context).collect();
    contexts.sort_unstable();
    assert_eq!(contexts, [1, 2, 3, 9], "H8: each once, and at once");
    assert!(completed.iter().all(|done| done.result == Err(ErrorKind::Cancelled)), "{completed:?}");
    // Nobody tells the peer: it finds out when its requests are not answered.
    assert!(peer.poll().is_none());
    desk.net.a.pump.clock().advance(HOUR);
    let found: Vec<_> = done(peer).iter().map(|done| (done.id.context, done.result)).collect();
    let flushed = Err(ErrorKind::Cancelled);
    assert_eq!(found, [(1, Err(ErrorKind::Timeout)), (9, flushed), (2, flushed), (3, flushed)]);
    desk.finish();
}

#[test]
fn f6_what_is_flushed_lets_go_of_its_mappings() {
    let net = Net::planned("latency = { fast-register = '3600s' }");
    let memory = Memory::new(64);
    let (fast, lam) = (net.here.fast_mr(1, true), net.a.map(&memory));
    let access = ndk_core::Access::REMOTE_READ;
    net.qp.fast_register(&fast, lam.memory(memory.base()), access).unwrap();
    net.qp.flush();
    assert_eq!(net.qp.outcome(), Err(ErrorKind::Cancelled));
    assert_eq!(fast.initialise(1, true), STATUS_SUCCESS, "G10");
    assert_eq!(net.a.pump.clock().waiting(), 0);
    net.a.release(lam);
    net.finish([fast]);
}
