//! What the kit leaves out on the tables of the provider in C, with all hooks and without any.

use c_provider::{kit, provider};
use ndk_core::conformance::{Kit, Planned, TableProvider};
use std::collections::BTreeSet;

/// The cases that are left out for reasons with these words in them.
fn left_out(kit: Kit, because: &str) -> BTreeSet<String> {
    let plan = kit.plan().expect("the provider opens");
    let is_left = |case: &Planned| case.left_out.is_some_and(|reason| reason.contains(because));
    let left = plan.into_iter().filter(is_left);
    left.map(|case| format!("{}::{}", case.rule, case.case)).collect()
}

/// With all hooks nothing is left out for want of one, and of what work requests do only this: what a queue pair does
/// with its requests, which are the kit's own here.
#[test]
fn with_all_hooks_only_what_queue_pairs_do_themselves() {
    assert_eq!(left_out(kit(&provider()), "hook"), BTreeSet::new());
    let of_queue_pairs = [
        "D2::flushed_bind",
        "D2::flushed_invalidation",
        "D2::until_invalidated_by_peer",
        "F6::both_ends",
        "F6::close_after_flush",
        "F6::flushed_invalidate",
        "F6::loss_of_connection",
        "F6::other_connections",
        "F6::requests_behind",
        "G10::closed",
        "G10::initialised_again",
        "G11::queue_pairs",
        "G6::not_connected",
        "G8::posted_in_order",
        "L1::not_reused_while_posted",
    ];
    let expected = of_queue_pairs.map(String::from);
    assert_eq!(left_out(kit(&provider()), "queue pairs"), BTreeSet::from(expected));
}

/// Without the hooks for work requests every case about access is left out, and says for want of what.
#[test]
fn without_hooks_all_about_access() {
    let all = provider();
    let none = left_out(kit(&TableProvider::new(all.open, all.close)), "no hook to access memory");
    for case in ["C9::one_byte", "D3::dead_when_completed", "D2::until_closed", "F1::bounds"] {
        assert!(none.contains(case), "{case} runs without the hook");
    }
    let access_only = TableProvider { fast_register: None, bind: None, ..all };
    let fast = left_out(kit(&access_only), "no hooks for fast registration");
    let bound = left_out(kit(&access_only), "no hooks for memory windows");
    assert!(fast.contains("G8::reaches_nothing") && bound.contains("D2::until_closed"));
    assert!(!fast.contains("F1::bounds") && !bound.contains("F1::bounds"), "it needs Access only");
}
