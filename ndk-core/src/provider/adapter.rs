//! The adapter beside the regions: creation, limits, mappings, cancellation.

use super::region::unknown_extension;
use super::work::no_queue_pairs;
use super::{MrProvider, QpProvider, QueueDepths, Watch, WindowProvider};
use crate::abi::{GUID, NDK_ADAPTER_INFO, NDK_EXTENSION_INTERFACE, NDK_VERSION};
use crate::access::LocalToken;
use crate::capabilities::Capabilities;
use crate::error::{Error, ErrorKind, Result};
use crate::mdl::MdlView;
use alloc::sync::Arc;
use core::future::Future;

/// What a region is created for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RegionKind {
    /// `NdkRegisterMr` and `NdkDeregisterMr`.
    Conventional,
    /// `NdkInitializeFastRegisterMr`, then fast-register and invalidate requests on a queue pair.
    FastRegister,
}

/// A logical address mapping as the backend knows it: its name, given back when it is released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mapping(pub usize);

/// One opened device of a backend. It makes protection domains and regions; a backend factory gives one.
///
/// # What an implementor upholds
/// - No method blocks, except `shut_down`.
/// - What it creates works until it is closed, and does not keep the adapter from being dropped.
///
/// # What a caller (the framework) upholds
/// - A domain is closed after every region made in it, the adapter shut down after every domain, and nothing is
///   called while the device is lost except close, cancel, release, shut-down and what only asks (tokens, extensions).
pub trait AdapterProvider: Send + Sync + Sized + 'static {
    /// A protection domain.
    type Pd: Send + Sync + 'static;
    /// A memory region.
    type Mr: MrProvider;
    /// A queue pair; [`NoQueuePair`](super::NoQueuePair) where the backend has none.
    type Qp: QpProvider<Mr = Self::Mr, Window = Self::Window>;
    /// A memory window; [`NoWindow`](super::NoWindow) where the backend has none.
    type Window: WindowProvider;

    /// The name in log lines, for instance `sim0`.
    fn name(&self) -> &str;

    /// The device's attributes; `Version` is filled in by the framework.
    fn info(&self) -> NDK_ADAPTER_INFO;

    /// What the device can do (K1).
    fn capabilities(&self) -> Capabilities;

    /// The highest minor version of NDK served for a major one; `None` refuses the major version (A8).
    fn highest_minor(&self, major: u16) -> Option<u16> {
        match major {
            1 => Some(2),
            2 => Some(0),
            _ => None,
        }
    }

    /// Whether the device is gone for good (H8). The framework then refuses new requests with DEVICE_REMOVED;
    /// completing the pending ones is the backend's.
    fn is_lost(&self) -> bool {
        false
    }

    /// Makes a protection domain. C entry: `NdkCreatePd`.
    ///
    /// # Errors
    /// INSUFFICIENT_RESOURCES.
    fn create_pd(&self) -> impl Future<Output = Result<Self::Pd>> + Send;

    /// Gives a domain up; every region of it was closed before. C entry: `NdkClosePd`. Cannot fail.
    fn close_pd(&self, pd: &Self::Pd) -> impl Future<Output = ()> + Send;

    /// Makes a region. C entry: `NdkCreateMr`.
    ///
    /// # Errors
    /// INSUFFICIENT_RESOURCES past the device's limit (C14), NOT_SUPPORTED where it has no fast registration.
    fn create_mr(
        &self,
        pd: &Self::Pd,
        kind: RegionKind,
    ) -> impl Future<Output = Result<Self::Mr>> + Send;

    /// As [`create_mr`](Self::create_mr), without waiting. The framework asks this first, and spares the future where it
    /// gets an answer; `None` where the creation has to wait, or in an implementation that leaves this out.
    ///
    /// # Errors
    /// As for `create_mr`.
    #[inline]
    fn create_mr_at_once(&self, pd: &Self::Pd, kind: RegionKind) -> Option<Result<Self::Mr>> {
        let _ = (pd, kind);
        None
    }

    /// Asks that what is pending on `region` ends soon, with CANCELLED or a status of its own (H2). A request that
    /// cannot be cancelled is waited for. It may come between two polls, or just before the first poll of a request
    /// that was accepted already: a backend remembers it for the region.
    fn cancel(&self, region: &Self::Mr) {
        let _ = region;
    }

    /// Makes a queue pair in a domain.
    ///
    /// # Errors
    /// NOT_SUPPORTED where the backend has none, INVALID_PARAMETER above the adapter's queue depths,
    /// INSUFFICIENT_RESOURCES.
    fn create_qp(
        &self,
        pd: &Self::Pd,
        depths: QueueDepths,
    ) -> impl Future<Output = Result<Self::Qp>> + Send {
        let _ = (pd, depths);
        core::future::ready(Err(no_queue_pairs()))
    }

    /// Makes a memory window in a domain.
    ///
    /// # Errors
    /// NOT_SUPPORTED where the backend has none, INSUFFICIENT_RESOURCES.
    fn create_window(&self, pd: &Self::Pd) -> impl Future<Output = Result<Self::Window>> + Send {
        let _ = pd;
        core::future::ready(Err(no_queue_pairs()))
    }

    /// The token for local access through logical addresses, the same for the life of the domain (L5). C entry:
    /// `NdkGetPrivilegedMemoryRegionToken`.
    fn privileged_token(&self, pd: &Self::Pd) -> Option<LocalToken> {
        let _ = pd;
        None
    }

    /// Makes `memory` reachable by logical addresses: writes that of each page to `pages`, which has
    /// `memory.page_count()` elements. C entry: `NdkBuildLAM`.
    ///
    /// Logical addresses are opaque; adjacent pages of a contiguous buffer get adjacent ones (L1).
    ///
    /// # Errors
    /// INSUFFICIENT_RESOURCES; NOT_SUPPORTED where the backend has no mappings.
    fn build_mapping(
        &self,
        memory: MdlView<'_>,
        pages: &mut [u64],
    ) -> impl Future<Output = Result<Mapping>> + Send {
        let _ = (memory, pages);
        core::future::ready(Err(Error::new(
            ErrorKind::NotSupported,
            "this backend has no logical address mappings",
        )))
    }

    /// Ends a mapping; it lives on until the last request that uses it is over (L4). C entry: `NdkReleaseLAM`.
    fn release_mapping(&self, mapping: Mapping) {
        let _ = mapping;
    }

    /// A vendor's extension interface on the adapter. Changes nothing.
    ///
    /// # Errors
    /// NOT_SUPPORTED for an unknown identifier or a newer version than served (A5).
    fn query_extension(&self, id: &GUID, version: NDK_VERSION) -> Result<NDK_EXTENSION_INTERFACE> {
        let _ = (id, version);
        Err(unknown_extension())
    }

    /// Who watches the adapter's consumer: a layer such as the verifier, or nobody. The same each time.
    fn watch(&self) -> Option<&Arc<dyn Watch>> {
        None
    }

    /// A layer above watches from now on. Told once, before anything is made; a layer passes it on. A backend that can
    /// tell of more than its results show tells the watch.
    fn watched_by(&self, watch: &Arc<dyn Watch>) {
        let _ = watch;
    }

    /// Ends what the adapter runs (threads, device handles). Called once, after everything else is closed; may
    /// block.
    fn shut_down(&self) {}
}
