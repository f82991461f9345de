//! A verified adapter: passes everything on, and sees what comes back.

use super::Verifier;
use super::desk::Desk;
use super::desks;
use super::frames::ranges;
use super::queue_pair::VerifiedQueuePair;
use super::region::VerifiedRegion;
use crate::abi::{GUID, NDK_ADAPTER_INFO, NDK_EXTENSION_INTERFACE, NDK_VERSION};
use crate::access::LocalToken;
use crate::capabilities::{Capabilities, TokenReuse};
use crate::contain::{Panicked, contain};
use crate::error::Result;
use crate::mdl::MdlView;
use crate::provider::{AdapterProvider, Mapping, QueueDepths, RegionKind, Watch};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use core::fmt;

/// An adapter under a [`Verifier`]. It is opened and used as the adapter that it was made of.
pub struct Verified<A> {
    inner: A,
    desk: Arc<Desk>,
    watch: Arc<dyn Watch>,
    /// After how many deregistrations a token may come back, where that is promised.
    distance: Option<u32>,
}

impl<A: AdapterProvider> Verified<A> {
    pub(super) fn new(inner: A, verifier: Verifier) -> Self {
        // What panics here panics once more where the adapter is opened, which is refused then (B8).
        let name = contain("its name", "an adapter", || String::from(inner.name()));
        let desk =
            Arc::new(Desk::new(verifier, name.unwrap_or_else(|Panicked| "an adapter".into())));
        desks::add(&desk);
        let watch: Arc<dyn Watch> = desk.clone();
        let reuse = contain("its description", desk.name_of(0), || {
            inner.watched_by(&watch);
            inner.capabilities().token_reuse
        });
        let distance = match reuse {
            Ok(TokenReuse::After(distance)) => Some(distance),
            Ok(TokenReuse::Unknown) | Err(Panicked) => None,
        };
        Self { inner, desk, watch, distance }
    }

    /// The adapter below.
    pub fn inner(&self) -> &A {
        &self.inner
    }
}

impl<A: AdapterProvider> AdapterProvider for Verified<A> {
    type Pd = A::Pd;
    type Mr = VerifiedRegion<A::Mr>;
    type Qp = VerifiedQueuePair<A::Qp>;
    type Window = A::Window;

    fn name(&self) -> &str {
        self.inner.name()
    }

    fn info(&self) -> NDK_ADAPTER_INFO {
        self.inner.info()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn highest_minor(&self, major: u16) -> Option<u16> {
        self.inner.highest_minor(major)
    }

    fn is_lost(&self) -> bool {
        self.inner.is_lost()
    }

    async fn create_pd(&self) -> Result<A::Pd> {
        self.desk.run(0, "create domain", self.inner.create_pd(), || ()).await
    }

    async fn close_pd(&self, pd: &A::Pd) {
        self.desk.run(0, "close a domain", self.inner.close_pd(pd), || ()).await;
    }

    async fn create_mr(&self, pd: &A::Pd, kind: RegionKind) -> Result<Self::Mr> {
        let create = self.inner.create_mr(pd, kind);
        let inner = self.desk.run(0, "create region", create, || ()).await?;
        Ok(VerifiedRegion::new(inner, &self.desk, kind, self.distance))
    }

    fn cancel(&self, region: &Self::Mr) {
        self.inner.cancel(&region.inner);
    }

    async fn create_qp(&self, pd: &A::Pd, depths: QueueDepths) -> Result<Self::Qp> {
        let create = self.inner.create_qp(pd, depths);
        let inner = self.desk.run(0, "create queue pair", create, || ()).await?;
        Ok(VerifiedQueuePair::new(inner, &self.desk, self.inner.privileged_token(pd)))
    }

    async fn create_window(&self, pd: &A::Pd) -> Result<A::Window> {
        self.desk.run(0, "create window", self.inner.create_window(pd), || ()).await
    }

    fn privileged_token(&self, pd: &A::Pd) -> Option<LocalToken> {
        let token = self.inner.privileged_token(pd)?;
        // It may be what a region's was.
        self.desk.tokens.forget(token.get());
        Some(token)
    }

    async fn build_mapping(&self, memory: MdlView<'_>, pages: &mut [u64]) -> Result<Mapping> {
        let build = self.inner.build_mapping(memory, &mut *pages);
        let mapping = self.desk.run(0, "build mapping", build, || ()).await?;
        self.desk.mappings.lock().add(mapping.0, ranges(memory), pages);
        Ok(mapping)
    }

    fn release_mapping(&self, mapping: Mapping) {
        let uses = self.desk.mappings.lock().release(mapping.0);
        if uses > 0 {
            let did = format!(
                "a mapping was released that {uses} fast registrations or requests in flight use"
            );
            self.desk.consumer(vec!["L4"], 0, did);
        }
        self.inner.release_mapping(mapping);
    }

    fn query_extension(&self, id: &GUID, version: NDK_VERSION) -> Result<NDK_EXTENSION_INTERFACE> {
        self.inner.query_extension(id, version)
    }

    fn watch(&self) -> Option<&Arc<dyn Watch>> {
        Some(&self.watch)
    }

    fn shut_down(&self) {
        self.inner.shut_down();
        // Whoever keeps the desk keeps the mappings that were never released, which lead nowhere now (H5).
        self.desk.mappings.lock().clear();
    }
}

impl<A> fmt::Debug for Verified<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified").field("adapter", &self.desk.name_of(0)).finish_non_exhaustive()
    }
}
