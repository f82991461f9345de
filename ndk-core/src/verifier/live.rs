//! Which region has a token: a table that is asked four times for each registration, and made for that. A general one takes
//! more than twice as many instructions.

use alloc::boxed::Box;
use alloc::vec;

/// Tokens with the places of their regions, in the first free slot from the one that the token's hash says. A free slot is
/// 0, as no token is. At most half of them are taken, so that few are looked at.
pub(super) struct Live {
    slots: Box<[u64]>,
    taken: usize,
}

const FEWEST: usize = 64;

fn slot(token: u32, place: u32) -> u64 {
    u64::from(token) << 32 | u64::from(place)
}

fn token(slot: u64) -> u32 {
    (slot >> 32) as u32
}

impl Live {
    pub(super) fn new() -> Self {
        Self { slots: vec![0; FEWEST].into_boxed_slice(), taken: 0 }
    }

    /// Where a token is looked for first. There are a power of two of slots.
    #[inline]
    fn first(&self, token: u32) -> usize {
        let hash = u64::from(token).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        hash as usize & (self.slots.len() - 1)
    }

    /// Where a token is, which is not 0, or else the free slot that would be its own.
    #[inline]
    fn find(&self, wanted: u32) -> usize {
        let mut index = self.first(wanted);
        while self.slots[index] != 0 && token(self.slots[index]) != wanted {
            index = (index + 1) & (self.slots.len() - 1);
        }
        index
    }

    /// The place of the region that has a token.
    #[inline]
    pub(super) fn get(&self, token: u32) -> Option<u32> {
        match self.slots[self.find(token)] {
            0 => None,
            found => Some(found as u32),
        }
    }

    /// A region has a token from now on; gives the place of the one that had it.
    #[inline]
    pub(super) fn insert(&mut self, token: u32, place: u32) -> Option<u32> {
        let index = self.find(token);
        let before = core::mem::replace(&mut self.slots[index], slot(token, place));
        if before != 0 {
            return Some(before as u32);
        }
        self.taken += 1;
        if self.taken > self.slots.len() / 2 {
            self.grow();
        }
        None
    }

    /// A region has a token no more, if it had it.
    #[inline]
    pub(super) fn remove(&mut self, token: u32, place: u32) {
        let index = self.find(token);
        if self.slots[index] == slot(token, place) {
            self.empty(index);
            self.taken -= 1;
        }
    }

    /// Empties a slot, and moves what was put behind it for want of a free one.
    #[inline]
    fn empty(&mut self, mut hole: usize) {
        let mask = self.slots.len() - 1;
        let mut next = (hole + 1) & mask;
        while self.slots[next] != 0 {
            let first = self.first(token(self.slots[next]));
            // Not in front of where it is looked for first.
            if next.wrapping_sub(first) & mask >= next.wrapping_sub(hole) & mask {
                self.slots[hole] = self.slots[next];
                hole = next;
            }
            next = (next + 1) & mask;
        }
        self.slots[hole] = 0;
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self) {
        let larger = vec![0; 2 * self.slots.len()].into_boxed_slice();
        let before = core::mem::replace(&mut self.slots, larger);
        for taken in before.into_iter().filter(|&taken| taken != 0) {
            let index = self.find(token(taken));
            self.slots[index] = taken;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn it_holds_what_a_map_would() {
        let (mut live, mut map) = (Live::new(), HashMap::new());
        let mut state = 1_u64;
        // Few tokens at first, so that they are found, taken over and removed often, then more than there is room for.
        for (steps, tokens) in [(20_000, 40), (20_000, 4_000), (20_000, 10)] {
            for _ in 0..steps {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let (random, place) = ((state >> 33) as u32, (state >> 20) as u32 % 3);
                let token = 1 + random % tokens;
                match random / tokens % 3 {
                    0 => {
                        live.remove(token, place);
                        if map.get(&token) == Some(&place) {
                            map.remove(&token);
                        }
                    }
                    1 => assert_eq!(live.insert(token, place), map.insert(token, place)),
                    _ => assert_eq!(live.get(token), map.get(&token).copied()),
                }
            }
            assert_eq!(live.taken, map.len());
            assert!((1..=4_000).all(|token| live.get(token) == map.get(&token).copied()));
        }
        assert!(live.slots.len() >= 2 * live.taken);
    }
}
