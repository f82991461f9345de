//! The layer's C entries: each is the hook of the same name.

use super::completion::Done;
use super::{Pages, Question, Registration, hooks, next};
use ndk_core::abi::*;
use std::ptr::addr_of_mut;
use std::sync::OnceLock;

static ADAPTER: OnceLock<NDK_ADAPTER_DISPATCH> = OnceLock::new();
static PD: OnceLock<NDK_PD_DISPATCH> = OnceLock::new();
static MR: OnceLock<NDK_MR_DISPATCH> = OnceLock::new();

/// # Safety
/// A fresh adapter; likewise a domain and a region below.
pub(super) unsafe fn take_over_adapter(adapter: *mut NDK_ADAPTER) {
    // SAFETY: the caller's promise; the member is the consumer's to replace (A4).
    unsafe {
        let place = addr_of_mut!((*adapter).Dispatch);
        let own = next::ADAPTER.get_or_init(|| *place.read());
        place.write(ADAPTER.get_or_init(|| NDK_ADAPTER_DISPATCH {
            NdkCreatePd: Some(create_pd),
            NdkBuildLAM: Some(build_mapping),
            ..*own
        }));
    }
}

/// # Safety
/// As above.
pub(super) unsafe fn take_over_pd(pd: *mut NDK_PD) {
    // SAFETY: as above.
    unsafe {
        let place = addr_of_mut!((*pd).Dispatch);
        let own = next::PD.get_or_init(|| *place.read());
        place.write(PD.get_or_init(|| {
            let mut table = NDK_PD_DISPATCH {
                NdkClosePd: Some(close_pd),
                NdkQueryExtension: Some(query_pd),
                NdkCreateMr: Some(create_mr),
                ..*own
            };
            hooks().pd_table(&mut table);
            table
        }));
    }
}

/// # Safety
/// As above.
pub(super) unsafe fn take_over_mr(mr: *mut NDK_MR) {
    // SAFETY: as above.
    unsafe {
        let place = addr_of_mut!((*mr).Dispatch);
        next::MR.get_or_init(|| *place.read());
        place.write(table());
    }
}

/// The table of regions.
pub(super) fn table() -> &'static NDK_MR_DISPATCH {
    MR.get_or_init(|| {
        let mut table = NDK_MR_DISPATCH {
            NdkCloseMr: Some(close_mr),
            NdkQueryExtension: Some(query_mr),
            NdkRegisterMr: Some(register),
            NdkDeregisterMr: Some(deregister),
            NdkInitializeFastRegisterMr: Some(initialise),
            NdkGetRemoteTokenFromMr: Some(remote_token),
            NdkGetLocalTokenFromMr: Some(local_token),
        };
        hooks().mr_table(&mut table);
        table
    })
}

// SAFETY of each block below: the hooks have the conditions of the C entries.
#[allow(clippy::undocumented_unsafe_blocks)] // said once, above
mod system {
    use super::*;

    pub(super) unsafe extern "system" fn create_pd(
        adapter: *mut NDK_ADAPTER,
        routine: Option<NDK_FN_CREATE_COMPLETION>,
        context: PVOID,
        out: *mut *mut NDK_PD,
    ) -> NTSTATUS {
        unsafe { hooks().create_pd(adapter, Done { routine, context }, out) }
    }

    pub(super) unsafe extern "system" fn build_mapping(
        adapter: *mut NDK_ADAPTER,
        mdl: *mut MDL,
        length: SIZE_T,
        routine: Option<NDK_FN_REQUEST_COMPLETION>,
        context: PVOID,
        lam: *mut NDK_LOGICAL_ADDRESS_MAPPING,
        size: *mut ULONG,
        fbo: *mut ULONG,
    ) -> NTSTATUS {
        let done = Done { routine, context };
        unsafe { hooks().build_mapping(adapter, (mdl, length), done, lam, (size, fbo)) }
    }

    pub(super) unsafe extern "system" fn close_pd(
        pd: *mut NDK_OBJECT_HEADER,
        routine: Option<NDK_FN_CLOSE_COMPLETION>,
        context: PVOID,
    ) -> NTSTATUS {
        unsafe { hooks().close_pd(pd, Done { routine, context }) }
    }

    pub(super) unsafe extern "system" fn query_pd(
        pd: *mut NDK_OBJECT_HEADER,
        id: *mut GUID,
        version: NDK_VERSION,
        out: *mut NDK_EXTENSION_INTERFACE,
    ) -> NTSTATUS {
        unsafe { hooks().query_pd(pd, Question { id, version, out }) }
    }

    pub(super) unsafe extern "system" fn create_mr(
        pd: *mut NDK_PD,
        fast: BOOLEAN,
        routine: Option<NDK_FN_CREATE_COMPLETION>,
        context: PVOID,
        out: *mut *mut NDK_MR,
    ) -> NTSTATUS {
        unsafe { hooks().create_mr(pd, fast, Done { routine, context }, out) }
    }

    pub(super) unsafe extern "system" fn close_mr(
        mr: *mut NDK_OBJECT_HEADER,
        routine: Option<NDK_FN_CLOSE_COMPLETION>,
        context: PVOID,
    ) -> NTSTATUS {
        unsafe { hooks().close_mr(mr, Done { routine, context }) }
    }

    pub(super) unsafe extern "system" fn query_mr(
        mr: *mut NDK_OBJECT_HEADER,
        id: *mut GUID,
        version: NDK_VERSION,
        out: *mut NDK_EXTENSION_INTERFACE,
    ) -> NTSTATUS {
        unsafe { hooks().query_mr(mr, Question { id, version, out }) }
    }

    pub(super) unsafe extern "system" fn register(
        mr: *mut NDK_MR,
        mdl: *mut MDL,
        length: SIZE_T,
        flags: ULONG,
        routine: Option<NDK_FN_REQUEST_COMPLETION>,
        context: PVOID,
    ) -> NTSTATUS {
        let asked = Registration { mdl, length, flags };
        unsafe { hooks().register(mr, asked, Done { routine, context }) }
    }

    pub(super) unsafe extern "system" fn deregister(
        mr: *mut NDK_MR,
        routine: Option<NDK_FN_REQUEST_COMPLETION>,
        context: PVOID,
    ) -> NTSTATUS {
        unsafe { hooks().deregister(mr, Done { routine, context }) }
    }

    pub(super) unsafe extern "system" fn initialise(
        mr: *mut NDK_MR,
        pages: ULONG,
        remote: BOOLEAN,
        routine: Option<NDK_FN_REQUEST_COMPLETION>,
        context: PVOID,
    ) -> NTSTATUS {
        let asked = Pages { count: pages, remote };
        unsafe { hooks().initialise(mr, asked, Done { routine, context }) }
    }

    pub(super) unsafe extern "system" fn local_token(mr: *mut NDK_MR) -> UINT32 {
        unsafe { hooks().local_token(mr) }
    }

    pub(super) unsafe extern "system" fn remote_token(mr: *mut NDK_MR) -> UINT32 {
        unsafe { hooks().remote_token(mr) }
    }
}
use system::*;
