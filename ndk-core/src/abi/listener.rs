//! Local addresses: the listener, which takes connections, and the shared endpoint, from which they
//! start.

use super::{
    BOOLEAN, NDK_FN_CLOSE_OBJECT, NDK_FN_QUERY_EXTENSION_INTERFACE, NDK_FN_REQUEST_COMPLETION,
    NDK_OBJECT_HEADER, NTSTATUS, PSOCKADDR, PVOID, ULONG,
};

/// A listener. Reference: `ns-ndkpi-_ndk_listener`.
#[repr(C)]
#[derive(Debug)]
pub struct NDK_LISTENER {
    /// The common header; its type is [`NdkObjectTypeListener`](super::NdkObjectTypeListener).
    pub Header: NDK_OBJECT_HEADER,
    /// The provider's entries for this object.
    pub Dispatch: *const NDK_LISTENER_DISPATCH,
}

/// The entries of a listener. Reference: `ns-ndkpi-_ndk_listener_dispatch`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct NDK_LISTENER_DISPATCH {
    /// Closes the listener.
    pub NdkCloseListener: Option<NDK_FN_CLOSE_OBJECT>,
    /// Finds an extension.
    pub NdkQueryExtension: Option<NDK_FN_QUERY_EXTENSION_INTERFACE>,
    /// Starts to listen.
    pub NdkListen: Option<NDK_FN_LISTEN>,
    /// Tells the local address.
    pub NdkGetLocalAddress: Option<NDK_FN_GET_LISTENER_LOCAL_ADDRESS>,
    /// Pauses and resumes the connect events.
    pub NdkControlConnectEvents: Option<NDK_FN_CONTROL_CONNECT_EVENTS>,
}

/// Starts to take connections at a local address of `AddressLength` bytes. Reference:
/// `nc-ndkpi-ndk_fn_listen`.
pub type NDK_FN_LISTEN = unsafe extern "system" fn(
    pNdkListener: *mut NDK_LISTENER,
    pAddress: PSOCKADDR,
    AddressLength: ULONG,
    RequestCompletion: Option<NDK_FN_REQUEST_COMPLETION>,
    RequestContext: PVOID,
) -> NTSTATUS;

/// Stores the listener's address; `*pAddressLength` is the room in bytes on entry and the length on
/// return.
///
/// Reference: `nc-ndkpi-ndk_fn_get_listener_local_address`.
pub type NDK_FN_GET_LISTENER_LOCAL_ADDRESS = unsafe extern "system" fn(
    pNdkListener: *mut NDK_LISTENER,
    pAddress: PSOCKADDR,
    pAddressLength: *mut ULONG,
) -> NTSTATUS;

/// Pauses the connect events, or resumes them where `Pause` is false.
///
/// Reference: `nc-ndkpi-ndk_fn_control_connect_events`.
pub type NDK_FN_CONTROL_CONNECT_EVENTS =
    unsafe extern "system" fn(pNdkListener: *mut NDK_LISTENER, Pause: BOOLEAN);

/// A shared endpoint. Reference: `ns-ndkpi-_ndk_shared_endpoint`.
#[repr(C)]
#[derive(Debug)]
pub struct NDK_SHARED_ENDPOINT {
    /// The common header; its type is
    /// [`NdkObjectTypeSharedEndpoint`](super::NdkObjectTypeSharedEndpoint).
    pub Header: NDK_OBJECT_HEADER,
    /// The provider's entries for this object.
    pub Dispatch: *const NDK_SHARED_ENDPOINT_DISPATCH,
}

/// The entries of a shared endpoint. Reference: `ns-ndkpi-_ndk_shared_endpoint_dispatch`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct NDK_SHARED_ENDPOINT_DISPATCH {
    /// Closes the endpoint.
    pub NdkCloseSharedEndpoint: Option<NDK_FN_CLOSE_OBJECT>,
    /// Finds an extension.
    pub NdkQueryExtension: Option<NDK_FN_QUERY_EXTENSION_INTERFACE>,
    /// Tells the local address.
    pub NdkGetLocalAddress: Option<NDK_FN_GET_SHARED_ENDPOINT_LOCAL_ADDRESS>,
}

/// Stores the endpoint's address; `*pAddressLength` is the room in bytes on entry and the length on
/// return.
///
/// Reference: `nc-ndkpi-ndk_fn_get_shared_endpoint_local_address`.
pub type NDK_FN_GET_SHARED_ENDPOINT_LOCAL_ADDRESS = unsafe extern "system" fn(
    pNdkSharedEndpoint: *mut NDK_SHARED_ENDPOINT,
    pAddress: PSOCKADDR,
    pAddressLength: *mut ULONG,
) -> NTSTATUS;
