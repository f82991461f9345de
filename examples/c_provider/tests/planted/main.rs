//! Errors that a provider's author might make, planted one at a time in the C files: the conformance kit finds each by a
//! case of the rule that it breaks.
//!
//! ```text
//! cargo test -p c-provider --test planted -- --ignored
//! ```
//!
//! Each broken provider is a library of its own, in a process of its own, which is this program with the library's path in
//! its environment: what it breaks cannot spoil another's run. Without `--ignored` only the list is looked at.

mod access;
mod entries;
mod list;
mod mapped;
mod objects;
mod windows;
mod workshop;

use c_provider::kit;
use libloading::{Library, Symbol};
use libtest_mimic::{Arguments, Failed, Trial};
use list::{OTHER_LIMITS, Planted, all};
use ndk_core::conformance::TableProvider;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;
use workshop::{Sound, Workshop};

/// Names the library whose provider this process is to put through the kit.
const LIBRARY: &str = "SOFT_LIBRARY";

/// How long a callback is waited for that a provider may have lost.
const SHORT: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    if let Some(path) = std::env::var_os(LIBRARY) {
        // SAFETY: the library is the provider's, whose files have no constructors.
        let library = unsafe { Library::new(path) }.expect("the library can be opened");
        // SAFETY: the constant has that type.
        let provider: Symbol<'_, *const TableProvider> =
            unsafe { library.get(b"soft_provider\0") }.expect("the provider's constant");
        // SAFETY: it is a constant of the library, which stays open.
        let provider = unsafe { **provider };
        return kit(&provider).patience(SHORT).main();
    }
    let sound = Arc::new(Sound::new().expect("a folder for the tests"));
    let mut trials = vec![Trial::test("list", list::is_in_step)];
    let objects = sound.clone();
    let is_sound = move || said(&objects, "sound", "", &[]).and_then(Said::passed_all);
    trials.push(Trial::test("sound", is_sound).with_ignored_flag(true));
    let objects = sound.clone();
    let changes = OTHER_LIMITS.changes;
    let is_sound = move || said(&objects, "limits", "", changes).and_then(Said::passed_all);
    trials.push(Trial::test(OTHER_LIMITS.what, is_sound).with_ignored_flag(true));
    for (index, planted) in all().enumerate() {
        let sound = sound.clone();
        let find = move || is_found(&sound, index, planted);
        trials.push(Trial::test(planted.name(), find).with_ignored_flag(true));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// What the kit said of a provider.
struct Said {
    passed: usize,
    failed: usize,
    /// Whether it came to its end; a provider's error may end the process.
    ended: bool,
    text: String,
}

/// Puts the provider with these changes through the cases of a rule, or through all.
fn said(sound: &Sound, name: &str, rule: &str, changes: &[list::Change]) -> Result<Said, Failed> {
    let workshop = Workshop::new(name)?;
    let library = workshop.build(sound, changes)?;
    let mut command = Command::new(std::env::current_exe()?);
    // One case at a time: contexts that nobody waits for are the program's.
    command.env(LIBRARY, library).args(["--test-threads", "1"]);
    if !rule.is_empty() {
        command.arg(format!("{rule}::"));
    }
    let output = command.output()?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    let count = |how: &str| {
        let tests = stdout.lines().filter(|line| line.starts_with("test "));
        tests.filter(|line| line.ends_with(how)).count()
    };
    Ok(Said {
        passed: count("... ok"),
        failed: count("... FAILED"),
        ended: stdout.contains("\ntest result: "),
        text: format!("{stdout}\n{}", String::from_utf8_lossy(&output.stderr)),
    })
}

impl Said {
    /// Nothing is planted: everything passes.
    fn passed_all(self) -> Result<(), Failed> {
        let passed = self.ended && self.failed == 0 && self.passed > 700;
        if passed { Ok(()) } else { Err(self.text.into()) }
    }
}

/// A case of the rule fails, or the process ends in one; or the kit's first look at the device does by that rule.
fn is_found(sound: &Sound, index: usize, planted: &Planted) -> Result<(), Failed> {
    let said = said(sound, &index.to_string(), planted.rule, planted.changes)?;
    let mut lines = said.text.lines();
    let is_unusable = lines
        .any(|line| line.starts_with("FAILED: ") && line.contains(&format!(" {}: ", planted.rule)));
    if said.failed > 0 || !said.ended || is_unusable { Ok(()) } else { Err(said.text.into()) }
}
