//! Where findings go: each is kept and written to the log once, and counted after that.

use super::Policy;
use super::origin::Origin;
use crate::platform::Std;
use crate::provider::{Finding, Party};
use crate::sync::{AtomicU64, Mutex, Ordering};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use std::collections::HashMap;

/// So many are kept; what comes after them is counted.
const MOST: usize = 4_096;

/// What makes two findings the same.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    adapter: u64,
    object: u64,
    rule: &'static str,
    did: String,
}

/// A finding, before anybody wants to read it.
pub(super) struct Found {
    pub(super) adapter: u64,
    pub(super) object: u64,
    pub(super) party: Party,
    pub(super) rules: Vec<&'static str>,
    pub(super) name: String,
    pub(super) did: String,
    pub(super) right: &'static str,
    pub(super) origin: Option<Arc<Origin>>,
}

impl Found {
    fn show(&self, times: u64) -> Finding {
        Finding {
            party: self.party,
            rules: self.rules.clone(),
            object: self.name.clone(),
            did: self.did.clone(),
            right: self.right,
            created: self.origin.as_ref().map_or_else(String::new, |origin| origin.frames()),
            times,
        }
    }
}

#[derive(Default)]
struct Kept {
    list: Vec<(Arc<Found>, u64)>,
    places: HashMap<Key, usize>,
}

pub(super) struct Sink {
    kept: Mutex<Std, Kept>,
    consumer: AtomicU64,
    provider: AtomicU64,
}

impl Default for Sink {
    fn default() -> Self {
        Self {
            kept: Mutex::new(Kept::default()),
            consumer: AtomicU64::new(0),
            provider: AtomicU64::new(0),
        }
    }
}

impl Sink {
    fn counter(&self, party: Party) -> &AtomicU64 {
        match party {
            Party::Consumer => &self.consumer,
            Party::Provider => &self.provider,
        }
    }

    pub(super) fn count(&self, party: Party) -> u64 {
        self.counter(party).load(Ordering::Acquire)
    }

    pub(super) fn put(&self, found: Found, policy: Policy) {
        let (adapter, object, rule) = (found.adapter, found.object, found.rules[0]);
        let key = Key { adapter, object, rule, did: found.did.clone() };
        let found = Arc::new(found);
        {
            let mut kept = self.kept.lock();
            if let Some(&place) = kept.places.get(&key) {
                kept.list[place].1 += 1;
                return;
            }
            self.counter(found.party).fetch_add(1, Ordering::AcqRel);
            if kept.list.len() < MOST {
                let place = kept.list.len();
                kept.list.push((found.clone(), 1));
                kept.places.insert(key, place);
            }
        }
        // The logger is foreign code, so not under the lock.
        if policy != Policy::Count {
            write(&found);
        }
    }

    /// What was found on the adapters that `of` lets through.
    pub(super) fn findings(&self, of: impl Fn(u64) -> bool) -> Vec<Finding> {
        let kept = self.kept.lock();
        let chosen = kept.list.iter().filter(|(found, _)| of(found.adapter));
        chosen.map(|(found, times)| found.show(*times)).collect()
    }
}

fn write(found: &Found) {
    let level = match found.party {
        Party::Consumer => log::Level::Warn,
        Party::Provider => log::Level::Error,
    };
    if log::log_enabled!(level) {
        log::log!(level, "{}", found.show(1));
    }
}
