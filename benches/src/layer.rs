//! A layer that forwards every call of the provider traits, and checks nothing: what each layer between framework and
//! backend costs. It can also give way once in each request, which makes requests pend at no other cost.

use ndk_core::abi::{GUID, NDK_ADAPTER_INFO, NDK_EXTENSION_INTERFACE, NDK_VERSION};
use ndk_core::mdl::MdlView;
use ndk_core::{
    Access, AdapterProvider, Capabilities, LocalToken, MrProvider, NoQueuePair, NoWindow,
    RegionKind, RemoteToken, Result,
};
use std::future::poll_fn;
use std::task::Poll;

/// An adapter under the layer. Queue pairs are left out.
#[derive(Debug)]
pub struct Layer<A> {
    below: A,
    yields: bool,
}

/// A region under the layer.
#[derive(Debug)]
pub struct LayerMr<M> {
    below: M,
    yields: bool,
}

impl<A> Layer<A> {
    /// Only forwards.
    pub fn forwarding(below: A) -> Self {
        Self { below, yields: false }
    }

    /// Registrations and deregistrations give way once.
    pub fn yielding(below: A) -> Self {
        Self { below, yields: true }
    }
}

impl<M> LayerMr<M> {
    async fn give_way(&self) {
        let mut waits = self.yields;
        poll_fn(|_| match std::mem::take(&mut waits) {
            true => Poll::Pending,
            false => Poll::Ready(()),
        })
        .await;
    }
}

impl<M: MrProvider> MrProvider for LayerMr<M> {
    async fn register(&self, memory: MdlView<'_>, access: Access) -> Result<()> {
        self.give_way().await;
        self.below.register(memory, access).await
    }

    async fn deregister(&self) -> Result<()> {
        self.give_way().await;
        self.below.deregister().await
    }

    #[inline]
    fn register_at_once(&self, memory: MdlView<'_>, access: Access) -> Option<Result<()>> {
        if self.yields { None } else { self.below.register_at_once(memory, access) }
    }

    #[inline]
    fn deregister_at_once(&self) -> Option<Result<()>> {
        if self.yields { None } else { self.below.deregister_at_once() }
    }

    async fn initialize_fast_register(&self, pages: u32, remote: bool) -> Result<()> {
        self.below.initialize_fast_register(pages, remote).await
    }

    async fn close(&self) -> Result<()> {
        self.below.close().await
    }

    fn local_token(&self) -> Option<LocalToken> {
        self.below.local_token()
    }

    fn remote_token(&self) -> Option<RemoteToken> {
        self.below.remote_token()
    }

    fn query_extension(&self, id: &GUID, version: NDK_VERSION) -> Result<NDK_EXTENSION_INTERFACE> {
        self.below.query_extension(id, version)
    }
}

impl<A: AdapterProvider> AdapterProvider for Layer<A> {
    type Pd = A::Pd;
    type Mr = LayerMr<A::Mr>;
    type Qp = NoQueuePair<Self::Mr>;
    type Window = NoWindow;

    fn name(&self) -> &str {
        self.below.name()
    }

    fn info(&self) -> NDK_ADAPTER_INFO {
        self.below.info()
    }

    fn capabilities(&self) -> Capabilities {
        self.below.capabilities()
    }

    fn highest_minor(&self, major: u16) -> Option<u16> {
        self.below.highest_minor(major)
    }

    fn is_lost(&self) -> bool {
        self.below.is_lost()
    }

    async fn create_pd(&self) -> Result<A::Pd> {
        self.below.create_pd().await
    }

    async fn close_pd(&self, pd: &A::Pd) {
        self.below.close_pd(pd).await;
    }

    async fn create_mr(&self, pd: &A::Pd, kind: RegionKind) -> Result<Self::Mr> {
        Ok(LayerMr { below: self.below.create_mr(pd, kind).await?, yields: self.yields })
    }

    fn create_mr_at_once(&self, pd: &A::Pd, kind: RegionKind) -> Option<Result<Self::Mr>> {
        let made = self.below.create_mr_at_once(pd, kind)?;
        Some(made.map(|below| LayerMr { below, yields: self.yields }))
    }

    fn cancel(&self, region: &Self::Mr) {
        self.below.cancel(&region.below);
    }

    fn shut_down(&self) {
        self.below.shut_down();
    }
}
