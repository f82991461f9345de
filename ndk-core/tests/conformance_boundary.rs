//! The C boundary under random calls, good and bad, one after another: each gives the status that a model of the
//! contract foresees, and nothing is left behind.
#![cfg(feature = "std")]

#[path = "boundary/call.rs"]
mod call;
#[path = "boundary/chain.rs"]
mod chain;
#[path = "boundary/model.rs"]
mod model;
#[path = "boundary/other_calls.rs"]
mod other_calls;
mod tiny;
#[path = "boundary/world.rs"]
mod world;

use call::{Call, Object, call};
use model::Model;
use ndk_core::abi::*;
use ndk_core::{ErrorKind, status_name};
use other_calls::tokens;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::cell::RefCell;
use std::collections::BTreeMap;
use world::World;

/// Sequences, and the longest of them: well over 100,000 calls.
const SEQUENCES: u32 = 4_000;
const LONGEST: usize = 150;

/// How often each entry came to each status.
type Counts = BTreeMap<(&'static str, NTSTATUS), usize>;

const NEW_DOMAIN: Call = Call::CreatePd { object: Object::Right, completion: true, out: true };

fn run(calls: &[Call], counts: &RefCell<Counts>) -> Result<(), TestCaseError> {
    let (mut model, mut world) = (Model::default(), World::new());
    model.step(&NEW_DOMAIN);
    world.call(&NEW_DOMAIN);
    for (index, call) in calls.iter().enumerate() {
        if !model.allows(call) {
            continue;
        }
        let expected = model.step(call);
        let came = world.call(call);
        let (came_to, should) = ((came.status, came.pended), (expected.status, expected.pends));
        prop_assert_eq!(came_to, should, "call {}, {:?}", index, call);
        for (place, &mr) in world.regions.iter().enumerate() {
            // SAFETY: the region is alive.
            let (local, remote) = unsafe { tokens(mr, mr) };
            prop_assert_eq!((local != 0, remote != 0), model.tokens(place), "E1 after {}", index);
        }
        if matches!(call, Call::Mood(_)) {
            continue;
        }
        let mut counts = counts.borrow_mut();
        *counts.entry((call.name(), came.status)).or_default() += 1;
        if came.pended {
            *counts.entry((call.name(), STATUS_PENDING)).or_default() += 1;
        }
    }
    world.end();
    Ok(())
}

#[test]
fn every_call_comes_to_what_the_contract_says() {
    let config = Config { cases: SEQUENCES, failure_persistence: None, ..Config::default() };
    // Always the same calls, so that a failure can be looked into.
    let rng = TestRng::deterministic_rng(RngAlgorithm::XorShift);
    let counts = RefCell::default();
    let sequences = prop::collection::vec(call(), 1..LONGEST);
    let result =
        TestRunner::new_with_rng(config, rng).run(&sequences, |calls| run(&calls, &counts));
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
