//! Registering and deregistering on the simulator through the C table allocates nothing, inline and pending.

#[path = "../../ndk-core/tests/pairs/mod.rs"]
mod pairs;

use ndk_backend_sim::{Config, SimAdapter};
use pairs::{Counting, allocations_in_the_pool, allocations_of_pairs};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn sim() -> SimAdapter {
    SimAdapter::new(Config::default()).expect("entropy")
}

#[test]
fn a_thousand_inline_pairs_allocate_nothing() {
    assert_eq!(allocations_of_pairs(sim(), 1000, false), 0);
}

#[test]
fn a_thousand_pending_pairs_allocate_nothing() {
    assert_eq!(allocations_of_pairs(sim(), 1000, true), 0);
}

/// The default executor is allowed to allocate: its task, and now and then room in its queue, which comes 31 at a time.
#[test]
fn the_default_executor_s_own_allocations_for_each_pending_request() {
    let each = allocations_in_the_pool(sim(), 1000);
    println!("{each} allocations for each pending request in a ThreadPool");
    assert!(each <= 1.1, "measured were 1.032, not {each}");
}
