//! A protection domain behind a foreign table.

use super::handle::{Handle, Inside, Target};
use super::region::ForeignRegion;
use crate::abi::{NDK_MR, NDK_PD};
use crate::access::LocalToken;
use crate::call::{Created, Entry, Request, entry};
use crate::error::{Error, ErrorKind, Result};
use crate::provider::{RegionKind, Watch};
use alloc::sync::Arc;
use core::ptr::NonNull;

/// An `NDK_PD` of anybody's. Dropped without a close, it closes the object, and waits for nothing.
#[derive(Debug)]
pub struct ForeignPd(Handle<NDK_PD>);

impl Target for NDK_PD {
    fn close(handle: Handle<Self>) {
        handle.start_close();
    }
}

/// The object that a creation gave, or why it gave none.
pub(super) fn created<T>(entry: Entry, created: &Created) -> Result<NonNull<T>> {
    entry.check(created.status)?;
    NonNull::new(created.object.cast())
        .ok_or_else(|| Error::new(ErrorKind::Internal, "the provider created null"))
}

/// Keeps the domain from closing until the region is there, or is not.
struct CreatingRegion(Inside<NDK_PD>);

impl Request for CreatingRegion {
    type Output = Created;

    fn unclaimed(self, output: Created) {
        drop(self.adopt(&output));
    }
}

impl CreatingRegion {
    fn adopt(&self, output: &Created) -> Result<ForeignRegion> {
        let region = created::<NDK_MR>(Entry::CreateMr, output)?;
        let watch = self.0.handle().watched().and_then(|watched| watched.watch());
        // SAFETY: fresh from its creation, and nobody else has it.
        Ok(unsafe { ForeignRegion::new(region, watch.as_ref()) })
    }
}

impl ForeignPd {
    /// # Safety
    /// As for [`Handle::new`].
    pub(super) unsafe fn new(pd: NonNull<NDK_PD>, watch: Option<&Arc<dyn Watch>>) -> Self {
        // SAFETY: the caller's promise.
        let handle = unsafe { Handle::new(pd) };
        if let Some(watch) = watch {
            handle.watch(watch, "a domain");
        }
        Self(handle)
    }

    pub(super) async fn create_mr(&self, kind: RegionKind) -> Result<ForeignRegion> {
        let inside = self.0.enter()?;
        let fast = kind == RegionKind::FastRegister;
        // SAFETY: the domain is open, since the request is inside, and its table keeps the contract.
        let running = unsafe {
            let pd = *inside;
            let create = |done, context, out| entry::create_mr(pd, fast, done, context, out);
            self.0.start_create("create region", CreatingRegion(inside), create)
        };
        let (request, output) = running.await;
        request.adopt(&output)
    }

    pub(super) fn privileged_token(&self) -> Option<LocalToken> {
        let inside = self.0.enter().ok()?;
        // SAFETY: the domain is open while somebody is inside.
        unsafe { entry::privileged_token(*inside) }
    }

    /// One that failed was logged: a domain's close has nothing to leave to a device.
    pub(super) async fn close(&self) {
        let _ended = self.0.close().await;
    }
}

impl Drop for ForeignPd {
    fn drop(&mut self) {
        self.0.ask_close();
    }
}
