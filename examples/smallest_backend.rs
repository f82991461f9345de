//! A backend in one page: what a vendor writes, and the real `NDK_MR_DISPATCH` that comes of it.
//!
//! The "hardware" here is a counter that gives tokens. State, argument checks, completions, close order and panics are
//! the framework's. `tests/smallest_backend.rs` puts it through the conformance kit.
//!
//! `cargo run --example smallest_backend`

use common::table; // a few calls through the C tables, in examples/common
use ndk_core::abi::{NDK_ADAPTER_INFO, NDK_VERSION};
use ndk_core::mdl::{Buffer, Mdl, MdlView};
use ndk_core::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A region: the token that the hardware gave, and the one that peers may use; 0 for none.
pub(crate) struct CounterRegion {
    hardware: Arc<AtomicU32>,
    local: AtomicU32,
    remote: AtomicU32,
}

impl MrProvider for CounterRegion {
    async fn register(&self, memory: MdlView<'_>, access: Access) -> Result<()> {
        let token = self.hardware.fetch_add(1, Ordering::Relaxed) + 1;
        log::info!("hardware: {} pages, {access:?}: token {token}", memory.page_count());
        self.local.store(token, Ordering::Release);
        self.remote.store(if access.is_remote() { token } else { 0 }, Ordering::Release);
        Ok(())
    }

    async fn deregister(&self) -> Result<()> {
        self.local.store(0, Ordering::Release);
        self.remote.store(0, Ordering::Release);
        Ok(())
    }

    async fn initialize_fast_register(&self, _pages: u32, _remote: bool) -> Result<()> {
        Err(Error::new(ErrorKind::NotSupported, "this hardware has no fast registration"))
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }

    fn local_token(&self) -> Option<LocalToken> {
        LocalToken::new(self.local.load(Ordering::Acquire))
    }

    fn remote_token(&self) -> Option<RemoteToken> {
        RemoteToken::new(self.remote.load(Ordering::Acquire))
    }
}

/// The adapter that makes them.
pub(crate) struct CounterAdapter(Arc<AtomicU32>);

impl CounterAdapter {
    pub(crate) fn open() -> Result<Self> {
        Ok(Self(Arc::default()))
    }
}

impl AdapterProvider for CounterAdapter {
    type Pd = ();
    type Mr = CounterRegion;
    type Qp = NoQueuePair<CounterRegion>;
    type Window = NoWindow;

    fn name(&self) -> &str {
        "counter"
    }

    fn info(&self) -> NDK_ADAPTER_INFO {
        NDK_ADAPTER_INFO { MaxRegistrationSize: 1 << 30, ..NDK_ADAPTER_INFO::default() }
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
            token_reuse: TokenReuse::After(65_536),
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

    async fn create_mr(&self, _pd: &(), kind: RegionKind) -> Result<CounterRegion> {
        match kind {
            RegionKind::Conventional => Ok(CounterRegion {
                hardware: self.0.clone(),
                local: AtomicU32::new(0),
                remote: AtomicU32::new(0),
            }),
            RegionKind::FastRegister => Err(ErrorKind::NotSupported.into()),
        }
    }
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    env_logger::Builder::new().filter_level(log::LevelFilter::Info).init();
    let executor = Arc::new(ThreadPool::new(1)?);
    let version = NDK_VERSION { Major: 1, Minor: 2 };
    let opened = Opened::<_, Std>::new(CounterAdapter::open()?, executor, version)?;
    let buffer = Buffer::new(10_000)?;
    let mdl = Mdl::new(&buffer)?;
    // SAFETY: every object is used between its creation and its close, and the buffer outlives the registration.
    unsafe {
        let pd = table::create_pd(opened.adapter().as_ndk().as_ptr())?;
        let mr = table::create_mr(pd, false)?;
        table::register(mr, mdl.as_ptr(), mdl.len(), Access::REMOTE_READ.flags())?;
        println!("consumer: the C table gives tokens {:?}", table::tokens(mr));
        let again = table::register(mr, mdl.as_ptr(), mdl.len(), 0);
        println!("consumer: a second registration: {}", again.unwrap_err());
        table::close_mr(mr).wait()?;
        table::close_pd(pd).wait()?;
    }
    opened.close().map_err(|refused| refused.error)?;
    Ok(())
}
