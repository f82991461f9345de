//! What was posted to a queue pair and has not completed: so that each request completes once, whatever becomes of the
//! backend's queue pair (B8), and that what is in flight is known where the order of posting counts (G8). What was
//! complete when its posting returned is on no list: its completion waits here (`done`), and comes before all that the
//! backend has.

use super::done::{Done, completion};
use crate::error::{Error, ErrorKind, Result};
use crate::platform::Platform;
use crate::provider::{WorkCompletion, WorkId, WorkKind};
use crate::sync::{AtomicU64, Mutex, Ordering};
use alloc::collections::VecDeque;
use core::task::{Context, Waker};

pub(super) struct Posted<P: Platform> {
    done: Done,
    /// Written under the lock.
    flags: AtomicU64,
    queues: Mutex<P, Queues>,
}

/// The backend has panicked.
const POISONED: u64 = 1;
/// Somebody waits for a completion.
const AWAITED: u64 = 2;
/// `done` had no room for a completion, which is in `spilled`.
const SPILLED: u64 = 4;

/// The two queues, since each is in the order of its completions. Most often the first is looked for.
#[derive(Default)]
struct Queues {
    receives: VecDeque<Request>,
    others: VecDeque<Request>,
    /// How many requests were added.
    added: u64,
    /// Completions that `done` had no room for, and that come after those in it.
    spilled: VecDeque<WorkCompletion>,
    /// Who waits for a completion.
    waiting: Option<Waker>,
}

struct Request {
    /// Which of all that were added.
    number: u64,
    id: WorkId,
    kind: WorkKind,
    /// It is about a region or a window, and the backend may not have it yet, as far as is known.
    being_posted: bool,
}

impl Queues {
    fn of(&mut self, kind: WorkKind) -> &mut VecDeque<Request> {
        if kind == WorkKind::Receive { &mut self.receives } else { &mut self.others }
    }
}

#[cold]
pub(super) fn poisoned() -> Error {
    Error::new(ErrorKind::Internal, "the backend panicked on this queue pair; only close is left")
        .rule("B8")
}

impl<P: Platform> Posted<P> {
    pub(super) fn new() -> Self {
        Self { done: Done::new(), flags: AtomicU64::new(0), queues: Mutex::new(Queues::default()) }
    }

    #[inline]
    fn has(&self, flags: u64) -> bool {
        self.flags.load(Ordering::Acquire) & flags != 0
    }

    #[inline]
    pub(super) fn is_poisoned(&self) -> bool {
        self.has(POISONED)
    }

    /// Whether a request may be carried out at once, and its completion be added with `add_done`.
    #[inline]
    pub(super) fn takes_done(&self) -> bool {
        !self.has(POISONED | SPILLED)
    }

    /// A read, or else a write, was carried out while it was posted.
    #[inline]
    pub(super) fn add_done(&self, context: u64, is_read: bool, bytes: u32) {
        if !self.done.push(context, is_read, bytes) {
            self.spill(context, is_read, bytes);
        }
        // Who left a waker after this look has found the completion.
        if self.has(AWAITED) {
            self.wake();
        }
    }

    #[cold]
    fn spill(&self, context: u64, is_read: bool, bytes: u32) {
        let mut queues = self.queues.lock();
        queues.spilled.push_back(completion(context, is_read, bytes));
        self.flags.fetch_or(SPILLED, Ordering::Release);
    }

    #[cold]
    fn wake(&self) {
        let mut queues = self.queues.lock();
        self.flags.fetch_and(!AWAITED, Ordering::Relaxed);
        let waiting = queues.waiting.take();
        drop(queues);
        if let Some(waker) = waiting {
            waker.wake();
        }
    }

    /// The next completion of what was carried out while it was posted.
    #[inline]
    pub(super) fn next_done(&self) -> Option<WorkCompletion> {
        // Not by way of one place for both, which would move a completion about.
        if let Some(completion) = self.done.pop() {
            return Some(completion);
        }
        if self.has(SPILLED) { self.next_spilled() } else { None }
    }

    #[cold]
    fn next_spilled(&self) -> Option<WorkCompletion> {
        let mut queues = self.queues.lock();
        let next = queues.spilled.pop_front();
        if queues.spilled.is_empty() {
            self.flags.fetch_and(!SPILLED, Ordering::Relaxed);
        }
        next
    }

    /// A request is about to be posted; gives its number.
    ///
    /// # Errors
    /// INTERNAL_ERROR on a poisoned queue pair.
    pub(super) fn add(&self, id: WorkId, kind: WorkKind) -> Result<u64> {
        let mut queues = self.queues.lock();
        if self.is_poisoned() {
            return Err(poisoned());
        }
        queues.added += 1;
        let number = queues.added;
        let being_posted =
            matches!(kind, WorkKind::FastRegister | WorkKind::Bind | WorkKind::Invalidate);
        queues.of(kind).push_back(Request { number, id, kind, being_posted });
        Ok(number)
    }

    /// The backend has the request about a region or a window, unless it has completed already.
    pub(super) fn set_posted(&self, number: u64, kind: WorkKind) {
        let mut queues = self.queues.lock();
        let mut latest_first = queues.of(kind).iter_mut().rev();
        if let Some(request) = latest_first.find(|request| request.number == number) {
            request.being_posted = false;
        }
        drop(queues);
        if self.is_poisoned() {
            // It completes with the poisoning, for which it was not ready before.
            self.wake();
        }
    }

    /// A request was not posted after all; false where it has completed meanwhile, with the queue pair's poisoning.
    pub(super) fn take_back(&self, number: u64, kind: WorkKind) -> bool {
        let mut queues = self.queues.lock();
        let queue = queues.of(kind);
        let place = queue.iter().rposition(|request| request.number == number);
        place.and_then(|place| queue.remove(place)).is_some()
    }

    /// A completion is on its way to the consumer; gives what `follow` makes of it. Nothing where there is no such request,
    /// or it has completed with the queue pair's poisoning. Whoever counts invalidations finds this one in flight, or
    /// followed.
    #[inline]
    pub(super) fn complete<R>(
        &self,
        id: WorkId,
        kind: WorkKind,
        follow: impl FnOnce() -> R,
    ) -> Option<R> {
        let mut queues = self.queues.lock();
        let queue = queues.of(kind);
        let place = queue.iter().position(|request| (request.id, request.kind) == (id, kind))?;
        if place == 0 {
            queue.pop_front();
        } else {
            queue.remove(place);
        }
        Some(follow())
    }

    /// Calls `post` with the number of invalidations with that note which are in flight here, and were posted: what is
    /// posted now comes behind them. None of them completes meanwhile.
    pub(super) fn behind_invalidations<R>(&self, tag: u64, post: impl FnOnce(u64) -> R) -> R {
        let queues = self.queues.lock();
        let before = |request: &&Request| {
            let about = (request.kind, request.id.tag);
            about == (WorkKind::Invalidate, tag) && !request.being_posted
        };
        post(queues.others.iter().filter(before).count() as u64)
    }

    /// The requests that were never polled, at the end of the queue pair.
    pub(super) fn give_up(&self, mut each: impl FnMut(WorkKind, u64)) {
        let others = core::mem::take(&mut self.queues.lock().others);
        others.iter().for_each(|request| each(request.kind, request.id.tag));
    }

    /// Leaves a waker to be called when the queue pair is poisoned, since the backend may never call its own then, when a
    /// request that was being posted completes with that, or when one is carried out while it is posted. The last one
    /// counts. Who has left it looks once more whether the queue pair is poisoned, and for what completes with that.
    pub(super) fn wait(&self, cx: &Context<'_>) {
        if cx.waker().will_wake(Waker::noop()) {
            return;
        }
        // Wakers are foreign code: this one is cloned, and an earlier one dropped, without the lock.
        let waker = cx.waker().clone();
        let mut queues = self.queues.lock();
        let earlier = queues.waiting.replace(waker);
        self.flags.fetch_or(AWAITED, Ordering::Release);
        drop(queues);
        drop(earlier);
        if self.done.is_there() || self.has(SPILLED) {
            cx.waker().wake_by_ref();
        }
    }

    /// The backend panicked; false where it had before.
    #[cold]
    pub(super) fn poison(&self) -> bool {
        let queues = self.queues.lock();
        let first = self.flags.fetch_or(POISONED, Ordering::AcqRel) & POISONED == 0;
        drop(queues);
        self.wake();
        first
    }

    /// The next completion of a poisoned queue pair: what is posted completes with INTERNAL_ERROR. What is about a region
    /// or a window does so after its posting has returned, since the backend may come to it until then.
    #[cold]
    pub(super) fn next_of_poisoned(&self) -> Option<WorkCompletion> {
        let mut queues = self.queues.lock();
        let Queues { receives, others, .. } = &mut *queues;
        let place = others.iter().position(|request| !request.being_posted);
        let request =
            place.and_then(|place| others.remove(place)).or_else(|| receives.pop_front())?;
        Some(WorkCompletion {
            id: request.id,
            kind: request.kind,
            result: Err(ErrorKind::Internal),
            bytes: 0,
            invalidated: None,
        })
    }
}
