//! A protection domain behind a foreign table.

use super::handle::{Handle, Inside, Target};
use super::region::ForeignRegion;
use crate::abi::{NDK_MR, NDK_PD};
use crate::access::LocalToken;
use crate::call::{Created, Entry, Request, entry, start_create};
use crate::error::{Error, ErrorKind, Result};
use crate::provider::RegionKind;
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
struct CreatingRegion(#[expect(dead_code, reason = "held for its drop")] Inside<NDK_PD>);

impl Request for CreatingRegion {
    type Output = Created;

    fn unclaimed(self, output: Created) {
        drop(Self::adopt(&output));
    }
}

impl CreatingRegion {
    fn adopt(output: &Created) -> Result<ForeignRegion> {
        let region = created::<NDK_MR>(Entry::CreateMr, output)?;
        // SAFETY: fresh from its creation, and nobody else has it.
        Ok(unsafe { ForeignRegion::new(region) })
    }
}

impl ForeignPd {
    /// # Safety
    /// As for [`Handle::new`].
    pub(super) unsafe fn new(pd: NonNull<NDK_PD>) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { Handle::new(pd) })
    }

    pub(super) async fn create_mr(&self, kind: RegionKind) -> Result<ForeignRegion> {
        let inside = self.0.enter()?;
        let fast = kind == RegionKind::FastRegister;
        // SAFETY: the domain is open, since the request is inside, and its table keeps the contract.
        let running = unsafe {
            let pd = *inside;
            start_create(CreatingRegion(inside), |done, context, out| {
                entry::create_mr(pd, fast, done, context, out)
            })
        };
        let (_request, output) = running.await;
        CreatingRegion::adopt(&output)
    }

    pub(super) fn privileged_token(&self) -> Option<LocalToken> {
        let inside = self.0.enter().ok()?;
        // SAFETY: the domain is open while somebody is inside.
        unsafe { entry::privileged_token(*inside) }
    }

    pub(super) async fn close(&self) {
        self.0.close().await;
    }
}

impl Drop for ForeignPd {
    fn drop(&mut self) {
        self.0.ask_close();
    }
}
