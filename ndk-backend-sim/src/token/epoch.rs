//! How long a retired token stays retired (contract D4), without a queue of them.
//!
//! A removal leaves a tombstone in the token's slot, stamped with the current *epoch*. An epoch ends when at least
//! `EPOCH_REMOVALS` removals were counted since it began, and a tombstone is free once `EPOCHS_KEPT` whole epochs lie
//! between its own and the current one. Removals are counted per shard, so that two protection domains share no cache
//! line that both write; the epoch is shared, but changes only once in thousands of removals.
//!
//! # Why no token comes back too early
//! All accesses named here are sequentially consistent, so they stand in one order. A removal counts itself first and
//! then reads the epoch `e` it stamps; take its place in that order as the moment it counts. Whoever ends epoch `e` stores
//! `e + 1` and *then* sums up the counters as the base of `e + 1`: that sum holds the removal, and all before it. Epoch
//! `e + 1` ends only when a later sum exceeds the base by `EPOCH_REMOVALS`, so that many removals came after the base,
//! hence after the removal in question. The same goes for each following epoch, and no removal serves two of them. So
//! when the epoch is `e + 1 + EPOCHS_KEPT`, at least `EPOCHS_KEPT * EPOCH_REMOVALS >= 65,536` removals came after.
//!
//! A removal that loses against another one of the same token takes its count back. Until it does, a sum may be too high
//! by it; `SLACK` per epoch makes up for it.
//!
//! A deregistration may retire two slots, where its remote token has rotated away from the local one. They count as one:
//! the *second* is stamped after the first was counted, hence not earlier, so that what was said of the first holds for it
//! too.
//!
//! Everything else errs on the long side: a sum that misses removals, a removal that stamps late, an epoch nobody ends.

use core::array;
use core::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::slot::Reuse;
use super::{RETIRE_DISTANCE, SHARDS};

/// Whole epochs that a tombstone outlasts.
const EPOCHS_KEPT: u64 = 16;
/// Removals by which sums may be too high for a moment.
const SLACK: u64 = 32;
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
}

impl Epochs {
    pub(super) fn new() -> Self {
        // Epoch numbers start where no subtraction underflows.
        Self {
            current: AtomicU64::new(EPOCHS_KEPT + 1),
            removed: array::from_fn(|_| Count::default()),
            base: Mutex::new(0),
        }
    }

    /// Which slots are free now.
    #[inline]
    pub(super) fn reuse(&self) -> Reuse {
        Reuse::up_to(self.current.load(Ordering::SeqCst) - EPOCHS_KEPT - 1)
    }

    /// The current epoch, to stamp a tombstone that is not counted.
    pub(super) fn current(&self) -> u64 {
        self.current.load(Ordering::SeqCst)
    }

    /// Counts a removal and gives the epoch to stamp it with.
    #[inline]
    pub(super) fn count(&self, shard: usize) -> u64 {
        let before = self.removed[shard].0.fetch_add(1, Ordering::SeqCst);
        if before % LOOK_EVERY == LOOK_EVERY - 1 {
            self.look();
        }
        self.current.load(Ordering::SeqCst)
    }

    /// Takes back the count of a removal that did not take place.
    pub(super) fn uncount(&self, shard: usize) {
        self.removed[shard].0.fetch_sub(1, Ordering::SeqCst);
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

    #[test]
    fn a_tombstone_outlasts_the_distance_wherever_it_falls_in_an_epoch() {
        for before in [0, 1, 100, EPOCH_REMOVALS - 1, EPOCH_REMOVALS, 3 * EPOCH_REMOVALS + 7] {
            let epochs = Epochs::new();
            (0..before).for_each(|i| _ = epochs.count(i as usize % SHARDS));
            let tomb = slot::retired(1, epochs.count(0));
            let mut after = 0;
            while !epochs.reuse().allows(tomb) {
                epochs.count(0);
                after += 1;
            }
            assert!(after >= RETIRE_DISTANCE, "free after {after} removals, {before} before it");
            assert!(after <= MAX_RETIRED, "kept for {after} removals");
        }
    }
}
