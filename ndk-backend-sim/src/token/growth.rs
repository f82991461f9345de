//! Growth: when the table doubles, and who does the work.
//!
//! A doubling itself is short: a segment is put in place, and with inserts held back for a moment the mask gets its bit.
//! The tokens move afterwards. Each insert does a *share* of it, a few slots in turn, and moves what would come in its own
//! way; so no insert takes longer than a bounded number of steps (contract B5), and the moves are done long before the
//! table is loaded again. Until they are, it does not double again.

use core::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::TokenTable;
use super::epoch::MAX_RETIRED;
use super::slots::Mask;

/// Slots in use, live or retired, from which on the table doubles: one in so many.
const LOAD: u64 = 2;

/// Slots of the lower half that an insert sees to. Two would do: a table that has doubled takes in half as many tokens as
/// the half has slots before it is loaded again.
pub(super) const SHARE: u64 = 8;

pub(super) struct Growth {
    /// Whether the lower half may still hold what belongs into the upper one.
    moving: AtomicBool,
    /// The slot of the upper half that is next in turn. Its lock is taken before those of shards; with it the mask stays as
    /// it is.
    next: Mutex<u64>,
    /// How many slots load alone can ask for. Twice as many are allowed when draws fail all the same, which tombstones of
    /// rotations can bring about: load does not count them.
    most: u64,
}

impl Growth {
    /// Room for `capacity` live tokens, beside the tombstones.
    pub(super) fn new(capacity: u32) -> Self {
        let most = (LOAD * (u64::from(capacity) + MAX_RETIRED)).next_power_of_two();
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
        (*next..end).for_each(|place| self.slots.fetch(place as u32, mask));
        *next = end;
        if end == mask.slots() {
            self.growth.moving.store(false, Ordering::Release);
        }
    }

    #[cold]
    #[inline(never)]
    pub(super) fn grow_if_loaded(&self, mask: Mask) {
        let live = self.inserted().saturating_sub(self.epochs.all_removed());
        let is_loaded = LOAD * (live + self.epochs.retired()) > mask.slots();
        if is_loaded && mask.slots() < self.growth.most {
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
        if self.growth.is_moving() || mask.slots() > self.growth.most || !self.slots.make_room(mask)
        {
            return false;
        }
        let _no_inserts = self.shards.each_ref().map(|shard| shard.draws.lock());
        *next = mask.slots();
        self.growth.moving.store(true, Ordering::Relaxed);
        self.slots.double(mask);
        true
    }
}
