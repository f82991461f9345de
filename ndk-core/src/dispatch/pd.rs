//! `NDK_PD_DISPATCH`.

use super::{BAD_OBJECT, check, not_built, query_extension, to_status};
use crate::abi::*;
use crate::access::LocalToken;
use crate::domain::DomainRef;
use crate::error::{Error, ErrorKind};
use crate::platform::Platform;
use crate::provider::{AdapterProvider, RegionKind};
use core::marker::PhantomData;

/// The table for domains of `A`.
pub(crate) fn table<A: AdapterProvider, P: Platform>() -> &'static NDK_PD_DISPATCH {
    &Table::<A, P>::TABLE
}

struct Table<A, P>(PhantomData<(A, P)>);

/// The entries.
///
/// # Safety
/// For each of them, as the C interface has it:
/// - the object is null, or a domain made by this framework for these types that is not closed;
/// - pointers are null, or valid for what the function does with them;
/// - the completion may be called once, with the context, from any thread.
impl<A: AdapterProvider, P: Platform> Table<A, P> {
    const TABLE: NDK_PD_DISPATCH = NDK_PD_DISPATCH {
        NdkClosePd: Some(Self::close),
        NdkQueryExtension: Some(Self::query_extension),
        NdkCreateMr: Some(Self::create_mr),
        NdkCreateMw: Some(Self::create_mw),
        NdkCreateSrq: Some(Self::create_srq),
        NdkCreateQp: Some(Self::create_qp),
        NdkCreateQpWithSrq: Some(Self::create_qp_with_srq),
        NdkGetPrivilegedMemoryRegionToken: Some(Self::privileged_token),
    };

    unsafe fn domain(pd: *mut NDK_PD, entry: &'static str) -> Option<DomainRef<A, P>> {
        // SAFETY: the first of the impl's conditions.
        unsafe { Some(DomainRef::from_ndk(check(pd, NdkObjectTypePd, entry)?)) }
    }

    /// What the creation of an object that the framework does not build in a domain answers.
    unsafe fn not_built(
        pd: *mut NDK_PD,
        entry: &'static str,
        completion: Option<NDK_FN_CREATE_COMPLETION>,
    ) -> NTSTATUS {
        // SAFETY: the impl's conditions.
        unsafe {
            let Some(domain) = Self::domain(pd, entry) else { return BAD_OBJECT };
            not_built(entry, completion, domain.check_open(), |refused| domain.see(refused))
        }
    }

    unsafe extern "system" fn close(
        object: *mut NDK_OBJECT_HEADER,
        completion: Option<NDK_FN_CLOSE_COMPLETION>,
        context: PVOID,
    ) -> NTSTATUS {
        // SAFETY: the impl's conditions are those of the called functions.
        unsafe {
            let Some(domain) = Self::domain(object.cast(), "NdkClosePd") else { return BAD_OBJECT };
            to_status(domain.close(completion, context))
        }
    }

    unsafe extern "system" fn query_extension(
        object: *mut NDK_OBJECT_HEADER,
        id: *mut GUID,
        _version: NDK_VERSION,
        out: *mut NDK_EXTENSION_INTERFACE,
    ) -> NTSTATUS {
        // SAFETY: as above.
        unsafe {
            let Some(domain) = Self::domain(object.cast(), "NdkQueryExtension") else {
                return BAD_OBJECT;
            };
            query_extension(id, out, |_| {
                domain
                    .check_open()
                    .inspect_err(|error| domain.log_refusal("query extension", error))?;
                Err(Error::new(ErrorKind::NotSupported, "a domain has no extension interface")
                    .rule("A5"))
            })
        }
    }

    unsafe extern "system" fn create_mr(
        pd: *mut NDK_PD,
        fast_register: BOOLEAN,
        completion: Option<NDK_FN_CREATE_COMPLETION>,
        context: PVOID,
        out: *mut *mut NDK_MR,
    ) -> NTSTATUS {
        let kind =
            if fast_register == 0 { RegionKind::Conventional } else { RegionKind::FastRegister };
        // SAFETY: as above.
        unsafe {
            let Some(domain) = Self::domain(pd, "NdkCreateMr") else { return BAD_OBJECT };
            to_status(domain.create_mr(kind, completion, context, out))
        }
    }

    unsafe extern "system" fn create_mw(
        pd: *mut NDK_PD,
        completion: Option<NDK_FN_CREATE_COMPLETION>,
        _context: PVOID,
        _out: *mut *mut NDK_MW,
    ) -> NTSTATUS {
        // SAFETY: as above.
        unsafe { Self::not_built(pd, "NdkCreateMw", completion) }
    }

    unsafe extern "system" fn create_srq(
        pd: *mut NDK_PD,
        _depth: ULONG,
        _max_sge: ULONG,
        _threshold: ULONG,
        _notification: Option<NDK_FN_SRQ_NOTIFICATION_CALLBACK>,
        _notification_context: PVOID,
        _affinity: *mut GROUP_AFFINITY,
        completion: Option<NDK_FN_CREATE_COMPLETION>,
        _context: PVOID,
        _out: *mut *mut NDK_SRQ,
    ) -> NTSTATUS {
        // SAFETY: as above.
        unsafe { Self::not_built(pd, "NdkCreateSrq", completion) }
    }

    unsafe extern "system" fn create_qp(
        pd: *mut NDK_PD,
        _receive_cq: *mut NDK_CQ,
        _initiator_cq: *mut NDK_CQ,
        _qp_context: PVOID,
        _receive_depth: ULONG,
        _initiator_depth: ULONG,
        _max_receive_sge: ULONG,
        _max_initiator_sge: ULONG,
        _inline_size: ULONG,
        completion: Option<NDK_FN_CREATE_COMPLETION>,
        _context: PVOID,
        _out: *mut *mut NDK_QP,
    ) -> NTSTATUS {
        // SAFETY: as above.
        unsafe { Self::not_built(pd, "NdkCreateQp", completion) }
    }

    unsafe extern "system" fn create_qp_with_srq(
        pd: *mut NDK_PD,
        _receive_cq: *mut NDK_CQ,
        _initiator_cq: *mut NDK_CQ,
        _srq: *mut NDK_SRQ,
        _qp_context: PVOID,
        _initiator_depth: ULONG,
        _max_initiator_sge: ULONG,
        _inline_size: ULONG,
        completion: Option<NDK_FN_CREATE_COMPLETION>,
        _context: PVOID,
        _out: *mut *mut NDK_QP,
    ) -> NTSTATUS {
        // SAFETY: as above.
        unsafe { Self::not_built(pd, "NdkCreateQpWithSrq", completion) }
    }

    unsafe extern "system" fn privileged_token(pd: *mut NDK_PD, token: *mut UINT32) {
        // SAFETY: as above; the out pointer is checked for null.
        unsafe {
            let domain = Self::domain(pd, "NdkGetPrivilegedMemoryRegionToken");
            if !token.is_null() {
                token.write(
                    domain.and_then(|domain| domain.privileged_token()).map_or(0, LocalToken::get),
                );
            }
        }
    }
}
