//! Growth: when the table doubles, and who does the work.
//!
//! It doubles when an insert has found some slots in turn taken, and of those around the last most are. Nobody counts what
//! is in the table.
//!
//! A doubling itself is short: a segment is put in place, and the mask gets its bit. The tokens move afterwards. Each
//! insert does a *share* of it, a few slots in turn, and moves what would come in its own way; so no insert takes longer
//! than a bounded number of steps (contract B5), and the moves are done long before the table is loaded again. Until they
//! are, it does not double again.

use core::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::TokenTable;
use super::epoch::MAX_RETIRED;
use super::slot::Reuse;
use super::slots::Mask;

/// Slots for each token that is live or retired, in a table of the largest size.
const ROOM: u64 = 2;

/// Slots of the lower half that an insert sees to. Two would do: a table that has doubled takes in half as many tokens as
/// the half has slots before it is loaded again.
pub(super) const SHARE: u64 = 8;

/// Slots that an insert looks at to learn how full the table is.
pub(super) const SAMPLE: usize = 256;

pub(super) struct Growth {
    /// Whether the lower half may still hold what belongs into the upper one.
    moving: AtomicBool,
    /// The slot of the upper half that is next in turn. Its lock is taken before those of shards; with any of them the mask
    /// stays as it is.
    next: Mutex<u64>,
    /// The largest number of slots. Twice as many as there is room for, for the sake of tombstones that no removal counts.
    most: u64,
}

impl Growth {
    /// Room for `capacity` live tokens, beside the tombstones.
    pub(super) fn new(capacity: u32) -> Self {
        let most = 2 * (ROOM * (u64::from(capacity) + MAX_RETIRED)).next_power_of_two();
        Self { moving: AtomicBool::new(false), next: Mutex::new(0), most }
    }

    #[inline]
    pub(super) fn is_moving(&self) -> bool {
        self.moving.load(Ordering::Acquire)
    }
}

impl TokenTable {
    /// Moves a few tokens that have to move. The caller holds no lock.
    #[cold]
    #[inline(never)]
    pub(super) fn share(&self) {
        let mut next = self.growth.next.lock();
        let mask = self.slots.mask();
        let end = mask.slots().min(*next + SHARE);
        self.slots.fetch_all(*next as u32..end as u32, mask);
        // The next share's.
        [mask, mask.half()].into_iter().for_each(|mask| self.slots.prefetch(end as u32, mask));
        *next = end;
        if end == mask.slots() {
            self.growth.moving.store(false, Ordering::Release);
        }
    }

    /// Doubles the table if it is about half full. The caller holds no lock.
    #[cold]
    #[inline(never)]
    pub(super) fn grow_if_loaded(&self, mask: Mask, number: u32, reuse: Reuse) {
        if 2 * self.slots.free_around(number, mask, reuse) <= SAMPLE {
            self.grow(mask);
        }
    }

    /// Doubles the table, unless somebody did since `mask` was the latest. False if it is as large as it may get, or memory
    /// is short, or tokens have yet to move. The caller holds no lock.
    #[cold]
    #[inline(never)]
    pub(super) fn grow(&self, mask: Mask) -> bool {
        let mut next = self.growth.next.lock();
        if self.slots.mask() != mask {
            return true;
        }
        let is_largest = mask.slots() == self.growth.most;
        if self.growth.is_moving() || is_largest || !self.slots.make_room(mask) {
            return false;
        }
        let _no_siblings = self.shards.each_ref().map(|shard| shard.0.lock());
        *next = mask.slots();
        self.growth.moving.store(true, Ordering::Relaxed);
        self.slots.double(mask);
        true
    }
}
