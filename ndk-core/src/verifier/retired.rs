//! Tokens that were live lately: a ring of them that forgets the oldest, an index, and marks that are small enough for a
//! cache. Nearly all that are looked for are not there, and cost a look at the marks.

use super::spread::spread;
use crate::prefetch::prefetch;
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

/// What a token's hash says.
struct Place {
    /// The set of the index that the token's entry is in.
    set: usize,
    /// The entry's tag, above the bits of a place.
    tag: u32,
    mark: u8,
}

impl Place {
    fn of(token: u32) -> Self {
        let hash = spread(token.into());
        let tag = (hash >> 32) as u32 & !(MOST as u32 - 1);
        Self { set: hash as usize % SETS, tag, mark: (hash >> 32) as u8 }
    }
}

/// The marks of the tokens of a set, a byte each, the latest in the lowest.
#[derive(Clone, Copy)]
struct Marks(u32);

impl Marks {
    const ONES: u32 = 0x0101_0101;

    /// Whether a mark is there, or else one that differs in its lowest bit and stands above it.
    fn may_have(self, mark: u8) -> bool {
        let differences = self.0 ^ (u32::from(mark) * Self::ONES);
        differences.wrapping_sub(Self::ONES) & !differences & (Self::ONES << 7) != 0
    }

    fn push(&mut self, mark: u8) {
        self.0 = self.0 << u8::BITS | u32::from(mark);
    }
}

/// The ring. A set of the index that is full forgets its oldest, so that a few go before their time.
#[derive(Default)]
pub(super) struct Retirees {
    ring: Box<[Packed]>,
    next: usize,
    index: Box<[[u32; WAYS]]>,
    marks: Box<[Marks]>,
}

impl Retirees {
    pub(super) fn insert(&mut self, retired: Retired) {
        if self.ring.is_empty() {
            self.ring = vec![[0; 2]; MOST].into_boxed_slice();
            self.index = vec![[0; WAYS]; SETS].into_boxed_slice();
            self.marks = vec![Marks(0); SETS].into_boxed_slice();
        }
        let Place { set, tag, mark } = Place::of(retired.token);
        self.marks[set].push(mark);
        let set = &mut self.index[set];
        let [first, second, third, _] = *set;
        *set = [Entry::new(self.next, tag).0, first, second, third];
        self.ring[self.next] = retired.pack();
        self.next = (self.next + 1) % MOST;
    }

    /// Where a token is, which is not 0.
    fn find(&self, token: u32) -> Option<usize> {
        let Place { set, tag, mark } = Place::of(token);
        if self.marks.get(set)?.may_have(mark) { self.find_among(set, tag, token) } else { None }
    }

    #[cold]
    #[inline(never)]
    fn find_among(&self, set: usize, tag: u32, token: u32) -> Option<usize> {
        let entries = self.index[set].iter().map(|&entry| Entry(entry));
        let mut places = entries.filter(|entry| entry.has(tag)).map(Entry::place);
        places.find(|&place| Retired::unpack(self.ring[place]).token == token)
    }

    /// Forgets a token, which is not 0, and gives what was known of it. The token is live from now on, so that its entry will
    /// be written when it is retired: the processor is asked for the place.
    pub(super) fn remove(&mut self, token: u32) -> Option<Retired> {
        let found = self.find(token);
        if let Some(set) = self.index.get(Place::of(token).set) {
            prefetch(set.as_ptr());
        }
        Some(Retired::unpack(core::mem::take(&mut self.ring[found?])))
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
        for (marks, mark, is_there) in [
            (0x1234_5678, 0x34, true),
            (0x1234_5678, 0x12, true),
            (0x1234_5678, 0x78, true),
            (0x1234_5678, 0x33, false),
            (0, 0, true),
            (0, 0x80, false),
            (!0, 0xFF, true),
        ] {
            assert_eq!(Marks(marks).may_have(mark), is_there, "{marks:#x} {mark:#x}");
        }
        // One that comes back is found at its new place.
        [7, 8, 7].into_iter().for_each(|token| retirees.insert(retired(token)));
        assert!(retirees.remove(7).is_some() && retirees.get(8).is_some());
    }
}
