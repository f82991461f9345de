//! A queue pair: the contract's checks around the backend's, and what its completions mean for regions.

use super::check::{self, Elements};
use super::track::{self, Tracked};
use super::window::MemoryWindow;
use crate::access::{Access, RemoteToken};
use crate::contain::{contain, contain_future};
use crate::domain::{Child, Domain, DomainRef};
use crate::error::{Error, ErrorKind, Result};
use crate::job;
use crate::platform::Platform;
use crate::provider::{
    AdapterProvider, Endpoint, FastMemory, QpProvider, QueueDepths, RegionKind, RemoteAddress, Sge,
    WorkCompletion, WorkId, WorkRequest,
};
use crate::region::{FastState, RegionRef};
use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};

/// A reliable connected queue pair with its completion queue.
///
/// Requests take effect in the order of their posting. Dropping the queue pair closes it in the executor.
pub struct QueuePair<A: AdapterProvider, P: Platform> {
    inner: Option<Inner<A, P>>,
    id: u64,
}

struct Inner<A: AdapterProvider, P: Platform> {
    domain: DomainRef<A, P>,
    child: usize,
    provider: A::Qp,
}

impl<A: AdapterProvider, P: Platform> DomainRef<A, P> {
    /// Makes a queue pair.
    ///
    /// # Errors
    /// INVALID_DEVICE_STATE (H7), DEVICE_REMOVED (H8), INVALID_PARAMETER for a depth above the adapter's, and what
    /// the backend gives: NOT_SUPPORTED, INSUFFICIENT_RESOURCES.
    ///
    /// # Safety
    /// The domain is not closed when the future is first polled.
    pub async unsafe fn create_qp(self, depths: QueueDepths) -> Result<QueuePair<A, P>> {
        // SAFETY: the caller's promise; the reference taken here passes to the queue pair, or goes with an error.
        let held = unsafe { self.hold()? };
        let info = held.adapter().info();
        if depths.receive > info.MaxReceiveQueueDepth
            || depths.initiator > info.MaxInitiatorQueueDepth
        {
            let cause = "a queue depth is above the adapter's limit";
            return Err(Error::new(ErrorKind::InvalidParameter, cause));
        }
        let provider = held.adapter().provider().create_qp(held.provider(), depths).await?;
        let id = held.adapter().next_id();
        let child = held.adopt(Child::QueuePair(id));
        Ok(QueuePair { inner: Some(Inner { domain: held.keep(), child, provider }), id })
    }
}

impl<A: AdapterProvider, P: Platform> QueuePair<A, P> {
    fn inner(&self) -> &Inner<A, P> {
        self.inner.as_ref().expect("a queue pair has its inside until it is dropped")
    }

    fn domain(&self) -> &Domain<A, P> {
        // SAFETY: the queue pair's reference keeps the domain.
        unsafe { self.inner().domain.get() }
    }

    /// Where a peer reaches this queue pair.
    pub fn endpoint(&self) -> Endpoint {
        self.inner().provider.endpoint()
    }

    /// Connects to the peer's queue pair, which has to connect to this one too; done when both have.
    ///
    /// # Errors
    /// CONNECTION_REFUSED where there is no such peer, IO_TIMEOUT where it does not answer, CONNECTION_INVALID on a
    /// queue pair that was connected before, DEVICE_REMOVED (H8).
    pub async fn connect(&self, peer: &Endpoint) -> Result<()> {
        self.domain().adapter().check_device()?;
        self.inner().provider.connect(peer).await
    }

    /// Posts a receive.
    ///
    /// # Errors
    /// INVALID_PARAMETER above the adapter's limits, INSUFFICIENT_RESOURCES on a full queue, DEVICE_REMOVED (H8).
    pub fn receive(&self, context: u64, local: &[Sge]) -> Result<()> {
        self.post_data(context, local, Elements::Receive, WorkRequest::Receive { local })
    }

    /// Posts a send; with `invalidate` the peer's token is dead before its receive completion can be read (G9).
    ///
    /// # Errors
    /// CONNECTION_INVALID before the connection, INVALID_PARAMETER (limits, L2), INSUFFICIENT_RESOURCES on a full
    /// queue, DEVICE_REMOVED (H8).
    pub fn send(&self, context: u64, local: &[Sge], invalidate: Option<RemoteToken>) -> Result<()> {
        let request = WorkRequest::Send { local, invalidate };
        self.post_data(context, local, Elements::Initiator, request)
    }

    /// Posts a remote read.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub fn read(&self, context: u64, local: &[Sge], remote: RemoteAddress) -> Result<()> {
        self.post_data(context, local, Elements::Read, WorkRequest::Read { local, remote })
    }

    /// Posts a remote write.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub fn write(&self, context: u64, local: &[Sge], remote: RemoteAddress) -> Result<()> {
        self.post_data(context, local, Elements::Initiator, WorkRequest::Write { local, remote })
    }

    #[inline]
    fn post_data(
        &self,
        context: u64,
        local: &[Sge],
        kind: Elements,
        request: WorkRequest<'_, A::Mr, A::Window>,
    ) -> Result<()> {
        check::elements(local, kind, self.domain().adapter().info())
            .and_then(|()| self.post(WorkId { context, tag: 0 }, request))
            .inspect_err(|error| self.log_refusal(error))
    }

    #[inline]
    fn post(&self, id: WorkId, request: WorkRequest<'_, A::Mr, A::Window>) -> Result<()> {
        self.try_post(id, request).map_err(|not_posted| match not_posted {
            NotPosted::Refused(error) => error,
            NotPosted::Panicked => panicked(),
        })
    }

    fn try_post(
        &self,
        id: WorkId,
        request: WorkRequest<'_, A::Mr, A::Window>,
    ) -> Result<(), NotPosted> {
        self.domain().adapter().check_device().map_err(NotPosted::Refused)?;
        contain("a work request", self.name(), || self.inner().provider.post(id, request))
            .map_err(|_| NotPosted::Panicked)?
            .map_err(NotPosted::Refused)
    }

    /// Posts a fast registration of `memory` with the rights of `access`.
    ///
    /// # Errors
    /// INVALID_PARAMETER (G4, L2), ACCESS_VIOLATION for remote rights on a region initialised without (G5),
    /// CONNECTION_INVALID (G6), INVALID_DEVICE_STATE (G3, G7, G10, H7), DEVICE_REMOVED (H8). Nothing is posted then.
    ///
    /// # Safety
    /// The region is not closed before the call returns, and the memory behind the logical addresses stays valid until the registration is
    /// invalidated or the region closed.
    pub unsafe fn fast_register(
        &self,
        context: u64,
        region: RegionRef<A, P>,
        memory: FastMemory<'_>,
        access: Access,
    ) -> Result<()> {
        // SAFETY: the caller's promises.
        unsafe { self.begin_fast_register(context, region, memory, access) }
            .inspect_err(|error| self.log_refusal(error))
    }

    /// # Safety
    /// As for `fast_register`.
    unsafe fn begin_fast_register(
        &self,
        context: u64,
        region: RegionRef<A, P>,
        memory: FastMemory<'_>,
        access: Access,
    ) -> Result<()> {
        // SAFETY: the caller's promise, for each use of the region below.
        unsafe {
            self.check_domain(region)?;
            let (round, allowed) = (region.round(), region.initialised());
            if region.kind() == RegionKind::FastRegister {
                check::fast_memory(&memory, allowed.pages)?;
                if access.is_remote() && !allowed.remote {
                    let cause = "the region was initialised without remote access";
                    return Err(Error::new(ErrorKind::AccessViolation, cause).rule("G5"));
                }
            }
            region.post_fast_register()?;
            if region.round() != round {
                // What was checked was another initialisation's.
                region.set_fast_state(FastState::Free);
                let cause = "the region was initialised anew meanwhile";
                return Err(Error::new(ErrorKind::InvalidDeviceState, cause).rule("G3"));
            }
            let note = Tracked { child: region.child(), round };
            let request = WorkRequest::FastRegister { region: region.provider(), memory, access };
            // Listed before the posting: a peer that knows the token may use it at once. And after it, since a token
            // that rotates changes with it.
            region.list_token(note);
            match self.try_post(WorkId { context, tag: note.pack() }, request) {
                Ok(()) => region.list_token(note),
                Err(NotPosted::Refused(error)) => {
                    region.set_fast_state(FastState::Free);
                    return Err(error);
                }
                Err(NotPosted::Panicked) => {
                    region.set_fast_state(FastState::Stale);
                    return Err(panicked());
                }
            }
            Ok(())
        }
    }

    /// Posts the invalidation of a region's fast registration.
    ///
    /// # Errors
    /// INVALID_DEVICE_STATE where none is valid, or on a conventional region (G8), CONNECTION_INVALID,
    /// DEVICE_REMOVED (H8). Nothing is posted then.
    ///
    /// # Safety
    /// The region is not closed before the call returns.
    pub unsafe fn invalidate(&self, context: u64, region: RegionRef<A, P>) -> Result<()> {
        // SAFETY: the caller's promise, for each use of the region.
        unsafe {
            let begin = || {
                self.check_domain(region)?;
                region.post_invalidate()?;
                let note = Tracked { child: region.child(), round: region.round() };
                let request = WorkRequest::InvalidateRegion { region: region.provider() };
                self.try_post(WorkId { context, tag: note.pack() }, request).map_err(|not_posted| {
                    match not_posted {
                        NotPosted::Refused(error) => {
                            region.set_fast_state(FastState::Valid);
                            error
                        }
                        NotPosted::Panicked => {
                            region.set_fast_state(FastState::Stale);
                            panicked()
                        }
                    }
                })
            };
            begin().inspect_err(|error| self.log_refusal(error))
        }
    }

    /// Posts the bind of a window over `length` bytes of a region from `address`.
    ///
    /// # Errors
    /// INVALID_DEVICE_STATE where the region is not registered or the window is bound, INVALID_PARAMETER for objects
    /// of another domain or a length of 0, CONNECTION_INVALID, DEVICE_REMOVED (H8), and what the backend gives.
    /// Nothing is posted then.
    ///
    /// # Safety
    /// The region is not closed before the call returns.
    pub unsafe fn bind(
        &self,
        context: u64,
        region: RegionRef<A, P>,
        window: &MemoryWindow<A, P>,
        (address, length): (u64, u64),
        access: Access,
    ) -> Result<()> {
        let begin = || {
            if length == 0 || address.checked_add(length).is_none() {
                let cause = "the window's length is 0 or its addresses wrap";
                return Err(Error::new(ErrorKind::InvalidParameter, cause));
            }
            // SAFETY: the caller's promise, for each use of the region; the bind's reference is let go where the
            // binding does not come about.
            unsafe {
                self.check_domain(region)?;
                self.check_window(window)?;
                region.bind()?;
                let round = self.domain().adapter().next_id() as u32;
                if !window.state().bind(region, round) {
                    region.unbind();
                    let cause = "the window is bound already";
                    return Err(Error::new(ErrorKind::InvalidDeviceState, cause));
                }
                let note = Tracked { child: window.child(), round };
                let request = WorkRequest::Bind {
                    region: region.provider(),
                    window: window.provider(),
                    address,
                    length,
                    access,
                };
                window.state().list(self.domain(), window.remote_token(), note);
                match self.try_post(WorkId { context, tag: note.pack() }, request) {
                    Ok(()) => window.state().list(self.domain(), window.remote_token(), note),
                    Err(NotPosted::Refused(error)) => {
                        if let Some(region) = window.state().unbind(round) {
                            region.unbind();
                        }
                        return Err(error);
                    }
                    // Nobody knows whether it is bound: it counts as bound until it is closed.
                    Err(NotPosted::Panicked) => return Err(panicked()),
                }
                Ok(())
            }
        };
        begin().inspect_err(|error| self.log_refusal(error))
    }

    /// Posts the invalidation of a window; the region is free of it when this has completed.
    ///
    /// # Errors
    /// INVALID_DEVICE_STATE where the window is not bound (G8), CONNECTION_INVALID, DEVICE_REMOVED (H8).
    pub fn invalidate_window(&self, context: u64, window: &MemoryWindow<A, P>) -> Result<()> {
        let begin = || {
            self.check_window(window)?;
            let Some(round) = window.state().start_invalidation() else {
                let cause = "the window is not bound";
                return Err(Error::new(ErrorKind::InvalidDeviceState, cause).rule("G8"));
            };
            let note = Tracked { child: window.child(), round };
            let request = WorkRequest::InvalidateWindow { window: window.provider() };
            self.post(WorkId { context, tag: note.pack() }, request)
                .inspect_err(|_| window.state().stop_invalidation(round))
        };
        begin().inspect_err(|error| self.log_refusal(error))
    }

    /// # Safety
    /// The region is not closed.
    unsafe fn check_domain(&self, region: RegionRef<A, P>) -> Result<()> {
        // SAFETY: the caller's promise.
        if unsafe { region.is_in(self.inner().domain) } {
            return Ok(());
        }
        Err(Error::new(ErrorKind::InvalidParameter, "the region is of another domain").rule("F5"))
    }

    fn check_window(&self, window: &MemoryWindow<A, P>) -> Result<()> {
        if window.is_in(self.inner().domain) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::InvalidParameter, "the window is of another domain").rule("F5"))
    }

    /// Takes a completion if there is one.
    pub fn poll(&self) -> Option<WorkCompletion> {
        match self.poll_completion(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(completion) => Some(completion),
            Poll::Pending => None,
        }
    }

    /// Waits for a completion.
    pub async fn completion(&self) -> WorkCompletion {
        poll_fn(|cx| self.poll_completion(cx)).await
    }

    /// Takes a completion, or has the context woken when there may be one.
    #[inline]
    pub fn poll_completion(&self, cx: &mut Context<'_>) -> Poll<WorkCompletion> {
        let poll =
            contain("a completion", self.name(), || self.inner().provider.poll_completion(cx));
        let Ok(Poll::Ready(completion)) = poll else { return Poll::Pending };
        track::follow(self.domain(), &completion);
        Poll::Ready(completion)
    }

    /// Moves the queue pair to error: what is posted completes with CANCELLED.
    pub fn flush(&self) {
        let _ = contain("a flush", self.name(), || self.inner().provider.flush());
    }

    /// Closes the queue pair. Requests that have not completed are given up.
    pub async fn close(mut self) {
        if let Some(inner) = self.inner.take() {
            Closing { inner: Some(inner), ended: false }.run().await;
        }
    }

    #[cold]
    fn log_refusal(&self, error: &Error) {
        log::warn!("{}: request refused: {error}", self.name());
    }

    /// The name in log lines.
    pub fn name(&self) -> impl fmt::Display + '_ {
        struct Name<'a, A: AdapterProvider, P: Platform>(&'a QueuePair<A, P>);
        impl<A: AdapterProvider, P: Platform> fmt::Display for Name<'_, A, P> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}/qp{}", self.0.domain().name(), self.0.id)
            }
        }
        Name(self)
    }
}

/// Why a request was not posted, or is not known to be.
enum NotPosted {
    /// The backend refused it, and nothing is left behind.
    Refused(Error),
    /// The backend panicked: it may have posted the request, or not.
    Panicked,
}

#[cold]
fn panicked() -> Error {
    Error::new(ErrorKind::Internal, "the backend panicked").rule("B8")
}

/// A queue pair on its way out. Whatever becomes of the backend's close, its place in the domain and its reference go;
/// a backend's queue pair whose close did not end stays leaked, since a device may still use it (B8, B9).
struct Closing<A: AdapterProvider, P: Platform> {
    inner: Option<Inner<A, P>>,
    ended: bool,
}

impl<A: AdapterProvider, P: Platform> Closing<A, P> {
    async fn run(mut self) {
        if let Some(inner) = &self.inner {
            let close = contain_future("close of a queue pair", "a queue pair", async {
                inner.provider.close().await;
            });
            self.ended = close.await.is_ok();
        }
    }
}

impl<A: AdapterProvider, P: Platform> Drop for Closing<A, P> {
    fn drop(&mut self) {
        let Some(Inner { domain, child, provider }) = self.inner.take() else { return };
        if self.ended {
            let _ = contain("dropping a queue pair", "a queue pair", || drop(provider));
        } else {
            log::error!("a queue pair's close did not end; what it holds stays leaked [B8, B9]");
            core::mem::forget(provider);
        }
        // SAFETY: the queue pair's reference to the domain, let go last.
        unsafe {
            domain.get().forget_child(child);
            Domain::release(domain.pointer());
        }
    }
}

impl<A: AdapterProvider, P: Platform> Drop for QueuePair<A, P> {
    fn drop(&mut self) {
        let Some(inner) = self.inner.take() else { return };
        // SAFETY: the queue pair's reference keeps the domain until the closing is over.
        let adapter = unsafe { inner.domain.get() }.adapter();
        let close = Closing { inner: Some(inner), ended: false }.run();
        adapter.spawn(job::deferred("close of a queue pair", close, |_| ()));
    }
}

impl<A: AdapterProvider, P: Platform> fmt::Debug for QueuePair<A, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueuePair").field("id", &self.id).finish_non_exhaustive()
    }
}
