//! `docs/rules.md` is what the kit and the tests say today, and has the rules of `docs/contract.md`, each with a case or
//! a reason.
//!
//! `UPDATE_DOCS=1 cargo test -p ndk-backend-sim --test rules_page` writes the page.

mod broken;
mod contract;
mod elsewhere;
mod kits;
mod page;
mod reported;

use std::path::{Path, PathBuf};
use std::{env, fs};

const UPDATE: &str = "UPDATE_DOCS=1 cargo test -p ndk-backend-sim --test rules_page";

/// The top folder of the project.
fn root() -> PathBuf {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    crates.expect("the crate is in the workspace").to_path_buf()
}

#[test]
fn the_page_is_up_to_date() {
    let (path, page) = (root().join("docs/rules.md"), page::render());
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, page).expect("docs/rules.md can be written");
        return;
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let differ = || found.lines().zip(page.lines()).position(|(old, new)| old != new);
    assert!(
        found == page,
        "docs/rules.md is not what the tests say today, from line {} on; `{UPDATE}` writes it",
        differ().unwrap_or_else(|| found.lines().count().min(page.lines().count())) + 1
    );
}

#[test]
fn page_and_contract_have_the_same_rules() {
    let (contract, page) = (contract::rules(), page::rules());
    for rule in &contract {
        assert!(
            page.contains(&rule.id),
            "{} is in docs/contract.md, not in docs/rules.md",
            rule.id
        );
    }
    for id in &page {
        let there = contract.iter().any(|rule| rule.id == *id);
        assert!(there, "{id} is in docs/rules.md, not in docs/contract.md");
    }
    let order: Vec<_> = contract.into_iter().map(|rule| rule.id).collect();
    assert_eq!(order, page, "the rules are in one order");
}

#[test]
fn every_rule_of_the_contract_says_where_it_is_from_and_who_enforces_it() {
    for rule in contract::rules() {
        let id = &rule.id;
        assert!(!rule.title.is_empty(), "{id} has no title");
        let sources = ["- Source: Microsoft: `", "- Source: decided here"];
        let from = |line: &&str| sources.iter().any(|source| line.starts_with(source));
        assert_eq!(rule.body.lines().filter(from).count(), 1, "{id} wants one source");
        let by = |line: &&str| line.starts_with("- Enforced by: ");
        assert_eq!(
            rule.body.lines().filter(by).count(),
            1,
            "{id} wants one line on its enforcement"
        );
    }
}

#[test]
fn every_rule_has_a_case_or_a_reason() {
    let without = page::rules_without_case_or_reason();
    assert!(without.is_empty(), "no case and no reason: {}", without.join(", "));
}

#[test]
fn the_tests_that_the_page_names_exist() {
    for test in elsewhere::NAMED {
        let path = root().join(test.file);
        let text =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", test.file));
        for name in test.names {
            assert!(text.contains(&format!("fn {name}(")), "{} has no {name}", test.file);
        }
    }
}
