//! This backend's extension interface on regions: the kernel's registration, or mlx5's indirect key, for consumers that
//! know verbs.

use crate::sys::mlx5::mlx5dv_mkey;
use crate::sys::object::ibv_mr;
use ndk_core::abi::{GUID, NDK_EXTENSION_INTERFACE, NDK_VERSION, UINT32};
use ndk_core::{Error, ErrorKind, Result};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

/// The interface's identifier: `{6E646B6D-7263-6D6C-8000-000000000001}`.
///
/// `NdkQueryExtension` of a region gives a pointer to an [`NDKMR_VERBS_REGION`] in `Dispatch`, valid until the region is
/// closed. Every other identifier is NOT_SUPPORTED (A5).
pub const NDKMR_VERBS_REGION_GUID: GUID =
    GUID { Data1: 0x6E64_6B6D, Data2: 0x7263, Data3: 0x6D6C, Data4: [0x80, 0, 0, 0, 0, 0, 0, 1] };

/// The version of the interface.
pub const NDKMR_VERBS_REGION_VERSION: NDK_VERSION = NDK_VERSION { Major: 1, Minor: 0 };

/// A region as libibverbs has it. Later minor versions add fields at the end.
#[repr(C)]
#[allow(non_camel_case_types, non_snake_case)]
#[derive(Debug)]
pub struct NDKMR_VERBS_REGION {
    /// The size of the structure in bytes.
    pub Size: UINT32,
    /// The `struct ibv_mr`; null while the region is not registered, and on regions for fast registration. It may be read
    /// and posted with, and must not be deregistered; it is gone once a deregistration or a close has been called.
    pub Mr: AtomicPtr<ibv_mr>,
    /// The `struct mlx5dv_mkey` of a region for fast registration on mlx5; null before it is initialised, and on every
    /// other region. It may be read and posted with, and must not be destroyed; it is gone once another initialisation or
    /// a close has been called.
    pub Mkey: AtomicPtr<mlx5dv_mkey>,
}

impl NDKMR_VERBS_REGION {
    pub(crate) fn new() -> Self {
        Self {
            Size: size_of::<Self>() as UINT32,
            Mr: AtomicPtr::new(null_mut()),
            Mkey: AtomicPtr::new(null_mut()),
        }
    }

    pub(crate) fn set(&self, mr: *mut ibv_mr) {
        self.Mr.store(mr, Ordering::Release);
    }

    pub(crate) fn set_key(&self, key: *mut mlx5dv_mkey) {
        self.Mkey.store(key, Ordering::Release);
    }

    /// What a query is answered with.
    ///
    /// # Errors
    /// NOT_SUPPORTED for another identifier or a newer version (A5).
    pub(crate) fn query(&self, id: &GUID, version: NDK_VERSION) -> Result<NDK_EXTENSION_INTERFACE> {
        let ours = NDKMR_VERBS_REGION_VERSION;
        if *id != NDKMR_VERBS_REGION_GUID
            || version.Major != ours.Major
            || version.Minor > ours.Minor
        {
            let cause = "this region has no extension interface of that name and version";
            return Err(Error::new(ErrorKind::NotSupported, cause).rule("A5"));
        }
        Ok(NDK_EXTENSION_INTERFACE { Dispatch: (&raw const *self).cast() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a5_one_identifier_and_version_is_served() {
        let region = NDKMR_VERBS_REGION::new();
        let (id, version) = (NDKMR_VERBS_REGION_GUID, NDKMR_VERBS_REGION_VERSION);
        let served = region.query(&id, version).unwrap();
        assert_eq!(served.Dispatch, (&raw const region).cast());
        let other = GUID { Data1: 1, ..id };
        for (id, version) in [
            (other, version),
            (id, NDK_VERSION { Major: 1, Minor: 1 }),
            (id, NDK_VERSION { Major: 2, Minor: 0 }),
        ] {
            assert_eq!(region.query(&id, version).unwrap_err().kind(), ErrorKind::NotSupported);
        }
    }
}
