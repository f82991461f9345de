//! The ways from a case to a region: through the C tables, or natively.
//!
//! A route takes every argument raw, a null completion included, and answers with an NTSTATUS, so that one case
//! serves all routes. A route over a safe consumer refuses to be asked for what its types rule out; cases that need
//! that say so ([`Routes`](super::case::Routes)).

use super::ticket::Done;
use crate::abi::{
    BOOLEAN, GUID, MDL, NDK_ADAPTER, NDK_EXTENSION_INTERFACE, NDK_FN_CLOSE_COMPLETION,
    NDK_FN_CREATE_COMPLETION, NDK_FN_REQUEST_COMPLETION, NDK_LOGICAL_ADDRESS_MAPPING, NDK_MR,
    NDK_MR_DISPATCH, NDK_PD, NDK_PD_DISPATCH, NDK_VERSION, NTSTATUS, STATUS_INVALID_PARAMETER,
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
use std::ptr::{NonNull, addr_of};

/// A raw pointer that a case may take to another thread; what it points to is used by the rules of the C interface.
pub(super) struct Raw<T>(pub(super) *mut T);

impl<T> Clone for Raw<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Raw<T> {}

impl<T> PartialEq for Raw<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T> std::fmt::Debug for Raw<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

// SAFETY: NDK objects and MDLs may be used from any thread; a `Raw` is only a number until a route is given it.
unsafe impl<T> Send for Raw<T> {}
// SAFETY: as for Send.
unsafe impl<T> Sync for Raw<T> {}

/// A region's pointer.
pub(super) type Mr = Raw<NDK_MR>;
/// A domain's pointer.
pub(super) type Pd = Raw<NDK_PD>;
/// An adapter's pointer.
pub(super) type Adapter = Raw<NDK_ADAPTER>;

/// The arguments of a registration.
#[derive(Clone, Copy, Debug)]
pub(super) struct Registration {
    pub(super) mdl: Raw<MDL>,
    pub(super) length: usize,
    pub(super) flags: ULONG,
}

/// The arguments of `NdkBuildLAM`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mapped {
    pub(super) mdl: Raw<MDL>,
    pub(super) length: usize,
    pub(super) lam: *mut NDK_LOGICAL_ADDRESS_MAPPING,
    pub(super) size: *mut ULONG,
    pub(super) fbo: *mut ULONG,
}

/// A way to an adapter and what was made from it.
///
/// # Safety
/// For every method, as the C entry of the same name has it: the object is alive (a null or wrong-typed one is for the
/// table only), pointers are null or valid for what the entry does with them, an MDL chain until the request has
/// completed, and the completion may be called once, from any thread.
#[allow(clippy::missing_safety_doc)] // said once, above
pub(super) trait Route: Send + Sync {
    unsafe fn create_pd(
        &self,
        adapter: Adapter,
        done: Done<NDK_FN_CREATE_COMPLETION>,
        out: *mut *mut NDK_PD,
    ) -> NTSTATUS;
    unsafe fn close_pd(&self, pd: Pd, done: Done<NDK_FN_CLOSE_COMPLETION>) -> NTSTATUS;
    unsafe fn privileged_token(&self, pd: Pd) -> u32;
    unsafe fn create_mr(
        &self,
        pd: Pd,
        kind: RegionKind,
        done: Done<NDK_FN_CREATE_COMPLETION>,
        out: *mut *mut NDK_MR,
    ) -> NTSTATUS;
    unsafe fn close_mr(&self, mr: Mr, done: Done<NDK_FN_CLOSE_COMPLETION>) -> NTSTATUS;
    unsafe fn register(
        &self,
        mr: Mr,
        registration: Registration,
        done: Done<NDK_FN_REQUEST_COMPLETION>,
    ) -> NTSTATUS;
    unsafe fn deregister(&self, mr: Mr, done: Done<NDK_FN_REQUEST_COMPLETION>) -> NTSTATUS;
    unsafe fn initialise(
        &self,
        mr: Mr,
        pages: ULONG,
        remote: bool,
        done: Done<NDK_FN_REQUEST_COMPLETION>,
    ) -> NTSTATUS;
    /// Local, remote.
    unsafe fn tokens(&self, mr: Mr) -> (u32, u32);
    unsafe fn query_extension(
        &self,
        mr: Mr,
        id: &GUID,
        version: NDK_VERSION,
        out: &mut NDK_EXTENSION_INTERFACE,
    ) -> NTSTATUS;
    unsafe fn build_mapping(
        &self,
        adapter: Adapter,
        arguments: Mapped,
        done: Done<NDK_FN_REQUEST_COMPLETION>,
    ) -> NTSTATUS;
    /// SUCCESS where the entry has no status.
    unsafe fn release_mapping(
        &self,
        adapter: Adapter,
        lam: *mut NDK_LOGICAL_ADDRESS_MAPPING,
    ) -> NTSTATUS;
}

/// Through the function tables that the objects carry, whoever provides them.
pub(super) struct Table;

/// The table of a region, read as a consumer reads it.
///
/// # Safety
/// The region is alive and its `Dispatch` as the provider set it.
pub(super) unsafe fn mr_table(mr: Mr) -> NDK_MR_DISPATCH {
    // SAFETY: the caller's promise.
    unsafe { *addr_of!((*mr.0).Dispatch).read() }
}

/// The table of a domain.
///
/// # Safety
/// As for [`mr_table`].
pub(super) unsafe fn pd_table(pd: Pd) -> NDK_PD_DISPATCH {
    // SAFETY: the caller's promise.
    unsafe { *addr_of!((*pd.0).Dispatch).read() }
}

/// Calls an entry of a table; A2 has it that there is one.
macro_rules! entry {
    ($table:expr, $name:ident ( $($argument:expr),* $(,)? )) => {
        ($table.$name.expect(concat!("the table has no ", stringify!($name), " (A2)")))($($argument),*)
    };
}
pub(super) use entry;

// SAFETY of each block below: the trait's conditions are those of the C entries.
#[allow(clippy::undocumented_unsafe_blocks)] // said once, above
impl Route for Table {
    unsafe fn create_pd(
        &self,
        adapter: Adapter,
        done: Done<NDK_FN_CREATE_COMPLETION>,
        out: *mut *mut NDK_PD,
    ) -> NTSTATUS {
        unsafe {
            let table = *addr_of!((*adapter.0).Dispatch).read();
            entry!(table, NdkCreatePd(adapter.0, done.routine, done.context, out))
        }
    }

    unsafe fn close_pd(&self, pd: Pd, done: Done<NDK_FN_CLOSE_COMPLETION>) -> NTSTATUS {
        unsafe { entry!(pd_table(pd), NdkClosePd(pd.0.cast(), done.routine, done.context)) }
    }

    unsafe fn privileged_token(&self, pd: Pd) -> u32 {
        let mut token = 0;
        unsafe { entry!(pd_table(pd), NdkGetPrivilegedMemoryRegionToken(pd.0, &raw mut token)) };
        token
    }

    unsafe fn create_mr(
        &self,
        pd: Pd,
        kind: RegionKind,
        done: Done<NDK_FN_CREATE_COMPLETION>,
        out: *mut *mut NDK_MR,
    ) -> NTSTATUS {
        let fast = BOOLEAN::from(kind == RegionKind::FastRegister);
        unsafe { entry!(pd_table(pd), NdkCreateMr(pd.0, fast, done.routine, done.context, out)) }
    }

    unsafe fn close_mr(&self, mr: Mr, done: Done<NDK_FN_CLOSE_COMPLETION>) -> NTSTATUS {
        unsafe { entry!(mr_table(mr), NdkCloseMr(mr.0.cast(), done.routine, done.context)) }
    }

    unsafe fn register(
        &self,
        mr: Mr,
        registration: Registration,
        done: Done<NDK_FN_REQUEST_COMPLETION>,
    ) -> NTSTATUS {
        let Registration { mdl, length, flags } = registration;
        unsafe {
            entry!(
                mr_table(mr),
                NdkRegisterMr(mr.0, mdl.0, length, flags, done.routine, done.context)
            )
        }
    }

    unsafe fn deregister(&self, mr: Mr, done: Done<NDK_FN_REQUEST_COMPLETION>) -> NTSTATUS {
        unsafe { entry!(mr_table(mr), NdkDeregisterMr(mr.0, done.routine, done.context)) }
    }

    unsafe fn initialise(
        &self,
        mr: Mr,
        pages: ULONG,
        remote: bool,
        done: Done<NDK_FN_REQUEST_COMPLETION>,
    ) -> NTSTATUS {
        let remote = BOOLEAN::from(remote);
        unsafe {
            entry!(
                mr_table(mr),
                NdkInitializeFastRegisterMr(mr.0, pages, remote, done.routine, done.context)
            )
        }
    }

    unsafe fn tokens(&self, mr: Mr) -> (u32, u32) {
        unsafe {
            let table = mr_table(mr);
            (
                entry!(table, NdkGetLocalTokenFromMr(mr.0)),
                entry!(table, NdkGetRemoteTokenFromMr(mr.0)),
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
        let mut id = *id;
        unsafe { entry!(mr_table(mr), NdkQueryExtension(mr.0.cast(), &raw mut id, version, out)) }
    }

    unsafe fn build_mapping(
        &self,
        adapter: Adapter,
        Mapped { mdl, length, lam, size, fbo }: Mapped,
        done: Done<NDK_FN_REQUEST_COMPLETION>,
    ) -> NTSTATUS {
        unsafe {
            let table = *addr_of!((*adapter.0).Dispatch).read();
            entry!(
                table,
                NdkBuildLAM(adapter.0, mdl.0, length, done.routine, done.context, lam, size, fbo)
            )
        }
    }

    unsafe fn release_mapping(
        &self,
        adapter: Adapter,
        lam: *mut NDK_LOGICAL_ADDRESS_MAPPING,
    ) -> NTSTATUS {
        unsafe {
            let table = *addr_of!((*adapter.0).Dispatch).read();
            entry!(table, NdkReleaseLAM(adapter.0, lam));
        }
        STATUS_SUCCESS
    }
}

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
        Registration { mdl, length, flags }: Registration,
        done: Done<NDK_FN_REQUEST_COMPLETION>,
    ) -> NTSTATUS {
        to_status(unsafe {
            Self::region(mr).register(mdl.0, length, flags, done.routine, done.context)
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
        Mapped { mdl, length, lam, size, fbo }: Mapped,
        done: Done<NDK_FN_REQUEST_COMPLETION>,
    ) -> NTSTATUS {
        let completion = (done.routine, done.context);
        to_status(unsafe {
            Self::adapter(adapter).build_mapping(mdl.0, length, completion, lam, size, fbo)
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

/// What a null or wrong-typed object is answered with.
pub(super) const BAD_OBJECT: NTSTATUS = STATUS_INVALID_PARAMETER;
