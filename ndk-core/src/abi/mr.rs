//! The memory region: memory that an adapter may reach, and the tokens that name it.

use super::{
    BOOLEAN, MDL, NDK_FN_CLOSE_OBJECT, NDK_FN_QUERY_EXTENSION_INTERFACE, NDK_FN_REQUEST_COMPLETION,
    NDK_OBJECT_HEADER, NTSTATUS, PVOID, SIZE_T, UINT32, ULONG,
};

/// The adapter may read the memory for the consumer: the right that every region has.
pub const NDK_MR_FLAG_ALLOW_LOCAL_READ: ULONG = 0x0;
/// The adapter may write the memory for the consumer.
pub const NDK_MR_FLAG_ALLOW_LOCAL_WRITE: ULONG = 0x1;
/// A peer that holds the remote token may read the memory.
pub const NDK_MR_FLAG_ALLOW_REMOTE_READ: ULONG = 0x2;
/// A peer that holds the remote token may write the memory; includes
/// [`NDK_MR_FLAG_ALLOW_LOCAL_WRITE`].
pub const NDK_MR_FLAG_ALLOW_REMOTE_WRITE: ULONG = 0x5;
/// The memory may receive the data of an RDMA read.
pub const NDK_MR_FLAG_RDMA_READ_SINK: ULONG = 0x8;

/// A memory region. Reference: `ns-ndkpi-_ndk_mr`.
#[repr(C)]
#[derive(Debug)]
pub struct NDK_MR {
    /// The common header; its type is [`NdkObjectTypeMr`](super::NdkObjectTypeMr).
    pub Header: NDK_OBJECT_HEADER,
    /// The provider's entries for this object.
    pub Dispatch: *const NDK_MR_DISPATCH,
}

/// The entries of a memory region. Reference: `ns-ndkpi-_ndk_mr_dispatch`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct NDK_MR_DISPATCH {
    /// Closes the region, registered or not.
    pub NdkCloseMr: Option<NDK_FN_CLOSE_OBJECT>,
    /// Finds an extension.
    pub NdkQueryExtension: Option<NDK_FN_QUERY_EXTENSION_INTERFACE>,
    /// Registers memory.
    pub NdkRegisterMr: Option<NDK_FN_REGISTER_MR>,
    /// Ends a registration.
    pub NdkDeregisterMr: Option<NDK_FN_DEREGISTER_MR>,
    /// Makes the region ready for fast registration.
    pub NdkInitializeFastRegisterMr: Option<NDK_FN_INITIALIZE_FAST_REGISTER_MR>,
    /// Tells the token for peers.
    pub NdkGetRemoteTokenFromMr: Option<NDK_FN_GET_REMOTE_TOKEN_FROM_MR>,
    /// Tells the token for the consumer's own requests.
    pub NdkGetLocalTokenFromMr: Option<NDK_FN_GET_LOCAL_TOKEN_FROM_MR>,
}

/// Registers the first `Length` bytes of an MDL chain with the rights in `Flags` (`NDK_MR_FLAG_*`).
///
/// The chain must stay as it is until the request is over, its pages locked until the region is
/// deregistered or closed. `Length` is in bytes. `RequestCompletion` is required. Reference:
/// `nc-ndkpi-ndk_fn_register_mr`.
pub type NDK_FN_REGISTER_MR = unsafe extern "system" fn(
    pNdkMr: *mut NDK_MR,
    Mdl: *mut MDL,
    Length: SIZE_T,
    Flags: ULONG,
    RequestCompletion: Option<NDK_FN_REQUEST_COMPLETION>,
    RequestContext: PVOID,
) -> NTSTATUS;

/// Ends the registration; once it is done the memory is the consumer's alone and the tokens are
/// dead.
///
/// `RequestCompletion` is required. Reference: `nc-ndkpi-ndk_fn_deregister_mr`.
pub type NDK_FN_DEREGISTER_MR = unsafe extern "system" fn(
    pNdkMr: *mut NDK_MR,
    RequestCompletion: Option<NDK_FN_REQUEST_COMPLETION>,
    RequestContext: PVOID,
) -> NTSTATUS;

/// Prepares a region, created for fast registration, for up to `AdapterPageCount` pages of memory.
///
/// `RemoteAccess` says whether later fast registrations may ask for remote rights.
/// `RequestCompletion` is required. Reference: `nc-ndkpi-ndk_fn_initialize_fast_register_mr`.
pub type NDK_FN_INITIALIZE_FAST_REGISTER_MR = unsafe extern "system" fn(
    pNdkMr: *mut NDK_MR,
    AdapterPageCount: ULONG,
    RemoteAccess: BOOLEAN,
    RequestCompletion: Option<NDK_FN_REQUEST_COMPLETION>,
    RequestContext: PVOID,
) -> NTSTATUS;

/// The token by which a peer names the region in a read or a write.
///
/// Valid after a registration or an initialisation for fast registration. Reference:
/// `nc-ndkpi-ndk_fn_get_remote_token_from_mr`.
pub type NDK_FN_GET_REMOTE_TOKEN_FROM_MR = unsafe extern "system" fn(pNdkMr: *mut NDK_MR) -> UINT32;

/// The token by which the consumer names the region in the elements of its own requests.
///
/// Valid after a registration or an initialisation for fast registration. Reference:
/// `nc-ndkpi-ndk_fn_get_local_token_from_mr`.
pub type NDK_FN_GET_LOCAL_TOKEN_FROM_MR = unsafe extern "system" fn(pNdkMr: *mut NDK_MR) -> UINT32;
