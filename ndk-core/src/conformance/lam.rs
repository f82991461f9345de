//! A consumer's buffer for a logical address mapping.

use super::env::{Env, Issued};
use super::memory::Memory;
use super::outcome::Status;
use super::route::Mapped;
use crate::abi::{NDK_LOGICAL_ADDRESS, NDK_LOGICAL_ADDRESS_MAPPING, STATUS_SUCCESS, ULONG};
use std::mem::offset_of;

const HEADER: usize = offset_of!(NDK_LOGICAL_ADDRESS_MAPPING, AdapterPageArray);
/// What an unwritten word of a mapping's buffer holds.
const UNTOUCHED: u64 = 0x5a5a_5a5a_5a5a_5a5a;

/// A consumer's buffer for a mapping.
pub(super) struct Lam {
    words: Vec<u64>,
    pub(super) size: ULONG,
    pub(super) fbo: ULONG,
}

impl Lam {
    pub(super) fn for_pages(pages: usize) -> Self {
        let size = bytes_for(pages);
        Self { words: vec![UNTOUCHED; size.div_ceil(8)], size: size as ULONG, fbo: ULONG::MAX }
    }

    /// The mapping, which keeps its place when this is moved.
    pub(super) fn pointer(&mut self) -> *mut NDK_LOGICAL_ADDRESS_MAPPING {
        self.words.as_mut_ptr().cast()
    }

    pub(super) fn arguments(&mut self, memory: &Memory, length: usize) -> Mapped {
        let (lam, size, fbo) = (self.pointer(), &raw mut self.size, &raw mut self.fbo);
        Mapped { chain: memory.handle(), length, lam, size, fbo }
    }

    /// The logical addresses of a mapping that was built.
    pub(super) fn pages(&mut self) -> Vec<u64> {
        let lam = self.pointer();
        // SAFETY: the buffer holds a built mapping; its fields are read one by one.
        unsafe {
            let count = (&raw const (*lam).AdapterPageCount).read() as usize;
            let array = lam.cast::<u8>().add(HEADER).cast::<NDK_LOGICAL_ADDRESS>();
            (0..count).map(|index| array.add(index).read().quad()).collect()
        }
    }

    pub(super) fn is_untouched(&self) -> bool {
        self.words.iter().all(|&word| word == UNTOUCHED)
    }
}

/// The size of a mapping of some pages.
pub(super) fn bytes_for(pages: usize) -> usize {
    size_of::<NDK_LOGICAL_ADDRESS_MAPPING>() + (pages - 1) * size_of::<NDK_LOGICAL_ADDRESS>()
}

impl Env {
    pub(super) fn start_build(&mut self, arguments: Mapped) -> Issued {
        let adapter = self.adapter();
        // SAFETY: the adapter is open; the cases keep memory and buffers until the request is over.
        self.issue(|route, done| unsafe { route.build_mapping(adapter, arguments, done) })
    }

    pub(super) fn release(&self, lam: &mut Lam) {
        let (adapter, lam) = (self.adapter(), lam.pointer());
        // SAFETY: the adapter is open, and the mapping was built and is released once.
        let status = unsafe { self.route.release_mapping(adapter, lam) };
        assert_eq!(Status(status), Status(STATUS_SUCCESS));
    }
}
