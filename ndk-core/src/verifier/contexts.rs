//! The contexts of the requests in progress (V7).

use super::spread::Table;
use std::collections::hash_map::Entry;

/// A completion routine and its context: what tells two requests apart.
pub(super) type Context = (usize, usize);

#[derive(Default)]
pub(super) struct Contexts {
    regions: Table<Context, u64>,
    of_region: Table<u64, Context>,
}

impl Contexts {
    /// A request starts; a region has one at a time. Gives the region that has one with the same routine and context in
    /// progress, if there is one, and then notes nothing.
    pub(super) fn start(&mut self, id: u64, context: Context) -> Option<u64> {
        match self.regions.entry(context) {
            Entry::Occupied(owner) => Some(*owner.get()),
            Entry::Vacant(place) => {
                place.insert(id);
                let before = self.of_region.insert(id, context);
                debug_assert!(before.is_none(), "a region has one request at a time");
                None
            }
        }
    }

    /// The region's request is over; false where it has none.
    pub(super) fn end(&mut self, id: u64) -> bool {
        let context = self.of_region.remove(&id);
        context.is_some_and(|context| self.regions.remove(&context).is_some())
    }
}
