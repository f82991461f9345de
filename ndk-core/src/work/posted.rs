//! What was posted to a queue pair and has not completed: so that each request completes once, whatever becomes of the
//! backend's queue pair (B8), and that what is in flight is known where the order of posting counts (G8).

use crate::error::{Error, ErrorKind, Result};
use crate::platform::Platform;
use crate::provider::{WorkCompletion, WorkId, WorkKind};
use crate::sync::{AtomicU64, Mutex, Ordering};
use alloc::collections::VecDeque;
use core::task::{Context, Waker};

pub(super) struct Posted<P: Platform> {
    queues: Mutex<P, Queues>,
    /// Not 0 once the backend has panicked. Written under the lock.
    poisoned: AtomicU64,
}

/// The two queues, since each is in the order of its completions. Most often the first is looked for.
#[derive(Default)]
struct Queues {
    receives: VecDeque<Request>,
    others: VecDeque<Request>,
    /// Who waits for a completion.
    waiting: Option<Waker>,
}

struct Request {
    id: WorkId,
    kind: WorkKind,
    /// Its completion is on its way to the consumer.
    completing: bool,
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
        Self { queues: Mutex::new(Queues::default()), poisoned: AtomicU64::new(0) }
    }

    #[inline]
    pub(super) fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire) != 0
    }

    /// A request is about to be posted.
    ///
    /// # Errors
    /// INTERNAL_ERROR on a poisoned queue pair.
    pub(super) fn add(&self, id: WorkId, kind: WorkKind) -> Result<()> {
        let mut queues = self.queues.lock();
        if self.is_poisoned() {
            return Err(poisoned());
        }
        queues.of(kind).push_back(Request { id, kind, completing: false });
        Ok(())
    }

    /// A request was not posted after all; false where it has completed meanwhile, with the queue pair's poisoning.
    pub(super) fn take_back(&self, id: WorkId, kind: WorkKind) -> bool {
        let mut queues = self.queues.lock();
        let queue = queues.of(kind);
        let place = queue.iter().rposition(|request| (request.id, request.kind) == (id, kind));
        place.and_then(|place| queue.remove(place)).is_some()
    }

    /// A completion is on its way to the consumer; false where there is no such request, or it has completed with the
    /// queue pair's poisoning. An invalidation counts as posted until `completed`.
    #[inline]
    pub(super) fn complete(&self, id: WorkId, kind: WorkKind) -> bool {
        let mut queues = self.queues.lock();
        let queue = queues.of(kind);
        let same =
            |request: &Request| (request.id, request.kind) == (id, kind) && !request.completing;
        let Some(place) = queue.iter().position(same) else { return false };
        if kind == WorkKind::Invalidate {
            queue[place].completing = true;
        } else if place == 0 {
            queue.pop_front();
        } else {
            queue.remove(place);
        }
        true
    }

    /// What an invalidation has made of its region is settled.
    pub(super) fn completed(&self, id: WorkId) {
        let mut queues = self.queues.lock();
        let place = queues.others.iter().position(|request| {
            request.completing && request.id == id && request.kind == WorkKind::Invalidate
        });
        place.and_then(|place| queues.others.remove(place));
    }

    /// How many invalidations with that note are in flight here.
    pub(super) fn invalidations(&self, tag: u64) -> u64 {
        let queues = self.queues.lock();
        let same =
            |request: &&Request| request.kind == WorkKind::Invalidate && request.id.tag == tag;
        queues.others.iter().filter(same).count() as u64
    }

    /// The invalidations that were never polled, at the end of the queue pair.
    pub(super) fn give_up(&self, mut each: impl FnMut(u64)) {
        let others = core::mem::take(&mut self.queues.lock().others);
        let left = others
            .iter()
            .filter(|request| request.kind == WorkKind::Invalidate && !request.completing);
        left.for_each(|request| each(request.id.tag));
    }

    /// Leaves a waker to be called when the queue pair is poisoned: the backend may never call its own. The last one
    /// counts. Who has left it looks once more whether the queue pair is poisoned.
    pub(super) fn wait(&self, cx: &Context<'_>) {
        if cx.waker().will_wake(Waker::noop()) {
            return;
        }
        // Wakers are foreign code: this one is cloned, and an earlier one dropped, without the lock.
        let waker = cx.waker().clone();
        let earlier = self.queues.lock().waiting.replace(waker);
        drop(earlier);
    }

    /// The backend panicked; false where it had before.
    #[cold]
    pub(super) fn poison(&self) -> bool {
        let mut queues = self.queues.lock();
        let first = self.poisoned.swap(1, Ordering::AcqRel) == 0;
        let waiting = queues.waiting.take();
        drop(queues);
        if let Some(waker) = waiting {
            waker.wake();
        }
        first
    }

    /// The next completion of a poisoned queue pair: what is posted completes with INTERNAL_ERROR.
    #[cold]
    pub(super) fn next_of_poisoned(&self) -> Option<WorkCompletion> {
        let mut queues = self.queues.lock();
        let Queues { receives, others, .. } = &mut *queues;
        let place = others.iter().position(|request| !request.completing);
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
