//! The host memory behind a chain of MDLs: one range, or none that a device can join.

use ndk_core::mdl::MdlView;
use ndk_core::{Error, ErrorKind, Result};

const PAGE_SHIFT: u32 = 12;

/// Memory to be registered: where it is, and the address that its bytes count from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HostRange {
    /// The host address of the first byte.
    pub(crate) address: usize,
    pub(crate) length: usize,
    /// The MDL's virtual address, an index only (C2). It has the host address's offset in its page.
    pub(crate) base: u64,
}

impl HostRange {
    /// The range that a chain describes.
    ///
    /// # Errors
    /// NOT_SUPPORTED where its pages are not adjacent in host memory (K2).
    pub(crate) fn of(memory: &MdlView<'_>) -> Result<Self> {
        let first = joined(memory.frames()).ok_or_else(scattered)?;
        let address = (first << PAGE_SHIFT) + memory.page_offset();
        Ok(Self { address, length: memory.len(), base: memory.base() })
    }
}

/// The first of the frames, where each follows the one before.
pub(crate) fn joined(mut frames: impl Iterator<Item = usize>) -> Option<usize> {
    let first = frames.next()?;
    frames.enumerate().all(|(index, frame)| frame == first + index + 1).then_some(first)
}

pub(crate) fn scattered() -> Error {
    let cause = "this device cannot join pages that are not adjacent in the program's memory";
    Error::new(ErrorKind::NotSupported, cause).rule("K2")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndk_core::mdl::{Buffer, Mdl};

    fn range(mdl: &Mdl, length: usize) -> Result<HostRange> {
        // SAFETY: the chain is alive, and nothing is registered over it.
        HostRange::of(&unsafe { MdlView::new(mdl.as_ptr(), length) }.unwrap())
    }

    #[test]
    fn the_host_address_comes_from_the_frames_and_the_base_from_the_mdl() {
        let buffer = Buffer::with_page_offset(10_000, 300).unwrap();
        let mdl = Mdl::builder().buffer(&buffer).address(0x7000_0000 + 300).build().unwrap();
        let expected = HostRange { address: buffer.address(), length: 9000, base: 0x7000_012c };
        assert_eq!(range(&mdl, 9000), Ok(expected));
        let chain = Mdl::builder().buffer(&buffer).at_most(4096).build().unwrap();
        assert_eq!(range(&chain, 10_000).unwrap().address, buffer.address());
    }

    #[test]
    fn c3_k2_pages_that_do_not_follow_each_other_are_refused() {
        let buffer = Buffer::new(4 * 4096).unwrap();
        let mdl = Mdl::builder().range(&buffer, 0..4096).range(&buffer, 8192..12288).build();
        let refusal = range(&mdl.unwrap(), 8192).unwrap_err();
        assert_eq!((refusal.kind(), refusal.rule_id()), (ErrorKind::NotSupported, "K2"));
    }
}
