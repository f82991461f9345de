//! Atomics, cells and locks, in one place, so that loom models and targets without `std` can replace them.
//!
//! Nothing else in the framework names `core::sync::atomic`, `UnsafeCell` or a lock, but what no model has: the bytes of a
//! hosted buffer, and the verifier's counts.

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::AtomicU64;
pub(crate) use core::sync::atomic::Ordering;
#[cfg(loom)]
pub(crate) use modelled::AtomicU64;

use crate::platform::Platform;

#[cfg(loom)]
mod modelled {
    extern crate std;

    /// In a model an atomic stands for the object it is a field of: that is freed once, and what any thread did with
    /// the atomic happens before. So loom finds a leaked object, and a count whose ordering is too weak to free by.
    pub(crate) struct AtomicU64 {
        value: loom::sync::atomic::AtomicU64,
        _leak: loom::alloc::Track<()>,
    }

    impl AtomicU64 {
        #[track_caller]
        pub(crate) fn new(value: u64) -> Self {
            let value = loom::sync::atomic::AtomicU64::new(value);
            Self { value, _leak: loom::alloc::Track::new(()) }
        }
    }

    impl core::ops::Deref for AtomicU64 {
        type Target = loom::sync::atomic::AtomicU64;

        fn deref(&self) -> &Self::Target {
            &self.value
        }
    }

    impl Drop for AtomicU64 {
        fn drop(&mut self) {
            // A model that failed already is not to fail in its unwinding, too: that would hide why.
            if !std::thread::panicking() {
                self.value.with_mut(|_| ());
            }
        }
    }
}

/// A cell whose users promise exclusive access by a protocol of their own; under loom the promise is checked.
#[cfg(not(loom))]
#[repr(transparent)]
pub(crate) struct Cell<T>(core::cell::UnsafeCell<T>);

#[cfg(not(loom))]
impl<T> Cell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(core::cell::UnsafeCell::new(value))
    }

    /// Lends the pointer for an exclusive access; the caller dereferences it, and answers for that.
    pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}

#[cfg(loom)]
pub(crate) struct Cell<T>(loom::cell::UnsafeCell<T>);

#[cfg(loom)]
impl<T> Cell<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::cell::UnsafeCell::new(value))
    }

    pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        self.0.with_mut(f)
    }
}

/// A lock of the platform. Never held across a callback or a backend's code.
pub(crate) struct Mutex<P: Platform, T> {
    #[cfg(not(loom))]
    inner: lock_api::Mutex<P::RawMutex, T>,
    #[cfg(loom)]
    inner: loom::sync::Mutex<T>,
    #[cfg(loom)]
    _platform: core::marker::PhantomData<fn() -> P>,
}

impl<P: Platform, T> Mutex<P, T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            #[cfg(not(loom))]
            inner: lock_api::Mutex::new(value),
            #[cfg(loom)]
            inner: loom::sync::Mutex::new(value),
            #[cfg(loom)]
            _platform: core::marker::PhantomData,
        }
    }

    #[cfg(not(loom))]
    pub(crate) fn lock(&self) -> impl core::ops::DerefMut<Target = T> + '_ {
        self.inner.lock()
    }

    #[cfg(loom)]
    pub(crate) fn lock(&self) -> impl core::ops::DerefMut<Target = T> + '_ {
        self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Memory that C code writes too: the NDK structure at the start of an object. Never tracked by loom, whose cells
/// would change the layout; the framework writes it once, before the pointer leaves, and then reads single fields.
#[repr(transparent)]
pub(crate) struct CShared<T>(core::cell::UnsafeCell<T>);

impl<T> CShared<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(core::cell::UnsafeCell::new(value))
    }
}

/// Subtracts from an atomic that another thread may free as soon as it has seen the difference, and gives the value
/// before, as the standard library's `Arc` lets a reference go: the borrow that the method takes ends inside of it, and
/// an atomic has no part that an outliving borrow would protect.
///
/// # Safety
/// The atomic is alive until the subtraction.
#[inline]
pub(crate) unsafe fn subtract(atomic: *const AtomicU64, by: u64) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { (*atomic).fetch_sub(by, Ordering::AcqRel) }
}

/// Stands between two sequentially consistent accesses to different atomics, of which the first has to come first for
/// everybody. They do so anyway, but not in a model, which knows them as acquiring and releasing.
#[inline(always)]
pub(crate) fn between_seq_cst() {
    #[cfg(loom)]
    loom::sync::atomic::fence(Ordering::SeqCst);
}

/// Lets another thread go on, of which something is waited for that it does soon.
pub(crate) fn yield_now() {
    #[cfg(loom)]
    loom::thread::yield_now();
    #[cfg(all(feature = "std", not(loom)))]
    {
        extern crate std;
        std::thread::yield_now();
    }
    #[cfg(not(any(feature = "std", loom)))]
    core::hint::spin_loop();
}

const CLOSING: u64 = 1 << 63;

/// A count of who needs an object, and whether it is being closed.
pub(crate) struct Refs(AtomicU64);

impl Refs {
    pub(crate) fn new(count: u64) -> Self {
        Self(AtomicU64::new(count))
    }

    /// Takes a reference unless the object is being closed.
    pub(crate) fn enter(&self) -> bool {
        let mut now = self.0.load(Ordering::Acquire);
        loop {
            if now & CLOSING != 0 {
                return false;
            }
            match self.0.compare_exchange_weak(now, now + 1, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(seen) => now = seen,
            }
        }
    }

    /// Takes a reference by the right of one that is held.
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Lets a reference go; true where it was the last. The object may be gone already where it was not.
    ///
    /// # Safety
    /// The caller holds the reference. It is a pointer, so that no borrow outlives what another thread may free.
    pub(crate) unsafe fn release(refs: *const Self) -> bool {
        // SAFETY: the caller's promise.
        unsafe { Self::release_and_see(refs) }.0
    }

    /// As `release`, and says whether the object is being closed.
    ///
    /// # Safety
    /// As for `release`.
    pub(crate) unsafe fn release_and_see(refs: *const Self) -> (bool, bool) {
        // SAFETY: the caller's promise.
        let before = unsafe { subtract(&raw const (*refs).0, 1) };
        (before & !CLOSING == 1, before & CLOSING != 0)
    }

    /// Marks the object as closing; false where it was already.
    pub(crate) fn start_close(&self) -> bool {
        self.0.fetch_or(CLOSING, Ordering::AcqRel) & CLOSING == 0
    }

    /// Marks an object that nobody needs as closing; false, and nothing done, where somebody does.
    pub(crate) fn close_if_unused(&self) -> bool {
        match self.0.compare_exchange(0, CLOSING, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => true,
            Err(seen) => seen == CLOSING,
        }
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.0.load(Ordering::Acquire) & CLOSING != 0
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Acquire) & !CLOSING
    }
}
