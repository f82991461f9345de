//! Eight threads of random calls, legal and illegal, through the C table of one adapter, with latencies and faults in
//! real time: each PENDING has its one callback, nothing is left, and nothing is called after its close.
//!
//! `NDK_STRESS_SECONDS` makes the run longer.
#[path = "../common/mod.rs"]
mod common;

mod illegal;
mod ledger;
mod regions;
mod wire;
mod worker;
mod world;

use common::{Host, Memory, Mr, Pd, Pump, Random};
use ledger::{Entry, Totals};
use ndk_backend_sim::Config;
use ndk_core::abi::*;
use std::env;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};
use worker::Worker;
use world::World;

const THREADS: u64 = 8;
const PINS: usize = 100;
const TOKENS: usize = 30;

/// Most of it takes some microseconds, some of it long, some of it fails in either way.
const PLAN: &str = "
limits = { pinned-pages = 100, tokens = 30, regions = 36 }

[latency]
all = '~30us..400us'
create-pd = 'inline'
build-mapping = 'inline'
create-mr = '~5us..60us'

[[fault]]
operation = 'all'
share = 0.03
status = 'insufficient-resources'

[[fault]]
operation = 'all'
share = 0.03
status = 'timeout'
when = 'pending'

[[fault]]
operation = 'register'
every = 50
complete-late = '3ms'

[[fault]]
operation = 'close-mr'
every = 20
complete-late = '2ms'
";

/// The other end of the range: what does not pend most of the time.
const INLINE: &str = "
limits = { pinned-pages = 100, tokens = 30, regions = 36 }

[[fault]]
operation = 'all'
share = 0.05
status = 'insufficient-resources'
when = 'pending'

[[fault]]
operation = 'all'
share = 0.05
complete-late = '20us'
";

/// The completion routines find one world at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn seconds(default: u64) -> Duration {
    let asked = env::var("NDK_STRESS_SECONDS").ok();
    Duration::from_secs(asked.map_or(default, |text| text.parse().expect("a number of seconds")))
}

/// Stress for that long, and for as long again where a busy machine has not come by everything yet.
fn stress(plan: &str, span: Duration) {
    assert!((0..30).any(|_| run(plan, span)), "every kind of outcome is come by");
}

/// Whether it came by every kind of outcome.
fn run(plan: &str, span: Duration) -> bool {
    let _alone = ALONE.lock().unwrap_or_else(|failed| failed.into_inner());
    let pump = Pump::threads(3);
    let plan = plan.parse().expect("a plan");
    let host = Host::new(Config { plan, clock: pump.clock(), ..Config::default() }, &pump);
    let world = World::open(&host);
    let end = Instant::now() + span;
    let work = thread::scope(|scope| {
        let start = |number| {
            let (world, host) = (&world, &host);
            scope.spawn(move || Worker::new(world, host, Random::new(number)).run(end))
        };
        let threads: Vec<_> = (0..THREADS).map(start).collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread")).sum::<u64>()
    });
    let totals = world.finish(&host);
    exhaust(&host);
    totals.print();
    println!("{work} work requests, each completed once; {}", host.sim().counters());
    host.close();
    totals.check();
    is_thorough(&totals)
}

/// Tries until it works: the plan's faults go on, and what is possible is possible before long.
fn soon<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    (0..2000).find_map(|_| attempt()).unwrap_or_else(|| panic!("{what}"))
}

/// All of the pins and tokens are there again: nothing of them leaked (B7).
fn exhaust(host: &Host) {
    let pd = soon("a domain", || host.try_pd().ok());
    let make = |pd: &Pd| soon("a region", || pd.try_mr(false).ok());
    let register = |mr: &Mr, memory: &Memory, what: &str| {
        soon(what, || (mr.register(memory, 0) == STATUS_SUCCESS).then_some(()));
    };
    let (all, mr) = (Memory::new(PINS * PAGE_SIZE), make(&pd));
    register(&mr, &all, "B7: every page can be pinned");
    mr.close();
    // One token is the domain's own.
    let one = Memory::new(1);
    let regions: Vec<_> = (1..TOKENS).map(|_| make(&pd)).collect();
    for mr in &regions {
        register(mr, &one, "B7: every token can be issued");
    }
    regions.into_iter().for_each(Mr::close);
    pd.close();
}

/// Whether the run came by what it is there for.
fn is_thorough(totals: &Totals) -> bool {
    let seen = |entry, statuses: &[NTSTATUS]| {
        statuses.iter().all(|status| totals.returned(entry, *status) > 0)
    };
    let mut all = seen(Entry::CloseMr, &[STATUS_PENDING]);
    for entry in [Entry::Register, Entry::Deregister, Entry::Initialise] {
        let kinds = [STATUS_PENDING, STATUS_INVALID_DEVICE_STATE, STATUS_INVALID_PARAMETER];
        all &= seen(entry, &kinds);
        all &= totals.called(entry, STATUS_SUCCESS) > 0;
    }
    all
}

#[test]
fn b2_pendings_are_called_back_once_and_nothing_is_left() {
    stress(PLAN, seconds(2));
}

#[test]
fn b2_where_little_pends() {
    stress(INLINE, seconds(1));
}

#[test]
#[ignore = "takes a minute: run by --ignored"]
fn b2_for_a_minute() {
    stress(PLAN, Duration::from_secs(60));
}
