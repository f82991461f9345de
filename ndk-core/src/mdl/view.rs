//! The checked view over an MDL chain. It never touches the memory that the chain describes.

#[cfg(feature = "std")]
mod runs;

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
pub(super) struct Fields {
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
    #[inline]
    pub(super) unsafe fn read(mdl: *const MDL) -> Self {
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

    #[inline]
    fn pages(&self) -> usize {
        // In 64 bits: a count near its limit plus an offset does not fit into 32.
        ((self.offset as u64 + self.count as u64 + OFFSET_MASK as u64) >> PAGE_SHIFT) as usize
    }

    #[inline]
    pub(super) fn is_locked(&self) -> bool {
        self.flags & LOCKED != 0
    }

    #[inline]
    fn is_aligned(&self) -> bool {
        self.start & OFFSET_MASK == 0 && self.offset <= OFFSET_MASK
    }

    #[inline]
    fn size_needed(&self) -> usize {
        size_of::<MDL>() + self.pages() * size_of::<usize>()
    }

    #[inline]
    fn base(&self) -> usize {
        self.start.wrapping_add(self.offset)
    }
}

#[cfg(feature = "std")]
impl Fields {
    pub(super) fn next(&self) -> *const MDL {
        self.next
    }

    pub(super) fn bytes(&self) -> usize {
        self.count
    }

    /// How many page-frame numbers the element has for its bytes.
    pub(super) fn frames(&self) -> usize {
        if self.count == 0 { 0 } else { self.pages() }
    }

    /// Whether it describes the same, whatever its flags are.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let all =
            |fields: &Self| (fields.next, fields.start, fields.offset, fields.count, fields.size);
        all(self) == all(other)
    }
}

#[cfg(feature = "std")]
impl MdlView<'_> {
    pub(super) fn head(&self) -> *const MDL {
        self.head
    }
}

/// # Safety
/// `mdl` points to a readable MDL with more than `index` page-frame numbers behind it.
pub(super) unsafe fn frame(mdl: *const MDL, index: usize) -> usize {
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
    /// INVALID_PARAMETER for a null chain (A6), a length of 0 (C6) or beyond the chain (C5), a base address plus length
    /// that wraps, be it to 0 exactly (C7), a hole, a wrong order or a malformed element inside the length (C4), a joint inside a page whose two
    /// frames differ (C3), a chain that is not locked (C15).
    ///
    /// # Safety
    /// - `head` is null, or points to a chain of MDLs, each with the page-frame numbers that its byte count asks for,
    ///   that stays readable and unchanged for `'a`.
    /// - A region that the view is given to is driven as [`MrProvider`](crate::MrProvider) asks of its caller, and the
    ///   memory that the chain describes stays valid, and is shared with nothing that forbids a peer's accesses, until
    ///   the region's registration has ended.
    #[inline]
    pub unsafe fn new(head: *const MDL, length: usize) -> Result<Self> {
        // SAFETY: the caller's promises.
        unsafe {
            if !is_one_good_element(head, length) {
                check_chain(head, length)?;
            }
            let base = Fields::read(head).base();
            Ok(Self { head, base, length, _chain: PhantomData })
        }
    }

    /// The address that the region's bytes count from: an index, not a way to reach them (C2, C6).
    #[inline]
    pub fn base(&self) -> u64 {
        self.base as u64
    }

    /// The length in bytes; never 0.
    #[allow(clippy::len_without_is_empty)] // never empty
    #[inline]
    pub fn len(&self) -> usize {
        self.length
    }

    /// The offset of the first byte in its page.
    #[inline]
    pub fn page_offset(&self) -> usize {
        self.base & OFFSET_MASK
    }

    /// How many pages the bytes span.
    #[inline]
    pub fn page_count(&self) -> usize {
        // Two steps, since offset plus length may exceed the address space by less than a page.
        let last = self.base + (self.length - 1);
        (last >> PAGE_SHIFT) - (self.base >> PAGE_SHIFT) + 1
    }

    /// The page-frame number of each page, in order, `page_count` of them; one for a page in which two MDLs meet.
    #[inline]
    pub fn frames(&self) -> Frames<'a> {
        // SAFETY: `new` was promised the chain for 'a, and found the first element.
        let first = unsafe { Fields::read(self.head) };
        let count = self.page_count();
        // An element without bytes may have any offset, but it has no frame.
        let here = if first.count == 0 { 0 } else { first.pages().min(count) };
        // SAFETY: the frames follow the structure.
        let at = unsafe { self.head.add(1).cast() };
        Frames {
            mdl: self.head,
            at,
            here,
            given: here > 0,
            left: count - here,
            _chain: PhantomData,
        }
    }

    /// Copies what [`frames`](Self::frames) gives, element by element of the chain.
    ///
    /// # Panics
    /// `into` does not have `page_count` places.
    #[inline(always)]
    pub fn copy_frames(&self, into: &mut [usize]) {
        assert_eq!(into.len(), self.page_count(), "one place for each page");
        // SAFETY: `new` was promised the chain.
        let (bytes, frames) =
            unsafe { (Fields::read(self.head).count, self.head.add(1).cast::<usize>()) };
        if self.length > bytes {
            return self.copy_many(into);
        }
        match into {
            // SAFETY: the first element has all of the bytes, hence all of the frames.
            [one] => *one = unsafe { frames.read() },
            // SAFETY: as above, and the chain is not written while the view exists.
            _ => unsafe { ptr::copy_nonoverlapping(frames, into.as_mut_ptr(), into.len()) },
        }
    }

    #[cold]
    #[inline(never)]
    fn copy_many(self, into: &mut [usize]) {
        self.frames().copy_to(into);
    }
}

/// What `check_chain` finds of the frequent chain: one element with room for its page-frame numbers, which covers the
/// length. False says nothing.
///
/// # Safety
/// As for [`MdlView::new`].
#[inline]
unsafe fn is_one_good_element(head: *const MDL, length: usize) -> bool {
    if head.is_null() {
        return false;
    }
    // SAFETY: not null, so it is an MDL of the chain.
    let mdl = unsafe { Fields::read(head) };
    let covered = length != 0 && length <= mdl.count;
    let well_formed = mdl.is_locked() && mdl.is_aligned() && mdl.size >= mdl.size_needed();
    covered && well_formed && mdl.base().checked_add(length).is_some()
}

/// # Safety
/// As for [`MdlView::new`].
#[cold]
#[inline(never)]
unsafe fn check_chain(head: *const MDL, length: usize) -> Result<()> {
    if head.is_null() {
        return Err(refuse("A6", "the MDL is null"));
    }
    if length == 0 {
        return Err(refuse("C6", "the length is 0"));
    }
    // SAFETY: not null, so it is an MDL of the chain.
    let mut mdl = unsafe { Fields::read(head) };
    let base = mdl.base();
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
        if mdl.base() != next_address {
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
                return Ok(());
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

fn check_element(mdl: &Fields) -> Result<()> {
    if !mdl.is_locked() {
        return Err(refuse("C15", "the MDL's pages are not locked"));
    }
    if !mdl.is_aligned() {
        return Err(refuse(
            "C4",
            "the MDL's StartVa is not page-aligned or its ByteOffset is not inside a page",
        ));
    }
    // Size is 16 bits wide, so it says nothing of an MDL that needs more.
    let needed = mdl.size_needed();
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
    /// The next frame of `mdl`, and how many are to be given from there.
    at: *const usize,
    here: usize,
    /// Whether any element had a frame: those before the first such are empty.
    given: bool,
    /// How many come after those.
    left: usize,
    _chain: PhantomData<&'a MDL>,
}

// SAFETY: as for `MdlView`, from which it comes.
unsafe impl Send for Frames<'_> {}

impl Iterator for Frames<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.here == 0 && !self.enter_next() {
            return None;
        }
        self.here -= 1;
        // SAFETY: it is one of the frames that the element has.
        unsafe {
            let frame = self.at.read();
            self.at = self.at.add(1);
            Some(frame)
        }
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.here + self.left;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Frames<'_> {}

impl Frames<'_> {
    /// Fills `into`, which is no longer than what is left.
    #[inline]
    fn copy_to(mut self, mut into: &mut [usize]) {
        while !into.is_empty() && (self.here > 0 || self.enter_next()) {
            let (these, others) = into.split_at_mut(self.here.min(into.len()));
            // SAFETY: the element has so many frames from here on, and the chain is not written while the view exists.
            unsafe { ptr::copy_nonoverlapping(self.at, these.as_mut_ptr(), these.len()) };
            (self.here, into) = (0, others);
        }
    }

    /// Steps to the next element that has a frame to give, past the page it shares with the one before; false where
    /// nothing is left.
    #[cold]
    fn enter_next(&mut self) -> bool {
        while self.left > 0 && self.here == 0 {
            // SAFETY: `MdlView::new` walked this far, and frames are left, so there is a next element.
            let fields = unsafe {
                self.mdl = addr_of!((*self.mdl).Next).read();
                Fields::read(self.mdl)
            };
            if fields.count == 0 {
                continue;
            }
            // A page that the element before ended in was given already, by that element.
            let shared = usize::from(self.given && fields.offset != 0);
            self.given = true;
            self.here = (fields.pages() - shared).min(self.left);
            self.left -= self.here;
            // SAFETY: the element has a frame for each of its pages.
            self.at = unsafe { self.mdl.add(1).cast::<usize>().add(shared) };
        }
        self.here > 0
    }
}
