//! The conformance kit on the simulator.

mod kits;

use std::process::ExitCode;

fn main() -> ExitCode {
    ndk_core::conformance::main(kits::all(|sim| sim).into_iter().map(|(_, kit)| kit))
}
