//! One bucket: the eight slots of one cache line, and the protocol by which tokens enter and leave it.
//!
//! # Why no token is live twice
//! A token belongs to one bucket of an array. An insert first *claims* a slot there with a compare-and-swap, then reads
//! all eight slots, and makes its slot live only if no other slot names the token. Two inserts that drew the same token
//! both claim before they read, and both accesses are sequentially consistent, so at least one of them sees the other;
//! who sees another gives its claim back and draws again. A claim reaches no record, so the loser was never visible.
//! A token that stands in the bucket already, live or retired, is seen in the same way: it is in its slot since before
//! the claim, and only an insert that claims it takes a tombstone out of a slot.

#[cfg(not(all(loom, test)))]
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering;
#[cfg(all(loom, test))]
use loom::sync::atomic::AtomicU64;

use super::slot::{self, Reuse};

/// Slots in a bucket: one cache line of them; fewer for the model, which would take forever.
pub(super) const SLOTS: usize = if cfg!(all(loom, test)) { 2 } else { 8 };

pub(super) type Slot = AtomicU64;

#[derive(Default)]
#[repr(align(64))]
pub(super) struct Bucket([Slot; SLOTS]);

const _: () = assert!(size_of::<Bucket>() == 64 || cfg!(all(loom, test)));

/// Why a token could not be claimed.
#[derive(Debug)]
pub(super) enum Refused {
    /// The bucket has no slot to spare.
    Full,
    /// The token is live, retired or claimed by somebody else.
    Taken,
}

impl Bucket {
    /// The record that the token reaches, if it is live here.
    ///
    /// All slots are compared and none is branched on: which one matches cannot be predicted, and a mispredicted branch
    /// costs more than seven comparisons.
    #[inline]
    pub(super) fn lookup(&self, token: u32) -> Option<u32> {
        let mut hit = slot::EMPTY;
        for slot in &self.0 {
            let word = slot.load(Ordering::Acquire);
            hit = if slot::is_live_as(word, token) { word } else { hit };
        }
        (hit != slot::EMPTY).then_some(slot::index(hit))
    }

    /// The slot in which the token is live, and its word.
    #[inline]
    pub(super) fn find(&self, token: u32) -> Option<(&Slot, u64)> {
        let mut place = SLOTS;
        for (at, slot) in self.0.iter().enumerate() {
            place = if slot::is_live_as(slot.load(Ordering::Acquire), token) { at } else { place };
        }
        let slot = self.0.get(place)?;
        let word = slot.load(Ordering::Acquire);
        slot::is_live_as(word, token).then_some((slot, word))
    }

    /// Whether the token stands in the next array. To be asked after a search came back empty-handed: a token
    /// that moved during the search is not found, but from then on it is marked.
    pub(super) fn has_moved(&self, token: u32) -> bool {
        self.0.iter().any(|slot| slot::is_moved_as(slot.load(Ordering::Acquire), token))
    }

    /// Whether the token is dead here, and its tombstone not taken by another yet.
    pub(super) fn has_retired(&self, token: u32) -> bool {
        self.0.iter().any(|slot| {
            let word = slot.load(Ordering::Acquire);
            slot::is_retired_as(word, token) || slot::is_rotated_as(word, token)
        })
    }

    /// Claims a slot for a token that is nowhere else in this bucket. The caller stores the live word into it, at once:
    /// nobody else writes to a claimed slot.
    #[inline]
    pub(super) fn claim(&self, token: u32, reuse: Reuse) -> Result<&Slot, Refused> {
        let claim = slot::claimed(token);
        let taken = self.0.iter().find(|slot| {
            let word = slot.load(Ordering::Relaxed);
            reuse.allows(word)
                && slot.compare_exchange(word, claim, Ordering::SeqCst, Ordering::Relaxed).is_ok()
        });
        let Some(mine) = taken else { return Err(Refused::Full) };
        // The model takes sequentially consistent accesses for weaker than they are.
        #[cfg(all(loom, test))]
        loom::sync::atomic::fence(Ordering::SeqCst);
        let named =
            self.0.iter().filter(|slot| slot::token(slot.load(Ordering::SeqCst)) == token).count();
        if named == 1 {
            return Ok(mine);
        }
        mine.store(slot::EMPTY, Ordering::Release);
        Err(Refused::Taken)
    }

    /// The slot, and its word, of a token that a rotation left behind.
    pub(super) fn find_rotated(&self, token: u32) -> Option<(&Slot, u64)> {
        self.0
            .iter()
            .map(|slot| (slot, slot.load(Ordering::Acquire)))
            .find(|(_, word)| slot::is_rotated_as(*word, token))
    }

    /// Slots that an insert could use now.
    pub(super) fn free(&self, reuse: Reuse) -> usize {
        self.0.iter().filter(|slot| reuse.allows(slot.load(Ordering::Relaxed))).count()
    }

    /// Moves this bucket's tokens to the array of twice the size, where each goes to bucket `low` or `high`: the one
    /// that `goes_high` says. Nobody may insert meanwhile; lookups and removals go on.
    ///
    /// A token keeps its place in the bucket, so there is always room. A live token is first stored there, then marked
    /// as moved here: until the mark, this slot decides; from the mark on, the other one, which only then can be reached.
    /// If a removal comes in between, the mark fails, and the removal is repeated on the copy that nobody has seen yet.
    pub(super) fn split(
        &self,
        low: &Bucket,
        high: &Bucket,
        goes_high: impl Fn(u32) -> bool,
        reuse: Reuse,
    ) {
        for (place, slot) in self.0.iter().enumerate() {
            let mut word = slot.load(Ordering::Acquire);
            if reuse.allows(word) {
                continue;
            }
            let token = slot::token(word);
            let copy = &if goes_high(token) { high } else { low }.0[place];
            copy.store(word, Ordering::Release);
            while slot::is_live(word) {
                match slot.compare_exchange(
                    word,
                    slot::moved(token),
                    Ordering::AcqRel,
                    Ordering::Acquire,
                ) {
                    Ok(_) => break,
                    Err(now) => {
                        word = now;
                        copy.store(word, Ordering::Release);
                    }
                }
            }
        }
    }
}
