//! The route through the C tables.

use super::route::{Adapter, Mapped, Mr, Pd, Registration, Route, head};
use super::ticket::Done;
use crate::abi::{
    BOOLEAN, GUID, NDK_EXTENSION_INTERFACE, NDK_FN_CLOSE_COMPLETION, NDK_FN_CREATE_COMPLETION,
    NDK_FN_REQUEST_COMPLETION, NDK_LOGICAL_ADDRESS_MAPPING, NDK_MR, NDK_MR_DISPATCH, NDK_PD,
    NDK_PD_DISPATCH, NDK_VERSION, NTSTATUS, STATUS_SUCCESS, ULONG,
};
use crate::provider::RegionKind;
use std::ptr::addr_of;

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
        let Registration { chain, length, flags } = registration;
        unsafe {
            entry!(
                mr_table(mr),
                NdkRegisterMr(mr.0, head(&chain), length, flags, done.routine, done.context)
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
        Mapped { chain, length, lam, size, fbo }: Mapped,
        done: Done<NDK_FN_REQUEST_COMPLETION>,
    ) -> NTSTATUS {
        let mdl = head(&chain);
        unsafe {
            let table = *addr_of!((*adapter.0).Dispatch).read();
            entry!(
                table,
                NdkBuildLAM(adapter.0, mdl, length, done.routine, done.context, lam, size, fbo)
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
