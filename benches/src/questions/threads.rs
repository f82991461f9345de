//! One thread and two: pairs in one domain and in two, and token lookups.

use super::pair::{STATIC, TWIN, memory};
use super::{Group, Question};
use crate::objects::{Adapter, Domain};
use crate::providers::{static_adapter, twin_adapter};
use crate::rounds::{Batch, Contender};
use ndk_backend_sim::token::{Config, TokenTable};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::hint::black_box;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

pub(super) const QUESTION: Question = Question { name: "threads", groups, group };

/// The names of the two groups.
pub const PAIRS: &str = "threads/pairs";
/// As above.
pub const LOOKUP: &str = "threads/lookup";

/// A contender's name: whose work, and how it is spread.
pub fn name(provider: &str, spread: &str) -> String {
    format!("{provider}, {spread}")
}

/// How the work is spread.
pub const ONE: &str = "1 thread";
/// As above.
pub const TWO: &str = "2 threads";
/// As above.
pub const TWO_DOMAINS: &str = "2 threads, 2 domains";

fn groups() -> Vec<String> {
    vec![PAIRS.into(), LOOKUP.into()]
}

fn group(id: &str) -> Group {
    let contenders = if id == PAIRS { pairs() } else { lookups() };
    Group { slow_start: true, ..Group::new(id, contenders) }
}

/// What one thread does so many times.
type Work = Box<dyn FnMut(u64) + Send>;

/// Threads that do their work each time a number comes, all at once.
struct Crew {
    start: Vec<SyncSender<u64>>,
    done: Receiver<(Instant, Instant)>,
}

impl Crew {
    fn new(works: Vec<Work>) -> Self {
        let (finished, done) = sync_channel(works.len());
        let together = Arc::new(Barrier::new(works.len()));
        let start = works.into_iter().enumerate().map(|(index, mut work)| {
            let (start, started) = sync_channel::<u64>(1);
            let (finished, together) = (finished.clone(), together.clone());
            std::thread::spawn(move || {
                stay_on(index);
                for count in started {
                    together.wait();
                    let start = Instant::now();
                    work(count);
                    finished.send((start, Instant::now())).expect("the crew waits");
                }
            });
            start
        });
        Self { start: start.collect(), done }
    }

    /// From the first thread's start to the last one's end; that the threads wake up is not part of it.
    fn run(&self, count: u64) -> Duration {
        self.start.iter().for_each(|start| start.send(count).expect("the thread waits"));
        let times = self.start.iter().map(|_| self.done.recv().expect("the thread works"));
        let ends = times.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        ends.map_or(Duration::ZERO, |(start, end)| end - start)
    }
}

/// Keeps this thread on a processor of its own, as far as there are enough: two that wake up together are else left on
/// one for longer than a batch takes.
fn stay_on(index: usize) {
    let allowed = sched_getaffinity(None).expect("a thread knows where it may run");
    let processors: Vec<_> = (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu)).collect();
    let mut own = CpuSet::new();
    own.set(processors[index % processors.len()]);
    sched_setaffinity(None, &own).expect("the processor is one of those allowed");
}

/// One thread works as several do: on a thread of a crew.
fn contender(name: String, works: impl Fn() -> Vec<Work> + 'static, width: u32) -> Contender {
    let make = move || {
        let crew = Crew::new(works());
        let batch: Batch = Box::new(move |count| crew.run(count));
        batch
    };
    Contender::new(name, make).wide(width)
}

fn pairs_in(domain: &Arc<Domain>) -> Work {
    let region = domain.region(false);
    let mdl = memory(1).1;
    Box::new(move |count| {
        for _ in 0..count {
            region.register(&mdl);
            region.deregister();
        }
    })
}

fn pairs() -> Vec<Contender> {
    let of = |provider, open: fn() -> Arc<Adapter>| {
        let one = move || vec![pairs_in(&open().domain())];
        let two = move || {
            let domain = open().domain();
            vec![pairs_in(&domain), pairs_in(&domain)]
        };
        let apart = move || {
            let adapter = open();
            vec![pairs_in(&adapter.domain()), pairs_in(&adapter.domain())]
        };
        [
            contender(name(provider, ONE), one, 1),
            contender(name(provider, TWO), two, 2),
            contender(name(provider, TWO_DOMAINS), apart, 2),
        ]
    };
    let mut contenders = Vec::from(of(STATIC, static_adapter));
    contenders.extend(of(TWIN, || twin_adapter(64)));
    contenders.extend(libfabric());
    contenders
}

#[cfg(libfabric)]
fn libfabric() -> Vec<Contender> {
    use super::pair::SHM;
    use crate::fabric::Fabric;

    let works = |threads: usize| {
        let fabric = Arc::new(Fabric::open(c"shm"));
        let work = || -> Work {
            let (fabric, memory) = (fabric.clone(), memory(1).0);
            Box::new(move |count| {
                (0..count).for_each(|_| drop(fabric.register(memory.as_ptr(), memory.len())));
            })
        };
        (0..threads).map(|_| work()).collect()
    };
    vec![
        contender(name(SHM, ONE), move || works(1), 1),
        contender(name(SHM, TWO), move || works(2), 2),
    ]
}

#[cfg(not(libfabric))]
fn libfabric() -> Vec<Contender> {
    Vec::new()
}

/// The simulator's lookup.
pub const TABLE: &str = "token lookup";

fn lookups() -> Vec<Contender> {
    let works = |threads: usize| {
        let table = Arc::new(TokenTable::new(&Config::default()).expect("entropy"));
        let tokens: Arc<[u32]> =
            (0..1024).map(|index| table.insert(0, index).expect("room").get()).collect();
        let work = || -> Work {
            let (table, tokens) = (table.clone(), tokens.clone());
            Box::new(move |count| {
                for turn in 0..count {
                    let found = table.lookup(tokens[turn as usize % tokens.len()]);
                    black_box(found.expect("a live token"));
                }
            })
        };
        (0..threads).map(|_| work()).collect()
    };
    // The time is that of each thread: no wider than one.
    vec![
        contender(name(TABLE, ONE), move || works(1), 1),
        contender(name(TABLE, TWO), move || works(2), 1),
    ]
}
