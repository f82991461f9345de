//! A test on a thread of its own, so that one that hangs fails by name, and the others go on.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// The least time that nothing need happen until a test counts as hanging.
const LEAST: Duration = Duration::from_secs(10);

/// How long nothing need happen until a test counts as hanging, of a kit that waits so long for a callback. It ends a hang;
/// no passing case waits for a time.
pub(super) fn patience(callback: Duration) -> Duration {
    callback.saturating_mul(2).max(LEAST)
}

thread_local! {
    /// What the test of this thread has done so far.
    static BEATS: RefCell<Arc<AtomicU64>> = RefCell::default();
}

/// The test of this thread goes on: it calls an entry, or waits for something, which it does not do for ever.
pub(super) fn beat() {
    BEATS.with_borrow(|beats| beats.fetch_add(1, Ordering::Relaxed));
}

/// What the test gives; `None` of one that does nothing any more, which keeps its thread.
pub(super) fn on_a_thread<T: Send + 'static>(
    name: String,
    patience: Duration,
    test: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let beats = Arc::<AtomicU64>::default();
    let (sender, receiver) = mpsc::channel();
    let shown = beats.clone();
    let body = move || {
        BEATS.set(shown);
        // Nobody listens to one that was given up.
        let _ = sender.send(test());
    };
    let thread = thread::Builder::new().name(name).spawn(body).expect("a thread for a test");
    let mut before = None;
    loop {
        match receiver.recv_timeout(patience) {
            Ok(result) => {
                thread.join().expect("the test is over");
                return Some(result);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => unreachable!("a test contains its panics"),
        }
        let now = Some(beats.load(Ordering::Relaxed));
        if now == before {
            return None;
        }
        before = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_hangs_is_given_up_and_another_is_not() {
        let (keep, never) = mpsc::channel::<()>();
        let hang = move || never.recv().is_ok();
        assert_eq!(on_a_thread("hangs".into(), Duration::from_millis(10), hang), None);
        drop(keep);
        assert_eq!(on_a_thread("works".into(), LEAST, || 7), Some(7));
    }
}
