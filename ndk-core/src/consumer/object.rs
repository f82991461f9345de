//! A region's object, owned: the requests that all kinds of regions share, and the close.

use super::Failed;
use crate::abi::{GUID, NDK_EXTENSION_INTERFACE, NDK_MR, NDK_VERSION, NTSTATUS};
use crate::access::{Access, LocalToken, RemoteToken};
use crate::call::{Entry, Request, Running, entry, start_close, start_request};
use crate::error::Result;
use crate::mdl::Mdl;
use core::fmt;
use core::mem::{self, ManuallyDrop};
use core::ptr::NonNull;

/// An `NDK_MR` that is ours to close, with what must live until it is: the memory that is, or for all we know may be,
/// registered.
///
/// As a [`Request`] it is a region with a request in progress: where nobody waits any more, the request's end drops
/// the region, which closes it.
pub(super) struct Object<M: Send + 'static> {
    mr: NonNull<NDK_MR>,
    memory: ManuallyDrop<M>,
}

// SAFETY: an NDK object may be used from any thread.
unsafe impl<M: Send> Send for Object<M> {}
// SAFETY: as for Send; what `&self` gives are the entries that may be called at any time, and a shared memory.
unsafe impl<M: Send + Sync> Sync for Object<M> {}

impl<M: Send + 'static> Request for Object<M> {
    type Output = NTSTATUS;
}

impl Object<()> {
    /// # Safety
    /// The region is alive, nobody else closes it, nothing is pending on it, and its table keeps the contract.
    pub(super) unsafe fn new(mr: NonNull<NDK_MR>) -> Self {
        Self { mr, memory: ManuallyDrop::new(()) }
    }

    pub(super) async fn register(
        self,
        memory: Mdl,
        length: usize,
        access: Access,
    ) -> Result<Object<Mdl>, Failed<(Self, Mdl)>> {
        let running = {
            let (mr, chain) = (self.mr, (memory.as_ptr(), length));
            let (object, ()) = self.with(memory);
            // SAFETY: `new`'s promises; chain and memory stay with the object, whose close ends before they go.
            unsafe {
                start_request(object, |done, context| {
                    entry::register(mr, chain, access.flags(), done, context)
                })
            }
        };
        let (object, status) = running.await;
        match Entry::Register.check(status) {
            Ok(()) => Ok(object),
            Err(error) => Err(Failed { object: object.with(()), error }),
        }
    }

    pub(super) async fn initialize(self, pages: u32, remote: bool) -> Result<Self, Failed<Self>> {
        let running = {
            let mr = self.mr;
            // SAFETY: `new`'s promises.
            unsafe {
                start_request(self, |done, context| {
                    entry::initialize_fast_register(mr, pages, remote, done, context)
                })
            }
        };
        let (object, status) = running.await;
        match Entry::InitializeFastRegister.check(status) {
            Ok(()) => Ok(object),
            Err(error) => Err(Failed { object, error }),
        }
    }
}

impl Object<Mdl> {
    pub(super) async fn deregister(self) -> Result<(Object<()>, Mdl), Failed<Self>> {
        let running = {
            let mr = self.mr;
            // SAFETY: `new`'s promises.
            unsafe { start_request(self, |done, context| entry::deregister(mr, done, context)) }
        };
        let (object, status) = running.await;
        match Entry::Deregister.check(status) {
            Ok(()) => Ok(object.with(())),
            Err(error) => Err(Failed { object, error }),
        }
    }
}

impl<M: Send + 'static> Object<M> {
    pub(super) fn as_ndk(&self) -> NonNull<NDK_MR> {
        self.mr
    }

    pub(super) fn memory(&self) -> &M {
        &self.memory
    }

    /// The same region with other memory, and what it had.
    fn with<N: Send + 'static>(self, memory: N) -> (Object<N>, M) {
        let (mr, old) = self.into_parts();
        (Object { mr, memory: ManuallyDrop::new(memory) }, old)
    }

    /// Takes the object apart, without closing it.
    fn into_parts(self) -> (NonNull<NDK_MR>, M) {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: taken once, since what it is taken from is never dropped.
        (this.mr, unsafe { ManuallyDrop::take(&mut this.memory) })
    }

    pub(super) fn local_token(&self) -> Option<LocalToken> {
        // SAFETY: the region is alive until this is closed or dropped.
        unsafe { entry::local_token(self.mr) }
    }

    pub(super) fn remote_token(&self) -> Option<RemoteToken> {
        // SAFETY: as above.
        unsafe { entry::remote_token(self.mr) }
    }

    pub(super) fn query_extension(
        &self,
        id: &GUID,
        version: NDK_VERSION,
    ) -> Result<NDK_EXTENSION_INTERFACE> {
        // SAFETY: as above.
        unsafe { entry::query_region(self.mr, id, version) }
    }

    /// Closes, and gives the memory back.
    pub(super) async fn close(self) -> Result<M> {
        let running = {
            let (mr, memory) = self.into_parts();
            // SAFETY: `new`'s promises; the object was taken apart, so this is the one close.
            unsafe { close(mr, memory) }
        };
        let (closing, status) = running.await;
        closing.finish(status)
    }
}

impl<M: Send + 'static> Drop for Object<M> {
    fn drop(&mut self) {
        // SAFETY: taken once, here; `new`'s promises, and this is the one close.
        drop(unsafe { close(self.mr, ManuallyDrop::take(&mut self.memory)) });
    }
}

impl<M: Send + 'static> fmt::Debug for Object<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NDK_MR").field(&self.mr).finish()
    }
}

/// Starts an object's close.
///
/// # Safety
/// The object is alive, its table keeps the contract, and it is not used or closed again.
pub(super) unsafe fn close<T: entry::Object, K: Send + 'static>(
    object: NonNull<T>,
    kept: K,
) -> Running<Closing<K>> {
    // SAFETY: the caller's promises.
    unsafe { start_close(Closing(kept), |done, context| entry::close(object, done, context)) }
}

/// What is kept until an object's close is over.
pub(super) struct Closing<K>(K);

impl<K> Closing<K> {
    /// # Errors
    /// The provider refused to close, which it must not (H1): what the object holds stays leaked, since a device may
    /// still use it.
    pub(super) fn finish(self, status: NTSTATUS) -> Result<K> {
        match Entry::Close.check(status) {
            Ok(()) => Ok(self.0),
            Err(error) => {
                log::error!("an object could not be closed, and is leaked: {error} [H1]");
                mem::forget(self);
                Err(error)
            }
        }
    }
}

impl<K: Send + 'static> Request for Closing<K> {
    type Output = NTSTATUS;

    fn unclaimed(self, status: NTSTATUS) {
        drop(self.finish(status));
    }
}
