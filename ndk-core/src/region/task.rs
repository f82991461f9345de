//! A request's way in the executor, from its second poll to its callback.

use super::RegionRef;
use super::initialise::QueuedInit;
use super::request::{Kind, Request};
use super::slot::{Operation, Outcome};
use super::snapshot::Op;
use super::word::Word;
use crate::abi::STATUS_SUCCESS;
use crate::contain::{Panicked, contain};
use crate::error::{Error, ErrorKind};
use crate::executor::TaskVtable;
use crate::platform::Platform;
use crate::provider::AdapterProvider;
use core::ptr::NonNull;
use core::task::{Context, Poll, Waker};

/// What a task does after a request is over.
enum Next {
    /// The region is somebody else's, or gone.
    Nothing,
    /// Something new is in the slot.
    Poll,
}

fn given_up() -> Error {
    Error::new(ErrorKind::Cancelled, "the executor dropped the request").rule("B9")
}

impl<A: AdapterProvider, P: Platform> RegionRef<A, P> {
    pub(super) const TASK: TaskVtable =
        TaskVtable { poll: Self::poll_task, abandon: Self::abandon_task };

    /// # Safety
    /// As [`Task::new`] was promised.
    unsafe fn poll_task(region: NonNull<()>, cx: &mut Context<'_>) -> Poll<()> {
        let this = Self(region.cast());
        loop {
            // SAFETY: the task owns request and slot, and the reference that keeps the region.
            let request = unsafe { this.request() };
            let operation = request.operation;
            // SAFETY: the slot holds the operation's unfinished future.
            let polled = contain("a pending request", this.name(), || unsafe {
                (operation.poll)(this.slot(), cx)
            });
            let Ok(Poll::Pending) = polled else {
                let outcome = match polled {
                    Ok(Poll::Ready(outcome)) => Some(outcome),
                    _ => None,
                };
                // SAFETY: the future is finished, or has panicked.
                match unsafe { this.conclude(request, outcome) } {
                    Next::Nothing => return Poll::Ready(()),
                    Next::Poll => continue,
                }
            };
            return Poll::Pending;
        }
    }

    /// # Safety
    /// As [`Task::new`] was promised.
    unsafe fn abandon_task(region: NonNull<()>) {
        let this = Self(region.cast());
        // SAFETY: the task owns request and slot.
        let mut request = unsafe { this.request() };
        // What is next is given up too: an executor that drops one task would drop the next, within this call, and so
        // on for the whole queue.
        loop {
            let outcome = match request.kind {
                // SAFETY: as above.
                Kind::Close => unsafe { this.last_poll(request.operation) },
                _ => Some(Err(given_up())),
            };
            // SAFETY: the unfinished future is given up, or was finished just now.
            match unsafe { this.conclude(request, outcome) } {
                Next::Nothing => return,
                // SAFETY: slot and request were filled by `conclude`, and are this call's.
                Next::Poll => request = unsafe { this.request() },
            }
        }
    }

    /// A close that the executor drops gets one more poll on this thread: one that need not wait still happens, and
    /// leaves nothing behind.
    ///
    /// # Safety
    /// The caller owns the slot, which holds the close's unfinished future.
    unsafe fn last_poll(self, operation: Operation) -> Option<Outcome> {
        let mut cx = Context::from_waker(Waker::noop());
        // SAFETY: the caller's promise.
        let poll = || unsafe { (operation.poll)(self.slot(), &mut cx) };
        match contain("a close", self.name(), poll) {
            Ok(Poll::Ready(outcome)) => Some(outcome),
            Ok(Poll::Pending) => Some(Err(given_up())),
            Err(Panicked) => None,
        }
    }

    /// Ends what is in the slot; `None` stands for a panic.
    ///
    /// # Safety
    /// The caller owns slot and request. The region may be gone afterwards, unless there is something to poll.
    unsafe fn conclude(self, request: Request, outcome: Option<Outcome>) -> Next {
        // SAFETY: the caller owns the slot.
        let dropped = unsafe { self.empty_slot(request.operation) };
        let outcome = match (outcome, dropped) {
            (Some(outcome), true) => outcome,
            // SAFETY: the caller's reference.
            _ => Err(unsafe { self.poison() }),
        };
        let mut kind = request.kind;
        let mut outcome = outcome;
        loop {
            let done = match kind {
                Kind::Close => {
                    // SAFETY: a close in the slot means that nobody else has a reference.
                    unsafe { self.finish_close(outcome, true) };
                    return Next::Nothing;
                }
                Kind::Register(done) | Kind::Deregister(done) | Kind::Initialise(done, _) => done,
            };
            // SAFETY: the caller's reference keeps the region until its release below.
            let queued = unsafe { self.settle(kind, &outcome) };
            // SAFETY: as above.
            let adapter = unsafe { self.adapter() };
            let status = outcome.as_ref().map_or_else(Error::status, |()| STATUS_SUCCESS);
            done.call::<P>(adapter.key(), status);
            // SAFETY: the caller's reference.
            if unsafe { Word::release(self.word()) } {
                // SAFETY: the last reference: the close is due, and this call's.
                return if unsafe { self.prepare_close() } { Next::Poll } else { Next::Nothing };
            }
            let Some(next) = queued else { return Next::Nothing };
            // SAFETY: the operation goes on with the queued request, whose reference keeps the region.
            match unsafe { self.prepare_queued(next) } {
                Ok(()) => return Next::Poll,
                Err(error) => {
                    (kind, outcome) = (Kind::Initialise(next.done, next.what), Err(error))
                }
            }
        }
    }

    /// Makes the outcome the region's state, before the callback (B4). Gives the next of the queue, if the
    /// operation goes on with it.
    ///
    /// # Safety
    /// The caller owns the operation.
    pub(super) unsafe fn settle(self, kind: Kind, outcome: &Outcome) -> Option<QueuedInit> {
        // SAFETY: the caller's reference.
        let region = unsafe { self.get() };
        let op = match kind {
            Kind::Register(_) => Op::Register,
            Kind::Deregister(_) => Op::Deregister,
            Kind::Initialise(_, what) => {
                // SAFETY: the caller owns the operation.
                return unsafe { self.settle_initialise(what, outcome) };
            }
            Kind::Close => return None,
        };
        if let Err(error) = outcome {
            // SAFETY: the caller's reference.
            unsafe { self.log_failure(op, error) };
        }
        region.word.settle(Self::phase_after(op, outcome.is_ok()));
        None
    }
}
