//! Logical address mappings.
//!
//! A logical address is a mapping's number and the offset in it, so it says nothing of host memory, a contiguous
//! buffer has contiguous addresses (L1), and one page leads to one look-up. A number is not used again while the
//! mapping, or anything that was registered through it, lives.

use ndk_core::{Error, ErrorKind, Mapping, Result};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

/// 1 TiB for each mapping, and the top bit stays 0.
const NUMBER_SHIFT: u32 = 40;
const NUMBERS: u32 = 1 << (63 - NUMBER_SHIFT);
const PAGE_SHIFT: u32 = 12;
const PAGE: u64 = 1 << PAGE_SHIFT;
const MAX_PAGES: usize = 1 << (NUMBER_SHIFT - PAGE_SHIFT);

/// The frames of a mapping. Whoever works on them holds the `Arc`, so a release waits for nobody (L4).
#[derive(Debug)]
pub(crate) struct Mapped {
    pub(crate) frames: Vec<usize>,
}

/// Pages of mappings, which they keep.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    pub(crate) frames: Vec<usize>,
    pub(crate) mappings: Vec<Arc<Mapped>>,
}

/// The mappings of a device.
#[derive(Debug, Default)]
pub(crate) struct Mappings(RwLock<Numbers>);

#[derive(Debug, Default)]
struct Numbers {
    live: HashMap<u32, Arc<Mapped>>,
    /// Released, and perhaps in use still.
    released: HashMap<u32, Weak<Mapped>>,
    last: u32,
}

impl Mappings {
    /// Maps the frames; writes each page's logical address to `pages`.
    pub(crate) fn build(&self, frames: Vec<usize>, pages: &mut [u64]) -> Result<Mapping> {
        if frames.len() > MAX_PAGES {
            let cause = "the mapping is larger than 1 TiB";
            return Err(Error::new(ErrorKind::InsufficientResources, cause).rule("L4"));
        }
        let mut numbers = self.0.write();
        let Some(number) = numbers.take() else {
            let cause = "every mapping number is in use";
            return Err(Error::new(ErrorKind::InsufficientResources, cause).rule("L4"));
        };
        numbers.live.insert(number, Arc::new(Mapped { frames }));
        let base = u64::from(number) << NUMBER_SHIFT;
        for (index, page) in pages.iter_mut().enumerate() {
            *page = base | (index as u64) << PAGE_SHIFT;
        }
        Ok(Mapping(number as usize))
    }

    /// Releases a mapping; false where there is none of that name.
    pub(crate) fn release(&self, mapping: Mapping) -> bool {
        let mut numbers = self.0.write();
        let Some((number, mapped)) =
            u32::try_from(mapping.0).ok().and_then(|number| numbers.live.remove_entry(&number))
        else {
            return false;
        };
        if Arc::strong_count(&mapped) > 1 {
            numbers.released.insert(number, Arc::downgrade(&mapped));
        }
        true
    }

    /// The mapping that has all of `length` bytes at `address`, and where they begin in it (L2).
    pub(crate) fn find(&self, address: u64, length: u64) -> Option<(Arc<Mapped>, u64)> {
        let number = u32::try_from(address >> NUMBER_SHIFT).ok()?;
        let offset = address & ((1 << NUMBER_SHIFT) - 1);
        let numbers = self.0.read();
        let mapped = numbers.live.get(&number)?;
        let size = (mapped.frames.len() as u64) << PAGE_SHIFT;
        let inside = offset < size && length <= size - offset;
        inside.then(|| (mapped.clone(), offset))
    }

    /// The frames of pages that have these addresses, and the mappings that they are of; `None` where a page is not
    /// wholly inside one (L2). Pages that follow each other in a mapping are looked up as one.
    pub(crate) fn resolve(&self, addresses: &[u64]) -> Option<Pages> {
        let mut pages = Pages { frames: Vec::with_capacity(addresses.len()), mappings: Vec::new() };
        let mut rest = addresses;
        while let Some(&first) = rest.first() {
            let (mapped, offset) = self.find(first, PAGE)?;
            let start = (offset >> PAGE_SHIFT) as usize;
            let room = ((mapped.frames.len() as u64) << PAGE_SHIFT) - offset;
            let whole = rest.len().min((room >> PAGE_SHIFT) as usize);
            let follow = |pair: &&[u64]| pair[1] == pair[0] + PAGE;
            let run = 1 + rest[..whole].windows(2).take_while(follow).count();
            pages.frames.extend_from_slice(&mapped.frames[start..start + run]);
            rest = &rest[run..];
            if !pages.mappings.last().is_some_and(|last| Arc::ptr_eq(last, &mapped)) {
                pages.mappings.push(mapped);
            }
        }
        Some(pages)
    }
}

impl Numbers {
    /// A number that nothing goes by: the next after the last one, so that an old address stays unknown for long.
    fn take(&mut self) -> Option<u32> {
        self.released.retain(|_, mapped| mapped.strong_count() > 0);
        for _ in 0..=self.live.len() + self.released.len() {
            // 0 is left out: no logical address is 0.
            self.last = self.last % (NUMBERS - 1) + 1;
            if !self.live.contains_key(&self.last) && !self.released.contains_key(&self.last) {
                return Some(self.last);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l1_addresses_are_contiguous_opaque_and_not_reused_at_once() {
        let mappings = Mappings::default();
        let mut pages = [0; 3];
        let first = mappings.build(vec![7, 9, 8], &mut pages).unwrap();
        assert!(pages.iter().all(|page| page >> 63 == 0 && page & 0xfff == 0));
        assert_eq!((pages[1], pages[2]), (pages[0] + 4096, pages[0] + 8192));
        assert!(mappings.release(first));
        assert!(!mappings.release(first), "released once only");
        let mut again = [0; 3];
        mappings.build(vec![7, 9, 8], &mut again).unwrap();
        assert_ne!(pages[0], again[0]);
    }

    #[test]
    fn l2_a_range_is_wholly_inside_one_mapping_or_unknown() {
        let mappings = Mappings::default();
        let mut pages = [0; 2];
        let name = mappings.build(vec![1, 2], &mut pages).unwrap();
        assert_eq!(mappings.find(pages[0] + 5, 8187).map(|(_, offset)| offset), Some(5));
        assert!(mappings.find(pages[0], 8193).is_none());
        assert!(mappings.find(pages[0] + 8192, 0).is_none());
        assert!(mappings.find(pages[0], u64::MAX).is_none());
        assert!(mappings.find(0, 1).is_none());
        let used = mappings.find(pages[0], 1).unwrap();
        assert!(mappings.release(name));
        assert!(mappings.find(pages[0], 1).is_none());
        assert_eq!(used.0.frames, [1, 2], "what is in use lives on");
    }

    #[test]
    fn l2_pages_in_any_order_are_resolved_and_one_outside_refuses_all() {
        let mappings = Mappings::default();
        let (mut one, mut two) = ([0; 3], [0; 2]);
        mappings.build(vec![10, 11, 12], &mut one).unwrap();
        let name = mappings.build(vec![20, 21], &mut two).unwrap();
        let frames = |addresses: &[u64]| Some(mappings.resolve(addresses)?.frames);
        assert_eq!(frames(&one), Some(vec![10, 11, 12]));
        let mixed = [one[1], one[2], two[0], two[1], two[1], one[0], one[2], two[0]];
        let resolved = mappings.resolve(&mixed).unwrap();
        assert_eq!(resolved.frames, [11, 12, 20, 21, 21, 10, 12, 20]);
        let kept: Vec<_> = resolved.mappings.iter().map(|mapped| mapped.frames[0]).collect();
        assert_eq!(kept, [10, 20, 10, 20], "each run keeps its mapping");
        // The address after a mapping's last page, a page that is only begun inside, and one of no mapping.
        assert_eq!(frames(&[one[0], one[1], one[2], one[2] + PAGE]), None);
        assert_eq!(frames(&[two[0], two[1] + 1]), None);
        assert_eq!(frames(&[two[0], 0]), None);
        assert_eq!(frames(&[]), Some(vec![]));
        assert!(mappings.release(name));
        assert_eq!(frames(&mixed), None);
        assert_eq!(resolved.frames[2], 20, "what is in use lives on");
    }
}
