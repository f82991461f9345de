//! A future of the safe consumer's, polled wherever it is woken: as a rule inside the provider's callback.

use super::ticket::{Done, fail, leaks, lock};
use crate::abi::{
    NDK_FN_CLOSE_COMPLETION, NDK_FN_CREATE_COMPLETION, NDK_FN_REQUEST_COMPLETION, NTSTATUS,
    STATUS_INTERNAL_ERROR, STATUS_SUCCESS,
};
use std::future::Future;
use std::pin::Pin;
use std::ptr::{with_exposed_provenance_mut, without_provenance_mut};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

/// What a request came to.
pub(super) struct Ended {
    pub(super) status: NTSTATUS,
    /// The exposed address of the object that a creation gave, else 0.
    pub(super) object: usize,
}

impl Ended {
    pub(super) const SUCCESS: Self = Self::with(STATUS_SUCCESS);

    pub(super) const fn with(status: NTSTATUS) -> Self {
        Self { status, object: 0 }
    }
}

/// Who is to be told, once.
pub(super) type Tell = Box<dyn FnOnce(Ended) + Send>;

/// A completion that the end of a future stands for.
pub(super) trait Told {
    fn tell(self) -> Tell;
}

impl Told for Done<NDK_FN_REQUEST_COMPLETION> {
    fn tell(self) -> Tell {
        let (routine, context) = (self.routine.expect("Rust has no null"), self.context.addr());
        // SAFETY: the harness's routine, called once, with the context that goes with it; likewise below.
        Box::new(move |ended| unsafe { routine(without_provenance_mut(context), ended.status) })
    }
}

impl Told for Done<NDK_FN_CLOSE_COMPLETION> {
    fn tell(self) -> Tell {
        let (routine, context) = (self.routine.expect("Rust has no null"), self.context.addr());
        Box::new(move |ended| {
            match ended.status {
                // SAFETY: as above.
                STATUS_SUCCESS => unsafe { routine(without_provenance_mut(context)) },
                // The safe consumer's word for what a close leaks (B8, B9); C has none.
                STATUS_INTERNAL_ERROR => leaks(context),
                _ => fail(context, "H1: a close that pended failed, or lost its memory"),
            }
        })
    }
}

impl Told for Done<NDK_FN_CREATE_COMPLETION> {
    fn tell(self) -> Tell {
        let (routine, context) = (self.routine.expect("Rust has no null"), self.context.addr());
        Box::new(move |Ended { status, object }| {
            let object = if object == 0 {
                without_provenance_mut(0)
            } else {
                with_exposed_provenance_mut(object)
            };
            // SAFETY: as above.
            unsafe { routine(without_provenance_mut(context), status, object) };
        })
    }
}

/// A request on its way. Whoever wakes it polls it.
pub(super) struct Flight(Mutex<Option<Running>>);

struct Running {
    future: Pin<Box<dyn Future<Output = Ended> + Send>>,
    tell: Tell,
}

/// What the first poll gave.
pub(super) enum Started {
    Over(Ended),
    Pending(Arc<Flight>),
}

impl Flight {
    /// Polls for the first time, which calls the provider's entry. If that was not all, `tell` is told the end.
    pub(super) fn start(
        future: impl Future<Output = Ended> + Send + 'static,
        tell: Tell,
    ) -> Started {
        let running = Running { future: Box::pin(future), tell };
        let flight = Arc::new(Self(Mutex::new(Some(running))));
        match flight.poll() {
            Some((ended, _)) => Started::Over(ended),
            None => Started::Pending(flight),
        }
    }

    fn poll(self: &Arc<Self>) -> Option<(Ended, Tell)> {
        let waker = Waker::from(self.clone());
        let mut running = lock(&self.0);
        let future = running.as_mut()?.future.as_mut();
        match future.poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(ended) => running.take().map(|running| (ended, running.tell)),
            Poll::Pending => None,
        }
    }

    /// Drops the future: the request goes on, and nobody is told.
    pub(super) fn give_up(&self) {
        let running = lock(&self.0).take();
        drop(running);
    }
}

impl Wake for Flight {
    fn wake(self: Arc<Self>) {
        if let Some((ended, tell)) = self.poll() {
            tell(ended);
        }
    }
}
