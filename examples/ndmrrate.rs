//! How fast threads make, register and deregister regions while all of them stay live: the columns of Microsoft's tool
//! of this name (NetworkDirect SDK), on any backend, and rates and percentiles beside them.
//!
//! `cargo run --release --example ndmrrate -- --threads 4 --format csv`

use clap::Parser;
use common::plot::{Point, Series};
use common::ticket::Ticket;
use common::tool::{
    Clock, Domain, Format, MAX_SIZE, Options, Row, Took, draw, exit, histogram, note, percentile,
    progress, rounded, sizes, write_rows,
};
use hdrhistogram::Histogram;
use ndk_core::mdl::{Buffer, Mdl};
use serde::Serialize;
use std::error::Error;
use std::process::ExitCode;
use std::sync::Barrier;
use std::thread;

/// Regions of each thread; fewer for large sizes, down to the second number at the largest.
const REGIONS: usize = 10_000;
const REGIONS_AT_MOST: usize = 2_000;

#[derive(Parser)]
#[command(about = "Rate of registering and deregistering memory on several threads, by size")]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// How many threads work, in one protection domain
    #[arg(long, short, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: u32,
}

/// The first columns are microseconds for each region of a thread, with all threads at work, and the processors that
/// the program took, in percent of one. A registration includes the making of its region.
#[derive(Serialize)]
struct Rate {
    size: usize,
    iterations: usize,
    register: f64,
    register_cpu: f64,
    deregister: f64,
    deregister_cpu: f64,
    /// Thousands in a second, of all threads together.
    register_rate: f64,
    deregister_rate: f64,
    /// Of the entries alone, in microseconds.
    register_p50: f64,
    register_p99: f64,
    deregister_p50: f64,
    deregister_p99: f64,
    /// Requests that were over when their entry returned, in percent.
    inline: f64,
    /// Registered regions when the last one was registered.
    live: usize,
}

impl Row for Rate {
    const HEADER: &'static str = concat!(
        "                          Register          Deregister      Thousands a second     Register (usec)   Deregister (usec)  Inline     Live\n",
        "     Size      Iter      usec     CPU      usec     CPU  register deregister       p50       p99       p50       p99       %",
    );

    fn columns(&self) -> String {
        format!(
            "{:9} {:9} {:9.2} {:7.2} {:9.2} {:7.2} {:9.1} {:10.1} {:9.2} {:9.2} {:9.2} {:9.2} {:7.2} {:8}",
            self.size,
            self.iterations,
            self.register,
            self.register_cpu,
            self.deregister,
            self.deregister_cpu,
            self.register_rate,
            self.deregister_rate,
            self.register_p50,
            self.register_p99,
            self.deregister_p50,
            self.deregister_p99,
            self.inline,
            self.live,
        )
    }
}

/// What one thread saw.
struct Share {
    register: Histogram<u64>,
    deregister: Histogram<u64>,
    inline: usize,
    /// Of all threads, from barrier to barrier: microseconds and processors.
    registering: (f64, f64),
    deregistering: (f64, f64),
}

fn main() -> ExitCode {
    exit(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let options = &arguments.options;
    let domain = Domain::open(&options.backend)?;
    let bar = progress("ndmrrate");
    if options.format == Format::Table {
        bar.suspend(|| println!("{}", Rate::HEADER));
    }
    let mut rows = Vec::new();
    for size in sizes() {
        let row = rate(&domain, size, arguments.threads as usize)?;
        if options.format == Format::Table {
            bar.suspend(|| println!("{}", row.columns()));
        }
        rows.push(row);
        bar.inc(1);
    }
    bar.finish_and_clear();
    write_rows(options.format, &rows)?;
    let title = format!("Registering and deregistering on {} threads", arguments.threads);
    draw(options, &title, &series(&rows))
}

fn rate(domain: &Domain, size: usize, threads: usize) -> Result<Rate, Box<dyn Error>> {
    let iterations = REGIONS.min(MAX_SIZE / size * REGIONS_AT_MOST);
    let together = &Barrier::new(threads);
    let memories: Vec<_> =
        (0..threads).map(|_| Mdl::new(&Buffer::new(size)?)).collect::<ndk_core::Result<_>>()?;
    let shares = thread::scope(|scope| {
        let spawn = |memory| scope.spawn(move || work(domain, memory, iterations, together));
        let workers: Vec<_> = memories.iter().map(spawn).collect();
        let joined = workers.into_iter().map(|worker| worker.join().expect("no thread panics"));
        joined.collect::<ndk_core::Result<Vec<_>>>()
    })?;
    let (mut register, mut deregister) = (histogram(), histogram());
    for share in &shares {
        register.add(&share.register)?;
        deregister.add(&share.deregister)?;
    }
    let (count, all) = (iterations as f64, (iterations * threads) as f64);
    let Share { registering, deregistering, .. } = shares[0];
    let inline: usize = shares.iter().map(|share| share.inline).sum();
    Ok(Rate {
        size,
        iterations,
        register: rounded(registering.0 / count),
        register_cpu: rounded(registering.1),
        deregister: rounded(deregistering.0 / count),
        deregister_cpu: rounded(deregistering.1),
        register_rate: rounded(all / registering.0 * 1e3),
        deregister_rate: rounded(all / deregistering.0 * 1e3),
        register_p50: percentile(&register, 50.0),
        register_p99: percentile(&register, 99.0),
        deregister_p50: percentile(&deregister, 50.0),
        deregister_p99: percentile(&deregister, 99.0),
        inline: rounded(100.0 * inline as f64 / (2.0 * all)),
        live: iterations * threads,
    })
}

/// Registers so many regions, waits for the other threads, and deregisters them. Where one fails, the thread goes on to
/// the barriers, which the others wait at, and fails then.
fn work(
    domain: &Domain,
    memory: &Mdl,
    iterations: usize,
    together: &Barrier,
) -> ndk_core::Result<Share> {
    let ticket = Ticket::default();
    let (mut register, mut deregister, mut inline) = (histogram(), histogram(), 0);
    let mut add = |histogram: &mut Histogram<u64>, took: Took| {
        note(histogram, took.total);
        inline += usize::from(took.inline);
    };
    let mut regions = Vec::with_capacity(iterations);
    together.wait();
    let clock = Clock::start();
    let registered: ndk_core::Result<()> = (0..iterations).try_for_each(|_| {
        let region = domain.region()?;
        // SAFETY: the memory is dropped after the threads.
        add(&mut register, unsafe { region.register(memory, &ticket)? });
        regions.push(region);
        Ok(())
    });
    together.wait();
    let registering = clock.read();
    let clock = Clock::start();
    let deregistered: ndk_core::Result<()> = regions.iter().try_for_each(|region| {
        add(&mut deregister, region.deregister(&ticket)?);
        Ok(())
    });
    together.wait();
    let deregistering = clock.read();
    drop(regions);
    registered.and(deregistered)?;
    Ok(Share { register, deregister, inline, registering, deregistering })
}

fn series(rows: &[Rate]) -> [Series; 2] {
    let line = |name: &str, of: fn(&Rate) -> (f64, f64)| {
        let point = |row: &Rate| {
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
