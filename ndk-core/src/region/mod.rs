//! The framework's memory region: state, argument checks, pending requests, close order. The C entries are a thin
//! shell over it, and a Rust program may use it without them.

mod close;
mod fast;
mod initialise;
mod request;
mod slot;
mod snapshot;
mod task;
mod watched;
mod word;

use crate::abi::{
    GUID, MDL, NDK_EXTENSION_INTERFACE, NDK_FN_REQUEST_COMPLETION, NDK_MR, NDK_MR_DISPATCH,
    NDK_OBJECT_HEADER, NDK_OBJECT_HEADER_RESERVED_BLOCK, NDK_VERSION, NdkObjectTypeMr, PVOID,
    ULONG,
};
use crate::access::{Access, LocalToken, RemoteToken};
use crate::adapter::Adapter;
use crate::completion::CloseCompletion;
use crate::contain::contain;
use crate::domain::Domain;
use crate::error::{Error, ErrorKind, Result};
use crate::mdl::MdlView;
use crate::platform::Platform;
use crate::prefetch::prefetch;
use crate::provider::{AdapterProvider, MrProvider, RegionKind};
use crate::sync::{AtomicU64, CShared, Cell, Mutex};
use alloc::collections::VecDeque;
use core::alloc::Layout;
use core::fmt;
use core::mem::{ManuallyDrop, MaybeUninit};
use core::ptr::NonNull;
use fast::Registration;
use initialise::QueuedInit;
use request::Request;
use snapshot::{Op, poisoned};
use word::Word;

/// How a request that was accepted goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is done; the completion will not be called (B1).
    Done,
    /// The completion will be called once, and may have been already (B2, B3).
    Pending,
}

/// The object behind an `NDK_MR`, which is its first field; the request slot follows it in the same allocation.
#[repr(C)]
struct Region<A: AdapterProvider, P: Platform> {
    ndk: CShared<NDK_MR>,
    word: Word,
    domain: NonNull<Domain<A, P>>,
    /// Here, so that what every request uses is on few lines of cache.
    provider: ManuallyDrop<A::Mr>,
    /// What the last committed initialisation allows: pages, and remote access in bit 32.
    initialised: AtomicU64,
    /// Which initialisation that was, by a number that no other region or window of the adapter has.
    round: AtomicU64,
    /// The token by which the domain's list of invalidatable tokens names the region; 0 for none.
    listed: AtomicU64,
    /// The name's number, and the place in the domain's list of children.
    id: u64,
    child: usize,
    /// Written by the one Close that set the closing flag, read by the one that closes.
    close: Cell<MaybeUninit<CloseCompletion>>,
    /// Belongs to the operation in progress; written when it pends.
    request: Cell<MaybeUninit<Request>>,
    queue: Mutex<P, VecDeque<QueuedInit>>,
    /// Locked for each step to and from a fast registration whose posting matters.
    registration: Mutex<P, Registration>,
}

/// A pointer to a region of the framework, as an `NDK_MR` pointer is one.
///
/// Like the C pointer it is valid from the region's creation until its close has completed, and copying it is free.
/// The safe wrapper over it is the consumer side.
pub struct RegionRef<A: AdapterProvider, P: Platform>(NonNull<Region<A, P>>);

impl<A: AdapterProvider, P: Platform> Clone for RegionRef<A, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A: AdapterProvider, P: Platform> Copy for RegionRef<A, P> {}

impl<A: AdapterProvider, P: Platform> PartialEq for RegionRef<A, P> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<A: AdapterProvider, P: Platform> Eq for RegionRef<A, P> {}

// SAFETY: a region is used from any thread: its word is atomic, its cells belong to whoever holds the operation or
// the close, the backend's region is Send + Sync, and the domain pointer is kept alive by the reference that the
// region holds.
unsafe impl<A: AdapterProvider, P: Platform> Send for RegionRef<A, P> {}
// SAFETY: as for Send; the pointer itself has no state.
unsafe impl<A: AdapterProvider, P: Platform> Sync for RegionRef<A, P> {}

impl<A: AdapterProvider, P: Platform> RegionRef<A, P> {
    /// Region and slot in one allocation; the slot's offset in it.
    const LAYOUT: (Layout, usize) =
        match Layout::new::<Region<A, P>>().extend(slot::layout::<A::Mr>()) {
            Ok((layout, offset)) => (layout.pad_to_align(), offset),
            Err(_) => panic!("a region's layout is far below the limit"),
        };

    /// Makes the region's object; it takes over a reference to `domain`. `None` where memory is short.
    pub(crate) fn allocate(
        domain: NonNull<Domain<A, P>>,
        (id, child): (u64, usize),
        version: NDK_VERSION,
        kind: RegionKind,
        provider: A::Mr,
        dispatch: &'static NDK_MR_DISPATCH,
    ) -> core::result::Result<Self, A::Mr> {
        // SAFETY: the layout's size is not 0.
        let memory = unsafe { alloc::alloc::alloc(Self::LAYOUT.0) };
        let Some(region) = NonNull::new(memory.cast::<Region<A, P>>()) else {
            return Err(provider);
        };
        let header = NDK_OBJECT_HEADER {
            Version: version,
            ObjectType: NdkObjectTypeMr,
            NdkReserved: NDK_OBJECT_HEADER_RESERVED_BLOCK::ZEROED,
        };
        let value = Region {
            ndk: CShared::new(NDK_MR { Header: header, Dispatch: dispatch }),
            word: Word::new(kind == RegionKind::FastRegister),
            domain,
            provider: ManuallyDrop::new(provider),
            initialised: AtomicU64::new(0),
            round: AtomicU64::new(0),
            listed: AtomicU64::new(0),
            id,
            child,
            close: Cell::new(MaybeUninit::uninit()),
            request: Cell::new(MaybeUninit::uninit()),
            queue: Mutex::new(VecDeque::new()),
            registration: Mutex::new(Registration::default()),
        };
        // SAFETY: fresh memory of that layout.
        unsafe { region.write(value) };
        Ok(Self(region))
    }

    /// The region that an `NDK_MR` pointer given out by this framework for these types points to.
    ///
    /// # Safety
    /// As said; the region is not closed.
    pub unsafe fn from_ndk(mr: NonNull<NDK_MR>) -> Self {
        Self(mr.cast())
    }

    /// The C object.
    pub fn as_ndk(self) -> NonNull<NDK_MR> {
        self.0.cast()
    }

    /// # Safety
    /// The region is alive while the reference is used.
    unsafe fn get<'r>(self) -> &'r Region<A, P> {
        // SAFETY: the caller's promise; no `&mut` to a region is ever made, and what C or an operation writes is
        // behind cells.
        unsafe { self.0.as_ref() }
    }

    /// Asks for what a request uses of the region that is at this address, if one is. Of the first line too an entry knows
    /// nothing yet when it begins, and the lines come at the same time.
    #[inline(always)]
    pub(crate) fn prefetch_at(mr: *const NDK_MR) {
        let start: *const u8 = mr.cast();
        // As far as a backend's fields that come first are likely to reach, wherever in its line the region begins.
        [64, 128, 160].into_iter().for_each(|offset| prefetch(start.wrapping_add(offset)));
    }

    /// To let a reference go by.
    fn word(self) -> *const Word {
        // SAFETY: a field of the allocation that the pointer is of; nothing is read.
        unsafe { &raw const (*self.0.as_ptr()).word }
    }

    /// # Safety
    /// As for `get`.
    unsafe fn adapter<'r>(self) -> &'r Adapter<A, P> {
        // SAFETY: the region holds a reference to its domain, which holds one to the adapter.
        unsafe { self.get().domain.as_ref().adapter() }
    }

    fn slot(self) -> *mut u8 {
        // SAFETY: the offset is inside the allocation, whose provenance the pointer has.
        unsafe { self.0.as_ptr().cast::<u8>().add(Self::LAYOUT.1) }
    }

    /// The backend's region.
    ///
    /// # Safety
    /// The region is alive while the reference is used.
    pub(crate) unsafe fn provider<'r>(self) -> &'r A::Mr {
        // SAFETY: the caller's promise.
        unsafe { &self.get().provider }
    }

    /// Registers the first `length` bytes of the chain. C entry: `NdkRegisterMr`, whose statuses it gives.
    ///
    /// State and arguments are checked before the device, so that what is wrong has its own status on a lost one too.
    /// The base address plus `length` must not wrap, be it to 0 exactly (C7).
    ///
    /// # Errors
    /// INVALID_PARAMETER (A7, C1, C3 to C8, C15), INVALID_DEVICE_STATE (C11, C12, H7), DEVICE_REMOVED (H8),
    /// INTERNAL_ERROR (B8), and what the backend gives: INSUFFICIENT_RESOURCES (C14), NOT_SUPPORTED (K2).
    ///
    /// # Safety
    /// The region is not closed; `mdl` is null or a chain as [`MdlView::new`] asks, unchanged until the request has
    /// completed; `routine` may be called once with `context` from any thread.
    #[inline]
    pub unsafe fn register(
        self,
        mdl: *const MDL,
        length: usize,
        flags: ULONG,
        routine: Option<NDK_FN_REQUEST_COMPLETION>,
        context: PVOID,
    ) -> Result<Progress> {
        // SAFETY: the caller's promises.
        unsafe {
            self.register_and::<false, _>(mdl, length, flags, (routine, context), |told| told)
        }
    }

    /// As `register`; gives what `tell` makes of the outcome. Quicker where it is right about whether somebody watches.
    ///
    /// # Safety
    /// As for `register`.
    #[inline(always)]
    pub(crate) unsafe fn register_and<const WATCHED: bool, R>(
        self,
        mdl: *const MDL,
        length: usize,
        flags: ULONG,
        (routine, context): (Option<NDK_FN_REQUEST_COMPLETION>, PVOID),
        tell: impl Fn(Result<Progress>) -> R,
    ) -> R {
        // SAFETY: the caller's promises.
        unsafe {
            // Each failure has its own way out, so that a success builds no result on the way.
            let done = match self.accept::<WATCHED>(Op::Register, routine, context) {
                Ok(done) => done,
                Err(error) => return tell(Err(error)),
            };
            let access = match Access::from_flags(flags) {
                Ok(access) => access,
                Err(error) => return tell(self.fail_arguments(error)),
            };
            // The request's future, which gets the view, ends before the request does.
            let memory = match MdlView::new(mdl, length) {
                Ok(memory) => memory,
                Err(error) => return tell(self.fail_arguments(error)),
            };
            if length > self.adapter().info().MaxRegistrationSize {
                return tell(self.fail_arguments(above_the_largest()));
            }
            let at_once = |region: &A::Mr| region.register_at_once(memory, access);
            let make = move |region: &'static A::Mr| region.register(memory, access);
            self.start(Op::Register, done, at_once, make, tell)
        }
    }

    /// Ends the registration. C entry: `NdkDeregisterMr`, whose statuses it gives.
    ///
    /// # Errors
    /// INVALID_PARAMETER (A7), INVALID_DEVICE_STATE (D1, H7), DEVICE_BUSY (D2), DEVICE_REMOVED (H8),
    /// INTERNAL_ERROR (B8).
    ///
    /// # Safety
    /// The region is not closed; `routine` may be called once with `context` from any thread.
    #[inline]
    pub unsafe fn deregister(
        self,
        routine: Option<NDK_FN_REQUEST_COMPLETION>,
        context: PVOID,
    ) -> Result<Progress> {
        // SAFETY: the caller's promises.
        unsafe { self.deregister_and::<false, _>(routine, context, |told| told) }
    }

    /// As `register_and`.
    ///
    /// # Safety
    /// As for `deregister`.
    #[inline(always)]
    pub(crate) unsafe fn deregister_and<const WATCHED: bool, R>(
        self,
        routine: Option<NDK_FN_REQUEST_COMPLETION>,
        context: PVOID,
        tell: impl Fn(Result<Progress>) -> R,
    ) -> R {
        // SAFETY: the caller's promises.
        unsafe {
            let done = match self.accept::<WATCHED>(Op::Deregister, routine, context) {
                Ok(done) => done,
                Err(error) => return tell(Err(error)),
            };
            let at_once = MrProvider::deregister_at_once;
            self.start(Op::Deregister, done, at_once, |region| region.deregister(), tell)
        }
    }

    /// Prepares for fast registration. C entry: `NdkInitializeFastRegisterMr`, whose statuses it gives.
    ///
    /// # Errors
    /// INVALID_PARAMETER (A7, G2), IMPLEMENTATION_LIMIT (G2), INVALID_DEVICE_STATE (G1, G3, H7), DEVICE_REMOVED
    /// (H8), INTERNAL_ERROR (B8), and what the backend gives.
    ///
    /// # Safety
    /// As for [`deregister`](Self::deregister).
    pub unsafe fn initialize_fast_register(
        self,
        pages: ULONG,
        remote: bool,
        routine: Option<NDK_FN_REQUEST_COMPLETION>,
        context: PVOID,
    ) -> Result<Progress> {
        // SAFETY: the caller's promises.
        unsafe { self.initialise(pages, remote, routine, context) }
    }

    /// The local token, or `None` where there is none (E1). C entry: `NdkGetLocalTokenFromMr`.
    ///
    /// # Safety
    /// The region is not closed.
    #[inline]
    pub unsafe fn local_token(self) -> Option<LocalToken> {
        // SAFETY: the caller's promise.
        unsafe { self.token(MrProvider::local_token) }
    }

    /// The remote token, or `None` where there is none (E1). C entry: `NdkGetRemoteTokenFromMr`.
    ///
    /// # Safety
    /// The region is not closed.
    #[inline]
    pub unsafe fn remote_token(self) -> Option<RemoteToken> {
        // SAFETY: the caller's promise.
        unsafe { self.token(MrProvider::remote_token) }
    }

    /// # Safety
    /// The region is not closed.
    #[inline]
    unsafe fn token<T>(self, ask: impl FnOnce(&A::Mr) -> Option<T>) -> Option<T> {
        // SAFETY: the caller's promise.
        let region = unsafe { self.get() };
        if !region.word.load().has_tokens() {
            // SAFETY: as above.
            return unsafe { self.no_token() };
        }
        contain("a token getter", self.name(), || ask(&region.provider)).unwrap_or_else(|_| {
            region.word.poison();
            None
        })
    }

    /// A vendor's extension interface. C entry: `NdkQueryExtension`. Changes nothing.
    ///
    /// # Errors
    /// NOT_SUPPORTED (A5), INVALID_DEVICE_STATE (H7), INTERNAL_ERROR (B8).
    ///
    /// # Safety
    /// The region is not closed.
    pub unsafe fn query_extension(
        self,
        id: &GUID,
        version: NDK_VERSION,
    ) -> Result<NDK_EXTENSION_INTERFACE> {
        // SAFETY: the caller's promise.
        let region = unsafe { self.get() };
        if let Err(error) = region.word.load().check_alive() {
            // SAFETY: as above.
            return Err(unsafe { self.refuse_query(error) });
        }
        contain("query-extension", self.name(), || region.provider.query_extension(id, version))
            .unwrap_or_else(|_| {
                region.word.poison();
                Err(poisoned())
            })
    }

    /// The region's name in log lines, to be shown while it is alive.
    pub(crate) fn name(self) -> RegionName<A, P> {
        RegionName(self)
    }
}

#[cold]
#[inline(never)]
fn above_the_largest() -> Error {
    let cause = "the length is above the adapter's MaxRegistrationSize";
    Error::new(ErrorKind::InvalidParameter, cause).rule("C8")
}

/// Displays as `adapter/pdN/mrM`. To be used while the region is alive.
pub(crate) struct RegionName<A: AdapterProvider, P: Platform>(RegionRef<A, P>);

impl<A: AdapterProvider, P: Platform> fmt::Display for RegionName<A, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: names are made and shown inside calls for which the region is alive.
        let region = unsafe { self.0.get() };
        // SAFETY: the region keeps its domain alive.
        let domain = unsafe { region.domain.as_ref() };
        write!(f, "{}/mr{}", domain.name(), region.id)
    }
}

impl<A: AdapterProvider, P: Platform> fmt::Debug for RegionRef<A, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RegionRef").field(&self.0).finish()
    }
}
