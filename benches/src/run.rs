//! A run: what was timed and counted, to be kept in a file and made a page of.

use crate::instructions::{self, Count};
use crate::machine::{Machine, load};
use crate::questions::{self, ALL, Group};
use crate::rounds::{Effort, Measurement, measure};
use serde::{Deserialize, Serialize};
use std::io::Result;
use std::path::Path;

/// What was found out, and where.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// The machine and its programs.
    pub machine: Machine,
    /// How long and how often each contender ran.
    pub effort: Effort,
    /// Processes that wanted a processor, at the start and at the end.
    pub load: (f64, f64),
    /// What was timed.
    pub measurements: Vec<Measurement>,
    /// What was counted.
    pub counts: Vec<Count>,
}

impl Run {
    /// The measurement of that name.
    pub fn measurement(&self, id: &str) -> Option<&Measurement> {
        self.measurements.iter().find(|measurement| measurement.id == id)
    }

    /// The count of a contender of a group.
    pub fn count(&self, group: &str, contender: &str) -> Option<&Count> {
        self.counts.iter().find(|count| count.group == group && count.contender == contender)
    }
}

/// The names of the groups that a name stands for: a question's are all of its groups.
pub fn groups(name: &str) -> Vec<String> {
    let all = ALL.iter().flat_map(|question| (question.groups)());
    all.filter(|id| id == name || id.split('/').next() == Some(name)).collect()
}

/// Every group, in the order of the page.
pub fn every_group() -> Vec<String> {
    ALL.iter().flat_map(|question| (question.groups)()).collect()
}

/// Groups whose operations are counted: those with one thread, little to set up, and no large copies, whose
/// instructions are the C library's.
pub fn is_counted(id: &str) -> bool {
    let left_out = ["growth/", "threads/", "data/65536", "data/1048576"];
    !left_out.iter().any(|start| id.starts_with(start))
}

/// Times the groups.
pub fn time(ids: &[String], effort: Effort) -> Vec<Measurement> {
    let timed = ids.iter().map(|id| {
        let group = questions::group(id);
        let effort = group.effort(effort);
        measure(&group.id, group.contenders, effort)
    });
    timed.collect()
}

/// Counts the contenders of the groups.
///
/// # Errors
/// Valgrind is not there, or a run failed.
pub fn count(program: &Path, ids: &[String]) -> Result<Vec<Count>> {
    let mut counts = Vec::new();
    for id in ids.iter().filter(|id| is_counted(id)) {
        let Group { id, contenders, .. } = questions::group(id);
        for contender in contenders {
            counts.push(instructions::count(program, &id, contender.name())?);
        }
    }
    Ok(counts)
}

/// Times and counts everything.
///
/// # Errors
/// As for [`count`].
pub fn everything(program: &Path, effort: Effort) -> Result<Run> {
    let (machine, before, ids) = (Machine::this(), load(), every_group());
    let measurements = time(&ids, effort);
    let after = load();
    let counts = count(program, &ids)?;
    Ok(Run { machine, effort, load: (before, after), measurements, counts })
}
