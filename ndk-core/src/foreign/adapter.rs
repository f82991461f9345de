//! An adapter behind a foreign table.

use super::domain::{ForeignPd, created};
use super::handle::{Handle, Inside};
use super::region::ForeignRegion;
use crate::abi::{
    GUID, NDK_ADAPTER, NDK_ADAPTER_INFO, NDK_EXTENSION_INTERFACE, NDK_PD, NDK_VERSION, NTSTATUS,
    STATUS_SUCCESS,
};
use crate::access::LocalToken;
use crate::adapter::Opened;
use crate::call::{Created, Entry, Lam, Opener, OpenerFn, Request, close_later, entry};
use crate::capabilities::Capabilities;
use crate::error::{Error, ErrorKind, Result};
use crate::mdl::{Mdl, MdlView};
use crate::platform::{Std, Waits};
use crate::provider::{AdapterProvider, Mapping, NoQueuePair, NoWindow, RegionKind, Watch};
use crate::sync::Mutex;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use core::ptr::NonNull;
use futures_lite::future::block_on;
use slab::Slab;

/// An `NDK_ADAPTER` of anybody's as an [`AdapterProvider`].
///
/// A lost device shows as DEVICE_REMOVED from the entries; the traits' `is_lost` answers no, since C has no question
/// for it. Dropped without a shut-down, it closes the adapter: on a thread that waits, where something is open.
pub struct ForeignAdapter {
    handle: Handle<NDK_ADAPTER>,
    name: String,
    info: NDK_ADAPTER_INFO,
    capabilities: Capabilities,
    mappings: Mutex<Std, Slab<Lam>>,
    opener: Mutex<Std, Option<Box<dyn Opener>>>,
}

impl ForeignAdapter {
    /// Over an adapter of this framework, reached through its table from now on.
    ///
    /// # Errors
    /// What `NdkQueryAdapterInfo` gives; the adapter is closed then.
    pub fn new<A: AdapterProvider, P: Waits>(opened: Opened<A, P>) -> Result<Self> {
        let name = String::from(opened.provider().name());
        let (adapter, capabilities) = (opened.adapter().as_ndk(), opened.capabilities());
        // SAFETY: open, kept so by the opener that goes along, and the framework keeps the contract.
        unsafe { Self::build(adapter, name, capabilities, Box::new(opened)) }
    }

    /// Over any adapter. `close` closes it; called once, it may block, and on any thread.
    ///
    /// # Errors
    /// What `NdkQueryAdapterInfo` gives; the adapter is closed then.
    ///
    /// # Safety
    /// - The adapter is open until `close` is called, and nobody else closes it or what is made of it here.
    /// - Its tables, and those of the objects made of it, keep the contract.
    pub unsafe fn from_ndk(
        adapter: NonNull<NDK_ADAPTER>,
        name: impl Into<String>,
        capabilities: Capabilities,
        close: impl FnOnce() + Send + 'static,
    ) -> Result<Self> {
        // SAFETY: the caller's promise.
        unsafe { Self::build(adapter, name.into(), capabilities, Box::new(OpenerFn(close))) }
    }

    /// # Safety
    /// As for `from_ndk`.
    unsafe fn build(
        adapter: NonNull<NDK_ADAPTER>,
        name: String,
        capabilities: Capabilities,
        opener: Box<dyn Opener>,
    ) -> Result<Self> {
        // SAFETY: the caller's promise.
        let (info, handle) = unsafe { (entry::info(adapter), Handle::new(adapter)) };
        let info = match info {
            Ok(info) => info,
            Err(error) => {
                close_later(opener);
                return Err(error);
            }
        };
        Ok(Self {
            handle,
            name,
            info,
            capabilities,
            mappings: Mutex::new(Slab::new()),
            opener: Mutex::new(Some(opener)),
        })
    }
}

/// Keeps the adapter from closing until the domain is there, or is not.
struct CreatingPd(Inside<NDK_ADAPTER>);

impl CreatingPd {
    fn adopt(&self, output: &Created) -> Result<ForeignPd> {
        let pd = created::<NDK_PD>(Entry::CreatePd, output)?;
        let watch = self.0.handle().watched().and_then(|watched| watched.watch());
        // SAFETY: fresh from its creation, and nobody else has it.
        Ok(unsafe { ForeignPd::new(pd, watch.as_ref()) })
    }
}

impl Request for CreatingPd {
    type Output = Created;

    fn unclaimed(self, output: Created) {
        drop(self.adopt(&output));
    }
}

struct Building {
    adapter: Inside<NDK_ADAPTER>,
    lam: Lam,
    _chain: Mdl,
}

impl Request for Building {
    type Output = NTSTATUS;

    fn unclaimed(mut self, status: NTSTATUS) {
        if status == STATUS_SUCCESS {
            // SAFETY: the adapter is open, since the request is inside; the mapping was built, and nobody has it.
            unsafe { entry::release_lam(*self.adapter, self.lam.pointers().0) };
        }
    }
}

impl AdapterProvider for ForeignAdapter {
    type Pd = ForeignPd;
    type Mr = ForeignRegion;
    type Qp = NoQueuePair<ForeignRegion>;
    type Window = NoWindow;

    fn name(&self) -> &str {
        &self.name
    }

    fn info(&self) -> NDK_ADAPTER_INFO {
        self.info
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// The version that the foreign adapter was opened with, and no other major one.
    fn highest_minor(&self, major: u16) -> Option<u16> {
        let NDK_VERSION { Major, Minor } = self.info.Version;
        (major == Major).then_some(Minor)
    }

    async fn create_pd(&self) -> Result<ForeignPd> {
        let inside = self.handle.enter()?;
        // SAFETY: the adapter is open, since the request is inside, and its table keeps the contract.
        let running = unsafe {
            let adapter = *inside;
            let create = |done, context, out| entry::create_pd(adapter, done, context, out);
            self.handle.start_create("create domain", CreatingPd(inside), create)
        };
        let (request, output) = running.await;
        request.adopt(&output)
    }

    async fn close_pd(&self, pd: &ForeignPd) {
        pd.close().await;
    }

    async fn create_mr(&self, pd: &ForeignPd, kind: RegionKind) -> Result<ForeignRegion> {
        pd.create_mr(kind).await
    }

    fn cancel(&self, region: &ForeignRegion) {
        region.cancel();
    }

    fn privileged_token(&self, pd: &ForeignPd) -> Option<LocalToken> {
        pd.privileged_token()
    }

    async fn build_mapping(&self, memory: MdlView<'_>, pages: &mut [u64]) -> Result<Mapping> {
        let mut lam = Lam::new(memory.page_count())?;
        let (chain, length) = (Mdl::like(memory)?, memory.len());
        let inside = self.handle.enter()?;
        // SAFETY: the adapter is open, since the request is inside, and its table keeps the contract; chain and
        // mapping stay with the request.
        let running = unsafe {
            let (adapter, mdl, room) = (*inside, (chain.as_ptr(), length), lam.pointers());
            let kept = chain.clone();
            let request = Building { adapter: inside, lam, _chain: chain };
            self.handle.start_request("build mapping", Some(&kept), request, |done, context| {
                entry::build_lam(adapter, mdl, room, done, context)
            })
        };
        let (built, status) = running.await;
        Entry::BuildLam.check(status)?;
        let addresses = built.lam.pages();
        if addresses.len() != pages.len() {
            built.unclaimed(STATUS_SUCCESS);
            return Err(Error::new(ErrorKind::Internal, "the mapping has another number of pages"));
        }
        pages.copy_from_slice(&addresses);
        Ok(Mapping(self.mappings.lock().insert(built.lam)))
    }

    fn release_mapping(&self, mapping: Mapping) {
        let Some(mut lam) = self.mappings.lock().try_remove(mapping.0) else { return };
        if let Ok(inside) = self.handle.enter() {
            // SAFETY: the adapter is open while this call is inside; the mapping was on the list, so it is released
            // once.
            unsafe { entry::release_lam(*inside, lam.pointers().0) };
        }
    }

    fn query_extension(&self, id: &GUID, version: NDK_VERSION) -> Result<NDK_EXTENSION_INTERFACE> {
        let inside = self.handle.enter()?;
        // SAFETY: the adapter is open while this call is inside.
        unsafe { entry::query_adapter(*inside, id, version) }
    }

    /// A watch makes the bridge give numbers for contexts, and write to the reserved block of each domain's and region's
    /// header.
    fn watched_by(&self, watch: &Arc<dyn Watch>) {
        self.handle.watch_calls(watch, "the adapter");
    }

    fn shut_down(&self) {
        let _closed = block_on(self.handle.close());
        let Some(opener) = self.opener.lock().take() else { return };
        if let Err((_leaked, error)) = opener.close() {
            log::error!("{}: the foreign adapter stays open: {error}", self.name);
        }
    }
}

impl Drop for ForeignAdapter {
    fn drop(&mut self) {
        self.handle.ask_close();
        if let Some(opener) = self.opener.lock().take() {
            close_later(opener);
        }
    }
}

impl fmt::Debug for ForeignAdapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForeignAdapter").field("name", &self.name).finish_non_exhaustive()
    }
}
