//! A consumer in C that is wrong, over a backend with `verify+` before its name and no other change.
#![cfg(target_os = "linux")]

mod common;

use common::{Link, Workbench, check};
use std::path::{Path, PathBuf};
use std::process::Command;

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// What the program prints of a mistake.
fn run(program: &Path, backend: &str, mistake: &str) -> String {
    let output = Command::new(program).args([backend, mistake]).output().expect("it starts");
    let lines = check(&output, mistake);
    assert!(lines.ends_with("done\n"), "{mistake}: {lines}");
    lines
}

#[test]
fn each_mistake_in_c_is_named() {
    let bench = Workbench::new();
    // With its symbols exported, so that the stack has names without the help of a debugger's tables.
    let flags = ["-rdynamic", "-O0"];
    let program = bench.build("wrong", &[source("tests/c/wrong_consumer.c")], Link::Shared, &flags);
    for (mistake, backend, rules) in [
        ("V1", "verify+sim", "[V1, A7]: sim0/pd1/mr2: register: "),
        ("V3", "verify+sim", "[V3, H7]: sim0/pd1/mr2: register: "),
        ("V4", "verify+sim", "[V4, H7]: sim0/pd1/mr2: close: "),
        ("V7", "verify+sim?latency=register:3600s", "[V7]: sim0/pd1/mr3: register with "),
        ("V8", "verify+sim?latency=register:3600s", "[V8, C15]: sim0/pd1/mr2: an MDL "),
        ("V9", "verify+sim", "[V9, C1]: sim0/pd1/mr2: register: "),
        ("V10", "verify+sim", "[V10]: sim0: query adapter info "),
        ("V11", "verify+sim", "[V11, E1]: sim0/pd1/mr2: its token "),
    ] {
        let lines = run(&program, backend, mistake);
        assert!(lines.starts_with("1 of the consumer, 0 of the provider\n"), "{lines}");
        assert!(lines.contains(&format!("consumer mistake {rules}")), "{lines}");
        assert!(lines.contains("\n  right: "), "{lines}");
        if lines.contains("/mr2: ") {
            assert!(lines.contains("\n  created:\n    make_region"), "{lines}");
        }
    }
    let lines = run(&program, "verify(policy=fail,limit=1ms)+sim", "V6");
    assert!(lines.starts_with("2 of the consumer, 0 of the provider\n"), "{lines}");
    assert!(lines.contains("[V6, H5]: sim0/pd1/mr2: it is open, "), "{lines}");
    let lines = run(&program, "verify(policy=fail)+sim", "none");
    assert!(lines.starts_with("0 of the consumer, 0 of the provider\n"), "{lines}");
}

#[test]
fn the_consumer_of_the_examples_runs_verified() {
    let bench = Workbench::new();
    let example = |name| source("../examples/c_consumer").join(name);
    let hello = bench.build("hello", &[example("hello.c")], Link::Shared, &[]);
    let program =
        bench.build("consumer", &[example("consumer.c"), example("refusals.c")], Link::Shared, &[]);
    for backend in ["verify(policy=fail)+sim", "verify(policy=fail)+sim?latency=50us"] {
        let output = Command::new(&hello).arg(backend).output().expect("it starts");
        assert!(check(&output, "hello").contains("13 bytes at 0x"));
        // It makes mistakes to show that they are refused, and they are refused in the same way.
        let output = Command::new(&program).arg(backend).output().expect("it starts");
        assert!(check(&output, "consumer").ends_with("all as expected\n"));
    }
}
