//! The reverse bridge at the traits: futures dropped early, cancelling, closing under callers, bad versions.
#![cfg(feature = "std")]

mod soft;

use futures_lite::future::block_on;
use ndk_core::abi::{GUID, NDK_VERSION, PAGE_SIZE};
use ndk_core::consumer::Adapter;
use ndk_core::foreign::{ForeignAdapter, ForeignPd, ForeignRegion};
use ndk_core::mdl::{Buffer, Mdl, MdlView};
use ndk_core::verifier::Verifier;
use ndk_core::{
    Access, AdapterProvider, ErrorKind, MrProvider, Opened, RegionKind, Std, ThreadPool,
};
use soft::open_soft;
use soft::provider::{Mode, Op, World};
use soft::run::{Manual, poll_once};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn view(chain: &Mdl, length: usize) -> MdlView<'_> {
    // SAFETY: the test's regions are driven as they must be, and the chain outlives them.
    unsafe { chain.view(length) }.unwrap()
}

struct Bench {
    world: Arc<World>,
    executor: Arc<Manual>,
    adapter: ForeignAdapter,
    pd: ForeignPd,
    region: ForeignRegion,
    chain: Mdl,
}

impl Bench {
    /// A conventional region; what comes after its creation pends.
    fn new() -> Self {
        Self::with(RegionKind::Conventional)
    }

    fn with(kind: RegionKind) -> Self {
        let (world, executor) = (World::new(Mode::Inline), Manual::new());
        let adapter = ForeignAdapter::new(open_soft(&world, executor.clone())).unwrap();
        let pd = block_on(adapter.create_pd()).unwrap();
        let region = block_on(adapter.create_mr(&pd, kind)).unwrap();
        world.set_mode(Mode::Pending);
        let chain = Mdl::new(&Buffer::new(2 * PAGE_SIZE).unwrap()).unwrap();
        Self { world, executor, adapter, pd, region, chain }
    }

    /// Runs a future to its end, and what it spawns.
    fn finish<F: Future>(&self, future: F) -> F::Output {
        let mut future = Box::pin(future);
        for _ in 0..100 {
            if let Some(output) = poll_once(&mut future) {
                return output;
            }
            self.executor.run();
        }
        panic!("it never ends");
    }

    fn register(&self) -> impl Future<Output = ndk_core::Result<()>> + '_ {
        self.region.register(view(&self.chain, self.chain.len()), Access::REMOTE_WRITE)
    }

    fn end(self) {
        self.finish(self.region.close()).unwrap();
        self.finish(self.adapter.close_pd(&self.pd));
        self.world.assert_nothing_left();
        self.adapter.shut_down();
        assert!(self.world.is_shut_down());
    }
}

#[test]
fn the_seven_operations_go_through() {
    let bench = Bench::new();
    assert_eq!(bench.region.local_token(), None);
    bench.finish(bench.register()).unwrap();
    assert!(bench.region.local_token().is_some());
    let base = view(&bench.chain, 1).base();
    assert!(bench.world.peer_write(bench.region.remote_token(), base + 4_095, b"page"));
    let unknown = bench.region.query_extension(&GUID::default(), NDK_VERSION::default());
    assert_eq!(unknown.unwrap_err().kind(), ErrorKind::NotSupported);
    bench.world.fail_next(Op::Deregister, ErrorKind::DeviceBusy);
    let busy = bench.finish(bench.region.deregister()).unwrap_err();
    assert_eq!(busy.kind(), ErrorKind::DeviceBusy);
    bench.finish(bench.region.deregister()).unwrap();
    bench.end();
}

#[test]
fn b9_a_dropped_registration_is_taken_back() {
    for run_before_drop in [false, true] {
        let mut bench = Bench::new();
        let mut registering = Box::pin(bench.register());
        assert!(poll_once(&mut registering).is_none());
        if run_before_drop {
            bench.executor.run();
            assert_eq!(bench.world.registered(), 1);
        }
        drop(registering);
        // The chain that it was given may go, since C works on a copy.
        bench.chain = Mdl::new(&Buffer::new(100).unwrap()).unwrap();
        if !run_before_drop {
            // What follows waits for it, and for its undoing.
            bench.finish(bench.register()).unwrap();
            assert_eq!((bench.world.count("register"), bench.world.count("deregister")), (2, 1));
            assert_eq!(bench.world.registered(), 1);
        } else {
            bench.executor.run();
            assert_eq!(bench.world.registered(), 0);
        }
        bench.end();
    }
}

#[test]
fn b9_a_dropped_deregistration_counts_once_it_is_over() {
    let bench = Bench::new();
    bench.finish(bench.register()).unwrap();
    let mut deregistering = Box::pin(bench.region.deregister());
    assert!(poll_once(&mut deregistering).is_none());
    drop(deregistering);
    bench.finish(bench.region.deregister()).unwrap();
    assert_eq!(bench.world.count("deregister"), 1);
    bench.finish(bench.register()).unwrap();
    bench.finish(bench.region.deregister()).unwrap();
    assert_eq!(bench.world.count("deregister"), 2);
    bench.end();
}

#[test]
fn b9_a_dropped_close_goes_on() {
    let bench = Bench::new();
    bench.finish(bench.register()).unwrap();
    let mut closing = Box::pin(bench.region.close());
    assert!(poll_once(&mut closing).is_none());
    drop(closing);
    bench.executor.run();
    assert_eq!((bench.world.live("mr"), bench.world.registered()), (0, 0));
    bench.finish(bench.region.close()).unwrap();
    bench.end();
}

#[test]
fn h2_cancelling_closes_and_ends_what_is_stuck() {
    let bench = Bench::new();
    bench.world.set_mode(Mode::Stuck);
    let mut registering = Box::pin(bench.register());
    assert!(poll_once(&mut registering).is_none());
    assert_eq!(bench.executor.run(), 1);
    bench.adapter.cancel(&bench.region);
    assert_eq!(bench.executor.run(), 0);
    let cancelled = poll_once(&mut registering).expect("cancelled").unwrap_err();
    assert_eq!(cancelled.kind(), ErrorKind::Cancelled);
    drop(registering);
    bench.end();
}

#[test]
fn h7_after_the_close_nothing_reaches_the_object() {
    let bench = Bench::new();
    bench.finish(bench.register()).unwrap();
    bench.finish(bench.region.close()).unwrap();
    assert_eq!((bench.region.local_token(), bench.region.remote_token()), (None, None));
    let kind = |result: ndk_core::Result<()>| result.unwrap_err().kind();
    assert_eq!(kind(bench.finish(bench.register())), ErrorKind::InvalidDeviceState);
    assert_eq!(kind(bench.finish(bench.region.deregister())), ErrorKind::InvalidDeviceState);
    let initialise = bench.region.initialize_fast_register(1, true);
    assert_eq!(kind(bench.finish(initialise)), ErrorKind::InvalidDeviceState);
    let query = bench.region.query_extension(&GUID::default(), NDK_VERSION::default());
    assert_eq!(query.unwrap_err().kind(), ErrorKind::InvalidDeviceState);
    bench.finish(bench.adapter.close_pd(&bench.pd));
    let create = bench.adapter.create_mr(&bench.pd, RegionKind::Conventional);
    assert_eq!(bench.finish(create).unwrap_err().kind(), ErrorKind::InvalidDeviceState);
    assert_eq!(bench.adapter.privileged_token(&bench.pd), None);
    bench.adapter.shut_down();
    assert_eq!(
        bench.finish(bench.adapter.create_pd()).unwrap_err().kind(),
        ErrorKind::InvalidDeviceState
    );
}

#[test]
fn g3_initialisations_go_through_one_by_one() {
    let bench = Bench::with(RegionKind::FastRegister);
    let mut first = Box::pin(bench.region.initialize_fast_register(1, true));
    let mut second = Box::pin(bench.region.initialize_fast_register(2, false));
    assert!(poll_once(&mut first).is_none() && poll_once(&mut second).is_none());
    bench.executor.run();
    // The second waits for the first, also where nobody looks at that any more.
    drop(first);
    bench.finish(second).unwrap();
    assert_eq!(bench.world.count("initialize"), 2);
    assert_eq!(bench.region.remote_token(), None);
    let too_many = bench.finish(bench.region.initialize_fast_register(17, true)).unwrap_err();
    assert_eq!(too_many.kind(), ErrorKind::ImplementationLimit);
    bench.end();
}

#[test]
fn b9_what_dropped_creations_make_is_closed() {
    let bench = Bench::new();
    let mut pd = Box::pin(bench.adapter.create_pd());
    let mut region = Box::pin(bench.adapter.create_mr(&bench.pd, RegionKind::Conventional));
    assert!(poll_once(&mut pd).is_none() && poll_once(&mut region).is_none());
    drop((pd, region));
    // The domain's close waits for the creation, and for the close of what it made.
    bench.finish(bench.region.close()).unwrap();
    bench.finish(bench.adapter.close_pd(&bench.pd));
    bench.executor.run();
    bench.world.assert_nothing_left();
    bench.adapter.shut_down();
}

#[test]
fn l4_mappings_go_through() {
    let bench = Bench::new();
    let view = view(&bench.chain, PAGE_SIZE + 1);
    let mut pages = [0; 2];
    let mapping = bench.finish(bench.adapter.build_mapping(view, &mut pages)).unwrap();
    let expected: Vec<u64> = view.frames().map(|frame| (frame as u64) << 12 | 1 << 60).collect();
    assert_eq!(pages, expected[..]);
    assert_eq!(bench.world.live("mapping"), 1);
    bench.adapter.release_mapping(mapping);
    bench.adapter.release_mapping(mapping); // not on the list any more
    assert_eq!(bench.world.live("mapping"), 0);
    {
        let mut building = Box::pin(bench.adapter.build_mapping(view, &mut pages));
        assert!(poll_once(&mut building).is_none());
    }
    bench.executor.run();
    assert_eq!(bench.world.live("mapping"), 0);
    bench.end();
}

#[test]
fn a8_only_the_version_that_is_open_is_served() {
    for (version, served) in [((1, 2), true), ((1, 0), true), ((2, 0), false), ((1, 3), false)] {
        let world = World::new(Mode::Inline);
        let executor = Manual::new();
        let foreign = ForeignAdapter::new(open_soft(&world, executor.clone())).unwrap();
        assert_eq!(foreign.name(), "soft");
        let version = NDK_VERSION { Major: version.0, Minor: version.1 };
        match Opened::<_, Std>::new(foreign, executor, version) {
            Ok(opened) => {
                assert!(served);
                opened.close().unwrap();
            }
            Err(error) => assert_eq!((served, error.kind()), (false, ErrorKind::BadVersion)),
        }
        // Refused or closed, the adapter below is closed.
        world.wait_for_shut_down();
    }
}

#[test]
fn an_adapter_from_elsewhere_is_closed_by_its_function() {
    let world = World::new(Mode::Inline);
    let opened = open_soft(&world, Manual::new());
    let (adapter, capabilities) = (opened.adapter().as_ndk(), opened.capabilities());
    // SAFETY: open until the closure closes it.
    let foreign = unsafe {
        ForeignAdapter::from_ndk(adapter, "elsewhere", capabilities, move || {
            opened.close().map_err(|refused| refused.error).unwrap();
        })
    }
    .unwrap();
    assert_eq!((foreign.name(), foreign.info().FRMRPageCount), ("elsewhere", 16));
    drop(foreign);
    world.wait_for_shut_down();
}

#[test]
fn closing_under_callers_on_other_threads_is_orderly() {
    for round in 0..50 {
        let world = World::new(if round % 2 == 0 { Mode::Inline } else { Mode::Pending });
        let pool = Arc::new(ThreadPool::new(2).unwrap());
        let adapter = ForeignAdapter::new(open_soft(&world, pool)).unwrap();
        let pd = block_on(adapter.create_pd()).unwrap();
        let region = block_on(adapter.create_mr(&pd, RegionKind::Conventional)).unwrap();
        let chain = Mdl::new(&Buffer::new(100).unwrap()).unwrap();
        let go = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !go.load(Ordering::Acquire) {
                        let _ = (region.local_token(), region.remote_token());
                    }
                    for _ in 0..200 {
                        let _ = (region.local_token(), adapter.privileged_token(&pd));
                    }
                });
            }
            scope.spawn(|| {
                for _ in 0..20 {
                    let view = view(&chain, 100);
                    let _ = block_on(region.register(view, Access::REMOTE_READ));
                    let _ = block_on(region.deregister());
                }
            });
            scope.spawn(|| {
                go.store(true, Ordering::Release);
                adapter.cancel(&region);
                block_on(region.close()).unwrap();
                block_on(adapter.close_pd(&pd));
            });
        });
        adapter.shut_down();
        world.assert_nothing_left();
    }
}

#[test]
fn requests_that_are_over_keep_no_watch_of_an_adapter_that_is_closed() {
    let (world, executor) = (World::new(Mode::Inline), Manual::new());
    let foreign = ForeignAdapter::new(open_soft(&world, executor.clone())).unwrap();
    let (verified, version) = (Verifier::new().verify(foreign), NDK_VERSION { Major: 1, Minor: 2 });
    let opened = Opened::<_, Std>::new(verified, executor, version).unwrap();
    let watch = Arc::downgrade(&opened.watch().unwrap());
    let adapter = Adapter::from(opened);
    let domain = adapter.create_domain_blocking().unwrap();
    domain.create_region_blocking().unwrap().close_blocking().unwrap();
    domain.close_blocking().unwrap();
    adapter.close().unwrap();
    world.wait_for_shut_down();
    // Another test that frees memory looks at every verified adapter, for as long as that takes.
    let limit = Instant::now() + Duration::from_secs(10);
    while watch.upgrade().is_some() {
        assert!(Instant::now() < limit, "it is kept");
        std::thread::yield_now();
    }
}
