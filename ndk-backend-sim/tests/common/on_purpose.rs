//! Which mistakes of the verifier's findings a test makes on purpose: those that its name has the rule of, tokens that it
//! asks for to see that there is none, and these.

use ndk_core::{Finding, Party};

/// Tests by the beginning of what follows their file's name, with rules.
const BESIDE: &[(&str, &[&str])] = &[
    ("fast::g6_g10_a_flush_leaves_a_registration", &["F4"]),
    ("fast::g9_a_send_and_invalidate_kills_the_token", &["G7", "G8"]),
    ("fast::l2_a_page_outside_of_every_mapping", &["L4"]),
    ("fast::l3_l5_elements_with_the_privileged_token", &["L2"]),
    ("keys::e4_", &["F4"]),
    ("refusals::d4_stale_tokens", &["F4"]),
    ("withdrawal::d3_", &["F4"]),
    ("windows::a_window_is_refused_what_its_region_is_not", &["D2"]),
    ("windows::d2_a_bound_window_keeps_its_region", &["G8"]),
    ("windows::several_windows_over_one_region", &["D2"]),
    ("cancel::h4_a_domain_is_closed_after_a_creation", &["H7"]),
    ("faults::b7_a_deregistration_that_fails", &["C12"]),
    ("faults::l6_a_build_that_pends_needs_a_completion", &["A7"]),
    ("loss::h8_new_requests_of_every_kind", &["G8"]),
    ("work::what_comes_after_the_close_of_its_region", &["F4"]),
    ("consumer_rotate::", &["F4"]),
    ("determinism::", &["C1", "C11", "C12", "D1", "F4", "G1"]),
    ("model::", &["C1", "C5", "C6", "C11", "C12", "D1", "F4", "F5", "G1", "G2", "G3", "G4", "G5"]),
    ("model::", &["G7", "G8", "G10", "H7"]),
    ("stress::", &["A1", "A6", "A7", "C1", "C5", "C6", "C11", "C12", "D1", "D2", "F4", "F5", "G1"]),
    ("stress::", &["G2", "G3", "G4", "G5", "G7", "G8", "G10", "H7"]),
];

pub(crate) fn is_on_purpose(test: &str, finding: &Finding) -> bool {
    let name = test.rsplit("::").next().unwrap_or(test);
    let has = |rule: &str| name.split('_').any(|part| part.eq_ignore_ascii_case(rule));
    let beside = |rule: &str| {
        let of_test = |(which, _): &&(&str, _)| test.contains(which);
        BESIDE.iter().filter(of_test).any(|(_, rules)| rules.contains(&rule))
    };
    let asks = finding.rules == ["V11", "E1"];
    finding.party == Party::Consumer
        && (asks || finding.rules.iter().any(|rule| has(rule) || beside(rule)))
}
