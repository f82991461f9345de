//! A queue pair: its life, and what its completions mean for regions. Its requests are in `post`.

use super::posted::{Posted, poisoned};
use super::track;
use super::window::MemoryWindow;
use crate::contain::{Contained, Panicked, contain, panicked};
use crate::domain::{Child, Domain, DomainRef};
use crate::error::{Error, ErrorKind, Result};
use crate::job;
use crate::platform::Platform;
use crate::provider::{AdapterProvider, Endpoint, Event, QpProvider, QueueDepths, WorkCompletion};
use crate::region::RegionRef;
use alloc::format;
use alloc::string::String;
use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};

/// A reliable connected queue pair with its completion queue.
///
/// Requests take effect in the order of their posting. Dropping the queue pair closes it in the executor.
///
/// A panic of the backend poisons the queue pair (B8): what is posted and not complete completes with INTERNAL_ERROR, once
/// each, and everything else is INTERNAL_ERROR, except close.
pub struct QueuePair<A: AdapterProvider, P: Platform> {
    inner: Option<Inner<A, P>>,
    pub(super) id: u64,
}

pub(super) struct Inner<A: AdapterProvider, P: Platform> {
    pub(super) domain: DomainRef<A, P>,
    child: usize,
    pub(super) posted: Posted<P>,
    pub(super) provider: A::Qp,
}

impl<A: AdapterProvider, P: Platform> DomainRef<A, P> {
    /// Makes a queue pair.
    ///
    /// # Errors
    /// INVALID_DEVICE_STATE (H7), DEVICE_REMOVED (H8), INVALID_PARAMETER for a depth above the adapter's, and what
    /// the backend gives: NOT_SUPPORTED, INSUFFICIENT_RESOURCES. NOT_SUPPORTED also where both depths of the adapter's
    /// are 0, as a backend without queue pairs leaves them.
    ///
    /// # Safety
    /// - The domain is not closed when the future is first polled.
    /// - What requests on the queue pair name by the domain's privileged token (L5) is memory that stays valid until they have
    ///   completed. That token reaches all that has a logical address, and unlike a region's nothing waits for its use.
    pub async unsafe fn create_qp(self, depths: QueueDepths) -> Result<QueuePair<A, P>> {
        // SAFETY: the caller's promise; the reference taken here passes to the queue pair, or goes with an error.
        let held = unsafe { self.hold()? };
        let info = held.adapter().info();
        if info.MaxReceiveQueueDepth == 0 && info.MaxInitiatorQueueDepth == 0 {
            let cause = "the adapter has no queue pairs: both of its queue depths are 0";
            return Err(Error::new(ErrorKind::NotSupported, cause));
        }
        if depths.receive > info.MaxReceiveQueueDepth
            || depths.initiator > info.MaxInitiatorQueueDepth
        {
            let cause = "a queue depth is above the adapter's limit";
            return Err(Error::new(ErrorKind::InvalidParameter, cause));
        }
        let create = || held.adapter().provider().create_qp(held.provider(), depths);
        let origin = held.adapter().origin();
        let provider =
            Contained::new("create queue pair", create).await.map_err(|Panicked| panicked())??;
        let id = held.adapter().next_id();
        let child = held.adopt(Child::QueuePair { id, closing: false });
        let inner = Inner { domain: held.keep(), child, posted: Posted::new(), provider };
        let made = QueuePair { inner: Some(inner), id };
        if made.domain().adapter().watch().is_some() {
            let number = || made.inner().provider.numbered(id);
            if contain("numbering a queue pair", made.name(), number).is_err() {
                made.poison();
            }
            let _ = made.see(Event::Made(origin));
        }
        Ok(made)
    }
}

impl<A: AdapterProvider, P: Platform> QueuePair<A, P> {
    pub(super) fn inner(&self) -> &Inner<A, P> {
        self.inner.as_ref().expect("a queue pair has its inside until it is dropped")
    }

    pub(super) fn domain(&self) -> &Domain<A, P> {
        // SAFETY: the queue pair's reference keeps the domain.
        unsafe { self.inner().domain.get() }
    }

    /// Where a peer reaches this queue pair; empty text where the backend panics.
    pub fn endpoint(&self) -> Endpoint {
        contain("an endpoint", self.name(), || self.inner().provider.endpoint()).unwrap_or_else(
            |Panicked| {
                self.poison();
                Endpoint(String::new())
            },
        )
    }

    /// Connects to the peer's queue pair, which has to connect to this one too; done when both have.
    ///
    /// # Errors
    /// CONNECTION_REFUSED where there is no such peer, IO_TIMEOUT where it does not answer, CONNECTION_INVALID on a
    /// queue pair that was connected before, DEVICE_REMOVED (H8), INTERNAL_ERROR (B8).
    pub async fn connect(&self, peer: &Endpoint) -> Result<()> {
        self.domain().adapter().check_device()?;
        if self.inner().posted.is_poisoned() {
            return Err(poisoned());
        }
        let connected = Contained::new("connect", || self.inner().provider.connect(peer)).await;
        connected.unwrap_or_else(|Panicked| {
            self.poison();
            Err(poisoned())
        })
    }

    /// Takes a completion if there is one.
    #[inline]
    pub fn poll(&self) -> Option<WorkCompletion> {
        if let Some(completion) = self.inner().posted.next_done() {
            return Some(completion);
        }
        match self.poll_backend(&mut Context::from_waker(Waker::noop())) {
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
        match self.inner().posted.next_done() {
            Some(completion) => Poll::Ready(completion),
            None => self.poll_backend(cx),
        }
    }

    #[inline(never)]
    fn poll_backend(&self, cx: &mut Context<'_>) -> Poll<WorkCompletion> {
        let Inner { posted, provider, .. } = self.inner();
        while !posted.is_poisoned() {
            match contain("a completion", self.name(), || provider.poll_completion(cx)) {
                Ok(Poll::Ready(completion)) => {
                    let follow = || track::follow(self.domain(), &completion);
                    let unbound = match posted.complete(completion.id, completion.kind, follow) {
                        Some(unbound) => unbound,
                        // One that has completed with the queue pair's poisoning is over.
                        None if posted.is_poisoned() => continue,
                        None => follow(),
                    };
                    track::let_go(unbound);
                    return Poll::Ready(completion);
                }
                Ok(Poll::Pending) => {
                    posted.wait(cx);
                    if !posted.is_poisoned() {
                        return Poll::Pending;
                    }
                }
                Err(Panicked) => self.poison(),
            }
        }
        let next = posted.next_of_poisoned().or_else(|| {
            // What another thread has carried out, and not added yet, comes still; what one is posting may have become
            // ready before this waits.
            posted.wait(cx);
            posted.next_of_poisoned()
        });
        let Some(completion) = next else { return Poll::Pending };
        track::let_go(track::follow(self.domain(), &completion));
        Poll::Ready(completion)
    }

    /// Moves the queue pair to error: what is posted completes with CANCELLED.
    pub fn flush(&self) {
        if !self.inner().posted.is_poisoned() {
            self.flush_backend();
        }
    }

    fn flush_backend(&self) {
        if contain("a flush", self.name(), || self.inner().provider.flush()).is_err() {
            self.inner().posted.poison();
        }
    }

    /// The backend panicked: nothing more is asked of it but to stop, and to close.
    #[cold]
    pub(super) fn poison(&self) {
        if self.inner().posted.poison() {
            self.flush_backend();
        }
    }

    /// Closes the queue pair. Requests that have not completed are given up.
    pub async fn close(mut self) {
        if let Some(closing) = self.start_close() {
            closing.run().await;
        }
    }

    /// Its inside, on its way out; nothing where it is already.
    fn start_close(&mut self) -> Option<Closing<A, P>> {
        let inner = self.inner.take()?;
        // SAFETY: the queue pair's reference keeps the domain.
        unsafe { inner.domain.get() }.start_close_of(inner.child);
        Some(Closing { inner: Some(inner), ended: false })
    }

    #[cold]
    pub(super) fn log_refusal(&self, error: &Error) {
        log::warn!("{}: request refused: {error}", self.name());
        let _ = self.see(Event::Refused { call: "post a request", error });
    }

    /// As `log_refusal`, for what was asked of a region, to which a mistake is laid.
    ///
    /// # Safety
    /// The region is alive, or its memory kept.
    #[cold]
    pub(super) unsafe fn log_refusal_of(&self, region: RegionRef<A, P>, call: &str, error: &Error) {
        log::warn!("{}: {call} of {} refused: {error}", self.name(), region.name());
        let call = format!("{call} on {}", self.name());
        // SAFETY: the caller's promise.
        let _ = unsafe { region.see(Event::Refused { call: &call, error }) };
    }

    /// As `log_refusal_of`, for a window.
    #[cold]
    pub(super) fn log_refusal_of_window(
        &self,
        window: &MemoryWindow<A, P>,
        call: &str,
        error: &Error,
    ) {
        log::warn!("{}: {call} of {} refused: {error}", self.name(), window.name());
        let call = format!("{call} on {}", self.name());
        let _ = window.see(Event::Refused { call: &call, error });
    }

    /// Tells the adapter's watch, if there is one.
    #[cold]
    fn see(&self, event: Event<'_>) -> Result<()> {
        self.domain().adapter().see(self.id, &self.name(), event)
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

/// A queue pair on its way out. Whatever becomes of the backend's close, its place in the domain and its reference go;
/// a backend's queue pair whose close did not end stays leaked, since a device may still use it (B8, B9), and come to what
/// is in flight there: of such regions and windows only the close is left.
struct Closing<A: AdapterProvider, P: Platform> {
    inner: Option<Inner<A, P>>,
    ended: bool,
}

impl<A: AdapterProvider, P: Platform> Closing<A, P> {
    async fn run(mut self) {
        if let Some(inner) = &self.inner {
            let close = Contained::new("close of a queue pair", || inner.provider.close());
            self.ended = close.await.is_ok();
        }
    }
}

impl<A: AdapterProvider, P: Platform> Drop for Closing<A, P> {
    fn drop(&mut self) {
        let Some(Inner { domain, child, posted, provider }) = self.inner.take() else { return };
        if self.ended {
            let _ = contain("dropping a queue pair", "a queue pair", || drop(provider));
        } else {
            log::error!("a queue pair's close did not end; what it holds stays leaked [B8, B9]");
            core::mem::forget(provider);
        }
        // SAFETY: the queue pair's reference to the domain, let go last.
        unsafe {
            if self.ended {
                posted.give_up(|kind, tag| track::give_up(domain.get(), kind, tag));
            }
            domain.get().finish_close_of(child);
            Domain::release(domain.pointer());
        }
    }
}

impl<A: AdapterProvider, P: Platform> Drop for QueuePair<A, P> {
    fn drop(&mut self) {
        let Some(closing) = self.start_close() else { return };
        let Some(Inner { domain, .. }) = &closing.inner else { return };
        let domain = domain.pointer();
        let close = closing.run();
        // SAFETY: the queue pair's reference keeps the domain until the closing is over, which lets it go.
        unsafe { Domain::spawn(domain, job::deferred("close of a queue pair", close, |_| ())) };
    }
}

impl<A: AdapterProvider, P: Platform> fmt::Debug for QueuePair<A, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueuePair").field("id", &self.id).finish_non_exhaustive()
    }
}
