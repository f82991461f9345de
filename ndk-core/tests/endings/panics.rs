//! Panics of a backend outside of a region's operations: each has a status, costs one object, and what it costs can be
//! closed (B8).

use crate::backend::{Onlooker, Trap};
use crate::bench::{
    Bench, Calls, Qp, Runner, close, fast_register, initialise, initialise_inline, kind,
    new_control, open, ready,
};
use crate::operation::End;
use ndk_core::abi::*;
use ndk_core::{Endpoint, ErrorKind, QueueDepths};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

pub(crate) const INTERNAL: Option<ErrorKind> = Some(ErrorKind::Internal);

#[test]
fn b8_a_backend_that_panics_while_it_describes_itself_is_not_opened() {
    for trap in [Trap::Name, Trap::Info, Trap::Capabilities, Trap::HighestMinor] {
        let (control, runner) = (new_control(), Arc::<Runner>::default());
        control.set_trap(trap);
        assert_eq!(kind(open(&control, &runner)), INTERNAL, "B8: {trap:?}");
        // The backend is gone: what is left is the test's.
        assert_eq!(Arc::strong_count(&control), 2, "B8: {trap:?}");
    }
}

#[test]
fn b8_a_shut_down_that_panics_leaks_what_the_backend_holds() {
    let bench = Bench::new();
    bench.control.set_trap(Trap::ShutDown);
    let control = bench.control.clone();
    bench.end();
    assert_eq!(Arc::strong_count(&control), 3, "B8: the backend holds it still");
}

#[test]
fn b8_a_question_after_the_device_that_panics_says_nothing_of_it() {
    let bench = Bench::new();
    bench.control.set_trap(Trap::IsLost);
    drop((bench.qp(), bench.window()));
    bench.end();
}

#[test]
fn b8_creations_in_rust_answer_for_a_panic() {
    let bench = Bench::new();
    bench.control.set_trap(Trap::CreateQp);
    // SAFETY: the domain is not closed.
    assert_eq!(kind(ready(unsafe { bench.domain.create_qp(QueueDepths::default()) })), INTERNAL);
    bench.control.set_trap(Trap::CreateWindow);
    // SAFETY: as above.
    assert_eq!(kind(ready(unsafe { bench.domain.create_window() })), INTERNAL);
    drop(bench.qp());
    bench.end();
}

#[test]
fn b8_calls_on_the_adapter_answer_for_a_panic() {
    let bench = Bench::new();
    let (adapter, version) = (bench.opened.adapter(), NDK_VERSION { Major: 1, Minor: 0 });
    bench.control.set_trap(Trap::QueryExtension);
    // SAFETY: the adapter is open.
    assert_eq!(kind(unsafe { adapter.query_extension(&GUID::default(), version) }), INTERNAL);
    bench.control.set_trap(Trap::ReleaseMapping);
    // SAFETY: all zeroes are a mapping of no pages.
    let lam: NDK_LOGICAL_ADDRESS_MAPPING = unsafe { std::mem::zeroed() };
    // SAFETY: the adapter is open; this backend looks at no mapping.
    assert_eq!(kind(unsafe { adapter.release_mapping(&lam) }), INTERNAL);
    let region = bench.fast_region();
    close(region);
    bench.end();
}

/// Under a watch the backend is told a number. The creation has succeeded by then.
#[test]
fn b8_an_object_whose_number_panics_is_poisoned() {
    let control = new_control();
    assert!(control.watch.set(Arc::new(Onlooker)).is_ok());
    let bench = Bench::of(control);
    bench.control.set_trap(Trap::Numbered);
    let (region, qp) = (bench.region(), bench.qp());
    assert_eq!(kind(initialise(region, &Calls::default())), INTERNAL);
    assert_eq!(kind(qp.receive(1, &[])), INTERNAL);
    close(region);
    ready(qp.close());
    bench.end();
}

#[test]
fn b8_a_windows_token_that_panics_is_none() {
    let bench = Bench::new();
    let window = bench.window();
    bench.control.set_trap(Trap::WindowToken);
    assert_eq!(window.remote_token(), None);
    drop(window);
    bench.end();
}

/// A queue pair whose backend has panicked: what was posted has completed by `poll`, and nothing else goes.
pub(crate) fn is_poisoned(qp: &Qp) {
    assert_eq!(qp.poll(), None, "B2: each completes once");
    assert_eq!(kind(qp.receive(9, &[])), INTERNAL);
    assert_eq!(kind(qp.send(9, &[], None)), INTERNAL);
    assert_eq!(kind(ready(qp.connect(&Endpoint("peer".into())))), INTERNAL);
    qp.flush();
    assert_eq!(qp.poll(), None, "nothing was posted");
}

/// One receive and three other requests are posted, one of them has completed; then the backend panics by `panic`.
fn poisoned_by(trap: Trap, panic: impl FnOnce(&Qp)) {
    let bench = Bench::new();
    let (qp, other, region) = (bench.qp(), bench.qp(), bench.fast_region());
    qp.send(1, &[], None).expect("posted");
    bench.control.complete(Ok(()));
    assert_eq!(qp.poll().expect("completed").result, Ok(()));
    qp.receive(2, &[]).expect("posted");
    qp.send(3, &[], None).expect("posted");
    fast_register(&qp, region).expect("posted");
    qp.send(4, &[], None).expect("posted");
    bench.control.set_trap(trap);
    panic(&qp);
    let mut contexts = Vec::new();
    while let Some(completion) = qp.poll() {
        assert_eq!(completion.result, Err(ErrorKind::Internal), "B8: {trap:?}");
        contexts.push(completion.id.context);
    }
    contexts.sort_unstable();
    assert_eq!(contexts, [1, 2, 3, 4], "B8: what was posted completes, once each: {trap:?}");
    is_poisoned(&qp);
    *bench.control.trap.lock().unwrap() = None;
    is_poisoned(&qp);
    // The region is as after a flush, and the queue pair beside it as before.
    initialise_inline(region);
    fast_register(&other, region).expect("G10");
    ready(qp.close());
    close(region);
    drop(other);
    bench.end();
}

#[test]
fn b8_a_poll_for_completions_that_panics_poisons_the_queue_pair() {
    poisoned_by(Trap::PollCompletion, |_| ());
}

#[test]
fn b8_a_flush_that_panics_poisons_the_queue_pair() {
    poisoned_by(Trap::Flush, Qp::flush);
}

#[test]
fn b8_a_connection_that_panics_poisons_the_queue_pair() {
    poisoned_by(Trap::Connect, |qp| {
        assert_eq!(kind(ready(qp.connect(&Endpoint("peer".into())))), INTERNAL);
    });
}

#[test]
fn b8_an_endpoint_that_panics_is_empty_and_poisons_the_queue_pair() {
    poisoned_by(Trap::Endpoint, |qp| assert_eq!(qp.endpoint(), Endpoint(String::new())));
}

#[derive(Default)]
pub(crate) struct Count(pub(crate) AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn b8_who_waits_for_a_completion_hears_of_the_panic_of_a_posting() {
    let bench = Bench::new();
    let qp = bench.qp();
    qp.receive(1, &[]).expect("posted");
    let count = Arc::<Count>::default();
    let waker = Waker::from(count.clone());
    let mut cx = Context::from_waker(&waker);
    assert!(qp.poll_completion(&mut cx).is_pending());
    bench.control.post.set(End::Panic);
    assert_eq!(kind(qp.send(2, &[], None)), INTERNAL);
    assert_eq!(count.0.load(Ordering::Relaxed), 1, "B8: woken, though the backend wakes nobody");
    let Poll::Ready(completion) = qp.poll_completion(&mut cx) else { panic!("it pends") };
    assert_eq!((completion.id.context, completion.result), (1, Err(ErrorKind::Internal)));
    is_poisoned(&qp);
    drop(qp);
    bench.end();
}

#[test]
fn b2_of_two_requests_the_one_that_was_refused_is_taken_back() {
    let bench = Bench::new();
    let qp = Arc::new(bench.qp());
    let (control, inner) = (bench.control.clone(), qp.clone());
    bench.control.post.set(End::Fail);
    bench.control.post.hook.set(move || {
        control.post.set(End::Succeed);
        inner.send(2, &[], None).expect("posted while the first one is about to be");
        control.post.set(End::Fail);
    });
    assert_eq!(kind(qp.send(1, &[], None)), Some(ErrorKind::InsufficientResources));
    bench.control.set_trap(Trap::PollCompletion);
    assert_eq!(qp.poll().map(|completion| completion.id.context), Some(2), "B8: what was posted");
    assert_eq!(qp.poll(), None, "B2");
    *bench.control.trap.lock().unwrap() = None;
    drop(qp);
    bench.end();
}
