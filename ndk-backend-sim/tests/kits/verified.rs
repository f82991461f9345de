//! Kits under the verifier: what it finds there, and what of it a case does on purpose.

use ndk_core::conformance::case_in_progress;
use ndk_core::verifier::{Policy, Verified, Verifier};
use ndk_core::{AdapterProvider, Finding, Party};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;

type Case = (&'static str, &'static str);

/// The verifier of each adapter, and the case it was made for.
static VERIFIERS: Mutex<Vec<(Option<Case>, Verifier)>> = Mutex::new(Vec::new());

/// Puts an adapter under a verifier of its own.
pub(crate) fn verified<A: AdapterProvider>(adapter: A) -> Verified<A> {
    // What pends waits for its case, however long that takes.
    let verifier =
        Verifier::new().policy(Policy::Count).backtraces(false).limit(Duration::from_secs(3600));
    let verified = verifier.verify(adapter);
    VERIFIERS.lock().unwrap().push((case_in_progress(), verifier));
    verified
}

/// Cases that make mistakes by other rules than their own, with those rules.
const BESIDE: &[(&str, &str, &[&str])] = &[
    ("A3", "reserved_block", &["C6"]),
    ("A3", "reserved_block_fast", &["G2"]),
    ("A4", "dispatch_replaced", &["G1"]),
    ("A4", "dispatch_replaced_by_another", &["G1"]),
    ("A5", "while_pending", &["H7"]),
    ("B1", "refusals", &["C1", "C6", "C12", "D1", "G1"]),
    ("B7", "failed_deregister", &["C12"]),
    ("B7", "failed_register", &["C6", "D1"]),
    ("C12", "first_registration_stays", &["F4"]),
    ("C12", "while_pending", &["D1"]),
    ("C13", "rights_of_each", &["F4"]),
    ("C5", "beyond_chain", &["C7"]),
    ("C6", "null_chain", &["A6"]),
    ("D1", "never_registered", &["C6"]),
    ("D3", "against_a_reader", &["F4"]),
    ("D3", "against_a_reader_of_few_bytes", &["F4"]),
    ("D3", "against_a_writer", &["F4"]),
    ("D3", "dead_when_completed", &["F4"]),
    ("D4", "new_memory_and_rights", &["F4"]),
    ("D4", "stale_token", &["F4"]),
    ("D4", "stale_token_of_a_closed_region", &["F4"]),
    ("E4", "old_token", &["F4"]),
    ("E4", "stable", &["C11", "D1", "G2"]),
    ("F6", "close_after_flush", &["F4"]),
    ("F6", "flushed_invalidate", &["F4", "G10"]),
    ("G10", "closed", &["F4"]),
    ("G10", "initialised_again", &["G8"]),
    ("G3", "last_initialisation_counts", &["G4", "G5"]),
    ("G7", "not_initialised", &["G4"]),
    ("G8", "posted_in_order", &["G7"]),
    ("G9", "send_and_invalidate", &["F4", "G8"]),
    ("H2", "fast_registered", &["F4"]),
    ("H3", "against_a_writer", &["F4"]),
    ("H3", "tokens_are_dead", &["F4"]),
    ("H3", "window_closed", &["F4"]),
    ("H3", "window_invalidated", &["F4"]),
    ("L1", "not_reused_in_use", &["L4"]),
    ("L1", "not_reused_while_posted", &["L4"]),
    ("L4", "bad_arguments", &["A6", "C5", "C6", "C7", "C15"]),
    ("L4", "released_in_use", &["L2"]),
    ("L5", "not_for_addresses_of_regions", &["L2"]),
    ("L6", "null_completion_of_pending", &["A7"]),
];

/// Whether the case makes this mistake on purpose: by its own rule, or by asking for a token to see that there is none, or
/// by one of the rules above.
fn is_on_purpose((id, name): Case, finding: &Finding) -> bool {
    let beside = BESIDE.iter().find(|(of, case, _)| (*of, *case) == (id, name));
    let is_meant = |rule: &&str| *rule == id || beside.is_some_and(|(.., all)| all.contains(rule));
    let asks = finding.rules == ["V11", "E1"];
    finding.party == Party::Consumer && (asks || finding.rules.iter().any(is_meant))
}

/// What a run has come to, with what was found in it.
pub(crate) fn judge(outcome: ExitCode) -> ExitCode {
    let (mut found, mut is_wrong) = (BTreeMap::<_, u64>::new(), false);
    for (case, verifier) in &*VERIFIERS.lock().unwrap() {
        for finding in verifier.findings() {
            if case.is_some_and(|case| is_on_purpose(case, &finding)) {
                *found.entry(finding.rules[0]).or_default() += 1;
                continue;
            }
            let case = case.map_or("the probe".into(), |(rule, name)| format!("{rule}::{name}"));
            eprintln!("{case}: {finding}");
            is_wrong = true;
        }
    }
    println!("mistakes of the cases that the verifier has named: {found:?}");
    if is_wrong { ExitCode::FAILURE } else { outcome }
}
