//! The devices that tests run on: what the environment names. Without it, they say that they ran on none.

use std::env;

/// Set where devices must be there: a test that finds none fails.
const REQUIRED: &str = "NDK_REQUIRE_VERBS";

/// The device that a variable names; `None`, said aloud, where it names none.
pub(crate) fn device(variable: &str) -> Option<String> {
    let named = env::var(variable).ok().filter(|name| !name.is_empty());
    if named.is_none() {
        assert!(
            env::var_os(REQUIRED).is_none(),
            "{REQUIRED} is set, and {variable} names no device"
        );
        eprintln!("NO DEVICE: {variable} names none, so that nothing of this was run");
    }
    named
}
