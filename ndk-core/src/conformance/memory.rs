//! Memory that cases register, and the ways in which its MDL chain can be broken.

use super::route::{Raw, Registration};
use crate::abi::{CSHORT, MDL, PAGE_SIZE, ULONG};
use crate::mdl::{Buffer, Mdl, MdlBuilder};
use std::ptr::addr_of_mut;

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
        let shape = |builder: MdlBuilder, buffer: &Buffer| builder.buffer(buffer).at_most(PAGE_SIZE);
        Self::shaped(pages * PAGE_SIZE, 0, shape)
    }

    pub(super) fn mdl(&self) -> Raw<MDL> {
        Raw(self.mdl.as_ptr())
    }

    /// The bytes that the chain describes.
    pub(super) fn len(&self) -> usize {
        self.mdl.len()
    }

    /// A registration of all of it.
    pub(super) fn all(&self, flags: ULONG) -> Registration {
        self.first(self.len(), flags)
    }

    /// A registration of the first `length` bytes, or of more than there are.
    pub(super) fn first(&self, length: usize, flags: ULONG) -> Registration {
        Registration { mdl: self.mdl(), length, flags }
    }

    /// Changes the flags of every MDL.
    pub(super) fn set_flags(&self, flags: CSHORT) {
        for element in self.mdl.elements() {
            // SAFETY: the chain is this memory's, and no request reads it now.
            unsafe { addr_of_mut!((*element).MdlFlags).write(flags) };
        }
    }

    /// Moves the virtual address of one MDL of the chain.
    pub(super) fn move_element(&self, index: usize, pages: isize) {
        let element = self.element(index);
        // SAFETY: as above; the address is a number to everybody.
        unsafe {
            let start = addr_of_mut!((*element).StartVa);
            let moved = start.read().wrapping_byte_offset(pages * PAGE_SIZE.cast_signed());
            start.write(moved);
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
