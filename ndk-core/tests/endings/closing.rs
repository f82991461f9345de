//! Closes of queue pairs and windows that do not end: what they hold is leaked, and their domain can be closed (H4).

use crate::backend::Control;
use crate::bench::{Bench, Calls, Qp, Window, closed, logged};
use crate::operation::End;
use ndk_core::Progress;
use ndk_core::abi::PVOID;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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

/// How many children were gone when the domain's completion came.
struct Seen {
    control: Arc<Control>,
    gone: AtomicUsize,
}

const NOT_CALLED: usize = usize::MAX;

unsafe extern "system" fn domain_closed(context: PVOID) {
    // SAFETY: the context is a `Seen`, which outlives the domain.
    let seen = unsafe { &*context.cast::<Seen>() };
    let gone = seen.control.dropped.load(Ordering::Relaxed);
    assert_eq!(seen.gone.swap(gone, Ordering::Relaxed), NOT_CALLED, "B2");
}

/// The executor runs, or drops, what it is given inside `spawn`: then the domain's completion comes on the thread that
/// leaves the last child's close, when that has nothing left to do.
fn domain_after(close: fn(&Bench) -> Box<dyn FnOnce()>, drops: bool) {
    let bench = Bench::new();
    let close = close(&bench);
    let seen = Seen { control: bench.control.clone(), gone: AtomicUsize::new(NOT_CALLED) };
    let context = (&raw const seen).cast_mut().cast();
    // SAFETY: the domain is not closed, and the context outlives it.
    let progress = unsafe { bench.domain.close(Some(domain_closed), context) };
    assert_eq!(progress.expect("H4"), Progress::Pending, "H4: a child is there");
    bench.runner.drops.store(drops, Ordering::Relaxed);
    close();
    assert_eq!(seen.gone.load(Ordering::Relaxed), 1, "H4: the child is gone by then");
    bench.end_adapter();
}

#[test]
fn h4_a_domains_completion_is_the_last_act_of_its_last_childs_close() {
    for drops in [false, true] {
        domain_after(
            |bench| {
                let region = bench.region();
                Box::new(move || crate::bench::close(region))
            },
            drops,
        );
        domain_after(
            |bench| {
                let qp = bench.qp();
                Box::new(move || crate::bench::ready(qp.close()))
            },
            drops,
        );
        domain_after(
            |bench| {
                let window = bench.window();
                Box::new(move || drop(window))
            },
            drops,
        );
    }
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

/// What has ended by the time that its task is dropped is no leak, whoever is closed, and however often it was polled.
fn ends_before_its_task_is_dropped(bench: Bench, close: impl FnOnce(&Bench, &Calls)) {
    let calls = Calls::default();
    logged();
    close(&bench, &calls);
    assert_eq!(calls.take(), [], "B9: it is not over");
    for operation in
        [&bench.control.close_domain, &bench.control.close_region, &bench.control.close]
    {
        operation.set(End::Succeed);
    }
    drop(bench.runner.take());
    let lines = logged();
    assert!(lines.iter().all(|line| !line.contains("did not end")), "B9: {lines:?}");
    bench.end_adapter();
}

#[test]
fn b9_a_domains_close_that_is_over_when_its_task_is_dropped_is_an_ordinary_one() {
    let bench = Bench::new();
    bench.control.close_domain.set(End::Wait);
    ends_before_its_task_is_dropped(bench, |bench, calls| {
        // SAFETY: the domain is not closed, and the calls outlive the close.
        let progress = unsafe { bench.domain.close(Some(closed), calls.context()) };
        assert_eq!(progress.expect("H4"), Progress::Pending);
    });
}

#[test]
fn b9_the_close_of_a_dropped_child_that_is_over_when_its_task_is_dropped_is_an_ordinary_one() {
    for make in [qp, window] {
        let bench = Bench::new();
        bench.control.close.set(End::Wait);
        ends_before_its_task_is_dropped(bench, |bench, calls| {
            drop(make(bench));
            // SAFETY: as above.
            let progress = unsafe { bench.domain.close(Some(closed), calls.context()) };
            assert_eq!(progress.expect("H4"), Progress::Pending);
        });
    }
}
