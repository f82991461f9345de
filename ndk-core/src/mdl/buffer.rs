//! Memory of a hosted program that keeps its address and is only ever copied to and from.

use crate::abi::{PAGE_SHIFT, PAGE_SIZE};
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
        check_range(offset, into.len(), self.len())?;
        // SAFETY: inside the allocation, which lives as long as the handle; every access to it is atomic.
        unsafe { copy_out(self.as_ptr().add(offset), into) };
        Ok(())
    }

    /// Copies `from` to the bytes from `offset` on.
    ///
    /// # Errors
    /// INVALID_PARAMETER, and nothing copied, beyond the buffer's end.
    pub fn write(&self, offset: usize, from: &[u8]) -> Result<()> {
        check_range(offset, from.len(), self.len())?;
        // SAFETY: as above.
        unsafe { copy_in(from, self.as_ptr().add(offset)) };
        Ok(())
    }

    /// A copy of all bytes.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len()];
        let copied = self.read(0, &mut bytes);
        debug_assert!(copied.is_ok(), "a buffer reaches to its end");
        bytes
    }
}

pub(super) fn check_range(offset: usize, length: usize, end: usize) -> Result<()> {
    if offset.checked_add(length).is_none_or(|last| last > end) {
        let cause = "the range reaches beyond the memory's end";
        return Err(Error::new(ErrorKind::InvalidParameter, cause));
    }
    Ok(())
}

/// The bytes as atomics, one by one: a peer's copy stands for the same accesses, and atomic accesses of different
/// sizes may not meet.
///
/// # Safety
/// The bytes are valid for reads and writes while the slice is used, and all accesses meanwhile are atomic.
unsafe fn cells<'a>(bytes: *const u8, length: usize) -> &'a [AtomicU8] {
    // SAFETY: the caller's promise; an AtomicU8 has the layout of a byte, and allows it to change.
    unsafe { core::slice::from_raw_parts(bytes.cast(), length) }
}

/// # Safety
/// As for [`cells`], for as many bytes as `into` has.
pub(super) unsafe fn copy_out(from: *const u8, into: &mut [u8]) {
    // SAFETY: the caller's promise.
    let cells = unsafe { cells(from, into.len()) };
    into.iter_mut().zip(cells).for_each(|(byte, cell)| *byte = cell.load(Ordering::Relaxed));
}

/// # Safety
/// As for [`cells`], for as many bytes as `from` has.
pub(super) unsafe fn copy_in(from: &[u8], into: *mut u8) {
    // SAFETY: the caller's promise.
    let cells = unsafe { cells(into, from.len()) };
    from.iter().zip(cells).for_each(|(&byte, cell)| cell.store(byte, Ordering::Relaxed));
}

impl Drop for Memory {
    fn drop(&mut self) {
        let first = self.pages.as_ptr().addr() >> PAGE_SHIFT;
        let frames = first..first + (self.layout.size() >> PAGE_SHIFT);
        if crate::verifier::frees_memory(self.pages, frames) {
            return;
        }
        // SAFETY: allocated in `with_page_offset` with this layout, and freed once.
        unsafe { dealloc(self.pages.as_ptr(), self.layout) };
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer").field("address", &self.as_ptr()).field("len", &self.len()).finish()
    }
}
