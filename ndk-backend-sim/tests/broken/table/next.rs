//! The framework's own tables, and the entries of them that a layer calls.

use super::completion::{Close, Create, Request};
use super::{Pages, Question, Registration, adopt, serial};
use ndk_core::abi::*;
use std::sync::OnceLock;

pub(super) static ADAPTER: OnceLock<NDK_ADAPTER_DISPATCH> = OnceLock::new();
pub(super) static PD: OnceLock<NDK_PD_DISPATCH> = OnceLock::new();
pub(super) static MR: OnceLock<NDK_MR_DISPATCH> = OnceLock::new();

macro_rules! call {
    ($table:ident, $name:ident ( $($argument:expr),* )) => {
        ($table.get().and_then(|table| table.$name).expect("a table was seen"))($($argument),*)
    };
}

/// Has a fresh object carry the layer's table.
///
/// # Safety
/// `object` is null or a fresh object.
unsafe fn made(object: *mut NDK_OBJECT_HEADER) {
    if !object.is_null() {
        // SAFETY: the caller's promise.
        unsafe { adopt(object) };
    }
}

// SAFETY of each block below: each function has the conditions of the C entry that it is.
#[allow(clippy::undocumented_unsafe_blocks)] // said once, above
mod entries {
    use super::*;

    pub(crate) unsafe fn create_pd(
        adapter: *mut NDK_ADAPTER,
        done: Create,
        out: *mut *mut NDK_PD,
    ) -> NTSTATUS {
        unsafe {
            let status = done.instead(
                |done, (status, object)| {
                    made(object);
                    done.call((status, object));
                },
                |done| call!(ADAPTER, NdkCreatePd(adapter, done.routine, done.context, out)),
            );
            if status == STATUS_SUCCESS {
                made((*out).cast());
            }
            status
        }
    }

    pub(crate) unsafe fn create_mr(
        pd: *mut NDK_PD,
        fast: BOOLEAN,
        done: Create,
        out: *mut *mut NDK_MR,
    ) -> NTSTATUS {
        unsafe {
            let parent = serial(pd.cast());
            let status = done.instead(
                move |done, (status, object)| {
                    made(object);
                    super::super::note_parent(object, parent, fast != 0);
                    done.call((status, object));
                },
                |done| call!(PD, NdkCreateMr(pd, fast, done.routine, done.context, out)),
            );
            if status == STATUS_SUCCESS {
                made((*out).cast());
                super::super::note_parent((*out).cast(), parent, fast != 0);
            }
            status
        }
    }

    pub(crate) unsafe fn close_pd(pd: *mut NDK_OBJECT_HEADER, done: Close) -> NTSTATUS {
        unsafe { call!(PD, NdkClosePd(pd, done.routine, done.context)) }
    }

    pub(crate) unsafe fn query_pd(pd: *mut NDK_OBJECT_HEADER, asked: Question) -> NTSTATUS {
        unsafe { call!(PD, NdkQueryExtension(pd, asked.id, asked.version, asked.out)) }
    }

    pub(crate) unsafe fn build_mapping(
        adapter: *mut NDK_ADAPTER,
        (mdl, length): (*mut MDL, SIZE_T),
        done: Request,
        lam: *mut NDK_LOGICAL_ADDRESS_MAPPING,
        (size, fbo): (*mut ULONG, *mut ULONG),
    ) -> NTSTATUS {
        let Request { routine, context } = done;
        unsafe {
            call!(ADAPTER, NdkBuildLAM(adapter, mdl, length, routine, context, lam, size, fbo))
        }
    }

    pub(crate) unsafe fn close_mr(mr: *mut NDK_OBJECT_HEADER, done: Close) -> NTSTATUS {
        unsafe { call!(MR, NdkCloseMr(mr, done.routine, done.context)) }
    }

    pub(crate) unsafe fn query_mr(mr: *mut NDK_OBJECT_HEADER, asked: Question) -> NTSTATUS {
        unsafe { call!(MR, NdkQueryExtension(mr, asked.id, asked.version, asked.out)) }
    }

    pub(crate) unsafe fn register(mr: *mut NDK_MR, asked: Registration, done: Request) -> NTSTATUS {
        let Registration { mdl, length, flags } = asked;
        unsafe { call!(MR, NdkRegisterMr(mr, mdl, length, flags, done.routine, done.context)) }
    }

    pub(crate) unsafe fn deregister(mr: *mut NDK_MR, done: Request) -> NTSTATUS {
        unsafe { call!(MR, NdkDeregisterMr(mr, done.routine, done.context)) }
    }

    pub(crate) unsafe fn initialise(mr: *mut NDK_MR, asked: Pages, done: Request) -> NTSTATUS {
        let (Pages { count: pages, remote }, Request { routine, context }) = (asked, done);
        unsafe { call!(MR, NdkInitializeFastRegisterMr(mr, pages, remote, routine, context)) }
    }

    pub(crate) unsafe fn local_token(mr: *mut NDK_MR) -> UINT32 {
        unsafe { call!(MR, NdkGetLocalTokenFromMr(mr)) }
    }

    pub(crate) unsafe fn remote_token(mr: *mut NDK_MR) -> UINT32 {
        unsafe { call!(MR, NdkGetRemoteTokenFromMr(mr)) }
    }
}
pub(crate) use entries::*;
