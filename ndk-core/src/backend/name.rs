//! The names of backends, as a command line or a configuration file spells them.

use crate::error::{Error, ErrorKind, Result};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// A backend's name, taken apart: `scheme[:instance][?key=value&...]`.
///
/// - The scheme says which backend. It is made of ASCII letters, digits, `-`, `_`, `.` and `+`, which stands between
///   the layers of a layered backend.
/// - The instance says which device of it, for instance `mlx5_0`.
/// - The options are the backend's own; each has a value, and none is given twice.
///
/// Instance, keys and values may hold any character: `%XX` stands for the byte with that number, and is needed for
/// `%`, for `?` in an instance, for `=` in a key, and for `&` in a key or a value. All else stands for itself.
///
/// What a [`Registry`](super::Registry) opens may begin with the verifier, `verify+` or `verify(policy=fail)+`. It takes that
/// off first: the name is what follows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BackendName {
    scheme: String,
    instance: Option<String>,
    options: Vec<(String, String)>,
}

impl BackendName {
    /// Which backend.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Which device of it, if the name says so.
    pub fn instance(&self) -> Option<&str> {
        self.instance.as_deref()
    }

    /// The options with their values, in the order of the name.
    pub fn options(&self) -> impl Iterator<Item = (&str, &str)> {
        self.options.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Whether a scheme may be spelt so.
    pub(super) fn is_scheme(text: &str) -> bool {
        let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte);
        !text.is_empty() && text.bytes().all(is_legal)
    }
}

impl FromStr for BackendName {
    type Err = Error;

    /// Takes a name apart.
    ///
    /// # Errors
    /// INVALID_PARAMETER for a text that is no name.
    fn from_str(text: &str) -> Result<Self> {
        let refuse = |cause: &str| {
            let detail = format!(
                "{text:?} is no name of a backend: {cause}; a name is scheme[:instance][?key=value&...]"
            );
            Error::new(ErrorKind::InvalidParameter, detail)
        };
        let decode = |part: &str| match percent_decode_str(part).decode_utf8() {
            Ok(decoded) => Ok(String::from(decoded)),
            Err(_) => Err(refuse(&format!("{part:?} stands for bytes that are not UTF-8"))),
        };
        let (head, query) = match text.split_once('?') {
            Some((head, query)) => (head, Some(query)),
            None => (text, None),
        };
        let (scheme, instance) = match head.split_once(':') {
            Some((_, "")) => return Err(refuse("no instance follows the colon")),
            Some((scheme, instance)) => (scheme, Some(decode(instance)?)),
            None => (head, None),
        };
        if !Self::is_scheme(scheme) {
            let cause = "its scheme is not made of ASCII letters, digits, '-', '_', '.' and '+'";
            return Err(refuse(if scheme.is_empty() { "it has no scheme" } else { cause }));
        }
        let mut options: Vec<(String, String)> = Vec::new();
        for option in query.map(|query| query.split('&')).into_iter().flatten() {
            let Some((key, value)) = option.split_once('=').filter(|(key, _)| !key.is_empty())
            else {
                return Err(refuse(&format!("its option {option:?} is not of the form key=value")));
            };
            let (key, value) = (decode(key)?, decode(value)?);
            if options.iter().any(|(other, _)| *other == key) {
                return Err(refuse(&format!("its option {key:?} is given twice")));
            }
            options.push((key, value));
        }
        Ok(Self { scheme: scheme.into(), instance, options })
    }
}

/// What `Display` writes as `%XX`, wherever it stands: more than needs it, so that one set does for all places.
const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%').add(b'?').add(b'&').add(b'=');

impl fmt::Display for BackendName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.scheme)?;
        if let Some(instance) = &self.instance {
            write!(f, ":{}", utf8_percent_encode(instance, ESCAPED))?;
        }
        for (index, (key, value)) in self.options.iter().enumerate() {
            let mark = if index == 0 { '?' } else { '&' };
            let (key, value) =
                (utf8_percent_encode(key, ESCAPED), utf8_percent_encode(value, ESCAPED));
            write!(f, "{mark}{key}={value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    fn parse(text: &str) -> BackendName {
        text.parse().unwrap()
    }

    fn refusal(text: &str) -> String {
        let error = text.parse::<BackendName>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidParameter, "{text:?}");
        error.detail().into()
    }

    #[test]
    fn a_name_has_scheme_instance_and_options() {
        let name = parse("sim");
        assert_eq!((name.scheme(), name.instance(), name.options().count()), ("sim", None, 0));
        let name = parse("mlx:mlx5_0/1?port=2&pages=a%26b=c:d?");
        assert_eq!((name.scheme(), name.instance()), ("mlx", Some("mlx5_0/1")));
        let options: Vec<_> = name.options().collect();
        assert_eq!(options, [("port", "2"), ("pages", "a&b=c:d?")]);
        assert_eq!(parse("trace+sim?seed=7").scheme(), "trace+sim");
        assert_eq!(parse("sim:%C3%A4%3F%25").instance(), Some("ä?%"));
        assert_eq!(parse("sim?plan=").options().next(), Some(("plan", "")));
        assert_eq!(parse("sim?latency=1us+2us").options().next(), Some(("latency", "1us+2us")));
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "no scheme"),
            (":x", "no scheme"),
            ("?a=b", "no scheme"),
            ("si m", "its scheme is not made of"),
            ("sim\0", "its scheme is not made of"),
            ("sim:", "no instance"),
            ("sim:?a=b", "no instance"),
            ("sim?", "\"\" is not of the form"),
            ("sim?seed", "\"seed\" is not of the form"),
            ("sim?=7", "\"=7\" is not of the form"),
            ("sim?a=1&&b=2", "\"\" is not of the form"),
            ("sim?a=1&%61=2", "\"a\" is given twice"),
            ("sim?a=%FF", "not UTF-8"),
            ("sim:%C3", "not UTF-8"),
        ] {
            let refusal = refusal(text);
            assert!(refusal.contains(reason), "{text:?}: {refusal}");
            assert!(refusal.contains("scheme[:instance][?key=value&...]"), "{refusal}");
        }
    }

    proptest! {
        #[test]
        fn garbage_is_refused_or_read_and_never_panics(text in ".{0,40}") {
            if let Ok(name) = text.parse::<BackendName>() {
                prop_assert_eq!(name.to_string().parse::<BackendName>(), Ok(name));
            }
        }

        #[test]
        fn what_looks_like_a_name_is_never_a_panic_either(text in "[a-z:?&=%0-9+]{0,24}") {
            if let Ok(name) = text.parse::<BackendName>() {
                prop_assert_eq!(name.to_string().parse::<BackendName>(), Ok(name));
            }
        }

        #[test]
        fn any_instance_key_and_value_can_be_spelt(instance in ".{1,20}", key in ".{1,20}", value in ".{0,20}") {
            let name = BackendName {
                scheme: "sim".into(),
                instance: Some(instance),
                options: alloc::vec![(key, value)],
            };
            prop_assert_eq!(name.to_string().parse::<BackendName>(), Ok(name));
        }
    }
}
