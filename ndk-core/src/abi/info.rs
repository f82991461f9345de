//! What an adapter says about itself.

use super::{NDK_VERSION, SIZE_T, UINT32, ULONG};

/// Incoming data is placed in memory in the order in which it arrives.
pub const NDK_ADAPTER_FLAG_IN_ORDER_DMA_SUPPORTED: ULONG = 0x1;
/// Memory needs no read-sink right to receive the data of an RDMA read.
pub const NDK_ADAPTER_FLAG_RDMA_READ_SINK_NOT_REQUIRED: ULONG = 0x2;
/// The interrupt moderation of a completion queue can be set.
pub const NDK_ADAPTER_FLAG_CQ_INTERRUPT_MODERATION_SUPPORTED: ULONG = 0x4;
/// The adapter has more than one processing engine.
pub const NDK_ADAPTER_FLAG_MULTI_ENGINE_SUPPORTED: ULONG = 0x8;
/// A read request may invalidate its local token once it is done.
pub const NDK_ADAPTER_FLAG_RDMA_READ_LOCAL_INVALIDATE_SUPPORTED: ULONG = 0x10;
/// A completion queue can be resized.
pub const NDK_ADAPTER_FLAG_CQ_RESIZE_SUPPORTED: ULONG = 0x100;
/// Both ends of a connection may be on this adapter.
pub const NDK_ADAPTER_FLAG_LOOPBACK_CONNECTIONS_SUPPORTED: ULONG = 0x1_0000;

/// The kind of RDMA network, one of the constants below. Reference:
/// `ne-ndkinfo-ndk_rdma_technology`.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NDK_RDMA_TECHNOLOGY(pub u32);

/// The adapter does not say.
pub const NdkUndefined: NDK_RDMA_TECHNOLOGY = NDK_RDMA_TECHNOLOGY(0);
/// iWARP.
pub const NdkiWarp: NDK_RDMA_TECHNOLOGY = NDK_RDMA_TECHNOLOGY(1);
/// InfiniBand.
pub const NdkInfiniBand: NDK_RDMA_TECHNOLOGY = NDK_RDMA_TECHNOLOGY(2);
/// RDMA over Converged Ethernet, version 1.
pub const NdkRoCE: NDK_RDMA_TECHNOLOGY = NDK_RDMA_TECHNOLOGY(3);
/// RDMA over Converged Ethernet, version 2.
pub const NdkRoCEv2: NDK_RDMA_TECHNOLOGY = NDK_RDMA_TECHNOLOGY(4);
/// One more than the highest technology.
pub const NdkMaxTechnology: NDK_RDMA_TECHNOLOGY = NDK_RDMA_TECHNOLOGY(5);

/// Limits and capabilities of an adapter. Reference: `ns-ndkinfo-ndk_adapter_info`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NDK_ADAPTER_INFO {
    /// The NDKPI version that the adapter serves.
    pub Version: NDK_VERSION,
    /// The vendor's organizationally unique identifier.
    pub VendorId: UINT32,
    /// The device's number, as its vendor numbers devices.
    pub DeviceId: UINT32,
    /// Largest memory region, in bytes.
    pub MaxRegistrationSize: SIZE_T,
    /// Largest memory window, in bytes.
    pub MaxWindowSize: SIZE_T,
    /// Most pages of a fast-register memory region, and the number for which the adapter has most
    /// of them; at least 16.
    pub FRMRPageCount: ULONG,
    /// Most elements of a request in the initiator queue.
    pub MaxInitiatorRequestSge: ULONG,
    /// Most elements of a receive.
    pub MaxReceiveRequestSge: ULONG,
    /// Most elements of a read.
    pub MaxReadRequestSge: ULONG,
    /// Most bytes that one request may move.
    pub MaxTransferLength: ULONG,
    /// Most bytes that a request may carry in itself.
    pub MaxInlineDataSize: ULONG,
    /// Most incoming reads in progress on one queue pair.
    pub MaxInboundReadLimit: ULONG,
    /// Most outgoing reads in progress on one queue pair.
    pub MaxOutboundReadLimit: ULONG,
    /// Most receives posted to one queue pair.
    pub MaxReceiveQueueDepth: ULONG,
    /// Most initiator requests posted to one queue pair.
    pub MaxInitiatorQueueDepth: ULONG,
    /// Most receives posted to one shared receive queue.
    pub MaxSrqDepth: ULONG,
    /// Most results in one completion queue.
    pub MaxCqDepth: ULONG,
    /// Size in bytes from which reads and writes serve better than sends.
    pub LargeRequestThreshold: ULONG,
    /// Most bytes of private data with a connection request.
    pub MaxCallerData: ULONG,
    /// Most bytes of private data with the answer to one.
    pub MaxCalleeData: ULONG,
    /// Capabilities: a union of `NDK_ADAPTER_FLAG_*`.
    pub AdapterFlags: ULONG,
    /// The kind of network.
    pub RdmaTechnology: NDK_RDMA_TECHNOLOGY,
}
