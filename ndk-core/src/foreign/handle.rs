//! A foreign object that is closed once nobody is inside it.

extern crate std;
use super::gate::Gate;
use super::reserved;
use crate::abi::{
    NDK_ADAPTER, NDK_FN_CREATE_COMPLETION, NDK_FN_REQUEST_COMPLETION, NDK_OBJECT_HEADER, NTSTATUS,
    PVOID,
};
use crate::call::ticket::{self, Watched};
use crate::call::{
    Created, Entry, Request, Running, entry, start_close, start_create, start_request,
};
use crate::error::Result;
use crate::leaked;
use crate::mdl::Mdl;
use crate::provider::Watch;
use alloc::sync::Arc;
use core::fmt;
use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, Ordering};
use std::sync::OnceLock;

/// What a handle stands for.
pub(super) trait Target: Sized + 'static {
    /// Nobody is inside, and nobody will be: closes the object, and tells the gate when that is over.
    fn close(handle: Handle<Self>);
}

struct Shared<T> {
    object: NonNull<T>,
    gate: Gate,
    /// Where a layer above watches the table.
    watched: OnceLock<Arc<Watched>>,
    /// Its reserved block was written to.
    stamped: AtomicBool,
}

/// Keeps the bookkeeping of an object; the object itself lives until its close.
pub(super) struct Handle<T: Target>(Arc<Shared<T>>);

// SAFETY: an NDK object may be used from any thread; the gate is behind a lock.
unsafe impl<T: Target> Send for Handle<T> {}
// SAFETY: as for Send.
unsafe impl<T: Target> Sync for Handle<T> {}

impl<T: Target> Handle<T> {
    /// # Safety
    /// The object is alive, keeps the contract, and is closed by nobody else.
    pub(super) unsafe fn new(object: NonNull<T>) -> Self {
        let watched = OnceLock::new();
        Self(Arc::new(Shared {
            object,
            gate: Gate::new(),
            watched,
            stamped: AtomicBool::new(false),
        }))
    }

    /// From now on its completions are watched. Nothing was called yet, nor is the handle shared.
    pub(super) fn watch_calls(&self, watch: &Arc<dyn Watch>, kind: &'static str) {
        let _ = self.0.watched.set(Watched::new(watch, kind));
    }

    /// From now on its completions and its header are watched; the object is fresh.
    pub(super) fn watch(&self, watch: &Arc<dyn Watch>, kind: &'static str) {
        let watched = Watched::new(watch, kind);
        // SAFETY: the object is alive, since its handle is new.
        unsafe { reserved::stamp(self.0.object.cast(), &watched) };
        let _ = self.0.watched.set(watched);
        self.0.stamped.store(true, Ordering::Release);
    }

    pub(super) fn watched(&self) -> Option<&Arc<Watched>> {
        self.0.watched.get()
    }

    /// # Safety
    /// The object is alive.
    unsafe fn check_header(&self) {
        if let Some(watched) = self.watched()
            && self.0.stamped.load(Ordering::Acquire)
        {
            // SAFETY: the caller's promise.
            unsafe { reserved::check(self.0.object.cast(), watched) };
        }
    }

    pub(super) fn gate(&self) -> &Gate {
        &self.0.gate
    }

    /// Keeps the object open, to call its entries.
    ///
    /// # Errors
    /// INVALID_DEVICE_STATE once the close was asked for.
    pub(super) fn enter(&self) -> Result<Inside<T>> {
        self.0.gate.enter()?;
        Ok(Inside(self.clone()))
    }

    /// Starts a request; `call` and the chain that it reads are for a watch.
    ///
    /// # Safety
    /// As for [`start_request`]; where the object is watched, the entry need not keep B1 and B2.
    pub(super) unsafe fn start_request<R: Request<Output = NTSTATUS>>(
        &self,
        call: &'static str,
        chain: Option<&Mdl>,
        request: R,
        entry: impl FnOnce(Option<NDK_FN_REQUEST_COMPLETION>, PVOID) -> NTSTATUS,
    ) -> Running<R> {
        // SAFETY: the caller's promise.
        unsafe {
            match self.watched() {
                Some(watched) => {
                    ticket::start_request(watched, (call, chain.cloned()), request, entry)
                }
                None => start_request(request, entry),
            }
        }
    }

    /// Starts a creation, as above.
    ///
    /// # Safety
    /// As above.
    pub(super) unsafe fn start_create<R: Request<Output = Created>>(
        &self,
        call: &'static str,
        request: R,
        entry: impl FnOnce(
            Option<NDK_FN_CREATE_COMPLETION>,
            PVOID,
            *mut *mut NDK_OBJECT_HEADER,
        ) -> NTSTATUS,
    ) -> Running<R> {
        // SAFETY: the caller's promise.
        unsafe {
            match self.watched() {
                Some(watched) => ticket::start_create(watched, call, request, entry),
                None => start_create(request, entry),
            }
        }
    }

    /// Asks for the close; it starts when nobody is inside.
    pub(super) fn ask_close(&self) {
        if self.0.gate.ask() {
            T::close(self.clone());
        }
    }

    /// Closes the object, and waits for the end of that; false where the object holds on to what it had.
    pub(super) async fn close(&self) -> bool {
        self.ask_close();
        self.0.gate.closed().await
    }
}

impl<T: Target> Clone for Handle<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Target> fmt::Debug for Handle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.0.object).finish()
    }
}

/// Somebody is inside the object, which therefore is not closed.
pub(super) struct Inside<T: Target>(Handle<T>);

impl<T: Target> Inside<T> {
    pub(super) fn handle(&self) -> &Handle<T> {
        &self.0
    }
}

impl<T: Target> Deref for Inside<T> {
    type Target = NonNull<T>;

    fn deref(&self) -> &NonNull<T> {
        &self.0.0.object
    }
}

impl<T: Target> Drop for Inside<T> {
    fn drop(&mut self) {
        // SAFETY: the object is not closed while somebody is inside.
        unsafe { self.0.check_header() };
        if self.0.0.gate.leave() {
            T::close(self.0.clone());
        }
    }
}

/// An adapter is closed by its opener, which waits for the gate.
impl Target for NDK_ADAPTER {
    fn close(handle: Handle<Self>) {
        handle.gate().close_done(true);
    }
}

struct Closing<T: Target>(Handle<T>);

impl<T: Target> Request for Closing<T> {
    type Output = NTSTATUS;

    fn unclaimed(self, status: NTSTATUS) {
        let closed = Entry::Close.check(status);
        if let Err(error) = &closed {
            log::error!("a foreign object could not be closed, and is leaked: {error} [H1]");
            if let Some(watched) = self.0.watched() {
                watched.broken(&["H1"], "its close failed");
            }
        }
        self.0.gate().close_done(closed.is_ok() && !leaked::is(self.0.0.object.addr()));
    }
}

impl<T: Target + entry::Object> Handle<T> {
    /// Calls the close entry; its end is told to the gate by whatever thread completes it.
    pub(super) fn start_close(self) {
        let object = self.0.object;
        // SAFETY: `new` was promised a live object that keeps the contract, and the gate lets one close through,
        // with nobody inside.
        let running = unsafe {
            self.check_header();
            let watched = self.watched().cloned();
            let close = |done, context| entry::close(object, done, context);
            match watched {
                Some(watched) => ticket::start_close(&watched, Closing(self), close),
                None => start_close(Closing(self), close),
            }
        };
        drop(running);
    }
}
