//! The memory descriptor list: how a consumer names the pages of a buffer.

use super::{CSHORT, PVOID, ULONG};

/// Describes a buffer that is contiguous in virtual addresses, page by page.
///
/// The buffer starts at `StartVa + ByteOffset`. The frame numbers of its pages follow the structure
/// in memory, each as wide as a pointer, one for every page that the `ByteCount` bytes from
/// `ByteOffset` on touch. Reference: `ns-wdm-_mdl`.
#[repr(C)]
#[derive(Debug)]
pub struct MDL {
    /// The next part of the buffer, or null at the end of the chain.
    pub Next: *mut MDL,
    /// Bytes taken by this structure and the frame numbers behind it.
    pub Size: CSHORT,
    /// State of the described memory: a union of `MDL_*` flags.
    pub MdlFlags: CSHORT,
    /// The process that owns the memory; opaque here.
    pub Process: PVOID,
    /// Where the pages are mapped in system space; valid under [`MDL_MAPPED_TO_SYSTEM_VA`].
    pub MappedSystemVa: PVOID,
    /// Virtual address of the first page; a multiple of [`PAGE_SIZE`](super::PAGE_SIZE).
    pub StartVa: PVOID,
    /// Length of the buffer in bytes.
    pub ByteCount: ULONG,
    /// Offset in bytes of the buffer in its first page; less than [`PAGE_SIZE`](super::PAGE_SIZE).
    pub ByteOffset: ULONG,
}

/// The pages are mapped at [`MDL::MappedSystemVa`].
pub const MDL_MAPPED_TO_SYSTEM_VA: CSHORT = 0x1;
/// The pages are locked in memory.
pub const MDL_PAGES_LOCKED: CSHORT = 0x2;
/// The memory comes from non-paged pool, so that its pages never leave memory.
pub const MDL_SOURCE_IS_NONPAGED_POOL: CSHORT = 0x4;
/// The MDL describes a part of another one, which keeps the pages locked.
pub const MDL_PARTIAL: CSHORT = 0x10;
