//! A backend that implements only what it must: what it leaves out is NOT_SUPPORTED, or none.
#![cfg(feature = "std")]

mod soft;

use futures_lite::future::block_on;
use ndk_core::abi::{GUID, NDK_ADAPTER_INFO, NDK_VERSION, PAGE_SIZE};
use ndk_core::consumer::{Adapter, Failed};
use ndk_core::mdl::{Buffer, Mdl, MdlView};
use ndk_core::{
    Access, AdapterProvider, BoxedAdapter, Capabilities, ErrorKind, LocalToken, Mapping,
    MrProvider, NoQueuePair, NoWindow, Opened, QueueDepths, RegionKind, RemoteToken, Result, Std,
};
use soft::provider::{Mode, Soft, World};
use soft::run::Manual;

/// Its region knows no token, and says yes to everything.
struct BareRegion;

impl MrProvider for BareRegion {
    async fn register(&self, _: MdlView<'_>, _: Access) -> Result<()> {
        Ok(())
    }

    async fn deregister(&self) -> Result<()> {
        Ok(())
    }

    async fn initialize_fast_register(&self, _: u32, _: bool) -> Result<()> {
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }

    fn local_token(&self) -> Option<LocalToken> {
        None
    }

    fn remote_token(&self) -> Option<RemoteToken> {
        None
    }
}

struct Bare;

impl AdapterProvider for Bare {
    type Pd = ();
    type Mr = BareRegion;
    type Qp = NoQueuePair<BareRegion>;
    type Window = NoWindow;

    fn name(&self) -> &str {
        "bare"
    }

    fn info(&self) -> NDK_ADAPTER_INFO {
        NDK_ADAPTER_INFO { MaxRegistrationSize: 1 << 20, ..NDK_ADAPTER_INFO::default() }
    }

    fn capabilities(&self) -> Capabilities {
        AdapterProvider::capabilities(&Soft(World::new(Mode::Inline)))
    }

    async fn create_pd(&self) -> Result<()> {
        Ok(())
    }

    async fn close_pd(&self, (): &()) {}

    async fn create_mr(&self, (): &(), _: RegionKind) -> Result<BareRegion> {
        Ok(BareRegion)
    }
}

fn not_supported<T>(result: Result<T>) {
    assert_eq!(result.err().expect("left out").kind(), ErrorKind::NotSupported);
}

/// Asks the traits themselves.
fn asked<A: AdapterProvider>(backend: &A) {
    let pd = block_on(backend.create_pd()).expect("a domain");
    not_supported(block_on(backend.create_qp(&pd, QueueDepths::default())));
    not_supported(block_on(backend.create_window(&pd)));
    assert_eq!(backend.privileged_token(&pd), None);
    let mdl = Mdl::new(&Buffer::new(PAGE_SIZE).unwrap()).unwrap();
    // SAFETY: the chain is only looked at.
    let view = unsafe { mdl.view(mdl.len()) }.unwrap();
    not_supported(block_on(backend.build_mapping(view, &mut [0])));
    backend.release_mapping(Mapping(0));
    not_supported(backend.query_extension(&GUID::default(), NDK_VERSION::default()));
    assert!(!backend.is_lost() && backend.watch().is_none());
    assert!(backend.create_mr_at_once(&pd, RegionKind::Conventional).is_none());
    block_on(backend.close_pd(&pd));
    backend.shut_down();
}

#[test]
fn what_a_backend_leaves_out_is_not_supported_or_none() {
    asked(&Bare);
    asked(&BoxedAdapter::new(Bare));
}

#[test]
fn a_consumer_hears_of_it_and_loses_nothing() {
    let version = NDK_VERSION { Major: 1, Minor: 2 };
    let opened = Opened::<_, Std>::new(Bare, Manual::new(), version).expect("open");
    let adapter = Adapter::from(opened);
    not_supported(adapter.query_extension(&GUID::default(), version));
    let memory = Mdl::new(&Buffer::new(PAGE_SIZE).unwrap()).unwrap();
    let Failed { object: memory, error } = adapter.build_mapping_blocking(memory).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotSupported);
    let domain = adapter.create_domain_blocking().expect("a domain");
    assert_eq!(domain.privileged_token(), None);
    let region = domain.create_region_blocking().expect("a region");
    let region = region.register_blocking(memory, Access::REMOTE_READ).expect("registered");
    assert_eq!((region.local_token(), region.remote_token()), (None, None));
    region.close_blocking().expect("H1");
    domain.close_blocking().expect("H1");
    adapter.close().expect("H5");
}
