//! Regions for conventional registration.

use super::Failed;
use super::object::Object;
use crate::abi::{GUID, NDK_EXTENSION_INTERFACE, NDK_MR, NDK_VERSION};
use crate::access::{Access, LocalToken, RemoteToken};
use crate::error::Result;
use crate::mdl::Mdl;
use core::ptr::NonNull;
use futures_lite::future::block_on;

/// A region without memory, or a fast-register region that was not initialised.
#[derive(Debug)]
#[non_exhaustive]
pub struct Created;

/// A region with memory.
#[derive(Debug)]
#[non_exhaustive]
pub struct Registered;

mod sealed {
    /// What a state adds to a region.
    pub trait State {
        /// What is kept until the region is closed.
        type Memory: Send + 'static;
        /// What there is to know.
        type Facts: core::fmt::Debug;
    }
}

impl sealed::State for Created {
    type Memory = ();
    type Facts = ();
}

impl sealed::State for Registered {
    type Memory = Mdl;
    type Facts = Facts;
}

/// What a region was registered with.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    base: u64,
    length: usize,
    access: Access,
}

/// A memory region for conventional registration, in the state `S`: [`Created`] or [`Registered`].
///
/// Dropped in any state, it is closed without waiting, and what it was registered over is freed when that is over.
///
/// What a state does not allow does not compile:
///
/// ```compile_fail,E0599
/// # use ndk_core::consumer::{Created, Region};
/// fn deregister_what_is_not_registered(region: Region<Created>) {
///     let _ = region.deregister_blocking();
/// }
/// ```
///
/// ```compile_fail,E0308
/// # use ndk_core::{LocalToken, RemoteToken, consumer::{Region, Registered}};
/// fn tell_the_peer(token: RemoteToken) {}
///
/// fn mix_up(region: &Region<Registered>) {
///     tell_the_peer(region.local_token().unwrap());
/// }
/// ```
#[derive(Debug)]
pub struct Region<S: sealed::State = Created> {
    object: Object<S::Memory>,
    facts: S::Facts,
}

impl Region<Created> {
    /// Takes over a region of any provider.
    ///
    /// # Safety
    /// - The region was created for conventional registration and is not registered; nothing is pending on it, nobody
    ///   else uses or closes it, and it may be used from any thread.
    /// - Its table keeps the contract.
    pub unsafe fn from_ndk(mr: NonNull<NDK_MR>) -> Self {
        // SAFETY: the caller's promise.
        Self::new(unsafe { Object::new(mr) })
    }

    pub(super) fn new(object: Object<()>) -> Self {
        Self { object, facts: () }
    }

    /// Registers all of `memory` with the rights of `access`. C entry: `NdkRegisterMr`.
    ///
    /// The region owns the memory until it is deregistered or closed. Peers and work requests count addresses from
    /// [`base_address`](Region::base_address).
    ///
    /// # Errors
    /// With region and memory as they were:
    /// - INVALID_PARAMETER: the memory is empty (C6) or above the adapter's MaxRegistrationSize (C8);
    /// - INSUFFICIENT_RESOURCES: a limit of the device is reached (C14); a later try may succeed (B6);
    /// - NOT_SUPPORTED: what the device cannot express (C2, K2);
    /// - CANCELLED (B9), DEVICE_REMOVED (H8);
    /// - INTERNAL_ERROR (B8): the region can only be closed, and until then keeps the memory alive, too.
    pub async fn register(
        self,
        memory: Mdl,
        access: Access,
    ) -> Result<Region<Registered>, Failed<(Self, Mdl)>> {
        let length = memory.len();
        self.register_part(memory, length, access).await
    }

    /// As [`register`](Self::register), and waits.
    ///
    /// # Errors
    /// As for `register`.
    pub fn register_blocking(
        self,
        memory: Mdl,
        access: Access,
    ) -> Result<Region<Registered>, Failed<(Self, Mdl)>> {
        block_on(self.register(memory, access))
    }

    /// As [`register`](Self::register), for the first `length` bytes.
    ///
    /// # Errors
    /// As for `register`; INVALID_PARAMETER also for a length of 0 (C6) or beyond the memory (C5).
    pub async fn register_part(
        self,
        memory: Mdl,
        length: usize,
        access: Access,
    ) -> Result<Region<Registered>, Failed<(Self, Mdl)>> {
        // SAFETY: the view is only looked at.
        let base = match unsafe { memory.view(length) } {
            Ok(view) => view.base(),
            Err(error) => return Err(Failed { object: (self, memory), error }),
        };
        match self.object.register(memory, length, access).await {
            Ok(object) => Ok(Region { object, facts: Facts { base, length, access } }),
            Err(Failed { object: (object, memory), error }) => {
                Err(Failed { object: (Self::new(object), memory), error })
            }
        }
    }

    /// As [`register_part`](Self::register_part), and waits.
    ///
    /// # Errors
    /// As for `register_part`.
    pub fn register_part_blocking(
        self,
        memory: Mdl,
        length: usize,
        access: Access,
    ) -> Result<Region<Registered>, Failed<(Self, Mdl)>> {
        block_on(self.register_part(memory, length, access))
    }

    /// Closes the region. C entry: `NdkCloseMr`.
    ///
    /// # Errors
    /// INTERNAL_ERROR where the backend's close did not end (B8, B9), and what a provider says that refuses, which it must not
    /// (H1). The object is leaked then.
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

impl Region<Registered> {
    /// Ends the registration, and gives the memory back. C entry: `NdkDeregisterMr`.
    ///
    /// Once it is done, no byte of the memory is read or changed through the old tokens (D3).
    ///
    /// # Errors
    /// With the region still registered: DEVICE_BUSY while a memory window is bound to it (D2), CANCELLED (B9),
    /// DEVICE_REMOVED (H8), INTERNAL_ERROR (B8).
    pub async fn deregister(self) -> Result<(Region<Created>, Mdl), Failed<Self>> {
        match self.object.deregister().await {
            Ok((object, memory)) => Ok((Region::new(object), memory)),
            Err(Failed { object, error }) => {
                Err(Failed { object: Self { object, facts: self.facts }, error })
            }
        }
    }

    /// As [`deregister`](Self::deregister), and waits.
    ///
    /// # Errors
    /// As for `deregister`.
    pub fn deregister_blocking(self) -> Result<(Region<Created>, Mdl), Failed<Self>> {
        block_on(self.deregister())
    }

    /// Closes the region as it is: its tokens are dead afterwards (H3), and the memory comes back. With a memory
    /// window bound to it the close waits for the window. C entry: `NdkCloseMr`.
    ///
    /// # Errors
    /// INTERNAL_ERROR where the backend's close did not end (B8, B9), and what a provider says that refuses, which it must not
    /// (H1). Object and memory are leaked then, since a device may still use them.
    pub async fn close(self) -> Result<Mdl> {
        self.object.close().await
    }

    /// As [`close`](Self::close), and waits.
    ///
    /// # Errors
    /// As for `close`.
    pub fn close_blocking(self) -> Result<Mdl> {
        block_on(self.close())
    }

    /// The address of the region's first byte, for peers and for work requests.
    pub fn base_address(&self) -> u64 {
        self.facts.base
    }

    /// The length in bytes; never 0.
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(&self) -> usize {
        self.facts.length
    }

    /// The rights it was registered with.
    pub fn access(&self) -> Access {
        self.facts.access
    }

    /// The memory: a chain that may be longer than what is registered of it. To be copied to and from with
    /// [`Mdl::read`] and [`Mdl::write`].
    pub fn memory(&self) -> &Mdl {
        self.object.memory()
    }

    /// The token for local work requests. C entry: `NdkGetLocalTokenFromMr`, called each time.
    ///
    /// `None` only where the provider has lost the region (B8).
    pub fn local_token(&self) -> Option<LocalToken> {
        self.object.local_token()
    }

    /// The token for peers; `None` without remote rights (E1). C entry: `NdkGetRemoteTokenFromMr`, called each time.
    pub fn remote_token(&self) -> Option<RemoteToken> {
        self.object.remote_token()
    }
}

impl<S: sealed::State> Region<S> {
    /// The C object. It is this region's to close, and nothing may be started on it that changes its state.
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
}
