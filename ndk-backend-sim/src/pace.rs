//! Following the plan: operations that take their time, fail, or take the adapter with them.

use crate::device::Device;
use crate::plan::{Decision, Operation};
use ndk_core::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use slab::Slab;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Waker};

/// Says that the operations of one region are to end, because it is closed (H2).
#[derive(Debug, Default)]
pub(crate) struct Cancel(AtomicBool);

/// The operations of a device that wait for their time: whoever ends one early wakes them all, and each looks whether
/// it is meant. That is rare, and waiting is cheap.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Mutex<Slab<Waker>>);

impl Waiting {
    fn wake(&self) {
        let wakers: Vec<Waker> = self.0.lock().iter().map(|(_, waker)| waker.clone()).collect();
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// A place among the waiting.
struct Place<'a> {
    waiting: &'a Waiting,
    key: Option<usize>,
}

impl Place<'_> {
    fn set(&mut self, waker: &Waker) {
        let waker = waker.clone();
        let mut wakers = self.waiting.0.lock();
        let old = match self.key {
            Some(key) => Some(std::mem::replace(&mut wakers[key], waker)),
            None => {
                self.key = Some(wakers.insert(waker));
                None
            }
        };
        // A waker is foreign code: not to be dropped under the lock.
        drop(wakers);
        drop(old);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let waker = self.waiting.0.lock().remove(key);
            drop(waker);
        }
    }
}

fn planned(kind: ErrorKind) -> Error {
    Error::new(kind, "the fault plan asked for it")
}

pub(crate) fn device_gone() -> Error {
    Error::new(ErrorKind::DeviceRemoved, "the device is gone").rule("H8")
}

impl Device {
    /// Ends what waits on a region that is being closed.
    pub(crate) fn cancel(&self, cancel: &Cancel) {
        cancel.0.store(true, Ordering::Release);
        self.waiting.wake();
    }

    /// The device is gone from now on (H8); what waits ends. Called without a queue's lock.
    pub(crate) fn lose(&self) {
        if !self.lost.swap(true, Ordering::AcqRel) {
            log::warn!("{}: the device is lost", self.name);
            self.waiting.wake();
            self.queue_pairs.end();
        }
    }

    /// What the plan says of the operation, which begins now.
    #[inline]
    pub(crate) fn decide(&self, operation: Operation) -> Decision {
        let decision = self.planner.decide(operation);
        if decision.lose_adapter {
            self.lose();
        }
        decision
    }

    /// Whether the plan says anything of the operation: where it does not, `pace` has nothing to do, and a future less
    /// on the way is some instructions less.
    #[inline]
    pub(crate) fn plans(&self, operation: Operation) -> bool {
        self.planner.affects(operation)
    }

    /// Waits and fails as the plan has it; with no plan for the operation it does neither.
    pub(crate) async fn pace(&self, operation: Operation, cancel: Option<&Cancel>) -> Result<()> {
        let decision = self.decide(operation);
        if let Some(delay) = decision.delay {
            let mut sleep = pin!(self.clock.sleep(delay));
            let mut place = Place { waiting: &self.waiting, key: None };
            let cancelled = || cancel.is_some_and(|cancel| cancel.0.load(Ordering::Acquire));
            let mut first = true;
            poll_fn(|cx| {
                // First the place, then the questions: what is rung in between wakes this task again.
                place.set(cx.waker());
                if cancelled() || self.is_lost() {
                    return Poll::Ready(());
                }
                let slept = sleep.as_mut().poll(cx);
                if slept.is_ready() && std::mem::take(&mut first) {
                    // A real clock was faster than this thread. The plan has the operation pend all the same.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                first = false;
                slept
            })
            .await;
            // The loss goes first: nothing works on a device that is gone.
            if self.is_lost() {
                return Err(device_gone());
            }
            if cancelled() {
                let cause = "the region is being closed";
                return Err(Error::new(ErrorKind::Cancelled, cause).rule("H2"));
            }
        }
        decision.fault.map_or(Ok(()), |kind| Err(planned(kind)))
    }

    /// Takes the adapter away at the time that the plan names.
    pub(crate) fn follow_end(self: &Arc<Self>) {
        if let Some(at) = self.planner.lose_at() {
            let device = Arc::downgrade(self);
            let lose = move || {
                if let Some(device) = device.upgrade() {
                    device.lose();
                }
            };
            self.clock.schedule_at(at, Box::new(lose));
        }
    }

    /// As `decide`, for a work request: refused inline where the fault comes without a delay.
    #[inline]
    pub(crate) fn decide_work(&self, operation: Operation) -> Result<Decision> {
        let decision = self.decide(operation);
        match (decision.delay, decision.fault) {
            (None, Some(kind)) => Err(planned(kind)),
            _ => Ok(decision),
        }
    }
}
