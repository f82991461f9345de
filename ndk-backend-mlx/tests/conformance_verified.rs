//! The conformance kit on the devices that there are, under the verifier: every case passes as without it, no mistake of
//! the provider is found, and of the consumer only what a case does wrong on purpose.
//!
//! The rules run that the verifier follows tokens and requests by, and with `NDK_VERIFY_ALL_RULES` set every one.

mod common;
mod kits;
#[path = "../../ndk-backend-sim/tests/kits/verified.rs"]
mod verified;

use std::process::ExitCode;

const RULES: &[&str] = &["D4", "E1", "E4", "F6", "G8", "G9", "G10", "H3"];

fn main() -> ExitCode {
    let all = std::env::var_os("NDK_VERIFY_ALL_RULES").is_some();
    let kits = kits::all(verified::verified);
    let kits = kits.map(|kit| if all { kit } else { kit.only(RULES) });
    verified::judge(ndk_core::conformance::main(kits))
}
