//! Who is inside an object's entries, and when its close may start.

use crate::error::{Error, ErrorKind, Result};
use crate::platform::Std;
use crate::sync::Mutex;
use alloc::vec::Vec;
use core::future::poll_fn;
use core::mem;
use core::task::{Context, Poll, Waker};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Close {
    No,
    /// Waits for those inside.
    Asked,
    /// Is somebody's to do.
    Due,
    Done,
    /// Is over, and did not end what it should have.
    Failed,
}

struct State {
    inside: usize,
    /// A request is in progress, whoever waits for it.
    busy: bool,
    /// A deregistration has succeeded with nobody waiting for it.
    lapsed: bool,
    close: Close,
    waiting: Vec<Waker>,
}

/// The methods of the traits are safe, so nothing but this keeps a call from an object that is closed meanwhile.
pub(super) struct Gate(Mutex<Std, State>);

fn closing() -> Error {
    Error::new(ErrorKind::InvalidDeviceState, "the foreign object is being closed").rule("H7")
}

impl Gate {
    pub(super) fn new() -> Self {
        let (waiting, close) = (Vec::new(), Close::No);
        Self(Mutex::new(State { inside: 0, busy: false, lapsed: false, close, waiting }))
    }

    /// Goes in, to call an entry.
    ///
    /// # Errors
    /// INVALID_DEVICE_STATE once the close was asked for.
    pub(super) fn enter(&self) -> Result<()> {
        let mut state = self.0.lock();
        if state.close != Close::No {
            return Err(closing());
        }
        state.inside += 1;
        Ok(())
    }

    /// Goes out; true where the close is the caller's to do now.
    #[must_use]
    pub(super) fn leave(&self) -> bool {
        let mut state = self.0.lock();
        state.inside -= 1;
        Self::close_if_due(&mut state)
    }

    /// Asks for the close; true where it is the caller's to do now.
    #[must_use]
    pub(super) fn ask(&self) -> bool {
        let mut state = self.0.lock();
        if state.close == Close::No {
            state.close = Close::Asked;
        }
        Self::close_if_due(&mut state)
    }

    fn close_if_due(state: &mut State) -> bool {
        let due = state.close == Close::Asked && state.inside == 0;
        if due {
            state.close = Close::Due;
        }
        due
    }

    /// The close is over; false where it did not end what it should have.
    pub(super) fn close_done(&self, ended: bool) {
        self.change(|state| state.close = if ended { Close::Done } else { Close::Failed });
    }

    /// Waits until the close is over, and says how.
    pub(super) async fn closed(&self) -> bool {
        let over = |state: &mut State| match state.close {
            Close::Done => Some(true),
            Close::Failed => Some(false),
            Close::No | Close::Asked | Close::Due => None,
        };
        poll_fn(|cx| self.poll(cx, over)).await
    }

    /// Waits until no request is in progress, and claims the next.
    ///
    /// # Errors
    /// As for `enter`.
    pub(super) async fn begin(&self) -> Result<()> {
        let claim = |state: &mut State| match (state.close, state.busy) {
            (Close::No, true) => None,
            (Close::No, false) => {
                state.busy = true;
                Some(Ok(()))
            }
            _ => Some(Err(closing())),
        };
        poll_fn(|cx| self.poll(cx, claim)).await
    }

    /// The request is over.
    pub(super) fn end(&self) {
        self.change(|state| state.busy = false);
    }

    /// Notes that a deregistration has succeeded with nobody waiting for it.
    pub(super) fn lapse(&self) {
        self.0.lock().lapsed = true;
    }

    /// Whether that was noted; forgets it.
    pub(super) fn take_lapse(&self) -> bool {
        mem::take(&mut self.0.lock().lapsed)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let woken = {
            let mut state = self.0.lock();
            change(&mut state);
            mem::take(&mut state.waiting)
        };
        woken.into_iter().for_each(Waker::wake);
    }

    fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        mut ask: impl FnMut(&mut State) -> Option<T>,
    ) -> Poll<T> {
        let waker = cx.waker().clone();
        let mut state = self.0.lock();
        match ask(&mut state) {
            Some(answer) => Poll::Ready(answer),
            None => {
                state.waiting.push(waker);
                Poll::Pending
            }
        }
    }
}
