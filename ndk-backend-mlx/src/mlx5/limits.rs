//! What the adapter's firmware says of UMR entries.

use super::umr::{Fence, MOST_RUNS, OCTOWORD, entry_size, most_runs};
use crate::errno::Errno;
use crate::sys::load::{Mlx5, Verbs};
use crate::sys::mlx5::{
    MLX5DV_MKEY_INIT_ATTR_FLAGS_INDIRECT, MLX5DV_MKEY_INIT_ATTR_FLAGS_REMOTE_INVALIDATE,
    mlx5dv_mkey_init_attr,
};
use crate::sys::object::{ibv_context, ibv_pd};
use ndk_core::{Error, ErrorKind, FastRegistration, Result, TokenScope};

/// The firmware command that asks for capabilities: opcode, then the group, here the general one as it is set now.
const QUERY_HCA_CAP: u16 = 0x100;
const GENERAL_NOW: u16 = 1;
const INPUT: usize = 16;
const HEAD: usize = 16;
const OUTPUT: usize = HEAD + 4096;

/// What libmlx5 keeps for the head of each entry of a queue pair that binds windows and invalidates: a UMR entry with one
/// block of its list.
pub(super) const KEPT_BY_LIBMLX5: usize = 192;

/// What fast registrations of an adapter are bounded by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// The most runs of adjacent pages of one fast registration: FRMRPageCount, since every page may be a run.
    pub(crate) runs: usize,
    /// The most elements of local memory of another request.
    elements: u32,
    /// What a UMR entry has to wait for.
    pub(crate) fence: Fence,
}

impl Limits {
    /// Asks the adapter, if it is one of mlx5; where it has no fast registration of this kind, the log says why.
    ///
    /// # Safety
    /// The context is open.
    pub(crate) unsafe fn of_device(
        name: &str,
        verbs: &Verbs,
        context: *mut ibv_context,
    ) -> Option<Self> {
        let library = Mlx5::get().ok()?;
        // SAFETY: an open context has its device.
        if !unsafe { (library.mlx5dv_is_supported)((*context).device) } {
            return None;
        }
        // SAFETY: the context is open, and of an mlx5 device.
        let limits = unsafe {
            Self::query(library, context)
                .and_then(|limits| limits.try_key(verbs, library, context).map(|()| limits))
        };
        match limits {
            Ok(limits) => {
                log::info!(
                    "{name}: fast registration of up to {} pages in the send queue",
                    limits.runs
                );
                Some(limits)
            }
            Err(error) => {
                log::info!("{name}: no fast registration in the send queue: {error}");
                None
            }
        }
    }

    /// Asks the adapter.
    ///
    /// # Errors
    /// NOT_SUPPORTED, with the reason, where it has no fast registration of this kind.
    ///
    /// # Safety
    /// The context is open, and of an mlx5 device.
    unsafe fn query(library: &Mlx5, context: *mut ibv_context) -> Result<Self> {
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
        Errno::check(status).map_err(|errno| {
            errno.error("asking the firmware for its capabilities, which takes DEVX")
        })?;
        Self::of_capabilities(&output[HEAD..])
    }

    /// Makes a key and destroys it: libmlx5, kernel and firmware all have a say in that, and none can be asked.
    ///
    /// # Errors
    /// What the first says that refuses.
    ///
    /// # Safety
    /// As for `query`.
    unsafe fn try_key(
        &self,
        verbs: &Verbs,
        library: &Mlx5,
        context: *mut ibv_context,
    ) -> Result<()> {
        // SAFETY: the context is open; domain and key are given up here, the key first.
        unsafe {
            let domain = (verbs.ibv_alloc_pd)(context);
            if domain.is_null() {
                return Err(Errno::last().error("making a protection domain"));
            }
            let mut attributes = key_attributes(domain, self.runs);
            let key = (library.mlx5dv_create_mkey)(&raw mut attributes);
            let refused = Errno::last();
            if !key.is_null() {
                (library.mlx5dv_destroy_mkey)(key);
            }
            (verbs.ibv_dealloc_pd)(domain);
            match key.is_null() {
                true => Err(refused.error("making an indirect key, which takes rdma-core 43")),
                false => Ok(()),
            }
        }
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
        let elements = usize::from(max_wqe_sz_sq).saturating_sub(KEPT_BY_LIBMLX5) / OCTOWORD;
        Ok(Self { runs, elements: elements as u32, fence })
    }

    /// The declaration of it (K1).
    pub(crate) fn declared(&self) -> FastRegistration {
        FastRegistration {
            pages: self.runs as u32,
            rotating: false,
            emulated: false,
            scope: TokenScope::ProtectionDomain,
        }
    }

    /// How many requests a send queue holds of an adapter whose queues have up to `blocks` blocks of 64 bytes, where
    /// each request may be a fast registration.
    pub(crate) fn deepest(&self, blocks: u32) -> u32 {
        (u64::from(blocks) * 64 / self.entry_size() as u64) as u32
    }

    /// How many elements of local memory a request has of an adapter that says it takes `most`: that figure is not about
    /// queue pairs that invalidate.
    pub(crate) fn elements(&self, most: u32) -> u32 {
        most.min(self.elements)
    }

    /// The size in bytes of the largest entry.
    pub(super) fn entry_size(&self) -> usize {
        entry_size(self.runs.min(MOST_RUNS))
    }
}

/// What an indirect key is made of: one of a domain, for lists of up to `runs` elements, that peers may invalidate.
pub(crate) fn key_attributes(domain: *mut ibv_pd, runs: usize) -> mlx5dv_mkey_init_attr {
    mlx5dv_mkey_init_attr {
        pd: domain,
        create_flags: MLX5DV_MKEY_INIT_ATTR_FLAGS_INDIRECT
            | MLX5DV_MKEY_INIT_ATTR_FLAGS_REMOTE_INVALIDATE,
        max_entries: runs as u16,
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
    fn a_queue_holds_as_many_as_are_all_fast_registrations_and_elements_fit_beside_a_head() {
        let of = |largest| Limits::of_capabilities(&general(largest, 16, 0)).unwrap();
        assert_eq!(of(1024).deepest(32768), 2184);
        assert_eq!(of(512).deepest(32768), 4096);
        assert_eq!([30, 60].map(|most| of(1024).elements(most)), [30, 52]);
        assert_eq!([4, 30].map(|most| of(512).elements(most)), [4, 20]);
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
