//! How long a registration and a deregistration take: the columns of Microsoft's tool of this name (NetworkDirect SDK),
//! on any backend, and percentiles beside them.
//!
//! `cargo run --release --example ndmrlat -- --backend "sim?latency=2us..5us" --plot latency.svg`

use clap::Parser;
use common::plot::{Point, Series};
use common::ticket::Ticket;
use common::tool::{
    Clock, Domain, Format, Options, Region, Row, Took, draw, exit, histogram, note, percentile,
    progress, rounded, sizes, write_rows,
};
use hdrhistogram::Histogram;
use ndk_core::mdl::{Buffer, Mdl};
use serde::Serialize;
use std::error::Error;
use std::process::ExitCode;

#[derive(Parser)]
#[command(about = "Latency of registering and deregistering memory, by size")]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// Pairs of register and deregister for each size
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    iterations: u32,
    /// Other regions that stay registered meanwhile, each with one byte
    #[arg(long, default_value_t = 0)]
    live: usize,
}

/// Times are in microseconds. A call is over when its entry returns, the total when the request is.
#[derive(Serialize)]
struct Latency {
    size: usize,
    register_call: f64,
    register_total: f64,
    deregister_call: f64,
    deregister_total: f64,
    /// Of one processor, in percent.
    cpu: f64,
    register_p50: f64,
    register_p99: f64,
    deregister_p50: f64,
    deregister_p99: f64,
    /// Requests that were over when their entry returned, in percent.
    inline: f64,
    /// Registered regions, this one included.
    live: usize,
}

impl Row for Latency {
    const HEADER: &'static str = concat!(
        "               Register (usec)   Deregister (usec)     CPU      Register (usec)    Deregister (usec)  Inline     Live\n",
        "     Size      call     total      call     total       %       p50       p99       p50       p99       %",
    );

    fn columns(&self) -> String {
        format!(
            "{:9} {:9.2} {:9.2} {:9.2} {:9.2} {:7.2} {:9.2} {:9.2} {:9.2} {:9.2} {:7.2} {:8}",
            self.size,
            self.register_call,
            self.register_total,
            self.deregister_call,
            self.deregister_total,
            self.cpu,
            self.register_p50,
            self.register_p99,
            self.deregister_p50,
            self.deregister_p99,
            self.inline,
            self.live,
        )
    }
}

/// What the requests of one kind took.
struct Requests {
    call: f64,
    total: f64,
    inline: u32,
    nanoseconds: Histogram<u64>,
}

impl Requests {
    fn new() -> Self {
        Self { call: 0.0, total: 0.0, inline: 0, nanoseconds: histogram() }
    }

    fn add(&mut self, took: Took) {
        self.call += took.call.as_secs_f64() * 1e6;
        self.total += took.total.as_secs_f64() * 1e6;
        self.inline += u32::from(took.inline);
        note(&mut self.nanoseconds, took.total);
    }
}

fn main() -> ExitCode {
    exit(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let options = &arguments.options;
    let domain = Domain::open(&options.backend)?;
    let (ticket, byte) = (Ticket::default(), Mdl::new(&Buffer::new(1)?)?);
    let mut others = Vec::new();
    for _ in 0..arguments.live {
        let region = domain.region()?;
        // SAFETY: the MDL is dropped after the regions.
        unsafe { region.register(&byte, &ticket)? };
        others.push(region);
    }
    let region = domain.region()?;
    let bar = progress("ndmrlat");
    if options.format == Format::Table {
        bar.suspend(|| println!("{}", Latency::HEADER));
    }
    let mut rows = Vec::new();
    for size in sizes() {
        let row = latency(&region, size, arguments, others.len() + 1)?;
        if options.format == Format::Table {
            bar.suspend(|| println!("{}", row.columns()));
        }
        rows.push(row);
        bar.inc(1);
    }
    bar.finish_and_clear();
    write_rows(options.format, &rows)?;
    draw(options, "Latency of a registration and a deregistration", &series(&rows))
}

fn latency(
    region: &Region,
    size: usize,
    arguments: &Arguments,
    live: usize,
) -> Result<Latency, Box<dyn Error>> {
    let (ticket, memory) = (Ticket::default(), Mdl::new(&Buffer::new(size)?)?);
    let (mut registered, mut deregistered) = (Requests::new(), Requests::new());
    let clock = Clock::start();
    for _ in 0..arguments.iterations {
        // SAFETY: the registration is over before the memory goes, or the program with an error.
        registered.add(unsafe { region.register(&memory, &ticket)? });
        deregistered.add(region.deregister(&ticket)?);
    }
    let cpu = clock.read().1;
    let count = f64::from(arguments.iterations);
    let (register, deregister) = (&registered.nanoseconds, &deregistered.nanoseconds);
    Ok(Latency {
        size,
        register_call: rounded(registered.call / count),
        register_total: rounded(registered.total / count),
        deregister_call: rounded(deregistered.call / count),
        deregister_total: rounded(deregistered.total / count),
        cpu: rounded(cpu),
        register_p50: percentile(register, 50.0),
        register_p99: percentile(register, 99.0),
        deregister_p50: percentile(deregister, 50.0),
        deregister_p99: percentile(deregister, 99.0),
        inline: rounded(100.0 * f64::from(registered.inline + deregistered.inline) / (2.0 * count)),
        live,
    })
}

fn series(rows: &[Latency]) -> [Series; 2] {
    let line = |name: &str, of: fn(&Latency) -> (f64, f64)| {
        let point = |row: &Latency| {
            let (half, most) = of(row);
            Point { x: row.size as f64, y: half, range: (half, most) }
        };
        Series { name: name.into(), points: rows.iter().map(point).collect() }
    };
    [
        line("register", |row| (row.register_p50, row.register_p99)),
        line("deregister", |row| (row.deregister_p50, row.deregister_p99)),
    ]
}
