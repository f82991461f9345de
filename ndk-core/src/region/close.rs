//! The end of a region: who runs the backend's close, and when the consumer hears of it.

use super::request::{Device, First, Kind, Request};
use super::slot::Outcome;
use super::snapshot::wrong_state;
use super::word::Word;
use super::{Progress, RegionRef};
use crate::abi::{NDK_FN_CLOSE_COMPLETION, PVOID};
use crate::completion::CloseCompletion;
use crate::contain::contain;
use crate::domain::Domain;
use crate::error::Result;
use crate::executor::{Task, TaskVtable};
use crate::platform::Platform;
use crate::provider::{AdapterProvider, Event, MrProvider};
use crate::sync::{Ordering, yield_now};
use core::mem::{ManuallyDrop, MaybeUninit};
use core::ptr::{NonNull, addr_of_mut};
use core::task::{Context, Poll, Waker};

impl<A: AdapterProvider, P: Platform> RegionRef<A, P> {
    /// Closes the region; what is pending is asked to end first. C entry: `NdkCloseMr`, whose statuses it gives.
    ///
    /// # Errors
    /// INVALID_PARAMETER for a null completion (A7), INVALID_DEVICE_STATE for a second call while the first is
    /// pending (H7); never anything else (H1).
    ///
    /// # Safety
    /// The region is not closed. After a success, or once the completion has started, it is gone. `routine` may be
    /// called once with `context` from any thread.
    pub unsafe fn close(
        self,
        routine: Option<NDK_FN_CLOSE_COMPLETION>,
        context: PVOID,
    ) -> Result<Progress> {
        // SAFETY: the caller's promises.
        unsafe {
            match self.start_close(routine, context) {
                Ok(()) if self.get().word.is_in_entry() => Ok(self.close_behind_entry()),
                Ok(()) => Ok(self.continue_close()),
                Err(error) => {
                    self.log_refusal("close", &error);
                    Err(error)
                }
            }
        }
    }

    /// # Safety
    /// As for `close`.
    unsafe fn start_close(
        self,
        routine: Option<NDK_FN_CLOSE_COMPLETION>,
        context: PVOID,
    ) -> Result<()> {
        // SAFETY: the caller's promises.
        let (region, done) = unsafe { (self.get(), CloseCompletion::new(routine, context)?) };
        if !region.word.start_close() {
            return Err(wrong_state("H7", "the region is being closed already"));
        }
        region.close.with_mut(|cell| {
            // SAFETY: only the call that set the closing flag gets here, and the consumer's reference, which it
            // still holds, keeps readers away.
            unsafe { cell.write(MaybeUninit::new(done)) }
        });
        Ok(())
    }

    /// # Safety
    /// The caller has started the close and holds the consumer's reference, which this call lets go.
    unsafe fn continue_close(self) -> Progress {
        // SAFETY: the caller's promise.
        if !unsafe { self.let_consumer_go() } {
            return Progress::Pending;
        }
        // SAFETY: the last reference: slot and region are this call's alone.
        match unsafe { self.attempt("close", Device::NotNeeded, MrProvider::close) } {
            First::Done => {
                // SAFETY: as above.
                unsafe { self.finish_close(Ok(()), false) };
                Progress::Done
            }
            First::Failed(error) => {
                // SAFETY: as above.
                unsafe { self.finish_close(Err(error), false) };
                Progress::Done
            }
            First::Pending(operation) => {
                // SAFETY: as above; slot and region pass to the task.
                unsafe {
                    self.keeping_domain(|_| self.pend(Request { kind: Kind::Close, operation }));
                }
                Progress::Pending
            }
        }
    }

    /// Has what is pending cancelled, and lets the consumer's reference go; true where it was the last.
    ///
    /// # Safety
    /// As for `continue_close`.
    unsafe fn let_consumer_go(self) -> bool {
        // SAFETY: the caller's reference keeps the region until the release.
        let region = unsafe { self.get() };
        if region.word.load().refs() > 1 {
            // SAFETY: as above.
            let adapter = unsafe { self.adapter() };
            let cancelled =
                contain("cancel", self.name(), || adapter.provider().cancel(&region.provider));
            if cancelled.is_err() {
                region.word.poison();
            }
        }
        // SAFETY: the consumer's reference.
        unsafe { Word::release(self.word()) }
    }

    /// An entry of another thread is at work on the region, which a consumer may not know: the close goes on in the executor
    /// once that is through. It leaves no word that it is, so that it need not ask whether somebody waits for it.
    ///
    /// # Safety
    /// As for `continue_close`.
    #[cold]
    unsafe fn close_behind_entry(self) -> Progress {
        // SAFETY: the consumer's reference, which keeps the region, passes to the task.
        unsafe {
            let task = Task::new(self.0.cast(), &Self::BEHIND_ENTRY);
            self.keeping_domain(|domain| Domain::spawn(domain, task));
        }
        Progress::Pending
    }

    const BEHIND_ENTRY: TaskVtable =
        TaskVtable { poll: Self::poll_behind_entry, abandon: Self::abandon_behind_entry };

    /// # Safety
    /// As [`Task::new`] was promised.
    unsafe fn poll_behind_entry(region: NonNull<()>, cx: &mut Context<'_>) -> Poll<()> {
        let this = Self(region.cast());
        // SAFETY: the task has the consumer's reference.
        unsafe {
            if this.get().word.is_in_entry() {
                yield_now();
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if this.let_consumer_go() {
                this.close_from_entry();
            }
        }
        Poll::Ready(())
    }

    /// What is in its entry does not wait for anything, and is waited for.
    ///
    /// # Safety
    /// As [`Task::new`] was promised.
    unsafe fn abandon_behind_entry(region: NonNull<()>) {
        let mut cx = Context::from_waker(Waker::noop());
        // SAFETY: the caller's promise.
        while unsafe { Self::poll_behind_entry(region, &mut cx) }.is_pending() {}
    }

    /// Puts the backend's close into the slot, unpolled; false where that failed, and the close is over.
    ///
    /// # Safety
    /// The caller let the last reference go.
    pub(super) unsafe fn prepare_close(self) -> bool {
        // SAFETY: the region is the caller's alone.
        match unsafe { self.prepare(Kind::Close, MrProvider::close) } {
            Ok(()) => true,
            Err(error) => {
                // SAFETY: as above.
                unsafe { self.finish_close(Err(error), true) };
                false
            }
        }
    }

    /// The close that became due when another entry let the last reference go: it runs in the executor.
    ///
    /// # Safety
    /// The caller let the last reference go.
    #[cold]
    pub(super) unsafe fn close_from_entry(self) {
        // SAFETY: the region is the caller's alone, and passes to the task.
        unsafe {
            self.keeping_domain(|_| {
                if self.prepare_close() {
                    self.pend(self.request());
                }
            });
        }
    }

    /// Lets a reference go, inside of an entry; true where it was the last, so that the close was due and runs in the executor.
    ///
    /// # Safety
    /// The caller holds the reference. The region may be gone afterwards.
    pub(super) unsafe fn release(self) -> bool {
        // SAFETY: the caller's reference.
        unsafe {
            let is_last = Word::release(self.word());
            if is_last {
                self.close_from_entry();
            }
            is_last
        }
    }

    /// Gives the region to the executor, inside of an entry. The domain's close must not come to run on the entry's stack (H4),
    /// so it is kept until the entry's work is over, whatever the executor does.
    ///
    /// # Safety
    /// The region is alive until `give` is called.
    unsafe fn keeping_domain(self, give: impl FnOnce(NonNull<Domain<A, P>>)) {
        // SAFETY: the region's reference keeps the domain, then the one taken here.
        unsafe {
            let domain = self.get().domain;
            domain.as_ref().add_ref();
            give(domain);
            Domain::release(domain);
        }
    }

    /// The backend's close is over: frees the region, tells the consumer if Close returned PENDING, and lets the
    /// domain go. Where the backend failed or panicked or its close was given up, what it holds stays leaked (B8, B9): a
    /// device may still use it.
    ///
    /// # Safety
    /// The region is the caller's alone and the slot empty. The region is gone afterwards.
    pub(super) unsafe fn finish_close(self, outcome: Outcome, tell: bool) {
        // SAFETY: the caller's promise; the completion was written before the consumer's reference went.
        let (domain, child, adapter, done) = unsafe {
            let region = self.get();
            let done = region.close.with_mut(|cell| cell.read().assume_init());
            (region.domain, region.child, self.adapter().key(), done)
        };
        // Off the list first: who looks there finds only regions that are not freed.
        // SAFETY: the region's reference keeps the domain.
        unsafe {
            let listed = self.get().listed.load(Ordering::Acquire) as u32;
            if listed != 0 {
                domain.as_ref().unlist_token(listed, child as u32);
            }
            domain.as_ref().forget_child(child);
        }
        match outcome {
            // SAFETY: nobody else has the region.
            Ok(()) => unsafe { self.free() },
            Err(error) => {
                log::error!(
                    "{}: the backend's close did not end ({error}); what the region holds stays leaked",
                    self.name()
                );
                #[cfg(feature = "std")]
                crate::leaked::note(self.as_ndk().addr());
                // SAFETY: nobody else has the region, and its domain is alive.
                let _ = unsafe { self.see(Event::Leaked) };
            }
        }
        // SAFETY: the region's reference to the domain is let go last.
        unsafe {
            if tell {
                done.call::<P>(adapter);
            }
            Domain::release(domain);
        }
    }

    /// # Safety
    /// The region is the caller's alone and the slot empty.
    unsafe fn free(self) {
        let region = self.0.as_ptr();
        // SAFETY: the caller's promise; each part is dropped once. No reference to the region is left.
        unsafe {
            let provider = addr_of_mut!((*region).provider);
            let _ =
                contain("dropping a region", self.name(), || ManuallyDrop::drop(&mut *provider));
            if (*region).word.load().is_watched() {
                let _ = self.see(Event::Closed);
                return self.keep();
            }
            self.free_memory();
        }
    }

    /// # Safety
    /// The region is the caller's alone, and the backend's part of it dropped.
    pub(super) unsafe fn free_memory(self) {
        let region = self.0.as_ptr();
        // SAFETY: the caller's promise; no reference to the region is left.
        unsafe {
            region.drop_in_place();
            alloc::alloc::dealloc(region.cast(), Self::LAYOUT.0);
        }
    }
}
