//! libfabric's software providers, through `c/fabric.c`.

use std::ffi::{CStr, c_int, c_void};
use std::ptr::null_mut;

/// The version that this was built with.
pub const VERSION: &str = env!("LIBFABRIC_VERSION");

#[repr(C)]
struct Raw {
    _opaque: [u8; 0],
}

unsafe extern "C" {
    fn fabric_open(provider: *const i8, connected: c_int, failed: *mut c_int) -> *mut Raw;
    fn fabric_close(fabric: *mut Raw);
    fn fabric_register(
        fabric: *mut Raw,
        memory: *const c_void,
        length: usize,
        region: *mut *mut c_void,
    ) -> c_int;
    fn fabric_deregister(region: *mut c_void) -> c_int;
    fn fabric_connect(fabric: *mut Raw) -> c_int;
    fn fabric_write(
        fabric: *mut Raw,
        source: *const c_void,
        length: usize,
        target: *mut c_void,
        region: *mut c_void,
        count: u64,
        depth: u64,
    ) -> c_int;
    fn fabric_inject(
        fabric: *mut Raw,
        source: *const c_void,
        length: usize,
        target: *mut c_void,
        region: *mut c_void,
        count: u64,
        depth: u64,
    ) -> c_int;
}

/// A domain of a provider, and an endpoint connected to itself where that was asked for.
#[derive(Debug)]
pub struct Fabric(*mut Raw);

// SAFETY: the domain was opened for use by any thread.
unsafe impl Send for Fabric {}
// SAFETY: as above.
unsafe impl Sync for Fabric {}

/// How writes are posted.
#[derive(Clone, Copy, Debug)]
pub enum Post {
    /// `fi_write`, each with a completion.
    Write,
    /// `fi_inject_write`, without one.
    Inject,
}

impl Fabric {
    /// A domain of `shm` or `tcp`.
    ///
    /// # Panics
    /// The provider is not there.
    pub fn open(provider: &CStr) -> Self {
        let mut failed = 0;
        // SAFETY: a C string, and a place for the reason.
        let fabric =
            unsafe { fabric_open(provider.as_ptr(), (provider == c"tcp").into(), &mut failed) };
        assert!(!fabric.is_null(), "libfabric has no provider {provider:?}: {failed}");
        Self(fabric)
    }

    /// With an endpoint that writes to itself.
    ///
    /// # Panics
    /// libfabric refuses.
    pub fn connected(provider: &CStr) -> Self {
        let fabric = Self::open(provider);
        // SAFETY: just opened.
        let failed = unsafe { fabric_connect(fabric.0) };
        assert_eq!(failed, 0, "libfabric: connect");
        fabric
    }

    /// Registers memory, which is not touched by that.
    #[inline]
    pub fn register(&self, memory: *mut u8, length: usize) -> FabricRegion {
        let mut region = null_mut();
        // SAFETY: the domain is open; the memory is only reached by `write`, whose caller answers for it.
        let failed = unsafe { fabric_register(self.0, memory.cast(), length, &mut region) };
        assert_eq!(failed, 0, "libfabric: registration");
        FabricRegion(region)
    }

    /// Writes `source` to `target`, which is registered, `count` times, `depth` at a time.
    ///
    /// # Safety
    /// The target is as long, and inside the region's memory.
    pub unsafe fn write(
        &self,
        post: Post,
        source: &[u8],
        (target, region): (*mut u8, &FabricRegion),
        (count, depth): (u64, u64),
    ) {
        let entry = match post {
            Post::Write => fabric_write,
            Post::Inject => fabric_inject,
        };
        let (from, to) = (source.as_ptr().cast(), target.cast());
        // SAFETY: the caller's promise, and the endpoint is connected.
        let failed = unsafe { entry(self.0, from, source.len(), to, region.0, count, depth) };
        assert_eq!(failed, 0, "libfabric: a write");
    }
}

impl Drop for Fabric {
    fn drop(&mut self) {
        // SAFETY: opened in `open`; regions are dropped before by those who hold both.
        unsafe { fabric_close(self.0) };
    }
}

/// A registration, ended when it is dropped.
#[derive(Debug)]
pub struct FabricRegion(*mut c_void);

// SAFETY: as for the domain.
unsafe impl Send for FabricRegion {}

impl Drop for FabricRegion {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: registered in `register`, ended once.
        let failed = unsafe { fabric_deregister(self.0) };
        assert_eq!(failed, 0, "libfabric: the end of a registration");
    }
}
