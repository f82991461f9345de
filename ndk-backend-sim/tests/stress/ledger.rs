//! The books: every request by a context of its own, what its entry returned, and what came back for it.

use super::world::About;
use ndk_core::abi::*;
use ndk_core::status_name;
use std::collections::BTreeMap;
use std::ptr::without_provenance_mut;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The entries that are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Entry {
    CreatePd,
    ClosePd,
    CreateMr,
    CloseMr,
    Register,
    Deregister,
    Initialise,
    QueryExtension,
    BuildLam,
}

/// A request that is not over.
struct Open {
    entry: Entry,
    /// Taken when the completion routine is called.
    about: Option<About>,
    returned: bool,
}

type Counts = BTreeMap<(Entry, NTSTATUS), u64>;

const SHARDS: usize = 16;

/// The books of one run, in parts, so that threads do not queue for one lock.
pub(crate) struct Ledger {
    shards: [Mutex<Shard>; SHARDS],
    begun: AtomicU64,
    /// The latest beginning of all requests that were called back.
    latest: AtomicU64,
}

#[derive(Default)]
struct Shard {
    open: BTreeMap<usize, Open>,
    totals: Totals,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        let shards = std::array::from_fn(|_| Mutex::default());
        Self { shards, begun: AtomicU64::new(1), latest: AtomicU64::new(0) }
    }

    fn shard(&self, context: usize) -> MutexGuard<'_, Shard> {
        self.shards[context % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request begins. Its context is a number that no other request ever has, in the order of beginning.
    pub(crate) fn begin(&self, entry: Entry, about: About) -> PVOID {
        let context = self.begun.fetch_add(1, Ordering::Relaxed) as usize;
        let open = Open { entry, about: Some(about), returned: false };
        self.shard(context).open.insert(context, open);
        without_provenance_mut(context)
    }

    /// The entry has returned. Gives the request back where it is over by that (B1).
    pub(crate) fn returned(&self, context: PVOID, status: NTSTATUS) -> Option<About> {
        let mut shard = self.shard(context.addr());
        let mut open = shard.open.remove(&context.addr()).expect("it began");
        let entry = open.entry;
        *shard.totals.returned.entry((entry, status)).or_default() += 1;
        let called = open.about.is_none();
        match status {
            STATUS_PENDING => {
                // B3: where it was called already, that is all; else the call finds it.
                open.returned = true;
                if !called {
                    shard.open.insert(context.addr(), open);
                }
                None
            }
            _ if called => {
                let what = format!("B1: {entry:?} was called back and returned {status:#x}");
                shard.totals.wrong.push(what);
                None
            }
            _ => open.about,
        }
    }

    /// The completion routine was called. Gives the request back, unless that was a call too many (B2).
    pub(crate) fn called(&self, context: PVOID, status: NTSTATUS) -> Option<(Entry, About)> {
        let mut shard = self.shard(context.addr());
        let begun = context.addr() as u64;
        let found = shard.open.get_mut(&context.addr());
        let taken = found.and_then(|open| Some((open.entry, open.about.take()?, open.returned)));
        let Some((entry, about, returned)) = taken else {
            let what = format!("B1, B2: a call too many for request {begun}, with {status:#x}");
            shard.totals.wrong.push(what);
            return None;
        };
        if returned {
            shard.open.remove(&context.addr());
        }
        *shard.totals.called.entry((entry, status)).or_default() += 1;
        if self.latest.fetch_max(begun, Ordering::Relaxed) > begun {
            shard.totals.overtaken += 1;
        }
        Some((entry, about))
    }

    /// A call without a completion.
    pub(crate) fn note(&self, entry: Entry, status: NTSTATUS) {
        let mut shard = self.shard(0);
        *shard.totals.returned.entry((entry, status)).or_default() += 1;
    }

    /// Something happened that must not.
    pub(crate) fn wrong(&self, what: String) {
        self.shard(0).totals.wrong.push(what);
    }

    /// The entries of the requests that are not over.
    pub(crate) fn open(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        for index in 0..SHARDS {
            entries.extend(self.shard(index).open.values().map(|open| open.entry));
        }
        entries
    }

    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        (0..SHARDS).for_each(|index| totals.add(std::mem::take(&mut self.shard(index).totals)));
        totals
    }
}

/// The sums of a run.
#[derive(Default)]
pub(crate) struct Totals {
    returned: Counts,
    called: Counts,
    /// Callbacks of requests that began before another that was called back already.
    overtaken: u64,
    /// What must not be, in words.
    wrong: Vec<String>,
}

impl Totals {
    fn add(&mut self, other: Self) {
        let add = |to: &mut Counts, from: Counts| {
            from.into_iter().for_each(|(key, count)| *to.entry(key).or_default() += count);
        };
        add(&mut self.returned, other.returned);
        add(&mut self.called, other.called);
        self.overtaken += other.overtaken;
        self.wrong.extend(other.wrong);
    }

    /// How often an entry returned a status.
    pub(crate) fn returned(&self, entry: Entry, status: NTSTATUS) -> u64 {
        self.returned.get(&(entry, status)).copied().unwrap_or_default()
    }

    /// How often its completion routine was called with a status.
    pub(crate) fn called(&self, entry: Entry, status: NTSTATUS) -> u64 {
        self.called.get(&(entry, status)).copied().unwrap_or_default()
    }

    fn entries(&self) -> Vec<Entry> {
        let mut entries: Vec<_> = self.returned.keys().map(|(entry, _)| *entry).collect();
        entries.dedup();
        entries
    }

    pub(crate) fn print(&self) {
        for entry in self.entries() {
            println!("{entry:?}: {}", line(&self.returned, entry));
            if self.called.keys().any(|(of, _)| *of == entry) {
                println!("    called back: {}", line(&self.called, entry));
            }
        }
        let sum = |counts: &Counts| counts.values().sum::<u64>();
        println!(
            "{} calls, {} callbacks, {} of them overtaken by a request that began later",
            sum(&self.returned),
            sum(&self.called),
            self.overtaken
        );
    }

    /// Nothing is wrong, each PENDING has its callback (B2), and their order is not that of the requests.
    pub(crate) fn check(&self) {
        let first: Vec<_> = self.wrong.iter().take(5).collect();
        assert!(first.is_empty(), "{} things are wrong, the first: {first:#?}", self.wrong.len());
        let mut callbacks = 0;
        for entry in self.entries() {
            let of_entry = self.called.iter().filter(|((of, _), _)| *of == entry);
            let called = of_entry.map(|(_, count)| count).sum::<u64>();
            let pendings = self.returned(entry, STATUS_PENDING);
            assert_eq!(called, pendings, "B2: callbacks and PENDINGs of {entry:?}");
            callbacks += called;
        }
        assert!(self.overtaken * 20 > callbacks, "the plan varies the order of completions");
    }
}

fn line(counts: &Counts, entry: Entry) -> String {
    let of_entry = counts.iter().filter(|((of, _), _)| *of == entry);
    let name =
        |status| status_name(status).map_or("other", |name| name.trim_start_matches("STATUS_"));
    let texts = of_entry.map(|((_, status), count)| format!("{count} {}", name(*status)));
    texts.collect::<Vec<_>>().join(", ")
}
