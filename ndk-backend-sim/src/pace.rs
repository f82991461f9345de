//! Following the plan: operations that take their time, fail, or take the adapter with them.

use crate::device::Device;
use crate::plan::{Decision, Operation};
use ndk_core::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, Waker};

/// By which the operations of one region are cancelled when it is closed (H2).
#[derive(Debug, Default)]
pub(crate) struct Cancel(Mutex<(bool, Option<Waker>)>);

impl Cancel {
    pub(crate) fn ring(&self) {
        let waker = {
            let mut state = self.0.lock();
            state.0 = true;
            state.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether it rang; else the waker is woken when it does.
    fn poll(&self, waker: &Waker) -> bool {
        let mut state = self.0.lock();
        if !state.0 {
            state.1 = Some(waker.clone());
        }
        state.0
    }
}

fn planned(kind: ErrorKind) -> Error {
    Error::new(kind, "the fault plan asked for it")
}

impl Device {
    /// What the plan says of the operation, which begins now.
    #[inline]
    pub(crate) fn decide(&self, operation: Operation) -> Decision {
        let decision = self.planner.decide(operation);
        if decision.lose_adapter {
            self.lose();
        }
        decision
    }

    /// Waits and fails as the plan has it; with no plan for the operation it does neither.
    #[inline]
    pub(crate) async fn pace(&self, operation: Operation, cancel: Option<&Cancel>) -> Result<()> {
        let decision = self.decide(operation);
        if let Some(delay) = decision.delay {
            let mut sleep = pin!(self.clock.sleep(delay));
            let cancelled = poll_fn(|cx| {
                if cancel.is_some_and(|cancel| cancel.poll(cx.waker())) {
                    return Poll::Ready(true);
                }
                sleep.as_mut().poll(cx).map(|()| false)
            })
            .await;
            if cancelled {
                let cause = "the region is being closed";
                return Err(Error::new(ErrorKind::Cancelled, cause).rule("H2"));
            }
            if self.is_lost() {
                return Err(Error::new(ErrorKind::DeviceRemoved, "the device is gone").rule("H8"));
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
    pub(crate) fn decide_work(&self, operation: Operation) -> Result<Decision> {
        let decision = self.decide(operation);
        match (decision.delay, decision.fault) {
            (None, Some(kind)) => Err(planned(kind)),
            _ => Ok(decision),
        }
    }
}
