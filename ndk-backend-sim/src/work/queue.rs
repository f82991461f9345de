//! Order and time: requests that wait, whose turn it is, and what ends them before it.

use super::{Carried, Work};
use crate::clock::TimerId;
use crate::plan::Decision;
use crate::queue_pair::{Peer, Shared};
use ndk_core::{Error, ErrorKind, Result, WorkCompletion, WorkKind};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// What has to be kept in order: the requests that wait, and the connection.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    pub(crate) peer: Option<Peer>,
    pub(super) waiting: VecDeque<Delayed>,
    /// When the last of them is due.
    last_due: Duration,
}

/// A request that waits for its turn, and the call that the clock makes then.
#[derive(Debug)]
pub(super) struct Delayed {
    request: Waiting,
    timer: TimerId,
}

/// A request that the plan delays, or a receive that waits for its message; and what it then fails with.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) work: Work<'static>,
    pub(super) fault: Option<ErrorKind>,
}

impl Shared {
    /// A receive takes the time of its message: a delay of its own means nothing.
    pub(crate) fn post_receive(&self, work: Work<'_>) -> Result<()> {
        let Decision { fault, .. } = self.device.decide_work(work.operation())?;
        let mut receives = self.receives.lock();
        if self.is_broken() {
            // With the lock, so that it comes after those that were posted before.
            self.complete(work.flushed());
            drop(receives);
            self.ring();
            return Ok(());
        }
        if receives.len() >= self.depths.receive as usize {
            return Err(queue_full());
        }
        receives.push_back(Waiting { work: work.into_owned(), fault });
        Ok(())
    }

    /// Carries the request out, in its turn and when the plan has it.
    #[inline]
    pub(crate) fn post(self: &Arc<Self>, work: Work<'_>) -> Result<()> {
        let Decision { delay, fault, .. } = self.device.decide_work(work.operation())?;
        let mut queue = self.lock_queue();
        if delay.is_none() && queue.waiting.is_empty() {
            let peer = self.carry_out(&mut queue, work, None);
            drop(queue);
            self.settle_both(peer);
            return Ok(());
        }
        if self.is_broken() {
            self.flush_waiting(&mut queue);
            self.complete(work.flushed());
            drop(queue);
            self.ring();
            return Ok(());
        }
        if queue.waiting.len() >= self.depths.initiator as usize {
            return Err(queue_full());
        }
        let due = self.device.clock.now().saturating_add(delay.unwrap_or_default());
        queue.last_due = due.max(queue.last_due);
        let shared = Arc::downgrade(self);
        let next = move || {
            if let Some(shared) = shared.upgrade() {
                shared.carry_out_next();
            }
        };
        // Each request in the queue has one call, and calls come in the order of their deadlines; one that comes at
        // once waits for the lock.
        let timer = self.device.clock.schedule_at(queue.last_due, Box::new(next));
        let request = Waiting { work: work.into_owned(), fault };
        queue.waiting.push_back(Delayed { request, timer });
        Ok(())
    }

    fn carry_out_next(&self) {
        let mut queue = self.lock_queue();
        let Some(Delayed { request, .. }) = queue.waiting.pop_front() else { return };
        let peer = self.carry_out(&mut queue, request.work, request.fault);
        drop(queue);
        self.settle_both(peer);
    }

    /// Moves this end to error from outside of its queue: everything posted completes with CANCELLED before this
    /// returns (F6), save what another thread is just carrying out or filling, which comes before it.
    pub(crate) fn end(&self) {
        self.fail();
        self.settle();
        self.fabric.ended(self.number);
    }

    #[inline]
    fn settle_both(&self, peer: Option<Arc<Self>>) {
        self.ring();
        if let Some(peer) = peer {
            peer.settle();
        }
    }

    /// What has to be done at an end that another one's request has touched, once that one's queue is let go.
    fn settle(&self) {
        if self.is_broken() {
            self.flush_waiting(&mut self.lock_queue());
        }
        self.ring();
    }

    /// The queue pair is in error: what waits completes now, in the order of the posting, and never happens (F6).
    #[cold]
    fn flush_waiting(&self, queue: &mut Queue) {
        for Delayed { request, timer } in queue.waiting.drain(..) {
            self.device.clock.cancel(timer);
            self.complete(request.work.flushed());
        }
    }

    /// Carries a request out, and completes it. Whoever calls it settles both ends, once it has let the queue go: this
    /// one, and the peer where one is given.
    #[inline]
    fn carry_out(
        &self,
        queue: &mut Queue,
        work: Work<'_>,
        fault: Option<ErrorKind>,
    ) -> Option<Arc<Self>> {
        let peer = match &queue.peer {
            Some(peer) if !self.is_broken() => peer,
            _ => {
                self.complete(work.flushed());
                return None;
            }
        };
        let goes_out = work.goes_out();
        let Work { id, kind, step } = work;
        let Carried { result, bytes } = match fault {
            // Nobody answers.
            None if peer.shared.device.is_lost() && goes_out => {
                Carried { result: Err(ErrorKind::Timeout), bytes: 0 }
            }
            None => self.perform(peer, step),
            Some(kind) => Carried { result: Err(kind), bytes: 0 },
        };
        if result.is_ok() {
            self.asker().place.tally.succeeded();
        }
        self.complete(WorkCompletion { id, kind, result, bytes, invalidated: None });
        if result.is_err() {
            self.break_connection(peer);
        }
        let broken = self.is_broken();
        let touched = kind == WorkKind::Send || broken;
        let peer = touched.then(|| peer.shared.clone());
        if broken {
            self.flush_waiting(queue);
        }
        peer
    }

    /// A refused access moves both ends to error (F6).
    pub(super) fn break_connection(&self, peer: &Peer) {
        self.fail();
        peer.shared.fail();
    }
}

fn queue_full() -> Error {
    Error::new(ErrorKind::InsufficientResources, "the queue is full")
}
