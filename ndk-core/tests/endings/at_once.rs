//! What a backend says at once, without a future: its answer counts as one that a future gives.

use crate::bench::{Bench, Calls, Region, close, created, kind, requested};
use crate::operation::End;
use ndk_core::abi::PAGE_SIZE;
use ndk_core::mdl::{Buffer, Mdl};
use ndk_core::{ErrorKind, Progress, RegionKind, Result};
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::Ordering;

/// A region that is registered, or not, with what it is registered to.
pub(crate) struct Subject {
    pub(crate) region: Region,
    mdl: Mdl,
    pub(crate) calls: Calls,
}

impl Subject {
    pub(crate) fn new(bench: &Bench) -> Self {
        let mdl = Mdl::new(&Buffer::new(PAGE_SIZE).expect("memory")).expect("an MDL");
        let region = bench.region_of(RegionKind::Conventional);
        Self { region, mdl, calls: Calls::default() }
    }

    pub(crate) fn register(&self) -> Result<Progress> {
        // SAFETY: the region is not closed, and what the request needs outlives it.
        unsafe {
            let (mdl, context) = (self.mdl.as_ptr(), self.calls.context());
            self.region.register(mdl, PAGE_SIZE, 0, Some(requested), context)
        }
    }

    pub(crate) fn deregister(&self) -> Result<Progress> {
        // SAFETY: as above.
        unsafe { self.region.deregister(Some(requested), self.calls.context()) }
    }

    fn is_registered(&self) -> bool {
        // SAFETY: as above.
        unsafe { self.region.local_token() }.is_some()
    }

    pub(crate) fn end(self) {
        assert_eq!(self.calls.take(), [], "B1");
        close(self.region);
    }
}

#[test]
fn b1_an_answer_at_once_is_the_requests_end() {
    let bench = Bench::new();
    let subject = Subject::new(&bench);
    *bench.control.at_once.lock().unwrap() = Some(End::Succeed);
    for _ in 0..3 {
        assert_eq!(subject.register(), Ok(Progress::Done));
        assert!(subject.is_registered(), "E1");
        assert_eq!(kind(subject.register()), Some(ErrorKind::InvalidDeviceState), "C12");
        assert_eq!(subject.deregister(), Ok(Progress::Done));
        assert!(!subject.is_registered(), "E1");
        assert_eq!(kind(subject.deregister()), Some(ErrorKind::InvalidDeviceState), "D1");
    }
    assert_eq!(bench.control.waited.load(Ordering::Relaxed), 0, "no future is made");
    subject.end();
    bench.end();
}

#[test]
fn b7_a_failure_at_once_leaves_the_region_as_it_was() {
    let bench = Bench::new();
    let subject = Subject::new(&bench);
    let say = |end| *bench.control.at_once.lock().unwrap() = Some(end);
    for registered in [false, true] {
        say(End::Fail);
        let failed = if registered { subject.deregister() } else { subject.register() };
        assert_eq!(kind(failed), Some(ErrorKind::InsufficientResources));
        assert_eq!(subject.is_registered(), registered, "B7");
        say(End::Succeed);
        let retried = if registered { subject.deregister() } else { subject.register() };
        assert_eq!(retried, Ok(Progress::Done), "B6");
    }
    assert_eq!(bench.control.waited.load(Ordering::Relaxed), 0);
    subject.end();
    bench.end();
}

#[test]
fn without_an_answer_at_once_the_future_is_run() {
    let bench = Bench::new();
    let subject = Subject::new(&bench);
    *bench.control.at_once.lock().unwrap() = Some(End::Hang);
    assert_eq!(subject.register(), Ok(Progress::Done));
    assert_eq!(bench.control.waited.load(Ordering::Relaxed), 1);
    assert_eq!(subject.deregister(), Ok(Progress::Done));
    assert_eq!(bench.control.waited.load(Ordering::Relaxed), 2);
    subject.end();
    bench.end();
}

#[test]
fn b8_a_panic_instead_of_an_answer_poisons_the_region() {
    for registered in [false, true] {
        let bench = Bench::new();
        let (subject, other) = (Subject::new(&bench), Subject::new(&bench));
        if registered {
            assert_eq!(subject.register(), Ok(Progress::Done));
        }
        *bench.control.at_once.lock().unwrap() = Some(End::Panic);
        let ended = if registered { subject.deregister() } else { subject.register() };
        assert_eq!(kind(ended), Some(ErrorKind::Internal), "B8");
        *bench.control.at_once.lock().unwrap() = Some(End::Succeed);
        assert_eq!(kind(subject.register()), Some(ErrorKind::Internal), "B8");
        assert_eq!(other.register(), Ok(Progress::Done), "B8: others go on");
        subject.end();
        other.end();
        bench.end();
    }
}

#[test]
fn a1_a_creation_at_once_is_delivered_by_the_entry_and_a_failure_leaves_nothing() {
    let bench = Bench::new();
    // What is made otherwise hangs: so each answer is one at once.
    bench.control.create_region.set(End::Hang);
    for end in [End::Succeed, End::Fail, End::Panic, End::Succeed] {
        *bench.control.create_at_once.lock().unwrap() = Some(end);
        let (mut out, calls) = (null_mut(), Calls::default());
        // SAFETY: the domain is not closed, and the out pointer valid.
        let made = unsafe {
            bench.domain.create_mr(
                RegionKind::Conventional,
                Some(created),
                calls.context(),
                &mut out,
            )
        };
        let refused = match end {
            End::Fail => Some(ErrorKind::InsufficientResources),
            End::Panic => Some(ErrorKind::Internal),
            _ => None,
        };
        assert_eq!(kind(made), refused, "B6, B8");
        assert_eq!(calls.take(), [], "A1, B1");
        assert_eq!(out.is_null(), refused.is_some(), "A1");
        if let Some(made) = NonNull::new(out) {
            // SAFETY: it is a region of these types, and closed here only.
            close(unsafe { Region::from_ndk(made) });
        }
    }
    // The domain has no reference left but its own.
    bench.end();
}
