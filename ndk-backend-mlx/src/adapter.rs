//! The adapter.

use crate::device::{Device, Found, find};
use crate::domain::{Domain, MlxPd};
use crate::memory::HostRange;
use crate::queue_pair::{Core, MlxQueuePair};
use crate::region::MlxRegion;
use crate::self_test::{self, Findings};
use crate::watch::{Watch, Watched};
use crate::window::MlxWindow;
use ndk_core::abi::NDK_ADAPTER_INFO;
use ndk_core::mdl::MdlView;
use ndk_core::{
    AdapterProvider, Capabilities, Error, ErrorKind, LocalToken, Mapping, QueueDepths, RegionKind,
    Result,
};
use parking_lot::Mutex;
use std::net::IpAddr;
use std::sync::Arc;

/// Which device to open, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The device's name, for instance `mlx5_0` or `rxe0`; `None` takes the first that can be used.
    pub device: Option<String>,
    /// The most regions at a time, where that is fewer than the device has (C14).
    pub regions: Option<u32>,
    /// Whether logical address mappings are built on the pool's threads. Without it BuildLAM makes its kernel calls,
    /// one for each domain, on the caller's thread, and completes inline (L6).
    pub pending_mappings: bool,
    /// The device's address, where connections are to be made by address, through librdmacm, as they have to be between
    /// hosts. On iWARP they are always, and without an address the device's first is taken.
    pub address: Option<IpAddr>,
}

/// A real adapter.
pub struct MlxAdapter {
    device: Arc<Device>,
    watch: Mutex<Option<Watch>>,
    capabilities: Capabilities,
    pending_mappings: bool,
}

impl MlxAdapter {
    /// Opens a device.
    ///
    /// # Errors
    /// NOT_SUPPORTED where there is no library, no device, no right to use it, each with what to do; and what the
    /// kernel says.
    pub fn open(config: Config) -> Result<Self> {
        let found = find(config.device.as_deref())?;
        if !found.facts.need_a_try() {
            return Self::of(found, config);
        }
        let name = found.name.clone();
        let findings = self_test::run(&Self::of(found, Config::default())?)?;
        log::info!("{name}: a device that nobody has measured was tried: {findings:?} [K1]");
        let found = find(Some(&name))?;
        Self::of(Found { facts: found.facts.found(findings), ..found }, config)
    }

    /// Tries what a device does, whether its driver is known or not (K1).
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    #[doc(hidden)]
    pub fn try_out(device: &str) -> Result<Findings> {
        self_test::run(&Self::of(find(Some(device))?, Config::default())?)
    }

    fn of(found: Found, config: Config) -> Result<Self> {
        let Config { device: _, regions, pending_mappings, address } = config;
        let device = Arc::new(Device::new(found, Watched::new()?, regions, address)?);
        let watch = Mutex::new(Some(Watch::new(&device)?));
        let capabilities = device.capabilities();
        log::info!("{}: opened, driver {}", device.name(), device.facts.driver);
        Ok(Self { device, watch, capabilities, pending_mappings })
    }

    fn end(&self) {
        if self.device.is_inherited() {
            return;
        }
        let watch = self.watch.lock().take();
        watch.into_iter().for_each(|watch| watch.end(&self.device));
        self.device.pool.end();
    }
}

impl AdapterProvider for MlxAdapter {
    type Pd = MlxPd;
    type Mr = MlxRegion;
    type Qp = MlxQueuePair;
    type Window = MlxWindow;

    fn name(&self) -> &str {
        self.device.name()
    }

    fn info(&self) -> NDK_ADAPTER_INFO {
        self.device.info()
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn is_lost(&self) -> bool {
        self.device.is_lost()
    }

    async fn create_pd(&self) -> Result<MlxPd> {
        let device = self.device.clone();
        self.device.pool.run(move || Ok(MlxPd(Domain::new(&device)?))).await
    }

    async fn close_pd(&self, pd: &MlxPd) {
        let domain = pd.0.clone();
        self.device.pool.run(move || domain.close()).await;
    }

    async fn create_mr(&self, pd: &MlxPd, kind: RegionKind) -> Result<MlxRegion> {
        MlxRegion::new(&pd.0, kind)
    }

    fn cancel(&self, region: &MlxRegion) {
        region.cancel();
    }

    async fn create_qp(&self, pd: &MlxPd, depths: QueueDepths) -> Result<MlxQueuePair> {
        let domain = pd.0.clone();
        let core = self.device.pool.run(move || Core::new(&domain, depths)).await?;
        Ok(MlxQueuePair::new(core))
    }

    async fn create_window(&self, pd: &MlxPd) -> Result<MlxWindow> {
        if !self.capabilities.windows {
            return Err(Error::new(ErrorKind::NotSupported, "this device has no memory windows"));
        }
        let domain = pd.0.clone();
        self.device.pool.run(move || MlxWindow::new(domain)).await
    }

    fn privileged_token(&self, pd: &MlxPd) -> Option<LocalToken> {
        LocalToken::new(pd.0.privileged)
    }

    async fn build_mapping(&self, memory: MdlView<'_>, pages: &mut [u64]) -> Result<Mapping> {
        let range = HostRange::of(&memory)?;
        if !self.pending_mappings {
            return self.device.mappings.build(range, pages);
        }
        let (device, count) = (self.device.clone(), pages.len());
        let building = self.device.pool.run(move || {
            let mut pages = vec![0; count];
            device.mappings.build(range, &mut pages).map(|mapping| (mapping, pages))
        });
        let (mapping, built) = building.await?;
        pages.copy_from_slice(&built);
        Ok(mapping)
    }

    fn release_mapping(&self, mapping: Mapping) {
        if !self.device.mappings.release(mapping) {
            log::warn!("{}: release of a mapping that does not exist [L4]", self.device.name());
        }
    }

    fn shut_down(&self) {
        self.end();
    }
}

impl Drop for MlxAdapter {
    fn drop(&mut self) {
        self.end();
    }
}
