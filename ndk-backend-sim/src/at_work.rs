//! Tests of what meets an access that is at work: here one can be held there, for as long as a test likes.

use crate::hazard::Taken;
use crate::plan::Plan;
use crate::{Config, SimAdapter, SimPd, SimQueuePair, SimRegion};
use futures_lite::future::{block_on, poll_once, zip};
use ndk_core::mdl::{Buffer, Mdl};
use ndk_core::{
    Access, AdapterProvider, ErrorKind, LocalToken, MrProvider, QpProvider, QueueDepths,
    RegionKind, RemoteAddress, RemoteToken, WorkId, WorkRequest,
};
use std::pin::pin;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

/// The longest wait for a call that must return: it ends a hang, no test that passes waits for a time.
const LIMIT: Duration = Duration::from_secs(60);

/// A registered region.
struct Stage {
    /// From its first operation on it stays where it is.
    region: Box<SimRegion>,
    chain: Mdl,
    pd: SimPd,
    adapter: SimAdapter,
}

impl Stage {
    fn new() -> Self {
        // So that what is given back too often, or not at all, is found out.
        let plan: Plan = "limits = { pinned-pages = 1, tokens = 3 }".parse().expect("a plan");
        let adapter = SimAdapter::new(Config { plan, ..Config::default() }).expect("an adapter");
        let pd = block_on(adapter.create_pd()).expect("a domain");
        let region = block_on(adapter.create_mr(&pd, RegionKind::Conventional)).expect("a region");
        let chain = Mdl::new(&Buffer::copy_of(b"what is there").expect("memory")).expect("a chain");
        let stage = Self { region: Box::new(region), chain, pd, adapter };
        stage.register();
        stage
    }

    fn register(&self) {
        // SAFETY: the stage keeps the chain for as long as the region.
        let view = unsafe { self.chain.view(self.chain.len()) }.expect("a view");
        block_on(self.region.register(view, Access::REMOTE_READ)).expect("registered");
    }

    fn tokens(&self) -> (Option<LocalToken>, Option<RemoteToken>) {
        (self.region.local_token(), self.region.remote_token())
    }

    /// What a peer hears that reads by this token.
    fn read(&self, token: RemoteToken) -> Result<(), &'static str> {
        // SAFETY: as in `register`.
        let view = unsafe { self.chain.view(self.chain.len()) }.expect("a view");
        let mut peer = self.pd.initiator().expect("a peer");
        let start = RemoteAddress { address: view.base(), token };
        peer.read(start, &mut [0; 4]).map_err(|error| error.rule_id())
    }

    /// The region is registered as it was with those tokens, and its deregistration ends it.
    fn is_as_before(&self, tokens: (Option<LocalToken>, Option<RemoteToken>)) {
        assert_eq!(self.tokens(), tokens, "B7");
        let counters = self.adapter.counters();
        assert_eq!((counters.registrations, counters.deregistrations), (1, 0), "B7");
        let remote = tokens.1.expect("a remote token");
        assert_eq!(self.read(remote), Ok(()), "B7: the token works");
        self.region.deregister_at_once().expect("at once").expect("deregistered");
        self.is_over(remote);
    }

    /// The registration has ended, and there is room for the next.
    fn is_over(&self, remote: RemoteToken) {
        assert_eq!(self.tokens(), (None, None), "E1");
        assert_eq!(self.read(remote), Err("D4"));
        let counters = self.adapter.counters();
        assert_eq!((counters.registrations, counters.deregistrations), (1, 1));
        self.register();
        block_on(self.region.deregister()).expect("deregistered");
    }
}

/// An access to a region that is at work for as long as this is there.
struct AtWork<'a> {
    region: &'a SimRegion,
    place: Taken,
}

impl<'a> AtWork<'a> {
    /// As an initiator's is.
    fn on(region: &'a SimRegion) -> Self {
        let place = region.device.hazards.take_place().expect("a place");
        place.begin(false);
        place.publish(region.index, region.device.record(region.index));
        Self { region, place }
    }

    /// Calls something that is to return while the access is at work.
    fn during<T: Send>(self, act: impl FnOnce() -> T + Send) -> T {
        let (send, receive) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(move || send.send(act()));
            let returned = receive.recv_timeout(LIMIT);
            // Whoever waits for it can go on.
            drop(self);
            returned.expect("the call waits for the access")
        })
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.place.end();
        self.region.device.hazards.give_place_back(&self.place);
    }
}

#[test]
fn b7_a_deregistration_at_once_that_meets_an_access_changes_nothing() {
    let stage = Stage::new();
    let tokens = stage.tokens();
    let at_work = AtWork::on(&stage.region);
    let at_once = at_work.during(|| {
        let at_once = stage.region.deregister_at_once();
        assert_eq!(stage.read(tokens.1.expect("a remote token")), Ok(()));
        at_once
    });
    assert!(at_once.is_none(), "D3: an access is at work");
    stage.is_as_before(tokens);
}

#[test]
fn b7_b9_a_deregistration_that_is_given_up_leaves_the_region_registered_and_does_not_wait() {
    let stage = Stage::new();
    let tokens = stage.tokens();
    AtWork::on(&stage.region).during(|| {
        assert!(block_on(poll_once(stage.region.deregister())).is_none(), "D3");
    });
    stage.is_as_before(tokens);
}

#[test]
fn d3_a_deregistration_that_waits_lets_no_access_through_and_ends_with_the_last() {
    let stage = Stage::new();
    let remote = stage.tokens().1.expect("a remote token");
    let at_work = AtWork::on(&stage.region);
    let mut deregister = pin!(stage.region.deregister());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(deregister.as_mut().poll(&mut cx).is_pending(), "D3");
    assert_eq!(stage.read(remote), Err("D4"));
    drop(at_work);
    assert!(matches!(deregister.as_mut().poll(&mut cx), Poll::Ready(Ok(()))));
    stage.is_over(remote);
}

#[test]
fn b5_a_send_that_may_not_invalidate_a_region_does_not_wait_for_who_uses_it() {
    let stage = Stage::new();
    let remote = stage.tokens().1.expect("a remote token");
    let make = || block_on(stage.adapter.create_qp(&stage.pd, QueueDepths::default()));
    let (qp, peer) = (make().expect("a queue pair"), make().expect("a queue pair"));
    let (to_peer, to_qp) = (peer.endpoint(), qp.endpoint());
    let connected = block_on(zip(qp.connect(&to_peer), peer.connect(&to_qp)));
    assert!(matches!(connected, (Ok(()), Ok(()))));
    let id = WorkId { context: 1, tag: 0 };
    peer.post(id, WorkRequest::Receive { local: &[] }).expect("posted");
    AtWork::on(&stage.region).during(|| {
        let request = WorkRequest::Send { local: &[], invalidate: Some(remote) };
        qp.post(id, request).expect("posted");
    });
    for end in [&qp, &peer] {
        assert_eq!(result(end), Err(ErrorKind::AccessViolation), "G9");
    }
    assert_eq!(stage.read(remote), Ok(()), "G9: it is as it was");
}

/// How the one request has ended.
fn result(qp: &SimQueuePair) -> Result<(), ErrorKind> {
    match qp.poll_completion(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(completion) => completion.result,
        Poll::Pending => panic!("no completion"),
    }
}
