//! The completion queue: where the results of requests are read.

use super::{
    NDK_FN_CLOSE_OBJECT, NDK_FN_QUERY_EXTENSION_INTERFACE, NDK_FN_REQUEST_COMPLETION,
    NDK_OBJECT_HEADER, NDK_RESULT, NDK_RESULT_EX, NTSTATUS, PVOID, ULONG,
};

/// Arm type: notify of errors of the queue itself only.
pub const NDK_CQ_NOTIFY_ERRORS: ULONG = 0;
/// Arm type: notify of any result.
pub const NDK_CQ_NOTIFY_ANY: ULONG = 1;
/// Arm type: notify of solicited and of failed results.
pub const NDK_CQ_NOTIFY_SOLICITED: ULONG = 2;

/// A completion queue. Reference: `ns-ndkpi-_ndk_cq`.
#[repr(C)]
#[derive(Debug)]
pub struct NDK_CQ {
    /// The common header; its type is [`NdkObjectTypeCq`](super::NdkObjectTypeCq).
    pub Header: NDK_OBJECT_HEADER,
    /// The provider's entries for this object.
    pub Dispatch: *const NDK_CQ_DISPATCH,
}

/// The entries of a completion queue. Reference: `ns-ndkpi-_ndk_cq_dispatch`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct NDK_CQ_DISPATCH {
    /// Closes the queue.
    pub NdkCloseCq: Option<NDK_FN_CLOSE_OBJECT>,
    /// Finds an extension.
    pub NdkQueryExtension: Option<NDK_FN_QUERY_EXTENSION_INTERFACE>,
    /// Changes the depth.
    pub NdkResizeCq: Option<NDK_FN_RESIZE_CQ>,
    /// Asks for one notification.
    pub NdkArmCq: Option<NDK_FN_ARM_CQ>,
    /// Takes results out.
    pub NdkGetCqResults: Option<NDK_FN_GET_CQ_RESULTS>,
    /// Sets how many results, or how much time, one interrupt may gather.
    pub NdkControlCqInterruptModeration: Option<NDK_FN_CONTROL_CQ_INTERRUPT_MODERATION>,
    /// Takes results with their kinds out.
    pub NdkGetCqResultsEx: Option<NDK_FN_GET_CQ_RESULTS_EX>,
}

/// Changes the number of results that the queue holds. Reference: `nc-ndkpi-ndk_fn_resize_cq`.
pub type NDK_FN_RESIZE_CQ = unsafe extern "system" fn(
    pNdkCq: *mut NDK_CQ,
    CqDepth: ULONG,
    RequestCompletion: Option<NDK_FN_REQUEST_COMPLETION>,
    RequestContext: PVOID,
) -> NTSTATUS;

/// Asks for one notification; `Type` is one of `NDK_CQ_NOTIFY_*`. Reference:
/// `nc-ndkpi-ndk_fn_arm_cq`.
pub type NDK_FN_ARM_CQ = unsafe extern "system" fn(pNdkCq: *mut NDK_CQ, Type: ULONG);

/// Moves up to `nResults` results to the array `Results`, oldest first, and returns how many it
/// moved.
///
/// Reference: `nc-ndkpi-ndk_fn_get_cq_results`.
pub type NDK_FN_GET_CQ_RESULTS = unsafe extern "system" fn(
    pNdkCq: *mut NDK_CQ,
    Results: *mut NDK_RESULT,
    nResults: ULONG,
) -> ULONG;

/// Sets the longest wait, in microseconds, and the most results that may gather before an
/// interrupt.
///
/// Reference: `nc-ndkpi-ndk_fn_control_cq_interrupt_moderation`.
pub type NDK_FN_CONTROL_CQ_INTERRUPT_MODERATION = unsafe extern "system" fn(
    pNdkCq: *mut NDK_CQ,
    ModerationInterval: ULONG,
    ModerationCount: ULONG,
) -> NTSTATUS;

/// Like [`NDK_FN_GET_CQ_RESULTS`], with the kind of each request. Reference:
/// `nc-ndkpi-ndk_fn_get_cq_results_ex`.
pub type NDK_FN_GET_CQ_RESULTS_EX = unsafe extern "system" fn(
    pNdkCq: *mut NDK_CQ,
    Results: *mut NDK_RESULT_EX,
    nResults: ULONG,
) -> ULONG;
