//! Runs each broken provider in a process of its own, and looks at what the kit says of it.

use crate::list::{Defect, Level, all};
use crate::{PROVIDER, SOUND};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use std::process::{Command, ExitCode};

pub(crate) fn main() -> ExitCode {
    let mut trials = vec![Trial::test("rest/sound", sound).with_ignored_flag(true)];
    for defect in all() {
        let name = |half| format!("{half}/{}/{}", defect.rule, defect.name);
        trials.push(Trial::ignorable_test(name("caught"), || caught(defect)));
        trials.push(Trial::test(name("rest"), || rest(defect)).with_ignored_flag(true));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// What the kit said in a process.
struct Said {
    passed: Vec<String>,
    failed: Vec<String>,
    /// All of it, to be shown.
    text: String,
}

impl Said {
    fn by(provider: &str, arguments: &[String]) -> Result<Self, Failed> {
        let program = std::env::current_exe()?;
        // One case at a time: a provider's mistakes, and the contexts that nobody waits for, are the program's.
        let output = Command::new(program)
            .env(PROVIDER, provider)
            .args(["--test-threads", "1"])
            .args(arguments)
            .output()?;
        let [stdout, stderr] = [output.stdout, output.stderr]
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let tests =
            || stdout.lines().filter_map(|line| line.strip_prefix("test ")?.split_once(" ... "));
        let ended = |how: &str| {
            let tests = tests().filter(|(_, end)| *end == how);
            tests.map(|(name, _)| name.trim_end().to_string()).collect()
        };
        let (passed, failed) = (ended("ok"), ended("FAILED"));
        let text = format!("{stdout}\n{stderr}");
        if !stdout.contains("\ntest result: ") {
            return Err(
                format!("the kit did not come to its end: {}\n{text}", output.status).into()
            );
        }
        Ok(Self { passed, failed, text })
    }
}

/// The routes that a provider's defect is on.
fn routes(defect: &Defect) -> Vec<String> {
    match defect.level {
        // A safe consumer is at the mercy of its tables, and a native route has none.
        Level::Table => ["--skip", "/native", "--skip", "/consumer"].map(String::from).to_vec(),
        Level::Rust | Level::Alone => Vec::new(),
    }
}

/// The case that is there for it fails.
fn caught(defect: &Defect) -> Result<Completion, Failed> {
    let mut arguments = routes(defect);
    arguments.push(format!("{}::{}/", defect.rule, defect.case));
    let said = Said::by(defect.name, &arguments)?;
    // Some things are to be seen on Linux only.
    let left_out = said.passed.is_empty() && said.failed.is_empty();
    if left_out && cfg!(not(target_os = "linux")) {
        return Ok(Completion::ignored_with("the kit leaves the case out on this system"));
    }
    if said.failed.is_empty() {
        let Defect { case, what, .. } = defect;
        return Err(format!("{case} passes although {what}\n{}", said.text).into());
    }
    if !defect.waits && said.text.contains("does not come") {
        return Err(format!("only a time-out tells\n{}", said.text).into());
    }
    Ok(Completion::Completed)
}

/// Nothing else does.
fn rest(defect: &Defect) -> Result<(), Failed> {
    let mut arguments = routes(defect);
    arguments.extend(["--skip".into(), format!("{}::", defect.rule)]);
    let said = Said::by(defect.name, &arguments)?;
    // The fewest are those of a table alone.
    if said.passed.len() < 60 {
        return Err(format!("only {} tests ran\n{}", said.passed.len(), said.text).into());
    }
    if !said.failed.is_empty() {
        let failed = said.failed.join("\n  ");
        return Err(format!("other rules fail too:\n  {failed}\n\n{}", said.text).into());
    }
    Ok(())
}

/// The same layers without a defect pass everything.
fn sound() -> Result<(), Failed> {
    let said = Said::by(SOUND, &[])?;
    if said.failed.is_empty() { Ok(()) } else { Err(said.text.into()) }
}
