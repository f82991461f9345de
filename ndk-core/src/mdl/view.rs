//! The checked view over an MDL chain. It never touches the memory that the chain describes.

use crate::abi::{
    MDL, MDL_PAGES_LOCKED, MDL_PARTIAL, MDL_SOURCE_IS_NONPAGED_POOL, PAGE_SHIFT, PAGE_SIZE,
};
use crate::error::{Error, ErrorKind, Result};
use core::marker::PhantomData;
use core::mem::size_of;
use core::ptr::{self, addr_of};

const LOCKED: u32 = (MDL_PAGES_LOCKED | MDL_SOURCE_IS_NONPAGED_POOL | MDL_PARTIAL) as u16 as u32;
const OFFSET_MASK: usize = PAGE_SIZE - 1;

/// The part of an MDL chain that a request covers: checked once, then walked page by page.
///
/// The base address is an index only (C2). The bytes are reached through the page-frame numbers, which hosted
/// programs make from the page's own address (`address >> 12`).
#[derive(Clone, Copy, Debug)]
pub struct MdlView<'a> {
    head: *const MDL,
    base: usize,
    length: usize,
    _chain: PhantomData<&'a MDL>,
}

// SAFETY: the view is a pointer to plain C memory that is only read; `new` has its caller promise that the chain
// stays readable and unchanged for 'a, on whatever thread.
unsafe impl Send for MdlView<'_> {}
// SAFETY: as for Send; reading from several threads at once is no conflict.
unsafe impl Sync for MdlView<'_> {}

/// One MDL's fields, read raw: the consumer owns the structure, so no reference to it is made.
#[derive(Clone, Copy)]
struct Fields {
    next: *const MDL,
    start: usize,
    offset: usize,
    count: usize,
    flags: u32,
    size: usize,
}

impl Fields {
    /// # Safety
    /// `mdl` points to a readable MDL.
    unsafe fn read(mdl: *const MDL) -> Self {
        // SAFETY: the caller's promise covers every field.
        unsafe {
            Self {
                next: addr_of!((*mdl).Next).read(),
                start: addr_of!((*mdl).StartVa).read() as usize,
                offset: addr_of!((*mdl).ByteOffset).read() as usize,
                count: addr_of!((*mdl).ByteCount).read() as usize,
                flags: addr_of!((*mdl).MdlFlags).read() as u16 as u32,
                size: addr_of!((*mdl).Size).read() as u16 as usize,
            }
        }
    }

    fn pages(&self) -> usize {
        // In 64 bits: a count near its limit plus an offset does not fit into 32.
        (self.offset as u64 + self.count as u64).div_ceil(PAGE_SIZE as u64) as usize
    }
}

/// # Safety
/// `mdl` points to a readable MDL with more than `index` page-frame numbers behind it.
unsafe fn frame(mdl: *const MDL, index: usize) -> usize {
    // SAFETY: the page-frame numbers follow the structure.
    unsafe { mdl.add(1).cast::<usize>().add(index).read() }
}

fn refuse(rule: &'static str, cause: &'static str) -> Error {
    Error::new(ErrorKind::InvalidParameter, cause).rule(rule)
}

impl<'a> MdlView<'a> {
    /// Checks the first `length` bytes of the chain at `head`.
    ///
    /// # Errors
    /// INVALID_PARAMETER for a null chain (A6), a length of 0 (C6) or beyond the chain (C5), an address that wraps
    /// (C7), a hole, a wrong order or a malformed element inside the length (C4), a joint inside a page whose two
    /// frames differ (C3), a chain that is not locked (C15).
    ///
    /// # Safety
    /// - `head` is null, or points to a chain of MDLs, each with the page-frame numbers that its byte count asks for,
    ///   that stays readable and unchanged for `'a`.
    /// - A region that the view is given to is driven as [`MrProvider`](crate::MrProvider) asks of its caller, and the
    ///   memory that the chain describes stays valid, and is shared with nothing that forbids a peer's accesses, until
    ///   the region's registration has ended.
    pub unsafe fn new(head: *const MDL, length: usize) -> Result<Self> {
        if head.is_null() {
            return Err(refuse("A6", "the MDL is null"));
        }
        if length == 0 {
            return Err(refuse("C6", "the length is 0"));
        }
        // SAFETY: not null, so it is an MDL of the chain.
        let mut mdl = unsafe { Fields::read(head) };
        let base = mdl.start.wrapping_add(mdl.offset);
        if base.checked_add(length).is_none() {
            return Err(refuse("C7", "base address plus length wraps"));
        }
        let end = base + length;
        let mut at = head;
        let mut next_address = base;
        let mut last_frame = 0;
        let mut cycle = CycleGuard::new(head);
        loop {
            check_element(&mdl)?;
            if mdl.start.wrapping_add(mdl.offset) != next_address {
                return Err(refuse("C4", "the MDLs do not follow each other without a hole"));
            }
            if mdl.count > 0 {
                if next_address & OFFSET_MASK != 0 && next_address != base {
                    // SAFETY: a count above 0 means at least one page-frame number.
                    let first = unsafe { frame(at, 0) };
                    if first != last_frame {
                        return Err(refuse(
                            "C3",
                            "two MDLs meet inside a page but name different frames",
                        ));
                    }
                }
                if end - next_address <= mdl.count {
                    return Ok(Self { head, base, length, _chain: PhantomData });
                }
                next_address += mdl.count;
                // SAFETY: the index is that of the last page the element spans.
                last_frame = unsafe { frame(at, mdl.pages() - 1) };
            }
            if mdl.next.is_null() {
                return Err(refuse("C5", "the length is larger than the MDL chain"));
            }
            at = mdl.next;
            if cycle.repeats(at) {
                return Err(refuse("C4", "the MDL chain leads back into itself"));
            }
            // SAFETY: a non-null Next is an MDL of the chain.
            mdl = unsafe { Fields::read(at) };
        }
    }

    /// The address that the region's bytes count from: an index, not a way to reach them (C2, C6).
    pub fn base(&self) -> u64 {
        self.base as u64
    }

    /// The length in bytes; never 0.
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(&self) -> usize {
        self.length
    }

    /// The offset of the first byte in its page.
    pub fn page_offset(&self) -> usize {
        self.base & OFFSET_MASK
    }

    /// How many pages the bytes span.
    pub fn page_count(&self) -> usize {
        // Two steps, since offset plus length may exceed the address space by less than a page.
        let last = self.base + (self.length - 1);
        (last >> PAGE_SHIFT) - (self.base >> PAGE_SHIFT) + 1
    }

    /// The page-frame number of each page, in order, `page_count` of them; one for a page in which two MDLs meet.
    pub fn frames(&self) -> Frames<'a> {
        Frames {
            mdl: self.head,
            index: 0,
            in_mdl: 0,
            entered: false,
            given: false,
            left: self.page_count(),
            _chain: PhantomData,
        }
    }
}

fn check_element(mdl: &Fields) -> Result<()> {
    if mdl.flags & LOCKED == 0 {
        return Err(refuse("C15", "the MDL's pages are not locked"));
    }
    if mdl.start & OFFSET_MASK != 0 || mdl.offset > OFFSET_MASK {
        return Err(refuse(
            "C4",
            "the MDL's StartVa is not page-aligned or its ByteOffset is not inside a page",
        ));
    }
    // Size is 16 bits wide, so it says nothing of an MDL that needs more.
    let needed = size_of::<MDL>() + mdl.pages() * size_of::<usize>();
    if needed <= u16::MAX as usize && mdl.size < needed {
        return Err(refuse("C4", "the MDL's Size has no room for its page-frame numbers"));
    }
    Ok(())
}

/// Brent's cycle detection: a chain of empty MDLs that leads into itself would otherwise be walked for ever.
struct CycleGuard {
    seen: *const MDL,
    steps: usize,
    limit: usize,
}

impl CycleGuard {
    fn new(head: *const MDL) -> Self {
        Self { seen: head, steps: 0, limit: 1 }
    }

    fn repeats(&mut self, at: *const MDL) -> bool {
        if ptr::eq(at, self.seen) {
            return true;
        }
        self.steps += 1;
        if self.steps == self.limit {
            (self.seen, self.steps, self.limit) = (at, 0, self.limit * 2);
        }
        false
    }
}

/// The page-frame numbers of an [`MdlView`], one per page.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    mdl: *const MDL,
    /// The next frame's index in `mdl`, and how many `mdl` has once it was entered.
    index: usize,
    in_mdl: usize,
    entered: bool,
    /// Whether any frame was given: elements before the first are empty.
    given: bool,
    left: usize,
    _chain: PhantomData<&'a MDL>,
}

// SAFETY: as for `MdlView`, from which it comes.
unsafe impl Send for Frames<'_> {}

impl Iterator for Frames<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.left == 0 {
            return None;
        }
        while self.index >= self.in_mdl {
            // SAFETY: `MdlView::new` walked this far, and frames are left, so the element is there.
            unsafe { self.enter() };
        }
        // SAFETY: the index is below the element's page count.
        let frame = unsafe { frame(self.mdl, self.index) };
        self.index += 1;
        self.left -= 1;
        self.given = true;
        Some(frame)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Frames<'_> {}

impl Frames<'_> {
    /// Steps into the next MDL, past the page it shares with the one before.
    ///
    /// # Safety
    /// The chain has another element.
    unsafe fn enter(&mut self) {
        if self.entered {
            // SAFETY: the caller's promise.
            self.mdl = unsafe { addr_of!((*self.mdl).Next).read() };
        }
        self.entered = true;
        // SAFETY: an element of the chain.
        let fields = unsafe { Fields::read(self.mdl) };
        self.in_mdl = if fields.count == 0 { 0 } else { fields.pages() };
        // A page that the element before ended in was given already, by that element.
        self.index = usize::from(self.given && fields.count > 0 && fields.offset != 0);
    }
}
