//! The page.

use crate::broken;
use crate::elsewhere::{self, Found};
use crate::kits::{Planning, plannings};
use crate::reported::{REPORTED, Reported};
use ndk_core::conformance::{Coverage, Planned, Rule, rules as kit_rules};
use std::fmt::Write;

const HEAD: &str = "\
# Rules and tests

Which test checks which rule of [the contract](contract.md). This page is written by a test, which fails when it is out
of date; `UPDATE_DOCS=1 cargo test -p ndk-backend-sim --test rules_page` writes it anew.

A *case* of the conformance kit is tried on each of its *routes* (`native`: the framework's Rust objects; `table`: the C
tables; `consumer`: the safe consumer over the tables) and in each of its *ways* of completing (`inline`: as the backend
does it by itself; `pending`: the callback comes after the entry has returned; `early`: before). A case without a way
decides itself what completes how. Every case checks B1 and B2 on all its requests, and at its end that nothing was left
open, called twice or called late.

A case on the table's route alone is about C's side: headers, tables, wrong objects. Where the types of the safe consumer
rule a case out, the page says how. To a safe consumer an early callback is a future that is ready at its first poll, so
that cases which act inside callbacks are not tried early there. Cases about access connect two domains of one adapter;
a `pair` is tried between two adapters besides.

- One case: `cargo test -p ndk-backend-sim --test conformance -- C6::length_zero`
- One kit: `cargo test -p ndk-backend-sim --test conformance -- rxe:`

The cases run on the simulator: in the shape of each device that it knows, as a device on which every operation waits
(`slow`), and as ones whose tokens rotate (`rotating`, `slowly-rotating`: the rules that this matters to). They run on
the smallest provider too (`ndk-core/tests/conformance_tiny.rs`), and on the tables of a provider in C, with nothing of
the framework between (`examples/c_provider`); what cannot be tried there is said under each rule.

The kit is itself tested: by providers that are broken in one respect each, in the framework's part (`tables`), in the
backend's (`traits`), or in what the kit asks by hooks (`a table alone`). One whose name ends with `at_once` is wrong where it
answers without a future. Under a rule, *Broken* says what such a provider does, and which case catches it. With the cases
of its rule left out, each passes the rest of the kit (`ndk-backend-sim/tests/broken`).

Under a rule, a file stands for tests outside of the kit. `.ci/loom` runs the models in `loom` folders, `.ci/sanitize`
every test but the C library's under AddressSanitizer and LeakSanitizer.
";

/// The IDs, in the page's order.
pub(crate) fn rules() -> Vec<String> {
    let kit = kit_rules().into_iter().map(|rule| rule.id);
    // The contract has L before K.
    let (mut first, last): (Vec<_>, Vec<_>) = kit.partition(|id| !id.starts_with('K'));
    first.extend(last);
    first.extend(REPORTED.iter().map(|reported| reported.id));
    first.into_iter().map(String::from).collect()
}

pub(crate) fn rules_without_case_or_reason() -> Vec<&'static str> {
    let of_kit = kit_rules().into_iter();
    let of_kit = of_kit.filter(|rule| rule.cases.is_empty() && left(rule).is_none());
    let reported = REPORTED.iter();
    let reported = reported.filter(|mistake| mistake.rules.is_empty() && mistake.left.is_empty());
    of_kit.map(|rule| rule.id).chain(reported.map(|mistake| mistake.id)).collect()
}

pub(crate) fn render() -> String {
    let (kits, found) = (plannings(), elsewhere::find(&rules()));
    let mut page = String::from(HEAD);
    counts(&mut page, &kits);
    let of_kit = kit_rules();
    let mut section = ' ';
    for id in rules() {
        let letter = id.chars().next().expect("an ID has a letter");
        if letter != section {
            section = letter;
            line(&mut page, format_args!("\n## {letter}"));
        }
        match of_kit.iter().find(|rule| rule.id == id) {
            Some(rule) => rule_of_kit(&mut page, rule, &kits),
            None => {
                mistake(&mut page, REPORTED.iter().find(|it| it.id == id).expect("of section V"))
            }
        }
        broken::lines(&id).iter().for_each(|text| line(&mut page, format_args!("{text}")));
        others(&mut page, &id, &found);
    }
    page
}

fn line(page: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(page, "{text}").expect("a string takes everything");
}

fn counts(page: &mut String, kits: &[Planning]) {
    line(page, format_args!("\n| kit | cases | tests | cases left out |\n|---|---|---|---|"));
    for kit in kits {
        let (cases, tests, left_out) = kit.counts();
        line(page, format_args!("| `{}` | {cases} | {tests} | {left_out} |", kit.name));
    }
}

fn heading(page: &mut String, id: &str, subject: &str) {
    let anchor = id.to_lowercase();
    line(
        page,
        format_args!("\n### <a id=\"{anchor}\"></a>[{id}](contract.md#{anchor}) {subject}\n"),
    );
}

fn rule_of_kit(page: &mut String, rule: &Rule, kits: &[Planning]) {
    heading(page, rule.id, rule.subject);
    let cases = || kits[0].cases.iter().filter(|case| case.rule == rule.id);
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    for case in cases() {
        let how = how(case);
        match groups.iter_mut().find(|group| group.0 == how) {
            Some(group) => group.1.push(case.case),
            None => groups.push((how, vec![case.case])),
        }
    }
    for (how, names) in groups {
        line(page, format_args!("- Cases: {} ({how})", quoted(&names)));
    }
    if let Some(reason) = rule.few_ways {
        line(page, format_args!("- Not in every way: {reason}."));
    }
    ruled_out(page, cases());
    not_on_tables(page, rule);
    left_out(page, rule, kits);
    match left(rule) {
        Some(reason) if rule.cases.is_empty() => line(page, format_args!("- No case: {reason}.")),
        Some(reason) => line(page, format_args!("- Limits: {reason}.")),
        None => {}
    }
}

/// As in `native, table: pending, early; consumer: pending; pair`.
fn how(case: &Planned) -> String {
    let groups = case.routes.chunk_by(|one, next| one.1 == next.1).map(|group| {
        let routes: Vec<_> = group.iter().map(|(route, _)| *route).collect();
        match group[0].1.join(", ") {
            none if none.is_empty() => routes.join(", "),
            ways => format!("{}: {ways}", routes.join(", ")),
        }
    });
    groups.chain(case.pair.then(|| "pair".into())).collect::<Vec<_>>().join("; ")
}

/// The cases that a safe consumer cannot ask for, by reason.
fn ruled_out<'a>(page: &mut String, cases: impl Iterator<Item = &'a Planned>) {
    let reasons = cases.filter_map(|case| Some((case.case, case.ruled_out?)));
    for (reason, cases) in grouped(reasons) {
        line(page, format_args!("- Not through `consumer`: {}: {reason}.", quoted(&cases)));
    }
}

/// The cases that a table alone cannot be tried with, by reason.
fn not_on_tables(page: &mut String, rule: &Rule) {
    for (reason, cases) in grouped(rule.not_on_tables.iter().copied()) {
        let which = if cases.len() == rule.cases.len() { "all".into() } else { quoted(&cases) };
        line(page, format_args!("- Not on a table alone: {which}: {reason}."));
    }
}

/// Cases by reason, in the order in which they come.
fn grouped<'a>(cases: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<(&'a str, Vec<&'a str>)> {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for (case, reason) in cases {
        match groups.iter_mut().find(|group| group.0 == reason) {
            Some(group) => group.1.push(case),
            None => groups.push((reason, vec![case])),
        }
    }
    groups
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// What the coverage leaves, and why.
fn left(rule: &Rule) -> Option<&'static str> {
    match rule.coverage {
        Coverage::Cases => None,
        Coverage::Partly(reason) | Coverage::NotObservable(reason) => Some(reason),
    }
}

/// The cases that some kits leave out, by reason.
fn left_out(page: &mut String, rule: &Rule, kits: &[Planning]) {
    let mut groups: Vec<(&str, Vec<&str>, Vec<&str>)> = Vec::new();
    for &case in &rule.cases {
        let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
        for kit in kits {
            let Some(reason) = kit.left_out(rule.id, case) else { continue };
            match reasons.iter_mut().find(|known| known.0 == reason) {
                Some(known) => known.1.push(kit.name),
                None => reasons.push((reason, vec![kit.name])),
            }
        }
        for (reason, names) in reasons {
            match groups.iter_mut().find(|group| (group.0, &group.1) == (reason, &names)) {
                Some(group) => group.2.push(case),
                None => groups.push((reason, names, vec![case])),
            }
        }
    }
    for (reason, kits, cases) in groups {
        let which = if cases.len() == rule.cases.len() { "all".into() } else { quoted(&cases) };
        line(page, format_args!("- Left out on {}: {which}: {reason}.", quoted(&kits)));
    }
}

fn mistake(page: &mut String, mistake: &Reported) {
    heading(page, mistake.id, mistake.subject);
    if !mistake.rules.is_empty() {
        let links = mistake.rules.iter().map(|id| format!("[{id}](#{})", id.to_lowercase()));
        line(
            page,
            format_args!("- Tried by the cases of {}", links.collect::<Vec<_>>().join(", ")),
        );
    }
    if !mistake.left.is_empty() {
        let word = if mistake.rules.is_empty() { "No case" } else { "Limits" };
        line(page, format_args!("- {word}: {}.", mistake.left));
    }
}

fn others(page: &mut String, id: &str, found: &Found) {
    for (file, names) in found.get(id).into_iter().flatten() {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let names = if names.is_empty() { "all".into() } else { quoted(&names) };
        line(page, format_args!("- `{file}`: {names}"));
    }
}
