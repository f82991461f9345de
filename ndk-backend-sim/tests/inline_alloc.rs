//! Registering and deregistering on the simulator through the C table allocates nothing, inline and pending.

#[path = "../../ndk-core/tests/pairs/mod.rs"]
mod pairs;

use ndk_backend_sim::{Config, SimAdapter};
use pairs::{Counting, allocations_of_pairs};

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
