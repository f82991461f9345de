//! Plans for work requests: refused when posted, or failed in their completion, which breaks the connection (F6).

use super::common::{Lam, Memory, Mr, Net, Window, sge, window};
use ndk_core::abi::*;
use ndk_core::{Access, ErrorKind, QueueDepths, RemoteAddress, Result};
use std::time::Duration;

const REMOTE: ULONG = NDK_MR_FLAG_ALLOW_REMOTE_READ | NDK_MR_FLAG_ALLOW_REMOTE_WRITE;
const PAGE: u64 = 0x5000_0000_0000;

/// Everything that a request of any kind needs; the initiator's adapter follows the plan.
struct Desk {
    net: Net,
    memory: Memory,
    mr: Mr,
    fast: Mr,
    lam: Lam,
    window: Window,
    far: (Memory, Mr),
}

impl Desk {
    fn new(plan: &str) -> Self {
        let net = Net::planned(plan);
        let (memory, other) = (Memory::new(64), Memory::new(64));
        memory.fill(1);
        other.fill(2);
        let mr = net.here.registered(&memory, NDK_MR_FLAG_ALLOW_LOCAL_WRITE);
        let far = net.there.registered(&other, REMOTE);
        let (fast, lam) = (net.here.fast_mr(1, true), net.a.map(&memory));
        let window = window(&net.here).unwrap();
        Self { net, memory, mr, fast, lam, window, far: (other, far) }
    }

    /// Posts a request of that kind.
    fn post(&self, kind: &str) -> Result<()> {
        let qp = &self.net.qp;
        let element = [sge(self.mr.local(), self.memory.base(), 8)];
        let remote = RemoteAddress { address: self.far.0.base(), token: self.far.1.remote() };
        match kind {
            "send" => qp.send(7, &element, None),
            "receive" => qp.receive(7, &element),
            "read" => qp.read(7, &element, remote),
            "write" => qp.write(7, &element, remote),
            "fast-register" => {
                qp.fast_register(&self.fast, self.lam.memory(PAGE), Access::REMOTE_READ)
            }
            "invalidate" => qp.invalidate(&self.fast),
            _ => qp.bind(&self.mr, &self.window, (self.memory.base(), 8), Access::REMOTE_READ),
        }
    }

    /// What has to be there before a request of that kind.
    fn prepare(&self, kind: &str) {
        match kind {
            "send" => {
                self.net.peer.receive(8, &[sge(self.far.1.local(), self.far.0.base(), 8)]).unwrap()
            }
            "invalidate" => {
                self.post("fast-register").unwrap();
                assert_eq!(self.net.qp.outcome(), Ok(0));
            }
            _ => {}
        }
    }

    fn finish(self) {
        self.net.a.pump.block_on("the close of a window", self.window.close());
        self.fast.close();
        self.net.a.release(self.lam);
        self.net.finish([self.mr, self.far.1]);
    }
}

const KINDS: [&str; 6] = ["send", "read", "write", "fast-register", "invalidate", "bind"];

#[test]
fn what_fails_inline_was_not_posted_and_a_retry_works() {
    for kind in KINDS {
        let desk = Desk::new(&format!(
            "[[fault]]\noperation = '{kind}'\nnth = 1\nstatus = 'insufficient-resources'"
        ));
        desk.prepare(kind);
        let before = (desk.memory.bytes(), desk.far.0.bytes());
        let error = desk.post(kind).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InsufficientResources, "{kind}");
        assert!(desk.net.qp.poll().is_none() && !desk.net.qp.is_broken(), "{kind}");
        assert_eq!((desk.memory.bytes(), desk.far.0.bytes()), before);
        desk.net.a.pump.run_ready();
        desk.retry(kind);
        desk.finish();
    }
}

impl Desk {
    /// A request of that kind works.
    fn retry(&self, kind: &str) {
        // A probe of `is_broken` is posted still, at this end.
        self.post(kind).unwrap();
        let completion = self.net.qp.next();
        assert_eq!((completion.id.context != 99, completion.result), (true, Ok(())), "{kind}");
    }
}

#[test]
fn what_fails_in_its_completion_takes_its_time_and_breaks_both_ends() {
    for kind in KINDS {
        let desk = Desk::new(&format!(
            "[[fault]]\noperation = '{kind}'\nnth = 1\nstatus = 'timeout'\ncomplete-late = '30us'"
        ));
        desk.prepare(kind);
        let before = (desk.memory.bytes(), desk.far.0.bytes());
        desk.post(kind).unwrap();
        let clock = desk.net.a.pump.clock();
        clock.advance(Duration::from_micros(29));
        assert!(desk.net.qp.poll().is_none(), "{kind} is early");
        clock.advance(Duration::from_micros(1));
        assert_eq!(desk.net.qp.outcome(), Err(ErrorKind::Timeout), "{kind}");
        assert_eq!((desk.memory.bytes(), desk.far.0.bytes()), before, "{kind} changed nothing");
        if kind == "send" {
            assert_eq!(desk.net.peer.outcome(), Err(ErrorKind::Cancelled), "F6: its receive");
        }
        assert!(desk.net.qp.is_broken() && desk.net.peer.is_broken(), "F6: {kind}");
        // What the request was about is in no state that cannot be left (G10, D2).
        assert_eq!(desk.fast.initialise(1, true), STATUS_SUCCESS, "G10: after {kind}");
        assert_eq!(desk.mr.deregister(), STATUS_SUCCESS, "D2: after {kind}");
        desk.finish();
    }
}

#[test]
fn a_receive_that_fails_does_so_when_its_message_comes() {
    let desk = Desk::new(
        "[[fault]]\noperation = 'receive'\nnth = 2\nstatus = 'timeout'\nwhen = 'pending'",
    );
    desk.post("receive").unwrap();
    desk.post("receive").unwrap();
    let element = [sge(desk.far.1.local(), desk.far.0.base(), 8)];
    desk.net.peer.send(1, &element, None).unwrap();
    assert_eq!((desk.net.peer.outcome(), desk.net.qp.outcome()), (Ok(8), Ok(8)));
    let before = desk.memory.bytes();
    desk.far.0.write(0, &[0xAB; 8]);
    desk.net.peer.send(2, &element, None).unwrap();
    assert_eq!(desk.net.qp.outcome(), Err(ErrorKind::Timeout), "the second");
    assert!(desk.net.peer.outcome().is_err(), "the sender hears of it");
    assert_eq!(desk.memory.bytes(), before, "nothing moved");
    assert!(desk.net.qp.is_broken() && desk.net.peer.is_broken(), "F6");
    desk.finish();
}

#[test]
fn queues_are_as_deep_as_they_were_made() {
    let net = Net::planned("latency = { write = '10us' }");
    let depths = QueueDepths { receive: 3, initiator: 5 };
    let (qp, peer) = (
        super::common::Qp::with_depths(&net.here, depths),
        super::common::Qp::with_depths(&net.there, depths),
    );
    super::common::join(&qp, &peer);
    let remote = RemoteAddress { address: 0, token: ndk_core::RemoteToken::new(1).unwrap() };
    let full = |posted: Result<()>| {
        assert_eq!(posted.unwrap_err().kind(), ErrorKind::InsufficientResources);
    };
    (0..3).for_each(|context| qp.receive(context, &[]).unwrap());
    full(qp.receive(3, &[]));
    (0..5).for_each(|context| qp.write(context, &[], remote).unwrap());
    full(qp.write(5, &[], remote));
    // Behind others a request waits for its turn, so it takes a place too.
    full(qp.send(5, &[], None));
    peer.send(1, &[], None).unwrap();
    assert_eq!((peer.outcome(), qp.outcome()), (Ok(0), Ok(0)));
    qp.receive(4, &[]).unwrap();
    while net.a.pump.turn() {}
    let done: Vec<_> = std::iter::from_fn(|| qp.poll()).map(|done| done.result).collect();
    assert_eq!(done.len(), 5 + 3, "each once: the token is nobody's, so the rest is flushed");
    qp.close();
    peer.close();
    net.finish([]);
}

#[test]
fn a_queue_pair_that_is_closed_gives_up_what_waits() {
    let net = Net::planned("latency = { write = '10us' }");
    let (source, sink) = (Memory::new(64), Memory::new(64));
    source.fill(5);
    let before = sink.fill(6);
    let (from, to) = (net.here.registered(&source, 0), net.there.registered(&sink, REMOTE));
    let (qp, peer) = super::common::connect(&net.here, &net.there);
    let remote = RemoteAddress { address: sink.base(), token: to.remote() };
    qp.write(1, &[sge(from.local(), source.base(), 64)], remote).unwrap();
    qp.close();
    while net.a.pump.turn() {}
    assert_eq!(sink.bytes(), before, "it never happens");
    assert!(peer.is_broken(), "F6: the connection is lost");
    peer.close();
    net.finish([from, to]);
}

#[test]
fn what_comes_after_the_close_of_its_region_or_window_takes_no_effect() {
    let net = Net::planned("latency = { fast-register = '10us', bind = '10us' }");
    let memory = Memory::new(64);
    let before = memory.fill(1);
    let (lam, region) =
        (net.a.map(&memory), net.here.registered(&memory, NDK_MR_FLAG_ALLOW_LOCAL_WRITE));
    let other = Memory::new(64);
    let source = net.there.registered(&other, 0);
    for closes_window in [false, true] {
        let (qp, peer) = super::common::connect(&net.here, &net.there);
        let token = if closes_window {
            let window = window(&net.here).unwrap();
            qp.bind(&region, &window, (memory.base(), 64), Access::REMOTE_WRITE).unwrap();
            let token = window.remote_token().unwrap();
            net.a.pump.block_on("the close of a window", window.close());
            assert_eq!(region.deregister(), STATUS_SUCCESS, "D2: the window is closed");
            token
        } else {
            let fast = net.here.fast_mr(1, true);
            qp.fast_register(&fast, lam.memory(memory.base()), Access::REMOTE_WRITE).unwrap();
            let token = fast.remote();
            fast.close();
            token
        };
        // Something else takes the place of what was closed, before the request is carried out.
        let next = net.here.registered(&other, NDK_MR_FLAG_ALLOW_REMOTE_READ);
        while net.a.pump.turn() {}
        assert_eq!(qp.outcome(), Err(ErrorKind::AccessViolation));
        qp.close();
        peer.close();
        let (qp, peer) = super::common::connect(&net.here, &net.there);
        let element = sge(source.local(), other.base(), 64);
        let written = peer.write_through(element, token, memory.base());
        assert_eq!(written, Err(ErrorKind::AccessViolation));
        assert_eq!(memory.bytes(), before);
        assert_eq!(net.a.sim().counters().live(), 1 + u64::from(!closes_window));
        next.close();
        qp.close();
        peer.close();
    }
    net.a.release(lam);
    net.finish([region, source]);
}
