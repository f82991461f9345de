//! A simulator of an RNIC's memory protection, as a backend of `ndk-core`.

mod access;
mod adapter;
#[cfg(all(test, not(loom)))]
mod at_work;
mod barrier;
mod clock;
#[doc(hidden)]
pub mod copy;
mod counters;
mod device;
mod fabric;
mod hazard;
mod initiator;
mod mapping;
mod name;
mod pace;
pub mod plan;
mod profile;
mod queue_pair;
mod record;
mod region;
#[doc(hidden)]
pub mod token;
mod window;
mod work;

pub use clock::{Clock, Sleep, TimerId};
pub use profile::Profile;

pub use adapter::{Config, SimAdapter, SimPd};
pub use counters::{Miss, Snapshot};
pub use fabric::Fabric;
pub use initiator::Initiator;
pub use name::factory;
pub use queue_pair::SimQueuePair;
pub use region::SimRegion;
pub use window::SimWindow;
