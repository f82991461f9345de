//! Indirect memory keys.

use super::{errno, failed};
use crate::sys::load::Mlx5;
use crate::sys::mlx5::{
    MLX5DV_MKEY_INIT_ATTR_FLAGS_INDIRECT, MLX5DV_MKEY_INIT_ATTR_FLAGS_REMOTE_INVALIDATE,
    mlx5dv_mkey, mlx5dv_mkey_init_attr,
};
use crate::sys::object::ibv_pd;
use ndk_core::Result;
use std::ptr::NonNull;

/// An indirect memory key. It is made free: no access goes through it before a fast registration, and none after an
/// invalidation, by whichever side.
///
/// Its value stays the same over all rounds (E4). libmlx5 makes the low 8 bits 0, which is what its invalidation resets
/// them to.
pub struct IndirectKey {
    library: &'static Mlx5,
    key: NonNull<mlx5dv_mkey>,
}

// SAFETY: the key is read only, and destroyed by its owner.
unsafe impl Send for IndirectKey {}
// SAFETY: as above.
unsafe impl Sync for IndirectKey {}

impl IndirectKey {
    /// Makes a key of a domain for lists of up to `runs` elements. This is a kernel call, which blocks.
    ///
    /// # Errors
    /// NOT_SUPPORTED where the kernel, the firmware or libmlx5 (before rdma-core 43) has no such keys;
    /// INSUFFICIENT_RESOURCES.
    ///
    /// # Safety
    /// The domain is allocated, of an mlx5 device, and outlives the key.
    pub unsafe fn create(library: &'static Mlx5, domain: *mut ibv_pd, runs: u16) -> Result<Self> {
        let mut attributes = mlx5dv_mkey_init_attr {
            pd: domain,
            create_flags: MLX5DV_MKEY_INIT_ATTR_FLAGS_INDIRECT
                | MLX5DV_MKEY_INIT_ATTR_FLAGS_REMOTE_INVALIDATE,
            max_entries: runs,
        };
        // SAFETY: the domain is allocated.
        let key = unsafe { (library.mlx5dv_create_mkey)(&raw mut attributes) };
        let key = NonNull::new(key).ok_or_else(|| {
            failed(
                "an indirect memory key (rdma-core 43 or newer, with DEVX) cannot be made",
                errno(),
            )
        })?;
        Ok(Self { library, key })
    }

    /// The key's value, for local and remote use alike.
    pub fn value(&self) -> u32 {
        // SAFETY: the key is there until it is dropped.
        unsafe { self.key.as_ref() }.rkey
    }
}

impl Drop for IndirectKey {
    /// Destroys the key: nothing goes through it afterwards. This is a kernel call, which blocks.
    fn drop(&mut self) {
        let value = self.value();
        // SAFETY: the key is there, and not used any more.
        let status = unsafe { (self.library.mlx5dv_destroy_mkey)(self.key.as_ptr()) };
        if status != 0 {
            log::error!("{}", failed(&format!("the indirect key {value:#x} stays"), status));
        }
    }
}
