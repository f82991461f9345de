//! What the examples share: the backends they know, and calls through the C tables that wait for their completion.

pub mod table;

pub use ndkmr::backends;
