//! Scalars and small structures that Windows' own base headers provide.

use core::ffi::c_void;
use core::fmt;

/// C `ULONG`: 32 bits on every platform, unlike C's `unsigned long`.
pub type ULONG = u32;
/// C `USHORT`: 16 bits, unsigned.
pub type USHORT = u16;
/// C `CSHORT`: 16 bits, signed.
pub type CSHORT = i16;
/// C `UINT32`: 32 bits, unsigned.
pub type UINT32 = u32;
/// C `UINT64`: 64 bits, unsigned.
pub type UINT64 = u64;
/// C `SIZE_T`: a number of bytes, as wide as a pointer.
pub type SIZE_T = usize;
/// C `ULONG_PTR`: an integer as wide as a pointer.
pub type ULONG_PTR = usize;
/// C `BOOLEAN`: one byte; [`FALSE`] is zero, and every other value counts as true.
pub type BOOLEAN = u8;
/// C `PVOID`: a pointer to anything.
pub type PVOID = *mut c_void;

/// The false [`BOOLEAN`].
pub const FALSE: BOOLEAN = 0;
/// The true [`BOOLEAN`] that C code writes; a reader tests against [`FALSE`] instead.
pub const TRUE: BOOLEAN = 1;

/// Bytes in a page: the unit of MDLs and of logical address mappings.
pub const PAGE_SIZE: usize = 1 << PAGE_SHIFT;
/// Binary logarithm of [`PAGE_SIZE`].
pub const PAGE_SHIFT: u32 = 12;

/// A 128-bit identifier; here it names an extension interface. Reference: `ns-guiddef-guid`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct GUID {
    /// The first eight hexadecimal digits.
    pub Data1: u32,
    /// The first group of four digits.
    pub Data2: u16,
    /// The second group of four digits.
    pub Data3: u16,
    /// The third group of four digits, then the last twelve.
    pub Data4: [u8; 8],
}

/// The two halves of a [`PHYSICAL_ADDRESS`]; C leaves this structure without a name.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PHYSICAL_ADDRESS_PARTS {
    /// The low 32 bits.
    pub LowPart: u32,
    /// The high 32 bits.
    pub HighPart: i32,
}

/// A 64-bit address as a device sees it (C's `LARGE_INTEGER`).
///
/// Both views cover all eight bytes, so either may be read whichever was written;
/// [`new`](Self::new) and [`quad`](Self::quad) do it without `unsafe`. Reference:
/// `ns-winnt-large_integer-r1`.
#[repr(C)]
#[derive(Clone, Copy)]
pub union PHYSICAL_ADDRESS {
    /// The address as two halves.
    pub u: PHYSICAL_ADDRESS_PARTS,
    /// The address as one number.
    pub QuadPart: i64,
}

impl PHYSICAL_ADDRESS {
    /// The address whose 64 bits are those of `quad`.
    pub const fn new(quad: u64) -> Self {
        Self { QuadPart: quad.cast_signed() }
    }

    /// The 64 bits of the address.
    pub const fn quad(self) -> u64 {
        // SAFETY: both views are eight bytes of integers without padding, so all eight bytes are
        // initialised whichever of them was written, and any bytes are a valid `i64`.
        unsafe { self.QuadPart }.cast_unsigned()
    }
}

impl Default for PHYSICAL_ADDRESS {
    fn default() -> Self {
        Self::new(0)
    }
}

impl fmt::Debug for PHYSICAL_ADDRESS {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PHYSICAL_ADDRESS({:#x})", self.quad())
    }
}

impl PartialEq for PHYSICAL_ADDRESS {
    fn eq(&self, other: &Self) -> bool {
        self.quad() == other.quad()
    }
}

impl Eq for PHYSICAL_ADDRESS {}

/// The processors on which a consumer would like its notifications to run. Reference:
/// `ns-winnt-group_affinity`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GROUP_AFFINITY {
    /// One bit for each processor of the group.
    pub Mask: ULONG_PTR,
    /// Number of the processor group.
    pub Group: USHORT,
    /// Must be zero.
    pub Reserved: [USHORT; 3],
}

/// The start of a socket address; its family says how long the whole is. Reference:
/// `ns-ws2def-sockaddr`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SOCKADDR {
    /// The address family.
    pub sa_family: USHORT,
    /// The first bytes of the address.
    pub sa_data: [u8; 14],
}

/// A pointer to a socket address.
pub type PSOCKADDR = *mut SOCKADDR;
