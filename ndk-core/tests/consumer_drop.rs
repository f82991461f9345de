//! What is dropped early: futures, regions, domains, adapters, and tasks by their executor.
#![cfg(feature = "std")]

mod soft;

use ndk_core::consumer::{Adapter, Failed, ProtectionDomain, Region, Registered};
use ndk_core::mdl::{Buffer, Mdl};
use ndk_core::{Access, ErrorKind};
use soft::provider::{Mode, Op, World};
use soft::run::{Dropping, How, Manual, poll_once};
use soft::{LAYERS, open};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

const ALL: Access = Access::REMOTE_WRITE;

fn mdl() -> Mdl {
    Mdl::new(&Buffer::with_page_offset(5_000, 7).unwrap()).unwrap()
}

/// Everything that a test by hand needs; what is spawned runs when the test says so.
struct Bench {
    world: Arc<World>,
    executor: Arc<Manual>,
    adapter: Adapter,
    domain: ProtectionDomain,
}

impl Bench {
    /// Things are made inline; what comes after pends.
    fn each(test: impl Fn(Bench)) {
        for layers in LAYERS {
            println!("{layers:?}");
            let (world, executor) = (World::new(Mode::Inline), Manual::new());
            let adapter = open(layers, &world, executor.clone());
            let domain = adapter.create_domain_blocking().unwrap();
            test(Bench { world, executor, adapter, domain });
        }
    }

    fn region(&self) -> Region {
        self.domain.create_region_blocking().unwrap()
    }

    fn registered(&self) -> Region<Registered> {
        self.region().register_blocking(mdl(), ALL).unwrap()
    }

    fn pend(&self) {
        self.world.set_mode(Mode::Pending);
    }

    /// Everything that is left ends, and the adapter closes.
    fn end(self) {
        let Bench { world, executor, adapter, domain } = self;
        drop(domain);
        assert_eq!(executor.run(), 0);
        world.assert_nothing_left();
        adapter.close().unwrap();
        assert!(world.is_shut_down());
    }
}

#[test]
fn a_future_that_was_never_polled_has_done_nothing() {
    Bench::each(|bench| {
        bench.pend();
        drop(bench.domain.create_region());
        assert_eq!(bench.executor.waiting(), 0);
        bench.world.set_mode(Mode::Inline);
        let region = bench.region();
        bench.pend();
        drop(region.register(mdl(), ALL));
        bench.executor.run();
        assert_eq!((bench.world.count("register"), bench.world.live("mr")), (0, 0));
        bench.end();
    });
}

#[test]
fn h6_a_dropped_registration_goes_on_and_is_closed() {
    Bench::each(|bench| {
        let region = bench.region();
        bench.pend();
        let mut registering = Box::pin(region.register(mdl(), ALL));
        assert!(poll_once(&mut registering).is_none());
        drop(registering);
        bench.executor.run();
        // The chain was read after the drop, and the region closed by the callback.
        assert_eq!((bench.world.count("register"), bench.world.count("close")), (1, 1));
        assert_eq!((bench.world.registered(), bench.world.live("mr")), (0, 0));
        bench.end();
    });
}

#[test]
fn h6_a_registration_that_was_over_unseen_is_closed_too() {
    Bench::each(|bench| {
        let region = bench.region();
        bench.pend();
        let mut registering = Box::pin(region.register(mdl(), ALL));
        assert!(poll_once(&mut registering).is_none());
        bench.executor.run();
        // The future still has the region, which is registered over memory that is still there.
        assert_eq!(bench.world.touch_everything(), 1);
        drop(registering);
        bench.executor.run();
        assert_eq!(bench.world.live("mr"), 0);
        bench.end();
    });
}

#[test]
fn h3_h6_memory_stays_until_a_dropped_region_is_closed() {
    Bench::each(|bench| {
        let region = bench.registered();
        bench.pend();
        drop(region);
        assert_eq!(bench.world.touch_everything(), 1);
        bench.executor.run();
        assert_eq!(bench.world.touch_everything(), 0);
        bench.end();
    });
}

#[test]
fn h6_dropped_deregistrations_and_closes_go_on() {
    Bench::each(|bench| {
        let (one, two, three) = (bench.registered(), bench.registered(), bench.region());
        bench.pend();
        let mut deregistering = Box::pin(one.deregister());
        let mut closing = Box::pin(two.close());
        let mut plain = Box::pin(three.close());
        assert!(poll_once(&mut deregistering).is_none());
        assert!(poll_once(&mut closing).is_none() && poll_once(&mut plain).is_none());
        drop((deregistering, closing, plain));
        assert_eq!(bench.world.touch_everything(), 2);
        bench.executor.run();
        assert_eq!((bench.world.count("deregister"), bench.world.live("mr")), (1, 0));
        bench.end();
    });
}

#[test]
fn h6_what_a_dropped_creation_makes_is_closed() {
    Bench::each(|bench| {
        bench.pend();
        let mut region = Box::pin(bench.domain.create_region());
        let mut fast = Box::pin(bench.domain.create_fast_region());
        let mut domain = Box::pin(bench.adapter.create_domain());
        assert!(poll_once(&mut region).is_none() && poll_once(&mut fast).is_none());
        assert!(poll_once(&mut domain).is_none());
        drop((region, fast, domain));
        bench.executor.run();
        assert_eq!((bench.world.live("mr"), bench.world.live("pd")), (0, 1));
        bench.end();
    });
}

#[test]
fn l4_a_dropped_build_releases_its_mapping() {
    Bench::each(|bench| {
        bench.pend();
        let mut building = Box::pin(bench.adapter.build_mapping(mdl()));
        assert!(poll_once(&mut building).is_none());
        drop(building);
        bench.executor.run();
        assert_eq!(bench.world.live("mapping"), 0);
        let mut building = Box::pin(bench.adapter.build_mapping(mdl()));
        assert!(poll_once(&mut building).is_none());
        bench.executor.run();
        assert_eq!(bench.world.live("mapping"), 1);
        drop(building);
        assert_eq!(bench.world.live("mapping"), 0);
        bench.end();
    });
}

#[test]
fn a_dropped_initialisation_goes_on_and_is_closed() {
    Bench::each(|bench| {
        let region = bench.domain.create_fast_region_blocking().unwrap();
        bench.pend();
        let mut initialising = Box::pin(region.initialize(1, true));
        assert!(poll_once(&mut initialising).is_none());
        drop(initialising);
        bench.executor.run();
        assert_eq!((bench.world.count("initialize"), bench.world.live("mr")), (1, 0));
        bench.end();
    });
}

#[test]
fn h4_a_domain_closes_after_its_regions() {
    Bench::each(|Bench { world, executor, adapter, domain }| {
        let region = domain.create_region_blocking().unwrap();
        let mut closing = Box::pin(domain.close());
        assert!(poll_once(&mut closing).is_none());
        executor.run();
        assert!(poll_once(&mut closing).is_none());
        // The region goes on working.
        let region = region.register_blocking(mdl(), ALL).unwrap();
        assert!(world.peer_write(region.remote_token(), region.base_address(), b"still here"));
        region.close_blocking().unwrap();
        executor.run();
        poll_once(&mut closing).expect("the last region is closed").unwrap();
        world.assert_nothing_left();
        adapter.close().unwrap();
    });
}

#[test]
fn h5_h6_everything_is_freed_in_any_order_of_drops() {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        for mode in [Mode::Inline, Mode::Pending] {
            soft::everywhere(|adapter, world| {
                let domain = adapter.create_domain_blocking().unwrap();
                let region = domain.create_region_blocking().unwrap();
                let region = region.register_blocking(mdl(), ALL).unwrap();
                let (mut adapter, mut domain, mut region) =
                    (Some(adapter), Some(domain), Some(region));
                world.set_mode(mode);
                for which in order {
                    match which {
                        0 => drop(adapter.take()),
                        1 => drop(domain.take()),
                        _ => drop(region.take()),
                    }
                }
                // `everywhere` waits for the shut-down, which nothing but the drops can bring about.
            });
        }
    }
}

#[test]
fn h5_the_adapters_close_blocks_until_the_last_region_is_closed() {
    soft::everywhere(|adapter, world| {
        let domain = adapter.create_domain_blocking().unwrap();
        let region = domain.create_region_blocking().unwrap();
        let region = region.register_blocking(mdl(), ALL).unwrap();
        std::thread::scope(|scope| {
            let closing = scope.spawn(|| adapter.close());
            // The region works while the close waits, however far that has come.
            assert!(world.peer_write(region.remote_token(), region.base_address(), b"open"));
            assert!(!closing.is_finished() && !world.is_shut_down());
            drop(domain);
            region.close_blocking().unwrap();
            closing.join().unwrap().unwrap();
        });
        assert!(world.is_shut_down());
    });
}

/// Closes an adapter from inside a provider's callback, where wakers are called.
struct Closer(Mutex<(Option<Adapter>, Option<ErrorKind>)>);

impl Wake for Closer {
    fn wake(self: Arc<Self>) {
        let mut state = self.0.lock().unwrap();
        if let Some(adapter) = state.0.take()
            && let Err(Failed { object, error }) = adapter.close()
        {
            *state = (Some(object), Some(error.kind()));
        }
    }
}

#[test]
fn h5_an_adapter_is_not_closed_inside_a_callback_of_its_own() {
    Bench::each(|Bench { world, executor, adapter, domain }| {
        let region = domain.create_region_blocking().unwrap();
        world.set_mode(Mode::Pending);
        let closer = Arc::new(Closer(Mutex::new((Some(adapter), None))));
        let waker = Waker::from(closer.clone());
        let mut registering = Box::pin(region.register(mdl(), ALL));
        let poll = registering.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(poll.is_pending());
        executor.run();
        let (adapter, error) = std::mem::take(&mut *closer.0.lock().unwrap());
        assert_eq!(error, Some(ErrorKind::InvalidDeviceState));
        drop((registering, domain));
        executor.run();
        adapter.unwrap().close().unwrap();
        assert!(world.is_shut_down());
    });
}

#[test]
fn b9_an_executor_that_drops_or_panics_cancels_and_gives_the_region_back() {
    for layers in LAYERS {
        for how in [How::Drop, How::Panic, How::Thread] {
            println!("{layers:?} {how:?}");
            let (world, executor) = (World::new(Mode::Inline), Arc::new(Dropping::default()));
            let adapter = open(layers, &world, executor.clone());
            let domain = adapter.create_domain_blocking().unwrap();
            let region = domain.create_region_blocking().unwrap();
            world.set_mode(Mode::Pending);
            *executor.0.lock().unwrap() = how;
            let Failed { object: (region, chain), error } =
                region.register_blocking(mdl(), ALL).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Cancelled);
            let refused = domain.create_region_blocking().unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Cancelled);
            assert_eq!(adapter.create_domain_blocking().unwrap_err().kind(), ErrorKind::Cancelled);

            *executor.0.lock().unwrap() = How::Run;
            let region = region.register_blocking(chain, ALL).unwrap();
            assert_eq!(world.registered(), 1);
            *executor.0.lock().unwrap() = how;
            let Failed { object: region, error } = region.deregister_blocking().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Cancelled);

            *executor.0.lock().unwrap() = How::Run;
            let (region, _chain) = region.deregister_blocking().unwrap();
            assert_eq!(world.registered(), 0);
            region.close_blocking().unwrap();
            domain.close_blocking().unwrap();
            adapter.close().unwrap();
            world.assert_nothing_left();
        }
    }
}

/// What is leaked is the device's: the memory with it, whoever waits for the close.
fn assert_kept(bench: &Leaking, region: Region<Registered>) {
    let registered = bench.world.registered();
    if registered == 1 {
        assert_eq!(region.close_blocking().unwrap_err().kind(), ErrorKind::Internal);
    } else {
        drop(region);
    }
    assert_eq!(bench.world.registered(), registered);
}

/// A world whose closes of regions do not end, over layers that all run in one executor.
struct Leaking {
    world: Arc<World>,
    executor: Arc<Dropping>,
}

impl Leaking {
    /// Registers two regions, and has `close` see to it that their closes do not end.
    fn each(close: impl Fn(&Leaking, Region<Registered>)) {
        for layers in LAYERS {
            println!("{layers:?}");
            let (world, executor) = (World::new(Mode::Inline), Arc::new(Dropping::default()));
            let bench = Leaking { world, executor };
            let adapter = open(layers, &bench.world, bench.executor.clone());
            let domain = adapter.create_domain_blocking().unwrap();
            for _ in 0..2 {
                let region = domain.create_region_blocking().unwrap();
                close(&bench, region.register_blocking(mdl(), ALL).unwrap());
            }
            // The device still writes there, where nothing else is by now.
            drop([(); 64].map(|()| mdl()));
            assert_eq!(bench.world.touch_everything(), 2);
            domain.close_blocking().unwrap();
            adapter.close().unwrap();
        }
    }
}

#[test]
fn b8_memory_outlives_a_close_that_fails() {
    Leaking::each(|bench, region| {
        bench.world.fail_next(Op::Close, ErrorKind::Internal);
        assert_kept(bench, region);
    });
}

#[test]
fn b8_memory_outlives_a_pending_close_that_fails() {
    Leaking::each(|bench, region| {
        bench.world.set_mode(Mode::Pending);
        bench.world.fail_next(Op::Close, ErrorKind::Internal);
        assert_kept(bench, region);
        bench.world.set_mode(Mode::Inline);
    });
}

#[test]
fn b9_memory_outlives_a_close_that_is_given_up() {
    for how in [How::Drop, How::Panic, How::Thread] {
        println!("{how:?}");
        Leaking::each(|bench, region| {
            bench.world.set_mode(Mode::Hung);
            *bench.executor.0.lock().unwrap() = how;
            assert_kept(bench, region);
            *bench.executor.0.lock().unwrap() = How::Run;
            bench.world.set_mode(Mode::Inline);
        });
    }
}

/// A registration may be there at the device although it ended with an error.
#[test]
fn b8_memory_outlives_a_registration_that_panicked() {
    for layers in LAYERS {
        println!("{layers:?}");
        let (world, executor) = (World::new(Mode::Inline), Manual::new());
        let adapter = open(layers, &world, executor);
        let domain = adapter.create_domain_blocking().unwrap();
        let region = domain.create_region_blocking().unwrap();
        world.panic_once_registered();
        let buffer = Buffer::new(5_000).unwrap();
        let address = buffer.address();
        let Failed { object: (region, _), error } =
            region.register_blocking(Mdl::new(&buffer).unwrap(), ALL).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
        drop(buffer);
        let others: Vec<Buffer> = (0..64).map(|_| Buffer::new(5_000).unwrap()).collect();
        assert!(others.iter().all(|other| other.address() != address), "the memory is gone");
        assert_eq!(world.touch_everything(), 1);
        region.close_blocking().unwrap();
        domain.close_blocking().unwrap();
        adapter.close().unwrap();
        world.assert_nothing_left();
    }
}

#[test]
fn b2_drops_meet_callbacks_at_any_moment() {
    soft::everywhere(|adapter, world| {
        let domain = adapter.create_domain_blocking().unwrap();
        for round in 0..400 {
            let region = domain.create_region_blocking().unwrap();
            let mut registering = Box::pin(region.register(mdl(), ALL));
            // The drop comes before, while or after the pool's threads complete.
            if poll_once(&mut registering).is_none() {
                (0..round % 40 * 10).for_each(|_| std::hint::spin_loop());
            }
            drop(registering);
            if round % 3 == 0 {
                drop(domain.create_region());
                let mut creating = Box::pin(domain.create_region());
                let _ = poll_once(&mut creating);
            }
        }
        domain.close_blocking().unwrap();
        assert_eq!((world.live("mr"), world.registered()), (0, 0));
        adapter.close().unwrap();
    });
}
