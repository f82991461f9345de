//! A tiny software provider for the tests of the consumer's side and of the reverse bridge, and ways to run it.
#![allow(dead_code, unreachable_pub, reason = "each test file is a crate, and uses a part of it")]

pub mod provider;
pub mod run;

use ndk_core::abi::NDK_VERSION;
use ndk_core::consumer::Adapter;
use ndk_core::foreign::ForeignAdapter;
use ndk_core::{Executor, Opened, Std, ThreadPool};
use provider::{Mode, Soft, World};
use std::sync::Arc;

const VERSION: NDK_VERSION = NDK_VERSION { Major: 1, Minor: 2 };

/// What is between the consumer and the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layers {
    /// One table.
    One,
    /// A table, back to the traits, and another table.
    Two,
}

pub const LAYERS: [Layers; 2] = [Layers::One, Layers::Two];

pub fn open_soft(world: &Arc<World>, executor: Arc<dyn Executor>) -> Opened<Soft, Std> {
    Opened::new(Soft(world.clone()), executor, VERSION).unwrap()
}

pub fn open_foreign(
    world: &Arc<World>,
    executor: Arc<dyn Executor>,
) -> Opened<ForeignAdapter, Std> {
    let foreign = ForeignAdapter::new(open_soft(world, executor.clone())).unwrap();
    Opened::new(foreign, executor, VERSION).unwrap()
}

pub fn open(layers: Layers, world: &Arc<World>, executor: Arc<dyn Executor>) -> Adapter {
    match layers {
        Layers::One => open_soft(world, executor).into(),
        Layers::Two => open_foreign(world, executor).into(),
    }
}

/// Runs a test over every number of layers, with what completes inline and with what pends, on a pool of threads.
pub fn everywhere(test: impl Fn(Adapter, &Arc<World>)) {
    for layers in LAYERS {
        for mode in [Mode::Inline, Mode::Pending] {
            let world = World::new(mode);
            let pool = Arc::new(ThreadPool::new(2).unwrap());
            println!("{layers:?} {mode:?}");
            test(open(layers, &world, pool), &world);
            world.wait_for_shut_down();
            world.assert_nothing_left();
        }
    }
}
