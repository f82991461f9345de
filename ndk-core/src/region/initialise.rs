//! Initialisations of a region for fast registration: one is at the backend at a time, the others wait in a queue (G3).

use super::fast::Registration;
use super::request::{Device, First, Kind, Request};
use super::slot::Outcome;
use super::snapshot::{FastState, Op, Phase, poisoned};
use super::word::Claim;
use super::{Progress, RegionRef};
use crate::abi::{NDK_FN_REQUEST_COMPLETION, PVOID, ULONG};
use crate::completion::RequestCompletion;
use crate::error::{Error, ErrorKind, Result};
use crate::platform::Platform;
use crate::provider::{AdapterProvider, MrProvider};
use crate::sync::Ordering;

/// What an initialisation allows, packed into one word to be committed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Initialised {
    pub(crate) pages: u32,
    pub(crate) remote: bool,
}

impl Initialised {
    fn pack(self) -> u64 {
        u64::from(self.pages) | u64::from(self.remote) << 32
    }

    pub(super) fn unpack(word: u64) -> Self {
        Self { pages: word as u32, remote: word >> 32 != 0 }
    }
}

/// An initialisation that waits for the one in progress.
#[derive(Clone, Copy)]
pub(super) struct QueuedInit {
    pub(super) done: RequestCompletion,
    pub(super) what: Initialised,
}

impl<A: AdapterProvider, P: Platform> RegionRef<A, P> {
    /// # Safety
    /// As for [`RegionRef::initialize_fast_register`].
    pub(super) unsafe fn initialise(
        self,
        pages: ULONG,
        remote: bool,
        routine: Option<NDK_FN_REQUEST_COMPLETION>,
        context: PVOID,
    ) -> Result<Progress> {
        let what = Initialised { pages, remote };
        // SAFETY: the caller's promises. What is refused here was not claimed, so the region is as alive as before; a
        // failure further down may be the last that is heard of it.
        let claimed = unsafe {
            self.claim_initialisation(what, routine, context)
                .inspect_err(|error| self.log_refusal(Op::Initialise.name(), error))?
        };
        let Some(done) = claimed else { return Ok(Progress::Pending) };
        // SAFETY: the region is alive; the claim is held, and let go where the watch refuses the request.
        unsafe {
            if let Err(error) = self.tell_start(Op::Initialise.name(), done) {
                let outcome = Err(error);
                self.finish_initialise_inline(what, &outcome);
                return outcome.map(|()| Progress::Done);
            }
        }
        // SAFETY: the claim makes slot and operation this call's.
        match unsafe {
            self.attempt("a request", Device::Needed, |region| {
                region.initialize_fast_register(pages, remote)
            })
        } {
            First::Done => {
                // SAFETY: the claim is held.
                unsafe { self.finish_initialise_inline(what, &Ok(())) };
                Ok(Progress::Done)
            }
            First::Failed(error) => {
                let outcome = Err(error);
                // SAFETY: the claim is held.
                unsafe { self.finish_initialise_inline(what, &outcome) };
                outcome.map(|()| Progress::Done)
            }
            First::Pending(operation) => {
                // SAFETY: slot and request pass to the task.
                unsafe {
                    self.tell_pending(Op::Initialise.name(), done);
                    self.pend(Request { kind: Kind::Initialise(done, what), operation });
                }
                Ok(Progress::Pending)
            }
        }
    }

    /// Checks and claims an initialisation; `None` where it waits behind the one in progress.
    ///
    /// # Safety
    /// As for [`RegionRef::initialize_fast_register`].
    unsafe fn claim_initialisation(
        self,
        what: Initialised,
        routine: Option<NDK_FN_REQUEST_COMPLETION>,
        context: PVOID,
    ) -> Result<Option<RequestCompletion>> {
        // SAFETY: the caller's promises.
        let (region, done) = unsafe { (self.get(), RequestCompletion::new(routine, context)?) };
        region.word.load().admit(Op::Initialise)?;
        // SAFETY: the region is alive.
        unsafe { self.check_initialisation(what.pages)? };
        // Before the claim, or the place in the queue, that it is for.
        region.word.retain_open()?;
        let claimed = loop {
            let claim = {
                let registration = region.registration.lock();
                registration.check_posted("G3").and_then(|()| region.word.claim(Op::Initialise))
            };
            match claim {
                Ok(Claim::Mine) => break Ok(Some(done)),
                Ok(Claim::Queue) => {
                    let mut queue = region.queue.lock();
                    match region.word.join_queue() {
                        Ok(true) => {
                            queue.push_back(QueuedInit { done, what });
                            break Ok(None);
                        }
                        Ok(false) => {}
                        Err(error) => break Err(error),
                    }
                }
                Err(error) => break Err(error),
            }
        };
        if claimed.is_err() {
            // SAFETY: the reference taken before.
            unsafe { self.release() };
        }
        claimed
    }

    /// # Safety
    /// The region is alive.
    unsafe fn check_initialisation(self, pages: ULONG) -> Result<()> {
        // SAFETY: the caller's promise.
        let limit = unsafe { self.adapter() }.info().FRMRPageCount;
        if pages == 0 {
            return Err(Error::new(ErrorKind::InvalidParameter, "the page count is 0").rule("G2"));
        }
        if pages > limit {
            let cause = "the page count is above the adapter's FRMRPageCount";
            return Err(Error::new(ErrorKind::ImplementationLimit, cause).rule("G2"));
        }
        Ok(())
    }

    /// # Safety
    /// The caller owns the operation; the slot is empty.
    unsafe fn finish_initialise_inline(self, what: Initialised, outcome: &Outcome) {
        // SAFETY: the claim keeps the region.
        unsafe {
            let queued = self.settle_initialise(what, outcome);
            if !self.release()
                && let Some(next) = queued
            {
                self.hand_on(next);
            }
        }
    }

    /// Lets the executor run the queued initialisation, from an entry that does not wait for it.
    ///
    /// # Safety
    /// The caller owns the operation; the slot is empty.
    unsafe fn hand_on(self, mut next: QueuedInit) {
        loop {
            // SAFETY: the queued request's reference keeps the region.
            unsafe {
                let Err(error) = self.prepare_queued(next) else {
                    return self.pend(self.request());
                };
                let queued =
                    self.settle(Kind::Initialise(next.done, next.what), &Err(error.clone()));
                next.done.call::<P>(self.adapter().key(), error.status());
                if self.release() {
                    return;
                }
                let Some(more) = queued else { return };
                next = more;
            }
        }
    }

    /// Puts a queued initialisation into the slot, unpolled.
    ///
    /// # Errors
    /// CANCELLED where the region is being closed, INTERNAL_ERROR where it is poisoned or the backend panics.
    ///
    /// # Safety
    /// The caller owns the operation; the slot is empty.
    pub(super) unsafe fn prepare_queued(self, next: QueuedInit) -> Outcome {
        // SAFETY: the queued request's reference keeps the region.
        let state = unsafe { self.get() }.word.load();
        if state.is_closing() {
            return Err(Error::new(ErrorKind::Cancelled, "the region is being closed").rule("H2"));
        }
        if state.is_poisoned() {
            return Err(poisoned());
        }
        // SAFETY: as above.
        unsafe { self.adapter() }.check_device()?;
        let Initialised { pages, remote } = next.what;
        let kind = Kind::Initialise(next.done, next.what);
        // SAFETY: slot and request cell are the caller's.
        unsafe { self.prepare(kind, |region| region.initialize_fast_register(pages, remote)) }
    }

    /// # Safety
    /// The caller owns the operation, which is an initialisation.
    pub(super) unsafe fn settle_initialise(
        self,
        what: Initialised,
        outcome: &Outcome,
    ) -> Option<QueuedInit> {
        // SAFETY: the caller's reference.
        let (region, adapter) = unsafe { (self.get(), self.adapter()) };
        let from = region.word.load().phase();
        let to = if outcome.is_ok() { Phase::Initialised } else { from };
        match outcome {
            Ok(()) => {
                // What is still under way for the round before means nothing any more.
                let mut registration = region.registration.lock();
                // The allowance first: who reads the new round has it too.
                region.initialised.store(what.pack(), Ordering::Release);
                region.round.store(adapter.next_id(), Ordering::Release);
                region.word.change_fast_state(|_| FastState::Free);
                *registration = Registration::default();
            }
            // SAFETY: the caller's reference.
            Err(error) => unsafe { self.log_failure(Op::Initialise, error) },
        }
        if region.word.settle_unless_queued(from, to) {
            return None;
        }
        region.word.step(from, to);
        let mut queue = region.queue.lock();
        let next = queue.pop_front();
        if queue.is_empty() {
            region.word.queue_drained();
        }
        next
    }
}
