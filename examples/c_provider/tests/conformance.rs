//! The conformance kit on the tables of the provider in C: with its hooks, and as one that has none.

use c_provider::{kit, provider};
use ndk_core::conformance::{TableProvider, main as run};
use std::process::ExitCode;

fn main() -> ExitCode {
    let all = provider();
    let none = TableProvider {
        pace: None,
        run: None,
        hold: None,
        fail: None,
        lose: None,
        limit_regions: None,
        objects: None,
        ..all
    };
    run([kit(&all), kit(&none).named("bare")])
}
