//! The smallest provider that keeps the contract without a data path: tokens from a counter, everything inline.
//! With it the framework's own rules are tested apart from any backend.
#![allow(dead_code)] // each test program uses a part

use ndk_core::abi::{
    NDK_ADAPTER_FLAG_RDMA_READ_SINK_NOT_REQUIRED, NDK_ADAPTER_INFO, NDK_VERSION, NdkRoCE,
};
use ndk_core::mdl::MdlView;
use ndk_core::{
    Access, AdapterProvider, BaseAddress, Capabilities, Error, ErrorKind, FastRegistration,
    LocalToken, Mapping, MrProvider, NoQueuePair, NoWindow, Refusal, RegionKind, RemoteToken,
    Result, TokenReuse, TokenScope,
};
use std::future::poll_fn;
use std::mem::forget;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::task::Poll;

/// The most pages of a fast registration.
pub(crate) const FAST_PAGES: u32 = 16;

/// How the provider behaves from now on.
#[derive(Debug, Default)]
pub(crate) struct Mood {
    /// The device is gone.
    pub(crate) lost: AtomicBool,
    /// Operations give way once, and so pend.
    pub(crate) yields: AtomicBool,
    /// Operations pend, and never end.
    pub(crate) stalls: AtomicBool,
    /// Closes need not wait, whatever the others do.
    pub(crate) prompt_close: AtomicBool,
    /// The next registration, deregistration or initialisation panics.
    pub(crate) panics: AtomicBool,
    /// The next one fails, for want of memory.
    pub(crate) fails: AtomicBool,
}

impl Mood {
    async fn wait(&self) {
        if self.stalls.load(Ordering::Relaxed) {
            // The waker is kept, as by a device that may still answer.
            poll_fn::<(), _>(|cx| {
                forget(cx.waker().clone());
                Poll::Pending
            })
            .await;
        }
        let mut waited = !self.yields.load(Ordering::Relaxed);
        poll_fn(|cx| {
            if std::mem::replace(&mut waited, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    async fn pass(&self) -> Result<()> {
        self.wait().await;
        if self.panics.swap(false, Ordering::Relaxed) {
            resume_unwind(Box::new("planted"));
        }
        if self.fails.swap(false, Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::InsufficientResources, "planted"));
        }
        Ok(())
    }
}

/// Shared by everything of an adapter: what is left of each resource, and the next token.
#[derive(Debug)]
struct Resources {
    regions: AtomicUsize,
    next_token: AtomicU32,
    next_page: AtomicUsize,
    mood: Arc<Mood>,
}

impl Resources {
    /// Tokens leave gaps of 0x100, so that a guessed neighbour is none.
    fn token(&self) -> u32 {
        self.next_token.fetch_add(0x100, Ordering::Relaxed)
    }
}

#[derive(Debug)]
pub(crate) struct Tiny {
    pub(crate) max_registration: usize,
    resources: Arc<Resources>,
}

impl Tiny {
    pub(crate) fn new() -> Self {
        Self::with_region_limit(1_000_000)
    }

    pub(crate) fn with_region_limit(limit: usize) -> Self {
        let resources = Resources {
            regions: AtomicUsize::new(limit),
            next_token: AtomicU32::new(0x100),
            next_page: AtomicUsize::new(1),
            mood: Arc::default(),
        };
        Self { max_registration: 1 << 30, resources: Arc::new(resources) }
    }

    /// How many more regions there could be, to be asked when the adapter is gone.
    pub(crate) fn room(&self) -> impl Fn() -> usize + use<> {
        let resources = self.resources.clone();
        move || resources.regions.load(Ordering::Relaxed)
    }

    pub(crate) fn mood(&self) -> Arc<Mood> {
        self.resources.mood.clone()
    }
}

/// A domain is its privileged token.
#[derive(Debug)]
pub(crate) struct TinyPd(u32);

#[derive(Debug)]
pub(crate) struct TinyMr {
    resources: Arc<Resources>,
    token: AtomicU32,
    remote: AtomicBool,
}

impl TinyMr {
    fn grant(&self, remote: bool) {
        self.remote.store(remote, Ordering::Relaxed);
        self.token.store(self.resources.token(), Ordering::Release);
    }
}

impl Drop for TinyMr {
    fn drop(&mut self) {
        self.resources.regions.fetch_add(1, Ordering::Relaxed);
    }
}

impl MrProvider for TinyMr {
    async fn register(&self, memory: MdlView<'_>, access: Access) -> Result<()> {
        self.resources.mood.pass().await?;
        assert_eq!(memory.frames().count(), memory.page_count());
        self.grant(access.is_remote());
        Ok(())
    }

    async fn deregister(&self) -> Result<()> {
        self.resources.mood.pass().await?;
        self.token.store(0, Ordering::Release);
        Ok(())
    }

    async fn initialize_fast_register(&self, _pages: u32, remote: bool) -> Result<()> {
        self.resources.mood.pass().await?;
        self.grant(remote);
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        if !self.resources.mood.prompt_close.load(Ordering::Relaxed) {
            self.resources.mood.wait().await;
        }
        self.token.store(0, Ordering::Release);
        Ok(())
    }

    fn local_token(&self) -> Option<LocalToken> {
        LocalToken::new(self.token.load(Ordering::Acquire))
    }

    fn remote_token(&self) -> Option<RemoteToken> {
        let remote = self.remote.load(Ordering::Relaxed);
        RemoteToken::new(self.token.load(Ordering::Acquire)).filter(|_| remote)
    }
}

impl AdapterProvider for Tiny {
    type Pd = TinyPd;
    type Mr = TinyMr;
    type Qp = NoQueuePair<TinyMr>;
    type Window = NoWindow;

    fn name(&self) -> &str {
        "tiny"
    }

    fn info(&self) -> NDK_ADAPTER_INFO {
        NDK_ADAPTER_INFO {
            Version: NDK_VERSION { Major: 0, Minor: 0 },
            MaxRegistrationSize: self.max_registration,
            FRMRPageCount: FAST_PAGES,
            MaxReceiveQueueDepth: 64,
            MaxInitiatorQueueDepth: 64,
            AdapterFlags: NDK_ADAPTER_FLAG_RDMA_READ_SINK_NOT_REQUIRED,
            RdmaTechnology: NdkRoCE,
            ..NDK_ADAPTER_INFO::default()
        }
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
            fast_registration: Some(FastRegistration {
                pages: FAST_PAGES,
                rotating: false,
                emulated: false,
                scope: TokenScope::ProtectionDomain,
            }),
            windows: false,
        }
    }

    fn is_lost(&self) -> bool {
        self.resources.mood.lost.load(Ordering::Relaxed)
    }

    async fn create_pd(&self) -> Result<TinyPd> {
        self.resources.mood.wait().await;
        Ok(TinyPd(self.resources.token()))
    }

    async fn close_pd(&self, _pd: &TinyPd) {}

    async fn create_mr(&self, _pd: &TinyPd, _kind: RegionKind) -> Result<TinyMr> {
        self.resources.mood.wait().await;
        let take = |left: usize| left.checked_sub(1);
        let taken = self.resources.regions.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        if taken.is_err() {
            return Err(Error::new(ErrorKind::InsufficientResources, "the region limit"));
        }
        Ok(TinyMr {
            resources: self.resources.clone(),
            token: AtomicU32::new(0),
            remote: AtomicBool::new(false),
        })
    }

    fn privileged_token(&self, pd: &TinyPd) -> Option<LocalToken> {
        LocalToken::new(pd.0)
    }

    async fn build_mapping(&self, memory: MdlView<'_>, pages: &mut [u64]) -> Result<Mapping> {
        self.resources.mood.wait().await;
        let count = memory.page_count();
        let first = self.resources.next_page.fetch_add(count + 1, Ordering::Relaxed);
        for (index, page) in pages.iter_mut().enumerate() {
            *page = ((first + index) << 12) as u64;
        }
        Ok(Mapping(first))
    }

    fn release_mapping(&self, _mapping: Mapping) {}
}
