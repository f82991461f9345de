//! Statuses by name.

use std::fmt;
use std::str::FromStr;

use ndk_core::ErrorKind;

use super::PlanError;

/// An error kind, written as its name in lower case with hyphens (`insufficient-resources`), or, for a status that the
/// contract has no kind for, as the number (`0xc0000001`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Status(pub(super) ErrorKind);

impl FromStr for Status {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        let named = ErrorKind::ALL.iter().find(|kind| name(**kind) == text);
        let numbered = || {
            let bits = u32::from_str_radix(text.strip_prefix("0x")?, 16).ok()?;
            ErrorKind::from_status(bits.cast_signed())
        };
        named.copied().or_else(numbered).map(Self).ok_or_else(|| {
            let known: Vec<_> = ErrorKind::ALL.iter().map(|kind| name(*kind)).collect();
            let known = known.join(", ");
            PlanError(format!(
                "{text:?} is no status of a failure; there are: {known}, and numbers such as 0xc0000001"
            ))
        })
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ErrorKind::Other(status) => write!(f, "{status:#010x}"),
            kind => f.write_str(&name(kind)),
        }
    }
}

/// `InsufficientResources` as `insufficient-resources`: the kinds have no other name that is one of theirs.
fn name(kind: ErrorKind) -> String {
    let mut name = String::new();
    for letter in format!("{kind:?}").chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}
