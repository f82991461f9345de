//! The conformance kit is itself tested: by providers that are broken on purpose, each in one respect.
//!
//! A broken provider must fail the case that `list` names for it. With the cases of its rule left out, it must pass
//! all the others, so that no rule is tested by accident. That second half runs the whole kit many times, so it is
//! ignored unless it is asked for:
//!
//! ```text
//! cargo test -p ndk-backend-sim --test broken
//! cargo test -p ndk-backend-sim --release --test broken -- --ignored
//! ```
//!
//! Each provider has a process of its own, which is this program with the provider's name in its environment: what it
//! breaks (a callback too many, an entry that never returns) cannot spoil another's run. `docs/rules.md` lists them.

mod alone;
mod child;
#[path = "../common/mod.rs"]
mod common;
mod drive;
mod list;
mod rust;
mod table;

use std::process::ExitCode;

/// Names the provider that this process is to put through the kit.
const PROVIDER: &str = "NDK_BROKEN_PROVIDER";

/// The name of a provider without a defect.
const SOUND: &str = "sound";

fn main() -> ExitCode {
    match std::env::var(PROVIDER) {
        Ok(name) => child::main(&name),
        Err(_) => drive::main(),
    }
}
