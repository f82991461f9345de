//! A protection domain: the device's, and what its queue pairs look up by key.

use crate::binder::Binder;
use crate::device::Device;
use crate::handle::{IndirectKey, Mr, Mw, Pd};
use crate::key;
use crate::mapping::{Keyed, place_of, split};
use crate::memory::HostRange;
use crate::mlx5::indirect::Indirect;
use ndk_core::{Error, ErrorKind, Result};
use parking_lot::RwLock;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

/// A protection domain of an adapter.
pub struct MlxPd(pub(crate) Arc<Domain>);

/// What regions, windows and queue pairs of a domain share.
pub(crate) struct Domain {
    pub(crate) pd: Arc<Pd>,
    /// The privileged token (L5), which posting replaces.
    pub(crate) privileged: u32,
    place: usize,
    /// The adapter's mappings by their place.
    mappings: RwLock<Vec<Option<Arc<Keyed>>>>,
    /// Windows by their key.
    binders: RwLock<HashMap<u32, Weak<Binder>>>,
    /// Indirect keys by their value.
    indirects: RwLock<HashMap<u32, Weak<Indirect>>>,
    /// Local keys of regions that take reads and no receives (F4): to the device, both are local writes.
    read_sinks: RwLock<HashSet<u32>>,
    /// How many there are; asked at every receive.
    read_sink_count: AtomicUsize,
}

/// A device that gives out a reserved key is asked this many times.
const TRIES: usize = 4;

impl Domain {
    /// Makes a domain and registers the live mappings in it. Blocks.
    pub(crate) fn new(device: &Arc<Device>) -> Result<Arc<Self>> {
        let pd = Arc::new(Pd::new(device)?);
        let mut registry = device.mappings.registry();
        let is_free =
            |domain: &Option<Weak<Self>>| domain.as_ref().is_none_or(|it| it.strong_count() == 0);
        let free = registry.domains.iter().position(is_free);
        let place = free.unwrap_or(registry.domains.len());
        if place >= key::DOMAINS {
            let cause = format!("the adapter has {place} domains, which is its limit");
            return Err(Error::new(ErrorKind::InsufficientResources, cause));
        }
        let domain = Arc::new(Self {
            pd,
            privileged: key::privileged(place),
            place,
            mappings: RwLock::default(),
            binders: RwLock::default(),
            indirects: RwLock::default(),
            read_sinks: RwLock::default(),
            read_sink_count: AtomicUsize::new(0),
        });
        registry.register_in(&domain)?;
        if free.is_none() {
            registry.domains.push(None);
        }
        registry.domains[place] = Some(Arc::downgrade(&domain));
        Ok(domain)
    }

    /// Gives up what the domain has of the device, but for what a request still holds. Blocks.
    pub(crate) fn close(&self) {
        self.device().mappings.registry().domains[self.place] = None;
        let mappings = std::mem::take(&mut *self.mappings.write());
        drop(mappings);
    }

    pub(crate) fn device(&self) -> &Arc<Device> {
        self.pd.device()
    }

    /// Registers memory for a region. Blocks.
    pub(crate) fn register(&self, range: HostRange, flags: u32) -> Result<Mr> {
        let register = || self.pd.register(range, flags);
        unreserved(register, |mr| key::is_reserved(mr.local_key()))
    }

    /// Makes an indirect key. Blocks.
    pub(crate) fn indirect_key(&self, runs: usize) -> Result<IndirectKey> {
        unreserved(|| self.pd.indirect_key(runs), |key| key::is_reserved(key.value()))
    }

    /// Makes a window. Blocks.
    pub(crate) fn window(&self) -> Result<Mw> {
        unreserved(|| self.pd.window(), |mw| key::is_reserved(mw.key()))
    }

    pub(crate) fn enter_mapping(&self, keyed: Arc<Keyed>) {
        let place = place_of(keyed.mapped.number());
        let mut mappings = self.mappings.write();
        if mappings.len() <= place {
            mappings.resize(place + 1, None);
        }
        mappings[place] = Some(keyed);
    }

    pub(crate) fn forget_mapping(&self, number: u32) {
        let forgotten = self.mappings.write().get_mut(place_of(number)).and_then(Option::take);
        drop(forgotten);
    }

    /// The mapping that has all of `length` bytes at a logical address, and the first byte's host address (L2).
    ///
    /// # Errors
    /// INVALID_PARAMETER.
    pub(crate) fn find_mapped(&self, address: u64, length: u64) -> Result<(Arc<Keyed>, usize)> {
        let found = split(address).and_then(|(number, _)| {
            let mappings = self.mappings.read();
            let keyed = mappings.get(place_of(number))?.as_ref()?;
            keyed.host_of(address, length).map(|host| (keyed.clone(), host))
        });
        found.ok_or_else(|| {
            let cause = "a logical address is not wholly inside one live mapping";
            Error::new(ErrorKind::InvalidParameter, cause).rule("L2")
        })
    }

    pub(crate) fn enter_binder(&self, key: u32, binder: &Arc<Binder>) {
        self.binders.write().insert(key, Arc::downgrade(binder));
    }

    pub(crate) fn forget_binder(&self, key: u32) {
        self.binders.write().remove(&key);
    }

    /// The window of a key.
    pub(crate) fn binder(&self, key: u32) -> Option<Arc<Binder>> {
        self.binders.read().get(&key)?.upgrade()
    }

    pub(crate) fn enter_indirect(&self, value: u32, indirect: &Arc<Indirect>) {
        self.indirects.write().insert(value, Arc::downgrade(indirect));
    }

    pub(crate) fn forget_indirect(&self, value: u32) {
        self.indirects.write().remove(&value);
    }

    /// The indirect key of a value.
    pub(crate) fn indirect(&self, value: u32) -> Option<Arc<Indirect>> {
        self.indirects.read().get(&value)?.upgrade()
    }

    pub(crate) fn enter_read_sink(&self, key: u32) {
        if self.read_sinks.write().insert(key) {
            self.read_sink_count.fetch_add(1, Ordering::Release);
        }
    }

    pub(crate) fn forget_read_sink(&self, key: u32) {
        if self.read_sink_count.load(Ordering::Acquire) > 0 && self.read_sinks.write().remove(&key)
        {
            self.read_sink_count.fetch_sub(1, Ordering::Release);
        }
    }

    /// Whether a local key is of a region that takes reads only.
    pub(crate) fn is_read_sink(&self, key: u32) -> bool {
        self.read_sink_count.load(Ordering::Acquire) > 0 && self.read_sinks.read().contains(&key)
    }
}

/// Makes something until its key is none of the reserved.
fn unreserved<T>(make: impl Fn() -> Result<T>, is_reserved: impl Fn(&T) -> bool) -> Result<T> {
    let mut set_aside = Vec::new();
    for _ in 0..TRIES {
        let made = make()?;
        if !is_reserved(&made) {
            return Ok(made);
        }
        // Kept until another has been made, which then is another.
        set_aside.push(made);
    }
    let cause = "the device gives out only keys that are reserved for privileged tokens";
    Err(Error::new(ErrorKind::InsufficientResources, cause).rule("L5"))
}
