//! Regions for fast registration.

use super::object::Object;
use super::{Created, Failed};
use crate::abi::{GUID, NDK_EXTENSION_INTERFACE, NDK_MR, NDK_VERSION};
use crate::access::{LocalToken, RemoteToken};
use crate::error::Result;
use core::fmt;
use core::ptr::NonNull;
use futures_lite::future::block_on;

/// A fast-register region that was initialised: work requests may fast-register it.
#[derive(Debug)]
pub struct Ready {
    pages: u32,
    remote: bool,
}

/// A memory region for fast registration, in the state `S`: [`Created`] or [`Ready`].
///
/// What it reaches is set by work requests on a queue pair, fast-register and invalidate, not here. Dropped in any
/// state, it is closed without waiting.
#[derive(Debug)]
pub struct FastRegion<S = Created> {
    object: Object<()>,
    state: S,
}

impl FastRegion<Created> {
    /// Takes over a region of any provider.
    ///
    /// # Safety
    /// - The region was created for fast registration and was not initialised; nothing is pending on it, nobody else
    ///   uses or closes it, and it may be used from any thread.
    /// - Its table keeps the contract.
    pub unsafe fn from_ndk(mr: NonNull<NDK_MR>) -> Self {
        // SAFETY: the caller's promise.
        Self::new(unsafe { Object::new(mr) })
    }

    pub(super) fn new(object: Object<()>) -> Self {
        Self { object, state: Created }
    }
}

impl FastRegion<Ready> {
    /// The most pages of one fast registration.
    pub fn pages(&self) -> u32 {
        self.state.pages
    }

    /// Whether fast registrations may give peers rights.
    pub fn is_remote(&self) -> bool {
        self.state.remote
    }

    /// The token for local work requests. C entry: `NdkGetLocalTokenFromMr`, called each time.
    pub fn local_token(&self) -> Option<LocalToken> {
        self.object.local_token()
    }

    /// The token for peers, good from a fast registration until its invalidation. C entry:
    /// `NdkGetRemoteTokenFromMr`, called each time.
    ///
    /// Read it again after each fast-register request: providers may change its low 8 bits then. Where they do not, a
    /// peer that kept the token reaches what is registered next (E4).
    pub fn remote_token(&self) -> Option<RemoteToken> {
        self.object.remote_token()
    }
}

impl<S: fmt::Debug> FastRegion<S> {
    /// Makes the region ready for fast registrations of up to `pages` pages; `remote` says whether they may ever give
    /// peers rights. C entry: `NdkInitializeFastRegisterMr`. Done again, it replaces what was set before.
    ///
    /// # Errors
    /// With the region as it was:
    /// - INVALID_PARAMETER: no pages (G2);
    /// - IMPLEMENTATION_LIMIT: more than the adapter's FRMRPageCount (G2);
    /// - INVALID_DEVICE_STATE: its fast registration is valid or being posted, or its invalidation in flight (G3);
    /// - INSUFFICIENT_RESOURCES, NOT_SUPPORTED, CANCELLED (B9), DEVICE_REMOVED (H8), INTERNAL_ERROR (B8).
    pub async fn initialize(
        self,
        pages: u32,
        remote: bool,
    ) -> Result<FastRegion<Ready>, Failed<Self>> {
        match self.object.initialize(pages, remote).await {
            Ok(object) => Ok(FastRegion { object, state: Ready { pages, remote } }),
            Err(Failed { object, error }) => {
                Err(Failed { object: Self { object, state: self.state }, error })
            }
        }
    }

    /// As [`initialize`](Self::initialize), and waits.
    ///
    /// # Errors
    /// As for `initialize`.
    pub fn initialize_blocking(
        self,
        pages: u32,
        remote: bool,
    ) -> Result<FastRegion<Ready>, Failed<Self>> {
        block_on(self.initialize(pages, remote))
    }

    /// The C object. It is this region's to close.
    pub fn as_ndk(&self) -> NonNull<NDK_MR> {
        self.object.as_ndk()
    }

    /// Asks for an extension interface of the provider's. C entry: `NdkQueryExtension`. Changes nothing.
    ///
    /// # Errors
    /// NOT_SUPPORTED for one that it does not have in that version (A5).
    pub fn query_extension(
        &self,
        id: &GUID,
        version: NDK_VERSION,
    ) -> Result<NDK_EXTENSION_INTERFACE> {
        self.object.query_extension(id, version)
    }

    /// Closes the region; a token of it is dead afterwards. C entry: `NdkCloseMr`.
    ///
    /// # Errors
    /// INTERNAL_ERROR where the backend's close did not end (B8, B9), and what a provider says that refuses, which it must not
    /// (H1). The object is leaked then, and a device may still use the memory of a fast registration.
    pub async fn close(self) -> Result<()> {
        self.object.close().await
    }

    /// As [`close`](Self::close), and waits.
    ///
    /// # Errors
    /// As for `close`.
    pub fn close_blocking(self) -> Result<()> {
        block_on(self.close())
    }
}
