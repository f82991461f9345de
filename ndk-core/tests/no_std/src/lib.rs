//! A kernel's use of the framework, in the least: a platform with a spin lock, an executor, a provider, and a function
//! by which C opens the adapter. It is built for a freestanding target, not run.
#![no_std]

extern crate alloc;

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::alloc::{GlobalAlloc, Layout};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use ndk_core::abi::{NDK_ADAPTER, NDK_ADAPTER_INFO, NDK_VERSION};
use ndk_core::mdl::MdlView;
use ndk_core::*;

/// The integrator's lock.
pub struct Spin(AtomicBool);

// SAFETY: the flag is taken by one at a time, with acquire and release.
unsafe impl lock_api::RawMutex for Spin {
    #[allow(clippy::declare_interior_mutable_const)] // as the trait has it
    const INIT: Self = Self(AtomicBool::new(false));
    type Guard = ();

    fn lock(&self) {
        while self.try_lock().is_none() {
            core::hint::spin_loop();
        }
    }

    fn try_lock(&self) -> Option<()> {
        (!self.is_locked() && !self.0.swap(true, Ordering::Acquire)).then_some(())
    }

    unsafe fn unlock(&self, _guard: ()) {
        self.0.store(false, Ordering::Release);
    }

    fn is_locked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The integrator's system, which can wait.
pub struct Kernel;

impl Platform for Kernel {
    type RawMutex = Spin;
}

impl Waits for Kernel {
    fn wait(_key: usize, still: &dyn Fn() -> bool) {
        while still() {
            core::hint::spin_loop();
        }
    }
}

/// An executor that has nobody to run a task: dropping it cancels the request (B9).
struct NoThreads;

impl Executor for NoThreads {
    fn spawn(&self, task: Task) {
        drop(task);
    }
}

struct Region(AtomicU32);

impl MrProvider for Region {
    async fn register(&self, memory: MdlView<'_>, _access: Access) -> Result<()> {
        self.0.store(memory.frames().count() as u32, Ordering::Release);
        Ok(())
    }

    async fn deregister(&self) -> Result<()> {
        self.0.store(0, Ordering::Release);
        Ok(())
    }

    async fn initialize_fast_register(&self, _pages: u32, _remote: bool) -> Result<()> {
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }

    fn local_token(&self) -> Option<LocalToken> {
        LocalToken::new(self.0.load(Ordering::Acquire))
    }

    fn remote_token(&self) -> Option<RemoteToken> {
        RemoteToken::new(self.0.load(Ordering::Acquire))
    }
}

struct Adapter;

impl AdapterProvider for Adapter {
    type Pd = ();
    type Mr = Region;
    type Qp = NoQueuePair<Region>;
    type Window = NoWindow;

    fn name(&self) -> &str {
        "bare"
    }

    fn info(&self) -> NDK_ADAPTER_INFO {
        NDK_ADAPTER_INFO::default()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            base_address: BaseAddress::Any,
            scattered_pages: true,
            byte_exact: true,
            remote_read_enforced: true,
            read_sink_grants_write: false,
            refusal: Refusal::Completion,
            partial_writes: false,
            token_reuse: TokenReuse::Unknown,
            tokens_unpredictable: false,
            shared_key: true,
            fast_registration: None,
            windows: false,
        }
    }

    async fn create_pd(&self) -> Result<()> {
        Ok(())
    }

    async fn close_pd(&self, _pd: &()) {}

    async fn create_mr(&self, _pd: &(), _kind: RegionKind) -> Result<Region> {
        Ok(Region(AtomicU32::new(0)))
    }
}

/// Opens the adapter; null where that fails.
#[unsafe(no_mangle)]
pub extern "C" fn bare_open(major: u16, minor: u16) -> *mut NDK_ADAPTER {
    let version = NDK_VERSION { Major: major, Minor: minor };
    match Opened::<Adapter, Kernel>::new(Adapter, Arc::new(NoThreads), version) {
        Ok(opened) => {
            let opened = Box::leak(Box::new(opened));
            opened.adapter().as_ndk().as_ptr()
        }
        Err(_) => core::ptr::null_mut(),
    }
}

/// Opens and closes an adapter of a backend chosen at run time.
#[unsafe(no_mangle)]
pub extern "C" fn bare_try() -> bool {
    let version = NDK_VERSION { Major: 1, Minor: 2 };
    Opened::<_, Kernel>::new(BoxedAdapter::new(Adapter), Arc::new(NoThreads), version)
        .is_ok_and(|opened| opened.close().is_ok())
}

/// A kernel's allocator goes here.
struct NoMemory;

// SAFETY: it gives no memory, so nothing can be wrong with it.
unsafe impl GlobalAlloc for NoMemory {
    unsafe fn alloc(&self, _layout: Layout) -> *mut u8 {
        core::ptr::null_mut()
    }

    unsafe fn dealloc(&self, _pointer: *mut u8, _layout: Layout) {}
}

#[global_allocator]
static ALLOCATOR: NoMemory = NoMemory;

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
