//! The C programs of `examples/c_consumer`, built by the system's C compiler against both libraries, and run.
#![cfg(target_os = "linux")]

mod common;

use common::{Link, Workbench, check};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Requests complete inline, or pend.
const BACKENDS: [&str; 2] = ["sim?seed=7", "sim?seed=7&latency=50us"];

const SANITIZER: &str = "-fsanitize=address";

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/c_consumer").join(name)
}

fn run(program: &Path, backend: &str) -> String {
    let output = Command::new(program)
        .arg(backend)
        .env("ASAN_OPTIONS", "detect_leaks=1")
        .output()
        .expect("the program starts");
    check(&output, &format!("{} {backend}", program.display()))
}

fn consumer(link: Link, flags: &[&str]) {
    let bench = Workbench::new();
    let sources = [example("consumer.c"), example("refusals.c")];
    let program = bench.build("consumer", &sources, link, flags);
    for backend in BACKENDS {
        let lines = run(&program, backend);
        assert!(lines.ends_with("all as expected\n"), "{backend}:\n{lines}");
        let registered = lines.lines().find(|line| line.starts_with("register for remote"));
        let way = if backend.contains("latency") { "pending" } else { "inline" };
        assert!(registered.is_some_and(|line| line.ends_with(way)), "{backend}: {registered:?}");
        // Each of the odd things was done, and said so.
        for said in [
            "ask for the size of the adapter's attributes: STATUS_BUFFER_TOO_SMALL",
            "  two calls were counted: yes",
            "close through a saved entry, the member Dispatch being null: STATUS_SUCCESS",
            "close it, and never look whether it is done [H6]: yes",
            "close the domain while a region lives [H4]: STATUS_PENDING",
            "  closing the adapter inside its completion [H5]: STATUS_INVALID_DEVICE_STATE",
            "register null [A6]: STATUS_INVALID_PARAMETER",
            "register without a completion [A7]: STATUS_INVALID_PARAMETER",
            "close the adapter: STATUS_SUCCESS",
        ] {
            assert!(
                lines.lines().any(|line| line == said),
                "{backend}: no line {said:?}:\n{lines}"
            );
        }
    }
}

#[test]
fn the_consumer_runs_with_the_shared_library() {
    consumer(Link::Shared, &[]);
}

#[test]
fn the_consumer_runs_with_the_static_library() {
    consumer(Link::Static, &[]);
}

/// Whether the compiler has AddressSanitizer, and programs built with it run here.
fn has_sanitizer() -> bool {
    let bench = Workbench::new();
    let source = bench.file("empty.c", "int main(void) { return 0; }\n");
    let program = source.with_extension("");
    let built =
        common::compiler("CC", "cc").arg(SANITIZER).arg(&source).arg("-o").arg(&program).output();
    let has = built.is_ok_and(|output| output.status.success())
        && Command::new(&program).output().is_ok_and(|output| output.status.success());
    if !has {
        let required = std::env::var_os("NDK_REQUIRE_ASAN").is_some_and(|value| value == "1");
        assert!(
            !required,
            "the C compiler has no AddressSanitizer, which NDK_REQUIRE_ASAN asks for"
        );
        eprintln!("SKIPPED: the C compiler has no AddressSanitizer");
    }
    has
}

#[test]
fn the_consumer_is_clean_under_address_sanitizer_with_the_shared_library() {
    if has_sanitizer() {
        consumer(Link::Shared, &[SANITIZER]);
    }
}

#[test]
fn the_consumer_is_clean_under_address_sanitizer_with_the_static_library() {
    if has_sanitizer() {
        consumer(Link::Static, &[SANITIZER]);
    }
}

/// Consumers of `ndk_mr.h` on the provider in C: what they open is its adapter, and nothing of this project is between.
fn on_the_provider_in_c(program: &str, consumer: &[&str], flags: &[&str]) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/c_provider");
    let consumer = consumer.iter().map(|name| example(name));
    let files = fs::read_dir(&folder).expect("the provider's folder");
    let files = files.map(|file| file.expect("a file of the provider's").path());
    let provider = files.filter(|path| path.extension().is_some_and(|extension| extension == "c"));
    let sources: Vec<_> = consumer.chain(provider).collect();
    let include = format!("-I{}", folder.display());
    let replaced = ["-Dndkmr_open=soft_open_by_name", "-Dndkmr_close=soft_close_any", &include];
    let flags: Vec<_> = replaced.iter().chain(flags).copied().collect();
    let bench = Workbench::new();
    run(&bench.build(program, &sources, Link::Shared, &flags), "soft")
}

fn consumers_on_the_provider_in_c(flags: &[&str]) {
    let lines = on_the_provider_in_c("hello", &["hello.c"], flags);
    assert!(lines.starts_with("13 bytes at 0x") && lines.contains(", token 0x"), "{lines}");
    let lines = on_the_provider_in_c("consumer", &["consumer.c", "refusals.c"], flags);
    assert!(lines.ends_with("all as expected\n"), "{lines}");
}

#[test]
fn the_consumers_run_on_the_provider_in_c() {
    consumers_on_the_provider_in_c(&[]);
}

#[test]
fn the_consumers_are_clean_on_the_provider_in_c_under_address_sanitizer() {
    if has_sanitizer() {
        consumers_on_the_provider_in_c(&[SANITIZER]);
    }
}

/// Also what AddressSanitizer does not see: bytes that are used and were never written, in C and in the library.
#[test]
#[ignore = "takes valgrind"]
fn the_consumers_are_clean_under_valgrind() {
    let bench = Workbench::new();
    let consumer = [example("consumer.c"), example("refusals.c")];
    let programs = [
        bench.build("consumer", &consumer, Link::Shared, &[]),
        bench.build("hello", &[example("hello.c")], Link::Static, &[]),
    ];
    for (program, backend) in
        programs.iter().flat_map(|program| BACKENDS.map(|backend| (program, backend)))
    {
        let output = Command::new("valgrind")
            .args(["--quiet", "--leak-check=full", "--errors-for-leak-kinds=definite,indirect"])
            .arg("--error-exitcode=9")
            .arg(program)
            .arg(backend)
            .output()
            .expect("valgrind starts");
        let said = check(&output, &format!("valgrind {} {backend}", program.display()));
        assert!(!said.is_empty(), "it ran");
    }
}

#[test]
fn the_smallest_consumer_runs() {
    let bench = Workbench::new();
    let program = bench.build("hello", &[example("hello.c")], Link::Shared, &[]);
    for backend in BACKENDS {
        let lines = run(&program, backend);
        assert!(lines.starts_with("13 bytes at 0x") && lines.contains(", token 0x"), "{lines}");
    }
}
