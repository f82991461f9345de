//! A thread's own queue pair: work requests on regions that the other threads register, deregister and close.

use super::common::{
    Host, Pd, Qp, Random, Tested, Window, entry, loopback, privileged, sge, window,
};
use super::world::{LASTING, Life, REGIONS, World, read};
use ndk_core::{
    Access, ErrorKind, FastMemory, LocalToken, QueuePair, RegionRef, RemoteAddress, RemoteToken,
    Result, Sge, Std,
};
use std::collections::BTreeSet;
use std::ptr::addr_of;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Where fast registrations count from.
const PAGE: u64 = 0x7000_0000_0000;

pub(crate) struct Wire<'a> {
    world: &'a World,
    host: &'a Host,
    domain: usize,
    pd: Pd,
    qp: Qp,
    window: Option<Window>,
    /// Contexts of the requests in progress.
    open: BTreeSet<u64>,
    /// How many were posted.
    pub(crate) posted: u64,
    broken: bool,
}

impl<'a> Wire<'a> {
    /// A queue pair of its own, in a domain that lasts.
    pub(crate) fn new(world: &'a World, host: &'a Host, domain: usize) -> Self {
        let pd = read(&world.domains[domain]).clone().expect("a domain that lasts");
        let qp = loopback(&pd);
        let (open, window) = (BTreeSet::new(), None);
        Self { world, host, domain, pd, qp, window, open, posted: 0, broken: false }
    }

    /// Posts something, and looks what has completed.
    pub(crate) fn work(&mut self, random: &mut Random) {
        if self.broken {
            self.renew();
        }
        match random.below(8) {
            // One that fails cancels those behind it: a few at a time, so that there is something else too.
            _ if self.open.len() > 6 => self.broken |= random.once_in(2000),
            0..5 => self.move_bytes(random),
            5 => self.fast(random),
            6 => self.bind(random),
            _ => {}
        }
        self.poll();
    }

    /// The tokens of some region, and where its bytes begin. They are read while the region may be called; by the time
    /// of the access they may be dead.
    fn target(&self, random: &mut Random) -> (Option<LocalToken>, Option<RemoteToken>, u64) {
        let mut place = random.below(REGIONS);
        if !random.once_in(6) {
            // Of its own domain.
            place = place / LASTING * LASTING + self.domain;
        }
        let region = read(&self.world.regions[place]);
        let Some(life) = region.as_ref() else { return (None, None, 0) };
        let memory = &self.world.memory[life.memory.load(Ordering::Relaxed)];
        let base = if life.fast { PAGE } else { memory.base() };
        // SAFETY: the region's place is held.
        let (local, remote) = unsafe {
            let mr = life.raw.as_ptr();
            let local = entry!(life.raw, NdkGetLocalTokenFromMr)(mr);
            (local, entry!(life.raw, NdkGetRemoteTokenFromMr)(mr))
        };
        (LocalToken::new(local), RemoteToken::new(remote), base)
    }

    fn element(&self, random: &mut Random) -> Option<Sge> {
        let length = random.length(300) as u32;
        if random.once_in(2) {
            let lam = random.pick(&self.world.lams);
            let token = privileged(self.pd.privileged_token());
            return Some(sge(token, lam.pages[0], length));
        }
        let (token, _, base) = self.target(random);
        Some(sge(token?, base, length))
    }

    fn move_bytes(&mut self, random: &mut Random) {
        let count = random.below(3);
        let list: Vec<_> = (0..count).filter_map(|_| self.element(random)).collect();
        let (_, token, address) = self.target(random);
        let invalidate = token.filter(|_| random.once_in(3));
        // Once in a while one that nobody has.
        let wild = RemoteToken::new(random.next() as u32 | 1).filter(|_| random.once_in(20));
        let remote = token.or(wild).map(|token| RemoteAddress { address, token });
        match (random.below(4), remote) {
            (0, Some(remote)) => self.post(|qp, context| qp.write(context, &list, remote)),
            (1, Some(remote)) => self.post(|qp, context| qp.read(context, &list, remote)),
            (2, _) => self.post(|qp, context| qp.receive(context, &list)),
            (3, _) => {
                if !random.once_in(6) {
                    let token = privileged(self.pd.privileged_token());
                    let sink = [sge(token, self.world.lams[3].pages[0], 700)];
                    self.post(|qp, context| qp.receive(context, &sink));
                }
                self.post(|qp, context| qp.send(context, &list, invalidate));
            }
            _ => {}
        }
    }

    /// A fast registration or an invalidation, of a region whose place is held.
    fn fast(&mut self, random: &mut Random) {
        let world = self.world;
        let region = read(&world.regions[random.below(REGIONS / 4) * 4]);
        let Some(life) = region.as_ref() else { return };
        let region = self.region(life);
        if random.once_in(2) {
            // SAFETY: the region's place is held.
            self.post(|qp, context| unsafe { qp.invalidate(context, region) });
            return;
        }
        let lam = random.pick(&world.lams);
        let memory: FastMemory<'_> = lam.memory(PAGE);
        let access = Access::from_flags(*random.pick(&[0, 2, 5, 7])).expect("legal flags");
        // SAFETY: as above; the memory lives to the end.
        self.post(|qp, context| unsafe { qp.fast_register(context, region, memory, access) });
    }

    /// A window of its own: bound to some region, invalidated, closed.
    fn bind(&mut self, random: &mut Random) {
        let world = self.world;
        let Some(own) = self.window.take() else {
            self.window = window(&self.pd).ok();
            return;
        };
        match random.below(5) {
            0..3 => {
                let region = read(&world.regions[random.below(REGIONS)]);
                if let Some(life) = region.as_ref() {
                    let region = self.region(life);
                    let range = (random.pick(&world.memory).base(), 1 + random.next() % 100);
                    let access = Access::REMOTE_READ;
                    // SAFETY: the region's place is held.
                    self.post(|qp, context| unsafe {
                        qp.bind(context, region, &own, range, access)
                    });
                }
                self.window = Some(own);
            }
            3 => {
                self.post(|qp, context| qp.invalidate_window(context, &own));
                self.window = Some(own);
            }
            // A close that waits for the window goes on with this (H3).
            _ => self.host.pump.block_on("the close of a window", own.close()),
        }
    }

    fn region(&self, life: &Life) -> RegionRef<Tested, Std> {
        // SAFETY: the framework gave it out for these types, and its place is held.
        unsafe { RegionRef::from_ndk(life.raw) }
    }

    fn post(&mut self, post: impl FnOnce(&QueuePair<Tested, Std>, u64) -> Result<()>) {
        let context = self.posted;
        self.open.insert(context);
        match post(&self.qp, context) {
            Ok(()) => self.posted += 1,
            Err(_) => {
                self.open.remove(&context);
            }
        }
    }

    fn poll(&mut self) {
        while let Some(done) = self.qp.poll() {
            if !self.open.remove(&done.id.context) {
                self.world.ledger.wrong(format!("work {} completed twice", done.id.context));
            }
            self.broken |= done.result.is_err();
            let legal = [
                ErrorKind::AccessViolation,
                ErrorKind::Cancelled,
                ErrorKind::Timeout,
                ErrorKind::RemoteResources,
                ErrorKind::BufferTooSmall,
                ErrorKind::InsufficientResources,
            ];
            if let Err(kind) = done.result
                && !legal.contains(&kind)
            {
                self.world.ledger.wrong(format!("work completed with {kind:?}"));
            }
        }
    }

    /// Waits until each request has completed, and goes on with another queue pair.
    fn renew(&mut self) {
        self.drain();
        let fresh = loopback(&self.pd);
        std::mem::replace(&mut self.qp, fresh).close();
        self.broken = false;
    }

    fn drain(&mut self) {
        self.qp.flush();
        let limit = Instant::now() + Duration::from_secs(30);
        while !self.open.is_empty() {
            self.poll();
            assert!(Instant::now() < limit, "work was never completed: {:?}", self.open);
            std::thread::yield_now();
        }
        self.poll();
    }

    /// Leaves nothing; gives the number of requests.
    pub(crate) fn finish(mut self) -> u64 {
        self.drain();
        if let Some(window) = self.window {
            self.host.pump.block_on("the close of a window", window.close());
        }
        self.qp.close();
        self.posted
    }
}
