//! One slot of the table: a token and what it stands for, in one word, so that every change is one atomic access.
//!
//! | bits   | field   | meaning |
//! |--------|---------|---------|
//! | 63..32 | token   | 0 only in a slot that holds none |
//! | 31..3  | payload | a live slot: the record's index; a retired one: the epoch it was retired in |
//! | 2..0   | kind    | see the constants |

#[cfg(not(all(loom, test)))]
use core::sync::atomic::AtomicU64;
#[cfg(all(loom, test))]
use loom::sync::atomic::AtomicU64;

pub(super) type Slot = AtomicU64;

/// The token was removed. The slot may be used again, and the token issued again, when its epoch is long past.
const RETIRED: u64 = 0;
/// Like `RETIRED`, but left behind by a rotation, so that a rotation of the same family may take it back at once.
const ROTATED: u64 = 1;
/// The token reaches a record.
const LIVE: u64 = 2;
/// Added to any of these: the token is on its way to the slot that it has in the grown table, and nothing else becomes
/// of it here.
const LEAVING: u64 = 4;

/// The bits of the kind that are zero in both kinds of tombstone.
const NOT_DEAD: u64 = LIVE | LEAVING;

const KIND_BITS: u32 = 3;
const KIND: u64 = (1 << KIND_BITS) - 1;
const PAYLOAD: u64 = (1 << (32 - KIND_BITS)) - 1;
const ALL_BUT_PAYLOAD: u64 = !(PAYLOAD << KIND_BITS);

/// The slot that was never used: a tombstone of no token, from an epoch before the first.
pub(super) const EMPTY: u64 = 0;

/// The slot that a token has left: as free as an empty one, but for good another word. An empty slot of a grown table may
/// still get a token from the lower half; one that had a token never does.
pub(super) const LEFT: u64 = ROTATED;

/// The largest record index that a slot holds.
pub(super) const MAX_INDEX: u32 = PAYLOAD as u32;

const fn pack(token: u32, payload: u64, kind: u64) -> u64 {
    (token as u64) << 32 | (payload & PAYLOAD) << KIND_BITS | kind
}

pub(super) const fn live(token: u32, index: u32) -> u64 {
    pack(token, index as u64, LIVE)
}

pub(super) const fn retired(token: u32, epoch: u64) -> u64 {
    pack(token, epoch, RETIRED)
}

pub(super) const fn rotated(token: u32, epoch: u64) -> u64 {
    pack(token, epoch, ROTATED)
}

pub(super) const fn leaving(slot: u64) -> u64 {
    slot | LEAVING
}

pub(super) const fn arrived(slot: u64) -> u64 {
    slot & !LEAVING
}

pub(super) const fn token(slot: u64) -> u32 {
    (slot >> 32) as u32
}

/// A live slot's record index.
pub(super) const fn index(slot: u64) -> u32 {
    (slot >> KIND_BITS & PAYLOAD) as u32
}

/// Whether the slot makes exactly this token live, and the token stays here. No slot does so for token 0, which no
/// insert issues.
pub(super) const fn is_live_as(slot: u64, token: u32) -> bool {
    slot & ALL_BUT_PAYLOAD == live(token, 0)
}

/// The token, which is not 0, is dead here.
pub(super) const fn is_retired_as(slot: u64, token: u32) -> bool {
    slot & ALL_BUT_PAYLOAD == retired(token, 0)
}

pub(super) const fn is_rotated_as(slot: u64, token: u32) -> bool {
    slot & ALL_BUT_PAYLOAD == rotated(token, 0)
}

pub(super) const fn is_leaving(slot: u64) -> bool {
    slot & LEAVING != 0
}

/// Decides which slots an insert may use at a given moment.
#[derive(Clone, Copy)]
pub(super) struct Reuse {
    /// The lower half of the youngest tombstone that is free, its kind bits all set.
    due: u32,
}

impl Reuse {
    /// Tombstones of this epoch and of older ones are free.
    pub(super) const fn up_to(epoch: u64) -> Self {
        Self { due: (epoch as u32) << KIND_BITS | KIND as u32 }
    }

    /// Never used, or retired long enough ago.
    ///
    /// Epochs are kept in 29 bits and compared as a signed distance. That goes wrong for a slot that nobody has used for
    /// 2^28 epochs, which take more than 10^12 removals; it then counts as young for as long again: kept too long, never
    /// too short. A stamp from an epoch that this thread has not seen yet counts as young too.
    pub(super) const fn allows(self, slot: u64) -> bool {
        slot & NOT_DEAD == 0 && self.due.wrapping_sub(slot as u32) as i32 >= 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_tombstones_are_free() {
        let reuse = Reuse::up_to(100);
        assert!(reuse.allows(EMPTY) && reuse.allows(LEFT));
        assert!(reuse.allows(retired(7, 100)) && reuse.allows(rotated(7, 99)));
        assert!(!reuse.allows(retired(7, 101)), "a stamp of an epoch not seen yet is young");
        assert!(!reuse.allows(live(7, 3)) && !reuse.allows(leaving(live(7, 3))));
        assert!(!reuse.allows(leaving(retired(7, 99))), "it comes back elsewhere");
    }

    #[test]
    fn the_epoch_wraps_without_freeing_anything_early() {
        let wrap = PAYLOAD + 1;
        assert!(!Reuse::up_to(wrap - 1).allows(retired(7, wrap)));
        assert!(Reuse::up_to(wrap).allows(retired(7, wrap - 1)));
        assert!(Reuse::up_to(wrap + 5).allows(retired(7, wrap + 5)));
    }

    #[test]
    fn a_live_slot_matches_its_token_only() {
        let slot = live(u32::MAX, MAX_INDEX);
        assert!(
            is_live_as(slot, u32::MAX)
                && !is_live_as(slot, u32::MAX - 1)
                && index(slot) == MAX_INDEX
        );
        assert!(!is_live_as(EMPTY, 0) && !is_live_as(LEFT, 0) && !is_live_as(retired(5, 1), 5));
        assert!(!is_live_as(leaving(slot), u32::MAX) && arrived(leaving(slot)) == slot);
    }
}
