//! The memory of a logical address mapping.

use crate::abi::{NDK_LOGICAL_ADDRESS, NDK_LOGICAL_ADDRESS_MAPPING, ULONG};
use crate::error::{Error, ErrorKind, Result};
use alloc::vec::Vec;
use core::mem::{offset_of, size_of};
use core::ptr::addr_of;

/// Room for an `NDK_LOGICAL_ADDRESS_MAPPING` of some pages, and for the size and offset that go with it. The memory
/// keeps its address when this is moved.
pub(crate) struct Lam {
    /// The size and the offset in the first word, then the mapping.
    words: Vec<u64>,
}

impl Lam {
    /// # Errors
    /// INSUFFICIENT_RESOURCES; INVALID_PARAMETER where the size does not fit into 32 bits.
    pub(crate) fn new(pages: usize) -> Result<Self> {
        let large = || Error::new(ErrorKind::InvalidParameter, "too many pages for a mapping");
        let size = pages
            .saturating_sub(1)
            .checked_mul(size_of::<NDK_LOGICAL_ADDRESS>())
            .and_then(|more| more.checked_add(size_of::<NDK_LOGICAL_ADDRESS_MAPPING>()))
            .and_then(|size| ULONG::try_from(size).ok())
            .ok_or_else(large)?;
        let length = 1 + (size as usize).div_ceil(size_of::<u64>());
        let mut words = Vec::new();
        words
            .try_reserve_exact(length)
            .map_err(|_| Error::new(ErrorKind::InsufficientResources, "no memory for a mapping"))?;
        words.resize(length, 0);
        let mut lam = Self { words };
        // SAFETY: the first word has room for it.
        unsafe { lam.pointers().1.write(size) };
        Ok(lam)
    }

    /// Mapping, size and offset, as the entries take them.
    pub(crate) fn pointers(
        &mut self,
    ) -> (*mut NDK_LOGICAL_ADDRESS_MAPPING, *mut ULONG, *mut ULONG) {
        let words = self.words.as_mut_ptr();
        // SAFETY: inside the allocation; the first word holds two numbers.
        unsafe { (words.add(1).cast(), words.cast(), words.cast::<ULONG>().add(1)) }
    }

    fn mapping(&self) -> *const NDK_LOGICAL_ADDRESS_MAPPING {
        self.words[1..].as_ptr().cast()
    }

    /// The offset of the first byte in the first page.
    pub(crate) fn first_byte(&self) -> u32 {
        // SAFETY: the second half of the first word.
        unsafe { self.words.as_ptr().cast::<ULONG>().add(1).read() }
    }

    /// The logical address of each page; none beyond the room that was made, whatever the provider wrote.
    pub(crate) fn pages(&self) -> Vec<u64> {
        let offset = offset_of!(NDK_LOGICAL_ADDRESS_MAPPING, AdapterPageArray);
        let room = (self.words.len() - 1) * size_of::<u64>() - offset;
        // SAFETY: the structure is inside the allocation and initialised, by zeroes at least; so is its array up to
        // the room.
        unsafe {
            let count = addr_of!((*self.mapping()).AdapterPageCount).read() as usize;
            let array = self.mapping().cast::<u8>().add(offset).cast::<NDK_LOGICAL_ADDRESS>();
            let count = count.min(room / size_of::<NDK_LOGICAL_ADDRESS>());
            (0..count).map(|index| array.add(index).read().quad()).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::ptr::addr_of_mut;

    #[test]
    fn l4_a_mapping_has_no_more_pages_than_there_is_room_for() {
        for pages in [1, 2, 3, 511] {
            let mut lam = Lam::new(pages).expect("memory");
            for (said, given) in
                [(0, 0), (1, 1), (pages, pages), (pages + 1, pages), (1 << 20, pages)]
            {
                let mapping = lam.pointers().0;
                // SAFETY: there is room for the structure.
                unsafe { addr_of_mut!((*mapping).AdapterPageCount).write(said as ULONG) };
                assert_eq!(lam.pages().len(), given, "{said} pages where {pages} have room");
            }
        }
    }
}
