//! The adapter: the root of all other objects, and the maker of logical addresses.

use super::{
    GROUP_AFFINITY, MDL, NDK_ADAPTER_INFO, NDK_CONNECTOR, NDK_CQ, NDK_FN_CONNECT_EVENT_CALLBACK,
    NDK_FN_CQ_NOTIFICATION_CALLBACK, NDK_FN_CREATE_COMPLETION, NDK_FN_QUERY_EXTENSION_INTERFACE,
    NDK_FN_REQUEST_COMPLETION, NDK_LISTENER, NDK_LOGICAL_ADDRESS_MAPPING, NDK_OBJECT_HEADER,
    NDK_PD, NDK_SHARED_ENDPOINT, NTSTATUS, PSOCKADDR, PVOID, SIZE_T, ULONG,
};

/// An opened adapter. Its table has no close entry: whoever opened it closes it. Reference:
/// `ns-ndkpi-_ndk_adapter`.
#[repr(C)]
#[derive(Debug)]
pub struct NDK_ADAPTER {
    /// The common header; its type is [`NdkObjectTypeAdapter`](super::NdkObjectTypeAdapter).
    pub Header: NDK_OBJECT_HEADER,
    /// The provider's entries for this object.
    pub Dispatch: *const NDK_ADAPTER_DISPATCH,
}

/// The entries of an adapter. Reference: `ns-ndkpi-_ndk_adapter_dispatch`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct NDK_ADAPTER_DISPATCH {
    /// Finds an extension.
    pub NdkQueryExtension: Option<NDK_FN_QUERY_EXTENSION_INTERFACE>,
    /// Tells limits and capabilities.
    pub NdkQueryAdapterInfo: Option<NDK_FN_QUERY_ADAPTER_INFO>,
    /// Makes a completion queue.
    pub NdkCreateCq: Option<NDK_FN_CREATE_CQ>,
    /// Makes a protection domain.
    pub NdkCreatePd: Option<NDK_FN_CREATE_PD>,
    /// Makes a shared endpoint.
    pub NdkCreateSharedEndpoint: Option<NDK_FN_CREATE_SHARED_ENDPOINT>,
    /// Makes a connector.
    pub NdkCreateConnector: Option<NDK_FN_CREATE_CONNECTOR>,
    /// Makes a listener.
    pub NdkCreateListener: Option<NDK_FN_CREATE_LISTENER>,
    /// Maps memory to logical addresses.
    pub NdkBuildLAM: Option<NDK_FN_BUILD_LAM>,
    /// Ends such a mapping.
    pub NdkReleaseLAM: Option<NDK_FN_RELEASE_LAM>,
}

/// Stores what the adapter can do in `*pInfo`. To be called at `PASSIVE_LEVEL`.
///
/// `*pBufferSize` is the size of the buffer in bytes on entry and the size needed on return; with a
/// buffer that is null or too small the call returns
/// [`STATUS_BUFFER_TOO_SMALL`](super::STATUS_BUFFER_TOO_SMALL). Reference:
/// `nc-ndkpi-ndk_fn_query_adapter_info`.
pub type NDK_FN_QUERY_ADAPTER_INFO = unsafe extern "system" fn(
    pNdkAdapter: *mut NDK_ADAPTER,
    pInfo: *mut NDK_ADAPTER_INFO,
    pBufferSize: *mut ULONG,
) -> NTSTATUS;

/// Makes a completion queue for up to `CqDepth` results.
///
/// `CqNotification` is called with `CqNotificationContext` each time that the armed queue has
/// something to tell; `Affinity` (optional) says on which processors. Reference:
/// `nc-ndkpi-ndk_fn_create_cq`.
pub type NDK_FN_CREATE_CQ = unsafe extern "system" fn(
    pNdkAdapter: *mut NDK_ADAPTER,
    CqDepth: ULONG,
    CqNotification: Option<NDK_FN_CQ_NOTIFICATION_CALLBACK>,
    CqNotificationContext: PVOID,
    Affinity: *mut GROUP_AFFINITY,
    CreateCompletion: Option<NDK_FN_CREATE_COMPLETION>,
    RequestContext: PVOID,
    ppNdkCq: *mut *mut NDK_CQ,
) -> NTSTATUS;

/// Makes a protection domain. Reference: `nc-ndkpi-ndk_fn_create_pd`.
pub type NDK_FN_CREATE_PD = unsafe extern "system" fn(
    pNdkAdapter: *mut NDK_ADAPTER,
    CreateCompletion: Option<NDK_FN_CREATE_COMPLETION>,
    RequestContext: PVOID,
    ppNdkPd: *mut *mut NDK_PD,
) -> NTSTATUS;

/// Makes a local address from which several connections may start; `AddressLength` is in bytes.
///
/// Reference: `nc-ndkpi-ndk_fn_create_shared_endpoint`.
pub type NDK_FN_CREATE_SHARED_ENDPOINT = unsafe extern "system" fn(
    pNdkAdapter: *mut NDK_ADAPTER,
    pAddress: PSOCKADDR,
    AddressLength: ULONG,
    CreateCompletion: Option<NDK_FN_CREATE_COMPLETION>,
    RequestContext: PVOID,
    ppNdkSharedEndpoint: *mut *mut NDK_SHARED_ENDPOINT,
) -> NTSTATUS;

/// Makes a connector. Reference: `nc-ndkpi-ndk_fn_create_connector`.
pub type NDK_FN_CREATE_CONNECTOR = unsafe extern "system" fn(
    pNdkAdapter: *mut NDK_ADAPTER,
    CreateCompletion: Option<NDK_FN_CREATE_COMPLETION>,
    RequestContext: PVOID,
    ppNdkConnector: *mut *mut NDK_CONNECTOR,
) -> NTSTATUS;

/// Makes a listener that hands each incoming connection to `ConnectEvent`.
///
/// Reference: `nc-ndkpi-ndk_fn_create_listener`.
pub type NDK_FN_CREATE_LISTENER = unsafe extern "system" fn(
    pNdkAdapter: *mut NDK_ADAPTER,
    ConnectEvent: Option<NDK_FN_CONNECT_EVENT_CALLBACK>,
    ConnectEventContext: PVOID,
    CreateCompletion: Option<NDK_FN_CREATE_COMPLETION>,
    RequestContext: PVOID,
    ppNdkListener: *mut *mut NDK_LISTENER,
) -> NTSTATUS;

/// Maps the first `Length` bytes of an MDL chain to logical addresses, one for each page.
///
/// `*pLAMSize` is the size of the buffer at `pNdkLAM` in bytes on entry; if the mapping does not
/// fit, the size needed is stored there and the call returns
/// [`STATUS_BUFFER_TOO_SMALL`](super::STATUS_BUFFER_TOO_SMALL). `*pFBO` receives the offset in
/// bytes of the memory in its first page. `RequestCompletion` is optional. Reference:
/// `nc-ndkpi-ndk_fn_build_lam`.
pub type NDK_FN_BUILD_LAM = unsafe extern "system" fn(
    pNdkAdapter: *mut NDK_ADAPTER,
    Mdl: *mut MDL,
    Length: SIZE_T,
    RequestCompletion: Option<NDK_FN_REQUEST_COMPLETION>,
    RequestContext: PVOID,
    pNdkLAM: *mut NDK_LOGICAL_ADDRESS_MAPPING,
    pLAMSize: *mut ULONG,
    pFBO: *mut ULONG,
) -> NTSTATUS;

/// Ends a mapping made by [`NDK_FN_BUILD_LAM`]. Reference: `nc-ndkpi-ndk_fn_release_lam`.
pub type NDK_FN_RELEASE_LAM = unsafe extern "system" fn(
    pNdkAdapter: *mut NDK_ADAPTER,
    pNdkLAM: *mut NDK_LOGICAL_ADDRESS_MAPPING,
);
