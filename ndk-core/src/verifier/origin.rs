//! Where an object was created.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use std::backtrace::Backtrace;

/// So many functions of the stack are told.
const MOST: usize = 6;

/// What leads from the creation to whoever asked for it, and says nothing.
const INSIDE: [&str; 18] = [
    "ndk_core::",
    "<ndk_core::",
    "ndkmr::",
    "<ndkmr::",
    "std::",
    "<std::",
    "core::",
    "<core::",
    "alloc::",
    "<alloc::",
    "futures_lite::",
    "<futures_lite::",
    "__rust",
    "rust_",
    "__libc_start",
    "_start",
    "start_thread",
    "clone",
];

/// The stack at the creation. The names of its functions are looked up when they are wanted.
pub(super) struct Origin(Backtrace);

impl Origin {
    #[inline(never)]
    pub(super) fn capture() -> Self {
        Self(Backtrace::force_capture())
    }

    /// The innermost functions that are the consumer's, a line each.
    pub(super) fn frames(&self) -> String {
        frames(&self.0.to_string())
    }
}

fn is_inside(function: &str) -> bool {
    // A function that was inlined may have lost its path, and then has only its types to tell.
    let path = function.split('<').next().unwrap_or_default();
    let lost = !path.contains("::") && function.contains("<ndk_core::");
    lost || INSIDE.iter().any(|start| function.starts_with(start))
}

/// Reads the standard library's text: a line with number and function, and perhaps one with the place in the source.
fn frames(text: &str) -> String {
    let mut frames: Vec<String> = Vec::new();
    let mut wanted = false;
    for line in text.lines().map(str::trim_start) {
        if let Some(place) = line.strip_prefix("at ") {
            if let (true, Some(frame)) = (wanted, frames.last_mut()) {
                *frame = format!("{frame} at {place}");
            }
            wanted = false;
            continue;
        }
        let Some((_, function)) = line.split_once(": ") else { continue };
        wanted = !is_inside(function) && function != "<unknown>";
        if wanted {
            if frames.len() == MOST {
                break;
            }
            frames.push(format!("    {function}"));
        }
    }
    frames.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_consumers_functions_are_told() {
        let text = "   0: std::backtrace::Backtrace::force_capture
             at /rustc/library/std/src/backtrace.rs:1:5
   1: <ndk_core::verifier::desk::Desk as ndk_core::provider::watch::Watch>::creating
             at ./src/verifier/desk.rs:10:9
   2: begin_create<ndk_core::provider::dynamic::BoxedAdapter>
   3: app::open_region
             at ./app/main.rs:12:3
   4: main
   5: __libc_start_call_main
   6: <unknown>";
        assert_eq!(frames(text), "    app::open_region at ./app/main.rs:12:3\n    main");
        assert_eq!(frames("disabled backtrace"), "");
    }

    #[test]
    fn a_stack_that_was_captured_can_be_read() {
        // The test's own function is one of this crate's, so what is left is the test harness, or nothing.
        let _ = Origin::capture().frames();
    }
}
