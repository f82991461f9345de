//! The logical address mappings of an adapter: the page frames that each leads to (V12), and the fast registrations and
//! elements of requests that use it (L4).

use super::desks::overlap;
use super::spread::Table;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Range;

/// Every mapping that is there, or in use. A backend may give the number of one that was released to the next, so that each
/// has a number of its own here.
#[derive(Default)]
pub(super) struct Mappings {
    next: u64,
    /// Those that were not released, by the backend's number.
    live: Table<usize, u64>,
    known: Table<u64, Mapped>,
    /// The first of adjacent logical pages, with the end of the last, and whose they are.
    runs: BTreeMap<u64, (u64, u64)>,
}

struct Mapped {
    frames: Vec<Range<usize>>,
    runs: Vec<u64>,
    uses: usize,
    is_released: bool,
}

const PAGE: u64 = crate::abi::PAGE_SIZE as u64;

impl Mappings {
    /// A mapping was built, with these addresses.
    pub(super) fn add(&mut self, mapping: usize, frames: Vec<Range<usize>>, pages: &[u64]) {
        self.next += 1;
        let (number, mut runs) = (self.next, Vec::new());
        let follows = |one: &u64, next: &u64| one.wrapping_add(PAGE) == *next;
        for run in pages.chunk_by(follows) {
            self.runs.insert(run[0], (run[0].wrapping_add(run.len() as u64 * PAGE), number));
            runs.push(run[0]);
        }
        self.known.insert(number, Mapped { frames, runs, uses: 0, is_released: false });
        self.live.insert(mapping, number);
    }

    /// Something begins to use what is at these addresses; gives whose they are, to be handed to `end`.
    pub(super) fn begin(&mut self, addresses: &[u64]) -> Vec<u64> {
        let mut used: Vec<u64> =
            addresses.iter().filter_map(|&address| self.owner(address)).collect();
        used.sort_unstable();
        used.dedup();
        for number in &used {
            if let Some(mapped) = self.known.get_mut(number) {
                mapped.uses += 1;
            }
        }
        used
    }

    fn owner(&self, address: u64) -> Option<u64> {
        let (_, &(end, number)) = self.runs.range(..=address).next_back()?;
        (address < end).then_some(number)
    }

    /// A use is over.
    pub(super) fn end(&mut self, used: &[u64]) {
        for &number in used {
            let Some(mapped) = self.known.get_mut(&number) else { continue };
            mapped.uses -= 1;
            if mapped.uses == 0 && mapped.is_released {
                self.forget(number);
            }
        }
    }

    /// The mapping is released; gives how many use it.
    pub(super) fn release(&mut self, mapping: usize) -> usize {
        let Some(number) = self.live.remove(&mapping) else { return 0 };
        let Some(mapped) = self.known.get_mut(&number) else { return 0 };
        mapped.is_released = true;
        let uses = mapped.uses;
        if uses == 0 {
            self.forget(number);
        }
        uses
    }

    fn forget(&mut self, number: u64) {
        let Some(mapped) = self.known.remove(&number) else { return };
        for start in mapped.runs {
            // Another's by now, if its addresses were given out again.
            if self.runs.get(&start).is_some_and(|&(_, owner)| owner == number) {
                self.runs.remove(&start);
            }
        }
    }

    /// The adapter is shut down.
    pub(super) fn clear(&mut self) {
        self.live.clear();
        self.known.clear();
        self.runs.clear();
    }

    /// Whether a mapping that leads to one of the frames is there, or in use.
    pub(super) fn hold(&self, frames: &Range<usize>) -> bool {
        self.known.values().any(|mapped| mapped.frames.iter().any(|range| overlap(range, frames)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(range: Range<usize>) -> Vec<Range<usize>> {
        core::iter::once(range).collect()
    }

    #[test]
    fn a_mapping_is_known_until_it_is_released_and_its_last_use_is_over() {
        let mut mappings = Mappings::default();
        mappings.add(1, frames(5..7), &[0x1000, 0x2000, 0x9000]);
        mappings.add(2, frames(8..9), &[0x3000]);
        let used = [mappings.begin(&[0x2000, 0x9000]), mappings.begin(&[0x1000, 0x3000])];
        assert_eq!((used[0].len(), used[1].len()), (1, 2));
        assert!(mappings.begin(&[0x4000, 0x8000, 0xa000]).is_empty());
        assert_eq!((mappings.release(1), mappings.release(1)), (2, 0));
        mappings.end(&used[0]);
        assert!(mappings.hold(&(6..20)));
        mappings.end(&used[1]);
        assert!(!mappings.hold(&(0..8)) && mappings.hold(&(8..9)));
        assert_eq!(mappings.release(2), 0);
        assert!(mappings.known.is_empty() && mappings.runs.is_empty());
    }

    #[test]
    fn a_number_and_addresses_that_are_given_out_again_are_those_of_the_new_mapping() {
        let mut mappings = Mappings::default();
        mappings.add(1, frames(5..6), &[0x1000]);
        let old = mappings.begin(&[0x1000]);
        assert_eq!(mappings.release(1), 1);
        mappings.add(1, frames(7..8), &[0x1000]);
        mappings.end(&old);
        assert!(!mappings.hold(&(5..6)));
        assert_eq!(mappings.begin(&[0x1000]).len(), 1);
        assert_eq!(mappings.release(1), 1);
    }
}
