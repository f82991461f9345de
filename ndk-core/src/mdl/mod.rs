//! Memory descriptor lists: a checked view over a consumer's chain and, with `std`, a builder for hosted programs.

#[cfg(feature = "std")]
mod buffer;
#[cfg(feature = "std")]
mod builder;
mod view;

#[cfg(feature = "std")]
pub use buffer::Buffer;
#[cfg(feature = "std")]
pub use builder::{Mdl, MdlBuilder};
pub use view::{Frames, MdlView};
