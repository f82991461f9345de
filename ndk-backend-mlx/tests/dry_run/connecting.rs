//! Connects that wait for a peer which is in this program, and what ends them (F6).

use crate::bench::Bench;
use crate::fake::Fake;
use crate::harness::dry_run;
use futures_lite::future::block_on;
use ndk_backend_mlx::MlxQueuePair;
use ndk_core::{AdapterProvider, ErrorKind, QpProvider, QueueDepths, Result};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

/// A connect that waits for its peer.
struct Waits<'a> {
    connect: Pin<Box<dyn Future<Output = Result<()>> + 'a>>,
    woken: Arc<Count>,
}

impl<'a> Waits<'a> {
    fn new(queue_pair: &'a MlxQueuePair, peer: &MlxQueuePair) -> Self {
        let to = peer.endpoint();
        let connect = Box::pin(async move { queue_pair.connect(&to).await });
        let mut waits = Self { connect, woken: Arc::default() };
        assert!(waits.poll().is_pending(), "the peer has not asked");
        waits
    }

    fn poll(&mut self) -> Poll<Result<()>> {
        let waker = Waker::from(self.woken.clone());
        self.connect.as_mut().poll(&mut Context::from_waker(&waker))
    }

    fn is_woken(&self) -> bool {
        self.woken.0.load(Ordering::Acquire) > 0
    }

    /// It is woken, and has connected.
    #[track_caller]
    fn connects(mut self) {
        assert!(self.is_woken(), "nobody wakes it");
        assert!(matches!(self.poll(), Poll::Ready(Ok(()))));
    }

    /// It is woken, and has ended with this.
    #[track_caller]
    fn ends(mut self, kind: ErrorKind) {
        assert!(self.is_woken(), "nobody wakes it");
        let Poll::Ready(result) = self.poll() else { panic!("it waits for ever") };
        assert_eq!(result.map_err(|error| error.kind()), Err(kind));
    }
}

/// An adapter without threads: kernel calls are made at once, so that a connect which waits does so for its peer.
fn open(fake: Fake) -> Bench {
    let bench = Bench::open(fake);
    bench.adapter.shut_down();
    bench
}

fn queue_pair(bench: &Bench) -> MlxQueuePair {
    block_on(bench.adapter.create_qp(&bench.domain, QueueDepths::default())).unwrap()
}

fn refusal(queue_pair: &MlxQueuePair, peer: &MlxQueuePair) -> ErrorKind {
    block_on(queue_pair.connect(&peer.endpoint())).unwrap_err().kind()
}

#[test]
fn f6_a_flush_ends_the_connect_that_waits_and_leaves_the_peer() {
    let name = "connecting::f6_a_flush_ends_the_connect_that_waits_and_leaves_the_peer";
    dry_run(name, &[], |fake| {
        let bench = open(fake);
        let [one, other, third] = [(); 3].map(|()| queue_pair(&bench));
        let waits = Waits::new(&one, &other);
        one.flush();
        waits.ends(ErrorKind::ConnectionInvalid);
        // It was not connected, and can be.
        let waits = Waits::new(&third, &other);
        block_on(other.connect(&third.endpoint())).unwrap();
        waits.connects();
        for queue_pair in [one, other, third] {
            block_on(queue_pair.close());
        }
    });
}

#[test]
fn f6_who_waits_hears_that_the_peer_has_ended() {
    dry_run("connecting::f6_who_waits_hears_that_the_peer_has_ended", &[], |fake| {
        let bench = open(fake);
        for closes in [false, true] {
            let [one, two, peer] = [(); 3].map(|()| queue_pair(&bench));
            let (first, second) = (Waits::new(&one, &peer), Waits::new(&two, &peer));
            match closes {
                true => block_on(peer.close()),
                false => peer.flush(),
            }
            first.ends(ErrorKind::ConnectionRefused);
            second.ends(ErrorKind::ConnectionRefused);
            for queue_pair in [one, two] {
                block_on(queue_pair.close());
            }
        }
    });
}

#[test]
fn f6_who_waits_hears_that_the_peer_is_connected_to_another() {
    let name = "connecting::f6_who_waits_hears_that_the_peer_is_connected_to_another";
    dry_run(name, &[], |fake| {
        let bench = open(fake);
        let [one, two, peer] = [(); 3].map(|()| queue_pair(&bench));
        let (first, second) = (Waits::new(&one, &peer), Waits::new(&two, &peer));
        block_on(peer.connect(&one.endpoint())).unwrap();
        first.connects();
        second.ends(ErrorKind::ConnectionRefused);
        for queue_pair in [one, two, peer] {
            block_on(queue_pair.close());
        }
    });
}

#[test]
fn f6_a_queue_pair_in_error_is_not_connected_to() {
    dry_run("connecting::f6_a_queue_pair_in_error_is_not_connected_to", &[], |fake| {
        let bench = open(fake);
        let [one, other] = [(); 2].map(|()| queue_pair(&bench));
        one.flush();
        assert_eq!(refusal(&other, &one), ErrorKind::ConnectionRefused);
        assert_eq!(refusal(&one, &other), ErrorKind::ConnectionInvalid);
        for queue_pair in [one, other] {
            block_on(queue_pair.close());
        }
    });
}
