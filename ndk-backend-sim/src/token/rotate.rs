//! Rotation: a new token for the same record that differs from the old one in its low 8 bits only.
//!
//! The 256 tokens with the same upper 24 bits are a *family*. Tokens that rotations of a family left behind may come back
//! to that family's next rotation at once: the exception to D4 that contract E4 declares. To everybody else they are
//! tombstones like any other.

use core::sync::atomic::Ordering;

use super::bucket::SLOTS;
use super::levels::Array;
use super::{SHARDS, Token, TokenTable, slot};

impl TokenTable {
    /// Replaces a live token by another of its family, drawn at random among those that can be had. When this returns, the
    /// new token reaches the record and the old one does not; in between, both do.
    ///
    /// `None` if the token is not live or its family has no other to give; then nothing has changed. Not counted as
    /// a removal.
    pub fn rotate(&self, shard: usize, token: Token) -> Option<Token> {
        loop {
            let mut draws = self.shards[shard % SHARDS].draws.lock();
            let level = self.levels.current();
            let array = self.levels.array(level);
            let (old, word) = array.bucket(token.get()).find(token.get())?;
            let index = slot::index(word);
            let Some(new) = self.take_sibling(array, token, index, draws.draw().value) else {
                drop(draws);
                if self.grow(level) { continue } else { return None }
            };
            let tomb = slot::rotated(token.get(), self.epochs.current());
            if old.compare_exchange(word, tomb, Ordering::AcqRel, Ordering::Relaxed).is_err() {
                // Somebody removed the old token meanwhile. Nobody has been told the new one.
                self.retract(array, new.get(), index);
                return None;
            }
            return Some(new);
        }
    }

    /// Makes another member of the token's family live for the record.
    fn take_sibling(&self, array: &Array, token: Token, index: u32, random: u32) -> Option<Token> {
        // An odd step visits every member once.
        let (start, step) = (random, random >> 8 | 1);
        let member = |n: u32| {
            Token::new(token.get() & !0xFF | start.wrapping_add(n.wrapping_mul(step)) & 0xFF)
        };
        let others = || (0..256).filter_map(member).filter(|other| *other != token);
        // Rotations do not count as removals, so their tombstones may stay for long. At first they may fill the table only
        // by half; a family that has left none behind, and finds no such room, takes what is left.
        let half = others().find(|other| self.take(array, other.get(), index, SLOTS / 2));
        half.or_else(|| others().find(|other| self.take(array, other.get(), index, 1)))
    }

    /// Makes this token live: in the slot where a rotation left it, or in a fresh one if as many are free.
    fn take(&self, array: &Array, token: u32, index: u32, free: usize) -> bool {
        let bucket = array.bucket(token);
        let live = slot::live(token, index);
        if let Some((slot, word)) = bucket.find_rotated(token) {
            return slot.compare_exchange(word, live, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        }
        let reuse = self.epochs.reuse();
        bucket.free(reuse) >= free
            && bucket.claim(token, reuse).map(|slot| slot.store(live, Ordering::Release)).is_ok()
    }

    /// Takes a token back that was made live but told to nobody.
    fn retract(&self, array: &Array, token: u32, index: u32) {
        if let Some((slot, word)) = array.bucket(token).find(token)
            && word == slot::live(token, index)
        {
            let tomb = slot::rotated(token, self.epochs.current());
            // It can have changed only if somebody guessed the token and removed it, which is as good.
            let _ = slot.compare_exchange(word, tomb, Ordering::AcqRel, Ordering::Relaxed);
        }
    }
}
