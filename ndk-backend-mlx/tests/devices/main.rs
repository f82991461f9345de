//! What the conformance kit does not ask of a backend over real devices.

mod close;
#[path = "../common/mod.rs"]
mod common;
mod connect;
mod fast;
mod faults;
mod memory;
mod world;
