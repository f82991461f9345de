//! Protection domains.

use super::adapter::Open;
use super::object::Object;
use super::{FastRegion, Region};
use crate::abi::{NDK_PD, NTSTATUS};
use crate::access::LocalToken;
use crate::call::{Created, Entry, Request, Running, entry, start_close, start_create};
use crate::error::{Error, ErrorKind, Result};
use crate::provider::RegionKind;
use alloc::sync::Arc;
use core::fmt;
use core::mem::{self, ManuallyDrop};
use core::ptr::NonNull;
use futures_lite::future::block_on;

/// A protection domain: what makes regions. It keeps its adapter open.
///
/// Its close waits for the regions made in it, which go on working (H4). Dropped, it is closed without waiting.
pub struct ProtectionDomain {
    pd: NonNull<NDK_PD>,
    adapter: ManuallyDrop<Option<Arc<Open>>>,
}

// SAFETY: an NDK object may be used from any thread.
unsafe impl Send for ProtectionDomain {}
// SAFETY: as for Send; what `&self` gives are the entries that may be called at any time.
unsafe impl Sync for ProtectionDomain {}

impl ProtectionDomain {
    /// Takes over a domain of any provider.
    ///
    /// # Safety
    /// - The domain is open, its adapter stays open until the domain's close is over, nobody else closes it, and it
    ///   may be used from any thread.
    /// - Its table, and those of its regions, keep the contract.
    pub unsafe fn from_ndk(pd: NonNull<NDK_PD>) -> Self {
        Self { pd, adapter: ManuallyDrop::new(None) }
    }

    /// The domain of a creation that succeeded.
    ///
    /// # Safety
    /// As for `from_ndk`, but that the adapter is kept open here.
    pub(super) unsafe fn new(pd: NonNull<NDK_PD>, adapter: Arc<Open>) -> Self {
        Self { pd, adapter: ManuallyDrop::new(Some(adapter)) }
    }

    /// Makes a region for conventional registration. C entry: `NdkCreateMr`.
    ///
    /// # Errors
    /// INSUFFICIENT_RESOURCES past the adapter's limit of regions (C14), CANCELLED (B9), DEVICE_REMOVED (H8),
    /// INTERNAL_ERROR (B8).
    pub async fn create_region(&self) -> Result<Region> {
        self.create(RegionKind::Conventional).await.map(Region::new)
    }

    /// As [`create_region`](Self::create_region), and waits.
    ///
    /// # Errors
    /// As for `create_region`.
    pub fn create_region_blocking(&self) -> Result<Region> {
        block_on(self.create_region())
    }

    /// Makes a region for fast registration. C entry: `NdkCreateMr`.
    ///
    /// # Errors
    /// As for [`create_region`](Self::create_region); NOT_SUPPORTED on a device without fast registration.
    pub async fn create_fast_region(&self) -> Result<FastRegion> {
        self.create(RegionKind::FastRegister).await.map(FastRegion::new)
    }

    /// As [`create_fast_region`](Self::create_fast_region), and waits.
    ///
    /// # Errors
    /// As for `create_fast_region`.
    pub fn create_fast_region_blocking(&self) -> Result<FastRegion> {
        block_on(self.create_fast_region())
    }

    async fn create(&self, kind: RegionKind) -> Result<Object<()>> {
        let (_request, output) = self.start_create(kind).await;
        adopt(&output)
    }

    fn start_create(&self, kind: RegionKind) -> Running<CreatingRegion> {
        let (pd, fast) = (self.pd, kind == RegionKind::FastRegister);
        // SAFETY: the domain is not closed, and its table keeps the contract.
        unsafe {
            start_create(CreatingRegion, |done, context, out| {
                entry::create_mr(pd, fast, done, context, out)
            })
        }
    }

    /// The token for local requests on logical addresses, the same for the life of the domain (L5). It never grants
    /// remote access (E6). C entry: `NdkGetPrivilegedMemoryRegionToken`.
    ///
    /// `None` where the provider has no such token.
    pub fn privileged_token(&self) -> Option<LocalToken> {
        // SAFETY: the domain is not closed.
        unsafe { entry::privileged_token(self.pd) }
    }

    /// The C object. It is this domain's to close.
    pub fn as_ndk(&self) -> NonNull<NDK_PD> {
        self.pd
    }

    /// Closes the domain; with regions alive that waits until the last one is closed (H4). C entry: `NdkClosePd`.
    ///
    /// # Errors
    /// None with a provider that keeps the contract (H1). One that refuses leaks the object.
    pub async fn close(self) -> Result<()> {
        let running = {
            let mut this = ManuallyDrop::new(self);
            // SAFETY: taken once, since what it is taken from is never dropped; so this is the one close.
            unsafe { close(this.pd, ManuallyDrop::take(&mut this.adapter)) }
        };
        let (closing, status) = running.await;
        closing.finish(status)
    }

    /// As [`close`](Self::close), and waits.
    ///
    /// # Errors
    /// As for `close`.
    pub fn close_blocking(self) -> Result<()> {
        block_on(self.close())
    }
}

impl Drop for ProtectionDomain {
    fn drop(&mut self) {
        // SAFETY: taken once, here; so this is the one close.
        drop(unsafe { close(self.pd, ManuallyDrop::take(&mut self.adapter)) });
    }
}

impl fmt::Debug for ProtectionDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NDK_PD").field(&self.pd).finish()
    }
}

/// A region that nobody waits for is closed.
struct CreatingRegion;

impl Request for CreatingRegion {
    type Output = Created;

    fn unclaimed(self, output: Created) {
        drop(adopt(&output));
    }
}

fn adopt(output: &Created) -> Result<Object<()>> {
    let mr = object(Entry::CreateMr, output)?;
    // SAFETY: fresh from its creation, and nobody else has it.
    Ok(unsafe { Object::new(mr) })
}

/// The object that a creation gave, or why it gave none.
pub(super) fn object<T>(entry: Entry, created: &Created) -> Result<NonNull<T>> {
    entry.check(created.status)?;
    NonNull::new(created.object.cast())
        .ok_or_else(|| Error::new(ErrorKind::Internal, "the provider created null"))
}

/// Starts a domain's close.
///
/// # Safety
/// The domain is alive, its table keeps the contract, and it is not used or closed again.
unsafe fn close(pd: NonNull<NDK_PD>, adapter: Option<Arc<Open>>) -> Running<Closing> {
    // SAFETY: the caller's promises.
    unsafe { start_close(Closing(adapter), |done, context| entry::close(pd, done, context)) }
}

/// The adapter, which is kept until the close of the domain is over.
struct Closing(#[expect(dead_code, reason = "kept")] Option<Arc<Open>>);

impl Closing {
    /// # Errors
    /// The provider refused to close, which it must not (H1): the domain stays open, and so its adapter.
    fn finish(self, status: NTSTATUS) -> Result<()> {
        Entry::Close.check(status).inspect_err(|error| {
            log::error!("a domain could not be closed, and is leaked: {error} [H1]");
            mem::forget(self);
        })
    }
}

impl Request for Closing {
    type Output = NTSTATUS;

    fn unclaimed(self, status: NTSTATUS) {
        // It was logged.
        let _ = self.finish(status);
    }
}
