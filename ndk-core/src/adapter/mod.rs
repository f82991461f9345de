//! The adapter: an opened device of a backend, from which everything else is made.

mod opened;
pub(crate) mod watched;

use crate::abi::{
    NDK_ADAPTER, NDK_ADAPTER_INFO, NDK_FN_CREATE_COMPLETION, NDK_PD, NDK_VERSION, PVOID,
    STATUS_SUCCESS,
};
use crate::capabilities::Capabilities;
use crate::completion::CreateCompletion;
use crate::contain::contain;
use crate::domain::{Domain, DomainRef};
use crate::error::{Error, ErrorKind, Result};
use crate::executor::{Executor, Task};
use crate::extension::NDKMR_CAPABILITIES;
use crate::job::{self, Dropped, Started};
use crate::platform::Platform;
use crate::provider::{AdapterProvider, Event};
use crate::region::Progress;
use crate::sync::{AtomicU64, CShared, Mutex, Ordering, Refs};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ptr::NonNull;
pub use opened::{CloseRefused, Opened};
use slab::Slab;
pub(crate) use watched::Kept;

/// The object behind an `NDK_ADAPTER`, which is its first field.
#[repr(C)]
pub(crate) struct Adapter<A: AdapterProvider, P: Platform> {
    ndk: CShared<NDK_ADAPTER>,
    /// One for each domain, and short ones. The opener holds none: its close waits for zero.
    refs: Refs,
    ids: AtomicU64,
    version: NDK_VERSION,
    info: NDK_ADAPTER_INFO,
    capabilities: Capabilities,
    /// The same in C.
    declared: NDKMR_CAPABILITIES,
    name: String,
    domains: Mutex<P, Slab<NonNull<Domain<A, P>>>>,
    /// Whether the backend has a watch.
    watched: bool,
    /// The memory of closed objects, where it has.
    closed: Mutex<P, watched::Closed>,
    executor: Arc<dyn Executor>,
    provider: A,
}

impl<A: AdapterProvider, P: Platform> Adapter<A, P> {
    pub(crate) fn provider(&self) -> &'static A
    where
        A: 'static,
    {
        // SAFETY: the lifetime is erased for futures that the framework keeps; each holds a reference to a domain
        // of this adapter, or to the adapter, and is dropped before it lets that go.
        unsafe { &*core::ptr::from_ref(&self.provider) }
    }

    pub(crate) fn info(&self) -> &NDK_ADAPTER_INFO {
        &self.info
    }

    /// The backend's declaration in C.
    pub(crate) fn declared(&self) -> &NDKMR_CAPABILITIES {
        &self.declared
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The number by which the platform knows this adapter.
    pub(crate) fn key(&self) -> usize {
        core::ptr::from_ref(self).addr()
    }

    pub(crate) fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn is_lost(&self) -> bool {
        // A panic of the question itself says nothing of the device.
        contain("the device's state", self.name(), || self.provider.is_lost()).unwrap_or(false)
    }

    pub(crate) fn check_device(&self) -> Result<()> {
        if self.is_lost() {
            return Err(Error::new(ErrorKind::DeviceRemoved, "the device is gone").rule("H8"));
        }
        Ok(())
    }

    /// Takes a reference for a request, unless the adapter is being closed.
    pub(crate) fn enter(&self) -> Result<()> {
        if !self.refs.enter() {
            return Err(
                Error::new(ErrorKind::InvalidDeviceState, "the adapter is being closed").rule("H5")
            );
        }
        Ok(())
    }

    /// Gives a task to the executor. The adapter lives until the executor's `spawn` has returned, although the task
    /// may be over by then and everything closed (H5).
    ///
    /// # Safety
    /// The caller holds a reference, which may be the task's to let go. The adapter may be gone afterwards.
    pub(crate) unsafe fn spawn(adapter: NonNull<Self>, task: Task) {
        // SAFETY: the caller's reference, then the one taken here. No borrow is left when it goes.
        unsafe {
            let shared = adapter.as_ref();
            shared.refs.add();
            // A panicking executor drops the task, which completes its request (B9).
            let _ = contain("the executor", shared.name(), || shared.executor.spawn(task));
            Self::release(adapter);
        }
    }

    pub(crate) fn forget_child(&self, child: usize) {
        self.domains.lock().remove(child);
    }

    /// Lets a reference go, and wakes a close that waits for it.
    ///
    /// # Safety
    /// The caller holds the reference. The adapter may be gone afterwards.
    pub(crate) unsafe fn release(adapter: NonNull<Self>) {
        // SAFETY: the caller's reference.
        if let (true, true) = unsafe { Refs::release_and_see(&raw const (*adapter.as_ptr()).refs) }
        {
            P::wake(adapter.addr().get());
        }
    }

    /// The names of what was never closed.
    fn live_children(&self) -> Vec<String> {
        self.left_open().into_iter().map(|left| left.name).collect()
    }

    /// What was never closed, or whose close is not over.
    fn left_open(&self) -> Vec<Left> {
        let mut left = Vec::new();
        for (_, domain) in self.domains.lock().iter() {
            // SAFETY: a domain takes itself off the list, under this lock, before it is freed.
            left.extend(unsafe { domain.as_ref() }.left_open());
        }
        left
    }
}

/// An object that is open.
pub(crate) struct Left {
    pub(crate) id: u64,
    pub(crate) name: String,
    /// Close was called, and is not over.
    pub(crate) closing: bool,
}

/// A pointer to an adapter of the framework, as an `NDK_ADAPTER` pointer is one: valid until its opener closes it.
pub struct AdapterRef<A: AdapterProvider, P: Platform>(NonNull<Adapter<A, P>>);

impl<A: AdapterProvider, P: Platform> Clone for AdapterRef<A, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A: AdapterProvider, P: Platform> Copy for AdapterRef<A, P> {}

// SAFETY: an adapter is used from any thread: its counts are atomic, its list behind a lock, executor and backend
// are Send + Sync, and the rest is written once, before the pointer leaves.
unsafe impl<A: AdapterProvider, P: Platform> Send for AdapterRef<A, P> {}
// SAFETY: as for Send; the pointer itself has no state.
unsafe impl<A: AdapterProvider, P: Platform> Sync for AdapterRef<A, P> {}

impl<A: AdapterProvider, P: Platform> AdapterRef<A, P> {
    /// The adapter behind an `NDK_ADAPTER` pointer of this framework.
    ///
    /// # Safety
    /// `adapter` was given out by this framework for these types, and is not closed.
    pub unsafe fn from_ndk(adapter: NonNull<NDK_ADAPTER>) -> Self {
        Self(adapter.cast())
    }

    /// The C object.
    pub fn as_ndk(self) -> NonNull<NDK_ADAPTER> {
        self.0.cast()
    }

    /// # Safety
    /// The adapter is open while the reference is used.
    pub(crate) unsafe fn get<'r>(self) -> &'r Adapter<A, P> {
        // SAFETY: the caller's promise; no `&mut` to an adapter is made while it is open.
        unsafe { self.0.as_ref() }
    }

    /// The number by which the platform knows this adapter.
    pub(crate) fn key(self) -> usize {
        self.0.addr().get()
    }

    /// # Safety
    /// As for [`Adapter::spawn`].
    pub(crate) unsafe fn spawn(self, task: Task) {
        // SAFETY: the caller's promise.
        unsafe { Adapter::spawn(self.0, task) };
    }

    /// # Safety
    /// As for [`Adapter::release`].
    pub(crate) unsafe fn release(self) {
        // SAFETY: the caller's promise.
        unsafe { Adapter::release(self.0) };
    }

    /// The device's attributes, with the version that was opened.
    ///
    /// # Safety
    /// The adapter is open.
    pub unsafe fn info(self) -> NDK_ADAPTER_INFO {
        // SAFETY: the caller's promise.
        unsafe { self.get() }.info
    }

    /// Makes a protection domain. C entry: `NdkCreatePd`, whose statuses it gives. A success stores the object
    /// through `out` and calls nothing; a creation that pends delivers it by `routine` only (A1).
    ///
    /// # Errors
    /// INVALID_PARAMETER (A7; a null `out`), INVALID_DEVICE_STATE (the adapter is being closed), DEVICE_REMOVED
    /// (H8), and what the backend gives: INSUFFICIENT_RESOURCES.
    ///
    /// # Safety
    /// The adapter is open; `out` is null or may be written until the call returns; `routine` may be called once
    /// with `context` from any thread.
    pub unsafe fn create_pd(
        self,
        routine: Option<NDK_FN_CREATE_COMPLETION>,
        context: PVOID,
        out: *mut *mut NDK_PD,
    ) -> Result<Progress> {
        // SAFETY: the caller's promises.
        let begun = unsafe { self.begin_create(routine, context, out) };
        begun.unwrap_or_else(|refused| {
            // SAFETY: what is refused has taken no reference, and the adapter is as open as before.
            unsafe { self.log_refusal("create domain", &refused) };
            Err(refused)
        })
    }

    /// # Safety
    /// The adapter is alive.
    #[cold]
    pub(crate) unsafe fn log_failure(self, what: &str, error: &Error) {
        // SAFETY: the caller's promise.
        log::warn!("{}: {what} failed: {error}", unsafe { self.get() }.name());
    }

    /// As `log_failure`, for what the framework refused; the watch hears of it too.
    ///
    /// # Safety
    /// The adapter is alive.
    #[cold]
    pub(crate) unsafe fn log_refusal(self, call: &str, error: &Error) {
        // SAFETY: the caller's promise.
        unsafe {
            self.log_failure(call, error);
            let _ = self.see(Event::Refused { call, error });
        }
    }

    /// # Safety
    /// The adapter is alive.
    pub(crate) unsafe fn see(self, event: Event<'_>) -> Result<()> {
        // SAFETY: the caller's promise.
        let adapter = unsafe { self.get() };
        adapter.see(0, &adapter.name(), event)
    }

    /// # Safety
    /// As for `create_pd`.
    unsafe fn begin_create(
        self,
        routine: Option<NDK_FN_CREATE_COMPLETION>,
        context: PVOID,
        out: *mut *mut NDK_PD,
    ) -> Result<Result<Progress>> {
        // SAFETY: the caller's promises.
        let (adapter, done) = unsafe { (self.get(), CreateCompletion::new(routine, context)?) };
        if out.is_null() {
            return Err(
                Error::new(ErrorKind::InvalidParameter, "the out pointer is null").rule("A1")
            );
        }
        adapter.check_device()?;
        adapter.enter()?;
        let (provider, origin) = (adapter.provider(), adapter.origin());
        let started = job::start(
            "create domain",
            Dropped::Cancelled,
            move || provider.create_pd(),
            move |result: Result<Result<A::Pd>>| {
                // SAFETY: the reference taken above.
                let result = unsafe { self.created(origin, result.and_then(|made| made)) };
                let object = result
                    .as_ref()
                    .map_or(core::ptr::null_mut(), |domain| domain.as_ndk().as_ptr().cast());
                let status = result.as_ref().map_or_else(Error::status, |_| STATUS_SUCCESS);
                done.call::<P>(self.key(), status, object);
                // SAFETY: the request's own reference.
                unsafe { self.release() };
            },
        );
        match started {
            Started::Ready(result) => {
                // SAFETY: the request's reference, let go after its last use; `out` as the caller promised.
                let result = unsafe { self.created(origin, result.and_then(|made| made)) };
                // SAFETY: as above.
                unsafe {
                    match &result {
                        Ok(domain) => out.write(domain.as_ndk().as_ptr()),
                        Err(error) => self.log_failure("create domain", error),
                    }
                    self.release();
                }
                Ok(result.map(|_| Progress::Done))
            }
            Started::Pending(task) => {
                // SAFETY: the request's own reference, which its task lets go.
                unsafe { self.spawn(task) };
                Ok(Ok(Progress::Pending))
            }
        }
    }

    /// # Safety
    /// The caller holds a reference to the adapter.
    unsafe fn created(self, origin: u64, result: Result<A::Pd>) -> Result<DomainRef<A, P>> {
        let provider = result?;
        // SAFETY: the caller's promise.
        let adapter = unsafe { self.get() };
        adapter.refs.add();
        let id = adapter.next_id();
        let domain = {
            let mut domains = adapter.domains.lock();
            let place = domains.vacant_entry();
            let domain = DomainRef::allocate(self.0, (id, place.key()), adapter.version, provider);
            place.insert(domain.as_ndk().cast());
            domain
        };
        // SAFETY: nobody has the domain yet.
        let _ = unsafe { domain.see(Event::Made(origin)) };
        Ok(domain)
    }
}

impl<A: AdapterProvider, P: Platform> core::fmt::Debug for AdapterRef<A, P> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("AdapterRef").field(&self.0).finish()
    }
}
