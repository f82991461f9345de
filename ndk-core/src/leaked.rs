//! Regions whose close did not end (B8, B9), and the memory that a device may still reach through them.
//!
//! A close completes without a status, so a consumer behind the C table is told nothing. The safe consumer, which would
//! free memory then, asks here. What is kept stays where leak checkers find it.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::any::Any;
use core::num::NonZero;
use parking_lot::Mutex;

/// The address of an `NDK_MR`. Nothing else gets that of a region that is never freed.
pub(crate) type Address = NonZero<usize>;

struct Leaked {
    regions: Vec<Address>,
    memory: Vec<Box<dyn Any + Send>>,
}

static LEAKED: Mutex<Leaked> = Mutex::new(Leaked { regions: Vec::new(), memory: Vec::new() });

/// The region's close did not end. It is never freed.
pub(crate) fn note(region: Address) {
    LEAKED.lock().regions.push(region);
}

/// Whether the close of the region, which is over, did not end.
pub(crate) fn is(region: Address) -> bool {
    LEAKED.lock().regions.contains(&region)
}

/// Keeps for ever what a device may still reach.
pub(crate) fn keep(memory: impl Send + 'static) {
    LEAKED.lock().memory.push(Box::new(memory));
}
