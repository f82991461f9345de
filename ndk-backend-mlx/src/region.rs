//! A memory region.

use crate::access;
use crate::device::Device;
use crate::domain::Domain;
use crate::extension::NDKMR_VERBS_REGION;
use crate::fast::Fast;
use crate::handle::Mr;
use crate::memory::HostRange;
use ndk_core::abi::{GUID, NDK_EXTENSION_INTERFACE, NDK_VERSION};
use ndk_core::mdl::MdlView;
use ndk_core::{
    Access, BaseAddress, Error, ErrorKind, LocalToken, MrProvider, RegionKind, RemoteToken, Result,
};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// A memory region.
pub struct MlxRegion(pub(crate) Arc<RegionCore>);

/// What the pool's threads work on.
pub(crate) struct RegionCore {
    pub(crate) domain: Arc<Domain>,
    registration: Mutex<Option<Registration>>,
    /// Counts requests: one that was given up finds a later number (B9).
    request: AtomicU64,
    cancelled: AtomicBool,
    local: AtomicU32,
    remote: AtomicU32,
    /// There for regions made for fast registration.
    pub(crate) fast: Option<Fast>,
    allows_remote: AtomicBool,
    extension: NDKMR_VERBS_REGION,
}

/// A registration that the device has.
struct Registration {
    mr: Mr,
    range: HostRange,
    access: Access,
}

impl MlxRegion {
    pub(crate) fn new(domain: &Arc<Domain>, kind: RegionKind) -> Result<Self> {
        let device = domain.device();
        let capabilities = device.capabilities();
        if kind == RegionKind::FastRegister && capabilities.fast_registration.is_none() {
            let cause =
                "this device has no fast registration: it has no memory windows to make it of";
            return Err(Error::new(ErrorKind::NotSupported, cause).rule("K2"));
        }
        device.take_region()?;
        let fast = kind == RegionKind::FastRegister;
        Ok(Self(Arc::new(RegionCore {
            domain: domain.clone(),
            registration: Mutex::new(None),
            request: AtomicU64::new(0),
            cancelled: AtomicBool::new(false),
            local: AtomicU32::new(0),
            remote: AtomicU32::new(0),
            fast: fast.then(|| Fast::of(domain)),
            allows_remote: AtomicBool::new(false),
            extension: NDKMR_VERBS_REGION::new(),
        })))
    }

    /// The next kernel call of the region, which ends soon where it has not begun (H2).
    pub(crate) fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Release);
    }
}

impl RegionCore {
    fn device(&self) -> &Arc<Device> {
        self.domain.device()
    }

    fn check_not_cancelled(&self) -> Result<()> {
        if self.cancelled.load(Ordering::Acquire) {
            let cause = "the region is being closed";
            return Err(Error::new(ErrorKind::Cancelled, cause).rule("H2"));
        }
        Ok(())
    }

    fn register(&self, request: u64, range: HostRange, access: Access) -> Result<()> {
        let mut registration = self.registration.lock();
        self.check_not_cancelled()?;
        let mr = self.domain.register(range, access::of_region(access))?;
        let (local, remote) = (mr.local_key(), mr.remote_key());
        if self.request.load(Ordering::Acquire) != request {
            // Given up meanwhile: it ends here (B7, B9).
            return Err(ErrorKind::Cancelled.into());
        }
        if local == 0 || access.is_remote() && remote == 0 {
            let cause = "the device gave the key 0, which stands for no token";
            return Err(Error::new(ErrorKind::InsufficientResources, cause).rule("E1"));
        }
        if takes_reads_only(access) {
            self.domain.enter_read_sink(local);
        }
        self.extension.set(mr.raw());
        *registration = Some(Registration { mr, range, access });
        self.remote.store(if access.is_remote() { remote } else { 0 }, Ordering::Release);
        self.local.store(local, Ordering::Release);
        Ok(())
    }

    /// Ends the registration if there is one.
    fn withdraw(&self) -> Result<()> {
        let mut registration = self.registration.lock();
        let Some(Registration { mr, range, access }) = registration.take() else { return Ok(()) };
        let local = mr.local_key();
        self.extension.set(std::ptr::null_mut());
        // Before the end: another region may be given the key right after it.
        self.domain.forget_read_sink(local);
        if let Err((mr, error)) = mr.end() {
            self.extension.set(mr.raw());
            if takes_reads_only(access) {
                self.domain.enter_read_sink(local);
            }
            *registration = Some(Registration { mr, range, access });
            return Err(error);
        }
        self.local.store(0, Ordering::Release);
        self.remote.store(0, Ordering::Release);
        Ok(())
    }

    fn close(&self) -> Result<()> {
        self.request.fetch_add(1, Ordering::AcqRel);
        let withdrawn = self.withdraw();
        if let Some(fast) = &self.fast {
            self.extension.set_key(std::ptr::null_mut());
            fast.close();
        }
        withdrawn
    }

    /// What is registered, for a window to be bound over a part of it.
    ///
    /// # Errors
    /// ACCESS_VIOLATION where the part is not inside, or a window would allow writing what the region does not.
    pub(crate) fn part(
        &self,
        address: u64,
        length: u64,
        access: Access,
    ) -> Result<HostRange, ErrorKind> {
        let registration = self.registration.lock();
        let Some(Registration { range, access: allowed, .. }) = &*registration else {
            return Err(ErrorKind::AccessViolation);
        };
        let offset = address.wrapping_sub(range.base);
        let whole = range.length as u64;
        let inside = offset < whole && length <= whole - offset;
        let writes = access.contains(Access::REMOTE_WRITE);
        if !inside || writes && !allowed.contains(Access::LOCAL_WRITE) {
            return Err(ErrorKind::AccessViolation);
        }
        let host = range.address + offset as usize;
        Ok(HostRange { address: host, length: length as usize, base: address })
    }
}

/// Whether memory may take what is read from a peer, and no message (F4).
fn takes_reads_only(access: Access) -> bool {
    access.contains(Access::READ_SINK) && !access.contains(Access::LOCAL_WRITE)
}

/// A request that is given up before its kernel call is over leaves nothing behind.
struct GivenUp<'a>(&'a Arc<RegionCore>);

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        let core = self.0.clone();
        core.request.fetch_add(1, Ordering::AcqRel);
        self.0.device().pool.spawn(move || {
            if let Err(error) = core.withdraw() {
                log::error!("{}: a registration that was given up: {error}", core.device().name());
            }
        });
    }
}

impl MrProvider for MlxRegion {
    async fn register(&self, memory: MdlView<'_>, access: Access) -> Result<()> {
        let device = self.0.device();
        let range = HostRange::of(&memory)?;
        if device.facts.base_address == BaseAddress::HostOnly && range.base != range.address as u64
        {
            let cause = "this device reaches memory at its host address only";
            return Err(Error::new(ErrorKind::NotSupported, cause).rule("K2"));
        }
        let request = self.0.request.fetch_add(1, Ordering::AcqRel) + 1;
        let core = self.0.clone();
        let registering = device.pool.run(move || core.register(request, range, access));
        let given_up = GivenUp(&self.0);
        let result = registering.await;
        std::mem::forget(given_up);
        result
    }

    async fn deregister(&self) -> Result<()> {
        let core = self.0.clone();
        self.0.device().pool.run(move || core.withdraw()).await
    }

    async fn initialize_fast_register(&self, _pages: u32, remote: bool) -> Result<()> {
        let core = self.0.clone();
        let initialising = self.0.device().pool.run(move || {
            core.check_not_cancelled()?;
            if let Some(fast) = &core.fast {
                // A new token with each initialisation (E4); the old one, and what it reached, is dead then.
                fast.renew()?;
                core.extension.set_key(fast.raw_key());
            }
            core.allows_remote.store(remote, Ordering::Release);
            Ok(())
        });
        initialising.await
    }

    async fn close(&self) -> Result<()> {
        let core = self.0.clone();
        self.0.device().pool.run(move || core.close()).await
    }

    fn local_token(&self) -> Option<LocalToken> {
        let fast = self.0.fast.as_ref().map(|fast| fast.key());
        LocalToken::new(fast.unwrap_or_else(|| self.0.local.load(Ordering::Acquire)))
    }

    fn remote_token(&self) -> Option<RemoteToken> {
        match &self.0.fast {
            Some(fast) if self.0.allows_remote.load(Ordering::Acquire) => {
                RemoteToken::new(fast.key())
            }
            Some(_) => None,
            None => RemoteToken::new(self.0.remote.load(Ordering::Acquire)),
        }
    }

    fn query_extension(&self, id: &GUID, version: NDK_VERSION) -> Result<NDK_EXTENSION_INTERFACE> {
        self.0.extension.query(id, version)
    }
}

impl Drop for RegionCore {
    fn drop(&mut self) {
        self.device().give_region_back();
        if self.registration.get_mut().is_some() {
            log::warn!("{}: a region was dropped without a close", self.domain.device().name());
        }
    }
}
