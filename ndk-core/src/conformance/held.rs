//! The safe consumer's objects, kept for a case that names them by their raw pointers.

use super::flight::Flight;
use super::route::{Change, Mr, Pd, Raw, Registration};
use super::ticket::lock;
use crate::abi::NDK_MR;
use crate::access::{LocalToken, RemoteToken};
use crate::call::entry;
use crate::consumer::{
    Adapter, FastRegion, LogicalMapping, ProtectionDomain, Ready, Region, Registered,
};
use crate::error::Error;
use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, Weak};

/// A region as its type has it.
pub(super) enum Held {
    Created(Region),
    /// With what it was registered with.
    Registered(Region<Registered>, Registration),
    Fast(FastRegion),
    Ready(FastRegion<Ready>),
    /// A request has it.
    Lent(Weak<Flight>),
}

impl Held {
    /// Whether the type has the method.
    pub(super) fn has(&self, change: Change) -> bool {
        match self {
            Self::Created(_) => change == Change::Register,
            Self::Registered(..) => change == Change::Deregister,
            Self::Fast(_) | Self::Ready(_) => change == Change::Initialise,
            Self::Lent(_) => false,
        }
    }

    /// The tokens that the type gives; where it gives none, those of the provider, which should not either (E1).
    pub(super) fn tokens(&self) -> (u32, u32) {
        let (local, remote) = match self {
            Self::Registered(region, registration) => {
                is_as_registered(region, registration);
                (region.local_token(), region.remote_token())
            }
            Self::Ready(region) => (region.local_token(), region.remote_token()),
            Self::Created(region) => raw_tokens(region.as_ndk()),
            Self::Fast(region) => raw_tokens(region.as_ndk()),
            Self::Lent(_) => rules_out("the tokens of a region that a request has"),
        };
        (local.map_or(0, LocalToken::get), remote.map_or(0, RemoteToken::get))
    }
}

fn raw_tokens(mr: NonNull<NDK_MR>) -> (Option<LocalToken>, Option<RemoteToken>) {
    // SAFETY: the consumer's region is alive.
    unsafe { (entry::local_token(mr), entry::remote_token(mr)) }
}

/// A registered region says what it was registered with.
fn is_as_registered(region: &Region<Registered>, registration: &Registration) {
    let chain = registration.chain.as_ref().expect("Rust has no null");
    assert_eq!(region.memory().as_ptr(), chain.as_ptr(), "the region owns its memory");
    assert_eq!((region.len(), region.access().flags()), (registration.length, registration.flags));
}

/// A case that asks for what it cannot have is marked wrongly, or a bug.
#[track_caller]
pub(super) fn rules_out(what: &str) -> ! {
    panic!("the safe consumer's types rule this out: {what}")
}

/// All objects of a case. What is shared is so while a future borrows it.
#[derive(Default)]
pub(super) struct Objects {
    // In the order in which what a failed case leaves is dropped.
    regions: Mutex<BTreeMap<usize, Held>>,
    mappings: Mutex<BTreeMap<usize, LogicalMapping>>,
    domains: Mutex<BTreeMap<usize, Arc<ProtectionDomain>>>,
    adapters: Mutex<BTreeMap<usize, Arc<Adapter>>>,
}

impl Objects {
    pub(super) fn put_region(&self, mr: Mr, held: Held) {
        lock(&self.regions).insert(mr.0.addr(), held);
    }

    /// The region, whose place a request takes.
    #[track_caller]
    pub(super) fn lend_region(&self, mr: Mr) -> Held {
        let mut regions = lock(&self.regions);
        let held = regions.get_mut(&mr.0.addr()).expect("a region of the consumer's");
        match std::mem::replace(held, Held::Lent(Weak::new())) {
            Held::Lent(_) => rules_out("a second request while one has the region"),
            held => held,
        }
    }

    /// Notes who has the region, if it is not back already.
    pub(super) fn lent_to(&self, mr: Mr, flight: &Arc<Flight>) {
        if let Some(Held::Lent(whom)) = lock(&self.regions).get_mut(&mr.0.addr()) {
            *whom = Arc::downgrade(flight);
        }
    }

    pub(super) fn take_region(&self, mr: Mr) -> Held {
        lock(&self.regions).remove(&mr.0.addr()).expect("a region of the consumer's")
    }

    pub(super) fn with_region<R>(&self, mr: Mr, ask: impl FnOnce(&Held) -> R) -> R {
        ask(lock(&self.regions).get(&mr.0.addr()).expect("a region of the consumer's"))
    }

    pub(super) fn put_domain(&self, domain: ProtectionDomain) -> Pd {
        let pd = Raw(domain.as_ndk().as_ptr());
        lock(&self.domains).insert(pd.0.addr(), Arc::new(domain));
        pd
    }

    pub(super) fn domain(&self, pd: Pd) -> Arc<ProtectionDomain> {
        lock(&self.domains).get(&pd.0.addr()).expect("a domain of the consumer's").clone()
    }

    pub(super) fn take_domain(&self, pd: Pd) -> ProtectionDomain {
        let domain = lock(&self.domains).remove(&pd.0.addr()).expect("a domain of the consumer's");
        let borrowed = || rules_out("the close of a domain that a creation borrows");
        Arc::into_inner(domain).unwrap_or_else(borrowed)
    }

    pub(super) fn put_adapter(&self, adapter: Adapter) -> super::route::Adapter {
        let ndk = Raw(adapter.as_ndk().as_ptr());
        lock(&self.adapters).insert(ndk.0.addr(), Arc::new(adapter));
        ndk
    }

    pub(super) fn adapter(&self, adapter: super::route::Adapter) -> Arc<Adapter> {
        lock(&self.adapters).get(&adapter.0.addr()).expect("an adapter of the consumer's").clone()
    }

    pub(super) fn close_adapter(
        &self,
        adapter: super::route::Adapter,
        close: impl FnOnce(Adapter) -> Result<(), crate::consumer::Failed<Adapter>>,
    ) -> Result<(), Error> {
        let adapter = lock(&self.adapters).remove(&adapter.0.addr()).expect("an open adapter");
        let borrowed = || rules_out("the close of an adapter that a creation borrows");
        close(Arc::into_inner(adapter).unwrap_or_else(borrowed)).map_err(|failed| {
            self.put_adapter(failed.object);
            failed.error
        })
    }

    pub(super) fn put_mapping(&self, place: usize, mapping: LogicalMapping) {
        lock(&self.mappings).insert(place, mapping);
    }

    pub(super) fn take_mapping(&self, place: usize) -> LogicalMapping {
        lock(&self.mappings).remove(&place).expect("a mapping of the consumer's")
    }
}
