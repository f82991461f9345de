//! Completion routines of the tests' own: each call is noted with the request that it is about.

use super::Pump;
use ndk_core::abi::{NDK_OBJECT_HEADER, NTSTATUS, PVOID, STATUS_PENDING, STATUS_SUCCESS};
use std::collections::BTreeMap;
use std::ptr::{null_mut, without_provenance_mut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// One call of a completion routine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) status: NTSTATUS,
    /// The place among all calls.
    pub(crate) order: usize,
    object: *mut NDK_OBJECT_HEADER,
}

// SAFETY: the pointer is only handed on; what is done with it is the test's to justify.
unsafe impl Send for Call {}

/// What came back with a context. A context is a number and no pointer: a call too many is found out, and does no harm.
type Calls = Arc<Mutex<Vec<Call>>>;
static OPEN: Mutex<BTreeMap<usize, Calls>> = Mutex::new(BTreeMap::new());
static NEXT: AtomicUsize = AtomicUsize::new(0x1000);
static CALLS: AtomicUsize = AtomicUsize::new(0);
static STRAYS: AtomicUsize = AtomicUsize::new(0);

/// A request that was made of an entry, with the status that the entry returned.
#[must_use = "a request that is not looked at may never have completed"]
pub(crate) struct Request {
    pub(crate) inline: NTSTATUS,
    context: usize,
    calls: Calls,
}

impl Request {
    /// Makes a request: `entry` is called with a context.
    pub(crate) fn begin(entry: impl FnOnce(PVOID) -> NTSTATUS) -> Self {
        let context = NEXT.fetch_add(1, Ordering::Relaxed);
        let calls = Calls::default();
        OPEN.lock().unwrap().insert(context, calls.clone());
        let inline = entry(without_provenance_mut(context));
        Self { inline, context, calls }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.inline != STATUS_PENDING || self.calls() > 0
    }

    /// How often its completion routine was called.
    pub(crate) fn calls(&self) -> usize {
        self.calls.lock().unwrap().len()
    }

    /// The call of its completion routine, if it has been called; more than once is a failure (B2).
    pub(crate) fn call(&self) -> Option<Call> {
        let calls = self.calls.lock().unwrap();
        assert!(calls.len() <= 1, "B2: at most one call");
        calls.first().copied()
    }

    /// The final status, once the request is over (B1, B2).
    pub(crate) fn finish(self, pump: &Pump) -> NTSTATUS {
        self.finish_with_object(pump).status
    }

    /// As `finish`, with what else is known of the call; a request that was over inline was so just now.
    pub(crate) fn finish_with_object(self, pump: &Pump) -> Call {
        if self.inline != STATUS_PENDING {
            pump.run_ready();
            assert_eq!(self.calls(), 0, "B1: no call after an inline status");
            return Call::new(self.inline, null_mut());
        }
        pump.until("a completion", || self.is_over());
        pump.run_ready();
        let calls = self.calls.lock().unwrap();
        assert_eq!(calls.len(), 1, "B2: exactly one call");
        assert_ne!(calls[0].status, STATUS_PENDING, "B2: a final status");
        calls[0]
    }
}

impl Call {
    fn new(status: NTSTATUS, object: *mut NDK_OBJECT_HEADER) -> Self {
        Self { status, order: CALLS.fetch_add(1, Ordering::Relaxed), object }
    }

    pub(crate) fn object(self) -> *mut NDK_OBJECT_HEADER {
        self.object
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        // From now on a call is a stray.
        OPEN.lock().unwrap().remove(&self.context);
    }
}

/// How often a routine was called for a request that was over.
pub(crate) fn strays() -> usize {
    STRAYS.load(Ordering::Relaxed)
}

fn called(context: PVOID, call: Call) {
    let calls = OPEN.lock().unwrap().get(&context.addr()).cloned();
    match calls {
        Some(calls) => calls.lock().unwrap().push(call),
        None => {
            STRAYS.fetch_add(1, Ordering::Relaxed);
        }
    }
}

pub(crate) unsafe extern "system" fn request_completed(context: PVOID, status: NTSTATUS) {
    called(context, Call::new(status, null_mut()));
}

pub(crate) unsafe extern "system" fn close_completed(context: PVOID) {
    called(context, Call::new(STATUS_SUCCESS, null_mut()));
}

pub(crate) unsafe extern "system" fn create_completed(
    context: PVOID,
    status: NTSTATUS,
    object: *mut NDK_OBJECT_HEADER,
) {
    called(context, Call::new(status, object));
}
