//! The hand-written table, `c/twin.h`.

use ndk_core::abi::{NDK_ADAPTER, NDK_FN_GET_LOCAL_TOKEN_FROM_MR, NDK_MR, UINT32, ULONG};
use std::ptr::NonNull;

unsafe extern "system" {
    fn twin_open(regions: ULONG) -> *mut NDK_ADAPTER;
    fn twin_close(adapter: *mut NDK_ADAPTER);
    fn twin_bare_token(region: *mut NDK_MR) -> UINT32;
}

/// The most regions that its tokens have room for.
pub const MAX_REGIONS: u32 = 0xFE_FFFF;

/// The least that a token getter can be: one load behind an indirect call. For the twin's regions only.
pub const BARE_TOKEN: NDK_FN_GET_LOCAL_TOKEN_FROM_MR = twin_bare_token;

/// An adapter of the twin. Everything made of it is closed before it is dropped.
#[derive(Debug)]
pub struct Twin(NonNull<NDK_ADAPTER>);

// SAFETY: the twin's entries may be called from any thread.
unsafe impl Send for Twin {}
// SAFETY: as above.
unsafe impl Sync for Twin {}

impl Twin {
    /// An adapter with room for so many regions.
    ///
    /// # Panics
    /// There is no memory, or the number is above [`MAX_REGIONS`].
    pub fn open(regions: u32) -> Self {
        assert!(regions <= MAX_REGIONS, "a token has 24 bits for a region");
        // SAFETY: no conditions.
        Self(NonNull::new(unsafe { twin_open(regions) }).expect("memory for the twin's slots"))
    }

    /// The C object.
    pub fn as_ndk(&self) -> NonNull<NDK_ADAPTER> {
        self.0
    }
}

impl Drop for Twin {
    fn drop(&mut self) {
        // SAFETY: opened in `open`, closed once.
        unsafe { twin_close(self.0.as_ptr()) };
    }
}
