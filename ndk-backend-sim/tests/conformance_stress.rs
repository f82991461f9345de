//! Many threads on shared regions of the simulator, with latencies and faults, under an executor that misbehaves.

#[path = "../../ndk-core/tests/stress/mod.rs"]
mod stress;

use ndk_backend_sim::{Config, SimAdapter};
use ndk_core::Party;
use ndk_core::verifier::{Policy, Verifier};
use std::sync::atomic::Ordering;
use std::time::Duration;
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

fn sim() -> SimAdapter {
    let plan = PLAN.parse().expect("a plan");
    SimAdapter::new(Config { plan, ..Config::default() }).expect("entropy")
}

#[test]
fn every_pending_gets_its_callback() {
    let load = Load { threads: 8, rounds: rounds(), seed: 2 };
    let totals = run(sim(), Moody::new(), load, |_| {});
    let pendings = totals.pendings.load(Ordering::Relaxed);
    println!("{} calls, {pendings} of them pending", totals.calls.load(Ordering::Relaxed));
    assert!(pendings > rounds() / 2, "few requests pended: {pendings}");
}

/// The threads get in each other's way, which is refused; nothing that is let pass is found, and nothing of the provider.
#[test]
fn under_the_verifier_only_what_is_refused_is_found() {
    // Every request has the counters for its context.
    let verifier = Verifier::new()
        .policy(Policy::Count)
        .backtraces(false)
        .shared_contexts(true)
        .limit(Duration::from_secs(3600));
    let load = Load { threads: 8, rounds: rounds(), seed: 3 };
    run(verifier.verify(sim()), Moody::new(), load, |_| {});
    let let_pass = ["V6", "V7", "V8", "V10", "V12"];
    for finding in verifier.findings() {
        let is_refusal = !let_pass.contains(&finding.rules[0]);
        assert!(finding.party == Party::Consumer && is_refusal, "{finding}");
    }
    assert_eq!(verifier.counts().provider, 0);
}
