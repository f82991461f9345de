//! What the project wants to reach, and what a run reached of it.

use crate::questions::data::{MEMCPY, WRITE, WRITE_ALONE};
use crate::questions::growth::{self, CHURN, HOT};
use crate::questions::pair::{BOXED, LAYERED, SHM, STATIC, TWIN, VERIFIED, VERIFIED_BOXED};
use crate::questions::threads::{self, LOOKUP, ONE, PAIRS, TABLE, TWO, TWO_DOMAINS};
use crate::questions::tokens::BARE;
use crate::questions::writes::SHM_WAYS;
use crate::run::Run;

/// What is wanted of a figure.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    /// No more.
    AtMost(f64),
    /// No less.
    AtLeast(f64),
}

impl Limit {
    fn holds(self, figure: f64) -> bool {
        match self {
            Self::AtMost(limit) => figure <= limit,
            Self::AtLeast(limit) => figure >= limit,
        }
    }
}

/// How a figure is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unit {
    /// A ratio of times.
    Times,
    /// Instructions.
    Instructions,
    /// Heap allocations.
    Allocations,
    /// A ratio of instructions, as what is added.
    Added,
}

/// How a figure is found in a run; `None` where the run does not have it.
pub type Figure = fn(&Run) -> Option<f64>;

/// Something to reach.
#[derive(Clone, Copy, Debug)]
pub struct Bar {
    /// What is measured.
    pub what: &'static str,
    /// What is wanted.
    pub limit: Limit,
    /// How both are written.
    pub unit: Unit,
    /// What was reached.
    pub figure: Figure,
    /// What is to be known where it is not reached: what was tried, what limits it.
    pub note: &'static str,
}

impl Bar {
    /// Whether a figure is what was wanted.
    pub fn is_reached(&self, figure: f64) -> bool {
        self.limit.holds(figure)
    }

    /// The limit in words.
    pub fn wanted(&self) -> String {
        match self.limit {
            Limit::AtMost(limit) => format!("at most {}", self.unit.show(limit)),
            Limit::AtLeast(limit) => format!("at least {}", self.unit.show(limit)),
        }
    }
}

impl Unit {
    /// A figure with its unit.
    pub fn show(self, figure: f64) -> String {
        match self {
            Self::Times => format!("{figure:.2}x"),
            Self::Instructions => format!("{figure:.0}"),
            Self::Allocations => format!("{figure:.0}"),
            Self::Added => format!("{:+.0} %", (figure - 1.0) * 100.0),
        }
    }
}

fn ratio(run: &Run, group: &str, contender: &str, reference: &str) -> Option<f64> {
    Some(run.measurement(group)?.ratio(contender, reference)?.median)
}

fn instructions(run: &Run, group: &str, contender: &str) -> Option<f64> {
    Some(run.count(group, contender)?.instructions)
}

/// The allocations of everything that must do without.
fn inline_allocations(run: &Run) -> Option<f64> {
    let groups = ["pair/1", "pair/16", "tokens/local", "tokens/remote"];
    groups.iter().map(|group| Some(run.count(group, STATIC)?.allocations)).sum()
}

fn hot(run: &Run) -> Option<f64> {
    let largest = growth::LIVE[growth::LIVE.len() - 1];
    ratio(run, HOT, &growth::name(STATIC, largest), &growth::name(STATIC, growth::LIVE[1]))
}

fn churn(run: &Run) -> Option<f64> {
    let largest = growth::LIVE[growth::LIVE.len() - 1];
    ratio(run, CHURN, &growth::name(STATIC, largest), &growth::name(TWIN, largest))
}

/// Operations in a time, of both threads together, over those of one.
fn two_threads(run: &Run) -> Option<f64> {
    ratio(run, PAIRS, &threads::name(STATIC, ONE), &threads::name(STATIC, TWO_DOMAINS))
}

fn two_threads_over_twin(run: &Run) -> Option<f64> {
    ratio(run, PAIRS, &threads::name(TWIN, TWO), &threads::name(STATIC, TWO_DOMAINS))
}

fn lookup(run: &Run) -> Option<f64> {
    ratio(run, LOOKUP, &threads::name(TABLE, TWO), &threads::name(TABLE, ONE))
}

/// The fastest of libfabric's ways over ours.
fn over_fabric(run: &Run) -> Option<f64> {
    let ways = SHM_WAYS.iter().filter_map(|way| ratio(run, "writes/64", way, STATIC));
    ways.min_by(f64::total_cmp)
}

/// Why more than one bar is missed.
const PAIR: &str = "the simulator does what the twin leaves out: a token at random (E5) that is kept away \
    once it is retired (D4), and a wait for accesses at work (D3). Each pair takes four atomic \
    operations to the twin's six: a claim for each of the two requests, whose ends are plain \
    stores, the token's way into its slot, and its way out, which is the fence of D3 too. One pair \
    in eight takes three more, to draw numbers and to count the tokens retired.";

/// Why more than one bar is missed.
const FABRIC: &str = "libfabric's pair is two allocations and a map that its lock guards, of which none depends on \
    the number of pages; it takes no page list, and its keys count up. Here the four atomic \
    operations that are left, of about 20 cycles each, are half of the time, and each is one that \
    the contract asks for (C12, D1, E2, D3). Tried, and taken out of the pair: the references of \
    requests, the atomic ends of claims, the count of each retirement.";

/// Why more than one bar is missed.
const VERIFIER: &str = "beside the plain pair it notes the pages and the tokens of the registration, and looks two new \
    tokens up among 131,072 that were retired lately (D4), at places that are random: a byte for each \
    of those is looked at, which is less than a near cache, and its entry is asked for long before it \
    is written. Three atomic operations come with it: the lock of the tables of tokens and its \
    release, which are the registration's, and the deregistration's count. A deregistration takes no \
    lock: what it ends is put into the tables with what the next registration adds, or when somebody \
    asks.";

/// As above.
const ACCESS: &str = "the access alone: what the simulator does of a peer's write at the memory that is written, as \
    `Initiator` does it without a queue pair. The token's record is looked up or found again, its \
    access made known to a deregistration (D3), domain, rights and bounds checked (F1 to F5), the \
    page list walked, the bytes copied and counted.";

/// As above.
const REQUEST: &str = "the whole request: the access alone, and beside it the check of the source, the posting, and a \
    completion that is added and polled. The limit was set for the access alone. Four atomic \
    operations, of about 20 cycles each, take longer than ten copies of 64 bytes: the queue pair's \
    lock and its release, the completion that is added and taken; the rest is half as long. \
    None of it depends on the size. Without the first two a queue pair would be one thread's. \
    The completion could be added under the lock without an operation of its own, if every \
    backend answered for that; it is also what orders it before the look at who waits.";

/// All of them, in the order of the page.
pub const ALL: [Bar; 25] = [
    Bar {
        what: "static adapter on the simulator, pair of 1 page, over the C twin",
        limit: Limit::AtMost(1.2),
        unit: Unit::Times,
        figure: |run| ratio(run, "pair/1", STATIC, TWIN),
        note: PAIR,
    },
    Bar {
        what: "the same, 16 pages",
        limit: Limit::AtMost(1.2),
        unit: Unit::Times,
        figure: |run| ratio(run, "pair/16", STATIC, TWIN),
        note: PAIR,
    },
    Bar {
        what: "the same, 256 pages",
        limit: Limit::AtMost(1.1),
        unit: Unit::Times,
        figure: |run| ratio(run, "pair/256", STATIC, TWIN),
        note: PAIR,
    },
    Bar {
        what: "instructions for the pair, 1 page",
        limit: Limit::AtMost(450.0),
        unit: Unit::Instructions,
        figure: |run| instructions(run, "pair/1", STATIC),
        note: "most are the simulator's; the table of functions below says where they go.",
    },
    Bar {
        what: "dyn (boxed) adapter, pair of 1 page, over the C twin",
        limit: Limit::AtMost(3.0),
        unit: Unit::Times,
        figure: |run| ratio(run, "pair/1", BOXED, TWIN),
        note: "a boxed backend costs a call through its table for each of the two, beside what the \
               static adapter costs.",
    },
    Bar {
        what: "static adapter, pair of 1 page, over libfabric shm",
        limit: Limit::AtMost(0.4),
        unit: Unit::Times,
        figure: |run| ratio(run, "pair/1", STATIC, SHM),
        note: FABRIC,
    },
    Bar {
        what: "the same, 16 pages",
        limit: Limit::AtMost(0.4),
        unit: Unit::Times,
        figure: |run| ratio(run, "pair/16", STATIC, SHM),
        note: FABRIC,
    },
    Bar {
        what: "heap allocations of an inline pair of up to 16 pages and of the token getters",
        limit: Limit::AtMost(0.0),
        unit: Unit::Allocations,
        figure: inline_allocations,
        note: "",
    },
    Bar {
        what: "heap allocations of an inline pair of more pages",
        limit: Limit::AtMost(1.0),
        unit: Unit::Allocations,
        figure: |run| Some(run.count("pair/511", STATIC)?.allocations),
        note: "",
    },
    Bar {
        what: "token getter over a bare indirect C call",
        limit: Limit::AtMost(1.1),
        unit: Unit::Times,
        figure: |run| ratio(run, "tokens/local", STATIC, BARE),
        note: "both are an indirect call; the check of type and state before the load takes the \
               rest, which the C twin's getter takes as well.",
    },
    Bar {
        what: "hot pair with 1,000,000 live regions over that with 1,000",
        limit: Limit::AtMost(1.15),
        unit: Unit::Times,
        figure: hot,
        note: "a token's place is drawn at random, so with a million of them its cache lines are in \
               memory, not in a cache, and so is what translates their addresses. They are asked for \
               eight draws ahead, which hides most of it; what is left is a larger part of a pair \
               that takes less.",
    },
    Bar {
        what: "random churn with 1,000,000 live regions over the C twin's",
        limit: Limit::AtMost(1.2),
        unit: Unit::Times,
        figure: churn,
        note: "a random region is out of every cache, and what is reached by an address that comes from \
               memory waits for that first. The twin touches its region, then its slot, which it gives \
               back and takes again. Here it is the region, then at the same time the simulator's \
               record, the slot of the old token and that of the new one: drawn at random (E5) and \
               kept away from the old one (D4), it is elsewhere. Kept: the region's lines are asked for \
               as the call begins, the new slot when the deregistration does. Tried, and without a \
               difference: another line of the region, the slot of the value after the next, larger \
               pages for the token table, since most pages are the regions' own; where the C library \
               takes larger pages for everything, a pair takes a quarter less.",
    },
    Bar {
        what: "throughput of two threads in two domains over one thread",
        limit: Limit::AtLeast(1.5),
        unit: Unit::Times,
        figure: two_threads,
        note: "two threads need two processors to themselves. Where a lookup takes each thread \
               twice as long, they shared one, and the figure says nothing of the provider.",
    },
    Bar {
        what: "the same over the C twin's two threads with one mutex",
        limit: Limit::AtLeast(3.0),
        unit: Unit::Times,
        figure: two_threads_over_twin,
        note: "the figure is that of one thread's pair, times what two threads gain here and lose \
               at the twin's mutex.",
    },
    Bar {
        what: "token lookup on two threads, time of each over that of one",
        limit: Limit::AtMost(1.3),
        unit: Unit::Times,
        figure: lookup,
        note: "as above; a lookup writes nothing.",
    },
    Bar {
        what: "remote write on the simulator, the access alone, over memcpy, 64 bytes",
        limit: Limit::AtMost(3.0),
        unit: Unit::Times,
        figure: |run| ratio(run, "data/64", WRITE_ALONE, MEMCPY),
        note: ACCESS,
    },
    Bar {
        what: "the same, 4 KiB",
        limit: Limit::AtMost(1.3),
        unit: Unit::Times,
        figure: |run| ratio(run, "data/4096", WRITE_ALONE, MEMCPY),
        note: ACCESS,
    },
    Bar {
        what: "the same, 1 MiB",
        limit: Limit::AtMost(1.1),
        unit: Unit::Times,
        figure: |run| ratio(run, "data/1048576", WRITE_ALONE, MEMCPY),
        note: "the page list is walked; pages that are adjacent are copied as one.",
    },
    Bar {
        what: "remote write on the simulator, the whole request, over memcpy, 64 bytes",
        limit: Limit::AtMost(3.0),
        unit: Unit::Times,
        figure: |run| ratio(run, "data/64", WRITE, MEMCPY),
        note: REQUEST,
    },
    Bar {
        what: "the same, 4 KiB",
        limit: Limit::AtMost(1.3),
        unit: Unit::Times,
        figure: |run| ratio(run, "data/4096", WRITE, MEMCPY),
        note: REQUEST,
    },
    Bar {
        what: "the same, 1 MiB",
        limit: Limit::AtMost(1.1),
        unit: Unit::Times,
        figure: |run| ratio(run, "data/1048576", WRITE, MEMCPY),
        note: "the page list is walked; pages that are adjacent are copied as one.",
    },
    Bar {
        what: "remote write of 64 bytes, times faster than libfabric shm's best",
        limit: Limit::AtLeast(10.0),
        unit: Unit::Times,
        figure: over_fabric,
        note: "as for the whole request over memcpy.",
    },
    Bar {
        what: "a layer of the provider traits that forwards every call, pair of 1 page",
        limit: Limit::AtMost(1.15),
        unit: Unit::Added,
        figure: |run| {
            Some(instructions(run, "pair/1", LAYERED)? / instructions(run, "pair/1", STATIC)?)
        },
        note: "",
    },
    Bar {
        what: "the verifier over the plain call, pair of 1 page, static adapter",
        limit: Limit::AtMost(3.0),
        unit: Unit::Times,
        figure: |run| ratio(run, "pair/1", VERIFIED, STATIC),
        note: VERIFIER,
    },
    Bar {
        what: "the same, dyn adapter, as `verify+sim` over `sim`",
        limit: Limit::AtMost(3.0),
        unit: Unit::Times,
        figure: |run| ratio(run, "pair/1", VERIFIED_BOXED, BOXED),
        note: VERIFIER,
    },
];

/// Instructions that no change may exceed: what was counted, and some room for what a compiler does differently.
pub const BOUNDS: [(&str, &str, f64); 8] = [
    ("pair/1", STATIC, 455.0),
    ("pair/1", BOXED, 540.0),
    ("pair/1", VERIFIED, 1080.0),
    ("pair/1", VERIFIED_BOXED, 1205.0),
    ("tokens/local", STATIC, 40.0),
    ("data/64", WRITE_ALONE, 115.0),
    ("data/64", WRITE, 315.0),
    ("create/close", STATIC, 1115.0),
];
