//! The adapter under test, wrapped: every operation takes its turn with the case's [`Control`] first.

use super::control::{Control, Counted, Step, Trap, Turn};
use super::desk::blow;
use crate::abi::{GUID, NDK_ADAPTER_INFO, NDK_EXTENSION_INTERFACE, NDK_VERSION};
use crate::access::{Access, LocalToken, RemoteToken};
use crate::capabilities::Capabilities;
use crate::error::Result;
use crate::mdl::MdlView;
use crate::provider::{
    AdapterProvider, Endpoint, Mapping, MrProvider, QpProvider, QueueDepths, RegionKind,
    RemoteAddress, Sge, Watch, WorkCompletion, WorkId, WorkRequest,
};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll};

/// The largest MaxRegistrationSize shown, so that the limit itself can be reached (C8).
pub(super) const MAX_REGISTRATION: usize = 1 << 20;

/// An operation with its turn before it.
struct Paced<F> {
    future: Pin<Box<F>>,
    panics_in_drop: bool,
}

impl<F: Future> Paced<F> {
    fn new(turn: Turn, make: impl FnOnce(Turn) -> F) -> Self {
        let panics_in_drop = turn.panics_in_drop();
        Self { future: Box::pin(make(turn)), panics_in_drop }
    }
}

impl<F: Future> Future for Paced<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.future.as_mut().poll(cx)
    }
}

impl<F> Drop for Paced<F> {
    fn drop(&mut self) {
        if self.panics_in_drop {
            blow("planted: drop of a future");
        }
    }
}

/// A wrapped adapter.
pub(super) struct PacedAdapter<A> {
    inner: A,
    control: Arc<Control>,
}

/// A wrapped protection domain.
pub(super) struct PacedPd<T> {
    inner: T,
    counted: Counted,
}

/// A wrapped region.
pub(super) struct PacedMr<M> {
    inner: M,
    counted: Counted,
    cancelled: Arc<AtomicBool>,
}

/// A queue pair over wrapped regions; nothing of its own is paced.
pub(super) struct PlainQp<Q>(Q);

impl<A> PacedAdapter<A> {
    pub(super) fn new(inner: A, control: Arc<Control>) -> Self {
        Self { inner, control }
    }
}

impl<T> Drop for PacedPd<T> {
    fn drop(&mut self) {
        self.counted.control().pass(Trap::DropPd);
    }
}

impl<M> Drop for PacedMr<M> {
    fn drop(&mut self) {
        self.counted.control().pass(Trap::DropMr);
    }
}

impl<M> PacedMr<M> {
    fn turn(&self, step: Step) -> Turn {
        self.counted.control().turn(step, Some(self.cancelled.clone()))
    }
}

impl<M: MrProvider> MrProvider for PacedMr<M> {
    fn register(
        &self,
        memory: MdlView<'_>,
        access: Access,
    ) -> impl Future<Output = Result<()>> + Send {
        Paced::new(self.turn(Step::Register), move |turn| async move {
            turn.come().await?;
            self.inner.register(memory, access).await
        })
    }

    fn deregister(&self) -> impl Future<Output = Result<()>> + Send {
        Paced::new(self.turn(Step::Deregister), move |turn| async move {
            turn.come().await?;
            self.inner.deregister().await
        })
    }

    fn register_at_once(&self, memory: MdlView<'_>, access: Access) -> Option<Result<()>> {
        match self.counted.control().at_once(Step::Register)? {
            Ok(()) => self.inner.register_at_once(memory, access),
            planted => Some(planted),
        }
    }

    fn deregister_at_once(&self) -> Option<Result<()>> {
        match self.counted.control().at_once(Step::Deregister)? {
            Ok(()) => self.inner.deregister_at_once(),
            planted => Some(planted),
        }
    }

    fn initialize_fast_register(
        &self,
        pages: u32,
        remote: bool,
    ) -> impl Future<Output = Result<()>> + Send {
        Paced::new(self.turn(Step::Initialise), move |turn| async move {
            turn.come().await?;
            self.inner.initialize_fast_register(pages, remote).await
        })
    }

    fn close(&self) -> impl Future<Output = Result<()>> + Send {
        Paced::new(self.counted.control().turn(Step::CloseMr, None), move |turn| async move {
            // A close cannot fail: what ended its wait early changes nothing.
            let _ = turn.come().await;
            self.inner.close().await
        })
    }

    fn local_token(&self) -> Option<LocalToken> {
        self.counted.control().pass(Trap::LocalToken);
        self.inner.local_token()
    }

    fn remote_token(&self) -> Option<RemoteToken> {
        self.counted.control().pass(Trap::RemoteToken);
        self.inner.remote_token()
    }

    fn numbered(&self, id: u64) {
        self.inner.numbered(id);
    }

    fn query_extension(&self, id: &GUID, version: NDK_VERSION) -> Result<NDK_EXTENSION_INTERFACE> {
        self.counted.control().pass(Trap::QueryExtension);
        self.inner.query_extension(id, version)
    }
}

impl<A: AdapterProvider> AdapterProvider for PacedAdapter<A> {
    type Pd = PacedPd<A::Pd>;
    type Mr = PacedMr<A::Mr>;
    type Qp = PlainQp<A::Qp>;
    type Window = A::Window;

    fn name(&self) -> &str {
        self.inner.name()
    }

    fn info(&self) -> NDK_ADAPTER_INFO {
        let info = self.inner.info();
        let size = info.MaxRegistrationSize.min(MAX_REGISTRATION);
        NDK_ADAPTER_INFO { MaxRegistrationSize: size, ..info }
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn highest_minor(&self, major: u16) -> Option<u16> {
        self.inner.highest_minor(major)
    }

    fn is_lost(&self) -> bool {
        self.control.pass(Trap::IsLost);
        self.control.is_lost() || self.inner.is_lost()
    }

    fn create_pd(&self) -> impl Future<Output = Result<Self::Pd>> + Send {
        Paced::new(self.control.turn(Step::CreatePd, None), move |turn| async move {
            turn.come().await?;
            let inner = self.inner.create_pd().await?;
            Ok(PacedPd { inner, counted: Counted::new(&self.control) })
        })
    }

    fn close_pd(&self, pd: &Self::Pd) -> impl Future<Output = ()> + Send {
        Paced::new(self.control.turn(Step::ClosePd, None), move |turn| async move {
            let _ = turn.come().await;
            self.inner.close_pd(&pd.inner).await;
        })
    }

    fn create_mr(
        &self,
        pd: &Self::Pd,
        kind: RegionKind,
    ) -> impl Future<Output = Result<Self::Mr>> + Send {
        Paced::new(self.control.turn(Step::CreateMr, None), move |turn| async move {
            turn.come().await?;
            let inner = self.inner.create_mr(&pd.inner, kind).await?;
            Ok(PacedMr { inner, counted: Counted::new(&self.control), cancelled: Arc::default() })
        })
    }

    fn create_mr_at_once(&self, pd: &Self::Pd, kind: RegionKind) -> Option<Result<Self::Mr>> {
        let made = match self.control.at_once(Step::CreateMr)? {
            Ok(()) => self.inner.create_mr_at_once(&pd.inner, kind)?,
            Err(planted) => Err(planted),
        };
        let counted = || Counted::new(&self.control);
        Some(made.map(|inner| PacedMr { inner, counted: counted(), cancelled: Arc::default() }))
    }

    fn cancel(&self, region: &Self::Mr) {
        self.control.pass(Trap::Cancel);
        self.control.cancel(&region.cancelled);
        self.inner.cancel(&region.inner);
    }

    async fn create_qp(&self, pd: &Self::Pd, depths: QueueDepths) -> Result<Self::Qp> {
        Ok(PlainQp(self.inner.create_qp(&pd.inner, depths).await?))
    }

    async fn create_window(&self, pd: &Self::Pd) -> Result<A::Window> {
        self.inner.create_window(&pd.inner).await
    }

    fn privileged_token(&self, pd: &Self::Pd) -> Option<LocalToken> {
        self.control.pass(Trap::PrivilegedToken);
        self.inner.privileged_token(&pd.inner)
    }

    fn build_mapping(
        &self,
        memory: MdlView<'_>,
        pages: &mut [u64],
    ) -> impl Future<Output = Result<Mapping>> + Send {
        Paced::new(self.control.turn(Step::BuildMapping, None), move |turn| async move {
            turn.come().await?;
            self.inner.build_mapping(memory, pages).await
        })
    }

    fn release_mapping(&self, mapping: Mapping) {
        self.inner.release_mapping(mapping);
    }

    fn query_extension(&self, id: &GUID, version: NDK_VERSION) -> Result<NDK_EXTENSION_INTERFACE> {
        self.inner.query_extension(id, version)
    }

    fn watch(&self) -> Option<&Arc<dyn Watch>> {
        self.inner.watch()
    }

    fn watched_by(&self, watch: &Arc<dyn Watch>) {
        self.inner.watched_by(watch);
    }

    fn shut_down(&self) {
        self.inner.shut_down();
    }
}

impl<Q: QpProvider> QpProvider for PlainQp<Q> {
    type Mr = PacedMr<Q::Mr>;
    type Window = Q::Window;

    fn endpoint(&self) -> Endpoint {
        self.0.endpoint()
    }

    async fn connect(&self, peer: &Endpoint) -> Result<()> {
        self.0.connect(peer).await
    }

    fn post(&self, id: WorkId, request: WorkRequest<'_, Self::Mr, Self::Window>) -> Result<()> {
        self.0.post(id, request.inside(|region| &region.inner))
    }

    fn poll_completion(&self, cx: &mut Context<'_>) -> Poll<WorkCompletion> {
        self.0.poll_completion(cx)
    }

    fn write_at_once(&self, local: &[Sge], remote: RemoteAddress) -> bool {
        self.0.write_at_once(local, remote)
    }

    fn read_at_once(&self, local: &[Sge], remote: RemoteAddress) -> bool {
        self.0.read_at_once(local, remote)
    }

    fn flush(&self) {
        self.0.flush();
    }

    fn numbered(&self, id: u64) {
        self.0.numbered(id);
    }

    async fn close(&self) {
        self.0.close().await;
    }
}
