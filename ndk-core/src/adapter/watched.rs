//! What an adapter has for a watch: the way to tell it, and the memory of closed objects, which is kept so that a late
//! use of one is found and not undefined.

use super::Adapter;
use crate::contain::contain;
use crate::error::Result;
use crate::platform::Platform;
use crate::provider::{AdapterProvider, Event, Named, Watch};
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::fmt::Display;
use core::ptr::NonNull;

/// So many closed objects are kept; then the oldest goes. What a watch knows of them can go with their memory.
pub(crate) const MOST_KEPT: usize = 16_384;

/// The memory of a closed object, in the state of one that is being closed for ever.
pub(crate) struct Kept {
    object: NonNull<()>,
    free: unsafe fn(NonNull<()>),
}

// SAFETY: nothing is left in the object that belongs to a thread; whoever frees it has it alone.
unsafe impl Send for Kept {}

impl Kept {
    /// # Safety
    /// `free` may be called once with `object`, on any thread.
    pub(crate) unsafe fn new(object: NonNull<()>, free: unsafe fn(NonNull<()>)) -> Self {
        Self { object, free }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // SAFETY: `new`'s promise.
        unsafe { (self.free)(self.object) };
    }
}

/// The closed objects, the oldest first: a domain comes after its regions, whose memory names it.
pub(super) type Closed = VecDeque<Kept>;

impl<A: AdapterProvider, P: Platform> Adapter<A, P> {
    /// Who watches, if somebody does.
    pub(crate) fn watch(&self) -> Option<&Arc<dyn Watch>> {
        if !self.watched {
            return None;
        }
        contain("its watch", self.name(), || self.provider.watch()).unwrap_or(None)
    }

    /// The number of a creation that begins; 0 where nobody watches.
    pub(crate) fn origin(&self) -> u64 {
        self.watch().map_or(0, |watch| watch.creating())
    }

    /// Tells the watch, if there is one.
    ///
    /// # Errors
    /// What the watch refuses the call with.
    #[cold]
    #[inline(never)]
    pub(crate) fn see(&self, id: u64, name: &dyn Display, event: Event<'_>) -> Result<()> {
        self.watch().map_or(Ok(()), |watch| watch.see(&Named { id, name }, event))
    }

    /// Keeps the memory of a closed object.
    pub(crate) fn keep(&self, kept: Kept) {
        let oldest = {
            let mut closed = self.closed.lock();
            closed.push_back(kept);
            if closed.len() > MOST_KEPT { closed.pop_front() } else { None }
        };
        drop(oldest);
    }
}
