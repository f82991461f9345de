//! The route without the tables.

use super::route::{Adapter, Mapped, Mr, Pd, Registration, Route, head};
use super::ticket::Done;
use crate::abi::{
    GUID, NDK_EXTENSION_INTERFACE, NDK_FN_CLOSE_COMPLETION, NDK_FN_CREATE_COMPLETION,
    NDK_FN_REQUEST_COMPLETION, NDK_LOGICAL_ADDRESS_MAPPING, NDK_MR, NDK_PD, NDK_VERSION, NTSTATUS,
    STATUS_SUCCESS, ULONG,
};
use crate::access::{LocalToken, RemoteToken};
use crate::adapter::AdapterRef;
use crate::dispatch::to_status;
use crate::domain::DomainRef;
use crate::error::Error;
use crate::platform::Std;
use crate::provider::{AdapterProvider, RegionKind};
use crate::region::RegionRef;
use std::marker::PhantomData;
use std::ptr::NonNull;

/// The framework's objects without the tables.
pub(super) struct Native<A>(PhantomData<fn() -> A>);

impl<A: AdapterProvider> Native<A> {
    pub(super) fn new() -> Self {
        Self(PhantomData)
    }

    /// # Safety
    /// The adapter is this framework's, for `A`; likewise below.
    unsafe fn adapter(adapter: Adapter) -> AdapterRef<A, Std> {
        // SAFETY: the caller's promise.
        unsafe { AdapterRef::from_ndk(NonNull::new(adapter.0).expect("an adapter")) }
    }

    unsafe fn domain(pd: Pd) -> DomainRef<A, Std> {
        // SAFETY: as above.
        unsafe { DomainRef::from_ndk(NonNull::new(pd.0).expect("a domain")) }
    }

    unsafe fn region(mr: Mr) -> RegionRef<A, Std> {
        // SAFETY: as above.
        unsafe { RegionRef::from_ndk(NonNull::new(mr.0).expect("a region")) }
    }
}

// SAFETY of each block below: the trait's conditions are those of the framework's methods; the kit opened the adapter
// with `A` and made the objects from it.
#[allow(clippy::undocumented_unsafe_blocks)] // said once, above
impl<A: AdapterProvider> Route for Native<A> {
    unsafe fn create_pd(
        &self,
        adapter: Adapter,
        done: Done<NDK_FN_CREATE_COMPLETION>,
        out: *mut *mut NDK_PD,
    ) -> NTSTATUS {
        to_status(unsafe { Self::adapter(adapter).create_pd(done.routine, done.context, out) })
    }

    unsafe fn close_pd(&self, pd: Pd, done: Done<NDK_FN_CLOSE_COMPLETION>) -> NTSTATUS {
        to_status(unsafe { Self::domain(pd).close(done.routine, done.context) })
    }

    unsafe fn privileged_token(&self, pd: Pd) -> u32 {
        unsafe { Self::domain(pd).privileged_token() }.map_or(0, LocalToken::get)
    }

    unsafe fn create_mr(
        &self,
        pd: Pd,
        kind: RegionKind,
        done: Done<NDK_FN_CREATE_COMPLETION>,
        out: *mut *mut NDK_MR,
    ) -> NTSTATUS {
        to_status(unsafe { Self::domain(pd).create_mr(kind, done.routine, done.context, out) })
    }

    unsafe fn close_mr(&self, mr: Mr, done: Done<NDK_FN_CLOSE_COMPLETION>) -> NTSTATUS {
        to_status(unsafe { Self::region(mr).close(done.routine, done.context) })
    }

    unsafe fn register(
        &self,
        mr: Mr,
        Registration { chain, length, flags }: Registration,
        done: Done<NDK_FN_REQUEST_COMPLETION>,
    ) -> NTSTATUS {
        to_status(unsafe {
            Self::region(mr).register(head(&chain), length, flags, done.routine, done.context)
        })
    }

    unsafe fn deregister(&self, mr: Mr, done: Done<NDK_FN_REQUEST_COMPLETION>) -> NTSTATUS {
        to_status(unsafe { Self::region(mr).deregister(done.routine, done.context) })
    }

    unsafe fn initialise(
        &self,
        mr: Mr,
        pages: ULONG,
        remote: bool,
        done: Done<NDK_FN_REQUEST_COMPLETION>,
    ) -> NTSTATUS {
        to_status(unsafe {
            Self::region(mr).initialize_fast_register(pages, remote, done.routine, done.context)
        })
    }

    unsafe fn tokens(&self, mr: Mr) -> (u32, u32) {
        unsafe {
            let region = Self::region(mr);
            (
                region.local_token().map_or(0, LocalToken::get),
                region.remote_token().map_or(0, RemoteToken::get),
            )
        }
    }

    unsafe fn query_extension(
        &self,
        mr: Mr,
        id: &GUID,
        version: NDK_VERSION,
        out: &mut NDK_EXTENSION_INTERFACE,
    ) -> NTSTATUS {
        match unsafe { Self::region(mr).query_extension(id, version) } {
            Ok(interface) => {
                *out = interface;
                STATUS_SUCCESS
            }
            Err(error) => error.status(),
        }
    }

    unsafe fn build_mapping(
        &self,
        adapter: Adapter,
        Mapped { chain, length, lam, size, fbo }: Mapped,
        done: Done<NDK_FN_REQUEST_COMPLETION>,
    ) -> NTSTATUS {
        let completion = (done.routine, done.context);
        to_status(unsafe {
            Self::adapter(adapter).build_mapping(head(&chain), length, completion, lam, size, fbo)
        })
    }

    unsafe fn release_mapping(
        &self,
        adapter: Adapter,
        lam: *mut NDK_LOGICAL_ADDRESS_MAPPING,
    ) -> NTSTATUS {
        unsafe { Self::adapter(adapter).release_mapping(lam) }
            .map_or_else(|error: Error| error.status(), |()| STATUS_SUCCESS)
    }
}
