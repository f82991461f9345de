//! A consumer's completion routine with its context.

use crate::abi::{
    NDK_FN_CLOSE_COMPLETION, NDK_FN_CREATE_COMPLETION, NDK_FN_REQUEST_COMPLETION, NTSTATUS, PVOID,
};
use crate::abi::{NDK_OBJECT_HEADER, STATUS_PENDING};
use crate::error::{Error, ErrorKind, Result};
use crate::platform::Platform;

/// The routine that a consumer gave for a request, and what it wants handed back.
///
/// One type serves the three kinds of completion; `F` is the C function type.
#[derive(Clone, Copy)]
pub(crate) struct Completion<F> {
    routine: F,
    context: PVOID,
}

// SAFETY: the context is a number to the framework, never dereferenced, and a C routine may be called on any thread;
// the consumer's side of the contract is to stand that (nc-ndkpi-ndk_fn_request_completion).
unsafe impl<F: Send> Send for Completion<F> {}

/// For register, deregister and initialise.
pub(crate) type RequestCompletion = Completion<NDK_FN_REQUEST_COMPLETION>;
/// For close.
pub(crate) type CloseCompletion = Completion<NDK_FN_CLOSE_COMPLETION>;
/// For creation.
pub(crate) type CreateCompletion = Completion<NDK_FN_CREATE_COMPLETION>;

impl<F> Completion<F> {
    /// Checks the arguments of a C entry.
    ///
    /// # Errors
    /// INVALID_PARAMETER for a null routine (A7).
    ///
    /// # Safety
    /// The routine may be called once, with `context`, from any thread.
    pub(crate) unsafe fn new(routine: Option<F>, context: PVOID) -> Result<Self> {
        match routine {
            // SAFETY: the caller's promise.
            Some(routine) => Ok(unsafe { Self::of(routine, context) }),
            None => Err(Error::new(ErrorKind::InvalidParameter, "the completion routine is null")
                .rule("A7")),
        }
    }

    /// # Safety
    /// As for `new`.
    #[inline]
    pub(crate) unsafe fn of(routine: F, context: PVOID) -> Self {
        Self { routine, context }
    }
}

impl RequestCompletion {
    /// The addresses of routine and context.
    pub(crate) fn numbers(self) -> (usize, usize) {
        (self.routine as usize, self.context.addr())
    }

    pub(crate) fn call<P: Platform>(self, adapter: usize, status: NTSTATUS) {
        debug_assert_ne!(status, STATUS_PENDING);
        let _inside = Inside::<P>::enter(adapter);
        // SAFETY: `new` was promised that the routine may be called once; the framework's bookkeeping does so.
        unsafe { (self.routine)(self.context, status) };
    }
}

impl CloseCompletion {
    pub(crate) fn call<P: Platform>(self, adapter: usize) {
        let _inside = Inside::<P>::enter(adapter);
        // SAFETY: as above.
        unsafe { (self.routine)(self.context) };
    }
}

impl CreateCompletion {
    pub(crate) fn call<P: Platform>(
        self,
        adapter: usize,
        status: NTSTATUS,
        object: *mut NDK_OBJECT_HEADER,
    ) {
        let _inside = Inside::<P>::enter(adapter);
        // SAFETY: as above.
        unsafe { (self.routine)(self.context, status, object) };
    }
}

/// This thread is inside a callback of an adapter's consumer (H5).
struct Inside<P: Platform>(usize, core::marker::PhantomData<fn() -> P>);

impl<P: Platform> Inside<P> {
    fn enter(adapter: usize) -> Self {
        P::enter_callback(adapter);
        Self(adapter, core::marker::PhantomData)
    }
}

impl<P: Platform> Drop for Inside<P> {
    fn drop(&mut self) {
        P::leave_callback(self.0);
    }
}
