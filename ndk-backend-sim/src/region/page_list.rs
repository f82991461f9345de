//! The frame numbers of a registration's pages.

use std::cell::UnsafeCell;

/// Pages whose frame numbers have room in the region itself; more take an allocation, which the region keeps.
const INLINE_PAGES: usize = 16;

/// The list, which the region's record has the address of.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct PageList {
    inline: UnsafeCell<[usize; INLINE_PAGES]>,
    more: UnsafeCell<Vec<usize>>,
}

// SAFETY: the cells are written by `fill` only, whose caller promises that nobody else uses the list meanwhile.
unsafe impl Sync for PageList {}

impl PageList {
    /// Replaces the list.
    ///
    /// # Safety
    /// Nobody else fills or reads the list during the call, and nobody reads it after the next one.
    #[inline(always)]
    pub(super) unsafe fn fill(&self, count: usize, frames: impl FnOnce(&mut [usize])) -> &[usize] {
        // SAFETY: the caller's promise.
        let (inline, more) = unsafe { (&mut *self.inline.get(), &mut *self.more.get()) };
        let pages = if count <= INLINE_PAGES {
            &mut inline[..count]
        } else {
            if more.len() < count {
                more.resize(count, 0);
            }
            &mut more[..count]
        };
        frames(pages);
        pages
    }
}
