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

/// So many are kept; what comes after them is written to the log and counted.
const MOST: usize = 4_096;
/// So many are told apart; what comes after them is new each time.
const MOST_KNOWN: usize = 65_536;

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
    /// Where each is on the list, or would be if that had room.
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
                if let Some((_, times)) = kept.list.get_mut(place) {
                    *times += 1;
                }
                return;
            }
            self.counter(found.party).fetch_add(1, Ordering::AcqRel);
            let place = kept.places.len();
            if place < MOST {
                kept.list.push((found.clone(), 1));
            }
            if place < MOST_KNOWN {
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

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn each_mistake_is_counted_once_also_after_the_most_that_are_kept() {
        let sink = Sink::default();
        let put = |object| {
            let found = Found {
                adapter: 1,
                object,
                party: Party::Consumer,
                rules: vec!["V3"],
                name: String::new(),
                did: String::from("register"),
                right: "",
                origin: None,
            };
            sink.put(found, Policy::Count);
        };
        let all = MOST as u64 + 10;
        for times in 1..=2 {
            (0..all).for_each(put);
            assert_eq!(sink.count(Party::Consumer), all);
            let findings = sink.findings(|_| true);
            assert_eq!(findings.len(), MOST);
            assert!(findings.iter().all(|finding| finding.times == times));
        }
    }
}
