//! The end of a domain: after its last child, in the executor where that child's entry is what it waited for (H4).

use super::{Domain, DomainRef};
use crate::abi::{NDK_FN_CLOSE_COMPLETION, PVOID};
use crate::adapter::{Adapter, Kept};
use crate::completion::CloseCompletion;
use crate::contain::contain;
use crate::error::{Error, ErrorKind, Result};
use crate::job::{self, Dropped, Started};
use crate::platform::Platform;
use crate::provider::{AdapterProvider, Event};
use crate::region::Progress;
use crate::sync::Refs;
use alloc::boxed::Box;
use core::mem::{ManuallyDrop, MaybeUninit};
use core::ptr::NonNull;

impl<A: AdapterProvider, P: Platform> Domain<A, P> {
    /// Lets a reference go. With the last one the close is due; it starts in the executor, so that its completion
    /// does not run on the stack of a child's Close (H4).
    ///
    /// # Safety
    /// The caller holds the reference. The domain may be gone afterwards.
    pub(crate) unsafe fn release(domain: NonNull<Self>) {
        // SAFETY: the caller's reference.
        if unsafe { Refs::release(&raw const (*domain.as_ptr()).refs) } {
            let this = DomainRef(domain);
            // SAFETY: the last reference: the domain is this call's alone, and passes to the task. The borrow in
            // the future ends before `finish_close` frees the domain.
            unsafe {
                let close = async move {
                    this.get().adapter().provider().close_pd(&this.get().provider).await
                };
                let task = job::deferred("close of a domain", close, move |result| {
                    this.finish_close(result, true);
                });
                Domain::spawn(domain, task);
            }
        }
    }
}

impl<A: AdapterProvider, P: Platform> DomainRef<A, P> {
    /// Closes the domain; with regions alive it pends until the last one's close callback has returned (H4). C
    /// entry: `NdkClosePd`, whose statuses it gives.
    ///
    /// # Errors
    /// INVALID_PARAMETER for a null completion (A7), INVALID_DEVICE_STATE for a second call while the first is
    /// pending (H7).
    ///
    /// # Safety
    /// The domain is not closed. After a success, or once the completion has started, it is gone. `routine` may be
    /// called once with `context` from any thread.
    pub unsafe fn close(
        self,
        routine: Option<NDK_FN_CLOSE_COMPLETION>,
        context: PVOID,
    ) -> Result<Progress> {
        // SAFETY: the caller's promises.
        unsafe { self.begin_close(routine, context) }.inspect_err(|error| {
            // SAFETY: a refused close leaves the domain as it was.
            unsafe { self.log_refusal("close", error) };
        })
    }

    /// # Safety
    /// As for `close`.
    unsafe fn begin_close(
        self,
        routine: Option<NDK_FN_CLOSE_COMPLETION>,
        context: PVOID,
    ) -> Result<Progress> {
        // SAFETY: the caller's promises.
        let (domain, done) = unsafe { (self.get(), CloseCompletion::new(routine, context)?) };
        if !domain.refs.start_close() {
            return Err(Error::new(
                ErrorKind::InvalidDeviceState,
                "the domain is being closed already",
            )
            .rule("H7"));
        }
        domain.close.with_mut(|cell| {
            // SAFETY: only the call that started the close gets here, and the consumer's reference, which it still
            // holds, keeps readers away.
            unsafe { cell.write(MaybeUninit::new(done)) }
        });
        let adapter = domain.adapter();
        // SAFETY: the consumer's reference.
        if !unsafe { Refs::release(&raw const domain.refs) } {
            return Ok(Progress::Pending);
        }
        let make = || adapter.provider().close_pd(&domain.provider);
        let started = job::start("close of a domain", Dropped::PolledOnce, make, move |result| {
            // SAFETY: the last reference went; the domain is this task's alone.
            unsafe { self.finish_close(result, true) };
        });
        match started {
            Started::Ready(result) => {
                // SAFETY: as above, it is this call's alone.
                unsafe { self.finish_close(result, false) };
                Ok(Progress::Done)
            }
            Started::Pending(task) => {
                // SAFETY: the domain passes to the task, which lets its reference to the adapter go.
                unsafe { Domain::spawn(self.0, task) };
                Ok(Progress::Pending)
            }
        }
    }

    /// The backend's close is over: frees the domain, tells the consumer, and lets the adapter go.
    ///
    /// # Safety
    /// The domain is the caller's alone, and gone afterwards.
    unsafe fn finish_close(self, result: Result<()>, tell: bool) {
        // SAFETY: the caller's promise; the completion was written before the consumer's reference went.
        let (adapter, child, done) = unsafe {
            let domain = self.get();
            (domain.adapter, domain.child, domain.close.with_mut(|cell| cell.read().assume_init()))
        };
        // SAFETY: the domain's reference keeps the adapter until its release below.
        let shared = unsafe { adapter.as_ref() };
        // Off the list first: whoever reads the names of what is open looks into the domains there.
        shared.forget_child(child);
        // SAFETY: nobody else has the domain.
        let mut domain = unsafe { Box::from_raw(self.0.as_ptr()) };
        match result {
            // SAFETY: dropped once, here.
            Ok(()) => unsafe {
                let _ = contain("dropping a domain", shared.name(), || {
                    ManuallyDrop::drop(&mut domain.provider)
                });
                if shared.watch().is_some() {
                    let _ = shared.see(domain.id, &domain.name(), Event::Closed);
                    let kept = NonNull::from(Box::leak(domain)).cast();
                    shared.keep(Kept::new(kept, |kept| {
                        drop(Box::from_raw(kept.cast::<Domain<A, P>>().as_ptr()));
                    }));
                }
            },
            Err(error) => {
                let cause = "the backend's close did not end";
                log::error!(
                    "{}: {cause} ({error}); what the domain holds stays leaked",
                    domain.name()
                );
                core::mem::forget(domain);
            }
        }
        if tell {
            done.call::<P>(shared.key());
        }
        // SAFETY: the domain's own reference, let go last.
        unsafe { Adapter::release(adapter) };
    }
}
