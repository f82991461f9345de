//! The queue pair: where requests are posted, among them those that bind, fast-register and
//! invalidate.

use super::{
    NDK_FN_CLOSE_OBJECT, NDK_FN_QUERY_EXTENSION_INTERFACE, NDK_LOGICAL_ADDRESS, NDK_MR, NDK_MW,
    NDK_OBJECT_HEADER, NDK_SGE, NTSTATUS, PVOID, SIZE_T, UINT32, UINT64, ULONG,
};

/// A queue pair. Reference: `ns-ndkpi-_ndk_qp`.
#[repr(C)]
#[derive(Debug)]
pub struct NDK_QP {
    /// The common header; its type is [`NdkObjectTypeQp`](super::NdkObjectTypeQp).
    pub Header: NDK_OBJECT_HEADER,
    /// The provider's entries for this object.
    pub Dispatch: *const NDK_QP_DISPATCH,
}

/// The entries of a queue pair.
///
/// Those that post a request take a `RequestContext` that comes back in its result, a union of
/// `NDK_OP_FLAG_*` in `Flags`, and count `nSge` in elements. A post that fails yields no result.
/// Reference: `ns-ndkpi-_ndk_qp_dispatch`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct NDK_QP_DISPATCH {
    /// Closes the queue pair.
    pub NdkCloseQp: Option<NDK_FN_CLOSE_OBJECT>,
    /// Finds an extension.
    pub NdkQueryExtension: Option<NDK_FN_QUERY_EXTENSION_INTERFACE>,
    /// Cancels the requests in the queues.
    pub NdkFlush: Option<NDK_FN_FLUSH>,
    /// Posts a send.
    pub NdkSend: Option<NDK_FN_SEND>,
    /// Posts a receive.
    pub NdkReceive: Option<NDK_FN_RECEIVE>,
    /// Posts a bind of a memory window.
    pub NdkBind: Option<NDK_FN_BIND>,
    /// Posts a fast registration of a memory region.
    pub NdkFastRegister: Option<NDK_FN_FAST_REGISTER>,
    /// Posts the end of a fast registration or of a bind.
    pub NdkInvalidate: Option<NDK_FN_INVALIDATE>,
    /// Posts a read of the peer's memory.
    pub NdkRead: Option<NDK_FN_READ>,
    /// Posts a write to the peer's memory.
    pub NdkWrite: Option<NDK_FN_WRITE>,
    /// Posts a send that also invalidates a token of the peer.
    pub NdkSendAndInvalidate: Option<NDK_FN_SEND_AND_INVALIDATE>,
}

/// Cancels the requests in the queues; each yields a cancelled result. Reference:
/// `nc-ndkpi-ndk_fn_flush`.
pub type NDK_FN_FLUSH = unsafe extern "system" fn(pNdkQp: *mut NDK_QP);

/// Sends the bytes of the elements to the peer. Reference: `nc-ndkpi-ndk_fn_send`.
pub type NDK_FN_SEND = unsafe extern "system" fn(
    pNdkQp: *mut NDK_QP,
    RequestContext: PVOID,
    pSgl: *const NDK_SGE,
    nSge: ULONG,
    Flags: ULONG,
) -> NTSTATUS;

/// Offers the memory of the elements for an incoming send. Reference: `nc-ndkpi-ndk_fn_receive`.
pub type NDK_FN_RECEIVE = unsafe extern "system" fn(
    pNdkQp: *mut NDK_QP,
    RequestContext: PVOID,
    pSgl: *const NDK_SGE,
    nSge: ULONG,
) -> NTSTATUS;

/// Binds a window to `Length` bytes from `VirtualAddress` on of a registered region.
///
/// The rights of the window are the `NDK_OP_FLAG_ALLOW_*` in `Flags`. Reference:
/// `nc-ndkpi-ndk_fn_bind`.
pub type NDK_FN_BIND = unsafe extern "system" fn(
    pNdkQp: *mut NDK_QP,
    RequestContext: PVOID,
    pMr: *mut NDK_MR,
    pMw: *mut NDK_MW,
    VirtualAddress: PVOID,
    Length: SIZE_T,
    Flags: ULONG,
) -> NTSTATUS;

/// Gives pages of memory to a region that was initialised for it.
///
/// The memory is `Length` bytes from offset `FBO` (bytes) of the first of `AdapterPageCount` pages
/// on; its address in requests starts at `BaseVirtualAddress`. Its rights are the
/// `NDK_OP_FLAG_ALLOW_*` and [`NDK_OP_FLAG_RDMA_READ_SINK`](super::NDK_OP_FLAG_RDMA_READ_SINK) in
/// `Flags`. Reference: `nc-ndkpi-ndk_fn_fast_register`.
pub type NDK_FN_FAST_REGISTER = unsafe extern "system" fn(
    pNdkQp: *mut NDK_QP,
    RequestContext: PVOID,
    pMr: *mut NDK_MR,
    AdapterPageCount: ULONG,
    AdapterPageArray: *const NDK_LOGICAL_ADDRESS,
    FBO: ULONG,
    Length: SIZE_T,
    BaseVirtualAddress: PVOID,
    Flags: ULONG,
) -> NTSTATUS;

/// Ends a fast registration or a bind: afterwards its token reaches nothing.
///
/// `pNdkMrOrMw` is the header of a fast-registered region or of a bound window. Reference:
/// `nc-ndkpi-ndk_fn_invalidate`.
pub type NDK_FN_INVALIDATE = unsafe extern "system" fn(
    pNdkQp: *mut NDK_QP,
    RequestContext: PVOID,
    pNdkMrOrMw: *mut NDK_OBJECT_HEADER,
    Flags: ULONG,
) -> NTSTATUS;

/// Reads the peer's memory from `RemoteAddress` on into the elements. Reference:
/// `nc-ndkpi-ndk_fn_read`.
pub type NDK_FN_READ = unsafe extern "system" fn(
    pNdkQp: *mut NDK_QP,
    RequestContext: PVOID,
    pSgl: *const NDK_SGE,
    nSge: ULONG,
    RemoteAddress: UINT64,
    RemoteToken: UINT32,
    Flags: ULONG,
) -> NTSTATUS;

/// Writes the bytes of the elements to the peer's memory from `RemoteAddress` on. Reference:
/// `nc-ndkpi-ndk_fn_write`.
pub type NDK_FN_WRITE = unsafe extern "system" fn(
    pNdkQp: *mut NDK_QP,
    RequestContext: PVOID,
    pSgl: *const NDK_SGE,
    nSge: ULONG,
    RemoteAddress: UINT64,
    RemoteToken: UINT32,
    Flags: ULONG,
) -> NTSTATUS;

/// Sends like [`NDK_FN_SEND`], and invalidates the peer's token `RemoteToken` as the send arrives.
///
/// Reference: `nc-ndkpi-ndk_fn_send_and_invalidate`.
pub type NDK_FN_SEND_AND_INVALIDATE = unsafe extern "system" fn(
    pNdkQp: *mut NDK_QP,
    RequestContext: PVOID,
    pSgl: *const NDK_SGE,
    nSge: ULONG,
    Flags: ULONG,
    RemoteToken: UINT32,
) -> NTSTATUS;
