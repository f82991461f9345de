//! The conformance kit on the simulator under the verifier: every case passes as without it, no mistake of the provider
//! is found, and of the consumer only what a case does wrong on purpose.

use ndk_backend_sim::{Config, Fabric, SimAdapter};
use ndk_core::conformance::{Kit, case_in_progress};
use ndk_core::verifier::{Policy, Verified, Verifier};
use ndk_core::{Finding, Party, Result};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;

type Case = (&'static str, &'static str);

/// The verifier of each adapter, and the case it was made for.
static VERIFIERS: Mutex<Vec<(Option<Case>, Verifier)>> = Mutex::new(Vec::new());

fn verified(fabric: &Fabric) -> Result<Verified<SimAdapter>> {
    let sim = SimAdapter::new(Config { fabric: fabric.clone(), ..Config::default() })?;
    // What pends waits for its case, however long that takes.
    let verifier =
        Verifier::new().policy(Policy::Count).backtraces(false).limit(Duration::from_secs(3600));
    let verified = verifier.verify(sim);
    VERIFIERS.lock().unwrap().push((case_in_progress(), verifier));
    Ok(verified)
}

/// Whether the mistake goes with a refusal: a status, a token of 0, a completion with an error. No case makes another.
fn is_refusal(finding: &Finding) -> bool {
    !matches!(finding.rules[0], "V6" | "V7" | "V8" | "V10" | "V12")
}

fn main() -> ExitCode {
    let fabric = Fabric::new();
    let (one, other) = (fabric.clone(), fabric);
    let outcome = Kit::pair(move || verified(&one), move || verified(&other)).main();
    let (mut of_consumers, mut is_wrong) = (BTreeMap::<_, u64>::new(), false);
    for (case, verifier) in &*VERIFIERS.lock().unwrap() {
        for finding in verifier.findings() {
            if finding.party == Party::Consumer && is_refusal(&finding) {
                *of_consumers.entry(finding.rules[0]).or_default() += 1;
                continue;
            }
            let case = case.map_or("the probe".into(), |(rule, name)| format!("{rule}::{name}"));
            eprintln!("{case}: {finding}");
            is_wrong = true;
        }
    }
    println!("mistakes of the cases that the verifier has named: {of_consumers:?}");
    if is_wrong { ExitCode::FAILURE } else { outcome }
}
