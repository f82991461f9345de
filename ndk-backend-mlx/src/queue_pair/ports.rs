//! The queue pairs of an adapter, by the number that events carry.

use super::Core;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// The queue pairs of an adapter.
#[derive(Default)]
pub(crate) struct Ports {
    last: AtomicU64,
    live: Mutex<HashMap<u64, Weak<Core>>>,
}

impl Ports {
    pub(crate) fn next_number(&self) -> u64 {
        self.last.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn enter(&self, core: &Arc<Core>) {
        self.live.lock().insert(core.number, Arc::downgrade(core));
    }

    pub(crate) fn forget(&self, number: u64) {
        self.live.lock().remove(&number);
    }

    pub(crate) fn get(&self, number: u64) -> Option<Arc<Core>> {
        self.live.lock().get(&number)?.upgrade()
    }

    /// The device is lost: every request ends (H8).
    pub(crate) fn fail_all(&self) {
        let live: Vec<_> = self.live.lock().values().filter_map(Weak::upgrade).collect();
        live.iter().for_each(|core| core.abandon());
    }
}
