//! The seven operations of a memory region.

use crate::abi::{GUID, NDK_EXTENSION_INTERFACE, NDK_VERSION};
use crate::access::{Access, LocalToken, RemoteToken};
use crate::error::{Error, ErrorKind, Result};
use crate::mdl::MdlView;
use core::future::Future;

/// One memory region of a backend: the hardware part of `NDK_MR_DISPATCH`.
///
/// The framework keeps the region's state and checks every argument before an operation starts, so an
/// implementation holds only what the hardware knows. Write the operations as plain `async fn`: one that does not
/// wait completes inline, without an allocation; one that waits pends, and the framework tells the consumer.
///
/// # What an implementor upholds
/// - No method blocks (B5): slow work is awaited, on threads or interrupts of the backend's own.
/// - An operation that fails leaves pins, mappings and tokens as it found them (B7).
/// - The request's memory view is not used after the operation has completed (C15).
/// - Panics are contained where `std` is there (B8), but poison the region; without `std` they end the program.
///
/// # What a caller (the framework) upholds
/// - At most one of `register`, `deregister`, `initialize_fast_register` and `close` is in progress at a time, and
///   only in the state that its documentation names. Query and token calls may come at any time, on any thread.
/// - A started operation is polled to its end; it is dropped early only where an executor gives its task up (B9).
/// - After `close` has completed nothing but `drop` is called.
/// - From its first operation on a region stays where it is in memory.
/// - While a memory window is bound to it, it is neither deregistered nor closed (D2, H3): the framework counts binds.
pub trait MrProvider: Send + Sync + Sized + 'static {
    /// Makes `memory` reachable with the rights of `access`. C entry: `NdkRegisterMr`.
    ///
    /// State: created for conventional registration, not registered. The framework has checked flags, chain,
    /// length and limits (C1, C3 to C8, C15).
    ///
    /// # Errors
    /// INSUFFICIENT_RESOURCES where a limit of the device is reached (C14); NOT_SUPPORTED for what the device
    /// cannot express (K2); the region is as before in each case.
    fn register(
        &self,
        memory: MdlView<'_>,
        access: Access,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Ends the registration. C entry: `NdkDeregisterMr`.
    ///
    /// State: registered. Once completed, no byte of the memory is read or changed through the old tokens (D3).
    ///
    /// # Errors
    /// DEVICE_BUSY where the device still knows of a window (D2), although none is bound; it stays registered then.
    fn deregister(&self) -> impl Future<Output = Result<()>> + Send;

    /// Prepares the region for fast registrations of up to `pages` pages; `remote` says whether they may ever give
    /// a peer access. C entry: `NdkInitializeFastRegisterMr`.
    ///
    /// State: created for fast registration, and no fast registration valid, or its invalidation flushed (G3).
    /// `pages` is 1 to FRMRPageCount (G2). A second call replaces what the first one set.
    ///
    /// # Errors
    /// INSUFFICIENT_RESOURCES.
    fn initialize_fast_register(
        &self,
        pages: u32,
        remote: bool,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Gives up everything of the device that the region holds, whatever its state. C entry: `NdkCloseMr`.
    ///
    /// A registered region's tokens are dead afterwards (H3). Close cannot fail (H1).
    ///
    /// # Errors
    /// The device may still reach the region's memory, and nothing is left to try. Close completes all the same; what the
    /// region holds stays leaked and logged, and the safe consumer never frees its memory (B8).
    fn close(&self) -> impl Future<Output = Result<()>> + Send;

    /// The token for local requests. C entry: `NdkGetLocalTokenFromMr`.
    ///
    /// State: asked only while registered or initialised. `None` reads as 0 in C.
    fn local_token(&self) -> Option<LocalToken>;

    /// The token for peers; `None` without remote rights. C entry: `NdkGetRemoteTokenFromMr`.
    ///
    /// State: asked only while registered or initialised.
    fn remote_token(&self) -> Option<RemoteToken>;

    /// As [`register`](Self::register), without waiting. The framework asks this first, and spares the future where it gets
    /// an answer.
    ///
    /// `None` where the operation has to wait, or in an implementation that leaves this out: `register` is called then, at
    /// once, and does what is left to do.
    ///
    /// A Close that comes meanwhile waits until this returns, so that nothing here may wait for one.
    ///
    /// # Errors
    /// As for `register`.
    #[inline]
    fn register_at_once(&self, memory: MdlView<'_>, access: Access) -> Option<Result<()>> {
        let _ = (memory, access);
        None
    }

    /// As [`deregister`](Self::deregister), without waiting: what [`register_at_once`](Self::register_at_once) is to
    /// `register`.
    ///
    /// # Errors
    /// As for `deregister`.
    #[inline]
    fn deregister_at_once(&self) -> Option<Result<()>> {
        None
    }

    /// The number by which a watch knows the region ([`Watch`](crate::Watch)); told once, where there is one. A layer
    /// passes it on.
    fn numbered(&self, id: u64) {
        let _ = id;
    }

    /// A vendor's extension interface. C entry: `NdkQueryExtension`. Changes nothing.
    ///
    /// # Errors
    /// NOT_SUPPORTED for an unknown identifier or a newer version than served (A5).
    fn query_extension(&self, id: &GUID, version: NDK_VERSION) -> Result<NDK_EXTENSION_INTERFACE> {
        let _ = (id, version);
        Err(unknown_extension())
    }
}

pub(crate) fn unknown_extension() -> Error {
    Error::new(
        ErrorKind::NotSupported,
        "this object has no extension interface of that name and version",
    )
    .rule("A5")
}
