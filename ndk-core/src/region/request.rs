//! A request's way in its entry: the claim, the first poll, and the return. What pends goes on in `task`.

use super::initialise::Initialised;
use super::slot::{Operation, Outcome};
use super::snapshot::{Op, Phase, poisoned};
use super::word::Word;
use super::{Progress, RegionRef};
use crate::abi::{NDK_FN_REQUEST_COMPLETION, PVOID};
use crate::completion::RequestCompletion;
use crate::contain::{Panicked, contain};
use crate::domain::Domain;
use crate::error::{Error, ErrorKind, Result};
use crate::executor::Task;
use crate::platform::Platform;
use crate::provider::{AdapterProvider, Event};
use core::future::Future;
use core::mem::MaybeUninit;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

/// What is in the slot, and who waits for it.
#[derive(Clone, Copy)]
pub(super) struct Request {
    pub(super) kind: Kind,
    pub(super) operation: Operation,
}

#[derive(Clone, Copy)]
pub(super) enum Kind {
    Register(RequestCompletion),
    Deregister(RequestCompletion),
    Initialise(RequestCompletion, Initialised),
    Close,
}

impl Kind {
    fn new(op: Op, done: RequestCompletion) -> Self {
        match op {
            Op::Register => Kind::Register(done),
            _ => Kind::Deregister(done),
        }
    }
}

/// What the first poll came to. A failure has a way of its own through the code, so that a success moves no error about.
pub(super) enum First {
    Done,
    Failed(Error),
    Pending(Operation),
}

/// What a try or a poll came to, in the least; an error is kept beside it.
enum Polled {
    Done,
    Failed,
    Pending,
}

/// Whether an operation makes sense on a device that is gone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Device {
    Needed,
    NotNeeded,
}

#[cold]
#[inline(never)]
fn lost() -> Error {
    Error::new(ErrorKind::DeviceRemoved, "the device is gone").rule("H8")
}

impl<A: AdapterProvider, P: Platform> RegionRef<A, P> {
    /// Checks the completion and the state, and claims the operation, in one step where `WATCHED` is right.
    ///
    /// # Safety
    /// The region is not closed; `routine` may be called once with `context`.
    #[inline]
    pub(super) unsafe fn accept<const WATCHED: bool>(
        self,
        op: Op,
        routine: Option<NDK_FN_REQUEST_COMPLETION>,
        context: PVOID,
    ) -> Result<RequestCompletion> {
        // SAFETY: the caller's promises.
        unsafe {
            match routine {
                Some(routine) if self.get().word.claim_at_once::<WATCHED>(op) => {
                    let done = RequestCompletion::of(routine, context);
                    // Of a null context nothing is told.
                    if WATCHED && !context.is_null() { self.start_told(op, done) } else { Ok(done) }
                }
                _ => self.accept_slowly(op, routine, context),
            }
        }
    }

    /// For what is refused, a claim that met another thread's, and where somebody watches of whom the caller knew nothing.
    ///
    /// # Safety
    /// As for `accept`.
    #[cold]
    #[inline(never)]
    unsafe fn accept_slowly(
        self,
        op: Op,
        routine: Option<NDK_FN_REQUEST_COMPLETION>,
        context: PVOID,
    ) -> Result<RequestCompletion> {
        // SAFETY: the caller's promises.
        let region = unsafe { self.get() };
        let done = match routine {
            // SAFETY: as above.
            Some(routine) if region.word.claim_at_once::<true>(op) => unsafe {
                RequestCompletion::of(routine, context)
            },
            _ => {
                // SAFETY: as above.
                let done = unsafe { RequestCompletion::new(routine, context) };
                let accepted = done.and_then(|done| region.word.claim(op).map(|_| done));
                // SAFETY: the region is alive.
                accepted.inspect_err(|error| unsafe { self.log_refusal(op.name(), error) })?
            }
        };
        // SAFETY: as above; the claim is held.
        unsafe { self.start_told(op, done) }
    }

    /// Tells the watch, if there is one, of a request that was claimed, and lets the claim go where it refuses the request.
    ///
    /// # Safety
    /// The caller has claimed `op`.
    #[inline(never)]
    unsafe fn start_told(self, op: Op, done: RequestCompletion) -> Result<RequestCompletion> {
        // SAFETY: the claim keeps the region alive.
        unsafe {
            match self.tell_start(op.name(), done) {
                Ok(()) => Ok(done),
                Err(error) => self.fail_inline(op, error).map(|_| done),
            }
        }
    }

    /// # Safety
    /// The region is alive.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn log_refusal(self, what: &str, error: &Error) {
        // SAFETY: the caller's promise.
        let region = unsafe { self.get() };
        let state = region.word.load();
        log::warn!("{}: {what} refused while {state}: {error}", self.name());
        // SAFETY: as above.
        let _ = unsafe { self.see(Event::Refused { call: what, error }) };
        if error.kind() == ErrorKind::DeviceBusy {
            // SAFETY: the region keeps its domain alive.
            let windows = unsafe { region.domain.as_ref() }.windows_of(self);
            log::warn!("{}: bound to it: {} [D2]", self.name(), windows.join(", "));
        }
    }

    /// Runs the operation that was claimed: at once where the backend can, else as a future. Gives what `tell` makes of the
    /// outcome.
    ///
    /// # Safety
    /// The caller has claimed `op`; what `make` captures is valid until the request is over.
    #[inline(always)]
    pub(super) unsafe fn start<F, R>(
        self,
        op: Op,
        done: RequestCompletion,
        at_once: impl FnOnce(&A::Mr) -> Option<Outcome>,
        make: impl FnOnce(&'static A::Mr) -> F,
        tell: impl Fn(Result<Progress>) -> R,
    ) -> R
    where
        F: Future<Output = Outcome>,
    {
        let mut failure = None;
        let tried = contain("a request", self.name(), || {
            // SAFETY: the claim keeps the region alive.
            let (adapter, region) = unsafe { (self.adapter(), self.provider()) };
            let outcome =
                if adapter.provider().is_lost() { Some(Err(lost())) } else { at_once(region) };
            match outcome {
                Some(Ok(())) => Polled::Done,
                Some(Err(error)) => {
                    failure = Some(error);
                    Polled::Failed
                }
                None => Polled::Pending,
            }
        });
        // SAFETY: the claim is still held, and the slot empty.
        unsafe {
            match tried {
                Ok(Polled::Done) => {
                    Word::leave(self.word(), Self::phase_after(op, true));
                    tell(Ok(Progress::Done))
                }
                Ok(Polled::Pending) => {
                    // A closure of its own, so that what `make` has is put into memory here only.
                    let make = move |region| make(region);
                    tell(self.start_future(op, done, make))
                }
                _ => tell(self.fail_inline(op, failure.unwrap_or_else(|| self.poison()))),
            }
        }
    }

    /// Writes the operation's future into the slot, and polls it there once.
    ///
    /// # Safety
    /// As for `start`.
    #[inline(never)]
    unsafe fn start_future<F>(
        self,
        op: Op,
        done: RequestCompletion,
        make: impl FnOnce(&'static A::Mr) -> F,
    ) -> Result<Progress>
    where
        F: Future<Output = Outcome>,
    {
        // SAFETY: the claim keeps the region alive.
        unsafe { self.get() }.word.hold();
        // SAFETY: the claim makes the slot this call's alone.
        match unsafe { self.attempt("a request", Device::Needed, make) } {
            First::Done => {
                // SAFETY: the claim is still held, and the slot empty.
                unsafe { self.let_go(op, true) };
                Ok(Progress::Done)
            }
            // SAFETY: as above.
            First::Failed(error) => unsafe { self.fail_inline(op, error) },
            First::Pending(operation) => {
                // SAFETY: the claim covers the request cell; it passes to the task.
                unsafe {
                    self.tell_pending(op.name(), done);
                    self.pend(Request { kind: Kind::new(op, done), operation });
                }
                Ok(Progress::Pending)
            }
        }
    }

    /// # Safety
    /// The slot is the caller's, and empty; what `make` captures is valid until the future is dropped.
    #[inline]
    pub(super) unsafe fn attempt<F>(
        self,
        what: &'static str,
        device: Device,
        make: impl FnOnce(&'static A::Mr) -> F,
    ) -> First
    where
        F: Future<Output = Outcome>,
    {
        let slot = self.slot().cast::<F>();
        let mut occupied = false;
        let mut failure = None;
        let polled = contain(what, self.name(), || {
            // SAFETY: the region is alive.
            if device == Device::Needed && unsafe { self.adapter() }.provider().is_lost() {
                failure = Some(lost());
                return Polled::Failed;
            }
            // SAFETY: the slot has room for every future of this backend, and is empty. The borrow of the backend's
            // region lives in the region's own slot, which is emptied before the region is dropped; it is what the
            // lifetime is erased for.
            let future = unsafe {
                slot.write(make(self.provider()));
                occupied = true;
                Pin::new_unchecked(&mut *slot)
            };
            let Poll::Ready(output) = future.poll(&mut Context::from_waker(Waker::noop())) else {
                return Polled::Pending;
            };
            occupied = false;
            // SAFETY: the future is finished and dropped once.
            unsafe { slot.drop_in_place() };
            match output {
                Ok(()) => Polled::Done,
                Err(error) => {
                    failure = Some(error);
                    Polled::Failed
                }
            }
        });
        match (polled, failure) {
            (Ok(Polled::Done), _) => First::Done,
            (Ok(Polled::Pending), _) => First::Pending(Operation::of::<F>()),
            (Ok(Polled::Failed), Some(error)) => First::Failed(error),
            // SAFETY: as above; what is in the slot has panicked and is dropped.
            _ => First::Failed(unsafe {
                if occupied {
                    self.empty_slot(Operation::of::<F>());
                }
                self.poison()
            }),
        }
    }

    /// Drops what is in the slot; false where that panicked.
    ///
    /// # Safety
    /// The slot holds what `operation` works on, and is the caller's.
    pub(super) unsafe fn empty_slot(self, operation: Operation) -> bool {
        // SAFETY: the caller's promise.
        contain("dropping a request", self.name(), || unsafe { (operation.drop)(self.slot()) })
            .is_ok()
    }

    /// # Safety
    /// The region is alive.
    pub(crate) unsafe fn poison(self) -> Error {
        // SAFETY: the caller's promise.
        unsafe { self.get() }.word.poison();
        poisoned()
    }

    /// Ends an operation whose caller still waits in the entry.
    ///
    /// # Safety
    /// The caller has claimed `op`, and the slot is empty.
    unsafe fn let_go(self, op: Op, succeeded: bool) {
        let phase = Self::phase_after(op, succeeded);
        // SAFETY: the claim keeps the region alive; where it is not in its entry it has a reference.
        unsafe {
            let word = &self.get().word;
            if word.is_in_entry() {
                return Word::leave(self.word(), phase);
            }
            word.settle(phase);
            self.release();
        }
    }

    /// As `let_go`, for an operation that failed: the failure is the entry's return.
    ///
    /// # Safety
    /// As for `let_go`.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn fail_inline(self, op: Op, error: Error) -> Result<Progress> {
        // SAFETY: the claim keeps the region alive.
        unsafe {
            self.log_failure(op, &error);
            self.let_go(op, false);
        }
        Err(error)
    }

    /// As `fail_inline`, for arguments of a registration that the framework refuses.
    ///
    /// # Safety
    /// As for `let_go`.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn fail_arguments(self, error: Error) -> Result<Progress> {
        // SAFETY: the claim keeps the region alive.
        unsafe {
            self.refuse_arguments(&error);
            self.fail_inline(Op::Register, error)
        }
    }

    /// The phase after an operation of the conventional kind.
    #[inline]
    pub(super) fn phase_after(op: Op, succeeded: bool) -> Phase {
        match (op, succeeded) {
            (Op::Register, true) | (Op::Deregister, false) => Phase::Registered,
            _ => Phase::Created,
        }
    }

    /// # Safety
    /// The region is alive.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn log_failure(self, op: Op, error: &Error) {
        log::warn!("{}: {op:?} failed: {error}", self.name());
        // SAFETY: the caller's promise.
        unsafe {
            if self.get().word.load().is_watched() {
                let _ = self.see(Event::Failed);
            }
        }
    }

    /// Hands what is in the slot to the executor.
    ///
    /// # Safety
    /// The slot and the request cell are the caller's; they pass to the task. The region may be gone afterwards.
    #[inline(never)]
    pub(super) unsafe fn pend(self, request: Request) {
        // SAFETY: the caller's promise. The operation's reference keeps the region, and that its domain, until the task has
        // finished or is abandoned; the futures of a backend and the completions are Send.
        unsafe {
            self.get().request.with_mut(|cell| cell.write(MaybeUninit::new(request)));
            Domain::spawn(self.get().domain, Task::new(self.0.cast(), &Self::TASK));
        }
    }

    /// # Safety
    /// The caller owns the request cell, which is filled.
    pub(super) unsafe fn request(self) -> Request {
        // SAFETY: the caller's promise.
        unsafe { self.get().request.with_mut(|cell| cell.read().assume_init()) }
    }

    /// Writes a future into the slot without polling it.
    ///
    /// # Safety
    /// Slot and request cell are the caller's, and the slot is empty.
    pub(super) unsafe fn prepare<F>(
        self,
        kind: Kind,
        make: impl FnOnce(&'static A::Mr) -> F,
    ) -> Outcome
    where
        F: Future<Output = Outcome>,
    {
        // SAFETY: the caller's promise; the slot has room for every future of this backend.
        contain("a request", self.name(), || unsafe {
            self.slot().cast::<F>().write(make(self.provider()))
        })
        // SAFETY: the caller's reference.
        .map_err(|Panicked| unsafe { self.poison() })?;
        let request = Request { kind, operation: Operation::of::<F>() };
        // SAFETY: the caller's promise.
        unsafe { self.get().request.with_mut(|cell| cell.write(MaybeUninit::new(request))) };
        Ok(())
    }
}
