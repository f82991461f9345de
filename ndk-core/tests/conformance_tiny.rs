//! The conformance kit on the smallest provider: the framework's own rules, and the kit itself.

mod tiny;

use ndk_core::conformance::Kit;
use std::process::ExitCode;
use tiny::Tiny;

fn main() -> ExitCode {
    Kit::new(|| Ok(Tiny::new())).region_limit(4, || Ok(Tiny::with_region_limit(4))).main()
}
