//! Requests to a queue pair and their results: elements, logical addresses, flags.

use super::{NTSTATUS, PHYSICAL_ADDRESS, PVOID, UINT32, ULONG, ULONG_PTR};

/// No result is reported if the request succeeds.
pub const NDK_OP_FLAG_SILENT_SUCCESS: ULONG = 0x1;
/// The request starts only after the reads posted before it are done.
pub const NDK_OP_FLAG_READ_FENCE: ULONG = 0x2;
/// The send's arrival counts as solicited for the receiver's completion queue.
pub const NDK_OP_FLAG_SEND_AND_SOLICIT_EVENT: ULONG = 0x4;
/// Bind or fast registration: peers may read.
pub const NDK_OP_FLAG_ALLOW_REMOTE_READ: ULONG = 0x8;
/// Bind or fast registration: the adapter may write for the consumer.
pub const NDK_OP_FLAG_ALLOW_LOCAL_WRITE: ULONG = 0x10;
/// Bind or fast registration: peers may write; includes [`NDK_OP_FLAG_ALLOW_LOCAL_WRITE`].
pub const NDK_OP_FLAG_ALLOW_REMOTE_WRITE: ULONG = 0x30;
/// The data travels in the request itself, up to the queue pair's inline size; tokens are not used.
pub const NDK_OP_FLAG_INLINE: ULONG = 0x40;
/// Fast registration: the memory may receive the data of an RDMA read.
pub const NDK_OP_FLAG_RDMA_READ_SINK: ULONG = 0x80;
/// Read: the local token is invalidated once the read is done.
pub const NDK_OP_FLAG_RDMA_READ_LOCAL_INVALIDATE: ULONG = 0x100;
/// The provider may hand the request to the hardware later, together with others.
pub const NDK_OP_FLAG_DEFER: ULONG = 0x200;

/// An address that an adapter gave out for a page of memory, of meaning to that adapter only.
///
/// Reference: `ns-ndkpi-_ndk_logical_address_mapping`.
pub type NDK_LOGICAL_ADDRESS = PHYSICAL_ADDRESS;

/// The logical addresses of the pages of a buffer. Reference:
/// `ns-ndkpi-_ndk_logical_address_mapping`.
#[repr(C)]
#[derive(Debug)]
pub struct NDK_LOGICAL_ADDRESS_MAPPING {
    /// The provider's own.
    pub AdapterContext: PVOID,
    /// Number of pages, and so of addresses.
    pub AdapterPageCount: ULONG,
    /// The first of `AdapterPageCount` addresses; the others follow it in memory.
    pub AdapterPageArray: [NDK_LOGICAL_ADDRESS; 1],
}

/// Where the memory of an [`NDK_SGE`] starts; its token decides which member holds. C leaves this
/// union without a name.
#[repr(C)]
#[derive(Clone, Copy)]
pub union NDK_SGE_ADDRESS {
    /// With the token of a memory region: an address in that region.
    pub VirtualAddress: PVOID,
    /// With the privileged token: a logical address. On 32-bit platforms wider than the other
    /// member.
    pub LogicalAddress: NDK_LOGICAL_ADDRESS,
}

/// One piece of memory in a request. Reference: `ns-ndkpi-_ndk_sge`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct NDK_SGE {
    /// Where it starts.
    pub Address: NDK_SGE_ADDRESS,
    /// Its length in bytes.
    pub Length: ULONG,
    /// The local token of its memory region, or the privileged token of the protection domain.
    pub MemoryRegionToken: UINT32,
}

/// The outcome of a request to a queue pair. Reference: `ns-ndkpi-_ndk_result`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct NDK_RESULT {
    /// Success, or why the request failed.
    pub Status: NTSTATUS,
    /// Bytes received; meaningful for receives.
    pub BytesTransferred: ULONG,
    /// The context of the queue pair, as given at its creation.
    pub QPContext: PVOID,
    /// The context of the request, as given when it was posted.
    pub RequestContext: PVOID,
}

/// The outcome of a request to a queue pair, with its kind.
///
/// This is the layout up to NDKPI 2.0; 2.1 adds a member after `Type`. Reference:
/// `ns-ndkpi-_ndk_result_ex`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct NDK_RESULT_EX {
    /// Success, or why the request failed.
    pub Status: NTSTATUS,
    /// Bytes received; meaningful for receives.
    pub BytesTransferred: ULONG,
    /// The context of the queue pair, as given at its creation.
    pub QPContext: PVOID,
    /// The context of the request, as given when it was posted.
    pub RequestContext: PVOID,
    /// The kind of the request.
    pub Type: NDK_OPERATION_TYPE,
    /// For [`NdkOperationTypeReceiveAndInvalidate`] the token that is invalid now; undefined for
    /// the other types.
    pub TypeSpecificCompletionOutput: ULONG_PTR,
}

/// The kind of a finished request, one of the constants below. Reference:
/// `ne-ndkpi-_ndk_operation_type`.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NDK_OPERATION_TYPE(pub u32);

/// A receive.
pub const NdkOperationTypeReceive: NDK_OPERATION_TYPE = NDK_OPERATION_TYPE(1);
/// A send, with or without an invalidation at the receiver.
pub const NdkOperationTypeSend: NDK_OPERATION_TYPE = NDK_OPERATION_TYPE(2);
/// A fast registration.
pub const NdkOperationTypeFastRegister: NDK_OPERATION_TYPE = NDK_OPERATION_TYPE(4);
/// A bind.
pub const NdkOperationTypeBind: NDK_OPERATION_TYPE = NDK_OPERATION_TYPE(8);
/// A local invalidation.
pub const NdkOperationTypeInvalidate: NDK_OPERATION_TYPE = NDK_OPERATION_TYPE(16);
/// A read.
pub const NdkOperationTypeRead: NDK_OPERATION_TYPE = NDK_OPERATION_TYPE(32);
/// A write.
pub const NdkOperationTypeWrite: NDK_OPERATION_TYPE = NDK_OPERATION_TYPE(64);
/// A receive whose sender invalidated a token of the receiver.
pub const NdkOperationTypeReceiveAndInvalidate: NDK_OPERATION_TYPE = NDK_OPERATION_TYPE(0x8001);
