//! The shared receive queue: receives for several queue pairs.

use super::{
    NDK_FN_CLOSE_OBJECT, NDK_FN_QUERY_EXTENSION_INTERFACE, NDK_FN_REQUEST_COMPLETION,
    NDK_OBJECT_HEADER, NDK_SGE, NTSTATUS, PVOID, ULONG,
};

/// A shared receive queue. Reference: `ns-ndkpi-_ndk_srq`.
#[repr(C)]
#[derive(Debug)]
pub struct NDK_SRQ {
    /// The common header; its type is [`NdkObjectTypeSrq`](super::NdkObjectTypeSrq).
    pub Header: NDK_OBJECT_HEADER,
    /// The provider's entries for this object.
    pub Dispatch: *const NDK_SRQ_DISPATCH,
}

/// The entries of a shared receive queue. Reference: `ns-ndkpi-_ndk_srq_dispatch`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct NDK_SRQ_DISPATCH {
    /// Closes the queue.
    pub NdkCloseSrq: Option<NDK_FN_CLOSE_OBJECT>,
    /// Finds an extension.
    pub NdkQueryExtension: Option<NDK_FN_QUERY_EXTENSION_INTERFACE>,
    /// Changes depth and threshold.
    pub NdkModifySrq: Option<NDK_FN_MODIFY_SRQ>,
    /// Posts a receive.
    pub NdkSrqReceive: Option<NDK_FN_SRQ_RECEIVE>,
}

/// Changes the number of receives that the queue holds, and below how many it notifies.
///
/// Reference: `nc-ndkpi-ndk_fn_modify_srq`.
pub type NDK_FN_MODIFY_SRQ = unsafe extern "system" fn(
    pNdkSrq: *mut NDK_SRQ,
    SrqDepth: ULONG,
    NotifyThreshold: ULONG,
    RequestCompletion: Option<NDK_FN_REQUEST_COMPLETION>,
    RequestContext: PVOID,
) -> NTSTATUS;

/// Offers the memory of `nSge` elements for an incoming send. Reference:
/// `nc-ndkpi-ndk_fn_srq_receive`.
pub type NDK_FN_SRQ_RECEIVE = unsafe extern "system" fn(
    pNdkSrq: *mut NDK_SRQ,
    RequestContext: PVOID,
    pSgl: *const NDK_SGE,
    nSge: ULONG,
) -> NTSTATUS;
