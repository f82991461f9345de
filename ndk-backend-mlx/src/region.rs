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
    /// The number of the last request, a Close included: one that was given up finds a later one (B9).
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

    /// The number of a new request. Whatever is still under way for an earlier one is for nobody now.
    fn next_request(&self) -> u64 {
        self.request.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Asked with the registration's lock held, where a later request comes to it only afterwards.
    fn check_wanted(&self, request: u64) -> Result<()> {
        if self.request.load(Ordering::Acquire) != request {
            return Err(Error::new(ErrorKind::Cancelled, "the request was given up").rule("B9"));
        }
        Ok(())
    }

    fn register(&self, request: u64, range: HostRange, access: Access) -> Result<()> {
        let mut registration = self.registration.lock();
        self.check_wanted(request)?;
        self.check_not_cancelled()?;
        self.end(&mut registration).map_err(|error| {
            let cause = format!("an earlier registration, which was given up, stays: {error}");
            Error::new(ErrorKind::InsufficientResources, cause).rule("B7")
        })?;
        let mr = self.domain.register(range, access::of_region(access))?;
        let (local, remote) = (mr.local_key(), mr.remote_key());
        *registration = Some(Registration { mr, range, access });
        let usable = self.check_wanted(request).and_then(|()| check_keys(local, remote, access));
        if let Err(error) = usable {
            let Err(stays) = self.end(&mut registration) else { return Err(error) };
            // What does not end is kept, so that Close tells of it; INTERNAL_ERROR keeps the memory until then (B8).
            let cause = format!("{error}, and the registration stays: {stays}");
            let error = Error::new(ErrorKind::Internal, cause).rule("B7");
            log::error!("{}: {error}", self.device().name());
            return Err(error);
        }
        self.remote.store(if access.is_remote() { remote } else { 0 }, Ordering::Release);
        self.local.store(local, Ordering::Release);
        self.show(&registration);
        Ok(())
    }

    /// Lets the domain and who asks for extensions know of a registration with tokens.
    fn show(&self, registration: &Option<Registration>) {
        let Some(Registration { mr, access, .. }) = registration else { return };
        if takes_reads_only(*access) {
            self.domain.enter_read_sink(mr.local_key());
        }
        self.extension.set(mr.raw());
    }

    /// Ends the registration if there is one; one that does not end stays as it was.
    fn end(&self, registration: &mut Option<Registration>) -> Result<()> {
        let Some(Registration { mr, range, access }) = registration.take() else { return Ok(()) };
        self.extension.set(std::ptr::null_mut());
        // Before the end: another region may be given the key right after it.
        self.domain.forget_read_sink(mr.local_key());
        if let Err((mr, error)) = mr.end() {
            *registration = Some(Registration { mr, range, access });
            if self.local.load(Ordering::Acquire) != 0 {
                self.show(registration);
            }
            return Err(error);
        }
        self.local.store(0, Ordering::Release);
        self.remote.store(0, Ordering::Release);
        Ok(())
    }

    /// Ends the registration for a request, unless that was given up before this has begun.
    fn withdraw(&self, request: u64) -> Result<()> {
        let mut registration = self.registration.lock();
        self.check_wanted(request)?;
        self.end(&mut registration)
    }

    fn close(&self) -> Result<()> {
        self.next_request();
        let withdrawn = self.end(&mut self.registration.lock());
        let Some(fast) = &self.fast else { return withdrawn };
        self.extension.set_key(std::ptr::null_mut());
        fast.close().and(withdrawn)
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

/// # Errors
/// INSUFFICIENT_RESOURCES where a key cannot be a token.
fn check_keys(local: u32, remote: u32, access: Access) -> Result<()> {
    if local == 0 || access.is_remote() && remote == 0 {
        let cause = "the device gave the key 0, which stands for no token";
        return Err(Error::new(ErrorKind::InsufficientResources, cause).rule("E1"));
    }
    Ok(())
}

/// A request under way. Where it is dropped, whoever carries it out finds that nobody wants it.
struct UnderWay<'a> {
    core: &'a Arc<RegionCore>,
    request: u64,
    /// Whether what it has come to by then is to end.
    leaves_nothing: bool,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let (core, given_up) = (self.core.clone(), self.request + 1);
        let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
        let last = core.request.compare_exchange(self.request, given_up, success, failure);
        if last.is_err() || !self.leaves_nothing {
            return;
        }
        self.core.device().pool.spawn(move || match core.withdraw(given_up) {
            // A later request is there: it ends what it finds before it begins.
            Err(error) if error.kind() == ErrorKind::Cancelled => {}
            Err(error) => {
                log::error!("{}: a registration that was given up: {error}", core.device().name());
            }
            Ok(()) => {}
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
        let (core, request) = (self.0.clone(), self.0.next_request());
        let registering = device.pool.run(move || core.register(request, range, access));
        let under_way = UnderWay { core: &self.0, request, leaves_nothing: true };
        let result = registering.await;
        std::mem::forget(under_way);
        result
    }

    async fn deregister(&self) -> Result<()> {
        let (core, request) = (self.0.clone(), self.0.next_request());
        let deregistering = self.0.device().pool.run(move || core.withdraw(request));
        // Given up before the kernel call, it leaves the region registered (B7). A call that has begun cannot be taken back.
        let under_way = UnderWay { core: &self.0, request, leaves_nothing: false };
        let result = deregistering.await;
        std::mem::forget(under_way);
        result
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
