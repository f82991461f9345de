//! `NTSTATUS` and the values that NDK entries return.

/// The outcome of an NDK call or request: negative for an error, zero or positive otherwise.
///
/// Reference: the `NTSTATUS` values of `[MS-ERREF]`.
pub type NTSTATUS = i32;

/// The [`NTSTATUS`] that is written as `bits` in C.
const fn status(bits: u32) -> NTSTATUS {
    bits.cast_signed()
}

/// Done, and nothing more will be reported.
pub const STATUS_SUCCESS: NTSTATUS = status(0x0000_0000);
/// Started; the completion routine will report the outcome.
pub const STATUS_PENDING: NTSTATUS = status(0x0000_0103);
/// The device is in use in a way that forbids the request for now.
pub const STATUS_DEVICE_BUSY: NTSTATUS = status(0x8000_0011);
/// The access goes beyond the rights or the bounds of the memory region.
pub const STATUS_ACCESS_VIOLATION: NTSTATUS = status(0xC000_0005);
/// An argument is not valid.
pub const STATUS_INVALID_PARAMETER: NTSTATUS = status(0xC000_000D);
/// The caller's buffer does not hold the answer; the needed size is stored.
pub const STATUS_BUFFER_TOO_SMALL: NTSTATUS = status(0xC000_0023);
/// Memory or an adapter resource has run out.
pub const STATUS_INSUFFICIENT_RESOURCES: NTSTATUS = status(0xC000_009A);
/// The other side did not answer in time.
pub const STATUS_IO_TIMEOUT: NTSTATUS = status(0xC000_00B5);
/// The provider does not offer this.
pub const STATUS_NOT_SUPPORTED: NTSTATUS = status(0xC000_00BB);
/// The provider failed in a way that no other value describes.
pub const STATUS_INTERNAL_ERROR: NTSTATUS = status(0xC000_00E5);
/// The request was cancelled or flushed before it was done.
pub const STATUS_CANCELLED: NTSTATUS = status(0xC000_0120);
/// The other side has run out of a resource.
pub const STATUS_REMOTE_RESOURCES: NTSTATUS = status(0xC000_013D);
/// The object is in a state that forbids the call.
pub const STATUS_INVALID_DEVICE_STATE: NTSTATUS = status(0xC000_0184);
/// The other side refused the connection.
pub const STATUS_CONNECTION_REFUSED: NTSTATUS = status(0xC000_0236);
/// The queue pair is not connected.
pub const STATUS_CONNECTION_INVALID: NTSTATUS = status(0xC000_023A);
/// The adapter is gone.
pub const STATUS_DEVICE_REMOVED: NTSTATUS = status(0xC000_02B6);
/// The request exceeds a limit that the adapter declares.
pub const STATUS_IMPLEMENTATION_LIMIT: NTSTATUS = status(0xC000_042B);
/// The NDK version asked for is not served.
pub const NDIS_STATUS_BAD_VERSION: NTSTATUS = status(0xC001_0004);
