//! The object-safe twins of queue pair and memory window; see [`dynamic`](super::dynamic).

use super::dynamic::{BoxedRegion, foreign_object};
use super::{
    Endpoint, QpProvider, RemoteAddress, Sge, WindowProvider, WorkCompletion, WorkId, WorkRequest,
};
use crate::access::RemoteToken;
use crate::error::Result;
use alloc::boxed::Box;
use async_trait::async_trait;
use core::any::Any;
use core::task::{Context, Poll};

/// [`WindowProvider`], object-safe.
#[async_trait]
pub(super) trait DynWindow: Any + Send + Sync {
    fn dyn_remote_token(&self) -> Option<RemoteToken>;
    async fn dyn_close(&self);
}

#[async_trait]
impl<W: WindowProvider> DynWindow for W {
    fn dyn_remote_token(&self) -> Option<RemoteToken> {
        self.remote_token()
    }

    async fn dyn_close(&self) {
        self.close().await;
    }
}

/// A memory window of a backend chosen at run time.
pub struct BoxedWindow(pub(super) Box<dyn DynWindow>);

impl BoxedWindow {
    /// The window as the backend's own type, where it is of that type.
    pub fn downcast_ref<W: WindowProvider>(&self) -> Option<&W> {
        let window: &dyn Any = &*self.0;
        window.downcast_ref()
    }
}

impl WindowProvider for BoxedWindow {
    fn remote_token(&self) -> Option<RemoteToken> {
        self.0.dyn_remote_token()
    }

    async fn close(&self) {
        self.0.dyn_close().await;
    }
}

/// [`QpProvider`], object-safe.
#[async_trait]
pub(super) trait DynQp: Send + Sync {
    fn dyn_endpoint(&self) -> Endpoint;
    async fn dyn_connect(&self, peer: &Endpoint) -> Result<()>;
    fn dyn_post(
        &self,
        id: WorkId,
        request: WorkRequest<'_, BoxedRegion, BoxedWindow>,
    ) -> Result<()>;
    fn dyn_poll_completion(&self, cx: &mut Context<'_>) -> Poll<WorkCompletion>;
    fn dyn_write_at_once(&self, local: &[Sge], remote: RemoteAddress) -> bool;
    fn dyn_read_at_once(&self, local: &[Sge], remote: RemoteAddress) -> bool;
    fn dyn_flush(&self);
    fn dyn_numbered(&self, id: u64);
    async fn dyn_close(&self);
}

/// The same request with the backend's own types.
fn unbox<'a, M, W>(
    request: WorkRequest<'a, BoxedRegion, BoxedWindow>,
) -> Result<WorkRequest<'a, M, W>>
where
    M: super::MrProvider,
    W: WindowProvider,
{
    let region = |region: &'a BoxedRegion| region.downcast_ref::<M>().ok_or_else(foreign_object);
    let window = |window: &'a BoxedWindow| window.downcast_ref::<W>().ok_or_else(foreign_object);
    Ok(match request {
        WorkRequest::Receive { local } => WorkRequest::Receive { local },
        WorkRequest::Send { local, invalidate } => WorkRequest::Send { local, invalidate },
        WorkRequest::Read { local, remote } => WorkRequest::Read { local, remote },
        WorkRequest::Write { local, remote } => WorkRequest::Write { local, remote },
        WorkRequest::FastRegister { region: r, memory, access } => {
            WorkRequest::FastRegister { region: region(r)?, memory, access }
        }
        WorkRequest::InvalidateRegion { region: r } => {
            WorkRequest::InvalidateRegion { region: region(r)? }
        }
        WorkRequest::Bind { region: r, window: w, address, length, access } => {
            WorkRequest::Bind { region: region(r)?, window: window(w)?, address, length, access }
        }
        WorkRequest::InvalidateWindow { window: w } => {
            WorkRequest::InvalidateWindow { window: window(w)? }
        }
    })
}

#[async_trait]
impl<Q: QpProvider> DynQp for Q {
    fn dyn_endpoint(&self) -> Endpoint {
        self.endpoint()
    }

    async fn dyn_connect(&self, peer: &Endpoint) -> Result<()> {
        self.connect(peer).await
    }

    fn dyn_post(
        &self,
        id: WorkId,
        request: WorkRequest<'_, BoxedRegion, BoxedWindow>,
    ) -> Result<()> {
        self.post(id, unbox(request)?)
    }

    fn dyn_poll_completion(&self, cx: &mut Context<'_>) -> Poll<WorkCompletion> {
        self.poll_completion(cx)
    }

    fn dyn_write_at_once(&self, local: &[Sge], remote: RemoteAddress) -> bool {
        self.write_at_once(local, remote)
    }

    fn dyn_read_at_once(&self, local: &[Sge], remote: RemoteAddress) -> bool {
        self.read_at_once(local, remote)
    }

    fn dyn_flush(&self) {
        self.flush();
    }

    fn dyn_numbered(&self, id: u64) {
        self.numbered(id);
    }

    async fn dyn_close(&self) {
        self.close().await;
    }
}

/// A queue pair of a backend chosen at run time.
pub struct BoxedQueuePair(pub(super) Box<dyn DynQp>);

impl QpProvider for BoxedQueuePair {
    type Mr = BoxedRegion;
    type Window = BoxedWindow;

    fn endpoint(&self) -> Endpoint {
        self.0.dyn_endpoint()
    }

    async fn connect(&self, peer: &Endpoint) -> Result<()> {
        self.0.dyn_connect(peer).await
    }

    fn post(&self, id: WorkId, request: WorkRequest<'_, BoxedRegion, BoxedWindow>) -> Result<()> {
        self.0.dyn_post(id, request)
    }

    fn poll_completion(&self, cx: &mut Context<'_>) -> Poll<WorkCompletion> {
        self.0.dyn_poll_completion(cx)
    }

    fn write_at_once(&self, local: &[Sge], remote: RemoteAddress) -> bool {
        self.0.dyn_write_at_once(local, remote)
    }

    fn read_at_once(&self, local: &[Sge], remote: RemoteAddress) -> bool {
        self.0.dyn_read_at_once(local, remote)
    }

    fn flush(&self) {
        self.0.dyn_flush();
    }

    fn numbered(&self, id: u64) {
        self.0.dyn_numbered(id);
    }

    async fn close(&self) {
        self.0.dyn_close().await;
    }
}
