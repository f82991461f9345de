//! Where and when a run was made.

use serde::{Deserialize, Serialize};
use std::fs::read_to_string;
use std::process::Command;

/// What a reader wants to know of the machine; what cannot be found out is left empty.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    /// The processor, as it names itself.
    pub processor: String,
    /// How many the system has.
    pub processors: usize,
    /// The system and its version.
    pub system: String,
    /// Rust's compiler.
    pub rustc: String,
    /// The C compiler.
    pub cc: String,
    /// Valgrind.
    pub valgrind: String,
    /// libfabric, where it is built in.
    pub libfabric: Option<String>,
    /// The commit, with a mark where the tree differs from it.
    pub commit: String,
    /// The date, in UTC.
    pub date: String,
}

impl Machine {
    /// This one, now.
    pub fn this() -> Self {
        let processors = std::thread::available_parallelism().map_or(0, |count| count.get());
        Self {
            processor: processor(),
            processors,
            system: first_line("uname", &["-sr"]),
            rustc: first_line("rustc", &["--version"]),
            cc: first_line("cc", &["--version"]),
            valgrind: first_line("valgrind", &["--version"]),
            libfabric: libfabric(),
            commit: first_line("git", &["describe", "--always", "--dirty"]),
            date: first_line("date", &["-u", "+%Y-%m-%d %H:%M"]),
        }
    }
}

/// How many processes wanted a processor lately, over the last minute.
pub fn load() -> f64 {
    let load = read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or_default()
}

#[cfg(libfabric)]
fn libfabric() -> Option<String> {
    Some(crate::fabric::VERSION.into())
}

#[cfg(not(libfabric))]
fn libfabric() -> Option<String> {
    None
}

fn processor() -> String {
    let info = read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = info.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split(": ").nth(1)).unwrap_or_default().into()
}

fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().into()
}
