//! What the threads share: domains, regions, memory; and who may call what.
//!
//! An object may be called while its place is held for reading. Who closes it takes it out of its place first, with
//! the place held for writing: then no call is in progress and none begins. Only a completion routine calls an object
//! without holding its place: until it returns, its request keeps the object there, closed or not (H2).

use super::common::{Host, Lam, Memory, Pd, Pump, Random, entry};
use super::ledger::{Entry, Ledger, Totals};
use ndk_core::abi::*;
use std::ptr::{NonNull, addr_of, null_mut};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;
use std::time::{Duration, Instant};

/// Places for regions, and for domains: some that stay to the end, for queue pairs, and some that come and go.
pub(crate) const REGIONS: usize = 24;
pub(crate) const DOMAINS: usize = 4;
pub(crate) const LASTING: usize = 2;

/// A region, from its creation to the end of its close.
pub(crate) struct Life {
    pub(crate) raw: NonNull<NDK_MR>,
    pub(crate) fast: bool,
    /// Registrations that succeeded less deregistrations that did: 0 or 1 once all have completed (C12, D1).
    pub(crate) balance: AtomicI64,
    /// Which memory it was to be registered over last: a hint for those who use its tokens.
    pub(crate) memory: AtomicUsize,
}

// SAFETY: an NDK_MR may be called from any thread; when it may, this module sees to.
unsafe impl Send for Life {}
// SAFETY: as for Send.
unsafe impl Sync for Life {}

/// What a request is about.
pub(crate) enum About {
    Domain {
        place: usize,
    },
    Creation {
        place: usize,
        fast: bool,
    },
    Region {
        place: usize,
        life: Arc<Life>,
    },
    Close(Arc<Life>),
    /// The close of a domain, or a request that must be refused.
    Nothing,
}

pub(crate) struct World {
    pub(crate) ledger: Ledger,
    pub(crate) adapter: NonNull<NDK_ADAPTER>,
    pump: Pump,
    pub(crate) domains: [RwLock<Option<Pd>>; DOMAINS],
    pub(crate) regions: [RwLock<Option<Arc<Life>>>; REGIONS],
    /// Whether one is being made for the place: that is never done where there is one.
    pub(crate) creating: [AtomicBool; REGIONS],
    /// Memory of many shapes, and the mappings of it, all of which live to the end.
    pub(crate) memory: Vec<Memory>,
    pub(crate) lams: Vec<Lam>,
    /// Completion routines ask for nothing any more.
    pub(crate) over: AtomicBool,
}

// SAFETY: the adapter may be called from any thread, and outlives the world.
unsafe impl Send for World {}
// SAFETY: as for Send.
unsafe impl Sync for World {}

pub(crate) fn read<T>(place: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    place.read().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn write<T>(place: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    place.write().unwrap_or_else(PoisonError::into_inner)
}

/// The world whose requests the completion routines are called for.
static CURRENT: RwLock<Option<Arc<World>>> = RwLock::new(None);

impl World {
    pub(crate) fn open(host: &Host) -> Arc<Self> {
        let shapes = [1, 64, 4096, 5000, 9000, 40_000, 90_000];
        let mut memory: Vec<_> = shapes.map(Memory::scattered).into();
        memory.push(Memory::new(8192));
        let lams = memory.iter();
        let lams = lams.map(|memory| super::soon("a mapping", || host.try_map(memory).ok()));
        let lasting =
            |place| (place < LASTING).then(|| super::soon("a domain", || host.try_pd().ok()));
        let world = Arc::new(Self {
            ledger: Ledger::new(),
            adapter: host.raw(),
            pump: host.pump.clone(),
            domains: std::array::from_fn(|place| RwLock::new(lasting(place))),
            regions: std::array::from_fn(|_| RwLock::default()),
            creating: std::array::from_fn(|_| AtomicBool::new(false)),
            lams: lams.collect(),
            memory,
            over: AtomicBool::new(false),
        });
        *write(&CURRENT) = Some(world.clone());
        world
    }

    /// Closes what is there, and waits until every request is over.
    pub(crate) fn finish(self: Arc<Self>, host: &Host) -> Totals {
        self.over.store(true, Ordering::SeqCst);
        let limit = Instant::now() + Duration::from_secs(60);
        loop {
            // A creation may deliver until its callback has returned.
            let quiet = self.ledger.open().is_empty();
            (0..REGIONS).for_each(|place| self.close_region(place));
            (0..DOMAINS).for_each(|place| self.close_domain(place));
            let open = self.ledger.open();
            if quiet && open.is_empty() {
                break;
            }
            assert!(Instant::now() < limit, "V24: PENDING was never completed: {open:?}");
            thread::sleep(Duration::from_millis(1));
        }
        *write(&CURRENT) = None;
        let world = wait_for_callbacks(self);
        world.lams.into_iter().for_each(|lam| host.release(lam));
        world.ledger.totals()
    }

    pub(crate) fn create_domain(&self, place: usize) {
        let mut out = null_mut();
        let context = self.ledger.begin(Entry::CreatePd, About::Domain { place });
        // SAFETY: the adapter is open, and the out pointer valid during the call.
        let status = unsafe {
            let create = entry!(self.adapter, NdkCreatePd);
            create(self.adapter.as_ptr(), Some(create_completed), context, &mut out)
        };
        if let Some(about) = self.ledger.returned(context, status) {
            self.over(Entry::CreatePd, about, status, out.cast());
        }
    }

    /// Takes the domain out of its place and closes it; its regions may live on for long (H4).
    pub(crate) fn close_domain(&self, place: usize) {
        let pd = write(&self.domains[place]).take();
        if let Some(pd) = pd {
            self.close_taken_domain(&pd);
        }
    }

    fn close_taken_domain(&self, pd: &Pd) {
        let context = self.ledger.begin(Entry::ClosePd, About::Nothing);
        // SAFETY: the domain was taken out of its place: this is the only call of it, and the last.
        let status = unsafe {
            entry!(pd.raw, NdkClosePd)(pd.raw.as_ptr().cast(), Some(close_completed), context)
        };
        self.expect(Entry::ClosePd, status, &[STATUS_SUCCESS, STATUS_PENDING]);
        self.ledger.returned(context, status);
    }

    /// Puts a new domain into its place; where another thread was faster, there is no place for it.
    fn install_domain(&self, place: usize, pd: Pd) {
        let superfluous = {
            let mut domain = write(&self.domains[place]);
            match *domain {
                Some(_) => Some(pd),
                None => domain.replace(pd),
            }
        };
        if let Some(pd) = superfluous {
            self.close_taken_domain(&pd);
        }
    }

    /// Notes a status that the entry must not return in this case.
    pub(crate) fn expect(&self, entry: Entry, status: NTSTATUS, legal: &[NTSTATUS]) {
        if !legal.contains(&status) {
            let name = ndk_core::status_name(status);
            self.ledger.wrong(format!("{entry:?} returned {status:#x} ({name:?})"));
        }
    }

    /// A request of the adapter or of a domain is over.
    pub(crate) fn over(
        &self,
        entry: Entry,
        about: About,
        status: NTSTATUS,
        object: *mut NDK_OBJECT_HEADER,
    ) {
        match about {
            About::Domain { place } if status == STATUS_SUCCESS => {
                let raw = NonNull::new(object.cast()).expect("A1: the domain");
                self.install_domain(place, Pd { raw, pump: self.pump.clone() });
            }
            About::Creation { place, fast } if status == STATUS_SUCCESS => {
                let raw = NonNull::new(object.cast()).expect("A1: the region");
                let (balance, memory) = (AtomicI64::new(0), AtomicUsize::new(0));
                let life = Life { raw, fast, balance, memory };
                let there = write(&self.regions[place]).replace(Arc::new(life));
                assert!(there.is_none(), "one creation for a place at a time");
                self.creating[place].store(false, Ordering::SeqCst);
            }
            About::Domain { .. } | About::Creation { .. } => {
                if let About::Creation { place, .. } = about {
                    self.creating[place].store(false, Ordering::SeqCst);
                }
                if !object.is_null() {
                    self.ledger.wrong(format!("A1: an object with {status:#x}"));
                }
            }
            About::Region { life, .. } => life.settle(entry, status),
            About::Close(life) => {
                let balance = life.balance.load(Ordering::SeqCst);
                if !(0..=1).contains(&balance) {
                    self.ledger.wrong(format!("C12, D1: registered {balance} times at its close"));
                }
            }
            About::Nothing => {}
        }
    }
}

impl Life {
    fn settle(&self, entry: Entry, status: NTSTATUS) {
        match (entry, status) {
            (Entry::Register, STATUS_SUCCESS) => self.balance.fetch_add(1, Ordering::SeqCst),
            (Entry::Deregister, STATUS_SUCCESS) => self.balance.fetch_sub(1, Ordering::SeqCst),
            _ => 0,
        };
    }
}

/// The world, once the last completion routine has let it go.
fn wait_for_callbacks(mut world: Arc<World>) -> World {
    loop {
        match Arc::try_unwrap(world) {
            Ok(world) => break world,
            Err(shared) => world = shared,
        }
        thread::yield_now();
    }
}

fn called(context: PVOID, status: NTSTATUS, object: *mut NDK_OBJECT_HEADER) {
    // A call after the end of the run has no books to be wrong in: it fails the whole program.
    let world = read(&CURRENT).clone().expect("B2: a call after everything was over");
    let Some((entry, about)) = world.ledger.called(context, status) else { return };
    let follow_up = match &about {
        About::Region { place, life } => Some((*place, life.clone())),
        _ => None,
    };
    world.over(entry, about, status, object);
    if let Some((place, life)) = follow_up {
        let mut random = Random::new(context.addr() as u64);
        world.inside_callback(&mut random, place, &life);
    }
}

pub(crate) unsafe extern "system" fn request_completed(context: PVOID, status: NTSTATUS) {
    called(context, status, null_mut());
}

pub(crate) unsafe extern "system" fn close_completed(context: PVOID) {
    called(context, STATUS_SUCCESS, null_mut());
}

pub(crate) unsafe extern "system" fn create_completed(
    context: PVOID,
    status: NTSTATUS,
    object: *mut NDK_OBJECT_HEADER,
) {
    called(context, status, object);
}
