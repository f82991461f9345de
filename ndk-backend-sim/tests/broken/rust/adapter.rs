//! An adapter of the layer's.

use super::notes::{End, Note, next_number};
use super::queue_pair::{BrokenQp, BrokenWindow};
use super::region::BrokenMr;
use super::{is_at_once, layer, lock};
use futures_lite::future::yield_now;
use ndk_core::abi::{GUID, NDK_ADAPTER_INFO, NDK_EXTENSION_INTERFACE, NDK_VERSION};
use ndk_core::mdl::MdlView;
use ndk_core::{
    AdapterProvider, Capabilities, LocalToken, Mapping, QpProvider, QueueDepths, RegionKind, Result,
};
use std::sync::{Arc, Mutex, Weak};

/// An adapter under the layer.
pub(crate) struct Broken<A: AdapterProvider> {
    inner: A,
    domains: Mutex<Vec<Weak<A::Pd>>>,
}

/// A domain under the layer.
pub(crate) struct BrokenPd<T> {
    inner: Arc<T>,
    /// The backend's domain that its regions are made in.
    of_regions: Arc<T>,
    /// Among those of its adapter, and among all.
    number: usize,
    id: usize,
}

impl<A: AdapterProvider> Broken<A> {
    pub(crate) fn new(inner: A) -> Self {
        Self { inner, domains: Mutex::default() }
    }
}

fn created<M>(inner: M, twin: Option<M>, kind: RegionKind) -> BrokenMr<M> {
    let note = Note::new(kind == RegionKind::FastRegister);
    layer().created(&note);
    BrokenMr { inner: Arc::new(inner), twin, note }
}

impl<A: AdapterProvider> AdapterProvider for Broken<A> {
    type Pd = BrokenPd<A::Pd>;
    type Mr = BrokenMr<A::Mr>;
    type Qp = BrokenQp<A::Qp>;
    type Window = BrokenWindow<A::Window>;

    fn name(&self) -> &str {
        self.inner.name()
    }

    fn info(&self) -> NDK_ADAPTER_INFO {
        self.inner.info()
    }

    fn capabilities(&self) -> Capabilities {
        layer().capabilities(self.inner.capabilities())
    }

    fn highest_minor(&self, major: u16) -> Option<u16> {
        layer().highest_minor(major, self.inner.highest_minor(major))
    }

    fn is_lost(&self) -> bool {
        self.inner.is_lost()
    }

    async fn create_pd(&self) -> Result<Self::Pd> {
        let inner = Arc::new(self.inner.create_pd().await?);
        let mut domains = lock(&self.domains);
        let number = domains.len();
        domains.push(Arc::downgrade(&inner));
        let shared = domains[layer().domain_of_regions(number)].upgrade();
        let of_regions = shared.unwrap_or_else(|| inner.clone());
        Ok(BrokenPd { of_regions, inner, number, id: next_number() })
    }

    async fn close_pd(&self, pd: &Self::Pd) {
        self.inner.close_pd(&pd.inner).await;
    }

    async fn create_mr(&self, pd: &Self::Pd, kind: RegionKind) -> Result<Self::Mr> {
        let make = || self.inner.create_mr(&pd.of_regions, kind);
        let twin = if layer().has_twins() { Some(make().await?) } else { None };
        Ok(created(make().await?, twin, kind))
    }

    fn create_mr_at_once(&self, pd: &Self::Pd, kind: RegionKind) -> Option<Result<Self::Mr>> {
        // Twins are made by the future.
        if !is_at_once() || layer().has_twins() {
            return None;
        }
        let made = self.inner.create_mr_at_once(&pd.of_regions, kind)?;
        if layer().makes_again() {
            std::mem::forget(made);
            return None;
        }
        let made = made.map(|inner| created(inner, None, kind));
        Some(made.map_err(|error| layer().refused_at_once(error)))
    }

    fn cancel(&self, region: &Self::Mr) {
        self.inner.cancel(&region.inner);
    }

    async fn create_qp(&self, pd: &Self::Pd, depths: QueueDepths) -> Result<Self::Qp> {
        let inner = self.inner.create_qp(&pd.inner, depths).await?;
        let end = End::new(&inner.endpoint().0, pd.id);
        Ok(BrokenQp { inner, end, ahead: Mutex::default() })
    }

    async fn create_window(&self, pd: &Self::Pd) -> Result<Self::Window> {
        Ok(BrokenWindow(self.inner.create_window(&pd.inner).await?))
    }

    fn privileged_token(&self, pd: &Self::Pd) -> Option<LocalToken> {
        layer().privileged_token(pd.number, self.inner.privileged_token(&pd.inner))
    }

    async fn build_mapping(&self, memory: MdlView<'_>, pages: &mut [u64]) -> Result<Mapping> {
        if layer().mapping_waits(&memory) {
            yield_now().await;
        }
        let mapping = self.inner.build_mapping(memory, pages).await?;
        layer().mapped(&memory, pages);
        Ok(mapping)
    }

    fn release_mapping(&self, mapping: Mapping) {
        self.inner.release_mapping(mapping);
    }

    fn query_extension(&self, id: &GUID, version: NDK_VERSION) -> Result<NDK_EXTENSION_INTERFACE> {
        self.inner.query_extension(id, version)
    }

    fn shut_down(&self) {
        self.inner.shut_down();
    }
}
