//! What the framework asks of the system it runs on: a lock, a way to wait, and a note of which thread is in a callback.

/// The system under the framework. `Std` is the one for programs with an operating system.
///
/// # For implementors
/// - `RawMutex` may spin, since no lock of the framework is held for longer than a few instructions or an allocation, or
///   across foreign code. Only an adapter's close that waits names what is open under one.
/// - `wake` pairs with [`Waits::wait`]. A platform that cannot wait leaves it empty.
/// - `enter_callback` and `leave_callback` nest, on one thread.
pub trait Platform: Send + Sync + 'static {
    /// The lock.
    type RawMutex: lock_api::RawMutex + Send + Sync + 'static;

    /// Wakes every thread that waits on `key`. The key is a number only: what it stood for may be gone.
    fn wake(_key: usize) {}

    /// Notes that this thread starts a consumer's callback for an object of adapter `key`.
    fn enter_callback(_key: usize) {}

    /// Notes that the callback has returned.
    fn leave_callback(_key: usize) {}

    /// Whether this thread is inside a callback for an object of adapter `key` (rule H5). A platform that cannot
    /// tell answers no, and a consumer that closes its adapter from a callback then waits for itself.
    fn in_callback(_key: usize) -> bool {
        false
    }
}

/// A platform on which a thread can wait; the blocking close of an adapter needs it.
pub trait Waits: Platform {
    /// Waits until `wake(key)` is called or about a second has passed; returns at once where `still` answers no.
    ///
    /// `still` must be asked in such a way that a wake between the question and the sleep is not lost.
    fn wait(key: usize, still: &dyn Fn() -> bool);
}

#[cfg(feature = "std")]
pub use hosted::Std;

#[cfg(feature = "std")]
mod hosted {
    extern crate std;
    use super::{Platform, Waits};
    use parking_lot_core::{DEFAULT_PARK_TOKEN, DEFAULT_UNPARK_TOKEN};
    use std::cell::RefCell;
    use std::time::{Duration, Instant};
    use std::vec::Vec;

    /// Programs with an operating system: parking_lot's lock and parking, a thread-local note of callbacks.
    #[derive(Debug)]
    pub struct Std;

    std::thread_local! {
        static CALLBACKS: RefCell<Callbacks> = const { RefCell::new(Callbacks::NONE) };
    }

    /// The adapters in whose callbacks a thread is: the first few without an allocation, since callbacks inside
    /// callbacks are rare.
    struct Callbacks {
        open: usize,
        first: [usize; Callbacks::FEW],
        more: Vec<usize>,
    }

    impl Callbacks {
        const FEW: usize = 8;
        const NONE: Self = Self { open: 0, first: [0; Self::FEW], more: Vec::new() };

        fn push(&mut self, key: usize) {
            match self.first.get_mut(self.open) {
                Some(place) => *place = key,
                None => self.more.push(key),
            }
            self.open += 1;
        }

        fn pop(&mut self) {
            self.open -= 1;
            self.more.truncate(self.open.saturating_sub(Self::FEW));
        }

        fn contains(&self, key: usize) -> bool {
            let first = &self.first[..self.open.min(Self::FEW)];
            first.contains(&key) || self.more.contains(&key)
        }
    }

    impl Platform for Std {
        type RawMutex = parking_lot::RawMutex;

        fn wake(key: usize) {
            // SAFETY: the key is an address of an object of the framework, so nobody else parks on it, and the
            // closure given here and those given in `wait` do not call into parking_lot.
            unsafe { parking_lot_core::unpark_all(key, DEFAULT_UNPARK_TOKEN) };
        }

        fn enter_callback(key: usize) {
            // A thread that is being torn down has no note left to write to; it cannot close an adapter either.
            let _ = CALLBACKS.try_with(|open| open.borrow_mut().push(key));
        }

        fn leave_callback(_key: usize) {
            let _ = CALLBACKS.try_with(|open| open.borrow_mut().pop());
        }

        fn in_callback(key: usize) -> bool {
            CALLBACKS.try_with(|open| open.borrow().contains(key)).unwrap_or(false)
        }
    }

    impl Waits for Std {
        fn wait(key: usize, still: &dyn Fn() -> bool) {
            let limit = Instant::now() + Duration::from_secs(1);
            // SAFETY: as in `wake`; `still` only loads an atomic. The validation runs under the parking lot's
            // own lock, which `wake` takes too, so a wake in between is not lost.
            unsafe {
                parking_lot_core::park(
                    key,
                    still,
                    || (),
                    |_, _| (),
                    DEFAULT_PARK_TOKEN,
                    Some(limit),
                );
            }
        }
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::{Platform, Std};

    #[test]
    fn a_thread_knows_in_whose_callbacks_it_is_however_deep() {
        let inside = || (1..=20).filter(|&key| Std::in_callback(key)).count();
        for depth in 1..=20 {
            Std::enter_callback(depth);
            assert_eq!(inside(), depth);
        }
        for depth in (0..20).rev() {
            Std::leave_callback(depth + 1);
            assert_eq!((inside(), Std::in_callback(depth + 1)), (depth, false));
        }
    }
}
