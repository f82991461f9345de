//! What every NDK object starts with, and the two entries that all objects share.

use super::{GUID, NDK_FN_CLOSE_COMPLETION, NTSTATUS, PVOID, USHORT};
use core::ffi::c_void;
use core::ptr::null_mut;

/// A version of NDKPI or of an extension interface; ordered by major number first.
///
/// Reference: `ns-ndkinfo-ndk_version`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NDK_VERSION {
    /// Major number: versions that differ in it are not compatible.
    pub Major: USHORT,
    /// Minor number: a higher one only adds.
    pub Minor: USHORT,
}

/// The kind of an NDK object, one of the `NdkObjectType*` constants. Reference:
/// `ne-ndkpi-_ndk_object_type`.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NDK_OBJECT_TYPE(pub u32);

/// No object; never the type of a live one.
pub const NdkObjectTypeUndefined: NDK_OBJECT_TYPE = NDK_OBJECT_TYPE(0);
/// An adapter ([`NDK_ADAPTER`](super::NDK_ADAPTER)).
pub const NdkObjectTypeAdapter: NDK_OBJECT_TYPE = NDK_OBJECT_TYPE(1);
/// A queue pair ([`NDK_QP`](super::NDK_QP)).
pub const NdkObjectTypeQp: NDK_OBJECT_TYPE = NDK_OBJECT_TYPE(2);
/// A completion queue ([`NDK_CQ`](super::NDK_CQ)).
pub const NdkObjectTypeCq: NDK_OBJECT_TYPE = NDK_OBJECT_TYPE(3);
/// A memory region ([`NDK_MR`](super::NDK_MR)).
pub const NdkObjectTypeMr: NDK_OBJECT_TYPE = NDK_OBJECT_TYPE(4);
/// A memory window ([`NDK_MW`](super::NDK_MW)).
pub const NdkObjectTypeMw: NDK_OBJECT_TYPE = NDK_OBJECT_TYPE(5);
/// A protection domain ([`NDK_PD`](super::NDK_PD)).
pub const NdkObjectTypePd: NDK_OBJECT_TYPE = NDK_OBJECT_TYPE(6);
/// A shared endpoint ([`NDK_SHARED_ENDPOINT`](super::NDK_SHARED_ENDPOINT)).
pub const NdkObjectTypeSharedEndpoint: NDK_OBJECT_TYPE = NDK_OBJECT_TYPE(7);
/// A connector ([`NDK_CONNECTOR`](super::NDK_CONNECTOR)).
pub const NdkObjectTypeConnector: NDK_OBJECT_TYPE = NDK_OBJECT_TYPE(8);
/// A listener ([`NDK_LISTENER`](super::NDK_LISTENER)).
pub const NdkObjectTypeListener: NDK_OBJECT_TYPE = NDK_OBJECT_TYPE(9);
/// A shared receive queue ([`NDK_SRQ`](super::NDK_SRQ)).
pub const NdkObjectTypeSrq: NDK_OBJECT_TYPE = NDK_OBJECT_TYPE(10);
/// One more than the highest type.
pub const NdkObjectTypeMax: NDK_OBJECT_TYPE = NDK_OBJECT_TYPE(11);

/// Room in an object's header that belongs to the consumer's side; the provider zeroes it once, at
/// creation.
///
/// Reference: `ns-ndkpi-_ndk_object_header_reserved_block`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct NDK_OBJECT_HEADER_RESERVED_BLOCK {
    /// Four reserved pointers.
    pub rf: [PVOID; 4],
}

impl NDK_OBJECT_HEADER_RESERVED_BLOCK {
    /// The block of a fresh object.
    pub const ZEROED: Self = Self { rf: [null_mut(); 4] };
}

/// The first member of every NDK object. Reference: `ns-ndkpi-_ndk_object_header`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct NDK_OBJECT_HEADER {
    /// The NDKPI version that the object follows: the one its adapter was opened with.
    pub Version: NDK_VERSION,
    /// What the object is; a debugger tells objects apart by it.
    pub ObjectType: NDK_OBJECT_TYPE,
    /// Reserved for the consumer's side.
    pub NdkReserved: NDK_OBJECT_HEADER_RESERVED_BLOCK,
}

/// Where a provider stores the table of an extension. Reference:
/// `ns-ndkpi-_ndk_extension_interface`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct NDK_EXTENSION_INTERFACE {
    /// The extension's dispatch table; its type follows from the GUID and the version asked for.
    pub Dispatch: *const c_void,
}

/// Closes an object; a pending close is reported through `CloseCompletion` with `RequestContext`.
///
/// Returns [`STATUS_SUCCESS`](super::STATUS_SUCCESS) or [`STATUS_PENDING`](super::STATUS_PENDING).
/// The object may not be used again once this was called. Reference:
/// `nc-ndkpi-ndk_fn_close_object`.
pub type NDK_FN_CLOSE_OBJECT = unsafe extern "system" fn(
    pNdkObject: *mut NDK_OBJECT_HEADER,
    CloseCompletion: Option<NDK_FN_CLOSE_COMPLETION>,
    RequestContext: PVOID,
) -> NTSTATUS;

/// Asks an object for an extension to its table.
///
/// Stores the table's address in `*pExtensionInterface`, or returns
/// [`STATUS_NOT_SUPPORTED`](super::STATUS_NOT_SUPPORTED). Reference:
/// `nc-ndkpi-ndk_fn_query_extension_interface`.
pub type NDK_FN_QUERY_EXTENSION_INTERFACE = unsafe extern "system" fn(
    pNdkObject: *mut NDK_OBJECT_HEADER,
    ExtensionInterfaceID: *mut GUID,
    ExtensionInterfaceVersion: NDK_VERSION,
    pExtensionInterface: *mut NDK_EXTENSION_INTERFACE,
) -> NTSTATUS;
