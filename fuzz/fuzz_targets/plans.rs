//! Plan files: each is refused, or printed and read again as the same, and can be followed.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use ndk_backend_sim::plan::{Operation, Plan, Planner};
use ndk_backend_sim::{Config, SimAdapter};
use std::time::Duration;

fuzz_target!(|text: &str| -> Corpus {
    let Ok(plan) = text.parse::<Plan>() else { return Corpus::Keep };
    assert_eq!(plan.to_string().parse().as_ref(), Ok(&plan));
    let planner = Planner::new(&plan, 7);
    for operation in Operation::ALL.iter().chain(Operation::ALL) {
        let decision = planner.decide(*operation);
        assert_ne!(decision.delay, Some(Duration::ZERO));
        assert!(decision.fault.is_none() || operation.can_fail());
    }
    let _ = SimAdapter::new(Config { plan, seed: Some(7), ..Config::default() });
    Corpus::Keep
});
