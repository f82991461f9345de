//! The creation of a region in a domain.

use super::{Child, DomainRef};
use crate::abi::{NDK_FN_CREATE_COMPLETION, NDK_MR, PVOID, STATUS_SUCCESS};
use crate::completion::CreateCompletion;
use crate::contain::{Panicked, contain, panicked};
use crate::dispatch;
use crate::domain::Domain;
use crate::error::{Error, ErrorKind, Result};
use crate::job::{self, Dropped, Started};
use crate::platform::Platform;
use crate::provider::{AdapterProvider, Event, RegionKind};
use crate::region::{Progress, RegionRef};

impl<A: AdapterProvider, P: Platform> DomainRef<A, P> {
    /// Makes a region. C entry: `NdkCreateMr`, whose statuses it gives. A success stores the object through `out`
    /// and calls nothing; a creation that pends delivers it by `routine` only (A1).
    ///
    /// # Errors
    /// INVALID_PARAMETER (A7; a null `out`), INVALID_DEVICE_STATE (H7), DEVICE_REMOVED (H8), and what the backend
    /// gives: INSUFFICIENT_RESOURCES (C14), NOT_SUPPORTED.
    ///
    /// # Safety
    /// The domain is not closed; `out` is null or may be written until the call returns; `routine` may be called
    /// once with `context` from any thread.
    pub unsafe fn create_mr(
        self,
        kind: RegionKind,
        routine: Option<NDK_FN_CREATE_COMPLETION>,
        context: PVOID,
        out: *mut *mut NDK_MR,
    ) -> Result<Progress> {
        // SAFETY: the caller's promises.
        let begun = unsafe { self.begin_create(kind, routine, context, out) };
        begun.unwrap_or_else(|refused| {
            // SAFETY: what is refused has taken no reference, and the domain is as alive as before.
            unsafe { self.log_refusal("create region", &refused) };
            Err(refused)
        })
    }

    /// # Safety
    /// The domain is alive.
    #[cold]
    unsafe fn log_failure(self, error: &Error) {
        // SAFETY: the caller's promise.
        log::warn!("{}: create region failed: {error}", unsafe { self.get() }.name());
    }

    /// # Safety
    /// As for `create_mr`.
    unsafe fn begin_create(
        self,
        kind: RegionKind,
        routine: Option<NDK_FN_CREATE_COMPLETION>,
        context: PVOID,
        out: *mut *mut NDK_MR,
    ) -> Result<Result<Progress>> {
        // SAFETY: the caller's promises.
        let (domain, done) = unsafe { (self.get(), CreateCompletion::new(routine, context)?) };
        if out.is_null() {
            return Err(
                Error::new(ErrorKind::InvalidParameter, "the out pointer is null").rule("A1")
            );
        }
        let adapter = domain.adapter();
        // What would be wrong on any device is said first (H8).
        // SAFETY: the caller's promise.
        unsafe { self.check_open()? };
        adapter.check_device()?;
        domain.enter()?;
        // The backend's work borrows adapter and domain; the reference taken above keeps both until `created` is through.
        let (provider, origin) = (adapter.provider(), adapter.origin());
        let at_once = || provider.create_mr_at_once(&domain.provider, kind);
        let made = contain("create region", "a new request", at_once)
            .unwrap_or_else(|Panicked| Some(Err(panicked())));
        if let Some(made) = made {
            // SAFETY: the reference passes on; `out` as the caller promised.
            return Ok(unsafe { self.deliver(kind, origin, made, out) });
        }
        let make = || provider.create_mr(&domain.provider, kind);
        let key = adapter.key();
        let started = job::start(
            "create region",
            Dropped::Cancelled,
            make,
            move |result: Result<Result<A::Mr>>| {
                // SAFETY: the reference taken above.
                let result = unsafe { self.created(kind, origin, result.and_then(|made| made)) };
                let object = result
                    .as_ref()
                    .map_or(core::ptr::null_mut(), |region| region.as_ndk().as_ptr().cast());
                let status = result.as_ref().map_or_else(Error::status, |_| STATUS_SUCCESS);
                if result.is_ok() {
                    // SAFETY: nobody can have closed the region yet, whose reference keeps the domain.
                    unsafe { self.get() }.add_ref();
                }
                done.call::<P>(key, status, object);
                // SAFETY: the request's reference, or what stands in for it.
                unsafe { self.release() };
            },
        );
        match started {
            Started::Ready(result) => {
                // SAFETY: as above.
                Ok(unsafe { self.deliver(kind, origin, result.and_then(|made| made), out) })
            }
            Started::Pending(task) => {
                // SAFETY: the request's own reference, which its task lets go.
                unsafe { Domain::spawn(self.0, task) };
                Ok(Ok(Progress::Pending))
            }
        }
    }

    /// A creation ends in its entry.
    ///
    /// # Safety
    /// The caller's reference to the domain, which the region takes over or this call lets go; `out` may be written.
    unsafe fn deliver(
        self,
        kind: RegionKind,
        origin: u64,
        made: Result<A::Mr>,
        out: *mut *mut NDK_MR,
    ) -> Result<Progress> {
        // SAFETY: the caller's promises.
        unsafe {
            match self.created(kind, origin, made) {
                Ok(region) => {
                    out.write(region.as_ndk().as_ptr());
                    Ok(Progress::Done)
                }
                Err(error) => {
                    self.log_failure(&error);
                    self.release();
                    Err(error)
                }
            }
        }
    }

    /// Makes the object for what the backend created. It takes the caller's reference to the domain over; a failure
    /// leaves it.
    ///
    /// # Safety
    /// The caller holds a reference to the domain.
    unsafe fn created(
        self,
        kind: RegionKind,
        origin: u64,
        result: Result<A::Mr>,
    ) -> Result<RegionRef<A, P>> {
        let provider = result?;
        // SAFETY: the caller's promise.
        let domain = unsafe { self.get() };
        let id = domain.adapter().next_id();
        let is_watched = domain.adapter().watch().is_some();
        let dispatch = dispatch::mr::table::<A, P>(is_watched);
        let mut children = domain.children.lock();
        let place = children.vacant_entry();
        let names = (id, place.key());
        match RegionRef::allocate(self.0, names, domain.version, kind, provider, dispatch) {
            Ok(region) => {
                place.insert(Child::Region(region));
                drop(children);
                if is_watched {
                    // SAFETY: nobody has the region yet.
                    unsafe { region.watched(Event::Made(origin)) };
                }
                Ok(region)
            }
            Err(provider) => {
                drop(children);
                // Foreign code, so not under the lock.
                let _ = contain("dropping a region", domain.name(), || drop(provider));
                let cause = "no memory for the region's object";
                Err(Error::new(ErrorKind::InsufficientResources, cause))
            }
        }
    }
}
