//! Memory descriptor lists: a checked view over a consumer's chain and, with `std`, a builder for hosted programs.

#[cfg(feature = "std")]
mod buffer;
#[cfg(feature = "std")]
mod builder;
#[cfg(feature = "std")]
mod snapshot;
mod view;

#[cfg(feature = "std")]
pub use buffer::Buffer;
#[cfg(feature = "std")]
pub use builder::{Mdl, MdlBuilder};
#[cfg(feature = "std")]
pub(crate) use snapshot::Snapshot;
pub use view::{Frames, MdlView};
