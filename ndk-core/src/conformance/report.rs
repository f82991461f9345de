//! What a run came to: at the end of the output what was left out, by reason, and for CI systems JUnit XML.

use super::contained::contained;
use super::kit::Kit;
use super::ticket::lock;
use libtest_mimic::{Completion, Failed};
use quick_junit::{NonSuccessKind, Property, TestCase, TestCaseStatus, TestSuite};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A test of the harness: a case on one route, in one way.
#[derive(Clone, Debug)]
pub(super) struct Test {
    /// The kit's name; empty where it has none.
    pub(super) kit: String,
    pub(super) rule: &'static str,
    pub(super) case: &'static str,
    /// A route's name, or `pair`.
    pub(super) route: &'static str,
    /// `None` of a case that decides itself what completes how.
    pub(super) way: Option<&'static str>,
}

impl Test {
    /// As in `C6::length_zero/table/pending`.
    fn short_name(&self) -> String {
        let name = format!("{}::{}/{}", self.rule, self.case, self.route);
        self.way.map_or(name.clone(), |way| format!("{name}/{way}"))
    }

    /// With the kit's name before it.
    pub(super) fn name(&self) -> String {
        if self.kit.is_empty() {
            return self.short_name();
        }
        format!("{}:{}", self.kit, self.short_name())
    }
}

/// How a test ended.
enum Ending {
    Passed,
    LeftOut(String),
    Failed(String),
}

struct Record {
    test: Test,
    ending: Ending,
    time: Duration,
}

/// Every test that ran, or was to run.
#[derive(Default)]
pub(super) struct Report {
    records: Mutex<Vec<Record>>,
    /// Kits without a device, and why.
    without_device: Vec<(String, String)>,
    /// Kits that try some rules only, and which.
    restricted: Vec<(String, &'static [&'static str])>,
}

impl Report {
    /// Runs a test of a kit that waits so long for a callback, and notes how it ended.
    pub(super) fn note(
        &self,
        test: Test,
        callback: Duration,
        run: impl FnOnce() -> Result<Completion, Failed> + Send + 'static,
    ) -> Result<Completion, Failed> {
        let start = Instant::now();
        let result = contained(test.name(), callback, run);
        let result = result.unwrap_or_else(|failed| Err(failed.into()));
        let ending = match &result {
            Ok(Completion::Completed) => Ending::Passed,
            Ok(Completion::Ignored { reason }) => {
                Ending::LeftOut(reason.clone().expect("the kit leaves nothing out without one"))
            }
            Err(failed) => Ending::Failed(failed.message().unwrap_or_default().into()),
        };
        lock(&self.records).push(Record { test, ending, time: start.elapsed() });
        result
    }

    /// A kit whose factory gives nothing that can be tested. No filter of the command line hides that.
    pub(super) fn no_device(&mut self, kit: &str, error: impl ToString) {
        self.without_device.push((kit.into(), error.to_string()));
    }

    pub(super) fn restricted(&mut self, kit: &Kit) {
        self.restricted.extend(kit.only.map(|only| (kit.name.clone(), only)));
    }

    pub(super) fn has_every_device(&self) -> bool {
        self.without_device.is_empty()
    }

    /// Says what was left out, and which kits had no device.
    pub(super) fn summarize(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
        for record in lock(&self.records).iter() {
            if let Ending::LeftOut(reason) = &record.ending {
                *reasons.entry(reason.clone()).or_default() += 1;
            }
        }
        let all: usize = reasons.values().sum();
        if all > 0 {
            writeln!(out, "left out, and why: {all}")?;
        }
        let mut reasons: Vec<_> = reasons.into_iter().collect();
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.1));
        for (reason, count) in reasons {
            writeln!(out, "{count:8}  {reason}")?;
        }
        if all > 0 {
            writeln!(out)?;
        }
        for (kit, only) in &self.restricted {
            writeln!(out, "{kit} tries these rules only: {}\n", only.join(", "))?;
        }
        self.tell_missing(out)
    }

    /// Says which kits had no device.
    pub(super) fn tell_missing(&self, out: &mut dyn Write) -> io::Result<()> {
        for (kit, error) in &self.without_device {
            let kit = if kit.is_empty() { "the kit" } else { kit };
            writeln!(out, "FAILED: {kit}: the factory gives no usable device: {error}\n")?;
        }
        Ok(())
    }

    /// Writes the whole run as JUnit XML: a suite for each kit.
    pub(super) fn write_junit(&self, path: &Path, time: Duration) -> io::Result<()> {
        let mut suites: Vec<TestSuite> = Vec::new();
        let mut add = |kit: &str, case: TestCase| {
            let name = if kit.is_empty() { "conformance" } else { kit };
            let place = suites.iter().position(|suite| suite.name.as_str() == name);
            let place = place.unwrap_or_else(|| {
                suites.push(TestSuite::new(name));
                suites.len() - 1
            });
            let suite = &mut suites[place];
            let before = suite.time.unwrap_or_default();
            suite.set_time(before + case.time.unwrap_or_default());
            suite.add_test_case(case);
        };
        for record in lock(&self.records).iter() {
            add(&record.test.kit, record.as_junit());
        }
        for (kit, error) in &self.without_device {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(format!("the factory gives no usable device: {error}"));
            add(kit, TestCase::new("device", status));
        }
        let mut report = quick_junit::Report::new("conformance");
        report.set_time(time).add_test_suites(suites);
        let mut out = BufWriter::new(File::create(path)?);
        report.serialize(&mut out).map_err(io::Error::other)?;
        out.flush()
    }
}

impl Record {
    fn as_junit(&self) -> TestCase {
        let status = match &self.ending {
            Ending::Passed => TestCaseStatus::success(),
            Ending::LeftOut(reason) => {
                let mut status = TestCaseStatus::skipped();
                status.set_message(reason.as_str());
                status
            }
            Ending::Failed(message) => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_message(message.lines().next().unwrap_or_default());
                status.set_description(message.as_str());
                status
            }
        };
        let Test { rule, case, route, way, .. } = self.test;
        let mut junit = TestCase::new(self.test.short_name(), status);
        junit.set_classname(rule).set_time(self.time);
        let properties = [("rule", rule), ("case", case), ("route", route)];
        let way = way.map(|way| ("way", way));
        for (name, value) in properties.into_iter().chain(way) {
            junit.add_property(Property::new(name, value));
        }
        junit
    }
}
