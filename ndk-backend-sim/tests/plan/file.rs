//! Plans as TOML.

use ndk_backend_sim::plan::{
    Effect, Fault, Keys, Latency, Occurrence, Operation, Plan, Target, Tokens,
};
use ndk_core::{Error, ErrorKind};
use std::num::NonZeroU32;
use std::time::Duration;

fn refusal(text: &str) -> String {
    text.parse::<Plan>().unwrap_err().to_string()
}

fn assert_all(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}

#[test]
fn the_example_is_a_plan_and_says_what_its_comments_say() {
    let plan: Plan = include_str!("../../plans/example.toml").parse().unwrap();
    let us = Duration::from_micros;
    let latency = |operation| plan.latency[&Target::One(operation)];
    assert_eq!(plan.latency[&Target::All], Latency::Inline);
    assert_eq!(latency(Operation::CreateMr), Latency::Fixed(us(2)));
    assert_eq!(latency(Operation::Register), Latency::Uniform(us(50), us(200)));
    assert_eq!(latency(Operation::Deregister), Latency::Exponential { mean: us(20), cap: None });
    let read = Latency::Exponential { mean: us(20), cap: Some(us(1000)) };
    assert_eq!(latency(Operation::Read), read);

    let fault = |operation, occurrence, effect| Fault {
        operation: Target::One(operation),
        occurrence,
        effect,
    };
    let n = |n| NonZeroU32::new(n).unwrap();
    let late = |status, late| Effect::FailPending { status, late };
    let short = ErrorKind::InsufficientResources;
    let faults = [
        fault(Operation::Register, Occurrence::Nth(n(3)), Effect::FailInline(short)),
        fault(Operation::Register, Occurrence::Every(n(10)), late(short, us(1000))),
        fault(Operation::Write, Occurrence::Share(0.05), late(ErrorKind::Timeout, us(0))),
        fault(Operation::CloseMr, Occurrence::Every(n(2)), Effect::Late(us(5000))),
    ];
    assert_eq!(plan.faults, faults);
    let limits = plan.limits;
    let limits = (limits.regions, limits.pinned_pages, limits.tokens);
    assert_eq!(limits, (Some(1000), Some(65_536), Some(2000)));
    assert_eq!(plan.tokens, Tokens { keys: Some(Keys::Two), rotate: Some(true) });
    assert_eq!(plan.lose.after, Some(n(100_000)));
    assert_eq!(plan.lose.at, Some(Duration::from_secs(60)));
}

#[test]
fn an_empty_text_is_the_empty_plan() {
    assert_eq!("".parse(), Ok(Plan::default()));
    assert_eq!(Plan::default().to_string(), "");
}

#[test]
fn an_unknown_key_is_refused_with_its_place_and_the_known_ones() {
    assert_all(
        &refusal("\n[latencies]\nregister = \"1us\"\n"),
        &["line 2", "latencies", "`latency`", "`fault`", "`limits`", "`tokens`", "`lose-adapter`"],
    );
    assert_all(
        &refusal("[[fault]]\noperation = \"read\"\nnht = 3\n"),
        &["line 3", "nht", "`nth`", "`every`", "`share`", "`status`", "`when`", "`complete-late`"],
    );
    assert_all(
        &refusal("[limits]\nmrs = 3\n"),
        &["line 2", "mrs", "`regions`", "`pinned-pages`", "`tokens`"],
    );
    assert_all(&refusal("[tokens]\nkey = 2\n"), &["line 2", "key", "`keys`", "`rotate`"]);
    assert_all(&refusal("[lose-adapter]\nin = 3\n"), &["line 2", "`after`", "`at`"]);
    let operations: Vec<_> = Operation::ALL.iter().map(|operation| operation.name()).collect();
    assert_all(
        &refusal("[latency]\nregistr = \"1us\"\n"),
        &["line 2", "\"registr\"", "all, create-pd"],
    );
    assert_all(&refusal("[latency]\nregistr = \"1us\"\n"), &operations);
}

#[test]
fn a_wrong_value_is_refused_with_its_place_and_what_would_do() {
    assert_all(
        &refusal("[latency]\nregister = \"1 hour\"\n"),
        &["line 2", "\"1 hour\"", "ns, us, ms and s", "50us..200us"],
    );
    assert_all(&refusal("[latency]\nread = \"2us..1us\"\n"), &["line 2", "ends before it starts"]);
    assert_all(&refusal("[latency]\nread = \"1us..\"\n"), &["line 2", "\"\" is no duration"]);
    assert_all(&refusal("[latency]\nread = 5\n"), &["line 2", "expected a string"]);
    assert_all(&refusal("[lose-adapter]\nat = \"5\"\n"), &["line 2", "\"5\" is no duration"]);
    assert_all(&refusal("[lose-adapter]\nafter = 0\n"), &["line 2", "nonzero"]);
    assert_all(&refusal("[limits]\ntokens = -1\n"), &["line 2"]);
    assert_all(&refusal("[tokens]\nkeys = 'three'\n"), &["line 2", "three", "`one`", "`two`"]);
    assert_all(&refusal("[tokens]\nrotate = 1\n"), &["line 2", "boolean"]);
    let fault = |rest: &str| refusal(&format!("[[fault]]\noperation = \"register\"\n{rest}\n"));
    assert_all(
        &fault("nth = 1\nstatus = \"oops\""),
        &["line 4", "\"oops\"", "insufficient-resources", "device-removed", "0xc0000001"],
    );
    assert_all(&fault("nth = 1\nstatus = \"0x103\""), &["line 4", "no status of a failure"]);
    assert_all(&fault("nth = 1\nwhen = \"later\""), &["line 4", "`inline`", "`pending`"]);
    for (rest, cause) in [
        ("status = \"timeout\"", "one of nth, every and share"),
        ("nth = 1\nevery = 2\nstatus = \"timeout\"", "one of nth, every and share"),
        ("share = 1.5\nstatus = \"timeout\"", "between 0 and 1"),
        ("share = nan\nstatus = \"timeout\"", "between 0 and 1"),
        ("nth = 1", "a status, or complete-late"),
        ("nth = 1\nwhen = \"pending\"\ncomplete-late = \"1us\"", "it has none"),
        (
            "nth = 1\nstatus = \"timeout\"\nwhen = \"inline\"\ncomplete-late = \"1us\"",
            "cannot complete late",
        ),
    ] {
        assert_all(&fault(rest), &["a fault of register: ", cause]);
    }
    assert_all(
        &refusal("[[fault]]\noperation = \"close-pd\"\nnth = 1\nstatus = \"timeout\"\n"),
        &["a fault of close-pd", "it cannot fail (H1)"],
    );
    assert_all(&refusal("latency = \n"), &["line 1"]);
}

#[test]
fn a_late_failure_pends_without_being_told_to() {
    let text = "[[fault]]\noperation = \"all\"\nshare = 1\nstatus = \"0xC0000001\"\ncomplete-late = \"1us\"\n";
    let plan: Plan = text.parse().unwrap();
    let status = ErrorKind::Other(0xC000_0001_u32.cast_signed());
    assert_eq!(
        plan.faults[0].effect,
        Effect::FailPending { status, late: Duration::from_micros(1) }
    );
    assert_eq!(plan.faults[0].operation, Target::All);
}

#[test]
fn a_file_that_is_not_there_is_an_error_with_its_name() {
    let error = Plan::read("no/such/plan.toml").unwrap_err();
    assert!(error.to_string().starts_with("the plan no/such/plan.toml: "), "{error}");
    assert_eq!(Error::from(error).kind(), ErrorKind::InvalidParameter);
}
