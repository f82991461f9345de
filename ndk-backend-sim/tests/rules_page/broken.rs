//! The providers that are broken on purpose, to test the kit.

#[path = "../broken/list/mod.rs"]
mod list;

use list::{Level, all};
use ndk_core::conformance::{Coverage, Rule, rules};

/// The lines of a rule: what breaks it, and which case sees that.
pub(crate) fn lines(rule: &str) -> Vec<String> {
    let broken = all().filter(|defect| defect.rule == rule).map(|defect| {
        let mut notes = vec![
            match defect.level {
                Level::Table => "tables",
                Level::Rust => "traits",
                Level::Alone => "a table alone",
            }
            .to_string(),
        ];
        if defect.profile != "default" {
            notes.push(format!("on `{}`", defect.profile));
        }
        if defect.waits {
            notes.push("seen by waiting".into());
        }
        let (case, what, notes) = (defect.case, defect.what, notes.join("; "));
        format!("- Broken: {what} (`{}`; {notes}): caught by `{case}`", defect.name)
    });
    broken.collect()
}

fn of_kit(id: &str) -> Option<Rule> {
    rules().into_iter().find(|rule| rule.id == id)
}

#[test]
fn every_rule_is_broken_by_a_provider() {
    let observable =
        rules().into_iter().filter(|rule| !matches!(rule.coverage, Coverage::NotObservable(_)));
    let holes: Vec<_> = observable
        .map(|rule| rule.id)
        .filter(|id| !all().any(|defect| defect.rule == *id))
        .collect();
    assert!(holes.is_empty(), "no provider breaks {}", holes.join(", "));
}

#[test]
fn each_provider_is_caught_by_a_case_of_its_rule() {
    for defect in all() {
        let rule = of_kit(defect.rule).unwrap_or_else(|| panic!("{} is no rule", defect.rule));
        let there = rule.cases.contains(&defect.case);
        assert!(there, "{} has no case {} for {}", defect.rule, defect.case, defect.name);
        let same = all().filter(|other| other.name == defect.name).count();
        assert_eq!(same, 1, "{} is one provider", defect.name);
    }
}
