//! `docs/performance.md`, of a run.

mod peers;
mod tables;

use crate::bars;
use crate::questions::growth::{self, CHURN, HOT};
use crate::questions::pair::{SHM, STATIC, TWIN};
use crate::rounds::Quartiles;
use crate::run::Run;
use common::plot::{self, Labels, Point, Series};
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Writes the page and its plots into `docs`.
///
/// # Errors
/// A file cannot be written.
pub fn write(run: &Run, docs: &Path) -> Result<(), Box<dyn Error>> {
    let plots = docs.join("performance");
    fs::create_dir_all(&plots)?;
    for (name, [title, x, y], series) in [
        ("pair.svg", PAIR, sizes(run, "pair")),
        ("growth.svg", GROWTH, live(run)),
        ("data.svg", DATA, sizes(run, "data")),
    ] {
        if series.iter().any(|series| !series.points.is_empty()) {
            let labels = Labels { title: title.into(), x: x.into(), y: y.into() };
            plot::lines(&plots.join(name), &labels, &series)?;
        }
    }
    fs::write(docs.join("performance.md"), text(run))?;
    Ok(())
}

/// Title, x axis, y axis.
const PAIR: [&str; 3] = ["Register and deregister", "pages", "nanoseconds for a pair"];
const GROWTH: [&str; 3] =
    ["A pair beside other live regions", "live regions", "nanoseconds for a pair"];
const DATA: [&str; 3] = ["Remote write and read, and a plain copy", "bytes", "nanoseconds"];

fn point(x: f64, y: Quartiles) -> Point {
    Point { x, y: y.median, range: (y.lower, y.upper) }
}

/// A line for each contender of a question, over the sizes of its groups.
fn sizes(run: &Run, question: &str) -> Vec<Series> {
    let prefix = format!("{question}/");
    let groups: Vec<_> = run
        .measurements
        .iter()
        .filter_map(|group| Some((group.id.strip_prefix(&prefix)?.parse::<f64>().ok()?, group)))
        .collect();
    let first = groups.first().map(|(_, group)| &group.contenders).into_iter().flatten();
    let line = |name: &String| Series {
        name: name.clone(),
        points: groups
            .iter()
            .filter_map(|(size, group)| Some(point(*size, group.nanoseconds(name)?)))
            .collect(),
    };
    first.map(|timed| line(&timed.name)).collect()
}

/// A line for each provider and each way to choose a region.
fn live(run: &Run) -> Vec<Series> {
    let mut series = Vec::new();
    for (id, way) in [(HOT, "one region"), (CHURN, "any region")] {
        let Some(group) = run.measurement(id) else { continue };
        for provider in [STATIC, TWIN, SHM] {
            let point = |live: usize| {
                Some(point(live as f64, group.nanoseconds(&growth::name(provider, live))?))
            };
            let points: Vec<_> = growth::LIVE.into_iter().filter_map(point).collect();
            if !points.is_empty() {
                series.push(Series { name: format!("{provider}, {way}"), points });
            }
        }
    }
    series
}

fn text(run: &Run) -> String {
    let mut page = String::from(HEAD);
    page += "\n## What is wanted, and what was reached\n\n";
    page += &bars_table(run);
    page += "\n## Where another is faster\n\n";
    page += &peers::paragraphs(run);
    page += "\n## Register and deregister\n\n";
    page += PAIR_TEXT;
    page += &tables::sizes(run, "pair", TWIN);
    page += "\n![Nanoseconds for a pair, by pages](performance/pair.svg)\n\n";
    page += "Instructions of a pair, and its heap allocations where there are any:\n\n";
    page += &tables::counts(run, "pair");
    page += "\n";
    page += &tables::functions(run, "pair/1", STATIC);
    for (title, question, reference, text) in tables::OTHERS {
        let _ = write!(page, "\n## {title}\n\n{text}");
        page += &tables::groups(run, question, reference);
        if question == "growth" {
            page += "\n![Nanoseconds for a pair, by live regions](performance/growth.svg)\n";
        }
        if question == "data" {
            page += "\n![Nanoseconds for a write, a read and a copy](performance/data.svg)\n";
        }
    }
    page += "\n## Method\n\n";
    page += METHOD;
    page += "\n## Machine\n\n";
    page += &tables::machine(run);
    page += REPEAT;
    page
}

const HEAD: &str = "\
# Performance

<!-- Written by `cargo run --profile bench -p ndk-benches -- page`; edit `benches/src/page.rs` and run that again. -->

What the framework costs over a table that was written by hand, how it compares with what else there is, and how it
grows. Times are medians; what counts is their ratio in one run, and the instructions, which do not depend on the
machine.

- *C twin*: a small correct `NDK_MR_DISPATCH` in C (`benches/c`), with no device behind it: arguments, MDL walk, copy of
  the page-frame numbers, a free list under a mutex, token, state. The conformance kit runs on it.
- *native trait*: the simulator's `MrProvider`, without any table. *static adapter*: the framework's table over it.
  *dyn adapter*: the same with a boxed backend, as one opened by name is. *safe consumer*: `ndk_core::consumer` over the
  static adapter.
- *libfabric*: `fi_mr_reg` and `fi_close` of its software providers.
- *memcpy*: a plain copy.
";

const PAIR_TEXT: &str = "\
Nanoseconds for both calls together, and how many times the C twin's that is. Each calls through the region's table, as
a consumer in C does. *forwarding layer* has a layer of the provider traits between framework and simulator that forwards
every call. *pending* has a layer that gives way once in each request: the request pends, and its task is run on the same
thread. What the verifier adds is in the rows of the pair.

";

const METHOD: &str = "\
- The contenders of a table run in one process, in batches of about a millisecond (five where threads have to be started),
  one after another, in an order that rotates with each round. A ratio is that of two batches of the same round, so that
  what slows the machine for longer than a round drops out. Figures are medians over rounds; ranges are quartiles.
- The process has a second thread, which sleeps: with one thread the C library takes its locks without atomic operations,
  and no driver lives so.
- The C twin is compiled with `-O3`, as one translation unit, without link-time optimisation; Rust with the profile
  `bench` (thin link-time optimisation of Rust's crates).
- Instructions and allocations are counted by callgrind, over 2,000 operations after 100,000 that are not counted. They say
  nothing of waiting: an atomic operation counts as one instruction and takes as long as twenty.
- Regions share memory where there are many of them: what grows is the provider's part, not the pages.
";

const REPEAT: &str = "
## To repeat it

```
benches/install                                             # valgrind and libfabric, by apt
cargo run --profile bench -p ndk-benches -- page            # everything, and this page
cargo run --profile bench -p ndk-benches -- time pair/16    # a question, or one size of it
cargo run --profile bench -p ndk-benches -- count pair/1    # its instructions, by function
cargo run --profile bench -p ndk-benches -- check           # the bounds that CI holds
```

Without libfabric its rows are left out.
";

fn bars_table(run: &Run) -> String {
    let mut table = String::from("| | wanted | reached | |\n|---|---|---|---|\n");
    let mut notes = String::new();
    for bar in bars::ALL {
        let (reached, mark) = match (bar.figure)(run) {
            None => (String::from("not measured"), ""),
            Some(figure) if bar.is_reached(figure) => (bar.unit.show(figure), "yes"),
            Some(figure) => {
                if !bar.note.is_empty() {
                    notes += &peers::wrapped(&format!("{}: {}", bar.what, bar.note));
                }
                (bar.unit.show(figure), "**no**")
            }
        };
        let _ = writeln!(table, "| {} | {} | {reached} | {mark} |", bar.what, bar.wanted());
    }
    if !notes.is_empty() {
        table += "\nWhere it was not reached, what limits it:\n\n";
        table += &notes;
    }
    table
}
