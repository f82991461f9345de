//! The routines that a consumer provides and a provider calls.

use super::{NDK_CONNECTOR, NDK_OBJECT_HEADER, NTSTATUS, PVOID};

/// Told that a pending close is done; `Context` is what the consumer passed to the close.
///
/// It is the last call made for that object. Reference: `nc-ndkpi-ndk_fn_close_completion`.
pub type NDK_FN_CLOSE_COMPLETION = unsafe extern "system" fn(Context: PVOID);

/// Told the final `Status` of a pending request; `Context` is what the consumer passed with the
/// request.
///
/// Called exactly once if the request returned [`STATUS_PENDING`](super::STATUS_PENDING), never
/// otherwise; the call may come before that return. Reference:
/// `nc-ndkpi-ndk_fn_request_completion`.
pub type NDK_FN_REQUEST_COMPLETION = unsafe extern "system" fn(Context: PVOID, Status: NTSTATUS);

/// Told the outcome of a pending creation; `pNdkObject` is the new object if `Status` is success.
///
/// Reference: `nc-ndkpi-ndk_fn_create_completion`.
pub type NDK_FN_CREATE_COMPLETION =
    unsafe extern "system" fn(Context: PVOID, Status: NTSTATUS, pNdkObject: *mut NDK_OBJECT_HEADER);

/// Told that an armed completion queue has something to read, or has failed.
///
/// Reference: `nc-ndkpi-ndk_fn_cq_notification_callback`.
pub type NDK_FN_CQ_NOTIFICATION_CALLBACK =
    unsafe extern "system" fn(CqNotificationContext: PVOID, CqStatus: NTSTATUS);

/// Told that a shared receive queue has fallen below its threshold, or has failed.
///
/// Reference: `nc-ndkpi-ndk_fn_srq_notification_callback`.
pub type NDK_FN_SRQ_NOTIFICATION_CALLBACK =
    unsafe extern "system" fn(SrqNotificationContext: PVOID, SrqStatus: NTSTATUS);

/// Handed a connector for each connection that a listener receives.
///
/// Reference: `nc-ndkpi-ndk_fn_connect_event_callback`.
pub type NDK_FN_CONNECT_EVENT_CALLBACK =
    unsafe extern "system" fn(ConnectEventContext: PVOID, pNdkConnector: *mut NDK_CONNECTOR);

/// Told that the other side has ended the connection.
///
/// Reference: `nc-ndkpi-ndk_fn_disconnect_event_callback`.
pub type NDK_FN_DISCONNECT_EVENT_CALLBACK =
    unsafe extern "system" fn(DisconnectEventContext: PVOID);
