//! A memory window: rights over a part of a region, given and taken by requests on a queue pair.

use super::track::Tracked;
use crate::access::RemoteToken;
use crate::contain::{Contained, contain, panicked};
use crate::domain::{Child, Domain, DomainRef};
use crate::error::Result;
use crate::job;
use crate::platform::Platform;
use crate::provider::{AdapterProvider, Event, WindowProvider};
use crate::region::RegionRef;
use crate::sync::{AtomicU64, Mutex, Ordering};
use alloc::sync::Arc;
use core::fmt;

/// What a window is bound to, as the requests posted so far have it.
pub(crate) struct WindowState<A: AdapterProvider, P: Platform> {
    bound: Mutex<P, Option<Binding<A, P>>>,
    /// The token by which the domain's list of invalidatable tokens names the window; 0 for none.
    listed: AtomicU64,
    pub(crate) id: u64,
}

struct Binding<A: AdapterProvider, P: Platform> {
    /// Kept alive by the reference that the binding holds.
    region: RegionRef<A, P>,
    round: u32,
    /// The backend may not have the request that binds yet, as far as is known.
    being_posted: bool,
    /// The queue pair that it was posted to, by its number, until its completion is polled.
    in_flight: Option<u64>,
    /// Its invalidation was posted.
    ending: bool,
    /// A peer has invalidated it meanwhile, whose invalidation counts: no other binding comes before that here is over.
    ended_by_peer: bool,
}

impl<A: AdapterProvider, P: Platform> WindowState<A, P> {
    /// Records a binding that is about to be posted to that queue pair; false where there is one already.
    pub(super) fn bind(&self, queue_pair: u64, region: RegionRef<A, P>, round: u32) -> bool {
        let mut bound = self.bound.lock();
        if bound.is_some() {
            return false;
        }
        *bound = Some(Binding {
            region,
            round,
            being_posted: true,
            in_flight: Some(queue_pair),
            ending: false,
            ended_by_peer: false,
        });
        true
    }

    /// Changes what is known of the binding of that round, if it is the one there is.
    fn with_binding(&self, round: u32, change: impl FnOnce(&mut Binding<A, P>)) {
        let mut bound = self.bound.lock();
        bound.as_mut().filter(|binding| binding.round == round).map(change);
    }

    /// The backend has the request of that round.
    pub(super) fn set_posted(&self, round: u32) {
        self.with_binding(round, |binding| binding.being_posted = false);
    }

    /// The completion of the request of that round was polled, or never will be.
    pub(super) fn complete_bind(&self, round: u32) {
        self.with_binding(round, |binding| {
            binding.being_posted = false;
            binding.in_flight = None;
        });
    }

    /// A peer can invalidate the binding by this token from now on, until the window is closed.
    pub(super) fn list(&self, domain: &Domain<A, P>, token: Option<RemoteToken>, note: Tracked) {
        let token = token.map_or(0, RemoteToken::get);
        let before = self.listed.swap(token.into(), Ordering::AcqRel) as u32;
        if before != 0 && before != token {
            domain.unlist_token(before, note.child);
        }
        if token != 0 {
            domain.note_token(token, note);
        }
    }

    /// As `list`, unless another binding has followed.
    pub(super) fn list_again(
        &self,
        domain: &Domain<A, P>,
        token: Option<RemoteToken>,
        note: Tracked,
    ) {
        let bound = self.bound.lock();
        if bound.as_ref().is_some_and(|binding| binding.round == note.round) {
            self.list(domain, token, note);
        }
    }

    fn unlist(&self, domain: &Domain<A, P>, child: u32) {
        let listed = self.listed.swap(0, Ordering::AcqRel) as u32;
        if listed != 0 {
            domain.unlist_token(listed, child);
        }
    }

    /// Ends the binding of that round. The region's bind is the caller's to let go.
    pub(crate) fn unbind(&self, round: u32) -> Option<RegionRef<A, P>> {
        let mut bound = self.bound.lock();
        let region = bound.as_ref().filter(|binding| binding.round == round)?.region;
        *bound = None;
        Some(region)
    }

    /// The round of the binding, if there is one.
    pub(super) fn round(&self) -> Option<u32> {
        self.bound.lock().as_ref().map(|binding| binding.round)
    }

    /// The round of the binding whose invalidation may be posted to that queue pair now, and takes note that it is.
    pub(super) fn start_invalidation(&self, queue_pair: u64) -> Option<u32> {
        let mut bound = self.bound.lock();
        let binding = bound.as_mut().filter(|binding| !binding.being_posted && !binding.ending)?;
        // Elsewhere the device may come to the invalidation first.
        if binding.in_flight.is_some_and(|other| other != queue_pair) {
            return None;
        }
        binding.ending = true;
        Some(binding.round)
    }

    /// The invalidation did not take effect. The region's bind is the caller's to let go where a peer's has.
    #[must_use]
    pub(super) fn stop_invalidation(&self, round: u32) -> Option<RegionRef<A, P>> {
        let mut bound = self.bound.lock();
        let binding = bound.as_mut().filter(|binding| binding.round == round)?;
        if binding.ended_by_peer {
            return bound.take().map(|binding| binding.region);
        }
        binding.ending = false;
        None
    }

    /// As `unbind`, by a peer; where an invalidation was posted here, the end of that ends the binding.
    pub(super) fn end_by_peer(&self, round: u32) -> Option<RegionRef<A, P>> {
        let mut bound = self.bound.lock();
        let binding = bound.as_mut().filter(|binding| binding.round == round)?;
        if binding.ending {
            binding.ended_by_peer = true;
            return None;
        }
        bound.take().map(|binding| binding.region)
    }

    /// Whether the window is bound to that region.
    pub(crate) fn is_bound_to(&self, region: RegionRef<A, P>) -> bool {
        self.bound.lock().as_ref().is_some_and(|binding| binding.region == region)
    }
}

/// A type-2 memory window.
///
/// While it is bound, its region cannot be deregistered (D2) and its region's close waits (H3). Dropping the window
/// closes it in the executor.
pub struct MemoryWindow<A: AdapterProvider, P: Platform> {
    inner: Option<Inner<A, P>>,
    state: Arc<WindowState<A, P>>,
}

struct Inner<A: AdapterProvider, P: Platform> {
    domain: DomainRef<A, P>,
    child: usize,
    provider: A::Window,
}

impl<A: AdapterProvider, P: Platform> DomainRef<A, P> {
    /// Makes a memory window.
    ///
    /// # Errors
    /// INVALID_DEVICE_STATE (H7), DEVICE_REMOVED (H8), and what the backend gives: NOT_SUPPORTED,
    /// INSUFFICIENT_RESOURCES.
    ///
    /// # Safety
    /// The domain is not closed when the future is first polled.
    pub async unsafe fn create_window(self) -> Result<MemoryWindow<A, P>> {
        // SAFETY: the caller's promise; the reference taken here passes to the window, or goes with an error.
        let held = unsafe { self.hold()? };
        let create = || held.adapter().provider().create_window(held.provider());
        let origin = held.adapter().origin();
        let provider = Contained::new("create window", create).await.map_err(|_| panicked())??;
        let id = held.adapter().next_id();
        let state =
            Arc::new(WindowState { bound: Mutex::new(None), listed: AtomicU64::new(0), id });
        let child = held.adopt(Child::Window { state: state.clone(), closing: false });
        let inner = Inner { domain: held.keep(), child, provider };
        let made = MemoryWindow { inner: Some(inner), state };
        let _ = made.see(Event::Made(origin));
        Ok(made)
    }
}

impl<A: AdapterProvider, P: Platform> MemoryWindow<A, P> {
    fn inner(&self) -> &Inner<A, P> {
        self.inner.as_ref().expect("a window has its inside until it is dropped")
    }

    pub(super) fn provider(&self) -> &A::Window {
        &self.inner().provider
    }

    pub(super) fn state(&self) -> &WindowState<A, P> {
        &self.state
    }

    pub(super) fn child(&self) -> u32 {
        self.inner().child as u32
    }

    /// Tells the adapter's watch, if there is one.
    #[cold]
    pub(super) fn see(&self, event: Event<'_>) -> Result<()> {
        // SAFETY: the window's reference keeps the domain.
        let adapter = unsafe { self.inner().domain.get() }.adapter();
        adapter.see(self.state.id, &self.name(), event)
    }

    pub(super) fn is_in(&self, domain: DomainRef<A, P>) -> bool {
        self.inner().domain == domain
    }

    /// The token of the last binding that was posted.
    pub fn remote_token(&self) -> Option<RemoteToken> {
        contain("a window's token", "a window", || self.provider().remote_token()).unwrap_or(None)
    }

    /// The name in log lines.
    pub fn name(&self) -> impl fmt::Display + '_ {
        struct Name<'a, A: AdapterProvider, P: Platform>(&'a MemoryWindow<A, P>);
        impl<A: AdapterProvider, P: Platform> fmt::Display for Name<'_, A, P> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                // SAFETY: the window's reference keeps the domain.
                let domain = unsafe { self.0.inner().domain.get() };
                write!(f, "{}/mw{}", domain.name(), self.0.state.id)
            }
        }
        Name(self)
    }

    /// Closes the window; a binding ends with it.
    pub async fn close(mut self) {
        if let Some(closing) = self.start_close() {
            closing.run().await;
        }
    }

    /// Its inside, on its way out; nothing where it is already.
    fn start_close(&mut self) -> Option<Closing<A, P>> {
        let inner = self.inner.take()?;
        // SAFETY: the window's reference keeps the domain.
        unsafe { inner.domain.get() }.start_close_of(inner.child);
        Some(Closing { inner: Some(inner), state: self.state.clone(), ended: false })
    }
}

/// A window on its way out. Whatever becomes of the backend's close, its binding, its place in the domain and its
/// reference go. Where the close did not end, the backend's window stays leaked, and the region that it was bound to is
/// poisoned: a device may still let peers through it (B8, B9).
struct Closing<A: AdapterProvider, P: Platform> {
    inner: Option<Inner<A, P>>,
    state: Arc<WindowState<A, P>>,
    ended: bool,
}

impl<A: AdapterProvider, P: Platform> Closing<A, P> {
    async fn run(mut self) {
        if let Some(inner) = &self.inner {
            let close = Contained::new("close of a window", || inner.provider.close());
            self.ended = close.await.is_ok();
        }
    }
}

impl<A: AdapterProvider, P: Platform> Drop for Closing<A, P> {
    fn drop(&mut self) {
        let Some(Inner { domain, child, provider }) = self.inner.take() else { return };
        if self.ended {
            let _ = contain("dropping a window", "a window", || drop(provider));
        } else {
            log::error!("a window's close did not end; what it holds stays leaked [B8, B9]");
            core::mem::forget(provider);
        }
        let bound = self.state.round().and_then(|round| self.state.unbind(round));
        // SAFETY: the binding's reference to the region, then the window's to the domain.
        unsafe {
            if let Some(region) = bound {
                if !self.ended {
                    region.poison();
                }
                region.unbind();
            }
            self.state.unlist(domain.get(), child as u32);
            domain.get().finish_close_of(child);
            Domain::release(domain.pointer());
        }
    }
}

impl<A: AdapterProvider, P: Platform> Drop for MemoryWindow<A, P> {
    fn drop(&mut self) {
        let Some(closing) = self.start_close() else { return };
        let Some(Inner { domain, .. }) = &closing.inner else { return };
        let domain = domain.pointer();
        let close = closing.run();
        // SAFETY: the window's reference keeps the domain until the closing is over, which lets it go.
        unsafe { Domain::spawn(domain, job::deferred("close of a window", close, |_| ())) };
    }
}

impl<A: AdapterProvider, P: Platform> fmt::Debug for MemoryWindow<A, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryWindow").field("id", &self.state.id).finish_non_exhaustive()
    }
}
