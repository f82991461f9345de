//! A close in the middle of a request that fails, and requests that are given up.

use crate::backend::Hooked;
use crate::bench::{
    Bench, Calls, Region, Runner, close, closed, created, fast_register, initialise, new_control,
    open, requested,
};
use crate::operation::End;
use ndk_core::abi::*;
use ndk_core::{ErrorKind, Opened, Progress, RegionKind, Std};
use std::ptr::null_mut;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread;

#[test]
fn h2_a_close_inside_a_failing_initialisation_is_the_last_that_touches_the_region() {
    let bench = Bench::new();
    let region = bench.region();
    let (requests, closes) = (Calls::default(), Arc::new(Calls::default()));
    bench.control.initialise.set(End::Fail);
    let inner = closes.clone();
    bench.control.initialise.hook.set(move || {
        // SAFETY: the region is not closed yet.
        let progress = unsafe { region.close(Some(closed), inner.context()) };
        assert_eq!(progress.expect("H1"), Progress::Pending, "H2: a request is in progress");
        assert_eq!(inner.take(), [], "H2: the request completes first");
    });
    // The region is gone when this returns: the failure has to be logged before, or without it.
    let refused = initialise(region, &requests).expect_err("planted");
    assert_eq!(refused.kind(), ErrorKind::InsufficientResources);
    assert_eq!(requests.take(), [], "B1");
    assert_eq!(closes.take(), [STATUS_SUCCESS], "B2: the close completes once");
    bench.end();
}

/// A region that its request's callback closes.
struct Closer {
    region: Region,
    requests: Calls,
    closes: Calls,
}

unsafe extern "system" fn close_requested(context: PVOID, status: NTSTATUS) {
    // SAFETY: the context is a `Closer`, which outlives its region.
    let closer = unsafe { &*context.cast::<Closer>() };
    closer.requests.note(status);
    // SAFETY: the region is not closed; a callback of its request may close it (B4).
    let progress = unsafe { closer.region.close(Some(closed), closer.closes.context()) };
    assert_eq!(progress.expect("H1"), Progress::Pending, "H2: inside a callback it pends");
}

#[test]
fn b4_a_close_in_the_callback_of_a_queued_initialisation_comes_after_the_first_ones_failure() {
    let bench = Bench::new();
    let region = bench.region();
    let closer = Closer { region, requests: Calls::default(), closes: Calls::default() };
    let (first, closer) = (Calls::default(), Arc::new(closer));
    bench.control.initialise.set(End::Fail);
    let inner = closer.clone();
    bench.control.initialise.hook.set(move || {
        let context = Arc::as_ptr(&inner).cast_mut().cast();
        // SAFETY: the region is not closed, and the context outlives it.
        let queued = unsafe {
            inner.region.initialize_fast_register(1, true, Some(close_requested), context)
        };
        assert_eq!(queued.expect("G3"), Progress::Pending, "G3: one is in progress");
    });
    // The queued one runs, fails, and closes the region on this thread, before the first one's entry returns.
    assert!(initialise(region, &first).is_err());
    assert_eq!(first.take(), [], "B1");
    assert_eq!(closer.requests.take(), [STATUS_INSUFFICIENT_RESOURCES], "B2");
    assert_eq!(closer.closes.take(), [STATUS_SUCCESS], "B2");
    bench.end();
}

#[test]
fn h4_a_domains_close_inside_a_failing_creation_is_the_last_that_touches_the_domain() {
    let bench = Bench::new();
    let (domain, closes) = (bench.domain, Arc::new(Calls::default()));
    bench.control.create_region.set(End::Fail);
    let inner = closes.clone();
    bench.control.create_region.hook.set(move || {
        // SAFETY: the domain is not closed yet.
        let progress = unsafe { domain.close(Some(closed), inner.context()) };
        assert_eq!(progress.expect("H4"), Progress::Pending, "H4: a creation is in progress");
    });
    let mut out = null_mut();
    // SAFETY: the domain is not closed before, and the out pointer valid.
    let made =
        unsafe { domain.create_mr(RegionKind::Conventional, Some(created), null_mut(), &mut out) };
    // The domain is gone when it returns: the failure has to be logged before, or without it.
    assert_eq!(made.expect_err("planted").kind(), ErrorKind::InsufficientResources);
    assert!(out.is_null(), "A1: nothing is delivered");
    assert_eq!(closes.take(), [STATUS_SUCCESS], "B2: the close completes once");
    bench.end_adapter();
}

/// State and arguments come before the device: what is wrong on any device is not blamed on a lost one.
#[test]
fn h8_a_wrong_request_has_its_own_status_on_a_lost_device() {
    let bench = Bench::new();
    let (fast, qp) = (bench.region(), bench.qp());
    bench.control.lost.store(true, Ordering::Relaxed);
    let status = |pages, routine| {
        // SAFETY: the region is not closed.
        let progress = unsafe { fast.initialize_fast_register(pages, true, routine, null_mut()) };
        progress.expect_err("refused").kind()
    };
    let routine = Some(requested as NDK_FN_REQUEST_COMPLETION);
    assert_eq!(status(1, None), ErrorKind::InvalidParameter, "A7");
    assert_eq!(status(0, routine), ErrorKind::InvalidParameter, "G2");
    assert_eq!(status(17, routine), ErrorKind::ImplementationLimit, "G2");
    assert_eq!(status(1, routine), ErrorKind::DeviceRemoved, "H8");
    // SAFETY: the region is not closed.
    let registered = unsafe { fast.register(null_mut(), 1, 0, routine, null_mut()) };
    assert_eq!(registered.expect_err("C11").kind(), ErrorKind::InvalidDeviceState, "C11");
    let posted = fast_register(&qp, fast).expect_err("refused").kind();
    assert_eq!(posted, ErrorKind::InvalidDeviceState, "G7: not initialised");
    assert_eq!(qp.send(1, &[], None).expect_err("H8").kind(), ErrorKind::DeviceRemoved, "H8");
    close(fast);
    drop(qp);
    bench.end();
}

#[test]
fn b9_a_dropped_task_gives_up_however_many_initialisations_wait_behind_it() {
    const MANY: usize = 50_000;
    // Each of them once took a piece of the stack of the one before, which ends even a large one.
    let small = thread::Builder::new().stack_size(2 << 20);
    let thread = small.spawn(|| {
        let bench = Bench::new();
        let (region, calls) = (bench.region(), Calls::default());
        bench.control.initialise.set(End::Hang);
        for _ in 0..MANY {
            assert_eq!(initialise(region, &calls).expect("G3"), Progress::Pending);
        }
        bench.runner.drops.store(true, Ordering::Relaxed);
        drop(bench.runner.take());
        let statuses = calls.take();
        assert_eq!(statuses.len(), MANY, "B2: each completes once");
        assert!(statuses.iter().all(|status| *status == STATUS_CANCELLED), "B9");
        close(region);
        bench.end();
    });
    thread.expect("a thread").join().expect("every request is given up");
}

/// Another adapter, which a request's callback closes.
struct Elsewhere {
    requests: Calls,
    other: Mutex<Option<Opened<Hooked, Std>>>,
}

unsafe extern "system" fn close_another(context: PVOID, status: NTSTATUS) {
    // SAFETY: the context is an `Elsewhere`, which outlives the request.
    let elsewhere = unsafe { &*context.cast::<Elsewhere>() };
    elsewhere.requests.note(status);
    let other = elsewhere.other.lock().unwrap().take().expect("called once");
    // What is refused drops the adapter, which is open then.
    assert!(other.close().is_ok(), "H5: nothing of that adapter is being called");
}

#[test]
fn h5_an_adapter_may_be_closed_inside_a_callback_of_another() {
    let bench = Bench::new();
    let region = bench.region();
    let other = open(&new_control(), &Arc::<Runner>::default()).expect("another adapter");
    let elsewhere = Elsewhere { requests: Calls::default(), other: Mutex::new(Some(other)) };
    bench.control.initialise.set(End::Hang);
    let context = (&raw const elsewhere).cast_mut().cast();
    // SAFETY: the region is not closed before, and the context outlives the request.
    let progress =
        unsafe { region.initialize_fast_register(1, true, Some(close_another), context) };
    assert_eq!(progress.expect("it pends"), Progress::Pending);
    drop(bench.runner.take());
    assert_eq!(elsewhere.requests.take(), [STATUS_CANCELLED], "B9");
    assert!(elsewhere.other.lock().unwrap().is_none(), "H5: the other one is closed");
    close(region);
    bench.end();
}

/// An adapter that is open, which each callback of its own tries to close.
struct Own {
    calls: Calls,
    opened: Mutex<Option<Opened<Hooked, Std>>>,
}

impl Own {
    fn new(opened: Opened<Hooked, Std>) -> Self {
        Self { calls: Calls::default(), opened: Mutex::new(Some(opened)) }
    }

    /// For a callback that comes before this is gone.
    fn context(&self) -> PVOID {
        (&raw const *self).cast_mut().cast()
    }

    fn try_close(&self, status: NTSTATUS) {
        self.calls.note(status);
        let opened = self.opened.lock().unwrap().take().expect("it comes back");
        let refused = opened.close().expect_err("H5: it would wait for itself");
        assert_eq!(refused.error.rule_id(), "H5");
        *self.opened.lock().unwrap() = Some(refused.adapter);
    }

    fn into_opened(self) -> Opened<Hooked, Std> {
        self.opened.into_inner().unwrap().expect("it came back")
    }
}

unsafe extern "system" fn own_requested(context: PVOID, status: NTSTATUS) {
    // SAFETY: the context is `Own::context`.
    unsafe { &*context.cast::<Own>() }.try_close(status);
}

unsafe extern "system" fn own_created(
    context: PVOID,
    status: NTSTATUS,
    object: *mut NDK_OBJECT_HEADER,
) {
    assert!(object.is_null(), "A1: nothing was made");
    // SAFETY: as above.
    unsafe { &*context.cast::<Own>() }.try_close(status);
}

unsafe extern "system" fn own_closed(context: PVOID) {
    // SAFETY: as above.
    unsafe { &*context.cast::<Own>() }.try_close(STATUS_SUCCESS);
}

#[test]
fn h5_the_adapter_is_not_closed_inside_any_callback_of_its_own() {
    let bench = Bench::new();
    let (region, behind) = (bench.region(), bench.region());
    let Bench { control, runner, domain, opened } = bench;
    let own = Own::new(opened);
    // An initialisation that waits behind another, and is refused when it is its turn: the device is gone.
    control.initialise.set(End::Hang);
    let first = Calls::default();
    assert_eq!(initialise(behind, &first).expect("G3"), Progress::Pending);
    // SAFETY: the region is not closed before, and the context outlives the request.
    let queued =
        unsafe { behind.initialize_fast_register(1, true, Some(own_requested), own.context()) };
    assert_eq!(queued.expect("G3"), Progress::Pending);
    control.lost.store(true, Ordering::Relaxed);
    drop(runner.take());
    assert_eq!((first.take().len(), own.calls.take().len()), (1, 1), "B2");
    close(behind);
    control.lost.store(false, Ordering::Relaxed);
    // Creations of a region and of a domain that are given up.
    let (mut mr, mut pd) = (null_mut(), null_mut());
    control.create_region.set(End::Hang);
    control.create_domain.set(End::Hang);
    let adapter = own.opened.lock().unwrap().as_ref().expect("open").adapter();
    // SAFETY: domain and adapter are open, the out pointers valid, and the context outlives the requests.
    let creating = unsafe {
        [
            domain.create_mr(RegionKind::Conventional, Some(own_created), own.context(), &mut mr),
            adapter.create_pd(Some(own_created), own.context(), &mut pd),
        ]
    };
    assert_eq!(creating, [Ok(Progress::Pending), Ok(Progress::Pending)]);
    drop((runner.take(), runner.take()));
    assert_eq!(own.calls.take(), [STATUS_CANCELLED; 2], "B9");
    // A region's close that pends, then its domain's.
    control.close_region.set(End::Hang);
    // SAFETY: the region is not closed, and the context outlives it.
    let closing = unsafe { region.close(Some(own_closed), own.context()) };
    assert_eq!(closing.expect("H1"), Progress::Pending);
    // SAFETY: the domain is not closed, and the context outlives it.
    let closing = unsafe { domain.close(Some(own_closed), own.context()) };
    assert_eq!(closing.expect("H4"), Progress::Pending, "H4: a region is closing");
    drop(runner.take());
    assert_eq!(own.calls.take(), [STATUS_SUCCESS; 2], "B2");
    assert!(own.into_opened().try_close().is_ok(), "H5: nothing is left");
}

#[test]
fn h2_a_close_cancels_only_what_is_pending() {
    let bench = Bench::new();
    let (idle, busy) = (bench.region(), bench.region());
    close(idle);
    assert_eq!(bench.control.cancelled.load(Ordering::Relaxed), 0, "nothing was pending");
    bench.control.initialise.set(End::Hang);
    let (requests, closes) = (Calls::default(), Calls::default());
    assert_eq!(initialise(busy, &requests).expect("G3"), Progress::Pending);
    // SAFETY: the region is not closed, and the context outlives it.
    let closing = unsafe { busy.close(Some(closed), closes.context()) };
    assert_eq!(closing.expect("H1"), Progress::Pending, "H2: a request is pending");
    assert_eq!(bench.control.cancelled.load(Ordering::Relaxed), 1, "H2");
    drop(bench.runner.take());
    assert_eq!((requests.take(), closes.take()), (vec![STATUS_CANCELLED], vec![STATUS_SUCCESS]));
    bench.end();
}
