//! Random courses of everything that can be asked of an adapter, legal and illegal, beside a model of the contract: several
//! requests at a time, inline and pending, some of which fail; fast registrations; a peer that reads and writes. What
//! comes back is compared with the model at each step, every token is looked at, and a failure is shrunk.
//!
//! What arguments come to is for the core's `conformance_boundary`; this is about states, and requests that overlap.

#[path = "../common/mod.rs"]
mod common;
#[allow(clippy::module_inception, reason = "it is the model of the test of that name")]
mod model;
mod region;
mod run;
mod step;

use ndk_core::abi::*;
use ndk_core::{ErrorKind, status_name};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use run::{Counts, Run};
use std::cell::RefCell;
use step::{course, step};

/// The longest course.
const LONGEST: usize = 300;

/// Runs that many courses; gives the number of steps.
fn explore(courses: u32) -> (usize, Counts) {
    let config = Config { cases: courses, failure_persistence: None, ..Config::default() };
    // Always the same courses, so that a failure can be looked into.
    let rng = TestRng::deterministic_rng(RngAlgorithm::XorShift);
    let done = RefCell::new((0, Counts::new()));
    let steps = prop::collection::vec(step(), 1..LONGEST);
    let result =
        TestRunner::new_with_rng(config, rng).run(&(course(), steps), |(course, steps)| {
            let (count, counts) = &mut *done.borrow_mut();
            let mut run = Run::new(course, counts);
            steps.iter().for_each(|step| run.step(step));
            run.end();
            *count += steps.len();
            Ok(())
        });
    if let Err(failure) = result {
        panic!("{failure}");
    }
    let (steps, counts) = done.into_inner();
    for ((what, status), count) in &counts {
        println!("{what:>15} {:>32} {count:>8}", status_name(*status).unwrap_or("?"));
    }
    println!("{steps} steps in {courses} courses");
    (steps, counts)
}

/// Everything that was asked came to everything that it can come to.
fn assert_varied(counts: &Counts) {
    let refusals = [ErrorKind::InvalidParameter, ErrorKind::InvalidDeviceState];
    let refused = refusals.map(|kind| kind.status());
    let pending = [STATUS_SUCCESS, STATUS_PENDING, STATUS_INVALID_DEVICE_STATE];
    let worked = [STATUS_SUCCESS, STATUS_ACCESS_VIOLATION, STATUS_CANCELLED];
    let posted = [STATUS_SUCCESS, STATUS_CANCELLED];
    let ended = [
        STATUS_SUCCESS,
        STATUS_CANCELLED,
        STATUS_IO_TIMEOUT,
        STATUS_INSUFFICIENT_RESOURCES,
        STATUS_DEVICE_REMOVED,
    ];
    let expected: [(&str, &[NTSTATUS]); 16] = [
        ("create", &[STATUS_INSUFFICIENT_RESOURCES, STATUS_DEVICE_REMOVED]),
        ("create", &pending[2..]),
        ("register", &refused),
        ("register", &[STATUS_SUCCESS, STATUS_PENDING, STATUS_IO_TIMEOUT, STATUS_DEVICE_REMOVED]),
        ("register", &[STATUS_INSUFFICIENT_RESOURCES]),
        ("deregister", &pending),
        ("initialise", &pending),
        ("initialise", &[STATUS_INVALID_PARAMETER, STATUS_IMPLEMENTATION_LIMIT]),
        ("close", &pending),
        ("close domain", &pending),
        ("fast-register", &refused),
        ("fast-register", &[STATUS_SUCCESS, STATUS_ACCESS_VIOLATION]),
        ("fast-registered", &posted),
        ("invalidated", &posted),
        ("read", &worked),
        ("completed", &ended),
    ];
    for (what, statuses) in expected {
        for status in statuses {
            assert!(counts.contains_key(&(what, *status)), "{what} never came to {status:#x}");
        }
    }
}

#[test]
fn whatever_is_asked_the_answers_are_those_of_the_model() {
    let (_, counts) = explore(200);
    assert_varied(&counts);
}

#[test]
#[ignore = "a million steps: run in release"]
fn a_million_steps_are_those_of_the_model() {
    let (steps, _) = explore(7_500);
    assert!(steps >= 1_000_000, "{steps} steps only");
}
