//! The method of counting: a contender runs under callgrind, which counts its operations in the steady state and nothing
//! of what goes before and after.
//!
//! The counts do not depend on the machine's speed or load, so a test may hold them to a bound; they say nothing of
//! waiting and of caches. The crates for this (gungraun, once iai-callgrind) want a runner of exactly their version to
//! be installed beside Cargo, and count a single call, which is not the steady state; this needs valgrind alone.

use crate::rounds::{Batch, have_company};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Error, Result};
use std::path::Path;
use std::process::{Command, Stdio};

/// Operations that are counted.
const COUNTED: u64 = 2000;

/// How long a contender runs before. The simulator's token table grows until it holds the tokens that it keeps away (D4),
/// 65,536 of them; a pair retires two.
const WARM_UP: u64 = 100_000;

/// How the heap is asked for memory, in C and in Rust, which asks through C.
const ALLOCATORS: [&str; 5] = ["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc"];

/// What an operation of a contender costs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Count {
    /// Question and size.
    pub group: String,
    /// Whose operation.
    pub contender: String,
    /// Instructions.
    pub instructions: f64,
    /// Heap allocations.
    pub allocations: f64,
    /// Instructions by function, those it calls left out; the most first.
    pub functions: Vec<(String, f64)>,
}

#[cfg(valgrind)]
unsafe extern "C" {
    safe fn count_from_here();
    safe fn count_until_here();
}

#[cfg(not(valgrind))]
fn count_from_here() {}
#[cfg(not(valgrind))]
fn count_until_here() {}

/// Runs a contender's operations, as the program that callgrind is told to run does.
pub fn run_counted(mut batch: Batch) {
    have_company();
    batch(black_box(WARM_UP));
    count_from_here();
    batch(black_box(COUNTED));
    count_until_here();
}

/// Counts a contender of a group. `program` is this one, which knows the command `loop`.
///
/// # Errors
/// Valgrind is not there, or was not when this was built, or the run failed.
pub fn count(program: &Path, group: &str, contender: &str) -> Result<Count> {
    if !cfg!(valgrind) {
        return Err(Error::other(
            "built without valgrind's headers: run benches/install, and build again",
        ));
    }
    let profile = run(program, group, contender)?;
    let each = |sum: u64| sum as f64 / COUNTED as f64;
    let costs = profile.functions.iter().map(|(name, &cost)| (name.clone(), each(cost)));
    let mut functions: Vec<_> = costs.filter(|(_, cost)| *cost >= 1.0).collect();
    functions.sort_by(|a, b| b.1.total_cmp(&a.1));
    Ok(Count {
        group: group.into(),
        contender: contender.into(),
        instructions: each(profile.total()),
        allocations: each(profile.allocations),
        functions,
    })
}

fn run(program: &Path, group: &str, contender: &str) -> Result<Profile> {
    let out = tempfile::NamedTempFile::new()?;
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet", "--compress-strings=no", "--compress-pos=no"])
        .arg("--instr-atstart=no")
        .arg(format!("--callgrind-out-file={}", out.path().display()))
        .arg(program)
        .args(["loop", group, contender])
        .stdout(Stdio::null())
        .status()
        .map_err(|error| Error::other(format!("valgrind does not run: {error}")))?;
    if !status.success() {
        return Err(Error::other(format!("{group}, {contender}: {status}")));
    }
    Profile::read(BufReader::new(out.reopen()?))
}

/// What callgrind wrote: self costs of functions, and calls of the heap's.
#[derive(Debug, Default)]
struct Profile {
    functions: BTreeMap<String, u64>,
    allocations: u64,
}

impl Profile {
    fn total(&self) -> u64 {
        self.functions.values().sum()
    }

    /// Reads the format without compression: `fn=` opens a function, `cfn=` and `calls=` a call, whose cost line comes
    /// next and is the callee's; every other line that starts with a number is a cost of the function itself.
    fn read(lines: impl BufRead) -> Result<Self> {
        let (mut profile, mut function, mut callee) =
            (Self::default(), String::new(), String::new());
        let mut is_callees_cost = false;
        for line in lines.lines() {
            let line = line?;
            if let Some(name) = line.strip_prefix("fn=") {
                name.clone_into(&mut function);
            } else if let Some(name) = line.strip_prefix("cfn=") {
                name.clone_into(&mut callee);
            } else if let Some(calls) = line.strip_prefix("calls=") {
                let calls = calls.split(' ').next().and_then(|calls| calls.parse::<u64>().ok());
                if ALLOCATORS.contains(&callee.as_str()) && !ALLOCATORS.contains(&function.as_str())
                {
                    profile.allocations += calls.unwrap_or_default();
                }
                is_callees_cost = true;
            } else if line.starts_with(|first: char| first.is_ascii_digit()) {
                let cost = line.split(' ').nth(1).and_then(|cost| cost.parse::<u64>().ok());
                if !std::mem::take(&mut is_callees_cost) {
                    *profile.functions.entry(function.clone()).or_default() +=
                        cost.unwrap_or_default();
                }
            }
        }
        Ok(profile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
version: 1
events: Ir
fl=a.c
fn=main
10 5
11 7
cfi=b.c
cfn=malloc
calls=3 20
11 300
12 1

fl=b.c
fn=malloc
20 90
cfn=calloc
calls=2 30
21 210
summary: 313
";

    #[test]
    fn costs_and_calls_are_told_apart() {
        let profile = Profile::read(OUTPUT.as_bytes()).unwrap();
        assert_eq!(profile.functions["main"], 13);
        assert_eq!(profile.functions["malloc"], 90);
        // What an allocator asks of another is one allocation.
        assert_eq!(profile.allocations, 3);
        assert_eq!(profile.total(), 103);
    }
}
