//! How long an operation takes.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::duration::{Text, parse};
use super::{PlanError, planner::Random};

/// How long an operation takes, from its request to its completion. Written as in the examples below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latency {
    /// `inline`: it completes before its entry returns.
    Inline,
    /// `100us`: always as long.
    Fixed(Duration),
    /// `50us..200us`: anything between, both ends included, each as likely.
    Uniform(Duration, Duration),
    /// `~20us` or `~20us..1ms`: exponentially distributed, as of requests that get in each other's way.
    Exponential {
        /// The mean, before the cap.
        mean: Duration,
        /// What would take longer takes this long.
        cap: Option<Duration>,
    },
}

impl Latency {
    /// One draw. Draws as many random numbers each time as any other draw of the same latency.
    pub(super) fn draw(self, random: &mut Random) -> Duration {
        match self {
            Self::Inline => Duration::ZERO,
            Self::Fixed(duration) => duration,
            Self::Uniform(low, high) => {
                let span = nanos(high).saturating_sub(nanos(low));
                Duration::from_nanos(nanos(low).saturating_add(random.up_to(span)))
            }
            Self::Exponential { mean, cap } => {
                // By inversion. The share is below 1, so the logarithm is of a number above 0.
                let nanos = -(1.0 - random.share()).ln() * nanos(mean) as f64;
                let drawn = Duration::from_nanos(nanos as u64);
                cap.map_or(drawn, |cap| drawn.min(cap))
            }
        }
    }
}

/// Random draws are made in 64 bits of nanoseconds: 584 years.
fn nanos(duration: Duration) -> u64 {
    duration.as_nanos().try_into().unwrap_or(u64::MAX)
}

impl FromStr for Latency {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        let forms =
            "a latency is inline, 100us, 50us..200us, ~20us (a mean) or ~20us..1ms (with a cap)";
        let explain = |PlanError(cause)| PlanError(format!("{cause}; {forms}"));
        if text == "inline" {
            return Ok(Self::Inline);
        }
        let (text, exponential) = match text.strip_prefix('~') {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let (first, second) = match text.split_once("..") {
            Some((first, second)) => (first, Some(parse(second).map_err(explain)?)),
            None => (text, None),
        };
        let first = parse(first).map_err(explain)?;
        match (exponential, second) {
            (true, cap) => Ok(Self::Exponential { mean: first, cap }),
            (false, None) => Ok(Self::Fixed(first)),
            (false, Some(second)) if first <= second => Ok(Self::Uniform(first, second)),
            (false, Some(_)) => {
                Err(PlanError(format!("the range {text:?} ends before it starts; {forms}")))
            }
        }
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Inline => f.write_str("inline"),
            Self::Fixed(duration) => Text(duration).fmt(f),
            Self::Uniform(low, high) => write!(f, "{}..{}", Text(low), Text(high)),
            Self::Exponential { mean, cap: None } => write!(f, "~{}", Text(mean)),
            Self::Exponential { mean, cap: Some(cap) } => {
                write!(f, "~{}..{}", Text(mean), Text(cap))
            }
        }
    }
}
