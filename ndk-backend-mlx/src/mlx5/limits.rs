//! What the adapter's firmware says of UMR entries.

use super::umr::{Fence, MOST_RUNS, most_runs};
use super::{failed, umr::entry_size};
use crate::sys::load::Mlx5;
use crate::sys::object::ibv_context;
use ndk_core::{Error, ErrorKind, Result};

/// The firmware command that asks for capabilities: opcode, then the group, here the general one as it is set now.
const QUERY_HCA_CAP: u16 = 0x100;
const GENERAL_NOW: u16 = 1;
const INPUT: usize = 16;
const HEAD: usize = 16;
const OUTPUT: usize = HEAD + 4096;

/// What fast registrations of an adapter are bounded by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most runs of adjacent pages of one fast registration: FRMRPageCount, since every page may be a run.
    pub runs: usize,
    /// What a UMR entry has to wait for.
    pub fence: Fence,
}

impl Limits {
    /// Asks the adapter.
    ///
    /// # Errors
    /// NOT_SUPPORTED, with the reason, where it has no fast registration of this kind.
    ///
    /// # Safety
    /// The context is open, and of an mlx5 device.
    pub unsafe fn query(library: &Mlx5, context: *mut ibv_context) -> Result<Self> {
        let mut input = [0u8; INPUT];
        input[..2].copy_from_slice(&QUERY_HCA_CAP.to_be_bytes());
        input[6..8].copy_from_slice(&GENERAL_NOW.to_be_bytes());
        let mut output = [0u8; OUTPUT];
        // SAFETY: the context is open; input and output are as long as is said.
        let status = unsafe {
            (library.mlx5dv_devx_general_cmd)(
                context,
                input.as_ptr().cast(),
                INPUT,
                output.as_mut_ptr().cast(),
                OUTPUT,
            )
        };
        if status != 0 {
            let what =
                "the adapter's firmware cannot be asked for its capabilities, which takes DEVX";
            let error = failed(what, status);
            return Err(Error::new(ErrorKind::NotSupported, error.detail().to_owned()));
        }
        Self::of_capabilities(&output[HEAD..])
    }

    /// Reads the general group of capabilities, whose layout is that of `mlx5_ifc_cmd_hca_cap_bits` in the Linux
    /// driver.
    fn of_capabilities(general: &[u8]) -> Result<Self> {
        let refuse = |cause| Err(Error::new(ErrorKind::NotSupported, cause));
        let umr_indirect_mkey_disabled = general[65] & 0x40 != 0;
        if umr_indirect_mkey_disabled {
            return refuse(
                "the adapter's firmware changes no indirect memory keys from the send queue",
            );
        }
        let max_wqe_sz_sq = u16::from_be_bytes([general[82], general[83]]);
        let log_max_klm_list_size = general[35] & 0x3f;
        let longest_list = 1usize.checked_shl(log_max_klm_list_size.into()).unwrap_or(usize::MAX);
        let runs = most_runs(max_wqe_sz_sq.into()).min(longest_list);
        if runs == 0 {
            return refuse("the adapter's work-queue entries have no room for a list of pages");
        }
        // 0: as before that capability was there, which is as cautious as can be. 1 and 2 ask for less.
        let umr_fence = general[65] >> 4 & 3;
        let fence = if umr_fence == 0 { Fence::StrongOrdering } else { Fence::InitiatorSmall };
        Ok(Self { runs, fence })
    }

    /// The size in bytes of the largest entry.
    pub(super) fn entry_size(&self) -> usize {
        entry_size(self.runs.min(MOST_RUNS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn general(largest: u16, log_list: u8, bits: u8) -> [u8; 4096] {
        let mut general = [0; 4096];
        general[82..84].copy_from_slice(&largest.to_be_bytes());
        general[35] = 0xc0 | log_list;
        general[65] = bits;
        general
    }

    #[test]
    fn the_limit_is_what_fits_an_entry_and_the_list() {
        for (largest, log_list, runs) in
            [(1024, 16, 52), (512, 16, 24), (1024, 4, 16), (192, 63, 4)]
        {
            let limits = Limits::of_capabilities(&general(largest, log_list, 0)).unwrap();
            assert_eq!(limits.runs, runs, "{largest} bytes, lists of 2^{log_list}");
        }
        assert!(Limits::of_capabilities(&general(128, 16, 0)).is_err());
    }

    #[test]
    fn a_fence_is_as_cautious_as_the_adapter_asks_for() {
        let fence = |bits| Limits::of_capabilities(&general(1024, 16, bits)).unwrap().fence;
        assert_eq!(fence(0x00), Fence::StrongOrdering);
        assert_eq!(fence(0x10), Fence::InitiatorSmall);
        assert_eq!(fence(0x20), Fence::InitiatorSmall);
    }

    #[test]
    fn an_adapter_without_indirect_keys_in_the_send_queue_is_refused() {
        let error = Limits::of_capabilities(&general(1024, 16, 0x60)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotSupported);
    }
}
