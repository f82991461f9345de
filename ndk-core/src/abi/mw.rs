//! The memory window: a part of a registered region, opened to peers for a while.

use super::{NDK_FN_CLOSE_OBJECT, NDK_FN_QUERY_EXTENSION_INTERFACE, NDK_OBJECT_HEADER, UINT32};

/// A memory window. Reference: `ns-ndkpi-_ndk_mw`.
#[repr(C)]
#[derive(Debug)]
pub struct NDK_MW {
    /// The common header; its type is [`NdkObjectTypeMw`](super::NdkObjectTypeMw).
    pub Header: NDK_OBJECT_HEADER,
    /// The provider's entries for this object.
    pub Dispatch: *const NDK_MW_DISPATCH,
}

/// The entries of a memory window. Reference: `ns-ndkpi-_ndk_mw_dispatch`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct NDK_MW_DISPATCH {
    /// Closes the window, bound or not.
    pub NdkCloseMw: Option<NDK_FN_CLOSE_OBJECT>,
    /// Finds an extension.
    pub NdkQueryExtension: Option<NDK_FN_QUERY_EXTENSION_INTERFACE>,
    /// Tells the token for peers.
    pub NdkGetRemoteTokenFromMw: Option<NDK_FN_GET_REMOTE_TOKEN_FROM_MW>,
}

/// The token by which a peer names the window in a read or a write.
///
/// Reference: `nc-ndkpi-ndk_fn_get_remote_token_from_mw`.
pub type NDK_FN_GET_REMOTE_TOKEN_FROM_MW = unsafe extern "system" fn(pNdkMw: *mut NDK_MW) -> UINT32;
