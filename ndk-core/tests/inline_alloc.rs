//! Registering and deregistering through the C table allocates nothing, inline and pending.
#![cfg(feature = "std")]

mod pairs;
mod tiny;

use pairs::{Counting, allocations, allocations_in_the_pool, allocations_of_pairs};
use tiny::Tiny;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_thousand_inline_pairs_allocate_nothing() {
    assert_eq!(allocations_of_pairs(Tiny::new(), 1000, false), 0);
}

#[test]
fn a_thousand_pending_pairs_allocate_nothing() {
    assert_eq!(allocations_of_pairs(Tiny::new(), 1000, true), 0);
}

/// The default executor is allowed to allocate: its task, and now and then room in its queue, which comes 31 at a time.
#[test]
fn the_default_executor_s_own_allocations_for_each_pending_request() {
    let each = allocations_in_the_pool(Tiny::new(), 1000);
    println!("{each} allocations for each pending request in a ThreadPool");
    assert!(each <= 1.1, "measured were 1.032, not {each}");
}

#[test]
fn allocations_are_counted() {
    let before = allocations();
    drop(std::hint::black_box(Box::new(1)));
    assert_eq!(allocations(), before + 1);
}
