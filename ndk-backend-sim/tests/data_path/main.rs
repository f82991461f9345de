//! The data path: work requests against regions that were registered through the C table.
#[path = "../common/mod.rs"]
mod common;

mod connections;
mod fast;
mod initiator;
mod keys;
mod moves;
mod profiles;
mod random;
mod refusals;
mod windows;
mod withdrawal;
