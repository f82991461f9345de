//! The conformance kit on the devices that there are.

mod common;
mod kits;

use std::process::ExitCode;

fn main() -> ExitCode {
    ndk_core::conformance::main(kits::all(|adapter| adapter))
}
