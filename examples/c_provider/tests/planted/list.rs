//! The errors, each a change of a file or two.

use crate::{access, entries, mapped, objects, windows};
use libtest_mimic::Failed;
use std::path::Path;
use std::{fs, io};

/// A C file, what is there once, and what is put in its place.
pub(crate) type Change = (&'static str, &'static str, &'static str);

/// An error.
pub(crate) struct Planted {
    /// The rule whose cases have to find it.
    pub(crate) rule: &'static str,
    pub(crate) what: &'static str,
    pub(crate) changes: &'static [Change],
}

impl Planted {
    pub(crate) fn name(&self) -> String {
        format!("{}: {}", self.rule, self.what)
    }
}

/// An error by its rule, in words, and by its changes.
pub(crate) const fn error(
    rule: &'static str,
    what: &'static str,
    changes: &'static [Change],
) -> Planted {
    Planted { rule, what, changes }
}

pub(crate) fn all() -> impl Iterator<Item = &'static Planted> {
    let errors =
        [objects::ERRORS, entries::ERRORS, access::ERRORS, mapped::ERRORS, windows::ERRORS];
    errors.into_iter().flatten()
}

/// No error: a right provider may have room for few regions, and logical addresses from 0 on. All cases pass.
pub(crate) const OTHER_LIMITS: Planted = error(
    "",
    "sound with few regions and addresses from 0",
    &[
        ("adapter.c", "adapter->limit = UINT32_MAX;", "adapter->limit = 16;"),
        ("adapter.c", "adapter->next_page = 1;", "adapter->next_page = 0;"),
    ],
);

/// The text of a file of the provider's.
pub(crate) fn read(name: &str) -> io::Result<String> {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name))
}

/// What each error replaces is there, once.
pub(crate) fn is_in_step() -> Result<(), Failed> {
    let mut wrong = String::new();
    for planted in all().chain([&OTHER_LIMITS]) {
        for (name, from, to) in planted.changes {
            let count = read(name)?.matches(from).count();
            if count != 1 || from == to {
                let planted = planted.name();
                wrong += &format!("{planted}: what it replaces is in {name} {count} times\n");
            }
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.into()) }
}
