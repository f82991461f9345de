//! Queue pairs and memory windows of the framework: the contract's checks around a backend's.
//!
//! They are Rust objects for now; the statuses are those that `NDK_QP_DISPATCH` would give.

mod check;
mod done;
#[cfg(all(test, loom, feature = "std"))]
mod interleavings;
mod post;
mod posted;
mod queue_pair;
mod track;
mod window;

pub use queue_pair::QueuePair;
pub use window::MemoryWindow;

pub(crate) use track::Tracked;
pub(crate) use window::WindowState;
