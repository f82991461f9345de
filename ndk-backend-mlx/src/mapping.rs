//! Logical address mappings (L1 to L4).
//!
//! A logical address is a mapping's number and the offset in it, so it says nothing of host memory, a contiguous buffer
//! has contiguous addresses, and an address leads to its mapping by one indexed load. A number is a place and how often
//! the place was used; a place is free again when the mapping, and whatever was posted or registered through it, is gone.
//!
//! A mapping is registered, page by page and for local use, in every domain of the adapter: as many times as there are
//! domains the kernel counts its pages as locked.

use crate::domain::Domain;
use crate::handle::Mr;
use crate::memory::HostRange;
use crate::sys::object::IBV_ACCESS_LOCAL_WRITE;
use ndk_core::{Error, ErrorKind, Mapping, Result};
use parking_lot::{Mutex, MutexGuard};
use std::sync::{Arc, Weak};

/// 1 TiB for each mapping, and the top bit stays 0.
const NUMBER_SHIFT: u32 = 40;
const PLACE_BITS: u32 = 16;
const PLACES: usize = 1 << PLACE_BITS;
const USES: u32 = 1 << (63 - NUMBER_SHIFT - PLACE_BITS);
pub(crate) const PAGE: usize = 4096;

/// The memory of a mapping, whole pages. Whoever works on it holds the `Arc`, so a release waits for nobody (L4).
pub(crate) struct Mapped {
    number: u32,
    /// The host address of the first page.
    pub(crate) host: usize,
    pub(crate) length: u64,
    numbers: Arc<Mutex<Numbers>>,
}

impl Mapped {
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    fn range(&self) -> HostRange {
        // The device counts from the host address; posting translates.
        HostRange { address: self.host, length: self.length as usize, base: self.host as u64 }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        self.numbers.lock().give_back(self.number);
    }
}

/// A mapping as one domain has it: with the device's key.
pub(crate) struct Keyed {
    mr: Option<Mr>,
    pub(crate) key: u32,
    pub(crate) mapped: Arc<Mapped>,
    domain: Weak<Domain>,
}

impl Keyed {
    /// Registers a mapping in a domain. Blocks.
    fn new(domain: &Arc<Domain>, mapped: &Arc<Mapped>) -> Result<Arc<Self>> {
        let mr = domain.pd.register(mapped.range(), IBV_ACCESS_LOCAL_WRITE)?;
        let (key, mapped) = (mr.local_key(), mapped.clone());
        Ok(Arc::new(Self { mr: Some(mr), key, mapped, domain: Arc::downgrade(domain) }))
    }

    /// The host address of a logical one, where all of `length` bytes there are in this mapping (L2).
    pub(crate) fn host_of(&self, address: u64, length: u64) -> Option<usize> {
        let (number, offset) = split(address)?;
        let mapped = &self.mapped;
        let inside = offset < mapped.length && length <= mapped.length - offset;
        (mapped.number == number && inside).then(|| mapped.host + offset as usize)
    }
}

impl Drop for Keyed {
    fn drop(&mut self) {
        let mr = self.mr.take();
        // The last use may end on any thread, also where nothing may block.
        if let Some(domain) = self.domain.upgrade() {
            domain.device().pool.spawn(move || drop(mr));
        }
    }
}

/// The places of mappings.
#[derive(Default)]
struct Numbers {
    free: Vec<u32>,
    used: u32,
}

impl Numbers {
    fn take(&mut self) -> Result<u32> {
        // A place is used again as late as possible, and with another number each time.
        if (self.used as usize) < PLACES {
            self.used += 1;
            return Ok(1 << PLACE_BITS | (self.used - 1));
        }
        if self.free.is_empty() {
            let cause = format!("the adapter has {PLACES} mappings, which is its limit");
            return Err(Error::new(ErrorKind::InsufficientResources, cause).rule("L4"));
        }
        Ok(self.free.remove(0))
    }

    fn give_back(&mut self, number: u32) {
        let (uses, place) = (number >> PLACE_BITS, number & (PLACES as u32 - 1));
        self.free.push((uses % (USES - 1) + 1) << PLACE_BITS | place);
    }
}

/// Where a number stands in the tables of domains.
pub(crate) fn place_of(number: u32) -> usize {
    number as usize & (PLACES - 1)
}

/// The number and the offset of a logical address; `None` for what is none.
pub(crate) fn split(address: u64) -> Option<(u32, u64)> {
    let number = u32::try_from(address >> NUMBER_SHIFT).ok()?;
    Some((number, address & ((1 << NUMBER_SHIFT) - 1)))
}

/// The mappings of an adapter, and its domains, which have them all.
#[derive(Default)]
pub(crate) struct Mappings {
    numbers: Arc<Mutex<Numbers>>,
    registry: Mutex<Registry>,
}

#[derive(Default)]
pub(crate) struct Registry {
    live: Vec<Arc<Mapped>>,
    pub(crate) domains: Vec<Option<Weak<Domain>>>,
}

impl Mappings {
    /// The registry, for whoever makes or ends a domain. Held while mappings are registered, so that none is missed.
    pub(crate) fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock()
    }

    /// Maps the pages that a range touches, and writes the logical address of each. Blocks.
    pub(crate) fn build(&self, range: HostRange, pages: &mut [u64]) -> Result<Mapping> {
        let host = range.address & !(PAGE - 1);
        let length = (pages.len() * PAGE) as u64;
        if length > 1 << NUMBER_SHIFT {
            let cause = "the mapping is larger than 1 TiB";
            return Err(Error::new(ErrorKind::InsufficientResources, cause).rule("L4"));
        }
        let number = self.numbers.lock().take()?;
        let mapped = Arc::new(Mapped { number, host, length, numbers: self.numbers.clone() });
        let mut registry = self.registry();
        let domains: Vec<_> = registry.domains().collect();
        let keyed = domains.iter().map(|domain| Keyed::new(domain, &mapped));
        let keyed = keyed.collect::<Result<Vec<_>>>()?;
        for (domain, keyed) in domains.iter().zip(keyed) {
            domain.enter_mapping(keyed);
        }
        registry.live.push(mapped);
        let first = u64::from(number) << NUMBER_SHIFT;
        for (index, page) in pages.iter_mut().enumerate() {
            *page = first | (index * PAGE) as u64;
        }
        Ok(Mapping(number as usize))
    }

    /// Releases a mapping; false where there is none of that name.
    pub(crate) fn release(&self, mapping: Mapping) -> bool {
        let mut registry = self.registry();
        let named = |mapped: &Arc<Mapped>| mapped.number as usize == mapping.0;
        let Some(at) = registry.live.iter().position(named) else { return false };
        let mapped = registry.live.swap_remove(at);
        registry.domains().for_each(|domain| domain.forget_mapping(mapped.number));
        true
    }
}

impl Registry {
    fn domains(&self) -> impl Iterator<Item = Arc<Domain>> + '_ {
        self.domains.iter().flatten().filter_map(Weak::upgrade)
    }

    /// Registers the live mappings in a new domain. Blocks.
    pub(crate) fn register_in(&self, domain: &Arc<Domain>) -> Result<()> {
        for mapped in &self.live {
            domain.enter_mapping(Keyed::new(domain, mapped)?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l1_numbers_come_back_late_and_never_the_same() {
        let numbers = Arc::<Mutex<Numbers>>::default();
        let first = numbers.lock().take().unwrap();
        let mapped = Mapped { number: first, host: 0, length: 0, numbers: numbers.clone() };
        for _ in 1..PLACES {
            assert_ne!(numbers.lock().take().unwrap(), first);
        }
        assert_eq!(numbers.lock().take().unwrap_err().rule_id(), "L4");
        drop(mapped);
        let again = numbers.lock().take().unwrap();
        assert_eq!(place_of(again), place_of(first));
        assert_ne!(again, first);
        assert!((1..USES << PLACE_BITS).contains(&again), "{again:#x}");
    }

    #[test]
    fn l1_an_address_is_taken_apart_and_the_top_bit_is_free() {
        let number = (USES - 1) << PLACE_BITS | (PLACES as u32 - 1);
        let address = u64::from(number) << NUMBER_SHIFT | 0x1234;
        assert_eq!(address >> 63, 0);
        assert_eq!(split(address), Some((number, 0x1234)));
        assert_eq!(split(0x1234), Some((0, 0x1234)), "a number that no mapping has");
        assert_eq!(split(u64::MAX).map(|(number, _)| number >> 23), Some(1), "nor this");
    }
}
