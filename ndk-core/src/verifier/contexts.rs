//! The contexts of the requests that pend (V7).

use super::spread::Table;
use std::collections::hash_map::Entry;

/// A completion routine and its context: what tells two requests apart.
pub(super) type Context = (usize, usize);

#[derive(Default)]
pub(super) struct Contexts {
    regions: Table<Context, u64>,
    /// Of each region with a request in progress; none where it was told that its context is another one's.
    of_region: Table<u64, Option<Context>>,
}

impl Contexts {
    /// A request starts. Gives the region that has one with the same routine and context in progress, if there is one.
    pub(super) fn start(&mut self, id: u64, context: Context) -> Option<u64> {
        let owner = self.regions.get(&context).copied()?;
        self.of_region.insert(id, None);
        Some(owner)
    }

    /// It pends; a region has one request at a time. Gives what `start` gives, where that has not: another request may have
    /// pended meanwhile.
    pub(super) fn pend(&mut self, id: u64, context: Context) -> Option<u64> {
        if self.of_region.contains_key(&id) {
            return None;
        }
        let (own, owner) = match self.regions.entry(context) {
            Entry::Occupied(owner) => (None, Some(*owner.get())),
            Entry::Vacant(place) => {
                place.insert(id);
                (Some(context), None)
            }
        };
        self.of_region.insert(id, own);
        owner
    }

    /// The region's request is over, if it has one.
    pub(super) fn end(&mut self, id: u64) {
        if let Some(Some(context)) = self.of_region.remove(&id) {
            self.regions.remove(&context);
        }
    }

    /// How many requests there are.
    pub(super) fn len(&self) -> usize {
        self.of_region.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_context_is_told_once_for_each_request() {
        let mut contexts = Contexts::default();
        assert_eq!((contexts.start(1, (7, 7)), contexts.pend(1, (7, 7))), (None, None));
        // While another pends.
        assert_eq!((contexts.start(2, (7, 7)), contexts.pend(2, (7, 7))), (Some(1), None));
        // Another pends meanwhile.
        assert_eq!((contexts.start(3, (7, 8)), contexts.start(4, (7, 8))), (None, None));
        assert_eq!((contexts.pend(3, (7, 8)), contexts.pend(4, (7, 8))), (None, Some(3)));
        assert_eq!(contexts.len(), 4);
        // Who does not own a context ends without it.
        contexts.end(2);
        assert_eq!(contexts.start(5, (7, 7)), Some(1));
        (1..=5).for_each(|id| contexts.end(id));
        assert_eq!((contexts.len(), contexts.start(2, (7, 7))), (0, None));
    }
}
