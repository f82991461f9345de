//! A simulator of an RNIC's memory protection, as a backend of `ndk-core`.

mod access;
mod adapter;
mod clock;
#[doc(hidden)]
pub mod copy;
mod device;
mod fabric;
mod hazard;
pub mod plan;
mod mapping;
mod profile;
mod queue_pair;
mod record;
mod region;
mod window;
mod work;
#[doc(hidden)]
pub mod token;

pub use clock::{Clock, Sleep, TimerId};
pub use profile::Profile;

pub use adapter::{Config, SimAdapter, SimPd};
pub use fabric::Fabric;
pub use queue_pair::SimQueuePair;
pub use region::SimRegion;
pub use window::SimWindow;
