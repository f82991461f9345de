//! MDLs for hosted programs: page-frame numbers are host addresses, shifted.

use super::buffer::{check_range, copy_in, copy_out};
use super::{Buffer, MdlView};
use crate::abi::{MDL, MDL_PAGES_LOCKED, PAGE_SHIFT, PAGE_SIZE, PVOID, ULONG};
use crate::error::{Error, ErrorKind, Result};
use alloc::alloc::{alloc_zeroed, dealloc};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::alloc::Layout;
use core::fmt;
use core::mem::size_of;
use core::ops::Range;
use core::ptr::{
    NonNull, addr_of_mut, with_exposed_provenance, with_exposed_provenance_mut,
    without_provenance_mut,
};

const OFFSET_MASK: usize = PAGE_SIZE - 1;
/// The most bytes of one MDL, whose count has 32 bits, that leave the next one at the start of a page.
const MAX_ELEMENT: usize = ULONG::MAX as usize & !OFFSET_MASK;

/// An MDL, or a chain of them, over memory that it keeps alive. Page-frame numbers are those of the host's
/// addresses (`address >> 12`), with the pointers' provenance exposed, so that a backend reaches the bytes with
/// `with_exposed_provenance`.
///
/// The chain may be used, through [`as_ptr`](Self::as_ptr), for as long as this exists. What a region is registered
/// over must live on until the region is deregistered: the buffers do while this, or a handle of theirs, is kept.
///
/// A clone is another handle to the same chain, so that one chain serves several registrations (C13).
#[derive(Clone)]
pub struct Mdl(Arc<Chain>);

struct Chain {
    elements: Vec<Element>,
    length: usize,
    /// Where the bytes are, for copying.
    parts: Vec<(Address, usize)>,
    _buffers: Vec<Buffer>,
}

impl Mdl {
    /// One MDL (a chain beyond 4 GiB) over all of `buffer`, at the host's addresses.
    ///
    /// # Errors
    /// INSUFFICIENT_RESOURCES.
    pub fn new(buffer: &Buffer) -> Result<Self> {
        Self::builder().buffer(buffer).build()
    }

    /// As [`new`](Self::new), over memory of the caller's, which is not kept alive.
    ///
    /// # Errors
    /// INSUFFICIENT_RESOURCES.
    ///
    /// # Safety
    /// As for [`MdlBuilder::memory`].
    pub unsafe fn over(memory: *mut u8, length: usize) -> Result<Self> {
        // SAFETY: the caller's promise.
        unsafe { Self::builder().memory(memory, length) }.build()
    }

    /// For parts of buffers, scattered pages, another virtual address, or a chain.
    pub fn builder() -> MdlBuilder {
        MdlBuilder::default()
    }

    /// A chain of its own for what `view` covers. The memory is not kept alive, and not copied to or from.
    pub(crate) fn like(view: MdlView<'_>) -> Result<Self> {
        let frames: Vec<usize> = view.frames().collect();
        let elements = chain(view.base() as usize, &frames, &[view.len()], MAX_ELEMENT)?;
        let (parts, _buffers) = (Vec::new(), Vec::new());
        Ok(Self(Arc::new(Chain { elements, length: view.len(), parts, _buffers })))
    }

    /// The head of the chain, as an entry takes it. Only reading is expected; who writes through it answers for
    /// what the readers make of it.
    pub fn as_ptr(&self) -> *mut MDL {
        self.0.elements[0].mdl.as_ptr()
    }

    /// The bytes described, by all elements together.
    pub fn len(&self) -> usize {
        self.0.length
    }

    /// Whether no byte is described.
    pub fn is_empty(&self) -> bool {
        self.0.length == 0
    }

    /// The elements of the chain, in order.
    pub fn elements(&self) -> impl ExactSizeIterator<Item = *mut MDL> + '_ {
        self.0.elements.iter().map(|element| element.mdl.as_ptr())
    }

    /// Copies the bytes from `offset` on into `into`, as [`Buffer::read`] does, also while they are registered.
    ///
    /// # Errors
    /// INVALID_PARAMETER, and nothing copied, beyond the end.
    pub fn read(&self, offset: usize, into: &mut [u8]) -> Result<()> {
        let mut into = into;
        for (address, length) in self.pieces(offset, into.len())? {
            let piece;
            (piece, into) = into.split_at_mut(length);
            // SAFETY: the bytes are a part's, which is valid while this exists, and reached atomically only.
            unsafe { copy_out(with_exposed_provenance(address), piece) };
        }
        Ok(())
    }

    /// Copies `from` to the bytes from `offset` on, as [`Buffer::write`] does, also while they are registered.
    ///
    /// # Errors
    /// INVALID_PARAMETER, and nothing copied, beyond the end.
    pub fn write(&self, offset: usize, from: &[u8]) -> Result<()> {
        let mut from = from;
        for (address, length) in self.pieces(offset, from.len())? {
            let piece;
            (piece, from) = from.split_at(length);
            // SAFETY: as above.
            unsafe { copy_in(piece, with_exposed_provenance_mut(address)) };
        }
        Ok(())
    }

    /// The pieces of the parts that the range is made of.
    fn pieces(
        &self,
        offset: usize,
        length: usize,
    ) -> Result<impl Iterator<Item = (Address, usize)> + '_> {
        let end: usize = self.0.parts.iter().map(|part| part.1).sum();
        check_range(offset, length, end)?;
        let (mut skip, mut left) = (offset, length);
        Ok(self.0.parts.iter().filter_map(move |&(address, part)| {
            let skipped = skip.min(part);
            let piece = left.min(part - skipped);
            skip -= skipped;
            left -= piece;
            (piece > 0).then_some((address + skipped, piece))
        }))
    }

    /// The checked view over the first `length` bytes.
    ///
    /// # Errors
    /// INVALID_PARAMETER for a length of 0 (C6) or beyond the chain (C5).
    ///
    /// # Safety
    /// The second part of what [`MdlView::new`] asks: where a region gets the view, it is driven as it must be, and
    /// the memory outlives the registration. Just to look at, any view will do.
    pub unsafe fn view(&self, length: usize) -> Result<MdlView<'_>> {
        // SAFETY: the chain is well formed, and lives and stays as it is while it is borrowed; the rest is the
        // caller's promise.
        unsafe { MdlView::new(self.as_ptr(), length) }
    }
}

/// What an [`Mdl`] describes: parts of memory that follow each other in virtual addresses, wherever they lie.
#[derive(Debug, Default)]
pub struct MdlBuilder {
    parts: Vec<(Address, usize)>,
    buffers: Vec<Buffer>,
    address: Option<usize>,
    cuts: Vec<usize>,
    most: Option<usize>,
    failure: Option<Error>,
}

/// A host address, its provenance exposed.
type Address = usize;

fn refuse(rule: &'static str, cause: &'static str) -> Error {
    Error::new(ErrorKind::InvalidParameter, cause).rule(rule)
}

impl MdlBuilder {
    /// Appends all of `buffer`.
    pub fn buffer(self, buffer: &Buffer) -> Self {
        self.range(buffer, 0..buffer.len())
    }

    /// Appends a part of `buffer`. After the first part each must start where the one before ended in its page: at
    /// the start of a page after one that ended with its page; else in the same page, at the next byte.
    pub fn range(mut self, buffer: &Buffer, range: Range<usize>) -> Self {
        if range.start > range.end || range.end > buffer.len() {
            let _ = self.failure.get_or_insert(refuse("", "the range is not inside the buffer"));
            return self;
        }
        self.parts.push((buffer.address() + range.start, range.len()));
        self.buffers.push(buffer.clone());
        self
    }

    /// Appends memory of the caller's, which is not kept alive.
    ///
    /// # Safety
    /// The memory is valid for reads and writes, through pointers made from its address, until the MDL is dropped and
    /// no region is registered over it any more; accesses meanwhile are atomic, or ordered by completions.
    pub unsafe fn memory(mut self, memory: *mut u8, length: usize) -> Self {
        self.parts.push((memory.expose_provenance(), length));
        self
    }

    /// The virtual address of the first byte: an index only, whatever it is (C2), with the page offset of the first
    /// part. The host's address where it is not given.
    pub fn address(mut self, address: usize) -> Self {
        self.address = Some(address);
        self
    }

    /// Starts a new MDL of the chain `offset` bytes into the memory. Twice the same makes an empty MDL.
    pub fn split_at(mut self, offset: usize) -> Self {
        self.cuts.push(offset);
        self
    }

    /// Makes each MDL of the chain describe at most `bytes`, rounded down to whole pages; at least one page.
    pub fn at_most(mut self, bytes: usize) -> Self {
        self.most = Some(bytes);
        self
    }

    /// Makes the MDL.
    ///
    /// # Errors
    /// INVALID_PARAMETER for a range outside its buffer, a split beyond the end, parts or an address whose page
    /// offsets do not agree (C2, C3), an address that wraps (C7); INSUFFICIENT_RESOURCES.
    pub fn build(self) -> Result<Mdl> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let host = self.parts.first().map_or(0, |&(address, _)| address);
        let base = self.address.unwrap_or(host);
        if base & OFFSET_MASK != host & OFFSET_MASK {
            return Err(refuse(
                "C2",
                "the virtual address has another page offset than the memory",
            ));
        }
        let (frames, length) = frames(&self.parts)?;
        if base.checked_add(length).is_none() {
            return Err(refuse("C7", "base address plus length wraps"));
        }
        let mut cuts = self.cuts;
        cuts.sort_unstable();
        if cuts.last().is_some_and(|&last| last > length) {
            return Err(refuse("C5", "a split is beyond the end of the memory"));
        }
        cuts.push(length);
        let elements = chain(base, &frames, &cuts, self.most.unwrap_or(MAX_ELEMENT))?;
        let (parts, _buffers) = (self.parts, self.buffers);
        Ok(Mdl(Arc::new(Chain { elements, length, parts, _buffers })))
    }
}

/// The elements of a chain from `base` on, with an end at each cut, the last of which is the length.
fn chain(base: usize, frames: &[usize], cuts: &[usize], most: usize) -> Result<Vec<Element>> {
    let most = (most & !OFFSET_MASK).clamp(PAGE_SIZE, MAX_ELEMENT);
    let mut elements: Vec<Element> = Vec::new();
    let mut start = 0;
    for &cut in cuts {
        loop {
            let address = base + start;
            let end = cut.min(start.saturating_add(most - (address & OFFSET_MASK)));
            let first = (((base & OFFSET_MASK) + start) >> PAGE_SHIFT).min(frames.len());
            let element = Element::new(address, end - start, &frames[first..])?;
            if let Some(before) = elements.last_mut() {
                before.link(&element);
            }
            elements.push(element);
            start = end;
            if end == cut {
                break;
            }
        }
    }
    Ok(elements)
}

/// The frame of each page of the parts, and their length together.
fn frames(parts: &[(Address, usize)]) -> Result<(Vec<usize>, usize)> {
    let mut frames: Vec<usize> = Vec::new();
    let mut total = 0_usize;
    // Where the next byte must be in its page.
    let mut next = None;
    for &(address, length) in parts.iter().filter(|&&(_, length)| length > 0) {
        let offset = address & OFFSET_MASK;
        if next.is_some_and(|next| next != offset) {
            return Err(refuse(
                "C3",
                "a part starts elsewhere in its page than the one before ended",
            ));
        }
        let last = address
            .checked_add(length - 1)
            .ok_or_else(|| refuse("C7", "a part's address plus its length wraps"))?;
        let mut pages = address >> PAGE_SHIFT..=last >> PAGE_SHIFT;
        if next.is_some_and(|next| next != 0) && frames.last() != pages.next().as_ref() {
            return Err(refuse("C3", "two parts meet inside a page, in different pages"));
        }
        frames.extend(pages);
        total = total
            .checked_add(length)
            .ok_or_else(|| refuse("C7", "the parts are longer than the address space"))?;
        next = Some((offset + length) & OFFSET_MASK);
    }
    Ok((frames, total))
}

/// One MDL with its page-frame numbers behind it.
struct Element {
    mdl: NonNull<MDL>,
    layout: Layout,
}

// SAFETY: an element is plain memory that is written only while it is being built; the pointers in it are numbers to
// this module.
unsafe impl Send for Element {}
// SAFETY: as for Send.
unsafe impl Sync for Element {}

impl Element {
    /// Takes the first page-frame numbers of `frames`, as many as the bytes span.
    fn new(address: usize, count: usize, frames: &[usize]) -> Result<Self> {
        let offset = address & OFFSET_MASK;
        // An empty MDL inside a page has room for that page, as in Windows.
        let pages = (offset + count).div_ceil(PAGE_SIZE);
        let size = size_of::<MDL>() + pages * size_of::<usize>();
        let short = || Error::new(ErrorKind::InsufficientResources, "no memory for an MDL");
        let layout = Layout::from_size_align(size, align_of::<MDL>()).map_err(|_| short())?;
        // SAFETY: the size is not 0.
        let memory = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or_else(short)?;
        let element = Self { mdl: memory.cast(), layout };
        let mdl = element.mdl.as_ptr();
        // SAFETY: fresh memory with room for the structure and for `pages` numbers behind it. Zeroes are valid for
        // the fields that are not written.
        unsafe {
            addr_of_mut!((*mdl).Size).write(size as u16 as i16); // truncated where it does not fit, as in Windows
            addr_of_mut!((*mdl).MdlFlags).write(MDL_PAGES_LOCKED);
            let start: PVOID = without_provenance_mut(address - offset);
            addr_of_mut!((*mdl).StartVa).write(start);
            addr_of_mut!((*mdl).ByteCount).write(count as ULONG);
            addr_of_mut!((*mdl).ByteOffset).write(offset as ULONG);
            let numbers = mdl.add(1).cast::<usize>();
            for (index, &frame) in frames.iter().take(pages).enumerate() {
                numbers.add(index).write(frame);
            }
        }
        Ok(element)
    }

    fn link(&mut self, next: &Element) {
        // SAFETY: the element is still being built.
        unsafe { addr_of_mut!((*self.mdl.as_ptr()).Next).write(next.mdl.as_ptr()) };
    }
}

impl Drop for Element {
    fn drop(&mut self) {
        if crate::verifier::frees_chain(self.mdl.cast()) {
            return;
        }
        // SAFETY: allocated in `new` with this layout, and freed once.
        unsafe { dealloc(self.mdl.as_ptr().cast(), self.layout) };
    }
}

impl fmt::Debug for Mdl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mdl")
            .field("head", &self.as_ptr())
            .field("elements", &self.0.elements.len())
            .field("len", &self.0.length)
            .finish()
    }
}
