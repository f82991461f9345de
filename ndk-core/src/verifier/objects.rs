//! What is known of each object: its name, and where it was created. Closed ones stay known for a while, as their memory
//! does.

use super::origin::Origin;
use super::spread::Table;
use crate::adapter::watched::MOST_KEPT;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;

/// So many creations are remembered that have not ended.
const MOST_CREATING: usize = 1_024;

#[derive(Clone)]
pub(super) struct Object {
    pub(super) name: String,
    pub(super) origin: Option<Arc<Origin>>,
}

#[derive(Default)]
pub(super) struct Objects {
    known: Table<u64, Object>,
    closed: VecDeque<u64>,
    creating: VecDeque<(u64, Arc<Origin>)>,
    last_creation: u64,
}

impl Objects {
    /// A creation begins; gives its number.
    pub(super) fn creating(&mut self, origin: Arc<Origin>) -> u64 {
        self.last_creation += 1;
        self.creating.push_back((self.last_creation, origin));
        if self.creating.len() > MOST_CREATING {
            self.creating.pop_front();
        }
        self.last_creation
    }

    /// It has made an object.
    pub(super) fn made(&mut self, id: u64, name: String, creation: u64) {
        let place = self.creating.iter().rposition(|(number, _)| *number == creation);
        let origin = place.and_then(|place| self.creating.remove(place)).map(|(_, origin)| origin);
        self.known.insert(id, Object { name, origin });
    }

    pub(super) fn closed(&mut self, id: u64) {
        self.closed.push_back(id);
        if self.closed.len() > MOST_KEPT
            && let Some(oldest) = self.closed.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// Nothing will be said of it any more.
    pub(super) fn gone(&mut self, id: u64) {
        self.known.remove(&id);
    }

    pub(super) fn get(&self, id: u64) -> Option<&Object> {
        self.known.get(&id)
    }
}
