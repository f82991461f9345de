//! NDK objects of any provider, used through their tables as a C consumer does: every call reads `Dispatch` anew.
//!
//! Everything is expected to complete inline; [`Pending`] is for a provider that does not.

use crate::providers::Queue;
use ndk_core::abi::*;
use ndk_core::mdl::Mdl;
use std::any::Any;
use std::ptr::{NonNull, addr_of, null_mut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The rights of the benches' regions.
pub const FLAGS: ULONG = NDK_MR_FLAG_ALLOW_REMOTE_WRITE | NDK_MR_FLAG_ALLOW_REMOTE_READ;

/// An opened adapter, with what closes it.
pub struct Adapter {
    ndk: NonNull<NDK_ADAPTER>,
    _opener: Box<dyn Any + Send + Sync>,
}

// SAFETY: an NDK object may be used from any thread.
unsafe impl Send for Adapter {}
// SAFETY: as above.
unsafe impl Sync for Adapter {}

impl Adapter {
    /// An adapter that is open until `opener` is dropped.
    pub fn new(ndk: NonNull<NDK_ADAPTER>, opener: impl Any + Send + Sync) -> Arc<Self> {
        Arc::new(Self { ndk, _opener: Box::new(opener) })
    }

    /// Makes a domain.
    pub fn domain(self: &Arc<Self>) -> Arc<Domain> {
        let mut pd = null_mut();
        // SAFETY: the adapter is open, and the tables are those of providers that keep the contract.
        let status = unsafe {
            let entry = (*addr_of!((*self.ndk.as_ptr()).Dispatch).read()).NdkCreatePd.unwrap();
            entry(self.ndk.as_ptr(), Some(not_created), null_mut(), &mut pd)
        };
        assert_eq!(status, STATUS_SUCCESS);
        Arc::new(Domain { pd, _adapter: self.clone() })
    }
}

/// A protection domain, closed when it is dropped.
pub struct Domain {
    pd: *mut NDK_PD,
    _adapter: Arc<Adapter>,
}

// SAFETY: an NDK object may be used from any thread.
unsafe impl Send for Domain {}
// SAFETY: as above.
unsafe impl Sync for Domain {}

impl Domain {
    /// The C object.
    pub fn as_ndk(&self) -> NonNull<NDK_PD> {
        NonNull::new(self.pd).expect("a domain")
    }

    /// Makes a region.
    pub fn region(self: &Arc<Self>, fast_register: bool) -> Region {
        Region { mr: self.create(fast_register), _domain: self.clone() }
    }

    /// Makes a region, and closes it again.
    #[inline]
    pub fn create_and_close(&self) {
        // SAFETY: just made, and not used again.
        unsafe { close(self.create(false)) };
    }

    #[inline]
    fn create(&self, fast_register: bool) -> *mut NDK_MR {
        let mut mr = null_mut();
        // SAFETY: the domain is open, and the tables are those of providers that keep the contract.
        let status = unsafe {
            let entry = (*addr_of!((*self.pd).Dispatch).read()).NdkCreateMr.unwrap();
            entry(self.pd, fast_register.into(), Some(not_created), null_mut(), &mut mr)
        };
        assert_eq!(status, STATUS_SUCCESS);
        mr
    }
}

impl Drop for Domain {
    fn drop(&mut self) {
        // SAFETY: open until now; its regions hold it, so they are closed.
        let status = unsafe {
            let entry = (*addr_of!((*self.pd).Dispatch).read()).NdkClosePd.unwrap();
            entry(self.pd.cast(), Some(not_closed), null_mut())
        };
        assert_eq!(status, STATUS_SUCCESS);
    }
}

/// A region, closed when it is dropped.
pub struct Region {
    mr: *mut NDK_MR,
    _domain: Arc<Domain>,
}

// SAFETY: an NDK object may be used from any thread.
unsafe impl Send for Region {}

impl Region {
    /// The C object.
    pub fn as_ndk(&self) -> NonNull<NDK_MR> {
        NonNull::new(self.mr).expect("a region")
    }

    #[inline]
    fn table(&self) -> &NDK_MR_DISPATCH {
        // SAFETY: the region is open, and its table is its provider's.
        unsafe { &*addr_of!((*self.mr).Dispatch).read() }
    }

    /// Registers all of `mdl`, inline. The memory stays until the registration has ended: contenders keep the MDL for
    /// longer than the region.
    #[inline]
    pub fn register(&self, mdl: &Mdl) {
        let entry = self.table().NdkRegisterMr.unwrap();
        // SAFETY: the region is open, and the memory stays.
        let status = unsafe {
            entry(self.mr, mdl.as_ptr(), mdl.len(), FLAGS, Some(not_completed), null_mut())
        };
        assert_eq!(status, STATUS_SUCCESS);
    }

    /// Ends the registration, inline.
    #[inline]
    pub fn deregister(&self) {
        let entry = self.table().NdkDeregisterMr.unwrap();
        // SAFETY: the region is open.
        let status = unsafe { entry(self.mr, Some(not_completed), null_mut()) };
        assert_eq!(status, STATUS_SUCCESS);
    }

    /// Prepares the region for fast registration.
    pub fn initialize(&self, pages: u32) {
        let entry = self.table().NdkInitializeFastRegisterMr.unwrap();
        // SAFETY: the region is open.
        let status = unsafe { entry(self.mr, pages, TRUE, Some(not_completed), null_mut()) };
        assert_eq!(status, STATUS_SUCCESS);
    }

    /// The local token.
    #[inline]
    pub fn local_token(&self) -> UINT32 {
        // SAFETY: the region is open.
        unsafe { self.table().NdkGetLocalTokenFromMr.unwrap()(self.mr) }
    }

    /// The remote token.
    #[inline]
    pub fn remote_token(&self) -> UINT32 {
        // SAFETY: the region is open.
        unsafe { self.table().NdkGetRemoteTokenFromMr.unwrap()(self.mr) }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: open until now.
        unsafe { close(self.mr) };
    }
}

/// # Safety
/// The region is open, and not used afterwards.
#[inline]
unsafe fn close(mr: *mut NDK_MR) {
    // SAFETY: the caller's promise.
    let status = unsafe {
        let entry = (*addr_of!((*mr).Dispatch).read()).NdkCloseMr.unwrap();
        entry(mr.cast(), Some(not_closed), null_mut())
    };
    assert_eq!(status, STATUS_SUCCESS);
}

/// A region whose requests pend, and end where the executor runs.
pub struct Pending {
    region: Region,
    queue: Arc<Queue>,
    completed: Box<AtomicU64>,
}

impl Pending {
    /// A region of an adapter whose executor is `queue`.
    pub fn new(region: Region, queue: Arc<Queue>) -> Self {
        Self { region, queue, completed: Box::default() }
    }

    #[inline]
    fn wait(&self, status: NTSTATUS, before: u64) {
        assert_eq!(status, STATUS_PENDING);
        self.queue.run();
        assert_eq!(self.completed.load(Ordering::Relaxed), before + 1);
    }

    /// Registers and deregisters; both pend.
    #[inline]
    pub fn pair(&self, mdl: &Mdl) {
        let context: PVOID = self.completed.as_ptr().cast();
        let before = self.completed.load(Ordering::Relaxed);
        let (region, table) = (self.region.mr, self.region.table());
        // SAFETY: the region is open, the memory stays, the counter lives as long as the region.
        unsafe {
            let entry = table.NdkRegisterMr.unwrap();
            let status = entry(region, mdl.as_ptr(), mdl.len(), FLAGS, Some(completed), context);
            self.wait(status, before);
            let status = table.NdkDeregisterMr.unwrap()(region, Some(completed), context);
            self.wait(status, before + 1);
        }
    }
}

unsafe extern "system" fn completed(context: PVOID, status: NTSTATUS) {
    assert_eq!(status, STATUS_SUCCESS);
    // SAFETY: the counter of the one that waits.
    unsafe { AtomicU64::from_ptr(context.cast()) }.fetch_add(1, Ordering::Relaxed);
}

// What completes inline does not call back (B1). A panic here ends the program.
unsafe extern "system" fn not_created(_: PVOID, _: NTSTATUS, _: *mut NDK_OBJECT_HEADER) {
    panic!("a creation pended");
}

unsafe extern "system" fn not_completed(_: PVOID, _: NTSTATUS) {
    panic!("a request pended");
}

unsafe extern "system" fn not_closed(_: PVOID) {
    panic!("a close pended");
}
