//! Tests outside of the kit: those whose names begin with rules are found, the others are named here.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// Tests that check rules which their names do not say. No names: the whole file, or all that the script runs.
pub(crate) struct Named {
    pub(crate) rules: &'static [&'static str],
    pub(crate) file: &'static str,
    pub(crate) names: &'static [&'static str],
}

const fn named(
    rules: &'static [&'static str],
    file: &'static str,
    names: &'static [&'static str],
) -> Named {
    Named { rules, file, names }
}

pub(crate) const NAMED: &[Named] = &[
    named(&["A2", "V2"], "ndk-core/tests/abi_layout.rs", &[]),
    named(
        &["V2"],
        "ndk-capi/tests/header.rs",
        &["c_and_cxx_call_every_function_and_see_the_same_layout"],
    ),
    named(
        &["A6", "A7", "B1", "B2", "C4", "C15", "D1", "G1", "G2", "H7"],
        "ndk-core/tests/conformance_boundary.rs",
        &["every_call_comes_to_what_the_contract_says"],
    ),
    named(
        &["B2", "B3", "B4"],
        "ndk-core/tests/loom/completion.rs",
        &[
            "the_callback_frees_the_region_before_the_entry_has_returned",
            "the_callback_frees_the_region_on_the_stack_of_the_entry",
        ],
    ),
    named(&["C12"], "ndk-core/tests/loom/completion.rs", &["of_two_registrations_one_succeeds"]),
    named(&["G3"], "ndk-core/tests/loom/initialise.rs", &[]),
    named(&["B9"], "ndk-core/tests/loom/close.rs", &["close_against_a_dropped_task"]),
    named(&["H2", "V21", "V23"], "ndk-core/tests/loom/close.rs", &[]),
    named(&["H4", "H5"], "ndk-core/tests/loom/domain.rs", &[]),
    named(&["B2", "B9", "H2", "H6"], "ndk-core/tests/conformance_stress.rs", &[]),
    named(&["B2", "B9", "H2", "H6"], "ndk-backend-sim/tests/conformance_stress.rs", &[]),
    named(
        &["B8"],
        "ndk-core/tests/conformance_abort.rs",
        &["a_panicking_callback_ends_the_program"],
    ),
    named(
        &["B4", "H6"],
        "ndk-capi/tests/c_consumer.rs",
        &[
            "the_consumer_is_clean_under_address_sanitizer_with_the_shared_library",
            "the_consumer_is_clean_under_address_sanitizer_with_the_static_library",
        ],
    ),
    named(&["B4", "C15", "D3", "H6"], ".ci/sanitize", &[]),
    named(
        &["D2"],
        "ndk-backend-sim/tests/data_path/windows.rs",
        &[
            "several_windows_over_one_region_end_one_by_one",
            "a_window_is_refused_what_its_region_is_not",
        ],
    ),
    named(
        &["F1"],
        "ndk-backend-sim/tests/data_path/windows.rs",
        &["a_window_reaches_its_part_of_the_region_and_no_byte_more"],
    ),
    named(
        &["F6"],
        "ndk-backend-sim/tests/data_path/moves.rs",
        &["a_message_without_a_receive_or_with_too_small_a_one_breaks_both_ends"],
    ),
    named(
        &["G9"],
        "ndk-backend-sim/tests/data_path/fast.rs",
        &["a_peer_invalidates_only_what_is_registered_fast_in_the_domain_it_is_connected_to"],
    ),
    named(
        &["B7"],
        "ndk-backend-sim/tests/data_path/fast.rs",
        &["registrations_are_counted_from_begin_to_end_however_they_end"],
    ),
    named(
        &["K1"],
        "ndk-backend-sim/tests/data_path/profiles.rs",
        &[
            "every_device_moves_bytes_with_all_the_rights",
            "every_device_keeps_to_its_limits_of_elements_and_depth",
        ],
    ),
    named(
        &["C12", "D1"],
        "ndk-core/tests/loom/completion.rs",
        &["a_deregistration_against_a_registration"],
    ),
    named(
        &["E1"],
        "ndk-core/tests/loom/completion.rs",
        &["a_token_against_the_registration_it_comes_from"],
    ),
    named(
        &["C3"],
        "ndk-backend-sim/tests/data_path/moves.rs",
        &["a_write_and_a_read_cross_pages_joints_and_offsets"],
    ),
    named(
        &["C9", "F1", "F4"],
        "ndk-backend-sim/tests/data_path/random.rs",
        &["whatever_is_asked_the_bytes_are_those_of_a_model"],
    ),
    named(
        &["C13"],
        "ndk-backend-sim/tests/data_path/fast.rs",
        &["the_same_pages_are_registered_fast_and_conventionally_with_rights_of_their_own"],
    ),
    named(
        &["D4"],
        "ndk-backend-sim/tests/token_table.rs",
        &["no_token_repeats_within_the_distance"],
    ),
    named(
        &["D4"],
        "ndk-backend-sim/src/token/tests.rs",
        &["a_retired_token_stays_away_for_the_distance_and_comes_back_after_it"],
    ),
    named(
        &["E2"],
        "ndk-backend-sim/tests/token_table.rs",
        &["a_million_tokens_from_four_threads_are_distinct_and_right"],
    ),
    named(
        &["E2"],
        "ndk-backend-sim/src/token/interleavings.rs",
        &["two_inserts_of_one_token_are_never_both_live"],
    ),
    named(
        &["E4"],
        "ndk-backend-sim/tests/token_table.rs",
        &["rotation_changes_the_low_eight_bits_only"],
    ),
    named(&["E5"], "ndk-backend-sim/tests/token_prediction.rs", &[]),
    named(
        &["G4", "L3"],
        "ndk-backend-sim/tests/data_path/fast.rs",
        &["a_fast_registration_is_reached_to_the_byte_by_its_own_addresses"],
    ),
    named(
        &["V20"],
        "ndk-core/tests/consumer_raw.rs",
        &["b2_statuses_of_others_are_kept_and_pending_is_none"],
    ),
    named(
        &["V12"],
        "ndk-core/tests/consumer_drop.rs",
        &["h3_h6_memory_stays_until_a_dropped_region_is_closed"],
    ),
];

/// The tests of each rule, by file; an empty list stands for all of the file.
pub(crate) type Found = BTreeMap<String, BTreeMap<String, Vec<String>>>;

/// `known` are the rules: a name's first words count as long as they are among them.
pub(crate) fn find(known: &[String]) -> Found {
    let mut found = Found::new();
    for named in NAMED {
        for rule in named.rules {
            let names =
                found.entry(rule.to_string()).or_default().entry(named.file.into()).or_default();
            names.extend(named.names.iter().map(|name| name.to_string()));
        }
    }
    for path in sources() {
        let text = fs::read_to_string(&path).expect("a source file can be read");
        let file = in_the_page(path.strip_prefix(crate::root()).expect("inside"));
        for name in tests_of(&text) {
            for rule in
                name.split('_').map(str::to_uppercase).take_while(|word| known.contains(word))
            {
                let names = found.entry(rule).or_default().entry(file.clone()).or_default();
                if !names.iter().any(|known| known == name) {
                    names.push(name.into());
                }
            }
        }
    }
    found
}

/// A path with slashes, on Windows too.
fn in_the_page(path: &Path) -> String {
    let parts: Vec<_> = path.iter().map(OsStr::to_string_lossy).collect();
    parts.join("/")
}

/// The names of the functions that follow `#[test]`.
fn tests_of(text: &str) -> impl Iterator<Item = &str> {
    text.split("#[test]").skip(1).filter_map(|rest| rest.split_once("fn ")?.1.split('(').next())
}

/// Every Rust file of the crates' tests and sources, in a fixed order.
fn sources() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for of_crate in ["ndk-core", "ndk-backend-sim", "ndk-capi"] {
        for folder in ["src", "tests"] {
            collect(&crate::root().join(of_crate).join(folder), &mut files);
        }
    }
    files.sort();
    files
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder can be read") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
