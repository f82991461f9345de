//! Completion routines that a layer puts in place of the consumer's.

use ndk_core::abi::{
    NDK_FN_CLOSE_COMPLETION, NDK_FN_CREATE_COMPLETION, NDK_FN_REQUEST_COMPLETION,
    NDK_OBJECT_HEADER, NTSTATUS, PVOID, STATUS_PENDING,
};

/// A completion as an entry takes it.
#[derive(Clone, Copy)]
pub(crate) struct Done<F> {
    pub(crate) routine: Option<F>,
    pub(crate) context: PVOID,
}

pub(crate) type Request = Done<NDK_FN_REQUEST_COMPLETION>;
pub(crate) type Close = Done<NDK_FN_CLOSE_COMPLETION>;
pub(crate) type Create = Done<NDK_FN_CREATE_COMPLETION>;

/// The three types of routine.
pub(crate) trait Routine: Copy + 'static {
    /// What it is called with beside the context.
    type End: Copy + 'static;
    /// Calls what [`Done::instead`] put in place.
    const INSTEAD: Self;
    /// # Safety
    /// As the consumer promised for its routine and context.
    unsafe fn call(self, context: PVOID, end: Self::End);
}

type Then<E> = Box<dyn FnOnce(E)>;

/// # Safety
/// The context is from [`Done::instead`], and not taken before.
unsafe fn take<E>(context: PVOID) -> Box<Then<E>> {
    // SAFETY: the caller's promise.
    unsafe { Box::from_raw(context.cast()) }
}

unsafe extern "system" fn request_ends(context: PVOID, status: NTSTATUS) {
    // SAFETY: a provider calls a completion once, with its context.
    unsafe { take(context)(status) }
}

unsafe extern "system" fn close_ends(context: PVOID) {
    // SAFETY: as above.
    unsafe { take(context)(()) }
}

unsafe extern "system" fn create_ends(
    context: PVOID,
    status: NTSTATUS,
    object: *mut NDK_OBJECT_HEADER,
) {
    // SAFETY: as above.
    unsafe { take(context)((status, object)) }
}

impl Routine for NDK_FN_REQUEST_COMPLETION {
    type End = NTSTATUS;
    const INSTEAD: Self = request_ends;
    unsafe fn call(self, context: PVOID, status: NTSTATUS) {
        // SAFETY: the caller's promise.
        unsafe { self(context, status) }
    }
}

impl Routine for NDK_FN_CLOSE_COMPLETION {
    type End = ();
    const INSTEAD: Self = close_ends;
    unsafe fn call(self, context: PVOID, (): ()) {
        // SAFETY: the caller's promise.
        unsafe { self(context) }
    }
}

impl Routine for NDK_FN_CREATE_COMPLETION {
    type End = (NTSTATUS, *mut NDK_OBJECT_HEADER);
    const INSTEAD: Self = create_ends;
    unsafe fn call(self, context: PVOID, (status, object): Self::End) {
        // SAFETY: the caller's promise.
        unsafe { self(context, status, object) }
    }
}

impl<F: Routine> Done<F> {
    /// Completes for the consumer; nothing where it gave no routine.
    ///
    /// # Safety
    /// The consumer's routine may be called, as often as a defect has it.
    pub(crate) unsafe fn call(self, end: F::End) {
        if let Some(routine) = self.routine {
            // SAFETY: the caller's promise.
            unsafe { routine.call(self.context, end) }
        }
    }

    /// Makes a call of which `then` gets the end, where it completes later. A null routine stays null.
    ///
    /// # Safety
    /// As for the entry that is called.
    pub(crate) unsafe fn instead(
        self,
        then: impl FnOnce(Self, F::End) + 'static,
        entry: impl FnOnce(Self) -> NTSTATUS,
    ) -> NTSTATUS {
        if self.routine.is_none() {
            return entry(self);
        }
        let then: Then<F::End> = Box::new(move |end| then(self, end));
        let context: PVOID = Box::into_raw(Box::new(then)).cast();
        let status = entry(Done { routine: Some(F::INSTEAD), context });
        if status != STATUS_PENDING {
            // SAFETY: there is no callback after an inline status.
            drop(unsafe { take::<F::End>(context) });
        }
        status
    }
}
