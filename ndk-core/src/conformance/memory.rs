//! Memory that cases register, and the ways in which its MDL chain can be broken.

use super::route::Registration;
use crate::abi::{CSHORT, MDL, PAGE_SIZE, ULONG};
use crate::mdl::{Buffer, Mdl, MdlBuilder};
use std::ptr::{addr_of_mut, without_provenance_mut};

/// A buffer with a chain over it.
pub(super) struct Memory {
    pub(super) buffer: Buffer,
    mdl: Mdl,
}

impl Memory {
    /// `length` bytes that start `offset` bytes into a page, under one MDL.
    pub(super) fn new(length: usize, offset: usize) -> Self {
        Self::shaped(length, offset, |builder, buffer| builder.buffer(buffer))
    }

    /// As `new`, with the chain that `shape` makes of the buffer.
    pub(super) fn shaped(
        length: usize,
        offset: usize,
        shape: impl FnOnce(MdlBuilder, &Buffer) -> MdlBuilder,
    ) -> Self {
        let buffer = Buffer::with_page_offset(length, offset).expect("memory for a case");
        let mdl = shape(Mdl::builder(), &buffer).build().expect("an MDL for a case");
        Self { buffer, mdl }
    }

    /// `pages` pages in a chain of an MDL each.
    pub(super) fn chain(pages: usize) -> Self {
        let shape =
            |builder: MdlBuilder, buffer: &Buffer| builder.buffer(buffer).at_most(PAGE_SIZE);
        Self::shaped(pages * PAGE_SIZE, 0, shape)
    }

    /// A handle to the chain.
    pub(super) fn handle(&self) -> Option<Mdl> {
        Some(self.mdl.clone())
    }

    /// The address that the bytes count from.
    pub(super) fn base(&self) -> u64 {
        let head = self.element(0);
        // SAFETY: as for the changes below: the chain is this memory's.
        let (start, offset) = unsafe {
            (addr_of_mut!((*head).StartVa).read(), addr_of_mut!((*head).ByteOffset).read())
        };
        (start.addr() + offset as usize) as u64
    }

    /// The bytes that the chain describes, in its order.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.part(0, self.len())
    }

    /// `length` of the bytes that the chain describes, from `offset` on.
    pub(super) fn part(&self, offset: usize, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.mdl.read(offset, &mut bytes).expect("it fits");
        bytes
    }

    /// Fills the buffer with bytes that differ with their place.
    pub(super) fn fill(&self, seed: u8) {
        self.buffer.write(0, &super::net::pattern(self.buffer.len(), seed)).expect("it fits");
    }

    /// How many bytes the chain describes.
    pub(super) fn len(&self) -> usize {
        self.mdl.len()
    }

    /// A registration of all of it.
    pub(super) fn all(&self, flags: ULONG) -> Registration {
        self.first(self.len(), flags)
    }

    /// A registration of the first `length` bytes, or of more than there are.
    pub(super) fn first(&self, length: usize, flags: ULONG) -> Registration {
        Registration { chain: self.handle(), length, flags }
    }

    /// Changes the flags of every MDL.
    pub(super) fn set_flags(&self, flags: CSHORT) {
        (0..self.mdl.elements().len()).for_each(|index| self.set_flags_of(index, flags));
    }

    /// Changes the flags of one MDL.
    pub(super) fn set_flags_of(&self, index: usize, flags: CSHORT) {
        // SAFETY: here and below, the chain is this memory's, and no request reads it while a case changes it.
        unsafe { addr_of_mut!((*self.element(index)).MdlFlags).write(flags) };
    }

    /// Puts one MDL at another virtual address, which is a number to everybody.
    pub(super) fn set_start(&self, index: usize, address: usize) {
        // SAFETY: as above.
        unsafe {
            addr_of_mut!((*self.element(index)).StartVa).write(without_provenance_mut(address));
        }
    }

    /// Moves the virtual address of one MDL.
    pub(super) fn move_element(&self, index: usize, pages: isize) {
        // SAFETY: as above.
        let start = unsafe { addr_of_mut!((*self.element(index)).StartVa).read() };
        self.set_start(index, start.addr().wrapping_add_signed(pages * PAGE_SIZE as isize));
    }

    /// Changes how many bytes one MDL describes.
    pub(super) fn set_count(&self, index: usize, count: ULONG) {
        // SAFETY: as above.
        unsafe { addr_of_mut!((*self.element(index)).ByteCount).write(count) };
    }

    /// Lets one MDL start inside the page before; its bytes are where they were.
    pub(super) fn start_inside_a_page(&self, index: usize) {
        let element = self.element(index);
        // SAFETY: as above.
        unsafe {
            let (start, offset) =
                (addr_of_mut!((*element).StartVa), addr_of_mut!((*element).ByteOffset));
            start.write(without_provenance_mut(start.read().addr() - 8));
            offset.write(offset.read() + 8);
        }
    }

    /// Moves the start of one MDL to the page before; its bytes are where they were.
    pub(super) fn offset_by_a_page(&self, index: usize) {
        let element = self.element(index);
        self.move_element(index, -1);
        // SAFETY: as above.
        unsafe {
            let offset = addr_of_mut!((*element).ByteOffset);
            offset.write(offset.read() + PAGE_SIZE as ULONG);
        }
    }

    /// Makes one MDL say that it has no room for the numbers of its frames.
    pub(super) fn cut_short(&self, index: usize) {
        // SAFETY: as above.
        unsafe { addr_of_mut!((*self.element(index)).Size).write(size_of::<MDL>() as CSHORT) };
    }

    /// Makes the last MDL lead back to the first.
    pub(super) fn close_loop(&self) {
        let last = self.mdl.elements().last().expect("an element of the chain");
        // SAFETY: as above.
        unsafe { addr_of_mut!((*last).Next).write(self.mdl.as_ptr()) };
    }

    /// Makes every MDL describe no byte, all at one address.
    pub(super) fn empty_all(&self) {
        for index in 0..self.mdl.elements().len() {
            // SAFETY: as above.
            unsafe { addr_of_mut!((*self.element(index)).ByteCount).write(0) };
            self.set_start(index, 0);
        }
    }

    /// Makes one MDL name another frame for its first page.
    pub(super) fn change_first_frame(&self, index: usize, frame: usize) {
        let element = self.element(index);
        // SAFETY: as above; the first number is behind the structure.
        unsafe { element.add(1).cast::<usize>().write(frame) };
    }

    /// Overwrites the whole chain, as its owner may once the request has completed (C15).
    pub(super) fn scribble(&self) {
        for element in self.mdl.elements() {
            let next_to_nothing = usize::MAX & !(PAGE_SIZE - 1);
            // SAFETY: as above; the structure is words long, and at least one number follows it.
            unsafe {
                let words = element.cast::<usize>();
                for word in 0..=size_of::<MDL>() / size_of::<usize>() {
                    words.add(word).write(next_to_nothing);
                }
            }
        }
    }

    fn element(&self, index: usize) -> *mut MDL {
        self.mdl.elements().nth(index).expect("an element of the chain")
    }
}
