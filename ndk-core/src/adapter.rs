//! The adapter: an opened device of a backend, from which everything else is made.

use crate::abi::{
    NDK_ADAPTER, NDK_ADAPTER_INFO, NDK_FN_CREATE_COMPLETION, NDK_OBJECT_HEADER,
    NDK_OBJECT_HEADER_RESERVED_BLOCK, NDK_PD, NDK_VERSION, NdkObjectTypeAdapter, PVOID,
    STATUS_SUCCESS,
};
use crate::capabilities::Capabilities;
use crate::completion::CreateCompletion;
use crate::contain::contain;
use crate::dispatch;
use crate::domain::{Domain, DomainRef};
use crate::error::{Error, ErrorKind, Result};
use crate::executor::{Executor, Task};
use crate::extension::NDKMR_CAPABILITIES;
use crate::job::{self, Started};
use crate::platform::{Platform, Waits};
use crate::provider::AdapterProvider;
use crate::region::Progress;
use crate::sync::{AtomicU64, CShared, Mutex, Ordering, Refs};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ptr::NonNull;
use slab::Slab;

/// The object behind an `NDK_ADAPTER`, which is its first field.
#[repr(C)]
pub(crate) struct Adapter<A: AdapterProvider, P: Platform> {
    ndk: CShared<NDK_ADAPTER>,
    /// One for each domain, and short ones. The opener holds none: its close waits for zero.
    refs: Refs,
    ids: AtomicU64,
    version: NDK_VERSION,
    info: NDK_ADAPTER_INFO,
    declared: NDKMR_CAPABILITIES,
    name: String,
    domains: Mutex<P, Slab<NonNull<Domain<A, P>>>>,
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
    pub(crate) fn spawn(&self, task: Task) {
        self.refs.add();
        // A panicking executor drops the task, which completes its request (B9).
        let _ = contain("the executor", self.name(), || self.executor.spawn(task));
        // SAFETY: the reference taken above.
        unsafe { Self::release(NonNull::from(self)) };
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
        if let (true, true) = unsafe { adapter.as_ref() }.refs.release_and_see() {
            P::wake(adapter.addr().get());
        }
    }

    /// Ends the adapter, which nothing holds any more.
    fn shut_down(self) {
        let Adapter { name, provider, executor, .. } = self;
        let _ = contain("shut-down", &name, || provider.shut_down());
        let _ = contain("dropping the backend", &name, || drop(provider));
        let _ = contain("dropping the executor", &name, || drop(executor));
    }

    /// The names of what was never closed.
    fn live_children(&self) -> Vec<String> {
        let mut names = Vec::new();
        for (_, domain) in self.domains.lock().iter() {
            // SAFETY: a domain takes itself off the list, under this lock, before it is freed.
            let domain = unsafe { domain.as_ref() };
            let name = format!("{}", domain.name());
            names.extend(domain.live_children().into_iter().map(|child| format!("{name}/{child}")));
            names.push(name);
        }
        names
    }
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
            unsafe { self.log_failure("create domain", &refused) };
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
        let provider = adapter.provider();
        let started = job::start(
            "create domain",
            move || provider.create_pd(),
            move |result: Result<Result<A::Pd>>| {
                // SAFETY: the reference taken above.
                let result = unsafe { self.created(result.and_then(|made| made)) };
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
                let result = unsafe { self.created(result.and_then(|made| made)) };
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
                adapter.spawn(task);
                Ok(Ok(Progress::Pending))
            }
        }
    }

    /// # Safety
    /// The caller holds a reference to the adapter.
    unsafe fn created(self, result: Result<A::Pd>) -> Result<DomainRef<A, P>> {
        let provider = result?;
        // SAFETY: the caller's promise.
        let adapter = unsafe { self.get() };
        adapter.refs.add();
        let id = adapter.next_id();
        let mut domains = adapter.domains.lock();
        let place = domains.vacant_entry();
        let domain = DomainRef::allocate(self.0, (id, place.key()), adapter.version, provider);
        place.insert(domain.as_ndk().cast());
        Ok(domain)
    }
}

/// An adapter's opener: owns the adapter, and closes it.
///
/// Dropped without a close, it frees the adapter where nothing of it is left open, and else leaks it with a log line
/// that names what is open: a drop cannot wait.
pub struct Opened<A: AdapterProvider, P: Platform> {
    adapter: AdapterRef<A, P>,
}

/// A close that was refused, with the adapter still open.
pub struct CloseRefused<A: AdapterProvider, P: Platform> {
    /// The adapter, as it was.
    pub adapter: Opened<A, P>,
    /// Why.
    pub error: Error,
}

impl<A: AdapterProvider, P: Platform> Opened<A, P> {
    /// Opens a backend's device for a version of NDK: the same major with a minor up to the backend's highest gives
    /// that highest minor (A8). `executor` runs what pends.
    ///
    /// # Errors
    /// NDIS_STATUS_BAD_VERSION for another version; DEVICE_REMOVED where the device is gone already.
    pub fn new(provider: A, executor: Arc<dyn Executor>, version: NDK_VERSION) -> Result<Self> {
        let name = String::from(provider.name());
        let Some(minor) =
            provider.highest_minor(version.Major).filter(|&highest| version.Minor <= highest)
        else {
            let asked = format!("NDK {}.{} is not served", version.Major, version.Minor);
            let error = Error::new(ErrorKind::BadVersion, asked).rule("A8");
            log::warn!("{name}: open refused: {error}");
            let _ = contain("shut-down", &name, || provider.shut_down());
            return Err(error);
        };
        let version = NDK_VERSION { Major: version.Major, Minor: minor };
        let declared = NDKMR_CAPABILITIES::from(&provider.capabilities());
        let mut info = provider.info();
        info.Version = version;
        let header = NDK_OBJECT_HEADER {
            Version: version,
            ObjectType: NdkObjectTypeAdapter,
            NdkReserved: NDK_OBJECT_HEADER_RESERVED_BLOCK::ZEROED,
        };
        let adapter = Box::new(Adapter {
            ndk: CShared::new(NDK_ADAPTER {
                Header: header,
                Dispatch: dispatch::adapter::table::<A, P>(),
            }),
            refs: Refs::new(0),
            ids: AtomicU64::new(1),
            version,
            info,
            declared,
            name,
            domains: Mutex::new(Slab::new()),
            executor,
            provider,
        });
        if let Err(error) = adapter.check_device() {
            adapter.shut_down();
            return Err(error);
        }
        // SAFETY: a box is not null.
        Ok(Self { adapter: AdapterRef(unsafe { NonNull::new_unchecked(Box::into_raw(adapter)) }) })
    }

    /// The adapter, to use; valid until the close.
    pub fn adapter(&self) -> AdapterRef<A, P> {
        self.adapter
    }

    /// What the device can do.
    pub fn capabilities(&self) -> Capabilities {
        self.shared().provider.capabilities()
    }

    /// The backend.
    pub fn provider(&self) -> &A {
        &self.shared().provider
    }

    fn shared(&self) -> &Adapter<A, P> {
        // SAFETY: the opener owns the adapter; it is open until the close takes the opener.
        unsafe { self.adapter.get() }
    }

    /// Closes the adapter where nothing of it is open any more, without waiting.
    ///
    /// # Errors
    /// DEVICE_BUSY with the adapter, where something is.
    pub fn try_close(self) -> core::result::Result<(), CloseRefused<A, P>> {
        let shared = self.shared();
        if !shared.refs.close_if_unused() {
            let open = format!("still open: {}", shared.live_children().join(", "));
            let error = Error::new(ErrorKind::DeviceBusy, open).rule("H5");
            return Err(CloseRefused { adapter: self, error });
        }
        self.free();
        Ok(())
    }

    /// Closes the adapter: blocks until every callback of every descendant has returned and nothing holds the
    /// adapter any more (H5). Children that are never closed make it wait for ever; their names are logged.
    ///
    /// # Errors
    /// INVALID_DEVICE_STATE with the adapter, where it is called inside a callback of one of its descendants.
    pub fn close(self) -> core::result::Result<(), CloseRefused<A, P>>
    where
        P: Waits,
    {
        let shared = self.shared();
        if P::in_callback(shared.key()) {
            let cause = "the adapter's close was called inside a callback of its own, and would wait for itself";
            let error = Error::new(ErrorKind::InvalidDeviceState, cause).rule("H5");
            log::error!("{}: close refused: {error}", shared.name());
            return Err(CloseRefused { adapter: self, error });
        }
        shared.refs.start_close();
        let mut waits = 0_u32;
        while shared.refs.count() > 0 {
            P::wait(shared.key(), &|| shared.refs.count() > 0);
            // A wait that was not cut short took about a second: say so after 1, 2, 4, ... of them.
            waits += 1;
            if shared.refs.count() > 0 && waits.is_power_of_two() {
                let open = shared.live_children();
                log::warn!(
                    "{}: close waits for what is still open: {} [H5]",
                    shared.name(),
                    open.join(", ")
                );
            }
        }
        self.free();
        Ok(())
    }

    /// Frees the adapter. Nothing holds it, and the closing flag keeps it so.
    fn free(self) {
        let adapter = self.adapter.0;
        core::mem::forget(self);
        // SAFETY: no reference is left and the opener is consumed, so the box is this call's.
        let adapter = unsafe { Box::from_raw(adapter.as_ptr()) };
        adapter.shut_down();
    }
}

impl<A: AdapterProvider, P: Platform> Drop for Opened<A, P> {
    fn drop(&mut self) {
        let shared = self.shared();
        if shared.refs.close_if_unused() {
            Self { adapter: self.adapter }.free();
        } else {
            let open = shared.live_children();
            log::error!(
                "{}: dropped while open, and leaked: {} [H5]",
                shared.name(),
                open.join(", ")
            );
        }
    }
}

impl<A: AdapterProvider, P: Platform> core::fmt::Debug for AdapterRef<A, P> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("AdapterRef").field(&self.0).finish()
    }
}

impl<A: AdapterProvider, P: Platform> core::fmt::Debug for Opened<A, P> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Opened").field("name", &self.shared().name).finish_non_exhaustive()
    }
}

impl<A: AdapterProvider, P: Platform> core::fmt::Debug for CloseRefused<A, P> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("CloseRefused").field("error", &self.error).finish_non_exhaustive()
    }
}
