//! Memory of a hosted program that keeps its address and is only ever copied to and from.

use crate::abi::PAGE_SIZE;
use crate::error::{Error, ErrorKind, Result};
use alloc::alloc::{alloc_zeroed, dealloc};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::alloc::Layout;
use core::fmt;
use core::ptr::NonNull;
// The bytes themselves, which a loom model does not track either.
use core::sync::atomic::{AtomicU8, Ordering};

/// Zeroed memory for registration. A clone is another handle to the same bytes, which live until the last handle,
/// and every [`Mdl`](super::Mdl) over them, is gone.
///
/// The bytes are copied in and out, and never lent: a peer may write them at any time, so neither `&` nor `&mut` to
/// them could be upheld. Copies that run at the same time as a peer's access see or leave each byte either old or
/// new; they order nothing. What orders them is a completion.
///
/// The pages are the buffer's alone, also the parts before its first and after its last byte.
#[derive(Clone)]
pub struct Buffer(Arc<Memory>);

struct Memory {
    pages: NonNull<u8>,
    layout: Layout,
    offset: usize,
    length: usize,
}

// SAFETY: the bytes are reached by atomic accesses only, and the rest is never changed.
unsafe impl Send for Memory {}
// SAFETY: as for Send.
unsafe impl Sync for Memory {}

impl Buffer {
    /// `length` zeroed bytes from the start of a page on.
    ///
    /// # Errors
    /// INSUFFICIENT_RESOURCES.
    pub fn new(length: usize) -> Result<Self> {
        Self::with_page_offset(length, 0)
    }

    /// `length` zeroed bytes, the first of them `offset` bytes into its page.
    ///
    /// # Errors
    /// INSUFFICIENT_RESOURCES; INVALID_PARAMETER where `offset` is not inside a page.
    pub fn with_page_offset(length: usize, offset: usize) -> Result<Self> {
        if offset >= PAGE_SIZE {
            let cause = "the offset of a buffer's first byte is not inside a page";
            return Err(Error::new(ErrorKind::InvalidParameter, cause));
        }
        let short = || Error::new(ErrorKind::InsufficientResources, "no memory for a buffer");
        let size = length.checked_add(offset).ok_or_else(short)?.max(1);
        let size = size.checked_next_multiple_of(PAGE_SIZE).ok_or_else(short)?;
        let layout = Layout::from_size_align(size, PAGE_SIZE).map_err(|_| short())?;
        // SAFETY: the size is at least a page.
        let pages = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or_else(short)?;
        // A backend finds the bytes by page-frame number, as a device does.
        pages.as_ptr().expose_provenance();
        Ok(Self(Arc::new(Memory { pages, layout, offset, length })))
    }

    /// A buffer, from the start of a page on, with a copy of `bytes`.
    ///
    /// # Errors
    /// INSUFFICIENT_RESOURCES.
    pub fn copy_of(bytes: &[u8]) -> Result<Self> {
        let buffer = Self::new(bytes.len())?;
        buffer.write(0, bytes)?;
        Ok(buffer)
    }

    /// The length in bytes.
    pub fn len(&self) -> usize {
        self.0.length
    }

    /// Whether there is no byte.
    pub fn is_empty(&self) -> bool {
        self.0.length == 0
    }

    /// The host address of the first byte: a number, and what [`as_ptr`](Self::as_ptr) points to.
    pub fn address(&self) -> usize {
        self.as_ptr().addr()
    }

    /// The first byte. Valid while a handle or an MDL over the buffer exists; accesses must be atomic, since others
    /// copy too.
    pub fn as_ptr(&self) -> *mut u8 {
        // SAFETY: the offset is inside the allocation.
        unsafe { self.0.pages.as_ptr().add(self.0.offset) }
    }

    /// Copies the bytes from `offset` on into `into`.
    ///
    /// # Errors
    /// INVALID_PARAMETER, and nothing copied, beyond the buffer's end.
    pub fn read(&self, offset: usize, into: &mut [u8]) -> Result<()> {
        let cells = self.cells(offset, into.len())?;
        for (byte, at) in into.iter_mut().zip(cells) {
            *byte = at.load(Ordering::Relaxed);
        }
        Ok(())
    }

    /// Copies `from` to the bytes from `offset` on.
    ///
    /// # Errors
    /// INVALID_PARAMETER, and nothing copied, beyond the buffer's end.
    pub fn write(&self, offset: usize, from: &[u8]) -> Result<()> {
        let cells = self.cells(offset, from.len())?;
        for (byte, at) in from.iter().zip(cells) {
            at.store(*byte, Ordering::Relaxed);
        }
        Ok(())
    }

    /// A copy of all bytes.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len()];
        let copied = self.read(0, &mut bytes);
        debug_assert!(copied.is_ok(), "a buffer reaches to its end");
        bytes
    }

    /// The bytes as atomics, one by one: a peer's copy stands for the same accesses, and atomic accesses of
    /// different sizes may not meet.
    fn cells(&self, offset: usize, length: usize) -> Result<&[AtomicU8]> {
        if offset.checked_add(length).is_none_or(|end| end > self.len()) {
            let cause = "the range reaches beyond the buffer's end";
            return Err(Error::new(ErrorKind::InvalidParameter, cause));
        }
        // SAFETY: inside the allocation, which lives as long as the handle; every access to it, a backend's
        // included, is atomic, and an AtomicU8 allows its bytes to change.
        Ok(unsafe { core::slice::from_raw_parts(self.as_ptr().add(offset).cast(), length) })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: allocated in `with_page_offset` with this layout, and freed once.
        unsafe { dealloc(self.pages.as_ptr(), self.layout) };
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer").field("address", &self.as_ptr()).field("len", &self.len()).finish()
    }
}
