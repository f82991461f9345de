//! A foreign object that is closed once nobody is inside it.

use super::gate::Gate;
use crate::abi::{NDK_ADAPTER, NTSTATUS, STATUS_SUCCESS};
use crate::call::{Entry, Request, entry, start_close};
use crate::error::Result;
use alloc::sync::Arc;
use core::fmt;
use core::ops::Deref;
use core::ptr::NonNull;

/// What a handle stands for.
pub(super) trait Target: Sized + 'static {
    /// Nobody is inside, and nobody will be: closes the object, and tells the gate when that is over.
    fn close(handle: Handle<Self>);
}

struct Shared<T> {
    object: NonNull<T>,
    gate: Gate,
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
        Self(Arc::new(Shared { object, gate: Gate::new() }))
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

    /// Asks for the close; it starts when nobody is inside.
    pub(super) fn ask_close(&self) {
        if self.0.gate.ask() {
            T::close(self.clone());
        }
    }

    /// Closes the object, and waits for the end of that.
    pub(super) async fn close(&self) {
        self.ask_close();
        self.0.gate.closed().await;
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

impl<T: Target> Deref for Inside<T> {
    type Target = NonNull<T>;

    fn deref(&self) -> &NonNull<T> {
        &self.0.0.object
    }
}

impl<T: Target> Drop for Inside<T> {
    fn drop(&mut self) {
        if self.0.0.gate.leave() {
            T::close(self.0.clone());
        }
    }
}

/// An adapter is closed by its opener, which waits for the gate.
impl Target for NDK_ADAPTER {
    fn close(handle: Handle<Self>) {
        handle.gate().close_done();
    }
}

struct Closing<T: Target>(Handle<T>);

impl<T: Target> Request for Closing<T> {
    type Output = NTSTATUS;

    fn unclaimed(self, status: NTSTATUS) {
        if status != STATUS_SUCCESS
            && let Err(error) = Entry::Close.check(status)
        {
            log::error!("a foreign object could not be closed, and is leaked: {error} [H1]");
        }
        self.0.gate().close_done();
    }
}

impl<T: Target + entry::Object> Handle<T> {
    /// Calls the close entry; its end is told to the gate by whatever thread completes it.
    pub(super) fn start_close(self) {
        let object = self.0.object;
        // SAFETY: `new` was promised a live object that keeps the contract, and the gate lets one close through,
        // with nobody inside.
        let running = unsafe {
            start_close(Closing(self), |done, context| entry::close(object, done, context))
        };
        drop(running);
    }
}
