//! A lock for the data path: taken by one locked instruction, and let go by none.
//!
//! A lock that lets its waiters sleep has to ask for them when it is let go, which costs as much as taking it. These
//! locks are held for as long as a request is carried out, and most often nobody else wants them; who does tries again,
//! and gives its time away meanwhile.

use parking_lot::lock_api::{self, GuardNoSend, RawMutex};
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) type Lock<T> = lock_api::Mutex<Raw, T>;

/// How often a waiter looks before it lets other threads run.
const PATIENCE: u32 = 100;

#[derive(Debug)]
pub(crate) struct Raw(AtomicBool);

// SAFETY: who has changed the value from false to true is alone until it changes it back.
unsafe impl RawMutex for Raw {
    const INIT: Self = Self(AtomicBool::new(false));
    type Guard = GuardNoSend;

    #[inline]
    fn lock(&self) -> GuardNoSend {
        self.try_lock().unwrap_or_else(|| self.wait())
    }

    #[inline]
    fn try_lock(&self) -> Option<GuardNoSend> {
        (!self.0.swap(true, Ordering::Acquire)).then_some(GuardNoSend::new())
    }

    #[inline]
    unsafe fn unlock(&self, _: GuardNoSend) {
        self.0.store(false, Ordering::Release);
    }

    fn is_locked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Raw {
    #[cold]
    fn wait(&self) -> GuardNoSend {
        loop {
            let free = (0..PATIENCE).any(|_| {
                std::hint::spin_loop();
                !self.is_locked()
            });
            match free {
                true => {
                    if let Some(guard) = self.try_lock() {
                        return guard;
                    }
                }
                false => std::thread::yield_now(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn one_thread_is_inside_at_a_time() {
        let sum = Lock::new(0_u64);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for round in 0..2_000 {
                        let mut sum = sum.lock();
                        let before = *sum;
                        if round % 100 == 0 {
                            thread::yield_now();
                        }
                        *sum = before + 1;
                    }
                });
            }
        });
        assert_eq!(*sum.lock(), 8_000);
    }

    #[test]
    fn a_panic_lets_it_go() {
        let lock = Lock::new(());
        let inside = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _held = lock.lock();
            assert!(lock.try_lock().is_none());
            std::panic::panic_any(());
        }));
        assert!(inside.is_err() && lock.try_lock().is_some());
    }
}
