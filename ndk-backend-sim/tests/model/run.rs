//! Two simulated adapters beside the model: each step is made of both, and compared.

use super::common::{Lam, Memory, Mr, Net, Pd, Request, sge};
use super::model::{Comes, Memory as Bytes, Model, PAGES, REGIONS};
use super::region::Reach;
use super::step::{Access, Course, Flaw, Length, Step};
use ndk_core::abi::*;
use ndk_core::{
    Access as Rights, ErrorKind, FastMemory, RemoteAddress, RemoteToken, WorkCompletion,
};
use std::collections::BTreeMap;

/// What a request is about.
#[derive(Clone, Copy, Debug)]
enum About {
    Region(usize),
    CloseRegion(usize),
    CloseDomain(usize),
}

/// A region's token that a peer has: the last, and one before it. 0 for none.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    now: u32,
    before: u32,
    /// The round that the token is of (E4).
    round: usize,
}

/// How often each kind of step came to each status.
pub(crate) type Counts = BTreeMap<(&'static str, NTSTATUS), usize>;

pub(crate) struct Run<'a> {
    model: Model,
    net: Net,
    memories: Vec<Memory>,
    surroundings: Vec<Vec<u8>>,
    lams: Vec<Lam>,
    /// The peer's, which it reads into and writes from.
    scratch: (Memory, Mr),
    domains: BTreeMap<usize, Pd>,
    regions: BTreeMap<usize, Mr>,
    known: BTreeMap<usize, Known>,
    open: Vec<(usize, About, Request)>,
    /// Numbers of domains, regions and requests; 0 is the domain of the queue pairs.
    next: usize,
    counts: &'a mut Counts,
}

impl<'a> Run<'a> {
    pub(crate) fn new(course: Course, counts: &'a mut Counts) -> Self {
        let plan = course.plan(REGIONS, PAGES);
        let net = Net::planned(&plan);
        let shapes = course.shapes().into_iter();
        let memories: Vec<_> =
            shapes.map(|(length, shape)| Memory::shaped(length, shape)).collect();
        let filled = memories.iter().zip(7..);
        let bytes =
            filled.map(|(memory, salt)| Bytes { base: memory.base(), bytes: memory.fill(salt) });
        let scratch = Memory::scattered(9010);
        let scratch_mr = net.there.registered(&scratch, NDK_MR_FLAG_ALLOW_LOCAL_WRITE);
        Self {
            model: Model::new(course, bytes.collect()),
            surroundings: memories.iter().map(Memory::surroundings).collect(),
            lams: memories.iter().map(|memory| net.a.map(memory)).collect(),
            scratch: (scratch, scratch_mr),
            domains: BTreeMap::from([(0, net.here.clone())]),
            regions: BTreeMap::new(),
            known: BTreeMap::new(),
            open: Vec::new(),
            next: 1,
            memories,
            net,
            counts,
        }
    }

    fn number(&mut self) -> usize {
        self.next += 1;
        self.next - 1
    }

    fn some_region(&self, place: usize) -> Option<usize> {
        let count = self.regions.len().max(1);
        self.regions.keys().nth(place % count).copied()
    }

    fn some_domain(&self, place: usize) -> usize {
        *self.domains.keys().nth(place % self.domains.len()).expect("domain 0 is there")
    }

    fn reach(&self, memory: usize, length: usize, flags: u32) -> Reach {
        let memory = memory % self.memories.len();
        Reach { memory, length, flags, base: self.memories[memory].base() }
    }

    /// Makes a step where there is what it is about, and compares everything.
    pub(crate) fn step(&mut self, step: &Step) {
        match *step {
            Step::CreateDomain if self.domains.len() < 3 => self.create_domain(),
            Step::CreateDomain => {}
            Step::CloseDomain(place) => {
                let domain = self.some_domain(place);
                if domain != 0 {
                    self.close_domain(domain);
                }
            }
            Step::Create { domain, fast } => self.create(self.some_domain(domain), fast),
            Step::Run => {
                self.net.a.pump.turn();
            }
            Step::Poll => self.poll(),
            Step::Reconnect => self.reconnect(),
            Step::Lose => {
                self.net.a.sim().lose();
                self.model.lost = true;
            }
            Step::Access(ref access) => {
                if let Some(region) = self.some_region(access.region)
                    && !self.model.lost
                {
                    self.access(region, access);
                }
            }
            Step::Register { region: place, .. }
            | Step::Deregister(place)
            | Step::Initialise { region: place, .. }
            | Step::Close(place)
            | Step::FastRegister { region: place, .. }
            | Step::Invalidate(place) => {
                if let Some(region) = self.some_region(place) {
                    self.ask(region, step);
                }
            }
        }
        self.look();
    }

    /// A call of a region.
    fn ask(&mut self, region: usize, step: &Step) {
        let (mr, number) = (self.regions[&region].clone(), self.number());
        let about = About::Region(region);
        match *step {
            Step::Register { memory, length, flags, .. } => {
                let all = self.memories[memory % self.memories.len()].len();
                let length = match length {
                    Length::All => all,
                    Length::One => 1,
                    Length::Zero => 0,
                    Length::TooLong => all + 1,
                };
                let reach = self.reach(memory, length, flags);
                let should = self.model.register(region, number, reach);
                let request = mr.begin_register(&self.memories[reach.memory], length, flags);
                self.begun("register", should, number, about, request);
            }
            Step::Deregister(_) => {
                let should = self.model.deregister(region, number);
                self.begun("deregister", should, number, about, mr.begin_deregister());
            }
            Step::Initialise { pages, remote, .. } => {
                let should = self.model.initialise(region, number, pages, remote);
                let request = mr.begin_initialise(pages, remote);
                self.begun("initialise", should, number, about, request);
            }
            Step::Close(_) => self.close(region, &mr),
            Step::FastRegister { memory, flaw, flags, .. } => {
                self.fast_register(region, &mr, (memory, flaw, flags));
            }
            Step::Invalidate(_) => {
                let should = self.model.invalidate(region);
                let came = self.net.qp.invalidate(&mr);
                self.came(
                    "invalidate",
                    should,
                    came.map_or_else(|e| e.status(), |()| STATUS_SUCCESS),
                );
            }
            _ => unreachable!("no call of a region"),
        }
    }

    fn came(&mut self, what: &'static str, should: NTSTATUS, came: NTSTATUS) {
        assert_eq!(came, should, "{what}: came to {came:#x}, not {should:#x}");
        *self.counts.entry((what, came)).or_default() += 1;
    }

    fn begun(
        &mut self,
        what: &'static str,
        should: NTSTATUS,
        number: usize,
        about: About,
        request: Request,
    ) {
        self.came(what, should, request.inline);
        if request.inline == STATUS_PENDING {
            self.open.push((number, about, request));
        }
    }

    fn create_domain(&mut self) {
        let should = self.model.create_domain();
        let made = self.net.a.try_pd();
        self.came("create domain", should, made.as_ref().map_or_else(|e| *e, |_| STATUS_SUCCESS));
        if let Ok(pd) = made {
            let number = self.number();
            self.model.domains.insert(number, false);
            self.domains.insert(number, pd);
        }
    }

    fn create(&mut self, domain: usize, fast: bool) {
        let number = self.number();
        let should = self.model.create(number, domain, fast);
        let made = self.domains[&domain].try_mr(fast);
        self.came("create", should, made.as_ref().map_or_else(|e| *e, |_| STATUS_SUCCESS));
        if let Ok(mr) = made {
            self.regions.insert(number, mr);
            self.known.insert(number, Known::default());
        }
    }

    fn close(&mut self, region: usize, mr: &Mr) {
        let (should, number) = (self.model.close(region), self.number());
        let request = mr.begin_close();
        if request.inline == STATUS_SUCCESS {
            self.regions.remove(&region);
        }
        self.begun("close", should, number, About::CloseRegion(region), request);
    }

    fn close_domain(&mut self, domain: usize) {
        let (should, number) = (self.model.close_domain(domain), self.number());
        let request = self.domains[&domain].begin_close();
        if request.inline == STATUS_SUCCESS {
            self.domains.remove(&domain);
        }
        self.begun("close domain", should, number, About::CloseDomain(domain), request);
    }

    fn fast_register(&mut self, region: usize, mr: &Mr, (memory, flaw, flags): (usize, Flaw, u32)) {
        let Some(rights) = Rights::from_flags(flags).ok() else { return };
        let mut reach =
            self.reach(memory, self.memories[memory % self.memories.len()].len(), flags);
        let good = self.lams[reach.memory].memory(0x5000_0000);
        reach.base = good.base;
        let should = self.model.fast_register(region, reach, flaw);
        let described = match flaw {
            Flaw::None => good,
            Flaw::Base => FastMemory { base: good.base + 1, ..good },
            Flaw::Offset => FastMemory { first_byte: good.first_byte + PAGE_SIZE as u32, ..good },
            Flaw::Long => FastMemory { length: good.length + 2 * PAGE_SIZE as u64, ..good },
            Flaw::Empty => FastMemory { length: 0, ..good },
        };
        let came = self.net.qp.fast_register(mr, described, rights);
        self.came("fast-register", should, came.map_or_else(|e| e.status(), |()| STATUS_SUCCESS));
    }

    fn poll(&mut self) {
        let (should, came) = (self.model.polled(), self.net.qp.poll());
        let outcome = |completion: &WorkCompletion| completion.result;
        assert_eq!(came.as_ref().map(outcome), should.map(|posted| posted.result), "{should:?}");
        if let Some(posted) = should {
            let what = if posted.invalidation { "invalidated" } else { "fast-registered" };
            let status = posted.result.map_or_else(|kind| kind.status(), |()| STATUS_SUCCESS);
            *self.counts.entry((what, status)).or_default() += 1;
        }
    }

    fn reconnect(&mut self) {
        while !self.model.completions.is_empty() {
            self.poll();
        }
        if !self.model.lost {
            self.net.reconnect();
            self.model.broken = false;
        }
    }

    fn access(&mut self, region: usize, access: &Access) {
        let known = self.known[&region];
        let Some(token) = RemoteToken::new(if access.stale { known.before } else { known.now })
        else {
            return;
        };
        let comes = self.model.access(region, access);
        let base = match comes {
            Comes::Through(reach) | Comes::Either(reach) => reach.base,
            _ => self.model.regions[&region].reach.map_or(0x1000, |reach| reach.base),
        };
        let remote = RemoteAddress { address: base.wrapping_add_signed(access.at), token };
        let local = sge(self.scratch.1.local(), self.scratch.0.base(), access.length);
        let length = access.length as usize;
        // Other bytes each time.
        let sent: Vec<u8> = (0..length).map(|at| (at * 7 + self.next * 31) as u8).collect();
        self.next += 1;
        self.scratch.0.write(0, &sent);
        let posted = match access.write {
            true => self.net.peer.write(1, &[local], remote),
            false => self.net.peer.read(1, &[local], remote),
        };
        posted.expect("posted");
        let came = self.net.peer.outcome();
        match (comes, &came) {
            (Comes::Through(reach) | Comes::Either(reach), Ok(bytes)) => {
                assert_eq!(*bytes, access.length);
                self.moved(reach, access, &sent);
            }
            (Comes::Refused | Comes::Either(_), Err(ErrorKind::AccessViolation)) => {
                self.model.broken = true;
            }
            (Comes::Flushed, Err(ErrorKind::Cancelled)) => {}
            _ => panic!("{access:?} of {token:?}: came to {came:?}, not {comes:?}"),
        }
        let what = if access.write { "write" } else { "read" };
        let status = came.map_or_else(|kind| kind.status(), |_| STATUS_SUCCESS);
        *self.counts.entry((what, status)).or_default() += 1;
    }

    /// An access went through: its bytes are there, or are written down as written.
    fn moved(&mut self, reach: Reach, access: &Access, sent: &[u8]) {
        if sent.is_empty() {
            return;
        }
        let bytes = &mut self.model.memories[reach.memory].bytes;
        let place = &mut bytes[access.at as usize..][..sent.len()];
        if access.write {
            place.copy_from_slice(sent);
        } else {
            assert!(self.scratch.0.bytes()[..sent.len()] == *place, "the bytes read");
        }
    }

    /// Hears what has completed, and looks at every token.
    fn look(&mut self) {
        let mut over = Vec::new();
        for at in (0..self.open.len()).rev() {
            if let Some(call) = self.open[at].2.call() {
                let (number, about, _) = self.open.remove(at);
                over.push((call.order, number, about, call.status));
            }
        }
        over.sort_unstable_by_key(|(order, ..)| *order);
        for (_, number, about, status) in over {
            match about {
                About::Region(region) => self.model.completed(region, number, status),
                About::CloseRegion(region) => {
                    self.model.closed(region);
                    self.regions.remove(&region);
                }
                About::CloseDomain(domain) => {
                    self.model.closed_domain(domain);
                    self.domains.remove(&domain);
                }
            }
            *self.counts.entry(("completed", status)).or_default() += 1;
        }
        self.look_at_tokens();
    }

    fn look_at_tokens(&mut self) {
        let mut owners = BTreeMap::new();
        for (number, mr) in &self.regions {
            let region = &self.model.regions[number];
            let tokens = (mr.local_value(), mr.remote_value());
            assert_eq!(
                (tokens.0 != 0, tokens.1 != 0),
                region.tokens(),
                "E1 of {number}: {region:?}"
            );
            for token in [tokens.0, tokens.1].into_iter().filter(|token| *token != 0) {
                assert_eq!(owners.entry(token).or_insert(number), &number, "E2: {token:#x}");
            }
            let shown = if tokens.1 == 0 { tokens.0 } else { tokens.1 };
            let known = self.known.get_mut(number).expect("noted at its creation");
            if shown != 0 && shown != known.now {
                assert!(!region.fast || known.round != region.round, "E4: the token has changed");
                assert_ne!(shown, known.before, "D4: a retired token");
                *known = Known { now: shown, before: known.now, round: region.round };
            }
        }
    }

    /// Closes everything; whatever is pending ends, and the memory is as the model has it.
    pub(crate) fn end(mut self) {
        self.reconnect();
        let regions: Vec<_> = self.regions.keys().copied().collect();
        for region in regions {
            if !self.model.regions[&region].closing {
                let mr = self.regions[&region].clone();
                self.close(region, &mr);
            }
        }
        let domains: Vec<_> = self.domains.keys().copied().collect();
        for domain in domains {
            if domain != 0 && !self.model.domains[&domain] {
                self.close_domain(domain);
            }
        }
        while !self.open.is_empty() {
            assert!(self.net.a.pump.turn(), "V24: never completed: {:?}", self.open[0].1);
            self.look();
        }
        assert!(self.regions.is_empty() && self.domains.len() == 1);
        for (at, memory) in self.memories.iter().enumerate() {
            assert!(memory.bytes() == self.model.memories[at].bytes, "the bytes of memory {at}");
            assert!(memory.surroundings() == self.surroundings[at], "the bytes around memory {at}");
        }
        self.lams.into_iter().for_each(|lam| self.net.a.release(lam));
        self.net.finish([self.scratch.1]);
    }
}
