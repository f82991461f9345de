//! What the simulator has done, in numbers.
//!
//! What is frequent is counted where one thread at a time writes anyway: registrations in their records, and what every
//! work request counts in the [`Tally`] of its queue pair. The rest is one relaxed addition to a line of cache that only
//! operations of the same *shard* write: any number that differs between protection domains, taken modulo [`SHARDS`], as
//! for the token table. Sums are made when somebody asks for a [`Snapshot`].

use std::array;
use std::fmt;
use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering};

use ndk_core::abi::STATUS_SUCCESS;
use ndk_core::{ErrorKind, status_name};

use crate::record::Record;
use crate::token::SHARDS;

/// Why a token gave no access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Miss {
    /// No region has it, and none had it lately.
    Unknown,
    /// A region had it until lately, or has it and nothing registered with it: invalidated, say.
    Retired,
    /// Its region is in another protection domain (F5).
    OtherDomain,
    /// The access leaves the region (F1, F2).
    Bounds,
    /// The region does not allow the access (F4).
    Rights,
}

impl Miss {
    /// Every cause.
    pub const ALL: [Miss; 5] =
        [Miss::Unknown, Miss::Retired, Miss::OtherDomain, Miss::Bounds, Miss::Rights];

    fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Retired => "retired",
            Self::OtherDomain => "other domain",
            Self::Bounds => "bounds",
            Self::Rights => "rights",
        }
    }
}

/// Success, the kinds with a status of their own, and all other statuses together.
const OUTCOMES: usize = ErrorKind::ALL.len() + 2;
const SUCCESS: usize = 0;
const OTHER: usize = OUTCOMES - 1;

fn outcome(fault: Option<ErrorKind>) -> usize {
    let position = |fault| ErrorKind::ALL.iter().position(|kind| *kind == fault);
    fault.map_or(SUCCESS, |fault| position(fault).map_or(OTHER, |position| position + 1))
}

/// What a queue pair has done at a device. Who counts has it to itself, so that no addition need be atomic; anybody may
/// read it.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
    successes: AtomicU64,
}

impl Tally {
    /// It has read so many bytes of the device's memory, as a peer.
    #[inline]
    pub(crate) fn read(&self, bytes: u64) {
        step(&self.bytes_read, bytes);
    }

    /// It has written so many bytes of the device's memory, as a peer.
    #[inline]
    pub(crate) fn written(&self, bytes: u64) {
        step(&self.bytes_written, bytes);
    }

    /// A request of the device's, of its own or one that it has answered, has completed with success.
    #[inline]
    pub(crate) fn succeeded(&self) {
        step(&self.successes, 1);
    }
}

#[inline]
fn step(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
}

/// The counters of one adapter, but for what is in records and tallies. [`snapshot`](Self::snapshot) reads them.
#[derive(Default)]
pub(crate) struct Counters {
    shards: [Shard; SHARDS],
}

#[derive(Default)]
#[repr(align(128))]
struct Shard {
    completions: [AtomicU64; OUTCOMES],
    misses: [AtomicU64; Miss::ALL.len()],
}

impl Counters {
    fn shard(&self, shard: usize) -> &Shard {
        &self.shards[shard % SHARDS]
    }

    /// A work request has failed.
    #[cold]
    pub(crate) fn failed(&self, shard: usize, fault: ErrorKind) {
        add(&self.shard(shard).completions[outcome(Some(fault))], 1);
    }

    /// A token gave no access.
    pub(crate) fn missed(&self, shard: usize, cause: Miss) {
        add(&self.shard(shard).misses[cause as usize], 1);
    }

    /// The sums of now, with those of records and tallies; exact while nothing is going on.
    pub(crate) fn snapshot<'a>(
        &self,
        records: impl Iterator<Item = &'a Record>,
        tallies: impl Iterator<Item = &'a Tally>,
    ) -> Snapshot {
        let mut sum = Snapshot::default();
        for (registrations, lives) in records.map(Record::registrations) {
            sum.registrations += registrations;
            sum.deregistrations += registrations - u64::from(lives);
        }
        for shard in &self.shards {
            sum += Snapshot {
                completions: shard.completions.each_ref().map(get),
                misses: shard.misses.each_ref().map(get),
                ..Snapshot::default()
            };
        }
        for tally in tallies {
            sum.bytes_read += get(&tally.bytes_read);
            sum.bytes_written += get(&tally.bytes_written);
            sum.completions[SUCCESS] += get(&tally.successes);
        }
        sum
    }
}

#[inline]
fn add(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// The counters at one time. `Display` writes those that are not zero, in one line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Registrations that have begun to live, fast ones included.
    pub registrations: u64,
    /// Registrations that have ended.
    pub deregistrations: u64,
    /// Bytes that peers have read.
    pub bytes_read: u64,
    /// Bytes that peers have written.
    pub bytes_written: u64,
    completions: [u64; OUTCOMES],
    misses: [u64; Miss::ALL.len()],
}

impl Snapshot {
    /// Registrations that live.
    pub fn live(&self) -> u64 {
        // Taken while others count, the two sums may be of slightly different times.
        self.registrations.saturating_sub(self.deregistrations)
    }

    /// Work requests that completed so; `None` is success, and every [`ErrorKind::Other`] stands for all of them.
    pub fn completions(&self, fault: Option<ErrorKind>) -> u64 {
        self.completions[outcome(fault)]
    }

    /// Tokens that gave no access for this cause.
    pub fn misses(&self, cause: Miss) -> u64 {
        self.misses[cause as usize]
    }

    /// Work requests that completed, by the name of their status; those that none has are left out.
    pub fn completions_by_name(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let names =
            [STATUS_SUCCESS].into_iter().chain(ErrorKind::ALL.iter().map(|kind| kind.status()));
        let names = names.map(|status| status_name(status).unwrap_or("unnamed"));
        let all = names.chain(["other"]).zip(self.completions);
        all.filter(|(_, count)| *count != 0)
    }
}

impl AddAssign for Snapshot {
    fn add_assign(&mut self, other: Self) {
        self.registrations += other.registrations;
        self.deregistrations += other.deregistrations;
        self.bytes_read += other.bytes_read;
        self.bytes_written += other.bytes_written;
        self.completions = array::from_fn(|at| self.completions[at] + other.completions[at]);
        self.misses = array::from_fn(|at| self.misses[at] + other.misses[at]);
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "registrations: {} live of {}", self.live(), self.registrations)?;
        write!(f, "; bytes: {} read, {} written", self.bytes_read, self.bytes_written)?;
        let misses = Miss::ALL.iter().map(|cause| (cause.name(), self.misses(*cause)));
        list(f, "completions", self.completions_by_name())?;
        list(f, "token misses", misses.filter(|(_, count)| *count != 0))
    }
}

fn list(
    f: &mut fmt::Formatter<'_>,
    what: &str,
    items: impl Iterator<Item = (&'static str, u64)>,
) -> fmt::Result {
    for (index, (name, count)) in items.enumerate() {
        match index {
            0 => write!(f, "; {what}: {count} {name}")?,
            _ => write!(f, ", {count} {name}")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndk_core::Access;
    use std::thread;

    #[test]
    fn what_records_shards_and_queue_pairs_have_counted_adds_up() {
        let records = [(); 3].map(|()| Record::new());
        for _ in 0..5 {
            records[0].enliven(Access::LOCAL_READ);
            records[0].kill();
        }
        records[1].enliven_fast(Access::REMOTE_READ);
        records[2].enliven_window(Access::REMOTE_READ);
        let tallies = [Tally::default(), Tally::default()];
        tallies[0].read(100);
        tallies[1].written(7);
        let counters = Counters::default();
        (0..20).for_each(|shard| counters.missed(shard, Miss::Bounds));
        let snapshot = counters.snapshot(records.iter(), tallies.iter());
        assert_eq!((snapshot.registrations, snapshot.deregistrations), (6, 5), "no binding is one");
        assert_eq!((snapshot.live(), snapshot.bytes_read, snapshot.bytes_written), (1, 100, 7));
        assert_eq!(snapshot.misses(Miss::Bounds), 20);
    }

    #[test]
    fn every_status_and_every_cause_has_a_counter_of_its_own() {
        let counters = Counters::default();
        let tally = Tally::default();
        let foreign = Some(ErrorKind::Other(-1));
        let faults = ErrorKind::ALL.iter().map(|kind| Some(*kind)).chain([None, foreign]);
        for (times, fault) in (1..).zip(faults.clone()) {
            (0..times).for_each(|_| match fault {
                None => tally.succeeded(),
                Some(kind) => counters.failed(0, kind),
            });
        }
        for (times, cause) in (1..).zip(Miss::ALL) {
            (0..times).for_each(|_| counters.missed(0, cause));
        }
        let snapshot = counters.snapshot([].into_iter(), [&tally].into_iter());
        for (times, fault) in (1..).zip(faults) {
            assert_eq!(snapshot.completions(fault), times, "{fault:?}");
        }
        for (times, cause) in (1..).zip(Miss::ALL) {
            assert_eq!(snapshot.misses(cause), times, "{cause:?}");
        }
        assert_eq!(snapshot.completions_by_name().count(), OUTCOMES);
        assert!(snapshot.completions_by_name().all(|(name, _)| name != "unnamed"));
    }

    #[test]
    fn a_snapshot_reads_as_one_line() {
        let (counters, tally) = (Counters::default(), Tally::default());
        let record = Record::new();
        let snapshot = || counters.snapshot([&record].into_iter(), [&tally].into_iter());
        assert_eq!(snapshot().to_string(), "registrations: 0 live of 0; bytes: 0 read, 0 written");
        record.enliven(Access::LOCAL_READ);
        tally.read(4096);
        tally.succeeded();
        counters.failed(0, ErrorKind::AccessViolation);
        counters.failed(0, ErrorKind::AccessViolation);
        counters.missed(0, Miss::Bounds);
        counters.missed(0, Miss::Unknown);
        assert_eq!(
            snapshot().to_string(),
            "registrations: 1 live of 1; bytes: 4096 read, 0 written; \
             completions: 1 STATUS_SUCCESS, 2 STATUS_ACCESS_VIOLATION; \
             token misses: 1 unknown, 1 bounds"
        );
    }

    #[test]
    fn nothing_is_lost_between_threads() {
        let counters = Counters::default();
        thread::scope(|scope| {
            for shard in 0..4 {
                let counters = &counters;
                scope.spawn(move || {
                    (0..10_000).for_each(|_| counters.missed(shard % 2, Miss::Rights));
                });
            }
        });
        let snapshot = counters.snapshot([].into_iter(), [].into_iter());
        assert_eq!(snapshot.misses(Miss::Rights), 40_000);
    }
}
