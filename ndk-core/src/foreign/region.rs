//! A region behind a foreign table.

use super::handle::{Handle, Target};
use crate::abi::{GUID, NDK_EXTENSION_INTERFACE, NDK_MR, NDK_VERSION, NTSTATUS, STATUS_SUCCESS};
use crate::access::{Access, LocalToken, RemoteToken};
use crate::call::{Entry, Request, Running, entry};
use crate::error::{Error, ErrorKind, Result};
use crate::mdl::{Mdl, MdlView};
use crate::provider::{MrProvider, Watch};
use alloc::sync::Arc;
use core::ptr::NonNull;

/// An `NDK_MR` of anybody's as an [`MrProvider`].
///
/// - An operation whose future is dropped (B9) goes on in C. The next one waits for its end, and a registration that
///   succeeds with nobody waiting is taken back at once.
/// - Cancelling ([`AdapterProvider::cancel`](crate::AdapterProvider::cancel)) starts the object's Close, which is the
///   one way to cancel that C has.
/// - Dropped without a close, it closes the object, and waits for nothing.
#[derive(Debug)]
pub struct ForeignRegion(Handle<NDK_MR>);

impl Target for NDK_MR {
    fn close(handle: Handle<Self>) {
        handle.start_close();
    }
}

/// A request in progress on a region: nothing else starts until this is dropped.
struct Busy(Handle<NDK_MR>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.gate().end();
    }
}

impl Busy {
    async fn begin(handle: &Handle<NDK_MR>) -> Result<Self> {
        handle.gate().begin().await?;
        Ok(Self(handle.clone()))
    }

    /// # Errors
    /// INVALID_DEVICE_STATE once the close was asked for.
    fn deregister(self) -> Result<Running<Deregistering>> {
        let inside = self.0.enter()?;
        let mr = *inside;
        // SAFETY: the region is open while this call is inside, and its table keeps the contract.
        Ok(unsafe {
            let handle = self.0.clone();
            handle.start_request("deregister", None, Deregistering(self), |done, context| {
                entry::deregister(mr, done, context)
            })
        })
    }
}

struct Registering {
    busy: Busy,
    /// A copy, since the consumer's chain is only there as long as the future is.
    _chain: Mdl,
}

impl Request for Registering {
    type Output = NTSTATUS;

    fn unclaimed(self, status: NTSTATUS) {
        if status == STATUS_SUCCESS {
            // Nobody heard of the registration, so nobody would end it. A close that is under way ends it too.
            drop(self.busy.deregister());
        }
    }
}

struct Deregistering(Busy);

impl Request for Deregistering {
    type Output = NTSTATUS;

    fn unclaimed(self, status: NTSTATUS) {
        match Entry::Deregister.check(status) {
            Ok(()) => self.0.0.gate().lapse(),
            Err(error) => log::warn!("a foreign region stays registered: {error}"),
        }
    }
}

struct Initialising(#[expect(dead_code, reason = "held for its drop")] Busy);

impl Request for Initialising {
    type Output = NTSTATUS;
}

impl ForeignRegion {
    /// # Safety
    /// As for [`Handle::new`].
    pub(super) unsafe fn new(mr: NonNull<NDK_MR>, watch: Option<&Arc<dyn Watch>>) -> Self {
        // SAFETY: the caller's promise.
        let handle = unsafe { Handle::new(mr) };
        if let Some(watch) = watch {
            handle.watch(watch, "a region");
        }
        Self(handle)
    }

    /// Starts the Close, which cancels what is pending.
    pub(super) fn cancel(&self) {
        self.0.ask_close();
    }
}

impl MrProvider for ForeignRegion {
    async fn register(&self, memory: MdlView<'_>, access: Access) -> Result<()> {
        let (chain, length) = (Mdl::like(memory)?, memory.len());
        let busy = Busy::begin(&self.0).await?;
        self.0.gate().take_lapse();
        let running = {
            let inside = self.0.enter()?;
            let (mr, memory) = (*inside, (chain.as_ptr(), length));
            // SAFETY: the region is open while this call is inside, its table keeps the contract, and the chain
            // stays with the request.
            unsafe {
                let kept = chain.clone();
                let request = Registering { busy, _chain: chain };
                self.0.start_request("register", Some(&kept), request, |done, context| {
                    entry::register(mr, memory, access.flags(), done, context)
                })
            }
        };
        let (_request, status) = running.await;
        Entry::Register.check(status)
    }

    async fn deregister(&self) -> Result<()> {
        let busy = Busy::begin(&self.0).await?;
        if self.0.gate().take_lapse() {
            return Ok(());
        }
        let (_request, status) = busy.deregister()?.await;
        Entry::Deregister.check(status)
    }

    async fn initialize_fast_register(&self, pages: u32, remote: bool) -> Result<()> {
        let busy = Busy::begin(&self.0).await?;
        let running = {
            let inside = self.0.enter()?;
            let mr = *inside;
            // SAFETY: the region is open while this call is inside, and its table keeps the contract.
            unsafe {
                let call = "initialise fast registration";
                self.0.start_request(call, None, Initialising(busy), |done, context| {
                    entry::initialize_fast_register(mr, pages, remote, done, context)
                })
            }
        };
        let (_request, status) = running.await;
        Entry::InitializeFastRegister.check(status)
    }

    async fn close(&self) -> Result<()> {
        match self.0.close().await {
            true => Ok(()),
            false => {
                Err(Error::new(ErrorKind::Internal, "the foreign region is leaked").rule("H1"))
            }
        }
    }

    fn local_token(&self) -> Option<LocalToken> {
        let inside = self.0.enter().ok()?;
        // SAFETY: the region is open while this call is inside.
        unsafe { entry::local_token(*inside) }
    }

    fn remote_token(&self) -> Option<RemoteToken> {
        let inside = self.0.enter().ok()?;
        // SAFETY: as above.
        unsafe { entry::remote_token(*inside) }
    }

    fn numbered(&self, id: u64) {
        if let Some(watched) = self.0.watched() {
            watched.numbered(id);
        }
    }

    fn query_extension(&self, id: &GUID, version: NDK_VERSION) -> Result<NDK_EXTENSION_INTERFACE> {
        let inside = self.0.enter()?;
        // SAFETY: as above.
        unsafe { entry::query_region(*inside, id, version) }
    }
}

impl Drop for ForeignRegion {
    fn drop(&mut self) {
        self.0.ask_close();
    }
}
