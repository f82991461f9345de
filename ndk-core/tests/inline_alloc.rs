//! Registering and deregistering through the C table allocates nothing, inline and pending.
#![cfg(feature = "std")]

mod pairs;
mod tiny;

use pairs::{Counting, allocations, allocations_of_pairs};
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

#[test]
fn allocations_are_counted() {
    let before = allocations();
    drop(std::hint::black_box(Box::new(1)));
    assert_eq!(allocations(), before + 1);
}
