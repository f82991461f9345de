//! What a run of the conformance kit tells: the summary, the JUnit report, the exit status. The program starts itself as
//! the kits that it looks at, since a kit reads its command line.

mod tiny;

use ndk_core::conformance::{Kit, main as run};
use ndk_core::{BoxedAdapter, Error, ErrorKind, Result};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Output};
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::{env, fs, process, thread};
use tiny::Tiny;

/// Says which kits a child is to run.
const KITS: &str = "NDK_TEST_KITS";
const MESSAGE: &str = "no <device> & no \"port\"\u{1b}[0m\nsecond line";

fn tiny_kit() -> Kit {
    // Two defects, whose reasons take some care in XML; the failure is a case that a region too many makes fail.
    Kit::new(|| Ok(Tiny::new()))
        .named("tiny")
        .defect("C6", "length_zero", "a <reason> & \"more\"")
        .region_limit(3, || Ok(Tiny::with_region_limit(4)))
}

fn deviceless_kit() -> Kit {
    Kit::new(|| Err::<BoxedAdapter, _>(Error::new(ErrorKind::DeviceRemoved, MESSAGE))).named("none")
}

/// Devices on which even the first look at them goes wrong, beside one that is sound.
fn unusable_kits() -> [Kit; 4] {
    let hangs = || -> Result<Tiny> {
        loop {
            thread::park();
        }
    };
    let stalls = || {
        let tiny = Tiny::new();
        tiny.mood().stalls.store(true, Ordering::Relaxed);
        Ok(tiny)
    };
    let panics = || -> Result<Tiny> { panic!("the factory panics") };
    let soon = Duration::from_millis(50);
    [
        Kit::new(hangs).named("hangs").patience(soon),
        Kit::new(stalls).named("stalls").patience(soon),
        Kit::new(panics).named("panics"),
        tiny_kit(),
    ]
}

/// What a child printed and wrote.
struct Ran {
    output: Output,
    text: String,
    junit: String,
}

fn child(kits: &str, arguments: &[&str]) -> Ran {
    let path: PathBuf = env::temp_dir().join(format!("ndk-junit-{}-{kits}.xml", process::id()));
    let program = env::current_exe().expect("a program knows its file");
    let mut command = Command::new(program);
    command.env(KITS, kits).args(arguments).arg("--junit").arg(&path);
    let output = command.output().expect("it starts");
    let junit = fs::read_to_string(&path).unwrap_or_default();
    let _ = fs::remove_file(&path);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ran { output, text, junit }
}

/// The report has every test that ran: with its rule, route and way, and how it ended.
fn a_report_has_every_test() {
    // C6 has cases of its own, C14 one that fails, and D2 one that takes what the backend has not.
    let ran = child("tiny", &["C"]);
    let document = roxmltree::Document::parse(&ran.junit).expect("well-formed XML");
    let tests: Vec<_> = document.descendants().filter(|it| it.has_tag_name("testcase")).collect();
    let has =
        |it: &roxmltree::Node<'_, '_>, tag| it.children().any(|child| child.has_tag_name(tag));
    let count = |tag| tests.iter().filter(|it| has(it, tag)).count();
    let (failed, skipped) = (count("failure"), count("skipped"));
    let passed = tests.len() - failed - skipped;
    let line = format!("{passed} passed; {failed} failed; {skipped} ignored");
    assert!(ran.text.contains(&line), "not {line}: {}", ran.text);
    assert!(passed > 50 && skipped > 9, "{line}");
    assert!(failed > 0 && !ran.output.status.success(), "the region limit is another: {line}");

    let suite = document.descendants().find(|it| it.has_tag_name("testsuite")).expect("a suite");
    assert_eq!(suite.attribute("name"), Some("tiny"));
    let total = tests.len().to_string();
    assert_eq!(suite.attribute("tests"), Some(&*total));
    let find = |name| {
        let test = tests.iter().find(|it| it.attribute("name") == Some(name));
        *test.unwrap_or_else(|| panic!("no test {name}"))
    };
    let test = find("C1::legal_flags/consumer/pending");
    assert_eq!(test.attribute("classname"), Some("C1"));
    assert!(test.attribute("time").is_some_and(|time| time.parse::<f64>().is_ok()));
    for (name, value) in
        [("rule", "C1"), ("case", "legal_flags"), ("route", "consumer"), ("way", "pending")]
    {
        let property = test.descendants().find(|it| it.attribute("name") == Some(name));
        let found = property.and_then(|property| property.attribute("value"));
        assert_eq!(found, Some(value), "the property {name}");
    }
    let message = |test: roxmltree::Node<'_, '_>, tag| {
        let child = test.children().find(|child| child.has_tag_name(tag)).expect("a message");
        child.attribute("message").unwrap_or_default().to_string()
    };
    let reason = message(find("C6::length_zero/table/early"), "skipped");
    assert_eq!(reason, "a <reason> & \"more\"");
    let reason = message(find("C3::data_across_joints/native/inline"), "skipped");
    assert_eq!(reason, "the backend has no queue pairs");
    let failed = find("C14::region_limit/table/inline");
    let failure = message(failed, "failure");
    assert!(failure.contains("C14"), "{failure}");
    let whole = failed.descendants().find(|it| it.has_tag_name("failure"));
    let whole = whole.and_then(|it| it.text()).unwrap_or_default();
    assert!(whole.contains("\n at ") && whole.contains("cases/c.rs:"), "no place: {whole}");
}

/// The summary counts what was left out, by reason, and the sum is that of the standard line.
fn a_summary_counts_the_reasons() {
    let ran = child("tiny", &["C"]);
    let lines = ran.text.lines().skip_while(|line| !line.starts_with("left out, and why: "));
    let lines: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
    let all: usize = lines[0].rsplit(' ').next().and_then(|all| all.parse().ok()).expect("a sum");
    assert!(ran.text.contains(&format!("; {all} ignored")), "{}", ran.text);
    let counted = lines[1..].iter().map(|line| {
        let (count, reason) = line.trim_start().split_once("  ").expect("a count and a reason");
        (reason, count.parse::<usize>().expect("a count"))
    });
    let counted: Vec<_> = counted.collect();
    assert_eq!(counted.iter().map(|(_, count)| count).sum::<usize>(), all, "{lines:#?}");
    assert!(counted.contains(&("a <reason> & \"more\"", 9)), "{counted:?}");
}

/// A factory that gives nothing fails the run, beside kits that pass, and whatever the filter.
fn a_factory_without_a_device_fails() {
    for arguments in [&["A1"][..], &["--exact", "nothing"], &["A1", "--skip", "device"]] {
        let ran = child("both", arguments);
        assert_eq!(ran.output.status.code(), Some(101), "{arguments:?}: {}", ran.text);
        assert!(ran.text.contains("; 0 failed;"), "{}", ran.text);
        assert!(ran.text.contains("FAILED: none: the factory gives no usable device: "));
        let document = roxmltree::Document::parse(&ran.junit).expect("well-formed XML");
        let device = document.descendants().find(|it| it.attribute("name") == Some("device"));
        let failure = device.and_then(|device| device.first_element_child()).expect("a failure");
        assert!(failure.has_tag_name("failure"));
        let message = failure.attribute("message").unwrap_or_default();
        assert!(message.contains("no <device> & no \"port\""), "{message}");
    }
}

/// A device that hangs, or breaks a rule, when it is only looked at fails the run as a factory does that gives none: the
/// other kits run, and the report is written.
fn a_device_that_breaks_at_the_first_look_fails() {
    let ran = child("unusable", &["A1"]);
    assert_eq!(ran.output.status.code(), Some(101), "{}", ran.text);
    assert!(ran.text.contains("test result: ") && ran.text.contains("; 0 failed;"), "{}", ran.text);
    let passed = |line: &str| line.starts_with("test tiny:A1::") && line.ends_with("... ok");
    assert!(ran.text.lines().any(passed), "{}", ran.text);
    let document = roxmltree::Document::parse(&ran.junit).expect("well-formed XML");
    for (kit, why) in [
        ("hangs", "B5: it hangs: a call of the provider's has not returned"),
        ("stalls", "B2: PENDING, and the callback does not come"),
        ("panics", "the factory panics"),
    ] {
        let line = format!("FAILED: {kit}: the factory gives no usable device: ");
        let said = ran.text.lines().find_map(|text| text.strip_prefix(&line)).unwrap_or_default();
        assert!(said.contains(why), "{kit}: {}", ran.text);
        let suite = document.descendants().find(|it| it.attribute("name") == Some(kit));
        let failure = suite.and_then(|it| it.descendants().find(|it| it.has_tag_name("failure")));
        let message = failure.and_then(|it| it.attribute("message")).unwrap_or_default();
        assert!(message.contains(why), "{kit}: {message}");
    }
}

/// A list has no summary; what is missing from it is said all the same.
fn a_list_says_which_device_is_missing() {
    let ran = child("both", &["--list"]);
    assert_eq!(ran.output.status.code(), Some(101), "{}", ran.text);
    assert!(ran.text.contains("tiny:A1::") && !ran.text.contains("FAILED"), "{}", ran.text);
    let said = String::from_utf8_lossy(&ran.output.stderr);
    assert!(said.contains("FAILED: none: the factory gives no usable device: "), "{said}");
}

/// A report that cannot be written is a failure too.
fn a_report_without_a_place_fails() {
    let program = env::current_exe().expect("a program knows its file");
    let mut command = Command::new(program);
    command.env(KITS, "tiny").args(["--exact", "nothing", "--junit", "/nonexistent/report.xml"]);
    let output = command.output().expect("it starts");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nonexistent/report.xml"));
}

fn main() -> ExitCode {
    match env::var(KITS).as_deref() {
        Ok("tiny") => return run([tiny_kit()]),
        Ok("both") => return run([deviceless_kit(), tiny_kit()]),
        Ok("unusable") => return run(unusable_kits()),
        _ => {}
    }
    let checks: [(&str, fn()); 6] = [
        ("a_report_has_every_test", a_report_has_every_test),
        ("a_summary_counts_the_reasons", a_summary_counts_the_reasons),
        ("a_factory_without_a_device_fails", a_factory_without_a_device_fails),
        (
            "a_device_that_breaks_at_the_first_look_fails",
            a_device_that_breaks_at_the_first_look_fails,
        ),
        ("a_list_says_which_device_is_missing", a_list_says_which_device_is_missing),
        ("a_report_without_a_place_fails", a_report_without_a_place_fails),
    ];
    for (name, check) in checks {
        check();
        println!("test {name} ... ok");
    }
    ExitCode::SUCCESS
}
