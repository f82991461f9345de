//! What goes wrong with an operation, and when.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use ndk_core::ErrorKind;
use serde::{Deserialize, Serialize};

use super::status::Status;
use super::{PlanError, Target, duration};

/// One entry of a fault plan.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(try_from = "Table", into = "Table")]
pub struct Fault {
    /// Which operation it befalls. With [`Target::All`], a failure leaves out those that cannot fail.
    pub operation: Target,
    /// Which of its occurrences.
    pub occurrence: Occurrence,
    /// What happens.
    pub effect: Effect,
}

/// Which occurrences of an operation a fault befalls. They are counted by operation, from 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Occurrence {
    /// The n-th, once.
    Nth(NonZeroU32),
    /// Every n-th.
    Every(NonZeroU32),
    /// Each with this probability, from 0 to 1.
    Share(f64),
}

/// What a fault does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The operation fails before its entry returns, whatever its latency; a work request is not posted.
    FailInline(ErrorKind),
    /// The operation pends, takes its latency and `late`, and fails; a work request completes with the failure.
    FailPending {
        /// What it fails with.
        status: ErrorKind,
        /// How much later than its latency.
        late: Duration,
    },
    /// The operation does what it should, this much later.
    Late(Duration),
}

impl Effect {
    /// What the operation fails with.
    pub fn status(self) -> Option<ErrorKind> {
        match self {
            Self::FailInline(status) | Self::FailPending { status, .. } => Some(status),
            Self::Late(_) => None,
        }
    }
}

/// Where a failure shows, as a plan writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum When {
    Inline,
    Pending,
}

/// A fault as a plan writes it: any of its parts may be missing, or be one too many.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Table {
    pub(super) operation: Target,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) nth: Option<NonZeroU32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) every: Option<NonZeroU32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) share: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<Status>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) when: Option<When>,
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    pub(super) complete_late: Option<Duration>,
}

impl Table {
    pub(super) fn of(operation: Target) -> Self {
        Self {
            operation,
            nth: None,
            every: None,
            share: None,
            status: None,
            when: None,
            complete_late: None,
        }
    }
}

impl TryFrom<Table> for Fault {
    type Error = PlanError;

    fn try_from(table: Table) -> Result<Self, PlanError> {
        let operation = table.operation;
        let refuse = |cause| Err(PlanError(format!("a fault of {operation}: {cause}")));
        let occurrence = match (table.nth, table.every, table.share) {
            (Some(n), None, None) => Occurrence::Nth(n),
            (None, Some(n), None) => Occurrence::Every(n),
            (None, None, Some(share)) if (0.0..=1.0).contains(&share) => Occurrence::Share(share),
            (None, None, Some(_)) => return refuse("its share is not between 0 and 1"),
            _ => return refuse("it needs exactly one of nth, every and share"),
        };
        let late = table.complete_late;
        let effect = match (table.status.map(|status| status.0), table.when, late) {
            (None, None, Some(late)) => Effect::Late(late),
            (None, None, None) => return refuse("it needs a status, or complete-late, or both"),
            (None, Some(_), _) => {
                return refuse("`when` says where a status shows, and it has none");
            }
            (Some(status), Some(When::Inline) | None, None) => Effect::FailInline(status),
            (Some(_), Some(When::Inline), Some(_)) => {
                return refuse("a failure that shows inline cannot complete late");
            }
            (Some(status), Some(When::Pending) | None, late) => {
                Effect::FailPending { status, late: late.unwrap_or_default() }
            }
        };
        match operation {
            Target::One(operation) if effect.status().is_some() && !operation.can_fail() => {
                refuse("it cannot fail (H1), only complete late")
            }
            _ => Ok(Self { operation, occurrence, effect }),
        }
    }
}

impl From<Fault> for Table {
    fn from(fault: Fault) -> Self {
        let mut table = Self::of(fault.operation);
        match fault.occurrence {
            Occurrence::Nth(n) => table.nth = Some(n),
            Occurrence::Every(n) => table.every = Some(n),
            Occurrence::Share(share) => table.share = Some(share),
        }
        table.status = fault.effect.status().map(Status);
        match fault.effect {
            Effect::FailInline(_) => table.when = Some(When::Inline),
            Effect::FailPending { late, .. } => {
                table.when = Some(When::Pending);
                table.complete_late = Some(late).filter(|late| !late.is_zero());
            }
            Effect::Late(late) => table.complete_late = Some(late),
        }
        table
    }
}

/// In the compact form, as [`Plan::take`](super::Plan::take) reads it.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.occurrence {
            Occurrence::Nth(n) => write!(f, "{}:{n}", self.operation)?,
            Occurrence::Every(n) => write!(f, "{}:every-{n}", self.operation)?,
            // With a point, always: without one it would be the n-th.
            Occurrence::Share(share) => write!(f, "{}:{share:?}", self.operation)?,
        }
        match self.effect {
            Effect::FailInline(status) => write!(f, ":{}", Status(status)),
            Effect::FailPending { status, late } if late.is_zero() => {
                write!(f, ":{}:pending", Status(status))
            }
            Effect::FailPending { status, late } => {
                write!(f, ":{}:late-{}", Status(status), duration::Text(late))
            }
            Effect::Late(late) => write!(f, ":late-{}", duration::Text(late)),
        }
    }
}
