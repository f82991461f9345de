//! Durations as people write them: a number and a unit.

use std::fmt;
use std::time::Duration;

use super::PlanError;

/// The units, the largest first, and the nanoseconds in each.
const UNITS: [(&str, u128); 5] =
    [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("µs", 1_000), ("ns", 1)];

/// Reads `100us`, `1.5ms`, `2s`. A plan never has less than a nanosecond, so neither has its text.
pub(super) fn parse(text: &str) -> Result<Duration, PlanError> {
    let refuse = |cause: &str| {
        PlanError(format!("{text:?} is no duration: {cause}; one is 250ns, 100us, 1.5ms or 2s"))
    };
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let Some((_, scale)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(refuse("its unit is none of ns, us, ms and s"));
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    // Nine digits are a nanosecond of the largest unit: more of them say nothing that a plan could hold.
    let part = part.trim_end_matches('0');
    if whole.is_empty() || number.ends_with('.') || part.contains('.') || part.len() > 9 {
        return Err(refuse("its number is not like 100 or 1.5"));
    }
    let part_scale = 10_u128.pow(part.len() as u32);
    let digits = format!("{whole}{part}");
    let scaled = digits.parse::<u128>().ok().and_then(|digits| digits.checked_mul(*scale));
    let scaled = scaled.ok_or_else(|| refuse("its number is too large"))?;
    if scaled % part_scale != 0 {
        return Err(refuse("it is not made of whole nanoseconds"));
    }
    from_nanos(scaled / part_scale).ok_or_else(|| refuse("its number is too large"))
}

fn from_nanos(nanos: u128) -> Option<Duration> {
    let second = Duration::from_secs(1).as_nanos();
    Some(Duration::new((nanos / second).try_into().ok()?, (nanos % second) as u32))
}

/// Writes a duration in the largest unit that has it whole.
pub(super) struct Text(pub(super) Duration);

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        let is_whole = |scale: u128| nanos.is_multiple_of(scale);
        let (unit, scale) = UNITS.iter().find(|(_, scale)| is_whole(*scale)).unwrap_or(&("ns", 1));
        write!(f, "{}{unit}", nanos / scale)
    }
}

/// For serde's `with`: a duration that may be left out.
pub(super) mod optional {
    use super::{Duration, Text, parse};
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        let text = String::deserialize(from)?;
        parse(&text).map(Some).map_err(de::Error::custom)
    }

    pub(crate) fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => to.collect_str(&Text(*duration)),
            None => to.serialize_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_with_a_unit_are_durations() {
        for (text, nanos) in [
            ("0ns", 0),
            ("0s", 0),
            ("250ns", 250),
            ("100us", 100_000),
            ("100µs", 100_000),
            ("1.5ms", 1_500_000),
            ("1.500ms", 1_500_000),
            ("0.000000001s", 1),
            ("2s", 2_000_000_000),
        ] {
            assert_eq!(parse(text).unwrap().as_nanos(), nanos, "{text}");
        }
    }

    #[test]
    fn all_else_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "unit"),
            ("100", "unit"),
            ("us", "number"),
            ("100 us", "unit"),
            ("-1us", "unit"),
            ("1m", "unit"),
            ("1.us", "number"),
            (".5us", "number"),
            ("1.2.3us", "number"),
            ("0.5ns", "whole nanoseconds"),
            ("1.00000000000000000001s", "number"),
            ("18446744073709551616s", "too large"),
            ("9999999999999999999999999999999999999999s", "too large"),
        ] {
            let refusal = parse(text).unwrap_err().to_string();
            assert!(refusal.contains(reason) && refusal.contains("1.5ms"), "{text:?}: {refusal}");
        }
    }

    proptest! {
        #[test]
        fn every_duration_is_read_as_it_was_written(duration: Duration) {
            prop_assert_eq!(parse(&Text(duration).to_string()), Ok(duration));
        }

        #[test]
        fn garbage_never_panics(text in "[0-9.]{0,50}[a-zµ]{0,3}") {
            let _ = parse(&text);
        }
    }
}
