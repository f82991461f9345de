//! The C boundary under random calls, good and bad, one after another: each gives the status that a model of the
//! contract foresees, and nothing is left behind.
#![cfg(feature = "std")]

#[path = "boundary/call.rs"]
mod call;
#[path = "boundary/chain.rs"]
mod chain;
#[path = "boundary/compare.rs"]
mod compare;
#[path = "boundary/model.rs"]
mod model;
#[path = "boundary/other_calls.rs"]
mod other_calls;
mod tiny;
#[path = "boundary/world.rs"]
mod world;

use call::{Call, call};
use ndk_core::abi::*;
use ndk_core::{ErrorKind, status_name};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Sequences, and the longest of them: well over 100,000 calls.
const SEQUENCES: u32 = 4_000;
const LONGEST: usize = 150;

/// How often each entry came to each status.
type Counts = BTreeMap<(&'static str, NTSTATUS), usize>;

#[test]
fn every_call_comes_to_what_the_contract_says() {
    let config = Config { cases: SEQUENCES, failure_persistence: None, ..Config::default() };
    // Always the same calls, so that a failure can be looked into.
    let rng = TestRng::deterministic_rng(RngAlgorithm::XorShift);
    let counts = RefCell::new(Counts::new());
    let sequences = prop::collection::vec(call(), 1..LONGEST);
    let result = TestRunner::new_with_rng(config, rng).run(&sequences, |calls| {
        compare::run(&calls, |call, came| {
            if matches!(call, Call::Mood(_)) {
                return;
            }
            let mut counts = counts.borrow_mut();
            *counts.entry((call.name(), came.status)).or_default() += 1;
            if came.pended {
                *counts.entry((call.name(), STATUS_PENDING)).or_default() += 1;
            }
        });
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
    let counts = counts.into_inner();
    let mut statuses: BTreeMap<NTSTATUS, usize> = BTreeMap::new();
    for (&(entry, status), &count) in &counts {
        println!("{entry:>12} {:>32} {count:>8}", status_name(status).unwrap_or("?"));
        *statuses.entry(status).or_default() += count;
    }
    let calls: usize = counts.values().sum::<usize>() - statuses[&STATUS_PENDING];
    println!("{calls} calls");
    assert!(calls >= 100_000, "only {calls} calls");
    let reached = [
        STATUS_SUCCESS,
        STATUS_PENDING,
        ErrorKind::InvalidParameter.status(),
        ErrorKind::InvalidDeviceState.status(),
        ErrorKind::InsufficientResources.status(),
        ErrorKind::ImplementationLimit.status(),
        ErrorKind::NotSupported.status(),
        ErrorKind::BufferTooSmall.status(),
        ErrorKind::DeviceRemoved.status(),
        ErrorKind::Internal.status(),
        ErrorKind::Cancelled.status(),
    ];
    for status in reached {
        let count = statuses.remove(&status).unwrap_or(0);
        assert!(count >= 100, "{:?} came {count} times only", status_name(status));
    }
    assert!(statuses.is_empty(), "statuses that nothing here should come to: {statuses:x?}");
}
