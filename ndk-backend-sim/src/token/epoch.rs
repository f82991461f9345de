//! How long a retired token stays retired (contract D4), without a queue of them.
//!
//! A removal leaves a tombstone in the token's slot, stamped with the current *epoch*. An epoch ends when at least
//! `EPOCH_REMOVALS` removals were counted since it began, and a tombstone is free once `EPOCHS_KEPT` whole epochs lie
//! between its own and the current one. Removals are counted per shard, so that two protection domains share no cache
//! line that both write; the epoch is shared, but changes only once in thousands of removals.
//!
//! Who removes again and again counts a few removals at a time (`Late`). Only so many may, so that what is not counted yet
//! stays a small part of the distance.
//!
//! # Why no token comes back too early
//! All accesses named here are sequentially consistent, so they stand in one order. A removal reads the epoch `e` that it
//! stamps, and counts itself later; take its place in that order as the moment it reads. Whoever ends epoch `e` stores
//! `e + 1` and *then* sums up the counters as the base of `e + 1`, which therefore comes after the removal. Epoch `e + 1`
//! ends only when a later sum exceeds the base by `EPOCH_REMOVALS`, so that many removals were counted after the base.
//! The same goes for each following epoch, and no removal serves two of them. So when the epoch is `e + 1 + EPOCHS_KEPT`,
//! at least `EPOCHS_KEPT * EPOCH_REMOVALS` removals were counted after the one in question.
//!
//! Those that came before it are too many by those that had read an epoch, and were not counted yet: one of each thread,
//! and those that are counted late. Each is counted once, so `SLACK` for each of the epochs makes up for them.
//!
//! A deregistration may retire two slots, where its remote token has rotated away from the local one. They count as one:
//! the *second* is stamped later, hence what was said of the first holds for it too.
//!
//! Everything else errs on the long side: a sum that misses removals, a removal that stamps late, an epoch nobody ends.

use core::array;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::slot::Reuse;
use super::{RETIRE_DISTANCE, SHARDS};

/// Whole epochs that a tombstone outlasts.
const EPOCHS_KEPT: u64 = 16;
/// Removals that are counted at once, by those who may count late, and how many may.
const TOGETHER: u32 = 8;
const LATE: u32 = 512;
/// Threads that are between the two steps of a removal.
const THREADS: u64 = 512;
/// Removals that may be counted too late to count, for each of the epochs.
const SLACK: u64 = (LATE as u64 * TOGETHER as u64 + THREADS).div_ceil(EPOCHS_KEPT);
/// Removals that end an epoch.
const EPOCH_REMOVALS: u64 = RETIRE_DISTANCE.div_ceil(EPOCHS_KEPT) + SLACK;
/// A shard's removals between two looks at the sum.
const LOOK_EVERY: u64 = 128;

/// The most tombstones that are kept at once, as long as someone looks: all of the epochs kept and of the current one.
pub(super) const MAX_RETIRED: u64 =
    (EPOCHS_KEPT + 1) * (EPOCH_REMOVALS + LOOK_EVERY * SHARDS as u64);

/// One shard's count of removals, alone on its cache line.
#[derive(Default)]
#[repr(align(128))]
struct Count(AtomicU64);

pub(super) struct Epochs {
    current: AtomicU64,
    removed: [Count; SHARDS],
    /// The sum when the current epoch began.
    base: Mutex<u64>,
    /// How many more may count late.
    late: AtomicU32,
}

/// Removals of one region that were not counted yet. Its operations take turns, so that nothing here need be one step.
#[derive(Debug, Default)]
pub(super) struct Late {
    uncounted: AtomicU32,
    /// How many are counted at once; 0 as 1, for those who may not count late.
    together: AtomicU32,
}

impl Epochs {
    pub(super) fn new() -> Self {
        // Epoch numbers start where no subtraction underflows.
        Self {
            current: AtomicU64::new(EPOCHS_KEPT + 1),
            removed: array::from_fn(|_| Count::default()),
            base: Mutex::new(0),
            late: AtomicU32::new(LATE),
        }
    }

    /// Which slots are free now.
    #[inline]
    pub(super) fn reuse(&self) -> Reuse {
        Reuse::up_to(self.current.load(Ordering::SeqCst) - EPOCHS_KEPT - 1)
    }

    /// The current epoch, to stamp a tombstone with.
    #[inline]
    pub(super) fn current(&self) -> u64 {
        self.current.load(Ordering::SeqCst)
    }

    /// Counts a removal that was stamped.
    #[inline(always)]
    pub(super) fn count(&self, shard: usize, late: &Late) {
        let uncounted = late.uncounted.load(Ordering::Relaxed) + 1;
        if uncounted < late.together.load(Ordering::Relaxed) {
            late.uncounted.store(uncounted, Ordering::Relaxed);
        } else {
            late.uncounted.store(0, Ordering::Relaxed);
            self.add(shard, uncounted.into());
        }
    }

    /// Counts removals that were stamped.
    pub(super) fn add(&self, shard: usize, removals: u64) {
        let before = self.removed[shard].0.fetch_add(removals, Ordering::SeqCst);
        if before / LOOK_EVERY != (before + removals) / LOOK_EVERY {
            self.look();
        }
    }

    /// Lets one count late from now on, if not too many do.
    pub(super) fn admit(&self, late: &Late) {
        if late.together.load(Ordering::Relaxed) != 0 {
            return;
        }
        let step = |left: u32| left.checked_sub(1);
        if self.late.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).is_ok() {
            late.together.store(TOGETHER, Ordering::Relaxed);
        }
    }

    /// Counts what one has not counted yet, and takes back that it may count late.
    pub(super) fn settle(&self, shard: usize, late: &Late) {
        let uncounted = late.uncounted.load(Ordering::Relaxed);
        if uncounted != 0 {
            late.uncounted.store(0, Ordering::Relaxed);
            self.add(shard, uncounted.into());
        }
        if late.together.load(Ordering::Relaxed) != 0 {
            late.together.store(0, Ordering::Relaxed);
            self.late.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Ends the epoch if it is due. Never waits: whoever holds the lock is doing just this.
    #[cold]
    fn look(&self) {
        let Some(mut base) = self.base.try_lock() else { return };
        if self.sum().saturating_sub(*base) >= EPOCH_REMOVALS {
            let epoch = self.current.load(Ordering::SeqCst);
            self.current.store(epoch + 1, Ordering::SeqCst);
            *base = self.sum();
        }
    }

    fn sum(&self) -> u64 {
        self.removed.iter().map(|count| count.0.load(Ordering::SeqCst)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::slot;

    /// Removals until a tombstone is free that is made after so many. The removals before and after it are of regions in
    /// turn, some of which count late.
    fn kept(before: u64, regions: usize, late: usize) -> u64 {
        let epochs = Epochs::new();
        let regions: Vec<Late> = (0..regions).map(|_| Late::default()).collect();
        regions[..late].iter().for_each(|region| epochs.admit(region));
        let count = |at: u64| {
            let region = at as usize % regions.len();
            epochs.count(region % SHARDS, &regions[region]);
        };
        (0..before).for_each(count);
        let tomb = slot::retired(1, epochs.current());
        let mut after = 0;
        while !epochs.reuse().allows(tomb) {
            count(before + after);
            after += 1;
        }
        after
    }

    #[test]
    fn a_tombstone_outlasts_the_distance_wherever_it_falls_in_an_epoch() {
        for before in [0, 1, 100, EPOCH_REMOVALS - 1, EPOCH_REMOVALS, 3 * EPOCH_REMOVALS + 7] {
            for (regions, late) in [(1, 0), (1, 1), (SHARDS, 3), (600, 600)] {
                let after = kept(before, regions, late);
                assert!(
                    after >= RETIRE_DISTANCE,
                    "free after {after} removals, {before} before it"
                );
                assert!(after <= MAX_RETIRED, "kept for {after} removals");
            }
        }
    }

    #[test]
    fn what_is_counted_late_is_bounded_and_counted_at_the_end() {
        let epochs = Epochs::new();
        let regions: Vec<Late> = (0..2 * LATE).map(|_| Late::default()).collect();
        regions.iter().for_each(|region| epochs.admit(region));
        let count_all = || regions.iter().for_each(|region| epochs.count(0, region));
        (1..TOGETHER).for_each(|_| count_all());
        let all = regions.len() as u64 * u64::from(TOGETHER - 1);
        assert_eq!(epochs.sum(), all - u64::from(LATE * (TOGETHER - 1)));
        regions.iter().for_each(|region| epochs.settle(0, region));
        assert_eq!((epochs.sum(), epochs.late.load(Ordering::Relaxed)), (all, LATE));
        count_all();
        assert_eq!(epochs.sum(), all + regions.len() as u64, "none may count late any more");
    }
}
