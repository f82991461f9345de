//! A region's object, owned: the requests that all kinds of regions share, and the close.

use super::Failed;
use crate::abi::{GUID, NDK_EXTENSION_INTERFACE, NDK_MR, NDK_VERSION, NTSTATUS};
use crate::access::{Access, LocalToken, RemoteToken};
use crate::call::{Entry, Request, Running, entry, start_close, start_request};
use crate::error::{Error, ErrorKind, Result};
use crate::leaked;
use crate::mdl::Mdl;
use core::fmt;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;

/// An `NDK_MR` that is ours to close, with what must live until it is: the memory that is, or for all we know may be,
/// registered.
///
/// As a [`Request`] it is a region with a request in progress: where nobody waits any more, the request's end drops
/// the region, which closes it.
pub(super) struct Object<M: Send + 'static> {
    mr: NonNull<NDK_MR>,
    kept: ManuallyDrop<Kept<M>>,
}

/// What must live until a region's close is over.
struct Kept<M> {
    memory: M,
    /// The memory of a registration that ended with INTERNAL_ERROR, and may be there all the same (B8).
    doubtful: Option<Mdl>,
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
        Self { mr, kept: ManuallyDrop::new(Kept { memory: (), doubtful: None }) }
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
            Err(error) => {
                let (mut object, memory) = object.with(());
                if error.kind() == ErrorKind::Internal {
                    object.kept.doubtful = Some(memory.clone());
                }
                Err(Failed { object: (object, memory), error })
            }
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
        &self.kept.memory
    }

    /// The same region with other memory, and what it had.
    fn with<N: Send + 'static>(self, memory: N) -> (Object<N>, M) {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: taken once, since what it is taken from is never dropped.
        let Kept { memory: old, doubtful } = unsafe { ManuallyDrop::take(&mut this.kept) };
        (Object { mr: this.mr, kept: ManuallyDrop::new(Kept { memory, doubtful }) }, old)
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
            let mut this = ManuallyDrop::new(self);
            // SAFETY: it is not used any more.
            unsafe { this.start_close() }
        };
        let (closing, status) = running.await;
        closing.finish(status)
    }

    /// # Safety
    /// Called once, and the object is not used or dropped afterwards.
    unsafe fn start_close(&mut self) -> Running<Closing<M>> {
        // SAFETY: the caller's promise.
        let kept = unsafe { ManuallyDrop::take(&mut self.kept) };
        let (mr, closing) = (self.mr, Closing { region: self.mr.addr(), kept });
        // SAFETY: `new`'s promises, and this is the one close.
        unsafe { start_close(closing, |done, context| entry::close(mr, done, context)) }
    }
}

impl<M: Send + 'static> Drop for Object<M> {
    fn drop(&mut self) {
        // SAFETY: nothing comes after the drop.
        drop(unsafe { self.start_close() });
    }
}

impl<M: Send + 'static> fmt::Debug for Object<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NDK_MR").field(&self.mr).finish()
    }
}

/// A region's close.
struct Closing<M> {
    region: leaked::Address,
    kept: Kept<M>,
}

impl<M: Send + 'static> Closing<M> {
    /// # Errors
    /// A device may still use what the region holds, which is leaked, with the memory: the provider refused to close, which
    /// it must not (H1), or the backend's close did not end (B8, B9).
    fn finish(self, status: NTSTATUS) -> Result<M> {
        let Self { region, kept } = self;
        let ended = Entry::Close.check(status).and_then(|()| match leaked::is(region) {
            false => Ok(()),
            true => {
                Err(Error::new(ErrorKind::Internal, "the backend's close did not end").rule("B8"))
            }
        });
        match ended {
            Ok(()) => Ok(kept.memory),
            Err(error) => {
                log::error!("a region could not be closed, and its memory is leaked: {error}");
                leaked::keep(kept);
                Err(error)
            }
        }
    }
}

impl<M: Send + 'static> Request for Closing<M> {
    type Output = NTSTATUS;

    fn unclaimed(self, status: NTSTATUS) {
        drop(self.finish(status));
    }
}
