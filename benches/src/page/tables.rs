//! The tables of the page.

use crate::questions::data::MEMCPY;
use crate::questions::pair::{STATIC, TWIN};
use crate::questions::threads::{self, ONE, TABLE};
use crate::questions::tokens::BARE;
use crate::rounds::{Measurement, Quartiles};
use crate::run::Run;
use std::fmt::Write as _;

/// The questions after the first: title, name, what ratios are over, and what is to be said.
pub(super) const OTHERS: [(&str, &str, &str, &str); 7] = [
    (
        "Token getters",
        "tokens",
        BARE,
        "The entries that tell a token, beside an entry in C that does nothing but load a field.\n\n",
    ),
    (
        "Create and close",
        "create",
        TWIN,
        "A region is created, and closed again, never registered.\n\n",
    ),
    (
        "Fast registration",
        "fast",
        STATIC,
        "A fast-register request and an invalidation on a queue pair, both with their completion, beside a pair through\n\
         the table.\n\n",
    ),
    (
        "Growth",
        "growth",
        "",
        "A pair while so many regions are live: of one region again and again (`hot`), and of a region that is drawn at\n\
         random each time (`churn`). Ratios are over the same provider's pair with one live region. The first 300,000 pairs\n\
         are not timed: after the simulator's token table has doubled, which it does at about a million, tokens move for so\n\
         long, and a pair of a random region takes about 1.7 times as long as afterwards.\n\n",
    ),
    (
        "Threads",
        "threads",
        "",
        "Pairs on one thread and on two, in one domain and in two: nanoseconds for each pair of all threads together, so\n\
         half of the time on one thread is twice its throughput. And lookups in the simulator's token table by one thread\n\
         and by two: nanoseconds for each lookup of a thread.\n\n",
    ),
    (
        "Remote writes and reads",
        "data",
        MEMCPY,
        "*remote write* and *remote read* are whole requests: posted on a queue pair, carried out through the page lists of\n\
         both ends with every check (D3, E5), and the completion polled. *access alone* is what of that is done at the\n\
         memory that a peer writes or reads, without a queue pair (`Initiator`). Beside them a plain copy of as many bytes,\n\
         between memory that lies in its pages as theirs does.\n\n",
    ),
    (
        "Remote writes beside libfabric",
        "writes",
        STATIC,
        "A remote write of 64 bytes inside one process.\n\n",
    ),
];

/// A row for each contender, a column for each size of a question.
pub(super) fn sizes(run: &Run, question: &str, reference: &str) -> String {
    let groups = groups_of(run, question);
    let mut table = String::from("| |");
    for group in &groups {
        let size = group.id.rsplit('/').next().unwrap_or_default();
        let unit = if size == "1" { "page" } else { "pages" };
        let _ = write!(table, " {size} {unit} |");
    }
    table += "\n|---|";
    table += &"---|".repeat(groups.len());
    table += "\n";
    let Some(first) = groups.first() else { return table };
    for timed in &first.contenders {
        let _ = write!(table, "| {} |", timed.name);
        for group in &groups {
            let cell = group.nanoseconds(&timed.name).zip(group.ratio(&timed.name, reference));
            let cell =
                cell.map(|(time, ratio)| format!("{} ({:.2}x)", number(time.median), ratio.median));
            let _ = write!(table, " {} |", cell.unwrap_or_default());
        }
        table += "\n";
    }
    table
}

/// A table for each group of a question.
pub(super) fn groups(run: &Run, question: &str, reference: &str) -> String {
    let tables = groups_of(run, question).into_iter().map(|group| one_group(group, reference));
    tables.collect::<Vec<_>>().join("\n")
}

fn one_group(group: &Measurement, reference: &str) -> String {
    let mut table = format!("| `{}` | ns | quartiles | ratio | quartiles |\n", group.id);
    table += "|---|---|---|---|---|\n";
    for timed in &group.contenders {
        let own;
        let reference = match reference {
            "" => {
                own = own_reference(&timed.name);
                &own
            }
            given => given,
        };
        let Some(time) = group.nanoseconds(&timed.name) else { continue };
        let ratio = group.ratio(&timed.name, reference);
        let ratios = ratio.map_or_else(
            || String::from(" | |"),
            |ratio| {
                format!("{:.2}x | {} |", ratio.median, range(ratio, |value| format!("{value:.2}")))
            },
        );
        let _ = writeln!(
            table,
            "| {} | {} | {} | {ratios}",
            timed.name,
            number(time.median),
            range(time, number),
        );
    }
    table
}

/// The simplest case of a contender's own provider: names are `provider, case`.
fn own_reference(name: &str) -> String {
    let (provider, case) = name.split_once(", ").unwrap_or((name, ""));
    if case.ends_with("live") {
        return format!("{provider}, 1 live");
    }
    threads::name(if provider == TABLE { TABLE } else { provider }, ONE)
}

fn range(quartiles: Quartiles, show: impl Fn(f64) -> String) -> String {
    format!("{} to {}", show(quartiles.lower), show(quartiles.upper))
}

/// With as many digits as mean something.
fn number(value: f64) -> String {
    match value {
        small if small < 10.0 => format!("{small:.2}"),
        middle if middle < 100.0 => format!("{middle:.1}"),
        large => format!("{large:.0}"),
    }
}

/// Instructions and allocations of a question's contenders.
pub(super) fn counts(run: &Run, question: &str) -> String {
    let ids: Vec<_> = groups_of(run, question).into_iter().map(|group| &group.id).collect();
    let mut table = String::from("| |");
    for id in &ids {
        let _ = write!(table, " `{id}` |");
    }
    table += "\n|---|";
    table += &"---|".repeat(ids.len());
    table += "\n";
    let Some(first) = ids.first() else { return table };
    for count in run.counts.iter().filter(|count| count.group == **first) {
        let _ = write!(table, "| {} |", count.contender);
        for id in &ids {
            let cell = run.count(id, &count.contender).map(|count| {
                let heap = match count.allocations.round() as u64 {
                    0 => String::new(),
                    1 => String::from(", 1 allocation"),
                    many => format!(", {many} allocations"),
                };
                format!("{:.0}{heap}", count.instructions)
            });
            let _ = write!(table, " {} |", cell.unwrap_or_default());
        }
        table += "\n";
    }
    table
}

/// Where the instructions of one contender go.
pub(super) fn functions(run: &Run, group: &str, contender: &str) -> String {
    let Some(count) = run.count(group, contender) else { return String::new() };
    let mut table = format!(
        "Where those of the {contender} go in `{group}`, what a function calls left out:\n\n| | |\n|---|---|\n"
    );
    for (name, cost) in count.functions.iter().take(12) {
        let _ = writeln!(table, "| `{name}` | {cost:.0} |");
    }
    table
}

/// The machine and its programs.
pub(super) fn machine(run: &Run) -> String {
    let machine = &run.machine;
    let libfabric = machine.libfabric.as_deref().unwrap_or("not there, so its rows are left out");
    let mut table = String::from("| | |\n|---|---|\n");
    for (what, value) in [
        ("date (UTC)", machine.date.as_str()),
        ("commit", &machine.commit),
        ("processor", &format!("{}, {} of them", machine.processor, machine.processors)),
        ("system", &machine.system),
        ("Rust", &machine.rustc),
        ("C", &machine.cc),
        ("valgrind", &machine.valgrind),
        ("libfabric", libfabric),
        ("rounds", &format!("{}, batches of {} µs", run.effort.rounds, run.effort.batch_us)),
        ("load at start and end of the timing", &format!("{:.1}, {:.1}", run.load.0, run.load.1)),
    ] {
        let _ = writeln!(table, "| {what} | {value} |");
    }
    if run.load.0.max(run.load.1) > machine.processors as f64 {
        table += OTHERS_RAN;
    }
    table
}

const OTHERS_RAN: &str = "
Other programs wanted the processors meanwhile. Ratios inside a round bear that; what takes two threads at a time does
not, and those figures are a lower bound.
";

fn groups_of<'r>(run: &'r Run, question: &str) -> Vec<&'r Measurement> {
    let prefix = format!("{question}/");
    run.measurements.iter().filter(|group| group.id.starts_with(&prefix)).collect()
}
