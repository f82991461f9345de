//! The connector: makes, answers and ends the connection of a queue pair.

use super::{
    NDK_FN_CLOSE_OBJECT, NDK_FN_DISCONNECT_EVENT_CALLBACK, NDK_FN_QUERY_EXTENSION_INTERFACE,
    NDK_FN_REQUEST_COMPLETION, NDK_OBJECT_HEADER, NDK_QP, NDK_SHARED_ENDPOINT, NTSTATUS, PSOCKADDR,
    PVOID, ULONG,
};

/// A connector. Reference: `ns-ndkpi-_ndk_connector`.
#[repr(C)]
#[derive(Debug)]
pub struct NDK_CONNECTOR {
    /// The common header; its type is [`NdkObjectTypeConnector`](super::NdkObjectTypeConnector).
    pub Header: NDK_OBJECT_HEADER,
    /// The provider's entries for this object.
    pub Dispatch: *const NDK_CONNECTOR_DISPATCH,
}

/// The entries of a connector, as up to NDKPI 2.0; 2.1 adds two at the end.
///
/// Lengths of addresses and of private data are in bytes; read limits count the reads that may be
/// in progress at once. Reference: `ns-ndkpi-_ndk_connector_dispatch`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct NDK_CONNECTOR_DISPATCH {
    /// Closes the connector.
    pub NdkCloseConnector: Option<NDK_FN_CLOSE_OBJECT>,
    /// Finds an extension.
    pub NdkQueryExtension: Option<NDK_FN_QUERY_EXTENSION_INTERFACE>,
    /// Asks a peer for a connection.
    pub NdkConnect: Option<NDK_FN_CONNECT>,
    /// The same, from a shared endpoint.
    pub NdkConnectWithSharedEndpoint: Option<NDK_FN_CONNECT_WITH_SHARED_ENDPOINT>,
    /// Confirms a connection that the peer has accepted.
    pub NdkCompleteConnect: Option<NDK_FN_COMPLETE_CONNECT>,
    /// Accepts a peer's connection.
    pub NdkAccept: Option<NDK_FN_ACCEPT>,
    /// Refuses a connection.
    pub NdkReject: Option<NDK_FN_REJECT>,
    /// Tells the peer's limits and private data.
    pub NdkGetConnectionData: Option<NDK_FN_GET_CONNECTION_DATA>,
    /// Tells the local address.
    pub NdkGetLocalAddress: Option<NDK_FN_GET_LOCAL_ADDRESS>,
    /// Tells the peer's address.
    pub NdkGetPeerAddress: Option<NDK_FN_GET_PEER_ADDRESS>,
    /// Ends the connection.
    pub NdkDisconnect: Option<NDK_FN_DISCONNECT>,
}

/// Asks for a connection from a local to a remote address. Reference: `nc-ndkpi-ndk_fn_connect`.
pub type NDK_FN_CONNECT = unsafe extern "system" fn(
    pNdkConnector: *mut NDK_CONNECTOR,
    pNdkQp: *mut NDK_QP,
    pSrcAddress: PSOCKADDR,
    SrcAddressLength: ULONG,
    pDestAddress: PSOCKADDR,
    DestAddressLength: ULONG,
    InboundReadLimit: ULONG,
    OutboundReadLimit: ULONG,
    pPrivateData: PVOID,
    PrivateDataLength: ULONG,
    RequestCompletion: Option<NDK_FN_REQUEST_COMPLETION>,
    RequestContext: PVOID,
) -> NTSTATUS;

/// Asks for a connection from a shared endpoint to a remote address.
///
/// Reference: `nc-ndkpi-ndk_fn_connect_with_shared_endpoint`.
pub type NDK_FN_CONNECT_WITH_SHARED_ENDPOINT = unsafe extern "system" fn(
    pNdkConnector: *mut NDK_CONNECTOR,
    pNdkQp: *mut NDK_QP,
    pNdkSharedEndpoint: *mut NDK_SHARED_ENDPOINT,
    pDestAddress: PSOCKADDR,
    DestAddressLength: ULONG,
    InboundReadLimit: ULONG,
    OutboundReadLimit: ULONG,
    pPrivateData: PVOID,
    PrivateDataLength: ULONG,
    RequestCompletion: Option<NDK_FN_REQUEST_COMPLETION>,
    RequestContext: PVOID,
) -> NTSTATUS;

/// Confirms a connection that the peer has accepted; `DisconnectEvent` (optional) hears of its end.
///
/// Reference: `nc-ndkpi-ndk_fn_complete_connect`.
pub type NDK_FN_COMPLETE_CONNECT = unsafe extern "system" fn(
    pNdkConnector: *mut NDK_CONNECTOR,
    DisconnectEvent: Option<NDK_FN_DISCONNECT_EVENT_CALLBACK>,
    DisconnectEventContext: PVOID,
    RequestCompletion: Option<NDK_FN_REQUEST_COMPLETION>,
    RequestContext: PVOID,
) -> NTSTATUS;

/// Accepts a peer's connection on a queue pair; `DisconnectEvent` (optional) hears of its end.
///
/// Reference: `nc-ndkpi-ndk_fn_accept`.
pub type NDK_FN_ACCEPT = unsafe extern "system" fn(
    pNdkConnector: *mut NDK_CONNECTOR,
    pNdkQp: *mut NDK_QP,
    InboundReadLimit: ULONG,
    OutboundReadLimit: ULONG,
    pPrivateData: PVOID,
    PrivateDataLength: ULONG,
    DisconnectEvent: Option<NDK_FN_DISCONNECT_EVENT_CALLBACK>,
    DisconnectEventContext: PVOID,
    RequestCompletion: Option<NDK_FN_REQUEST_COMPLETION>,
    RequestContext: PVOID,
) -> NTSTATUS;

/// Refuses a connection, before it is accepted or before it is confirmed. Reference:
/// `nc-ndkpi-ndk_fn_reject`.
pub type NDK_FN_REJECT = unsafe extern "system" fn(
    pNdkConnector: *mut NDK_CONNECTOR,
    pPrivateData: PVOID,
    PrivateDataLength: ULONG,
) -> NTSTATUS;

/// Stores the read limits of the connection and the private data of the peer.
///
/// `*pPrivateDataLength` is the room for private data on entry and their length on return.
/// Reference: `nc-ndkpi-ndk_fn_get_connection_data`.
pub type NDK_FN_GET_CONNECTION_DATA = unsafe extern "system" fn(
    pNdkConnector: *mut NDK_CONNECTOR,
    pInboundReadLimit: *mut ULONG,
    pOutboundReadLimit: *mut ULONG,
    pPrivateData: PVOID,
    pPrivateDataLength: *mut ULONG,
) -> NTSTATUS;

/// Stores the local address; `*pAddressLength` is the room on entry and the length on return.
///
/// Reference: `nc-ndkpi-ndk_fn_get_local_address`.
pub type NDK_FN_GET_LOCAL_ADDRESS = unsafe extern "system" fn(
    pNdkConnector: *mut NDK_CONNECTOR,
    pAddress: PSOCKADDR,
    pAddressLength: *mut ULONG,
) -> NTSTATUS;

/// Stores the peer's address; `*pAddressLength` is the room on entry and the length on return.
///
/// Reference: `nc-ndkpi-ndk_fn_get_peer_address`.
pub type NDK_FN_GET_PEER_ADDRESS = unsafe extern "system" fn(
    pNdkConnector: *mut NDK_CONNECTOR,
    pAddress: PSOCKADDR,
    pAddressLength: *mut ULONG,
) -> NTSTATUS;

/// Ends the connection. Reference: `nc-ndkpi-ndk_fn_disconnect`.
pub type NDK_FN_DISCONNECT = unsafe extern "system" fn(
    pNdkConnector: *mut NDK_CONNECTOR,
    RequestCompletion: Option<NDK_FN_REQUEST_COMPLETION>,
    RequestContext: PVOID,
) -> NTSTATUS;
