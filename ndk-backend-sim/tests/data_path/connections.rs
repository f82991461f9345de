//! Connections that cannot be, each with its status, and queue pairs that are none the worse for it.

use crate::common::{Host, Memory, Net, Pd, Qp, join, sge};
use ndk_backend_sim::Profile;
use ndk_core::abi::*;
use ndk_core::{Endpoint, ErrorKind, QueueDepths, Result};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

/// What a connection is refused with, at once.
fn refused(host: &Host, qp: &Qp, peer: &Endpoint) -> ErrorKind {
    host.pump.block_on("a refusal", qp.connect(peer)).expect_err("refused").kind()
}

#[test]
fn an_endpoint_that_is_none_of_the_fabric_is_refused() {
    let (net, elsewhere) = (Net::new(), Net::new());
    let qp = Qp::new(&net.here);
    let own = qp.endpoint().0;
    let (identity, number) = own.split_once('/').expect("two parts");
    let endpoints = [
        String::new(),
        "nowhere".into(),
        "sim:".into(),
        identity.into(),
        format!("sim:zz/{number}"),
        format!("{identity}/"),
        format!("{identity}/-1"),
        format!("{identity}/{}", u64::MAX),
        format!("{own} "),
        own.replace("sim:", ""),
        elsewhere.qp.endpoint().0,
    ];
    for endpoint in endpoints {
        let kind = refused(&net.a, &qp, &Endpoint(endpoint.clone()));
        assert_eq!(kind, ErrorKind::ConnectionRefused, "{endpoint:?}");
    }
    // It can be connected still.
    let peer = Qp::new(&net.there);
    join(&qp, &peer);
    qp.close();
    peer.close();
    net.finish([]);
    elsewhere.finish([]);
}

#[test]
fn a_queue_pair_is_connected_once_and_to_one() {
    let net = Net::new();
    let third = Qp::new(&net.here);
    let taken = refused(&net.a, &third, &net.peer.endpoint());
    assert_eq!(taken, ErrorKind::ConnectionRefused, "the peer has another");
    for peer in [net.peer.endpoint(), third.endpoint(), net.qp.endpoint()] {
        let again = refused(&net.a, &net.qp, &peer);
        assert_eq!(again, ErrorKind::ConnectionInvalid, "it is connected");
    }
    let gone = Qp::new(&net.there);
    let endpoint = gone.endpoint();
    gone.close();
    let closed = refused(&net.a, &third, &endpoint);
    assert_eq!(closed, ErrorKind::ConnectionRefused, "the peer is closed");
    // A flush is the end of a queue pair, connected or not.
    let flushed = Qp::new(&net.here);
    flushed.flush();
    let late = refused(&net.a, &flushed, &net.peer.endpoint());
    assert_eq!(late, ErrorKind::ConnectionInvalid, "it is in error");
    // Whom all that was asked of goes on.
    let memory = Memory::new(100);
    let (mr, there) = (net.here.registered(&memory, 1), Memory::new(100));
    let remote = net.there.registered(&there, NDK_MR_FLAG_ALLOW_REMOTE_WRITE);
    let from = sge(mr.local(), memory.base(), 100);
    assert_eq!(net.qp.write_through(from, remote.remote(), there.base()), Ok(100));
    [third, flushed].into_iter().for_each(Qp::close);
    net.finish([mr, remote]);
}

#[test]
fn who_waits_for_a_queue_pair_hears_that_it_is_taken() {
    let (a, b) = Host::pair(&Profile::default());
    let (here, there) = (a.pd(), b.pd());
    let (wanted, first, second) = (Qp::new(&there), Qp::new(&here), Qp::new(&here));
    let endpoint = wanted.endpoint();
    let count = Arc::<Count>::default();
    let waker = Waker::from(count.clone());
    {
        let mut waiting = pin!(second.connect(&endpoint));
        assert!(waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        join(&first, &wanted);
        assert_eq!(count.0.load(Ordering::Relaxed), 1, "it is woken");
        let polled = waiting.as_mut().poll(&mut Context::from_waker(&waker));
        let Poll::Ready(Err(error)) = polled else { panic!("it waits for ever") };
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    }
    // One that has given up is not thought of any more.
    let third = Qp::new(&there);
    let endpoint = third.endpoint();
    {
        let mut waiting = pin!(second.connect(&endpoint));
        assert!(waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    third.close();
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    [wanted, first, second].into_iter().for_each(Qp::close);
    [here, there].into_iter().for_each(Pd::close);
    [a, b].into_iter().for_each(Host::close);
}

/// A connect that waits, and how often it was woken.
struct Waits<F> {
    connect: Pin<Box<F>>,
    count: Arc<Count>,
}

impl<F: Future<Output = Result<()>>> Waits<F> {
    fn new(connect: F) -> Self {
        let mut waits = Self { connect: Box::pin(connect), count: Arc::default() };
        assert!(waits.poll().is_pending(), "the peer has not asked yet");
        waits
    }

    fn poll(&mut self) -> Poll<Result<()>> {
        let waker = Waker::from(self.count.clone());
        self.connect.as_mut().poll(&mut Context::from_waker(&waker))
    }

    /// It was woken, and has ended with this.
    #[track_caller]
    fn has_ended(mut self, kind: ErrorKind) {
        assert!(self.count.0.load(Ordering::Relaxed) > 0, "nobody wakes it");
        let Poll::Ready(result) = self.poll() else { panic!("it waits for ever") };
        assert_eq!(result.map_err(|error| error.kind()), Err(kind));
    }
}

/// How a queue pair ends that is not connected.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Flush,
    Loss,
}

impl End {
    fn come(self, host: &Host, qp: &Qp) -> ErrorKind {
        match self {
            Self::Flush => qp.flush(),
            Self::Loss => host.sim().lose(),
        }
        match self {
            Self::Flush => ErrorKind::ConnectionInvalid,
            Self::Loss => ErrorKind::DeviceRemoved,
        }
    }
}

#[test]
fn f6_h8_a_connect_that_waits_ends_with_its_queue_pair() {
    for end in [End::Flush, End::Loss] {
        let (a, b) = Host::pair(&Profile::default());
        let (here, there) = (a.pd(), b.pd());
        let (qp, peer, other) = (Qp::new(&here), Qp::new(&there), Qp::new(&there));
        let (to_peer, to_here) = (peer.endpoint(), qp.endpoint());
        let waits = Waits::new(qp.connect(&to_peer));
        let kind = end.come(&a, &qp);
        // The peer asks now: it is refused, and the one that waits is not let through.
        assert_eq!(refused(&b, &peer, &to_here), ErrorKind::ConnectionRefused, "{end:?}");
        waits.has_ended(kind);
        join(&peer, &other);
        [qp, peer, other].into_iter().for_each(Qp::close);
        [here, there].into_iter().for_each(Pd::close);
        [a, b].into_iter().for_each(Host::close);
    }
}

#[test]
fn f6_h8_who_waits_for_a_queue_pair_hears_that_it_has_ended() {
    for end in [End::Flush, End::Loss] {
        let (a, b) = Host::pair(&Profile::default());
        let (here, there) = (a.pd(), b.pd());
        let (qp, peer, late) = (Qp::new(&here), Qp::new(&there), Qp::new(&there));
        let to_here = qp.endpoint();
        let waits = Waits::new(peer.connect(&to_here));
        end.come(&a, &qp);
        waits.has_ended(ErrorKind::ConnectionRefused);
        assert_eq!(refused(&b, &late, &to_here), ErrorKind::ConnectionRefused, "{end:?}");
        join(&peer, &late);
        [qp, peer, late].into_iter().for_each(Qp::close);
        [here, there].into_iter().for_each(Pd::close);
        [a, b].into_iter().for_each(Host::close);
    }
}

#[test]
fn f6_a_flush_while_the_queue_pair_is_being_connected_ends_both_or_refuses_both() {
    let (a, b) = Host::pair(&Profile::default());
    let (here, there) = (a.pd(), b.pd());
    for _ in 0..500 {
        let (qp, peer) = (Qp::new(&here), Qp::new(&there));
        let (to_peer, to_here) = (peer.endpoint(), qp.endpoint());
        let together = Barrier::new(2);
        let mut waits = Waits::new(qp.connect(&to_peer));
        let connected = thread::scope(|scope| {
            scope.spawn(|| {
                together.wait();
                qp.flush();
            });
            together.wait();
            b.pump.block_on("an answer", peer.connect(&to_here))
        });
        let Poll::Ready(own) = waits.poll() else { panic!("it waits for ever") };
        drop(waits);
        assert_eq!(own.is_ok(), connected.is_ok(), "{own:?}, {connected:?}");
        assert!(qp.is_broken());
        assert_eq!(peer.is_broken(), connected.is_ok(), "F6: a flush ends both ends");
        [qp, peer].into_iter().for_each(Qp::close);
    }
    [here, there].into_iter().for_each(Pd::close);
    [a, b].into_iter().for_each(Host::close);
}

#[test]
fn a_second_connect_beside_one_that_waits_is_refused_and_leaves_it_alone() {
    let (a, b) = Host::pair(&Profile::default());
    let (here, there) = (a.pd(), b.pd());
    let (qp, peer, other) = (Qp::new(&here), Qp::new(&there), Qp::new(&there));
    let (to_peer, to_other, to_here) = (peer.endpoint(), other.endpoint(), qp.endpoint());
    let mut waits = Waits::new(qp.connect(&to_peer));
    for endpoint in [&to_peer, &to_other] {
        assert_eq!(refused(&a, &qp, endpoint), ErrorKind::ConnectionInvalid);
    }
    let connected = b.pump.block_on("the connection", peer.connect(&to_here));
    connected.expect("the first connect is as it was");
    assert_eq!(waits.count.0.load(Ordering::Relaxed), 1, "it is woken");
    assert!(matches!(waits.poll(), Poll::Ready(Ok(()))));
    drop(waits);
    // One that was given up is in nobody's way.
    let next = Qp::new(&here);
    drop(Waits::new(next.connect(&to_other)));
    join(&next, &other);
    [qp, peer, other, next].into_iter().for_each(Qp::close);
    [here, there].into_iter().for_each(Pd::close);
    [a, b].into_iter().for_each(Host::close);
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_release_of_a_mapping_that_does_not_exist_changes_nothing() {
    let (a, b) = Host::pair(&Profile::default());
    let memory = Memory::new(2 * PAGE_SIZE);
    let (first, second) = (a.map(&memory), a.map(&memory));
    a.release_name(usize::MAX);
    a.release_name(12_345);
    // Nor does a second release of one that does.
    let name = first.name();
    a.release(first);
    a.release_name(name);
    assert_eq!(second.pages.len(), 2);
    a.release(second);
    a.close();
    b.close();
}

#[test]
fn a_device_has_65_536_queue_pairs_and_connections_at_most() {
    let net = Net::new();
    // SAFETY: the domain is not closed.
    let make = || unsafe { net.here.domain().create_qp(QueueDepths::default()) };
    let make = || net.a.pump.block_on("a queue pair", make());
    // The net's own has one place for itself, and one for its peer.
    let mut all: Vec<_> = (2..65_536).map(|_| make().expect("a queue pair")).collect();
    let kind = |result: ndk_core::Result<_>| result.err().map(|error| error.kind());
    assert_eq!(kind(make()), Some(ErrorKind::InsufficientResources), "B6");
    drop(all.pop());
    net.a.pump.run_ready();
    let last = make().expect("B6: there is room again");
    let connect = || net.a.pump.block_on("a connection", last.connect(&last.endpoint()));
    assert_eq!(connect().unwrap_err().kind(), ErrorKind::InsufficientResources, "B6");
    all.truncate(all.len() - 2);
    net.a.pump.run_ready();
    connect().expect("B6: a later try succeeds");
    drop((all, last));
    net.a.pump.run_ready();
    net.finish([]);
}
