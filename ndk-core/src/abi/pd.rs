//! The protection domain: what the regions, windows and queue pairs that work together are made in.

use super::{
    BOOLEAN, GROUP_AFFINITY, NDK_CQ, NDK_FN_CLOSE_OBJECT, NDK_FN_CREATE_COMPLETION,
    NDK_FN_QUERY_EXTENSION_INTERFACE, NDK_FN_SRQ_NOTIFICATION_CALLBACK, NDK_MR, NDK_MW,
    NDK_OBJECT_HEADER, NDK_QP, NDK_SRQ, NTSTATUS, PVOID, UINT32, ULONG,
};

/// A protection domain. Reference: `ns-ndkpi-_ndk_pd`.
#[repr(C)]
#[derive(Debug)]
pub struct NDK_PD {
    /// The common header; its type is [`NdkObjectTypePd`](super::NdkObjectTypePd).
    pub Header: NDK_OBJECT_HEADER,
    /// The provider's entries for this object.
    pub Dispatch: *const NDK_PD_DISPATCH,
}

/// The entries of a protection domain. Reference: `ns-ndkpi-_ndk_pd_dispatch`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct NDK_PD_DISPATCH {
    /// Closes the domain; done only after the objects made in it are closed.
    pub NdkClosePd: Option<NDK_FN_CLOSE_OBJECT>,
    /// Finds an extension.
    pub NdkQueryExtension: Option<NDK_FN_QUERY_EXTENSION_INTERFACE>,
    /// Makes a memory region.
    pub NdkCreateMr: Option<NDK_FN_CREATE_MR>,
    /// Makes a memory window.
    pub NdkCreateMw: Option<NDK_FN_CREATE_MW>,
    /// Makes a shared receive queue.
    pub NdkCreateSrq: Option<NDK_FN_CREATE_SRQ>,
    /// Makes a queue pair.
    pub NdkCreateQp: Option<NDK_FN_CREATE_QP>,
    /// Makes a queue pair that receives through a shared receive queue.
    pub NdkCreateQpWithSrq: Option<NDK_FN_CREATE_QP_WITH_SRQ>,
    /// Tells the domain's privileged token.
    pub NdkGetPrivilegedMemoryRegionToken: Option<NDK_FN_GET_PRIVILEGED_MEMORY_REGION_TOKEN>,
}

/// Makes a memory region without memory, for conventional or (`FastRegister`) for fast
/// registration.
///
/// On success the region is stored in `*ppNdkMr`; after [`STATUS_PENDING`](super::STATUS_PENDING)
/// it comes through `CreateCompletion` alone. Reference: `nc-ndkpi-ndk_fn_create_mr`.
pub type NDK_FN_CREATE_MR = unsafe extern "system" fn(
    pNdkPd: *mut NDK_PD,
    FastRegister: BOOLEAN,
    CreateCompletion: Option<NDK_FN_CREATE_COMPLETION>,
    RequestContext: PVOID,
    ppNdkMr: *mut *mut NDK_MR,
) -> NTSTATUS;

/// Makes a memory window that is not bound yet. Reference: `nc-ndkpi-ndk_fn_create_mw`.
pub type NDK_FN_CREATE_MW = unsafe extern "system" fn(
    pNdkPd: *mut NDK_PD,
    CreateCompletion: Option<NDK_FN_CREATE_COMPLETION>,
    RequestContext: PVOID,
    ppNdkMw: *mut *mut NDK_MW,
) -> NTSTATUS;

/// Makes a queue of receives that several queue pairs share.
///
/// `SrqDepth` is in receives, `MaxReceiveRequestSge` in elements for each of them.
/// `SrqNotification` (optional) is called once fewer than `NotifyThreshold` receives are left;
/// `Affinity` (optional) says where. Reference: `nc-ndkpi-ndk_fn_create_srq`.
pub type NDK_FN_CREATE_SRQ = unsafe extern "system" fn(
    pNdkPd: *mut NDK_PD,
    SrqDepth: ULONG,
    MaxReceiveRequestSge: ULONG,
    NotifyThreshold: ULONG,
    SrqNotification: Option<NDK_FN_SRQ_NOTIFICATION_CALLBACK>,
    SrqNotificationContext: PVOID,
    Affinity: *mut GROUP_AFFINITY,
    CreateCompletion: Option<NDK_FN_CREATE_COMPLETION>,
    RequestContext: PVOID,
    ppNdkSrq: *mut *mut NDK_SRQ,
) -> NTSTATUS;

/// Makes a queue pair.
///
/// Depths are in requests, `Max...Sge` in elements for each request, `InlineDataSize` in bytes.
/// `QPContext` comes back in each result. Reference: `nc-ndkpi-ndk_fn_create_qp`.
pub type NDK_FN_CREATE_QP = unsafe extern "system" fn(
    pNdkPd: *mut NDK_PD,
    pReceiveCq: *mut NDK_CQ,
    pInitiatorCq: *mut NDK_CQ,
    QPContext: PVOID,
    ReceiveQueueDepth: ULONG,
    InitiatorQueueDepth: ULONG,
    MaxReceiveRequestSge: ULONG,
    MaxInitiatorRequestSge: ULONG,
    InlineDataSize: ULONG,
    CreateCompletion: Option<NDK_FN_CREATE_COMPLETION>,
    RequestContext: PVOID,
    ppNdkQp: *mut *mut NDK_QP,
) -> NTSTATUS;

/// Makes a queue pair whose receives come from `pSrq`; otherwise like [`NDK_FN_CREATE_QP`].
///
/// Reference: `nc-ndkpi-ndk_fn_create_qp_with_srq`.
pub type NDK_FN_CREATE_QP_WITH_SRQ = unsafe extern "system" fn(
    pNdkPd: *mut NDK_PD,
    pReceiveCq: *mut NDK_CQ,
    pInitiatorCq: *mut NDK_CQ,
    pSrq: *mut NDK_SRQ,
    QPContext: PVOID,
    InitiatorQueueDepth: ULONG,
    MaxInitiatorRequestSge: ULONG,
    InlineDataSize: ULONG,
    CreateCompletion: Option<NDK_FN_CREATE_COMPLETION>,
    RequestContext: PVOID,
    ppNdkQp: *mut *mut NDK_QP,
) -> NTSTATUS;

/// Stores the token under which logical addresses may be used in local requests without a memory
/// region.
///
/// Reference: `nc-ndkpi-ndk_fn_get_privileged_memory_region_token`.
pub type NDK_FN_GET_PRIVILEGED_MEMORY_REGION_TOKEN =
    unsafe extern "system" fn(pNdkPd: *mut NDK_PD, pToken: *mut UINT32);
