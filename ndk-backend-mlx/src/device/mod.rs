//! An opened device: its context, what it says of itself, and what the objects of one adapter share.

mod attributes;
mod driver_table;
mod find;
mod fork;

pub(crate) use attributes::{Attributes, GidKind};
pub(crate) use driver_table::Facts;
pub(crate) use find::{Found, find};

use crate::errno::Errno;
use crate::mapping::Mappings;
use crate::mlx5::limits::Limits;
use crate::pool::Pool;
use crate::queue_pair::{Ports, address_of};
use crate::sys::load::Verbs;
use crate::sys::object::{ibv_comp_channel, ibv_context};
use crate::watch::Watched;
use ndk_core::abi::NDK_ADAPTER_INFO;
use ndk_core::{Capabilities, Error, ErrorKind, Result};
use std::net::IpAddr;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// An opened device.
pub(crate) struct Device {
    name: String,
    verbs: &'static Verbs,
    context: NonNull<ibv_context>,
    /// Where the completion queues of all queue pairs ring.
    channel: NonNull<ibv_comp_channel>,
    pub(crate) attributes: Attributes,
    pub(crate) facts: Facts,
    /// What fast registrations by indirect keys are bounded by, where the device has them.
    pub(crate) umr: Option<Limits>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) mappings: Mappings,
    pub(crate) ports: Ports,
    /// What the adapter's thread waits for.
    pub(crate) watched: Watched,
    /// Where queue pairs listen, where connections are made by address.
    pub(crate) address: Option<IpAddr>,
    lost: AtomicBool,
    regions: AtomicU32,
    region_limit: u32,
    /// The forks before it was opened: a forked child has none of its objects.
    forks: u32,
}

// SAFETY: libibverbs takes calls about a context on any thread.
unsafe impl Send for Device {}
// SAFETY: as above.
unsafe impl Sync for Device {}

impl Device {
    /// Takes over a context that `find` opened.
    pub(crate) fn new(
        found: Found,
        watched: Watched,
        region_limit: Option<u32>,
        address: Option<IpAddr>,
    ) -> Result<Self> {
        let Found { name, verbs, context, attributes, facts } = found;
        let forks = fork::count();
        // SAFETY: the context is open.
        let channel = unsafe { (verbs.ibv_create_comp_channel)(context.as_ptr()) };
        let Some(channel) = NonNull::new(channel) else {
            let error = Errno::last().error("making a completion channel");
            // SAFETY: nothing was made from the context, which is not used afterwards.
            unsafe { (verbs.ibv_close_device)(context.as_ptr()) };
            return Err(error);
        };
        // SAFETY: the context is open.
        let umr = unsafe { Limits::of_device(&name, verbs, context.as_ptr()) };
        let most = attributes.most_regions();
        let mut device = Self {
            name,
            verbs,
            context,
            channel,
            attributes,
            facts,
            umr,
            pool: Arc::default(),
            mappings: Mappings::default(),
            ports: Ports::default(),
            watched,
            address: None,
            lost: AtomicBool::new(false),
            regions: AtomicU32::new(0),
            region_limit: region_limit.map_or(most, |limit| limit.min(most)),
            forks,
        };
        device.address = match address {
            None if device.attributes.iwarp => Some(address_of(&device.name)?),
            given => given,
        };
        Ok(device)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn verbs(&self) -> &'static Verbs {
        self.verbs
    }

    pub(crate) fn context(&self) -> *mut ibv_context {
        self.context.as_ptr()
    }

    pub(crate) fn channel(&self) -> *mut ibv_comp_channel {
        self.channel.as_ptr()
    }

    /// Whether this process is a child of the one that opened the device.
    pub(crate) fn is_inherited(&self) -> bool {
        fork::count() != self.forks
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// The device is gone for good (H8).
    pub(crate) fn lose(&self, why: &str) {
        if !self.lost.swap(true, Ordering::AcqRel) {
            log::error!("{}: the device is lost: {why} [H8]", self.name);
            self.ports.fail_all();
        }
    }

    /// The declaration of section K.
    pub(crate) fn capabilities(&self) -> Capabilities {
        let declared = self.facts.capabilities(&self.attributes);
        match self.umr {
            Some(limits) => Capabilities { fast_registration: Some(limits.declared()), ..declared },
            None => declared,
        }
    }

    /// The attributes as `NDK_ADAPTER_INFO` has them.
    pub(crate) fn info(&self) -> NDK_ADAPTER_INFO {
        let info = self.attributes.info(&self.facts);
        match self.umr {
            Some(limits) => NDK_ADAPTER_INFO {
                FRMRPageCount: limits.declared().pages,
                MaxInitiatorQueueDepth: limits.deepest(info.MaxInitiatorQueueDepth),
                MaxInitiatorRequestSge: limits.elements(info.MaxInitiatorRequestSge),
                MaxReadRequestSge: limits.elements(info.MaxReadRequestSge),
                ..info
            },
            None => info,
        }
    }

    /// Counts a region in (C14).
    pub(crate) fn take_region(&self) -> Result<()> {
        let step = |live: u32| (live < self.region_limit).then_some(live + 1);
        match self.regions.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step) {
            Ok(_) => Ok(()),
            Err(live) => {
                let cause = format!("the adapter has {live} regions, which is its limit");
                Err(Error::new(ErrorKind::InsufficientResources, cause).rule("C14"))
            }
        }
    }

    pub(crate) fn give_region_back(&self) {
        self.regions.fetch_sub(1, Ordering::Relaxed);
    }

    /// Why a registration was refused, with the limit that may be the cause and its figure.
    pub(crate) fn refused_registration(&self, errno: Errno, length: usize) -> Error {
        let error = errno.error(&format!("registering {length} bytes"));
        let error = match error.kind() {
            ErrorKind::InsufficientResources => {
                let limits = format!(
                    "{}; the limit of locked memory is {}, the device has {} regions at most, {} are made here",
                    error.detail(),
                    locked_memory(),
                    self.attributes.most_regions(),
                    self.regions.load(Ordering::Relaxed),
                );
                Error::new(error.kind(), limits).rule("C14")
            }
            _ => error,
        };
        log::warn!("{}: {error}", self.name);
        if errno.is_loss() {
            self.lose("a registration found it gone");
        }
        error
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if self.is_inherited() {
            return;
        }
        // SAFETY: every object that was made from the context held this device, so they are gone.
        let closed = unsafe {
            (self.verbs.ibv_destroy_comp_channel)(self.channel());
            Errno::check((self.verbs.ibv_close_device)(self.context()))
        };
        if let Err(errno) = closed
            && !errno.is_loss()
        {
            log::error!("{}: {}", self.name, errno.error("closing the device"));
        }
    }
}

/// The limit of memory that the process may lock, in words.
fn locked_memory() -> String {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure is there to be written.
    if unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) } != 0 {
        return "not known".into();
    }
    match limit.rlim_cur {
        libc::RLIM_INFINITY => "none (`ulimit -l` is unlimited)".into(),
        bytes => format!("{} KiB (`ulimit -l`)", bytes / 1024),
    }
}
