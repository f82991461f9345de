//! Memory descriptor lists: a checked view over a consumer's chain and, with `std`, a builder for hosted programs.

mod view;

pub use view::{Frames, MdlView};
