//! The method of counting: callgrind runs a contender twice, for two numbers of operations, and what differs between the
//! two runs is what the operations cost. What a run does before and after its operations is not counted, and what the
//! first of them do once drops out.
//!
//! The counts do not depend on the machine's speed or load, so a test may hold them to a bound; they say nothing of
//! waiting and of caches. The crates for this (gungraun, once iai-callgrind) want a runner of exactly their version to
//! be installed beside Cargo, and count a single call; a difference of two runs needs valgrind and nothing else, and is
//! that of the steady state.

use crate::rounds::{Batch, have_company};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Error, Result};
use std::path::Path;
use std::process::{Command, Stdio};

/// Operations of the shorter run, and of the longer one.
const SHORT: u64 = 500;
const LONG: u64 = 2500;

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

/// What is counted: callgrind knows it by this name.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn ndk_bench_counted(batch: &mut Batch, count: u64) {
    batch(black_box(count));
}

/// Runs a contender's operations, as the program that callgrind is told to run does.
pub fn run_counted(mut batch: Batch, count: u64) {
    have_company();
    ndk_bench_counted(&mut batch, count);
}

/// Counts a contender of a group. `program` is this one, which knows the command `loop`.
///
/// # Errors
/// Valgrind is not there, or the run failed.
pub fn count(program: &Path, group: &str, contender: &str) -> Result<Count> {
    let (short, long) =
        (run(program, group, contender, SHORT)?, run(program, group, contender, LONG)?);
    let each = |difference: f64| difference / (LONG - SHORT) as f64;
    let mut functions: Vec<_> = long
        .functions
        .iter()
        .map(|(name, &cost)| {
            let before = short.functions.get(name).copied().unwrap_or_default();
            (name.clone(), each(cost as f64 - before as f64))
        })
        .filter(|(_, cost)| *cost >= 1.0)
        .collect();
    functions.sort_by(|a, b| b.1.total_cmp(&a.1));
    Ok(Count {
        group: group.into(),
        contender: contender.into(),
        instructions: each(long.total() - short.total()),
        allocations: each(long.allocations as f64 - short.allocations as f64),
        functions,
    })
}

fn run(program: &Path, group: &str, contender: &str, count: u64) -> Result<Profile> {
    let out = tempfile::NamedTempFile::new()?;
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet", "--compress-strings=no", "--compress-pos=no"])
        .arg("--toggle-collect=ndk_bench_counted")
        .arg(format!("--callgrind-out-file={}", out.path().display()))
        .arg(program)
        .args(["loop", group, contender, &count.to_string()])
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
    fn total(&self) -> f64 {
        self.functions.values().sum::<u64>() as f64
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
        assert_eq!(profile.total(), 103.0);
    }
}
