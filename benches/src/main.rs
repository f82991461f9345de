//! Times and counts what the questions ask about, and writes the page about it.

use clap::{Parser, Subcommand};
use comfy_table::Table;
use ndk_benches::bars::BOUNDS;
use ndk_benches::instructions::{self, Count, run_counted};
use ndk_benches::rounds::{Effort, Measurement};
use ndk_benches::run::{self, Run};
use ndk_benches::{page, questions};
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(about = "What the framework costs, beside a hand-written table in C and libfabric")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Times contenders against each other
    Time {
        /// Questions (pair, tokens, create, fast, growth, threads, data, writes) or groups (pair/16); all without one
        groups: Vec<String>,
        /// How often each contender runs
        #[arg(long, default_value_t = Effort::default().rounds)]
        rounds: usize,
    },
    /// Counts instructions and allocations by callgrind
    Count {
        /// As for `time`; without growth and threads
        groups: Vec<String>,
        /// So many functions of each contender
        #[arg(long, default_value_t = 12)]
        functions: usize,
    },
    /// Counts what has a bound, and fails where it is exceeded
    Check,
    /// Times and counts everything, and writes docs/performance.md
    Page {
        /// How often each contender runs
        #[arg(long, default_value_t = Effort::default().rounds)]
        rounds: usize,
        /// Where the run is kept
        #[arg(long, default_value = "target/performance.json")]
        run: PathBuf,
        /// Writes the page of the run that is kept, without another
        #[arg(long)]
        again: bool,
    },
    /// What callgrind runs
    #[command(hide = true)]
    Loop { group: String, contender: String },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), Box<dyn Error>> {
    let program = std::env::current_exe()?;
    match command {
        Command::Time { groups, rounds } => {
            let effort = Effort { rounds, ..Effort::default() };
            for id in chosen(&groups)? {
                run::time(&[id], effort).iter().for_each(show_times);
            }
        }
        Command::Count { groups, functions } => {
            for id in chosen(&groups)? {
                show_counts(&run::count(&program, &[id])?, functions);
            }
        }
        Command::Check => {
            for (group, contender, bound) in BOUNDS {
                let count = instructions::count(&program, group, contender)?;
                println!("{group}, {contender}: {:.1} of {bound} instructions", count.instructions);
                if count.instructions > bound {
                    show_counts(&[count], usize::MAX);
                    return Err("more instructions than the bound in benches/src/bars.rs".into());
                }
            }
        }
        Command::Page { rounds, run: kept, again } => {
            let run: Run = if again {
                serde_json::from_str(&fs::read_to_string(&kept)?)?
            } else {
                let run = run::everything(&program, Effort { rounds, ..Effort::default() })?;
                fs::write(&kept, serde_json::to_string(&run)?)?;
                run
            };
            let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");
            page::write(&run, docs.as_ref())?;
        }
        Command::Loop { group, contender } => {
            let mut contenders = questions::group(&group).contenders.into_iter();
            let found = contenders.find(|candidate| candidate.name() == contender);
            run_counted(found.ok_or("no such contender")?.make());
        }
    }
    Ok(())
}

fn chosen(names: &[String]) -> Result<Vec<String>, String> {
    if names.is_empty() {
        return Ok(run::every_group());
    }
    let mut ids = Vec::new();
    for name in names {
        let found = run::groups(name);
        if found.is_empty() {
            return Err(format!("{name:?} is none of {}", run::every_group().join(", ")));
        }
        ids.extend(found);
    }
    Ok(ids)
}

fn show_times(measurement: &Measurement) {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    let first = measurement.contenders.first().map_or("", |timed| timed.name.as_str());
    table.set_header([measurement.id.as_str(), "ns", "lower", "upper", "ratio", "lower", "upper"]);
    for timed in &measurement.contenders {
        let (Some(time), Some(ratio)) =
            (measurement.nanoseconds(&timed.name), measurement.ratio(&timed.name, first))
        else {
            continue;
        };
        let mut row = vec![timed.name.clone()];
        row.extend([time.median, time.lower, time.upper].map(|value| format!("{value:.1}")));
        row.extend([ratio.median, ratio.lower, ratio.upper].map(|value| format!("{value:.2}")));
        table.add_row(row);
    }
    println!("{table}\n");
}

fn show_counts(counts: &[Count], functions: usize) {
    for Count { group, contender, instructions, allocations, functions: by_name } in counts {
        println!(
            "{group}, {contender}: {instructions:.1} instructions, {allocations:.1} allocations"
        );
        for (name, cost) in by_name.iter().take(functions) {
            println!("  {cost:8.1} {name}");
        }
    }
}
