//! The future that waits on a clock.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::{Clock, TimerId};

/// Ends when its time has come; dropping it takes the wait back. Its place among others is that of its creation,
/// whenever it is polled first. Made by [`Clock::sleep`].
#[must_use = "a sleep that is dropped waits for nothing"]
pub struct Sleep(Option<(Clock, TimerId)>);

impl Sleep {
    pub(super) fn over() -> Self {
        Self(None)
    }

    pub(super) fn waiting(clock: &Clock, id: TimerId) -> Self {
        Self(Some((clock.clone(), id)))
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some((clock, id)) = &self.0 else { return Poll::Ready(()) };
        // A waker is somebody else's code: it is cloned before the lock is taken and dropped after it.
        let mut waker = Some(cx.waker().clone());
        let waits = match clock.0.time.state.lock().timers.waker(*id) {
            Some(stored) => {
                std::mem::swap(stored, &mut waker);
                true
            }
            None => false,
        };
        drop(waker);
        if waits {
            return Poll::Pending;
        }
        self.0 = None;
        Poll::Ready(())
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some((clock, id)) = self.0.take() {
            clock.cancel(id);
        }
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("over", &self.0.is_none()).finish()
    }
}
