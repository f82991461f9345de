//! The simulator's adapter.

use crate::device::Device;
use crate::profile::Profile;
use crate::region::SimRegion;
use crate::token::MAX_CAPACITY;
use ndk_core::abi::NDK_ADAPTER_INFO;
use ndk_core::{AdapterProvider, Capabilities, Error, ErrorKind, NoQueuePair, NoWindow, RegionKind, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// How to make a [`SimAdapter`].
#[derive(Clone, Debug)]
pub struct Config {
    /// The name in log lines.
    pub name: String,
    /// Whose limits and shape the device has.
    pub profile: Profile,
    /// With a seed, tokens, latencies and faults are the same each time; without, the operating system gives one.
    pub seed: Option<u64>,
    /// The most regions at a time (C14).
    pub region_limit: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: String::from("sim"),
            profile: Profile::connectx3(),
            seed: None,
            region_limit: MAX_CAPACITY,
        }
    }
}

/// A simulated adapter.
#[derive(Debug)]
pub struct SimAdapter {
    device: Arc<Device>,
    domains: AtomicU32,
}

/// A protection domain of the simulator: a number that records and accesses are compared by.
#[derive(Debug)]
pub struct SimPd {
    pub(crate) number: u32,
}

impl SimAdapter {
    /// Makes an adapter.
    ///
    /// # Errors
    /// INSUFFICIENT_RESOURCES where the operating system has no entropy to give.
    pub fn new(config: Config) -> Result<Self> {
        let device = Device::new(config.name, config.profile, config.seed, config.region_limit)?;
        Ok(Self { device: Arc::new(device), domains: AtomicU32::new(0) })
    }

    /// Takes the device away, as an unplug would (H8).
    pub fn lose(&self) {
        self.device.lose();
    }

    /// How many records of the device are in use; 0 when every region is closed.
    pub fn live_records(&self) -> usize {
        self.device.live_records()
    }
}

impl AdapterProvider for SimAdapter {
    type Pd = SimPd;
    type Mr = SimRegion;
    type Qp = NoQueuePair<SimRegion>;
    type Window = NoWindow;

    fn name(&self) -> &str {
        &self.device.name
    }

    fn info(&self) -> NDK_ADAPTER_INFO {
        self.device.profile.info()
    }

    fn capabilities(&self) -> Capabilities {
        self.device.profile.capabilities()
    }

    fn is_lost(&self) -> bool {
        self.device.is_lost()
    }

    async fn create_pd(&self) -> Result<SimPd> {
        Ok(SimPd { number: self.domains.fetch_add(1, Ordering::Relaxed) })
    }

    async fn close_pd(&self, _pd: &SimPd) {}

    async fn create_mr(&self, pd: &SimPd, kind: RegionKind) -> Result<SimRegion> {
        if kind == RegionKind::FastRegister && self.capabilities().fast_registration.is_none() {
            return Err(Error::new(ErrorKind::NotSupported, "this device has no fast registration"));
        }
        SimRegion::new(self.device.clone(), pd.number, kind)
    }
}
