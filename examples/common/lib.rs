//! What the examples share: the backends they know, calls through the C tables that wait for their completion, and what
//! the measuring tools have in common.

pub mod plot;
pub mod table;
pub mod ticket;
pub mod tool;

pub use ndkmr::backends;
