//! The simulator's adapter.

use crate::clock::Clock;
use crate::counters::Snapshot;
use crate::device::Device;
use crate::fabric::Fabric;
use crate::initiator::Initiator;
use crate::plan::{Operation, Plan};
use crate::profile::Profile;
use crate::queue_pair::SimQueuePair;
use crate::record::Keys;
use crate::region::SimRegion;
use crate::token::Token;
use crate::window::SimWindow;
use ndk_core::abi::NDK_ADAPTER_INFO;
use ndk_core::mdl::MdlView;
use ndk_core::{
    AdapterProvider, Capabilities, Error, ErrorKind, LocalToken, Mapping, QueueDepths, RegionKind,
    Result,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// How to make a [`SimAdapter`].
#[derive(Clone, Debug)]
pub struct Config {
    /// The name in log lines.
    pub name: String,
    /// Whose limits and shape the device has.
    pub profile: Profile,
    /// With a seed, tokens, latency draws and faults are the same each time, and tokens can be guessed. Without one
    /// the operating system gives the tokens' randomness (E5).
    pub seed: Option<u64>,
    /// Latencies, faults and limits.
    pub plan: Plan,
    /// The time that latencies are of; a manual one makes a run with one thread deterministic.
    pub clock: Clock,
    /// Which other adapters it reaches.
    pub fabric: Fabric,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: String::from("sim"),
            profile: Profile::connectx3(),
            seed: None,
            plan: Plan::default(),
            clock: Clock::real(),
            fabric: Fabric::new(),
        }
    }
}

/// A simulated adapter.
#[derive(Debug)]
pub struct SimAdapter {
    device: Arc<Device>,
    fabric: Fabric,
    domains: AtomicU32,
}

/// A protection domain of the simulator: a number that records and accesses are compared by, and the record that its
/// privileged token leads to.
#[derive(Debug)]
pub struct SimPd {
    device: Arc<Device>,
    number: u32,
    index: u32,
    privileged: Token,
}

impl SimPd {
    fn new(device: Arc<Device>, number: u32) -> Result<Self> {
        let index = device.take_index()?;
        match device.issue(number, index) {
            Ok(privileged) => {
                device.record(index).set_keys(Keys { local: privileged.get(), remote: 0 });
                device.record(index).make_privileged(number);
                Ok(Self { device, number, index, privileged })
            }
            Err(error) => {
                device.give_index_back(index);
                Err(error)
            }
        }
    }

    /// A peer that reaches what is registered in this domain, without a queue pair. Where a consumer of C tables has made
    /// the domain, `DomainRef::provider` leads here.
    ///
    /// # Errors
    /// INSUFFICIENT_RESOURCES where the device has as many queue pairs and initiators as it can.
    pub fn initiator(&self) -> Result<Initiator> {
        Initiator::new(self.device.clone(), self.number)
    }
}

impl Drop for SimPd {
    fn drop(&mut self) {
        self.device.record(self.index).kill();
        self.device.retire(self.number, self.privileged);
        self.device.quiesce_now(self.index);
        self.device.give_index_back(self.index);
    }
}

impl SimAdapter {
    /// Makes an adapter.
    ///
    /// # Errors
    /// INSUFFICIENT_RESOURCES where the operating system has no entropy to give.
    pub fn new(config: Config) -> Result<Self> {
        let fabric = config.fabric.clone();
        let device = Arc::new(Device::new(config)?);
        device.follow_end();
        Ok(Self { device, fabric, domains: AtomicU32::new(0) })
    }

    /// Takes the device away, as an unplug would (H8).
    pub fn lose(&self) {
        self.device.lose();
    }

    /// What the adapter has done, in numbers.
    pub fn counters(&self) -> Snapshot {
        let tallies = self.device.hazards.places().map(|place| &place.tally);
        self.device.counters.snapshot(self.device.records(), tallies)
    }

    /// How many records of the device are in use; 0 when every region is closed.
    pub fn live_records(&self) -> usize {
        self.device.live_records()
    }
}

impl SimAdapter {
    #[inline]
    fn make_region(&self, pd: &SimPd, kind: RegionKind) -> Result<SimRegion> {
        if kind == RegionKind::FastRegister && self.device.shape.fast_registration.is_none() {
            let cause = "this device has no fast registration";
            return Err(Error::new(ErrorKind::NotSupported, cause));
        }
        SimRegion::new(self.device.clone(), pd.number, kind)
    }
}

impl AdapterProvider for SimAdapter {
    type Pd = SimPd;
    type Mr = SimRegion;
    type Qp = SimQueuePair;
    type Window = SimWindow;

    fn name(&self) -> &str {
        &self.device.name
    }

    fn info(&self) -> NDK_ADAPTER_INFO {
        self.device.profile.info()
    }

    fn capabilities(&self) -> Capabilities {
        self.device.shape
    }

    fn is_lost(&self) -> bool {
        self.device.is_lost()
    }

    async fn create_pd(&self) -> Result<SimPd> {
        self.device.pace(Operation::CreatePd, None).await?;
        SimPd::new(self.device.clone(), self.domains.fetch_add(1, Ordering::Relaxed))
    }

    async fn close_pd(&self, _pd: &SimPd) {
        // A close is late at most: it does not fail (H1).
        let _ = self.device.pace(Operation::ClosePd, None).await;
    }

    fn cancel(&self, region: &SimRegion) {
        self.device.cancel(&region.cancel);
    }

    async fn create_mr(&self, pd: &SimPd, kind: RegionKind) -> Result<SimRegion> {
        self.device.pace(Operation::CreateMr, None).await?;
        self.make_region(pd, kind)
    }

    fn create_mr_at_once(&self, pd: &SimPd, kind: RegionKind) -> Option<Result<SimRegion>> {
        (!self.device.plans(Operation::CreateMr)).then(|| self.make_region(pd, kind))
    }

    async fn create_qp(&self, pd: &SimPd, depths: QueueDepths) -> Result<SimQueuePair> {
        let domain = (pd.number, pd.privileged.get());
        SimQueuePair::new(self.device.clone(), self.fabric.clone(), domain, depths)
    }

    async fn create_window(&self, pd: &SimPd) -> Result<SimWindow> {
        if !self.device.shape.windows {
            return Err(Error::new(ErrorKind::NotSupported, "this device has no memory windows"));
        }
        SimWindow::new(self.device.clone(), pd.number)
    }

    fn privileged_token(&self, pd: &SimPd) -> Option<LocalToken> {
        LocalToken::new(pd.privileged.get())
    }

    async fn build_mapping(&self, memory: MdlView<'_>, pages: &mut [u64]) -> Result<Mapping> {
        self.device.pace(Operation::BuildMapping, None).await?;
        self.device.mappings.build(memory.frames().collect(), pages)
    }

    fn release_mapping(&self, mapping: Mapping) {
        if !self.device.mappings.release(mapping) {
            log::warn!("{}: release of a mapping that does not exist [L4]", self.device.name);
        }
    }
}
