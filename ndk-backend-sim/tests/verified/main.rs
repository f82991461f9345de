//! The simulator's tests once more, under the verifier: each passes as without it, no mistake of the provider is found,
//! and of the consumer only what a test does wrong on purpose.
#![allow(clippy::duplicate_mod)] // each of them has its own copy of what they share

#[path = "../common/mod.rs"]
mod common;
#[path = "../consumer_rotate.rs"]
mod consumer_rotate;
#[path = "../data_path/main.rs"]
mod data_path;
#[path = "../determinism.rs"]
mod determinism;
#[path = "../edges.rs"]
mod edges;
#[path = "../model/main.rs"]
mod model;
#[path = "../plans/main.rs"]
mod plans;
#[path = "../stress/main.rs"]
mod stress;

use common::{Host, Memory};
use ndk_core::abi::STATUS_INVALID_PARAMETER;

/// What is found fails a test, unless the test is known to do it.
#[test]
#[should_panic = "found, and not made on purpose"]
fn a_mistake_that_no_test_is_known_for() {
    let host = Host::planned("");
    let (pd, memory) = (host.pd(), Memory::new(100));
    let mr = pd.mr();
    assert_eq!(mr.begin_register(&memory, 0, 1).inline, STATUS_INVALID_PARAMETER);
    mr.close();
    pd.close();
    host.close();
}
