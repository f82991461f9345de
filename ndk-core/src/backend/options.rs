//! How a backend's factory reads the options of its name.

use super::BackendName;
use crate::error::{Error, ErrorKind, Result};
use alloc::format;
use alloc::vec::Vec;
use core::fmt;
use core::fmt::Write as _;
use core::str::FromStr;

/// Takes the options of a backend's name one by one, each with its type and a line of help, and at the end refuses
/// those that nobody took, with the list of those that there are.
///
/// ```
/// # use ndk_core::backend::{BackendName, Options};
/// # fn main() -> ndk_core::Result<()> {
/// let name: BackendName = "sim?seed=7".parse()?;
/// let mut options = Options::of(&name);
/// let seed: Option<u64> = options.take("seed", "a number that fixes what is drawn at random")?;
/// options.finish()?;
/// assert_eq!(seed, Some(7));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "`finish` refuses the options that nobody took"]
pub struct Options<'n> {
    name: &'n BackendName,
    known: Vec<(&'static str, &'static str)>,
}

impl<'n> Options<'n> {
    /// The options of this name.
    pub fn of(name: &'n BackendName) -> Self {
        Self { name, known: Vec::new() }
    }

    /// The value of the option `key`, or `None` where the name does not give it. `help` is one line: what it is for,
    /// its unit, and what holds without it.
    ///
    /// # Errors
    /// INVALID_PARAMETER for a value that is none of that type.
    pub fn take<T: FromStr<Err: fmt::Display>>(
        &mut self,
        key: &'static str,
        help: &'static str,
    ) -> Result<Option<T>> {
        self.take_with(key, help, str::parse)
    }

    /// As [`take`](Self::take), read by `read`; for types without a `FromStr` that says enough.
    ///
    /// # Errors
    /// INVALID_PARAMETER where `read` refuses the value.
    pub fn take_with<T, E: fmt::Display>(
        &mut self,
        key: &'static str,
        help: &'static str,
        read: impl FnOnce(&str) -> core::result::Result<T, E>,
    ) -> Result<Option<T>> {
        self.known.push((key, help));
        let Some((_, value)) = self.name.options().find(|(given, _)| *given == key) else {
            return Ok(None);
        };
        match read(value) {
            Ok(value) => Ok(Some(value)),
            Err(cause) => {
                let detail = format!(
                    "the backend {} cannot read {value:?} as its option {key}: {cause}\n  {key}: {help}",
                    self.name.scheme()
                );
                Err(Error::new(ErrorKind::InvalidParameter, detail))
            }
        }
    }

    /// Ends the reading. Call it after the last [`take`](Self::take), before the options take effect.
    ///
    /// # Errors
    /// INVALID_PARAMETER, with the list of options, where the name gives one that was not taken.
    pub fn finish(self) -> Result<()> {
        let is_known = |key: &str| self.known.iter().any(|(known, _)| *known == key);
        let Some((key, _)) = self.name.options().find(|(key, _)| !is_known(key)) else {
            return Ok(());
        };
        let scheme = self.name.scheme();
        let mut detail = format!("the backend {scheme} has no option {key:?}");
        detail.push_str(if self.known.is_empty() { ", nor any other" } else { "; it has:" });
        for (key, help) in &self.known {
            // Writing to a string cannot fail.
            let _ = write!(detail, "\n  {key}: {help}");
        }
        Err(Error::new(ErrorKind::InvalidParameter, detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use core::time::Duration;

    fn read(name: &str) -> Result<(Option<u64>, Option<String>, Option<Duration>)> {
        let name: BackendName = name.parse()?;
        let mut options = Options::of(&name);
        let seed = options.take("seed", "a number")?;
        let plan = options.take("plan", "a file")?;
        let late = options
            .take_with("late", "milliseconds", |value| value.parse().map(Duration::from_millis))?;
        options.finish()?;
        Ok((seed, plan, late))
    }

    #[test]
    fn options_are_read_by_type_and_are_optional() {
        assert_eq!(read("sim"), Ok((None, None, None)));
        let given = (Some(7), Some("a b.toml".into()), Some(Duration::from_millis(3)));
        assert_eq!(read("sim?late=3&plan=a%20b.toml&seed=7"), Ok(given));
    }

    #[test]
    fn an_option_that_nobody_takes_is_refused_with_the_list() {
        let error = read("sim?seed=7&sede=8").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidParameter);
        assert_eq!(
            error.detail(),
            "the backend sim has no option \"sede\"; it has:\n  seed: a number\n  plan: a file\n  late: milliseconds"
        );
        let name: BackendName = "bare?a=1".parse().unwrap();
        let error = Options::of(&name).finish().unwrap_err();
        assert_eq!(error.detail(), "the backend bare has no option \"a\", nor any other");
    }

    #[test]
    fn a_value_of_the_wrong_type_is_refused_with_what_the_option_is() {
        let error = read("sim?seed=x7").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidParameter);
        assert_eq!(
            error.detail(),
            "the backend sim cannot read \"x7\" as its option seed: invalid digit found in string\n  seed: a number"
        );
        assert!(read("sim?late=1s").unwrap_err().detail().contains("late: milliseconds"));
    }
}
