//! Tokens that were live lately: a ring of them that forgets the oldest, and an index that is small enough for a cache.

use super::spread::spread;
use alloc::boxed::Box;
use alloc::vec;

/// Room for two tokens of each of the 65,536 deregistrations that D4 speaks of.
const MOST: usize = 131_072;
/// The index has as many places, in sets of four.
const WAYS: usize = 4;
const SETS: usize = MOST / WAYS;

/// A token that was a region's.
#[derive(Clone, Copy)]
pub(super) struct Retired {
    pub(super) token: u32,
    /// The low half of the region's number.
    pub(super) region: u32,
    /// How many deregistrations had begun by then.
    pub(super) at: u64,
}

/// As it is kept: token and region in one word, then the count. Plain words, so that a ring begins as memory of zeroes that
/// nobody has touched.
type Packed = [u64; 2];

impl Retired {
    fn pack(self) -> Packed {
        [u64::from(self.token) | u64::from(self.region) << 32, self.at]
    }

    fn unpack([who, at]: Packed) -> Self {
        Self { token: who as u32, region: (who >> 32) as u32, at }
    }
}

/// Where a token is in the ring, and some bits of the token's hash, by which most that are looked for in vain cost no look
/// there. It goes on saying so when another token has the place.
#[derive(Clone, Copy)]
struct Entry(u32);

impl Entry {
    fn new(place: usize, tag: u32) -> Self {
        Self(place as u32 | tag)
    }

    fn place(self) -> usize {
        self.0 as usize % MOST
    }

    fn has(self, tag: u32) -> bool {
        self.0 / MOST as u32 == tag / MOST as u32
    }
}

/// The set that a token's entry is in, and its tag, above the bits of a place.
fn set_and_tag(token: u32) -> (usize, u32) {
    let hash = spread(token.into());
    (hash as usize % SETS, (hash >> 32) as u32 & !(MOST as u32 - 1))
}

/// The ring. A set of the index that is full forgets its oldest, so that a few go before their time.
#[derive(Default)]
pub(super) struct Retirees {
    ring: Box<[Packed]>,
    next: usize,
    index: Box<[[u32; WAYS]]>,
}

impl Retirees {
    pub(super) fn insert(&mut self, retired: Retired) {
        if self.ring.is_empty() {
            self.ring = vec![[0; 2]; MOST].into_boxed_slice();
            self.index = vec![[0; WAYS]; SETS].into_boxed_slice();
        }
        let (set, tag) = set_and_tag(retired.token);
        let set = &mut self.index[set];
        let [first, second, third, _] = *set;
        *set = [Entry::new(self.next, tag).0, first, second, third];
        self.ring[self.next] = retired.pack();
        self.next = (self.next + 1) % MOST;
    }

    /// Where a token is, which is not 0.
    fn find(&self, token: u32) -> Option<usize> {
        let (set, tag) = set_and_tag(token);
        let entries = self.index.get(set)?.iter().map(|&entry| Entry(entry));
        let mut places = entries.filter(|entry| entry.has(tag)).map(Entry::place);
        places.find(|&place| Retired::unpack(self.ring[place]).token == token)
    }

    /// Forgets a token, which is not 0, and gives what was known of it.
    pub(super) fn remove(&mut self, token: u32) -> Option<Retired> {
        let place = self.find(token)?;
        Some(Retired::unpack(core::mem::take(&mut self.ring[place])))
    }

    pub(super) fn get(&self, token: u32) -> Option<Retired> {
        self.find(token).map(|place| Retired::unpack(self.ring[place]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn retired(token: u32) -> Retired {
        Retired { token, region: !token, at: token.into() }
    }

    #[test]
    fn what_comes_after_the_most_takes_the_place_of_the_oldest() {
        let mut retirees = Retirees::default();
        assert!(retirees.get(1).is_none() && retirees.remove(1).is_none(), "an empty one");
        let all = 1..=3 * MOST as u32;
        all.clone().for_each(|token| retirees.insert(retired(token)));
        let oldest = *all.end() - MOST as u32;
        assert!((1..=oldest).all(|token| retirees.get(token).is_none()));
        let known: Vec<u32> =
            (oldest + 1..=*all.end()).filter(|&token| retirees.get(token).is_some()).collect();
        assert!(known.len() > 100_000 && known.contains(all.end()), "{}", known.len());
        for token in known {
            let found = retirees.remove(token).expect("it was there");
            assert_eq!((found.token, found.region, found.at), (token, !token, token.into()));
            assert!(retirees.get(token).is_none());
        }
        // One that comes back is found at its new place.
        [7, 8, 7].into_iter().for_each(|token| retirees.insert(retired(token)));
        assert!(retirees.remove(7).is_some() && retirees.get(8).is_some());
    }
}
