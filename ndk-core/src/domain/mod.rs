//! The protection domain: makes regions, and closes after the last of them.

mod close;
mod create;

use crate::abi::{
    NDK_OBJECT_HEADER, NDK_OBJECT_HEADER_RESERVED_BLOCK, NDK_PD, NDK_VERSION, NdkObjectTypePd,
};
use crate::access::LocalToken;
use crate::adapter::{Adapter, Left};
use crate::completion::CloseCompletion;
use crate::contain::contain;
use crate::dispatch;
use crate::error::{Error, ErrorKind, Result};
use crate::executor::Task;
use crate::platform::Platform;
use crate::provider::{AdapterProvider, Event};
use crate::region::RegionRef;
use crate::sync::{CShared, Cell, Mutex, Refs};
use crate::work::{Tracked, WindowState};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::mem::{ManuallyDrop, MaybeUninit};
use core::ptr::NonNull;
use slab::Slab;

/// The object behind an `NDK_PD`, which is its first field.
#[repr(C)]
pub(crate) struct Domain<A: AdapterProvider, P: Platform> {
    ndk: CShared<NDK_PD>,
    /// The consumer's reference, one for each child, and short ones.
    refs: Refs,
    adapter: NonNull<Adapter<A, P>>,
    id: u64,
    child: usize,
    version: NDK_VERSION,
    close: Cell<MaybeUninit<CloseCompletion>>,
    /// What lives in the domain.
    children: Mutex<P, Slab<Child<A, P>>>,
    /// The tokens by which a peer can invalidate a registration or binding, and what each stands for.
    tokens: Mutex<P, BTreeMap<u32, Tracked>>,
    provider: ManuallyDrop<A::Pd>,
}

/// What lives in a domain. A region's pointer is valid as long as it is on the list.
pub(crate) enum Child<A: AdapterProvider, P: Platform> {
    Region(RegionRef<A, P>),
    QueuePair { id: u64, closing: bool },
    Window { state: Arc<WindowState<A, P>>, closing: bool },
}

impl<A: AdapterProvider, P: Platform> Child<A, P> {
    /// Its number, and whether its Close was called.
    fn id_and_closing(&self) -> (u64, bool) {
        match self {
            // SAFETY: it is on the list.
            Self::Region(region) => unsafe { (region.id(), region.is_closing()) },
            Self::QueuePair { id, closing } => (*id, *closing),
            Self::Window { state, closing } => (state.id, *closing),
        }
    }
}

impl<A: AdapterProvider, P: Platform> fmt::Display for Child<A, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // SAFETY: it is on the list.
            Self::Region(region) => write!(f, "mr{}", unsafe { region.id() }),
            Self::QueuePair { id, .. } => write!(f, "qp{id}"),
            Self::Window { state, .. } => write!(f, "mw{}", state.id),
        }
    }
}

/// A pointer to a protection domain of the framework, as an `NDK_PD` pointer is one: valid from its creation until
/// its close has completed.
pub struct DomainRef<A: AdapterProvider, P: Platform>(NonNull<Domain<A, P>>);

impl<A: AdapterProvider, P: Platform> Clone for DomainRef<A, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A: AdapterProvider, P: Platform> Copy for DomainRef<A, P> {}

// SAFETY: a domain is used from any thread: its counts are atomic, its list behind a lock, its completion cell
// belongs to the one close, the backend's domain is Send + Sync, and its reference keeps the adapter alive.
unsafe impl<A: AdapterProvider, P: Platform> Send for DomainRef<A, P> {}
// SAFETY: as for Send; the pointer itself has no state.
unsafe impl<A: AdapterProvider, P: Platform> Sync for DomainRef<A, P> {}

impl<A: AdapterProvider, P: Platform> Domain<A, P> {
    /// The adapter, which the domain's reference keeps alive.
    pub(crate) fn adapter<'r>(&self) -> &'r Adapter<A, P> {
        // SAFETY: an adapter outlives its domains, since each holds a reference to it; what asks here holds one to
        // the domain.
        unsafe { self.adapter.as_ref() }
    }

    /// Gives a task to the adapter's executor. The domain may be gone afterwards.
    ///
    /// # Safety
    /// The caller holds a reference to the domain, which may be the task's to let go.
    pub(crate) unsafe fn spawn(domain: NonNull<Self>, task: Task) {
        // SAFETY: the caller's reference keeps the domain, and that the adapter, until the executor has the task.
        unsafe { Adapter::spawn(domain.as_ref().adapter, task) };
    }

    /// Takes a reference for a request, unless the domain is being closed.
    fn enter(&self) -> Result<()> {
        if !self.refs.enter() {
            let cause = "the domain is being closed";
            return Err(Error::new(ErrorKind::InvalidDeviceState, cause).rule("H7"));
        }
        Ok(())
    }

    /// Takes a reference by the right of one that is held.
    pub(crate) fn add_ref(&self) {
        self.refs.add();
    }

    /// A region is about to be freed.
    pub(crate) fn forget_child(&self, child: usize) {
        drop(self.children.lock().remove(child));
    }

    /// The close of a queue pair or window was called; that of a region is in its word.
    pub(crate) fn start_close_of(&self, child: usize) {
        if let Child::QueuePair { closing, .. } | Child::Window { closing, .. } =
            &mut self.children.lock()[child]
        {
            *closing = true;
        }
    }

    /// The close of a queue pair or window is over.
    pub(crate) fn finish_close_of(&self, child: usize) {
        let gone = self.children.lock().remove(child);
        let (id, name) = (gone.id_and_closing().0, format_args!("{}/{gone}", self.name()));
        let _ = self.adapter().see(id, &name, Event::Gone);
    }

    /// The children that are not closed, and the domain itself.
    pub(crate) fn left_open(&self) -> Vec<Left> {
        let child = |child: &Child<A, P>| {
            let (id, closing) = child.id_and_closing();
            Left { id, name: format!("{}/{child}", self.name()), closing }
        };
        let mut left: Vec<_> = self.children.lock().iter().map(|(_, it)| child(it)).collect();
        let closing = self.refs.is_closing();
        left.push(Left { id: self.id, name: format!("{}", self.name()), closing });
        left
    }

    /// Looks at a child, under the list's lock: `look` calls nothing foreign and frees nothing.
    pub(crate) fn with_child<R>(
        &self,
        child: u32,
        look: impl FnOnce(&Child<A, P>) -> R,
    ) -> Option<R> {
        self.children.lock().get(child as usize).map(look)
    }

    /// The names of the windows bound to a region.
    pub(crate) fn windows_of(&self, region: RegionRef<A, P>) -> Vec<String> {
        let bound = |child: &Child<A, P>| match child {
            Child::Window { state, .. } => state.is_bound_to(region),
            _ => false,
        };
        let children = self.children.lock();
        let windows = children.iter().filter(|(_, child)| bound(child));
        windows.map(|(_, window)| format!("{window}")).collect()
    }

    /// A peer can invalidate what `note` names by this token from now on.
    pub(crate) fn note_token(&self, token: u32, note: Tracked) {
        self.tokens.lock().insert(token, note);
    }

    /// That child can no longer be invalidated by the token. Another child may have the same token by now, where a
    /// device uses keys again.
    pub(crate) fn unlist_token(&self, token: u32, child: u32) {
        let mut tokens = self.tokens.lock();
        if tokens.get(&token).is_some_and(|note| note.child == child) {
            tokens.remove(&token);
        }
    }

    /// What the token stood for, which it does no longer.
    pub(crate) fn forget_token(&self, token: u32) -> Option<Tracked> {
        self.tokens.lock().remove(&token)
    }

    pub(crate) fn name(&self) -> impl fmt::Display + '_ {
        DomainName { adapter: self.adapter().name(), id: self.id }
    }
}

impl<A: AdapterProvider, P: Platform> DomainRef<A, P> {
    pub(crate) fn allocate(
        adapter: NonNull<Adapter<A, P>>,
        (id, child): (u64, usize),
        version: NDK_VERSION,
        provider: A::Pd,
    ) -> Self {
        let header = NDK_OBJECT_HEADER {
            Version: version,
            ObjectType: NdkObjectTypePd,
            NdkReserved: NDK_OBJECT_HEADER_RESERVED_BLOCK::ZEROED,
        };
        let domain = Box::new(Domain {
            ndk: CShared::new(NDK_PD { Header: header, Dispatch: dispatch::pd::table::<A, P>() }),
            refs: Refs::new(1),
            adapter,
            id,
            child,
            version,
            close: Cell::new(MaybeUninit::uninit()),
            children: Mutex::new(Slab::new()),
            tokens: Mutex::new(BTreeMap::new()),
            provider: ManuallyDrop::new(provider),
        });
        // SAFETY: a box is not null.
        Self(unsafe { NonNull::new_unchecked(Box::into_raw(domain)) })
    }

    /// The domain behind an `NDK_PD` pointer of this framework.
    ///
    /// # Safety
    /// `pd` was given out by this framework for these types; the domain is not closed.
    pub unsafe fn from_ndk(pd: NonNull<NDK_PD>) -> Self {
        Self(pd.cast())
    }

    /// The C object.
    pub fn as_ndk(self) -> NonNull<NDK_PD> {
        self.0.cast()
    }

    /// What the backend has made of the domain: for what a backend offers beside its traits.
    ///
    /// # Safety
    /// The domain is not closed while the reference is used.
    pub unsafe fn provider<'r>(self) -> &'r A::Pd {
        // SAFETY: the caller's promise.
        unsafe { &self.get().provider }
    }

    /// # Safety
    /// The domain is alive while the reference is used.
    pub(crate) unsafe fn get<'r>(self) -> &'r Domain<A, P> {
        // SAFETY: the caller's promise; no `&mut` to a domain is made while it is shared.
        unsafe { self.0.as_ref() }
    }

    /// # Errors
    /// INVALID_DEVICE_STATE while the domain is being closed (H7).
    ///
    /// # Safety
    /// The domain is not closed.
    pub(crate) unsafe fn check_open(self) -> Result<()> {
        // SAFETY: the caller's promise.
        if unsafe { self.get() }.refs.is_closing() {
            let cause = "the domain is being closed";
            return Err(Error::new(ErrorKind::InvalidDeviceState, cause).rule("H7"));
        }
        Ok(())
    }

    /// Tells the adapter's watch, if there is one.
    ///
    /// # Errors
    /// What the watch refuses the call with.
    ///
    /// # Safety
    /// The domain is alive, or its memory kept.
    pub(crate) unsafe fn see(self, event: Event<'_>) -> Result<()> {
        // SAFETY: the caller's promise.
        let domain = unsafe { self.get() };
        domain.adapter().see(domain.id, &domain.name(), event)
    }

    /// # Safety
    /// As for `see`.
    #[cold]
    pub(crate) unsafe fn log_refusal(self, call: &str, error: &Error) {
        // SAFETY: the caller's promise.
        unsafe {
            log::warn!("{}: {call} refused: {error}", self.get().name());
            let _ = self.see(Event::Refused { call, error });
        }
    }

    /// Takes a reference for a creation in Rust.
    ///
    /// # Errors
    /// INVALID_DEVICE_STATE while the domain is being closed (H7), else DEVICE_REMOVED (H8).
    ///
    /// # Safety
    /// The domain is not closed.
    pub(crate) unsafe fn hold(self) -> Result<Held<A, P>> {
        // SAFETY: the caller's promise.
        let (domain, open) = unsafe { (self.get(), self.check_open()) };
        // SAFETY: as above.
        let log = |error: &Error| unsafe { self.log_refusal("create in it", error) };
        open.inspect_err(log)?;
        domain.adapter().check_device()?;
        domain.enter().inspect_err(log)?;
        Ok(Held(self))
    }

    /// # Safety
    /// As for [`Domain::release`].
    unsafe fn release(self) {
        // SAFETY: the caller's promise.
        unsafe { Domain::release(self.0) };
    }

    pub(crate) fn pointer(self) -> NonNull<Domain<A, P>> {
        self.0
    }

    /// The token for local access through logical addresses (L5). C entry: `NdkGetPrivilegedMemoryRegionToken`.
    ///
    /// # Safety
    /// The domain is not closed.
    pub unsafe fn privileged_token(self) -> Option<LocalToken> {
        // SAFETY: the caller's promise.
        let domain = unsafe { self.get() };
        if domain.refs.is_closing() {
            // SAFETY: as above.
            let _ = unsafe { self.see(Event::NoToken { closing: true }) };
            return None;
        }
        let adapter = domain.adapter();
        contain("the privileged token", domain.name(), || {
            adapter.provider().privileged_token(&domain.provider)
        })
        .unwrap_or(None)
    }
}

/// A reference to a domain that goes when it is dropped.
pub(crate) struct Held<A: AdapterProvider, P: Platform>(DomainRef<A, P>);

impl<A: AdapterProvider, P: Platform> Held<A, P> {
    pub(crate) fn adapter(&self) -> &'static Adapter<A, P> {
        // SAFETY: the reference keeps the domain, and that the adapter; what is given is used while it is held.
        unsafe { self.0.get() }.adapter()
    }

    pub(crate) fn provider(&self) -> &A::Pd {
        // SAFETY: the reference keeps the domain.
        unsafe { &self.0.get().provider }
    }

    /// Puts something new on the domain's list.
    pub(crate) fn adopt(&self, child: Child<A, P>) -> usize {
        // SAFETY: the reference keeps the domain.
        unsafe { self.0.get() }.children.lock().insert(child)
    }

    /// Gives the reference to what was made.
    pub(crate) fn keep(self) -> DomainRef<A, P> {
        let domain = self.0;
        core::mem::forget(self);
        domain
    }
}

impl<A: AdapterProvider, P: Platform> Drop for Held<A, P> {
    fn drop(&mut self) {
        // SAFETY: the reference.
        unsafe { self.0.release() };
    }
}

impl<A: AdapterProvider, P: Platform> PartialEq for DomainRef<A, P> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<A: AdapterProvider, P: Platform> Eq for DomainRef<A, P> {}

struct DomainName<'a> {
    adapter: &'a str,
    id: u64,
}

impl fmt::Display for DomainName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/pd{}", self.adapter, self.id)
    }
}
