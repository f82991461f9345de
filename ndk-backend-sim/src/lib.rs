//! A simulator of an RNIC's memory protection, as a backend of `ndk-core`.

mod adapter;
mod clock;
#[doc(hidden)]
pub mod copy;
mod device;
mod hazard;
mod profile;
mod record;
mod region;
#[doc(hidden)]
pub mod token;

pub use clock::{Clock, Sleep, TimerId};
pub use profile::Profile;

pub use adapter::{Config, SimAdapter, SimPd};
pub use region::SimRegion;
