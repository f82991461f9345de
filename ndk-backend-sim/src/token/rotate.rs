//! Rotation: a new token for the same record that differs from the old one in its low 8 bits only.
//!
//! It has two steps, since a posted request knows its token before it is carried out: a *sibling* of the live token is made
//! live beside it, and later the old one is left behind. In between, both lead to the record.
//!
//! The 256 tokens with the same upper 24 bits are a *family*. Tokens that rotations of a family left behind may come back
//! to that family's next rotation at once: the exception to D4 that contract E4 declares. To everybody else they are
//! tombstones like any other.
//!
//! A slot has two tokens, of two families as a rule. Where one of them is left behind and the other stays, the slot stays
//! live, and it is the record that tells its token from a former one.

use core::sync::atomic::Ordering;

use super::slots::{Mask, NEAR};
use super::{SHARDS, Token, TokenTable, slot};

impl TokenTable {
    /// Makes another token of the family live for the same record, drawn at random among those that can be had. The given
    /// one stays live.
    ///
    /// `None` if the token is not live or its family has no other to give; then nothing has changed.
    pub fn sibling(&self, shard: usize, token: Token) -> Option<Token> {
        let number = self.number(token.get());
        loop {
            let mut draws = self.shards[shard % SHARDS].0.lock();
            let mask = self.slots.mask();
            let (_, word) = self.slots.find(number)?;
            let new = self.take_sibling(mask, token, slot::index(word), draws.draw());
            drop(draws);
            if new.is_some() || !self.grow(mask) {
                return new;
            }
        }
    }

    /// Makes a live token dead that has a live sibling; false if it was not live. Not counted as a removal. The token that
    /// has the same slot goes with it.
    pub fn leave(&self, token: Token) -> bool {
        let number = self.number(token.get());
        while let Some((slot, word)) = self.slots.find(number) {
            let tomb = slot::rotated(number, self.epochs.current());
            // Where it fails, the token was removed, or another thread moves it.
            if slot.compare_exchange(word, tomb, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return true;
            }
        }
        false
    }

    /// Makes another member of the token's family live for the record.
    fn take_sibling(&self, mask: Mask, token: Token, index: u32, random: u32) -> Option<Token> {
        // An odd step visits every member once.
        let (start, step) = (random, random >> 8 | 1);
        let member = |n: u32| {
            Token::new(token.get() & !0xFF | start.wrapping_add(n.wrapping_mul(step)) & 0xFF)
        };
        let others = || (0..256).filter_map(member).filter(|other| *other != token);
        // Rotations do not count as removals, so their tombstones may stay for long. At first they may fill the table only
        // by half, place by place; a family that has left none behind, and finds no such room, takes what is left.
        let half = others().find(|other| self.take(mask, other.get(), index, NEAR / 2));
        half.or_else(|| others().find(|other| self.take(mask, other.get(), index, 1)))
    }

    /// Makes this token live: in the slot where a rotation left it, or in a free one if as many near it are.
    fn take(&self, mask: Mask, token: u32, index: u32, free: usize) -> bool {
        let number = self.number(token);
        if number == 0 {
            return false;
        }
        self.slots.fetch(number, mask);
        let live = slot::live(number, index);
        let slot = self.slots.slot(number, mask);
        let word = slot.load(Ordering::Acquire);
        if slot::is_rotated_as(word, number) {
            return slot.compare_exchange(word, live, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        }
        let reuse = self.epochs.reuse();
        self.slots.free_near(number, mask, reuse) >= free
            && self.slots.take(number, mask, reuse, live)
    }
}
