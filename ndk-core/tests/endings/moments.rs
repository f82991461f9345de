//! What comes in the middle of a region's request, or before its future exists: another request, a close, a panic, the
//! loss of the device.

use crate::at_once::Subject;
use crate::backend::Trap;
use crate::bench::{
    Bench, Calls, Region, WRONG_STATE, bind, close, closed, created, fast_register, initialise,
    initialise_inline, invalidate, kind, logged,
};
use crate::operation::End;
use futures_lite::future::block_on;
use ndk_core::abi::*;
use ndk_core::{ErrorKind, Progress, RegionKind};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Starts a close, which must pend.
fn close_pends(region: Region, calls: &Calls) {
    // SAFETY: the region is not closed, and the calls outlive the bench.
    let progress = unsafe { region.close(Some(closed), calls.context()) };
    assert_eq!(progress.expect("H1"), Progress::Pending, "H2: a request is in progress");
    assert_eq!(calls.take(), [], "H2: the request completes first");
}

/// An initialisation that comes to `end`; meanwhile three others come, and then `next`. What they are told.
fn queued_behind(
    bench: &Bench,
    region: Region,
    end: End,
    next: impl FnOnce() + Send + 'static,
) -> Vec<NTSTATUS> {
    let (first, others) = (Calls::default(), Arc::new(Calls::default()));
    let inner = others.clone();
    bench.control.initialise.set(end);
    bench.control.initialise.hook.set(move || {
        for _ in 0..3 {
            assert_eq!(initialise(region, &inner), Ok(Progress::Pending), "G3: one is in progress");
        }
        next();
    });
    let progress = initialise(region, &first);
    assert_eq!(first.take(), [], "B1");
    assert_eq!(progress.is_ok(), end == End::Succeed);
    others.take()
}

#[test]
fn g3_queued_initialisations_hear_that_the_device_is_gone() {
    let bench = Bench::new();
    let (region, control) = (bench.region(), bench.control.clone());
    let told = queued_behind(&bench, region, End::Succeed, move || {
        control.lost.store(true, Ordering::Relaxed);
    });
    assert_eq!(told, [STATUS_DEVICE_REMOVED; 3], "G3, H8");
    // The first was the device's last, and counts.
    // SAFETY: the region is not closed.
    assert!(unsafe { region.remote_token() }.is_some(), "G3");
    close(region);
    bench.end();
}

#[test]
fn g3_queued_initialisations_hear_of_the_panic_of_the_one_before() {
    let bench = Bench::new();
    let region = bench.region();
    let told = queued_behind(&bench, region, End::Panic, || ());
    assert_eq!(told, [STATUS_INTERNAL_ERROR; 3], "G3, B8");
    assert_eq!(kind(initialise(region, &Calls::default())), Some(ErrorKind::Internal), "B8");
    close(region);
    bench.end();
}

#[test]
fn g3_queued_initialisations_are_given_up_by_a_close_which_comes_last() {
    let bench = Bench::new();
    let (region, closes) = (bench.region(), Arc::new(Calls::default()));
    let inner = closes.clone();
    let told = queued_behind(&bench, region, End::Fail, move || close_pends(region, &inner));
    assert_eq!(told, [STATUS_CANCELLED; 3], "G3, H2");
    assert_eq!(closes.take(), [STATUS_SUCCESS], "H2: the close completes once");
    bench.end();
}

#[test]
fn b8_an_initialisation_that_panics_before_there_is_a_future() {
    let bench = Bench::new();
    let (region, control) = (bench.region(), bench.control.clone());
    // The queued ones are not started by an entry, but by the end of the one before.
    let told = queued_behind(&bench, region, End::Succeed, move || {
        control.set_trap(Trap::InitialiseRegion);
    });
    assert_eq!(told, [STATUS_INTERNAL_ERROR; 3], "B8");
    close(region);
    *bench.control.trap.lock().unwrap() = None;
    let region = bench.region();
    bench.control.set_trap(Trap::InitialiseRegion);
    assert_eq!(kind(initialise(region, &Calls::default())), Some(ErrorKind::Internal), "B8");
    close(region);
    bench.end();
}

/// Of a region in the wrong state nothing else is asked: there is no page yet that would be one too many (G4).
#[test]
fn g3_g7_h7_a_fast_registration_is_told_of_the_state_first() {
    let bench = Bench::new();
    let (region, qp, requests, closes) =
        (bench.region(), bench.qp(), Calls::default(), Calls::default());
    let told = || fast_register(&qp, region).expect_err("refused").to_string();
    assert!(told().ends_with("[G7]"), "{}", told());
    bench.control.initialise.set(End::Hang);
    assert_eq!(initialise(region, &requests), Ok(Progress::Pending));
    assert!(told().ends_with("[G3]"), "{}", told());
    close_pends(region, &closes);
    assert!(told().ends_with("[H7]"), "{}", told());
    drop(bench.runner.take());
    assert_eq!((requests.take(), closes.take()), (vec![STATUS_CANCELLED], vec![STATUS_SUCCESS]));
    block_on(qp.close());
    bench.end();
}

/// The last reference went with the close, so nobody may take one, and with it the close once more.
#[test]
fn h7_a_bind_while_the_backends_close_is_at_work_changes_nothing() {
    let bench = Bench::new();
    let region = bench.region_of(RegionKind::Conventional);
    let (qp, window, closes) = (bench.qp(), bench.window(), Calls::default());
    bench.control.close_region.set(End::Hang);
    close_pends(region, &closes);
    assert_eq!(kind(bind(&qp, region, &window)), WRONG_STATE, "H7");
    let task = bench.runner.take();
    assert_eq!(bench.runner.waiting(), 0, "H2: one close");
    drop(task);
    assert_eq!(closes.take(), [STATUS_SUCCESS], "H2: the close completes once");
    bench.control.close_region.set(End::Succeed);
    block_on(qp.close());
    block_on(window.close());
    bench.end();
}

#[test]
fn b8_a_close_that_panics_before_there_is_a_future_ends_all_the_same() {
    let bench = Bench::new();
    let region = bench.region();
    bench.control.set_trap(Trap::CloseRegion);
    close(region);
    // The close that becomes due when a request ends: in its entry, and in its task.
    for end in [End::Fail, End::Hang] {
        let (region, requests, closes) = (bench.region(), Calls::default(), Arc::default());
        let inner: Arc<Calls> = Arc::clone(&closes);
        bench.control.initialise.set(end);
        if end == End::Fail {
            bench.control.initialise.hook.set(move || close_pends(region, &inner));
            assert_eq!(kind(initialise(region, &requests)), Some(ErrorKind::InsufficientResources));
        } else {
            assert_eq!(initialise(region, &requests), Ok(Progress::Pending));
            close_pends(region, &closes);
            drop(bench.runner.take());
            assert_eq!(requests.take(), [STATUS_CANCELLED], "B9");
        }
        assert_eq!(closes.take(), [STATUS_SUCCESS], "B8: the close completes once");
    }
    assert_eq!(bench.control.dropped.load(Ordering::Relaxed), 0, "B8: what they hold is leaked");
    bench.end();
}

#[test]
fn b9_a_close_that_panics_in_the_poll_that_a_dropped_task_gets() {
    let bench = Bench::new();
    let (region, closes) = (bench.region(), Calls::default());
    bench.control.close_region.set(End::HangThenPanic);
    bench.runner.drops.store(true, Ordering::Relaxed);
    // SAFETY: the region is not closed, and the calls outlive the bench.
    let progress = unsafe { region.close(Some(closed), closes.context()) };
    assert_eq!(progress.expect("H1"), Progress::Pending);
    assert_eq!(closes.take(), [STATUS_SUCCESS], "B8, B9: the close completes once");
    assert_eq!(bench.control.dropped.load(Ordering::Relaxed), 0, "B8: what it holds is leaked");
    bench.end();
}

#[test]
fn h2_a_close_inside_a_request_that_is_answered_at_once_completes_after_it() {
    // The close waits in the executor for the entry to be through, also where that drops it then (B9).
    for (end, drops) in [(End::Succeed, false), (End::Fail, false), (End::Succeed, true)] {
        let bench = Bench::new();
        let (subject, closes) = (Subject::new(&bench), Arc::new(Calls::default()));
        let (region, inner) = (subject.region, closes.clone());
        *bench.control.at_once.lock().unwrap() = Some(end);
        bench.control.at_once_hook.set(move || close_pends(region, &inner));
        let progress = subject.register();
        assert_eq!(progress.is_ok(), end == End::Succeed);
        assert_eq!(closes.take(), [], "H2: the close comes last");
        let waits = bench.runner.take();
        if drops {
            drop(waits)
        } else {
            block_on(waits)
        }
        // The region is gone: only what the subject keeps is looked at.
        assert_eq!(subject.calls.take(), [], "B1");
        assert_eq!(closes.take(), [STATUS_SUCCESS], "H2: the close completes once");
        bench.end();
    }
}

#[test]
fn b8_work_requests_that_panic_leave_a_window_bound_and_a_region_as_after_a_flush() {
    let bench = Bench::new();
    let (subject, window, fast) = (Subject::new(&bench), bench.window(), bench.fast_region());
    subject.register().expect("registered");
    let (qp, second) = (bench.qp(), bench.qp());
    fast_register(&qp, fast).expect("posted");
    bench.control.complete_all();
    assert!(qp.poll().is_some());
    bench.control.post.set(End::Panic);
    let bound = bind(&qp, subject.region, &window);
    assert_eq!(kind(bound), Some(ErrorKind::Internal), "B8");
    assert_eq!(kind(invalidate(&second, fast)), Some(ErrorKind::Internal), "B8");
    bench.control.post.set(End::Succeed);
    assert_eq!(kind(subject.deregister()), Some(ErrorKind::DeviceBusy), "B8: it counts as bound");
    let third = bench.qp();
    let elsewhere = kind(third.invalidate_window(1, &window));
    assert_eq!(elsewhere, Some(ErrorKind::InvalidDeviceState), "B8: the device may come to it yet");
    drop((window, third));
    assert_eq!(subject.deregister(), Ok(Progress::Done), "B8: until it is closed");
    initialise_inline(fast);
    close(fast);
    subject.end();
    drop((qp, second));
    bench.end();
}

#[test]
fn b8_a_window_whose_close_does_not_end_poisons_the_region_that_it_is_bound_to() {
    let bench = Bench::new();
    let (qp, subject, window) = (bench.qp(), Subject::new(&bench), bench.window());
    subject.register().expect("registered");
    bind(&qp, subject.region, &window).expect("posted");
    bench.control.close.set(End::Panic);
    drop(window);
    bench.control.close.set(End::Succeed);
    // A device may still let peers through the window.
    assert_eq!(kind(subject.deregister()), Some(ErrorKind::Internal), "B8");
    subject.end();
    drop(qp);
    bench.end();
}

type Panic = Box<dyn FnOnce() + Send>;

/// A payload whose drop panics too, with one that is no memory: it is leaked.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        std::panic::panic_any(());
    }
}

#[test]
fn b8_what_a_panic_says_is_logged_and_what_it_carries_is_dropped_with_care() {
    let panics: [(Panic, &str); 3] = [
        (Box::new(|| panic!("in so many words")), "in so many words"),
        (Box::new(|| panic!("number {}", 7 + "1234".len())), "number 11"),
        (Box::new(|| resume_unwind(Box::new(Bomb))), "no message"),
    ];
    let bench = Bench::new();
    for (panic, said) in panics {
        let region = bench.region();
        bench.control.initialise.hook.set(panic);
        logged();
        assert_eq!(kind(initialise(region, &Calls::default())), Some(ErrorKind::Internal), "B8");
        let (lines, said) = (logged(), format!("panicked: {said} [B8]"));
        assert!(lines.iter().any(|line| line.contains(&said)), "{said}: {lines:?}");
        close(region);
    }
    bench.end();
}

#[test]
fn h7_a_creation_that_a_domains_close_overtakes_is_refused() {
    let bench = Bench::new();
    // It keeps the domain's close from its end.
    let (domain, region, closes) = (bench.domain, bench.region(), Arc::new(Calls::default()));
    let inner = closes.clone();
    bench.control.lost_hook.set(move || {
        // SAFETY: the domain is not closed yet, and the calls outlive the bench.
        let progress = unsafe { domain.close(Some(closed), inner.context()) };
        assert_eq!(progress.expect("H4"), Progress::Pending, "H4: a region is open");
    });
    let mut out = std::ptr::null_mut();
    // SAFETY: the domain is alive, since its region is open.
    let made = unsafe {
        domain.create_mr(RegionKind::Conventional, Some(created), std::ptr::null_mut(), &mut out)
    };
    assert_eq!(kind(made), Some(ErrorKind::InvalidDeviceState), "H7");
    assert!(out.is_null(), "A1");
    close(region);
    assert_eq!(closes.take(), [STATUS_SUCCESS], "H4");
    bench.end_adapter();
}

#[test]
fn a_refusal_is_logged_with_the_state_that_it_is_for() {
    let bench = Bench::new();
    let subject = Arc::new(Subject::new(&bench));
    logged();
    for (action, state) in [("register", "registering"), ("deregister", "deregistering")] {
        let inner = subject.clone();
        bench.control.register.hook.set(move || {
            let again = if state == "registering" { inner.register() } else { inner.deregister() };
            assert_eq!(kind(again), Some(ErrorKind::InvalidDeviceState), "C12");
        });
        let progress = if action == "register" { subject.register() } else { subject.deregister() };
        assert_eq!(progress, Ok(Progress::Done));
        let lines = logged();
        let said = format!(": {action} refused while {state}: STATUS_INVALID_DEVICE_STATE");
        assert!(lines.iter().any(|line| line.contains(&said)), "{said}: {lines:?}");
    }
    let (region, closes) = (bench.region(), Arc::new(Calls::default()));
    let inner = closes.clone();
    bench.control.initialise.hook.set(move || {
        let zero = |region: Region| {
            // SAFETY: the region is not closed, and nothing pends.
            unsafe { region.initialize_fast_register(0, true, None, std::ptr::null_mut()) }
        };
        assert_eq!(kind(zero(region)), Some(ErrorKind::InvalidParameter), "A7");
        close_pends(region, &inner);
        assert_eq!(kind(zero(region)), Some(ErrorKind::InvalidParameter), "A7");
    });
    assert_eq!(initialise(region, &Calls::default()), Ok(Progress::Done));
    assert_eq!(closes.take(), [STATUS_SUCCESS]);
    let lines = logged();
    for state in ["initialising", "closing"] {
        let said = format!("initialise fast registration refused while {state}: ");
        assert!(lines.iter().any(|line| line.contains(&said)), "{said}: {lines:?}");
    }
    Arc::into_inner(subject).expect("the hooks are gone").end();
    bench.end();
}
