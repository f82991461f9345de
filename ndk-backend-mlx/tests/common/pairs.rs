//! A registration and its end, by the backend and by libibverbs alone.

use futures_lite::future::block_on;
use ndk_backend_mlx::sys::load::Verbs;
use ndk_backend_mlx::sys::object::ibv_pd;
use ndk_backend_mlx::{Config, MlxAdapter};
use ndk_core::abi::NDK_VERSION;
use ndk_core::consumer::{Adapter, ProtectionDomain, Region};
use ndk_core::mdl::{Buffer, Mdl};
use ndk_core::{Access, Opened, Std, ThreadPool};
use std::env;
use std::ffi::CStr;
use std::sync::Arc;

/// Names whose pairs are to be made, of how many bytes and how many, in a program whose system calls or instructions are
/// counted: `raw 65536 100` or `backend 65536 100`.
pub(crate) const WORK: &str = "NDK_REGISTRATION_COST";

/// Makes the pairs that were asked for, and says whether there were any.
pub(crate) fn were_asked_for(device: &str) -> bool {
    let Ok(work) = env::var(WORK) else { return false };
    let words: Vec<&str> = work.split(' ').collect();
    let [whose, bytes, count] = words[..] else { panic!("{WORK} is {work:?}, not three words") };
    let (bytes, count): (usize, usize) = (bytes.parse().unwrap(), count.parse().unwrap());
    let memory = Buffer::new(bytes).unwrap();
    if whose == "raw" {
        let raw = Raw::open(device);
        (0..count).for_each(|_| raw.pair(&memory));
    } else {
        let backend = Backend::open(device);
        let mut pairs = backend.over(&memory);
        (0..count).for_each(|_| block_on(pairs.pair()));
    }
    true
}

/// IBV_ACCESS_LOCAL_WRITE, IBV_ACCESS_REMOTE_WRITE and IBV_ACCESS_REMOTE_READ, which are the rights of [`access`].
const RAW_ACCESS: u32 = 0b111;

fn access() -> Access {
    Access::LOCAL_WRITE | Access::REMOTE_WRITE | Access::REMOTE_READ
}

/// libibverbs alone. Nothing of it is given back before the program ends.
pub(crate) struct Raw {
    verbs: &'static Verbs,
    domain: *mut ibv_pd,
}

// SAFETY: libibverbs takes calls about its objects on any thread.
unsafe impl Send for Raw {}
// SAFETY: as above.
unsafe impl Sync for Raw {}

impl Raw {
    pub(crate) fn open(name: &str) -> Self {
        let verbs = Verbs::get().unwrap();
        let mut count = 0;
        // SAFETY: the list is walked within its length; the device is on it; the context is open.
        let domain = unsafe {
            let devices = (verbs.ibv_get_device_list)(&raw mut count);
            let named = (0..count as usize).map(|index| *devices.add(index)).find(|device| {
                CStr::from_ptr((verbs.ibv_get_device_name)(*device)).to_bytes() == name.as_bytes()
            });
            let context = (verbs.ibv_open_device)(named.expect("the device is there"));
            assert!(!context.is_null());
            (verbs.ibv_alloc_pd)(context)
        };
        assert!(!domain.is_null());
        Self { verbs, domain }
    }

    pub(crate) fn pair(&self, memory: &Buffer) {
        let (start, base) = (memory.as_ptr().cast(), memory.address() as u64);
        // SAFETY: the domain is there, and no request uses the registration.
        unsafe {
            let registration =
                (self.verbs.ibv_reg_mr_iova2)(self.domain, start, memory.len(), base, RAW_ACCESS);
            assert!(!registration.is_null(), "{}", std::io::Error::last_os_error());
            assert_eq!((self.verbs.ibv_dereg_mr)(registration), 0);
        }
    }
}

/// The backend, behind the C tables.
pub(crate) struct Backend {
    domain: ProtectionDomain,
    _adapter: Adapter,
}

impl Backend {
    pub(crate) fn open(name: &str) -> Self {
        let provider = MlxAdapter::open(Config { device: Some(name.into()), ..Config::default() });
        let executor = Arc::new(ThreadPool::new(1).unwrap());
        let version = NDK_VERSION { Major: 1, Minor: 2 };
        let adapter: Adapter =
            Opened::<_, Std>::new(provider.unwrap(), executor, version).unwrap().into();
        Self { domain: adapter.create_domain_blocking().unwrap(), _adapter: adapter }
    }

    pub(crate) fn over(&self, memory: &Buffer) -> Pairs {
        let region = self.domain.create_region_blocking().unwrap();
        Pairs(Some((region, Mdl::new(memory).unwrap())))
    }
}

/// A region and the memory that it is registered over, again and again.
pub(crate) struct Pairs(Option<(Region, Mdl)>);

impl Pairs {
    pub(crate) async fn pair(&mut self) {
        let (region, memory) = self.0.take().expect("one pair at a time");
        let registered = region.register(memory, access()).await.unwrap();
        self.0 = Some(registered.deregister().await.unwrap());
    }
}
