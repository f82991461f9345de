//! Logical address mappings through the adapter's table.

use super::{Host, Memory, entry};
use ndk_core::abi::*;
use ndk_core::{FastMemory, LocalToken};
use std::mem::{offset_of, size_of};
use std::ptr::{addr_of, null_mut, without_provenance_mut};

/// A mapping that is built, with the buffer that the table filled.
pub(crate) struct Lam {
    /// Aligned as the structure is.
    buffer: Vec<u64>,
    pub(crate) first_byte: u32,
    pub(crate) pages: Vec<u64>,
    length: u64,
}

impl Host {
    /// Builds a mapping of all of the memory, in two calls as consumers do: the first asks for the size (L4).
    pub(crate) fn map(&self, memory: &Memory) -> Lam {
        self.try_map(memory).expect("a mapping")
    }

    /// As `map`, or the status that there is none for.
    pub(crate) fn try_map(&self, memory: &Memory) -> Result<Lam, NTSTATUS> {
        let (mut size, mut fbo) = (0, u32::MAX);
        let status = self.build(memory, null_mut(), &mut size, &mut fbo);
        if status != STATUS_BUFFER_TOO_SMALL {
            return Err(status);
        }
        assert_eq!(fbo, u32::MAX, "L4: nothing is told by a build that failed");
        let mut buffer = vec![u64::MAX; (size as usize).div_ceil(size_of::<u64>())];
        let lam = buffer.as_mut_ptr().cast();
        match self.build(memory, lam, &mut size, &mut fbo) {
            STATUS_SUCCESS => {}
            status => return Err(status),
        }
        // SAFETY: the table has filled the structure and the addresses behind it.
        let pages = unsafe {
            let count = addr_of!((*lam).AdapterPageCount).read() as usize;
            let first = offset_of!(NDK_LOGICAL_ADDRESS_MAPPING, AdapterPageArray);
            let array = lam.cast::<u8>().add(first).cast::<u64>();
            (0..count).map(|index| array.add(index).read()).collect()
        };
        Ok(Lam { buffer, first_byte: fbo, pages, length: memory.len() as u64 })
    }

    fn build(
        &self,
        memory: &Memory,
        lam: *mut NDK_LOGICAL_ADDRESS_MAPPING,
        size: &mut ULONG,
        fbo: &mut ULONG,
    ) -> NTSTATUS {
        let (adapter, mdl) = (self.raw().as_ptr(), memory.mdl().as_ptr());
        // SAFETY: the adapter is open, the chain alive, the buffer as long as its size says; without a completion
        // nothing pends (L6).
        unsafe {
            let build = entry!(self.raw(), NdkBuildLAM);
            build(adapter, mdl, memory.len(), None, null_mut(), lam, size, fbo)
        }
    }

    pub(crate) fn release(&self, mut lam: Lam) {
        let mapping = lam.buffer.as_mut_ptr().cast();
        // SAFETY: the adapter is open, and the mapping released once.
        unsafe { entry!(self.raw(), NdkReleaseLAM)(self.raw().as_ptr(), mapping) };
    }

    /// Releases whatever mapping the provider knows by this context, or none.
    pub(crate) fn release_name(&self, name: usize) {
        let mut lam = NDK_LOGICAL_ADDRESS_MAPPING {
            AdapterContext: without_provenance_mut(name),
            AdapterPageCount: 0,
            AdapterPageArray: [NDK_LOGICAL_ADDRESS::new(0)],
        };
        // SAFETY: the adapter is open; the simulator's contexts are numbers, which it looks up.
        unsafe { entry!(self.raw(), NdkReleaseLAM)(self.raw().as_ptr(), &raw mut lam) };
    }
}

impl Lam {
    /// What the provider knows the mapping by.
    pub(crate) fn name(&self) -> usize {
        let lam: *const NDK_LOGICAL_ADDRESS_MAPPING = self.buffer.as_ptr().cast();
        // SAFETY: the table has filled the structure.
        unsafe { addr_of!((*lam).AdapterContext).read() }.addr()
    }

    /// All of the memory, for a fast registration that counts from `page` plus its offset.
    pub(crate) fn memory(&self, page: u64) -> FastMemory<'_> {
        FastMemory {
            pages: &self.pages,
            first_byte: self.first_byte,
            length: self.length,
            base: page + u64::from(self.first_byte),
        }
    }

    /// The logical address of a byte, where pages have adjacent addresses (L1).
    pub(crate) fn address(&self, at: usize) -> u64 {
        self.pages[0] + u64::from(self.first_byte) + at as u64
    }
}

/// A privileged token as work requests take it.
pub(crate) fn privileged(token: u32) -> LocalToken {
    LocalToken::new(token).expect("a privileged token")
}
