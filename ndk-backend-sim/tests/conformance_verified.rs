//! The simulator's kits under the verifier: every case passes as without it, no mistake of the provider is found, and of
//! the consumer only what a case does wrong on purpose.
//!
//! The default shape's kit runs, and with `NDK_VERIFY_ALL_KITS` set that of every shape.

mod kits;
#[path = "kits/verified.rs"]
mod verified;

use ndk_backend_sim::SimAdapter;
use ndk_core::BoxedAdapter;
use ndk_core::conformance::{Kit, main as run};
use std::process::ExitCode;

/// As it is opened by its name, so that everything goes through a box too.
fn boxed(sim: SimAdapter) -> BoxedAdapter {
    BoxedAdapter::new(verified::verified(sim))
}

/// The kits: that of the default shape, or all of them, which takes minutes.
fn kits() -> impl Iterator<Item = Kit> {
    let all = std::env::var_os("NDK_VERIFY_ALL_KITS").is_some();
    let kits = kits::all(boxed).into_iter();
    kits.filter(move |(name, _)| all || *name == "default").map(|(_, kit)| kit)
}

fn main() -> ExitCode {
    verified::judge(run(kits()))
}
