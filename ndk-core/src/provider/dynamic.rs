//! The object-safe twins of the provider traits, for backends that are chosen at run time, and the bridges both ways.
//!
//! Every [`MrProvider`] is a [`DynMrProvider`], and a [`BoxedRegion`] is an [`MrProvider`] again; adapters likewise.
//! The price is one allocation for each asynchronous call, of which registrations and deregistrations that need not wait
//! are none where the backend has them at once. The methods of the twins have names of their own, so
//! that a call on a type that is both says which is meant.

use super::dynamic_work::{BoxedQueuePair, BoxedWindow};
use super::{AdapterProvider, Mapping, MrProvider, QueueDepths, RegionKind, Watch};
use crate::abi::{GUID, NDK_ADAPTER_INFO, NDK_EXTENSION_INTERFACE, NDK_VERSION};
use crate::access::{Access, LocalToken, RemoteToken};
use crate::capabilities::Capabilities;
use crate::error::{Error, ErrorKind, Result};
use crate::mdl::MdlView;
use alloc::boxed::Box;
use alloc::sync::Arc;
use async_trait::async_trait;
use core::any::Any;
use core::fmt;

/// [`MrProvider`], object-safe. Implement that one; this follows.
#[async_trait]
pub trait DynMrProvider: Any + Send + Sync {
    /// [`MrProvider::register`].
    async fn dyn_register(&self, memory: MdlView<'_>, access: Access) -> Result<()>;
    /// [`MrProvider::deregister`].
    async fn dyn_deregister(&self) -> Result<()>;
    /// [`MrProvider::register_at_once`].
    fn dyn_register_at_once(&self, memory: MdlView<'_>, access: Access) -> Option<Result<()>>;
    /// [`MrProvider::deregister_at_once`].
    fn dyn_deregister_at_once(&self) -> Option<Result<()>>;
    /// [`MrProvider::initialize_fast_register`].
    async fn dyn_initialize_fast_register(&self, pages: u32, remote: bool) -> Result<()>;
    /// [`MrProvider::close`].
    async fn dyn_close(&self) -> Result<()>;
    /// [`MrProvider::local_token`].
    fn dyn_local_token(&self) -> Option<LocalToken>;
    /// [`MrProvider::remote_token`].
    fn dyn_remote_token(&self) -> Option<RemoteToken>;
    /// [`MrProvider::numbered`].
    fn dyn_numbered(&self, id: u64);
    /// [`MrProvider::query_extension`].
    fn dyn_query_extension(
        &self,
        id: &GUID,
        version: NDK_VERSION,
    ) -> Result<NDK_EXTENSION_INTERFACE>;
}

#[async_trait]
impl<M: MrProvider> DynMrProvider for M {
    async fn dyn_register(&self, memory: MdlView<'_>, access: Access) -> Result<()> {
        self.register(memory, access).await
    }

    async fn dyn_deregister(&self) -> Result<()> {
        self.deregister().await
    }

    fn dyn_register_at_once(&self, memory: MdlView<'_>, access: Access) -> Option<Result<()>> {
        self.register_at_once(memory, access)
    }

    fn dyn_deregister_at_once(&self) -> Option<Result<()>> {
        self.deregister_at_once()
    }

    async fn dyn_initialize_fast_register(&self, pages: u32, remote: bool) -> Result<()> {
        self.initialize_fast_register(pages, remote).await
    }

    async fn dyn_close(&self) -> Result<()> {
        self.close().await
    }

    fn dyn_local_token(&self) -> Option<LocalToken> {
        self.local_token()
    }

    fn dyn_remote_token(&self) -> Option<RemoteToken> {
        self.remote_token()
    }

    fn dyn_numbered(&self, id: u64) {
        self.numbered(id);
    }

    fn dyn_query_extension(
        &self,
        id: &GUID,
        version: NDK_VERSION,
    ) -> Result<NDK_EXTENSION_INTERFACE> {
        self.query_extension(id, version)
    }
}

/// A region of a backend chosen at run time.
pub struct BoxedRegion(Box<dyn DynMrProvider>);

impl BoxedRegion {
    /// The region as the backend's own type, where it is of that type.
    pub fn downcast_ref<M: MrProvider>(&self) -> Option<&M> {
        let region: &dyn Any = &*self.0;
        region.downcast_ref()
    }
}

impl MrProvider for BoxedRegion {
    async fn register(&self, memory: MdlView<'_>, access: Access) -> Result<()> {
        self.0.dyn_register(memory, access).await
    }

    async fn deregister(&self) -> Result<()> {
        self.0.dyn_deregister().await
    }

    #[inline]
    fn register_at_once(&self, memory: MdlView<'_>, access: Access) -> Option<Result<()>> {
        self.0.dyn_register_at_once(memory, access)
    }

    #[inline]
    fn deregister_at_once(&self) -> Option<Result<()>> {
        self.0.dyn_deregister_at_once()
    }

    async fn initialize_fast_register(&self, pages: u32, remote: bool) -> Result<()> {
        self.0.dyn_initialize_fast_register(pages, remote).await
    }

    async fn close(&self) -> Result<()> {
        self.0.dyn_close().await
    }

    fn local_token(&self) -> Option<LocalToken> {
        self.0.dyn_local_token()
    }

    fn remote_token(&self) -> Option<RemoteToken> {
        self.0.dyn_remote_token()
    }

    fn numbered(&self, id: u64) {
        self.0.dyn_numbered(id);
    }

    fn query_extension(&self, id: &GUID, version: NDK_VERSION) -> Result<NDK_EXTENSION_INTERFACE> {
        self.0.dyn_query_extension(id, version)
    }
}

/// A protection domain of a backend chosen at run time.
pub struct BoxedPd(Box<dyn Any + Send + Sync>);

impl BoxedPd {
    /// The domain as the backend's own type, where it is of that type.
    pub fn downcast_ref<T: 'static>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}

/// [`AdapterProvider`], object-safe. Implement that one; this follows.
#[async_trait]
pub trait DynAdapterProvider: Send + Sync {
    /// [`AdapterProvider::name`].
    fn dyn_name(&self) -> &str;
    /// [`AdapterProvider::info`].
    fn dyn_info(&self) -> NDK_ADAPTER_INFO;
    /// [`AdapterProvider::capabilities`].
    fn dyn_capabilities(&self) -> Capabilities;
    /// [`AdapterProvider::highest_minor`].
    fn dyn_highest_minor(&self, major: u16) -> Option<u16>;
    /// [`AdapterProvider::is_lost`].
    fn dyn_is_lost(&self) -> bool;
    /// [`AdapterProvider::create_pd`].
    async fn dyn_create_pd(&self) -> Result<BoxedPd>;
    /// [`AdapterProvider::close_pd`].
    async fn dyn_close_pd(&self, pd: &BoxedPd);
    /// [`AdapterProvider::create_mr`].
    async fn dyn_create_mr(&self, pd: &BoxedPd, kind: RegionKind) -> Result<BoxedRegion>;
    /// [`AdapterProvider::create_mr_at_once`].
    fn dyn_create_mr_at_once(&self, pd: &BoxedPd, kind: RegionKind) -> Option<Result<BoxedRegion>>;
    /// [`AdapterProvider::cancel`].
    fn dyn_cancel(&self, region: &BoxedRegion);
    /// [`AdapterProvider::privileged_token`].
    fn dyn_privileged_token(&self, pd: &BoxedPd) -> Option<LocalToken>;
    /// [`AdapterProvider::create_qp`].
    async fn dyn_create_qp(&self, pd: &BoxedPd, depths: QueueDepths) -> Result<BoxedQueuePair>;
    /// [`AdapterProvider::create_window`].
    async fn dyn_create_window(&self, pd: &BoxedPd) -> Result<BoxedWindow>;
    /// [`AdapterProvider::build_mapping`].
    async fn dyn_build_mapping(&self, memory: MdlView<'_>, pages: &mut [u64]) -> Result<Mapping>;
    /// [`AdapterProvider::release_mapping`].
    fn dyn_release_mapping(&self, mapping: Mapping);
    /// [`AdapterProvider::query_extension`].
    fn dyn_query_extension(
        &self,
        id: &GUID,
        version: NDK_VERSION,
    ) -> Result<NDK_EXTENSION_INTERFACE>;
    /// [`AdapterProvider::watch`].
    fn dyn_watch(&self) -> Option<&Arc<dyn Watch>>;
    /// [`AdapterProvider::watched_by`].
    fn dyn_watched_by(&self, watch: &Arc<dyn Watch>);
    /// [`AdapterProvider::shut_down`].
    fn dyn_shut_down(&self);
}

pub(crate) fn foreign_object() -> Error {
    Error::new(ErrorKind::InvalidParameter, "the object belongs to another backend")
}

#[async_trait]
impl<A: AdapterProvider> DynAdapterProvider for A {
    fn dyn_name(&self) -> &str {
        self.name()
    }

    fn dyn_info(&self) -> NDK_ADAPTER_INFO {
        self.info()
    }

    fn dyn_capabilities(&self) -> Capabilities {
        self.capabilities()
    }

    fn dyn_highest_minor(&self, major: u16) -> Option<u16> {
        self.highest_minor(major)
    }

    fn dyn_is_lost(&self) -> bool {
        self.is_lost()
    }

    async fn dyn_create_pd(&self) -> Result<BoxedPd> {
        Ok(BoxedPd(Box::new(self.create_pd().await?)))
    }

    async fn dyn_close_pd(&self, pd: &BoxedPd) {
        if let Some(pd) = pd.downcast_ref() {
            self.close_pd(pd).await;
        }
    }

    async fn dyn_create_mr(&self, pd: &BoxedPd, kind: RegionKind) -> Result<BoxedRegion> {
        let pd = pd.downcast_ref().ok_or_else(foreign_object)?;
        Ok(BoxedRegion(Box::new(self.create_mr(pd, kind).await?)))
    }

    fn dyn_create_mr_at_once(&self, pd: &BoxedPd, kind: RegionKind) -> Option<Result<BoxedRegion>> {
        // A foreign domain is refused by the future.
        let made = self.create_mr_at_once(pd.downcast_ref()?, kind)?;
        Some(made.map(|region| BoxedRegion(Box::new(region))))
    }

    async fn dyn_create_qp(&self, pd: &BoxedPd, depths: QueueDepths) -> Result<BoxedQueuePair> {
        let pd = pd.downcast_ref().ok_or_else(foreign_object)?;
        Ok(BoxedQueuePair(Box::new(self.create_qp(pd, depths).await?)))
    }

    async fn dyn_create_window(&self, pd: &BoxedPd) -> Result<BoxedWindow> {
        let pd = pd.downcast_ref().ok_or_else(foreign_object)?;
        Ok(BoxedWindow(Box::new(self.create_window(pd).await?)))
    }

    fn dyn_cancel(&self, region: &BoxedRegion) {
        if let Some(region) = region.downcast_ref() {
            self.cancel(region);
        }
    }

    fn dyn_privileged_token(&self, pd: &BoxedPd) -> Option<LocalToken> {
        self.privileged_token(pd.downcast_ref()?)
    }

    async fn dyn_build_mapping(&self, memory: MdlView<'_>, pages: &mut [u64]) -> Result<Mapping> {
        self.build_mapping(memory, pages).await
    }

    fn dyn_release_mapping(&self, mapping: Mapping) {
        self.release_mapping(mapping);
    }

    fn dyn_query_extension(
        &self,
        id: &GUID,
        version: NDK_VERSION,
    ) -> Result<NDK_EXTENSION_INTERFACE> {
        self.query_extension(id, version)
    }

    fn dyn_watch(&self) -> Option<&Arc<dyn Watch>> {
        self.watch()
    }

    fn dyn_watched_by(&self, watch: &Arc<dyn Watch>) {
        self.watched_by(watch);
    }

    fn dyn_shut_down(&self) {
        self.shut_down();
    }
}

/// An adapter of a backend chosen at run time: what a backend factory gives.
pub struct BoxedAdapter(Box<dyn DynAdapterProvider>);

impl BoxedAdapter {
    /// Boxes a backend's adapter.
    pub fn new(adapter: impl AdapterProvider) -> Self {
        Self(Box::new(adapter))
    }
}

impl AdapterProvider for BoxedAdapter {
    type Pd = BoxedPd;
    type Mr = BoxedRegion;
    type Qp = BoxedQueuePair;
    type Window = BoxedWindow;

    fn name(&self) -> &str {
        self.0.dyn_name()
    }

    fn info(&self) -> NDK_ADAPTER_INFO {
        self.0.dyn_info()
    }

    fn capabilities(&self) -> Capabilities {
        self.0.dyn_capabilities()
    }

    fn highest_minor(&self, major: u16) -> Option<u16> {
        self.0.dyn_highest_minor(major)
    }

    fn is_lost(&self) -> bool {
        self.0.dyn_is_lost()
    }

    async fn create_pd(&self) -> Result<BoxedPd> {
        self.0.dyn_create_pd().await
    }

    async fn close_pd(&self, pd: &BoxedPd) {
        self.0.dyn_close_pd(pd).await;
    }

    async fn create_mr(&self, pd: &BoxedPd, kind: RegionKind) -> Result<BoxedRegion> {
        self.0.dyn_create_mr(pd, kind).await
    }

    fn create_mr_at_once(&self, pd: &BoxedPd, kind: RegionKind) -> Option<Result<BoxedRegion>> {
        self.0.dyn_create_mr_at_once(pd, kind)
    }

    async fn create_qp(&self, pd: &BoxedPd, depths: QueueDepths) -> Result<BoxedQueuePair> {
        self.0.dyn_create_qp(pd, depths).await
    }

    async fn create_window(&self, pd: &BoxedPd) -> Result<BoxedWindow> {
        self.0.dyn_create_window(pd).await
    }

    fn cancel(&self, region: &BoxedRegion) {
        self.0.dyn_cancel(region);
    }

    fn privileged_token(&self, pd: &BoxedPd) -> Option<LocalToken> {
        self.0.dyn_privileged_token(pd)
    }

    async fn build_mapping(&self, memory: MdlView<'_>, pages: &mut [u64]) -> Result<Mapping> {
        self.0.dyn_build_mapping(memory, pages).await
    }

    fn release_mapping(&self, mapping: Mapping) {
        self.0.dyn_release_mapping(mapping);
    }

    fn query_extension(&self, id: &GUID, version: NDK_VERSION) -> Result<NDK_EXTENSION_INTERFACE> {
        self.0.dyn_query_extension(id, version)
    }

    fn watch(&self) -> Option<&Arc<dyn Watch>> {
        self.0.dyn_watch()
    }

    fn watched_by(&self, watch: &Arc<dyn Watch>) {
        self.0.dyn_watched_by(watch);
    }

    fn shut_down(&self) {
        self.0.dyn_shut_down();
    }
}

macro_rules! debug {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}

debug!(BoxedRegion, BoxedPd, BoxedAdapter, BoxedQueuePair, BoxedWindow);
