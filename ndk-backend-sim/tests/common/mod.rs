//! Adapters of the simulator as a consumer sees them: regions and domains through their C tables, work requests
//! through the framework's queue pairs.
#![allow(dead_code, unused_imports)] // each test file uses a part of it

mod executor;
mod layer;
mod mapping;
mod memory;
mod net;
mod on_purpose;
mod queue_pair;
mod random;
mod ticket;

pub(crate) use executor::Pump;
pub(crate) use layer::{Over, Tested, Under};
pub(crate) use mapping::{Lam, privileged};
pub(crate) use memory::{Memory, Shape};
pub(crate) use net::Net;
pub(crate) use queue_pair::{Qp, Window, connect, join, loopback, sge, window};
pub(crate) use random::Random;
pub(crate) use ticket::{Request, close_completed, create_completed, request_completed, strays};

use ndk_backend_sim::plan::Plan;
use ndk_backend_sim::{Config, Fabric, Profile, SimAdapter};
use ndk_core::abi::*;
use ndk_core::mdl::Mdl;
use ndk_core::{DomainRef, LocalToken, Opened, RegionRef, RemoteToken, Std};
use std::ptr::{NonNull, addr_of, null_mut};

pub(crate) const VERSION: NDK_VERSION = NDK_VERSION { Major: 2, Minor: 0 };

/// The entry of an object's table, by which everything is called here. For an object that is not closed, whose table is
/// its provider's.
macro_rules! entry {
    ($object:expr, $entry:ident) => {
        (*addr_of!((*$object.as_ptr()).Dispatch).read()).$entry.expect(stringify!($entry))
    };
}
pub(crate) use entry;

/// An opened adapter.
pub(crate) struct Host {
    opened: Opened<Tested, Std>,
    pub(crate) pump: Pump,
    /// Dropped after the adapter.
    _under: Under,
}

impl Host {
    pub(crate) fn new(config: Config, pump: &Pump) -> Self {
        let sim = SimAdapter::new(config).expect("an adapter");
        let under = Under::new();
        let opened = Opened::new(under.over(sim), pump.executor(), VERSION);
        Self { opened: opened.expect("an open adapter"), pump: pump.clone(), _under: under }
    }

    /// Two adapters of one profile that reach each other, driven by one thread.
    pub(crate) fn pair(profile: &Profile) -> (Self, Self) {
        Self::planned_pair(profile, &Plan::default(), &Plan::default())
    }

    /// As `pair`, each with a plan; both have the same manual clock.
    pub(crate) fn planned_pair(profile: &Profile, first: &Plan, second: &Plan) -> (Self, Self) {
        let (pump, fabric) = (Pump::own(), Fabric::new());
        let host = |name: &str, plan: &Plan| {
            let config = Config {
                name: name.into(),
                profile: profile.clone(),
                plan: plan.clone(),
                clock: pump.clock(),
                fabric: fabric.clone(),
                ..Config::default()
            };
            Self::new(config, &pump)
        };
        (host("a", first), host("b", second))
    }

    /// One adapter with a plan, driven by this thread.
    pub(crate) fn planned(plan: &str) -> Self {
        let pump = Pump::own();
        let plan = plan.parse().expect("a plan");
        Self::new(Config { plan, clock: pump.clock(), ..Config::default() }, &pump)
    }

    pub(crate) fn sim(&self) -> &SimAdapter {
        Under::sim(self.opened.provider())
    }

    pub(crate) fn raw(&self) -> NonNull<NDK_ADAPTER> {
        self.opened.adapter().as_ndk()
    }

    pub(crate) fn begin_pd(&self, out: &mut *mut NDK_PD) -> Request {
        // SAFETY: the adapter is open, and the out pointer valid during the call.
        Request::begin(|context| unsafe {
            entry!(self.raw(), NdkCreatePd)(
                self.raw().as_ptr(),
                Some(create_completed),
                context,
                out,
            )
        })
    }

    /// A domain, or the status that there is none for.
    pub(crate) fn try_pd(&self) -> Result<Pd, NTSTATUS> {
        let mut out = null_mut();
        let call = self.begin_pd(&mut out).finish_with_object(&self.pump);
        if call.status != STATUS_SUCCESS {
            return Err(call.status);
        }
        let raw = NonNull::new(out).or(NonNull::new(call.object().cast())).expect("a domain");
        Ok(Pd { raw, pump: self.pump.clone() })
    }

    pub(crate) fn pd(&self) -> Pd {
        self.try_pd().expect("a domain")
    }

    /// Closes the adapter, of which nothing may be left.
    pub(crate) fn close(self) {
        self.pump.run_ready();
        let counters = self.sim().counters();
        assert_eq!(self.sim().live_records(), 0, "records are left: {counters}");
        assert_eq!(counters.live(), 0, "registrations are left: {counters}");
        self.opened.close().expect("an adapter of which nothing is left");
        assert_eq!(strays(), 0, "B1, B2: a call too many");
    }
}

/// A protection domain. A copy of a pointer: closing it is the test's.
#[derive(Clone)]
pub(crate) struct Pd {
    pub(crate) raw: NonNull<NDK_PD>,
    pub(crate) pump: Pump,
}

impl Pd {
    pub(crate) fn domain(&self) -> DomainRef<Tested, Std> {
        // SAFETY: the framework gave it out for these types, and it is not closed.
        unsafe { DomainRef::from_ndk(self.raw) }
    }

    pub(crate) fn begin_mr(&self, fast: bool, out: &mut *mut NDK_MR) -> Request {
        // SAFETY: the domain is not closed, and the out pointer valid during the call.
        Request::begin(|context| unsafe {
            let completion = Some(create_completed as _);
            entry!(self.raw, NdkCreateMr)(self.raw.as_ptr(), fast.into(), completion, context, out)
        })
    }

    /// A region, or the status that there is none for.
    pub(crate) fn try_mr(&self, fast: bool) -> Result<Mr, NTSTATUS> {
        let mut out = null_mut();
        let call = self.begin_mr(fast, &mut out).finish_with_object(&self.pump);
        if call.status != STATUS_SUCCESS {
            return Err(call.status);
        }
        let raw = NonNull::new(out).or(NonNull::new(call.object().cast())).expect("a region");
        Ok(Mr { raw, pump: self.pump.clone() })
    }

    /// A region for conventional registration.
    pub(crate) fn mr(&self) -> Mr {
        self.try_mr(false).expect("a region")
    }

    /// A region for fast registration, initialised.
    pub(crate) fn fast_mr(&self, pages: u32, remote: bool) -> Mr {
        let mr = self.try_mr(true).expect("a region");
        assert_eq!(mr.initialise(pages, remote), STATUS_SUCCESS);
        mr
    }

    /// A region over all of the memory.
    pub(crate) fn registered(&self, memory: &Memory, flags: ULONG) -> Mr {
        let mr = self.mr();
        assert_eq!(mr.register(memory, flags), STATUS_SUCCESS);
        mr
    }

    pub(crate) fn privileged_token(&self) -> u32 {
        let mut token = 0;
        // SAFETY: as above.
        unsafe {
            entry!(self.raw, NdkGetPrivilegedMemoryRegionToken)(self.raw.as_ptr(), &mut token);
        }
        token
    }

    pub(crate) fn begin_close(&self) -> Request {
        // SAFETY: the domain is not closed.
        Request::begin(|context| unsafe {
            entry!(self.raw, NdkClosePd)(self.raw.as_ptr().cast(), Some(close_completed), context)
        })
    }

    pub(crate) fn close(self) {
        assert_eq!(self.begin_close().finish(&self.pump), STATUS_SUCCESS);
    }
}

/// A region. A copy of a pointer: closing it is the test's.
#[derive(Clone)]
pub(crate) struct Mr {
    pub(crate) raw: NonNull<NDK_MR>,
    pub(crate) pump: Pump,
}

impl Mr {
    pub(crate) fn region(&self) -> RegionRef<Tested, Std> {
        // SAFETY: the framework gave it out for these types, and it is not closed.
        unsafe { RegionRef::from_ndk(self.raw) }
    }

    pub(crate) fn begin_register(&self, memory: &Memory, length: usize, flags: ULONG) -> Request {
        self.begin_register_mdl(memory.mdl(), length, flags)
    }

    pub(crate) fn begin_register_mdl(&self, mdl: &Mdl, length: usize, flags: ULONG) -> Request {
        let (raw, mdl) = (self.raw.as_ptr(), mdl.as_ptr());
        // SAFETY: the region is not closed, and the chain lives until the test is over.
        Request::begin(|context| unsafe {
            entry!(self.raw, NdkRegisterMr)(
                raw,
                mdl,
                length,
                flags,
                Some(request_completed),
                context,
            )
        })
    }

    pub(crate) fn register(&self, memory: &Memory, flags: ULONG) -> NTSTATUS {
        self.begin_register(memory, memory.len(), flags).finish(&self.pump)
    }

    pub(crate) fn begin_deregister(&self) -> Request {
        // SAFETY: the region is not closed.
        Request::begin(|context| unsafe {
            entry!(self.raw, NdkDeregisterMr)(self.raw.as_ptr(), Some(request_completed), context)
        })
    }

    pub(crate) fn deregister(&self) -> NTSTATUS {
        self.begin_deregister().finish(&self.pump)
    }

    pub(crate) fn begin_initialise(&self, pages: u32, remote: bool) -> Request {
        let (raw, completion) = (self.raw.as_ptr(), Some(request_completed as _));
        // SAFETY: the region is not closed.
        Request::begin(|context| unsafe {
            entry!(self.raw, NdkInitializeFastRegisterMr)(
                raw,
                pages,
                remote.into(),
                completion,
                context,
            )
        })
    }

    pub(crate) fn initialise(&self, pages: u32, remote: bool) -> NTSTATUS {
        self.begin_initialise(pages, remote).finish(&self.pump)
    }

    /// The local token, or 0.
    pub(crate) fn local_value(&self) -> u32 {
        // SAFETY: the region is not closed.
        unsafe { entry!(self.raw, NdkGetLocalTokenFromMr)(self.raw.as_ptr()) }
    }

    /// The remote token, or 0.
    pub(crate) fn remote_value(&self) -> u32 {
        // SAFETY: as above.
        unsafe { entry!(self.raw, NdkGetRemoteTokenFromMr)(self.raw.as_ptr()) }
    }

    pub(crate) fn local(&self) -> LocalToken {
        LocalToken::new(self.local_value()).expect("a local token")
    }

    pub(crate) fn remote(&self) -> RemoteToken {
        RemoteToken::new(self.remote_value()).expect("a remote token")
    }

    /// The token that a peer would try: the remote one, or, where there is none, the one that only the owner should know.
    pub(crate) fn tried(&self) -> RemoteToken {
        let remote = self.remote_value();
        let tried = if remote == 0 { self.local_value() } else { remote };
        RemoteToken::new(tried).expect("a token")
    }

    pub(crate) fn begin_close(&self) -> Request {
        // SAFETY: the region is not closed.
        Request::begin(|context| unsafe {
            entry!(self.raw, NdkCloseMr)(self.raw.as_ptr().cast(), Some(close_completed), context)
        })
    }

    pub(crate) fn close(self) {
        assert_eq!(self.begin_close().finish(&self.pump), STATUS_SUCCESS, "H1");
    }
}
