//! The conformance kit on the tables of the provider in C: with its hooks, and as if it had none.

use c_provider::{kit, provider};
use ndk_core::conformance::{TableProvider, main as run};
use std::process::ExitCode;

fn main() -> ExitCode {
    let all = provider();
    let hooks = [all.pace.is_some(), all.run.is_some(), all.hold.is_some(), all.fail.is_some()];
    let others = [all.lose.is_some(), all.limit_regions.is_some(), all.objects.is_some()];
    let work = [
        all.access.is_some(),
        all.fast_register.is_some(),
        all.invalidate.is_some(),
        all.bind.is_some(),
    ];
    let has_all = hooks == [true; 4] && others == [true; 3] && work == [true; 4];
    assert!(has_all, "a case would be left out for want of it");
    let none = TableProvider::new(all.open, all.close);
    // What is drawn is the same without hooks.
    const BARE: &[&str] = &["A", "B", "C", "D1", "D5", "E1", "E2", "G", "H", "K", "L"];
    run([kit(&all), kit(&none).named("bare").only(BARE)])
}
