//! What the simulator is to do beside working: take its time, fail, run out, go away; and what its tokens are like.
//!
//! A [`Plan`] is plain data. It is read from TOML ([`Plan::read`], `str::parse`) or from the options of a backend's
//! name ([`Plan::take`]); printing it gives TOML again. A [`Planner`] follows it.
//!
//! ```
//! use ndk_backend_sim::plan::{Operation, Plan, Planner};
//! use ndk_core::ErrorKind;
//!
//! let plan: Plan = r#"
//!     [latency]
//!     all = "100us"
//!     register = "50us..200us"
//!
//!     [[fault]]
//!     operation = "register"
//!     nth = 2
//!     status = "insufficient-resources"
//! "#.parse()?;
//!
//! let planner = Planner::new(&plan, 7);
//! assert!(planner.decide(Operation::Register).fault.is_none());
//! assert_eq!(planner.decide(Operation::Register).fault, Some(ErrorKind::InsufficientResources));
//! # Ok::<(), ndk_backend_sim::plan::PlanError>(())
//! ```

mod compact;
mod duration;
mod fault;
mod latency;
mod operation;
mod planner;
mod status;
mod tokens;

pub use fault::{Effect, Fault, Occurrence};
pub use latency::Latency;
pub use operation::{Operation, Target};
pub use planner::{Decision, Planner};
pub use tokens::{Keys, Tokens};

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use ndk_core::{Error, ErrorKind};
use serde::{Deserialize, Serialize};

/// Latencies, faults, limits, tokens and the end of an adapter. The default is an empty plan: everything completes inline.
///
/// The file `plans/example.toml` of this crate shows every part of one.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Plan {
    /// How long operations take. One that is named goes before [`Target::All`]; one that is not completes inline.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub latency: BTreeMap<Target, Latency>,
    /// What goes wrong. Of several faults that meet on one occurrence the first that fails it decides its status, and
    /// the delays of all add up.
    #[serde(rename = "fault", skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
    /// What there is a given amount of.
    #[serde(skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    /// How tokens are made.
    #[serde(skip_serializing_if = "Tokens::is_as_the_profile")]
    pub tokens: Tokens,
    /// When the adapter goes away.
    #[serde(rename = "lose-adapter", skip_serializing_if = "Lose::is_never")]
    pub lose: Lose,
}

/// What the adapter has a given amount of. Beyond it, requests get INSUFFICIENT_RESOURCES.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Limits {
    /// Regions at a time; without it, what the profile says (C14).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regions: Option<u32>,
    /// Pages pinned at a time, one that is in several regions counted in each (C13); without it, no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned_pages: Option<u32>,
    /// Live tokens at a time; without it, what the table has room for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u32>,
}

impl Limits {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// When the adapter goes away for good (H8), by whichever comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Lose {
    /// With so many operations begun, of all kinds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<NonZeroU32>,
    /// At this time of the adapter's clock.
    #[serde(with = "duration::optional", skip_serializing_if = "Option::is_none")]
    pub at: Option<Duration>,
}

impl Lose {
    fn is_never(&self) -> bool {
        *self == Self::default()
    }
}

impl Plan {
    /// Reads a plan from a TOML file.
    ///
    /// # Errors
    /// The file cannot be read, or is no plan.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, PlanError> {
        let path = path.as_ref();
        let refuse = |cause: String| PlanError(format!("the plan {}: {cause}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
        text.parse().map_err(|PlanError(cause)| refuse(cause))
    }
}

impl FromStr for Plan {
    type Err = PlanError;

    /// Reads a plan from TOML.
    fn from_str(text: &str) -> Result<Self, PlanError> {
        // TOML's own text has line, column and the line itself; its last line break is not ours.
        toml::from_str(text).map_err(|error| PlanError(error.to_string().trim_end().into()))
    }
}

/// As TOML.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&toml::to_string(self).map_err(|_| fmt::Error)?)
    }
}

/// Why a text is no plan: what is wrong, where, and what would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanError(String);

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PlanError {}

impl From<PlanError> for Error {
    fn from(PlanError(cause): PlanError) -> Self {
        Self::new(ErrorKind::InvalidParameter, cause)
    }
}

/// Reads and writes a type as the one string that its `FromStr` and `Display` know.
macro_rules! serde_as_text {
    ($($type:ty)*) => { $(
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = String::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }
    )* };
}
serde_as_text!(Target Latency status::Status);
