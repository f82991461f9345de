//! What a registration costs beside libibverbs alone: the same system calls. For times see `benches/registration.rs`.

mod common;
#[path = "common/pairs.rs"]
mod pairs;

use std::collections::BTreeMap;
use std::process::Command;
use std::{env, fs};

#[test]
fn a_registration_makes_the_system_calls_of_the_raw_pair_and_no_others() {
    let Some(device) = common::device("NDK_VERBS_DEVICE") else { return };
    if pairs::were_asked_for(&device) {
        return;
    }
    let (raw, mut backend) = (calls_of_a_pair("raw"), calls_of_a_pair("backend"));
    println!("a raw pair: {raw:?}\na pair of the backend: {backend:?}");
    // Threads that hand over to each other; how often depends on which is faster.
    backend.retain(|name, _| !["futex", "sched_yield"].contains(&name.as_str()));
    assert!(raw.values().sum::<i64>() >= 2, "registering and its end are calls: {raw:?}");
    assert_eq!(backend, raw);
}

/// System calls by name: the difference that more pairs make, for each of them.
fn calls_of_a_pair(whose: &str) -> BTreeMap<String, i64> {
    const FEW: u32 = 10;
    const MANY: u32 = 70;
    let (few, many) = (calls(whose, FEW), calls(whose, MANY));
    let each = |count: i64| (count as f64 / f64::from(MANY - FEW)).round() as i64;
    let more = many.iter().map(|(name, count)| (name, count - few.get(name).unwrap_or(&0)));
    // Rounded, since what threads do as they start and end differs from run to run.
    more.map(|(name, count)| (name.clone(), each(count))).filter(|(_, count)| *count != 0).collect()
}

fn calls(whose: &str, count: u32) -> BTreeMap<String, i64> {
    let directory = tempfile::tempdir().unwrap();
    let table = directory.path().join("calls");
    let output = Command::new("strace")
        .args(["-f", "-c", "-U", "name,calls", "-o"])
        .arg(&table)
        .arg(env::current_exe().unwrap())
        .args(["--test-threads=1", "a_registration_makes"])
        .env(pairs::WORK, format!("{whose} 65536 {count}"))
        .output()
        .expect("strace is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let table = fs::read_to_string(table).unwrap();
    let lines = table.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
    });
    lines.filter(|(name, _)| name != "total").collect()
}
