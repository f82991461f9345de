//! Closes of queue pairs and windows that do not end: what they hold is leaked, and their domain can be closed (H4).

use crate::backend::End;
use crate::bench::{Bench, Qp, Window};
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Waker};

/// What is closed.
enum Child {
    Qp(Qp),
    Window(Window),
}

impl Child {
    async fn close(self) {
        match self {
            Self::Qp(qp) => qp.close().await,
            Self::Window(window) => window.close().await,
        }
    }
}

fn qp(bench: &Bench) -> Child {
    Child::Qp(bench.qp())
}

fn window(bench: &Bench) -> Child {
    Child::Window(bench.window())
}

/// A close that pends and whose future is dropped.
fn dropped(make: fn(&Bench) -> Child) {
    let bench = Bench::new();
    let child = make(&bench);
    bench.control.close.set(End::Hang);
    {
        let mut closing = pin!(child.close());
        let poll = closing.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(poll.is_pending());
    }
    bench.end();
}

/// A close that panics, with and without anybody who waits for it.
fn panics(make: fn(&Bench) -> Child) {
    let bench = Bench::new();
    let (waited_for, ignored) = (make(&bench), make(&bench));
    bench.control.close.set(End::Panic);
    crate::bench::ready(waited_for.close());
    drop(ignored);
    bench.end();
}

/// A close whose task the executor drops.
fn given_up(make: fn(&Bench) -> Child) {
    let bench = Bench::new();
    let child = make(&bench);
    bench.control.close.set(End::Hang);
    bench.runner.drops.store(true, Ordering::Relaxed);
    drop(child);
    bench.runner.drops.store(false, Ordering::Relaxed);
    bench.end();
}

#[test]
fn h4_a_domain_closes_after_a_queue_pairs_close_was_dropped() {
    dropped(qp);
}

#[test]
fn h4_a_domain_closes_after_a_windows_close_was_dropped() {
    dropped(window);
}

#[test]
fn b8_a_domain_closes_after_a_queue_pairs_close_panicked() {
    panics(qp);
}

#[test]
fn b8_a_domain_closes_after_a_windows_close_panicked() {
    panics(window);
}

#[test]
fn b9_a_domain_closes_after_a_queue_pairs_close_was_given_up() {
    given_up(qp);
}

#[test]
fn b9_a_domain_closes_after_a_windows_close_was_given_up() {
    given_up(window);
}
