//! Plans in one line: the options of a backend's name.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::str::FromStr;

use ndk_core::backend::Options;

use super::fault::{Table, When};
use super::status::Status;
use super::{Fault, Latency, Lose, Plan, PlanError, Target, duration};

impl Plan {
    /// Takes the options that make a plan:
    ///
    /// - `plan=FILE`: a TOML file; what the other options say goes on top of it.
    /// - `latency=100us` for all operations, or `latency=register:50us..200us,write:~20us..1ms`: a list with the forms
    ///   of [`Latency`].
    /// - `fault=register:3:insufficient-resources`: a list with the form of [`Fault`]'s `FromStr`.
    /// - `lose-adapter=100` with so many operations begun, `lose-adapter=5ms` at a time, or `lose-adapter=100,5ms`.
    /// - `keys=one` or `keys=two`, `rotate=true`: the [`Tokens`](super::Tokens).
    /// - `regions=1000`, `pinned-pages=64`, `tokens=1000`: the [`Limits`](super::Limits).
    ///
    /// # Errors
    /// INVALID_PARAMETER for a value that cannot be read.
    pub fn take(options: &mut Options<'_>) -> ndk_core::Result<Self> {
        let plan = options.take_with(
            "plan",
            "a TOML file with latencies, faults and limits; the options beside it go on top",
            |path| Plan::read(path),
        )?;
        let mut plan = plan.unwrap_or_default();
        let latency = options.take_with(
            "latency",
            "how long operations take, as 100us or register:50us..200us,write:~20us; without it they complete inline",
            latencies,
        )?;
        plan.latency.extend(latency.unwrap_or_default());
        let faults = options.take_with(
            "fault",
            "what fails, as register:3:insufficient-resources,write:0.05:timeout:pending,close-mr:every-2:late-1ms",
            faults,
        )?;
        plan.faults.extend(faults.unwrap_or_default());
        let lose = options.take_with(
            "lose-adapter",
            "when the adapter goes away: after a number of operations (100), at a time (5ms), or both (100,5ms)",
            lose,
        )?;
        if let Some(lose) = lose {
            plan.lose.after = lose.after.or(plan.lose.after);
            plan.lose.at = lose.at.or(plan.lose.at);
        }
        let keys = options.take(
            "keys",
            "one: a region's local token works for peers too; two: it does not; without it, as the profile has it",
        )?;
        plan.tokens.keys = keys.or(plan.tokens.keys);
        let rotate = options.take(
            "rotate",
            "true: a fast-register region's remote token changes its low 8 bits with each round",
        )?;
        plan.tokens.rotate = rotate.or(plan.tokens.rotate);
        let limits = &mut plan.limits;
        for (limit, key, help) in [
            (
                &mut limits.regions,
                "regions",
                "the most regions at a time; without it, the profile's",
            ),
            (&mut limits.pinned_pages, "pinned-pages", "the most pages pinned at a time"),
            (&mut limits.tokens, "tokens", "the most live tokens at a time"),
        ] {
            *limit = options.take(key, help)?.or(*limit);
        }
        Ok(plan)
    }
}

fn latencies(text: &str) -> Result<BTreeMap<Target, Latency>, PlanError> {
    let mut latencies = BTreeMap::new();
    for entry in text.split(',') {
        let (target, latency) = match entry.split_once(':') {
            Some((target, latency)) => (target.parse()?, latency),
            None => (Target::All, entry),
        };
        if latencies.insert(target, latency.parse()?).is_some() {
            return Err(PlanError(format!("the latency of {target} is given twice")));
        }
    }
    Ok(latencies)
}

fn faults(text: &str) -> Result<Vec<Fault>, PlanError> {
    text.split(',').map(str::parse).collect()
}

fn lose(text: &str) -> Result<Lose, PlanError> {
    let mut lose = Lose::default();
    for entry in text.split(',') {
        let is_new = match entry.parse::<NonZeroU32>() {
            Ok(after) => lose.after.replace(after).is_none(),
            Err(_) => lose.at.replace(duration::parse(entry)?).is_none(),
        };
        if !is_new {
            return Err(PlanError(format!("{text:?} says twice when the adapter is lost")));
        }
    }
    Ok(lose)
}

impl FromStr for Fault {
    type Err = PlanError;

    /// Reads `operation:occurrence:effect`, for instance `register:3:insufficient-resources`:
    ///
    /// - the operation's name, or `all`;
    /// - `3` for the third, `every-3` for every third, `0.05` (with a point) for that share of all;
    /// - a status, `pending` behind it where it is to show in the completion, `late-5ms` behind it or alone where the
    ///   completion is to come later.
    fn from_str(text: &str) -> Result<Self, PlanError> {
        let refuse = |cause: &str| {
            let form = "operation:occurrence:effect, such as register:3:insufficient-resources";
            PlanError(format!("{text:?} is no fault: {cause}; one is {form}"))
        };
        let explain = |PlanError(cause)| refuse(&cause);
        let mut parts = text.split(':');
        let (Some(target), Some(occurrence)) = (parts.next(), parts.next()) else {
            return Err(refuse("it has less than three parts"));
        };
        let mut table = Table::of(target.parse().map_err(explain)?);
        read_occurrence(occurrence, &mut table).ok_or_else(|| {
            refuse(&format!(
                "{occurrence:?} says not which occurrence (3 for the third, every-3, or a share such as 0.05)"
            ))
        })?;
        for part in parts {
            let is_new = match part {
                "inline" => table.when.replace(When::Inline).is_none(),
                "pending" => table.when.replace(When::Pending).is_none(),
                _ => match part.strip_prefix("late-") {
                    Some(late) => {
                        let late = duration::parse(late).map_err(explain)?;
                        table.complete_late.replace(late).is_none()
                    }
                    None => {
                        let status: Status = part.parse().map_err(explain)?;
                        table.status.replace(status).is_none()
                    }
                },
            };
            if !is_new {
                return Err(refuse(&format!("{part:?} is one effect too many of its kind")));
            }
        }
        table.try_into().map_err(explain)
    }
}

fn read_occurrence(text: &str, table: &mut Table) -> Option<()> {
    if let Some(every) = text.strip_prefix("every-") {
        table.every = Some(every.parse().ok()?);
    } else if text.bytes().all(|byte| byte.is_ascii_digit()) {
        table.nth = Some(text.parse().ok()?);
    } else {
        table.share = Some(text.parse().ok()?);
    }
    Some(())
}
