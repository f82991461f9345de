//! Many threads on shared regions of the simulator, with latencies and faults, under an executor that misbehaves.

#[path = "../../ndk-core/tests/stress/mod.rs"]
mod stress;

use ndk_backend_sim::{Config, SimAdapter};
use std::sync::atomic::Ordering;
use stress::{Load, Moody, run};

const PLAN: &str = r#"
[latency]
all = "~5us..50us"
close-mr = "inline"
close-pd = "inline"

[[fault]]
operation = "register"
every = 7
status = "insufficient-resources"
when = "pending"

[[fault]]
operation = "deregister"
share = 0.1
status = "device-busy"
when = "inline"

[[fault]]
operation = "create-mr"
every = 11
status = "insufficient-resources"
when = "inline"

[limits]
regions = 12
"#;

/// `NDK_STRESS_ROUNDS` makes it longer: calls of each thread.
fn rounds() -> usize {
    let asked = std::env::var("NDK_STRESS_ROUNDS").ok();
    asked.map_or(2_000, |rounds| rounds.parse().expect("NDK_STRESS_ROUNDS is a number"))
}

#[test]
fn every_pending_gets_its_callback() {
    let plan = PLAN.parse().expect("a plan");
    let sim = SimAdapter::new(Config { plan, ..Config::default() }).expect("entropy");
    let load = Load { threads: 8, rounds: rounds(), seed: 2 };
    let totals = run(sim, Moody::new(), load, |_| {});
    let pendings = totals.pendings.load(Ordering::Relaxed);
    println!("{} calls, {pendings} of them pending", totals.calls.load(Ordering::Relaxed));
    assert!(pendings > rounds() / 2, "few requests pended: {pendings}");
}
