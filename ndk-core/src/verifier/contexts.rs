//! The contexts of the requests in progress (V7).

use std::collections::HashMap;

/// A completion routine and its context: what tells two requests apart.
pub(super) type Context = (usize, usize);

#[derive(Default)]
pub(super) struct Contexts {
    regions: HashMap<Context, u64>,
    of_region: HashMap<u64, Context>,
}

impl Contexts {
    /// The region that has a request with the same routine and context in progress.
    pub(super) fn owner(&self, context: Context) -> Option<u64> {
        self.regions.get(&context).copied()
    }

    /// A request starts; a region has one at a time.
    pub(super) fn start(&mut self, id: u64, context: Context) {
        self.end(id);
        self.regions.insert(context, id);
        self.of_region.insert(id, context);
    }

    /// The region's request is over.
    pub(super) fn end(&mut self, id: u64) {
        if let Some(context) = self.of_region.remove(&id) {
            self.regions.remove(&context);
        }
    }
}
