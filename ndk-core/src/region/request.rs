//! A request's way from its first poll to its callback.

use super::slot::{IntoOutcome, Operation, Outcome};
use super::word::{Claim, FastState, Op, Phase, poisoned};
use super::{Progress, RegionRef};
use crate::abi::{NDK_FN_REQUEST_COMPLETION, PVOID, STATUS_SUCCESS, ULONG};
use crate::completion::RequestCompletion;
use crate::contain::{Panicked, contain};
use crate::error::{Error, ErrorKind, Result};
use crate::executor::{Task, TaskVtable};
use crate::platform::Platform;
use crate::provider::{AdapterProvider, MrProvider};
use crate::sync::Ordering;
use core::future::Future;
use core::mem::MaybeUninit;
use core::pin::Pin;
use core::ptr::NonNull;
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
    done: RequestCompletion,
    what: Initialised,
}

/// What the first poll came to.
pub(super) enum First {
    Ready(Outcome),
    Pending(Operation),
}

/// Whether an operation makes sense on a device that is gone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Device {
    Needed,
    NotNeeded,
}

#[cold]
fn lost() -> Error {
    Error::new(ErrorKind::DeviceRemoved, "the device is gone").rule("H8")
}

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
    const TASK: TaskVtable = TaskVtable { poll: Self::poll_task, abandon: Self::abandon_task };

    /// Runs the operation that was claimed: its future is written into the slot and polled there once.
    ///
    /// # Safety
    /// The caller has claimed `op`; what `make` captures is valid until the request is over.
    #[inline]
    pub(super) unsafe fn start<F>(
        self,
        op: Op,
        done: RequestCompletion,
        make: impl FnOnce(&'static A::Mr) -> F,
    ) -> Result<Progress>
    where
        F: Future<Output = Outcome>,
    {
        // SAFETY: the claim makes the slot this call's alone.
        match unsafe { self.attempt("a request", Device::Needed, make) } {
            // SAFETY: the claim is still held, and the slot empty.
            First::Ready(outcome) => unsafe { self.finish_inline(op, outcome) },
            First::Pending(operation) => {
                // SAFETY: the claim covers the request cell; it passes to the task.
                unsafe { self.pend(Request { kind: Kind::new(op, done), operation }) };
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
        F: Future,
        F::Output: IntoOutcome,
    {
        let slot = self.slot().cast::<F>();
        let mut occupied = false;
        let polled = contain(what, self.name(), || {
            // SAFETY: the region is alive.
            if device == Device::Needed && unsafe { self.adapter() }.provider().is_lost() {
                return Poll::Ready(Err(lost()));
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
                return Poll::Pending;
            };
            occupied = false;
            // SAFETY: the future is finished and dropped once.
            unsafe { slot.drop_in_place() };
            Poll::Ready(output.into_outcome())
        });
        match polled {
            Ok(Poll::Ready(outcome)) => First::Ready(outcome),
            Ok(Poll::Pending) => First::Pending(Operation::of::<F>()),
            // SAFETY: as above; what is in the slot has panicked and is dropped.
            Err(Panicked) => First::Ready(Err(unsafe {
                if occupied {
                    self.empty_slot(Operation::of::<F>());
                }
                self.poison()
            })),
        }
    }

    /// Drops what is in the slot; false where that panicked.
    ///
    /// # Safety
    /// The slot holds what `operation` works on, and is the caller's.
    unsafe fn empty_slot(self, operation: Operation) -> bool {
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

    /// Ends an operation whose caller still waits in the entry: the outcome is its return.
    ///
    /// # Safety
    /// The caller has claimed `op`, and the slot is empty.
    #[inline]
    pub(super) unsafe fn finish_inline(self, op: Op, outcome: Outcome) -> Result<Progress> {
        // SAFETY: the claim keeps the region alive.
        let region = unsafe { self.get() };
        if let Err(error) = &outcome {
            // SAFETY: as above.
            unsafe { self.log_failure(op, error) };
        }
        let (from, to) = Self::phases(op, &outcome);
        if region.word.settle_and_release(op, from, to) {
            // SAFETY: the last reference: the close is due, and this call's to start.
            unsafe { self.close_from_entry() };
        }
        outcome.map(|()| Progress::Done)
    }

    /// The phase before and after an operation of the conventional kind.
    #[inline]
    fn phases(op: Op, outcome: &Outcome) -> (Phase, Phase) {
        let from = if op == Op::Register { Phase::Created } else { Phase::Registered };
        match (op, outcome) {
            (_, Err(_)) => (from, from),
            (Op::Register, Ok(())) => (from, Phase::Registered),
            (_, Ok(())) => (from, Phase::Created),
        }
    }

    /// # Safety
    /// The region is alive.
    #[cold]
    unsafe fn log_failure(self, op: Op, error: &Error) {
        log::warn!("{}: {op:?} failed: {error}", self.name());
    }

    /// Hands what is in the slot to the executor.
    ///
    /// # Safety
    /// The slot and the request cell are the caller's; they pass to the task. The region may be gone afterwards.
    pub(super) unsafe fn pend(self, request: Request) {
        // SAFETY: the caller's promise.
        let adapter = unsafe {
            self.get().request.with_mut(|cell| cell.write(MaybeUninit::new(request)));
            self.adapter()
        };
        // SAFETY: the operation's reference keeps the region until the task has finished or is abandoned; the
        // futures of a backend and the completions are Send.
        adapter.spawn(unsafe { Task::new(self.0.cast(), &Self::TASK) });
    }

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

    /// # Safety
    /// The caller owns the request cell, which is filled.
    pub(super) unsafe fn request(self) -> Request {
        // SAFETY: the caller's promise.
        unsafe { self.get().request.with_mut(|cell| cell.read().assume_init()) }
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
            let (region, adapter) = unsafe { (self.get(), self.adapter()) };
            let status = outcome.as_ref().map_or_else(Error::status, |()| STATUS_SUCCESS);
            done.call::<P>(adapter.key(), status);
            if region.word.release() {
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
    unsafe fn settle(self, kind: Kind, outcome: &Outcome) -> Option<QueuedInit> {
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
        let (from, to) = Self::phases(op, outcome);
        region.word.settle(op, from, to);
        None
    }

    /// # Safety
    /// The caller owns the operation, which is an initialisation.
    unsafe fn settle_initialise(self, what: Initialised, outcome: &Outcome) -> Option<QueuedInit> {
        // SAFETY: the caller's reference.
        let (region, adapter) = unsafe { (self.get(), self.adapter()) };
        let from = region.word.load().phase();
        let to = if outcome.is_ok() { Phase::Initialised } else { from };
        match outcome {
            Ok(()) => {
                // What is still under way for the round before means nothing any more.
                // The allowance first: who reads the new round has it too.
                region.initialised.store(what.pack(), Ordering::Release);
                region.round.store(adapter.next_id(), Ordering::Release);
                region.word.set_fast_state(FastState::Free);
            }
            // SAFETY: the caller's reference.
            Err(error) => unsafe { self.log_failure(Op::Initialise, error) },
        }
        if region.word.settle_unless_queued(Op::Initialise, from, to) {
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
                .inspect_err(|error| self.log_refusal("initialise fast registration", error))?
        };
        let Some(done) = claimed else { return Ok(Progress::Pending) };
        // SAFETY: the claim makes slot and operation this call's.
        match unsafe {
            self.attempt("a request", Device::Needed, |region| {
                region.initialize_fast_register(pages, remote)
            })
        } {
            First::Ready(outcome) => {
                // SAFETY: the claim is held.
                unsafe { self.finish_initialise_inline(what, &outcome) };
                outcome.map(|()| Progress::Done)
            }
            First::Pending(operation) => {
                // SAFETY: slot and request pass to the task.
                unsafe { self.pend(Request { kind: Kind::Initialise(done, what), operation }) };
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
        loop {
            match region.word.claim(Op::Initialise)? {
                Claim::Mine => return Ok(Some(done)),
                Claim::Queue => {
                    let mut queue = region.queue.lock();
                    if region.word.join_queue()? {
                        queue.push_back(QueuedInit { done, what });
                        return Ok(None);
                    }
                }
            }
        }
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
            let region = self.get();
            let queued = self.settle_initialise(what, outcome);
            if region.word.release() {
                self.close_from_entry();
            } else if let Some(next) = queued {
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
                if self.get().word.release() {
                    return self.close_from_entry();
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
    unsafe fn prepare_queued(self, next: QueuedInit) -> Outcome {
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
        F: Future,
        F::Output: IntoOutcome,
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
