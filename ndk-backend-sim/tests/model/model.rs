//! The contract as a machine that knows nothing of the framework: what each call returns, and what each completion may say.

use super::region::{Change, Fast, Phase, REMOTE, Reach, Region, Request};
use super::step::{Access, Course, Flaw};
use ndk_backend_sim::plan::Operation;
use ndk_core::ErrorKind;
use ndk_core::abi::*;
use std::collections::{BTreeMap, VecDeque};

/// Regions at a time, and pages pinned at a time.
pub(crate) const REGIONS: usize = 6;
pub(crate) const PAGES: usize = 5;
/// FRMRPageCount.
const FAST_PAGES: u32 = 511;

const INVALID: NTSTATUS = STATUS_INVALID_PARAMETER;
const STATE: NTSTATUS = STATUS_INVALID_DEVICE_STATE;

/// What a completion of the owner's queue pair is about, and says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Posted {
    pub(crate) invalidation: bool,
    region: usize,
    round: usize,
    pub(crate) result: Result<(), ErrorKind>,
}

/// What an access comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comes {
    Through(Reach),
    Refused,
    /// Its region is being taken away.
    Either(Reach),
    /// The queue pair is in error.
    Flushed,
}

#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) base: u64,
    pub(crate) bytes: Vec<u8>,
}

impl Memory {
    fn pages(&self, length: usize) -> usize {
        (self.base as usize % PAGE_SIZE + length).div_ceil(PAGE_SIZE)
    }
}

#[derive(Debug)]
pub(crate) struct Model {
    course: Course,
    counts: BTreeMap<Operation, u32>,
    pub(crate) memories: Vec<Memory>,
    /// Those that exist, by number, and whether they are being closed.
    pub(crate) domains: BTreeMap<usize, bool>,
    pub(crate) regions: BTreeMap<usize, Region>,
    pub(crate) completions: VecDeque<Posted>,
    pub(crate) broken: bool,
    pub(crate) lost: bool,
}

impl Model {
    /// The domain of the queue pairs has the number 0.
    pub(crate) fn new(course: Course, memories: Vec<Memory>) -> Self {
        Self {
            course,
            counts: BTreeMap::new(),
            memories,
            domains: BTreeMap::from([(0, false)]),
            regions: BTreeMap::new(),
            completions: VecDeque::new(),
            broken: false,
            lost: false,
        }
    }

    fn region(&mut self, region: usize) -> &mut Region {
        self.regions.get_mut(&region).expect("a region")
    }

    /// The pages that registrations pin; those of fast registrations are their mappings' (C13).
    fn pinned(&self) -> usize {
        let conventional = self.regions.values().filter(|region| !region.fast);
        let reaches = conventional.filter_map(|region| region.reach);
        reaches.map(|reach| self.memories[reach.memory].pages(reach.length)).sum()
    }

    pub(crate) fn create_domain(&self) -> NTSTATUS {
        if self.lost { STATUS_DEVICE_REMOVED } else { STATUS_SUCCESS }
    }

    pub(crate) fn create(&mut self, number: usize, domain: usize, fast: bool) -> NTSTATUS {
        match () {
            () if self.domains[&domain] => STATE,
            () if self.lost => STATUS_DEVICE_REMOVED,
            () if self.regions.len() == REGIONS => STATUS_INSUFFICIENT_RESOURCES,
            () => {
                self.regions.insert(number, Region::new(domain, fast));
                STATUS_SUCCESS
            }
        }
    }

    pub(crate) fn register(&mut self, region: usize, number: usize, reach: Reach) -> NTSTATUS {
        let legal = reach.flags & !0xf == 0 && reach.flags & 0x5 != 0x4;
        let fits = (1..=self.memories[reach.memory].bytes.len()).contains(&reach.length);
        let it = &self.regions[&region];
        if it.closing || it.fast || it.phase != Phase::Created || it.now.is_some() {
            return STATE;
        }
        if !legal || !fits {
            return INVALID;
        }
        self.start(region, number, Change::Register(reach))
    }

    pub(crate) fn deregister(&mut self, region: usize, number: usize) -> NTSTATUS {
        let it = &self.regions[&region];
        if it.closing || it.phase != Phase::Registered || it.now.is_some() {
            return STATE;
        }
        self.start(region, number, Change::Deregister)
    }

    pub(crate) fn initialise(
        &mut self,
        region: usize,
        number: usize,
        pages: u32,
        remote: bool,
    ) -> NTSTATUS {
        let it = self.region(region);
        if it.closing || !it.fast || it.posted == Fast::Valid || it.invalidations > 0 {
            return STATE;
        }
        match pages {
            0 => return INVALID,
            1..=FAST_PAGES => {}
            _ => return STATUS_IMPLEMENTATION_LIMIT,
        }
        let change = Change::Initialise { pages, remote };
        if it.now.is_some() {
            // Whether it fails is known when it has its turn.
            it.waiting.push_back(Request { number, change, planned: STATUS_PENDING });
            return STATUS_PENDING;
        }
        self.start(region, number, change)
    }

    /// A request begins at the device.
    fn start(&mut self, region: usize, number: usize, change: Change) -> NTSTATUS {
        if self.lost {
            return STATUS_DEVICE_REMOVED;
        }
        let request = self.planned(number, change);
        self.region(region).now = Some(request);
        let operation = operation(change);
        if self.course.pends(operation) { STATUS_PENDING } else { self.end(region) }
    }

    fn planned(&mut self, number: usize, change: Change) -> Request {
        let operation = operation(change);
        let count = self.counts.entry(operation).or_default();
        *count += 1;
        let fails = self.course.fails(operation, *count);
        Request { number, change, planned: if fails { STATUS_IO_TIMEOUT } else { STATUS_SUCCESS } }
    }

    /// The request that is at the device ends there, with this status.
    fn end(&mut self, region: usize) -> NTSTATUS {
        let request = self.region(region).now.take().expect("a request");
        let mut status = request.planned;
        if let Change::Register(reach) = request.change {
            let pages = self.memories[reach.memory].pages(reach.length);
            if status == STATUS_SUCCESS && self.pinned() + pages > PAGES {
                status = STATUS_INSUFFICIENT_RESOURCES;
            }
        }
        if status == STATUS_SUCCESS {
            self.region(region).commit(request.change);
        }
        status
    }

    /// A completion routine was called for the request with that number.
    pub(crate) fn completed(&mut self, region: usize, number: usize, status: NTSTATUS) {
        let lost = self.lost;
        let it = self.region(region);
        let now = it.now.expect("a request that is pending");
        assert_eq!(now.number, number, "requests of a region end in the order of their calls");
        let early =
            it.closing && status == STATUS_CANCELLED || lost && status == STATUS_DEVICE_REMOVED;
        if early {
            it.now = None;
        } else {
            assert_ne!(now.planned, STATUS_PENDING, "H2: cancelled in its turn");
            assert_eq!(self.end(region), status, "request {number}");
        }
        let it = self.region(region);
        let Some(next) = it.waiting.pop_front() else { return };
        // It has its turn, unless there is a reason not to: then it ends by that, without the device.
        let runs = !it.closing && !lost;
        let next = if runs { self.planned(next.number, next.change) } else { next };
        self.region(region).now = Some(next);
    }

    pub(crate) fn close(&mut self, region: usize) -> NTSTATUS {
        let pends = self.course.pends(Operation::CloseMr) && !self.lost;
        let it = self.region(region);
        if it.closing {
            return STATE;
        }
        it.closing = true;
        if pends || it.now.is_some() {
            return STATUS_PENDING;
        }
        self.closed(region);
        STATUS_SUCCESS
    }

    /// The close of a region is over.
    pub(crate) fn closed(&mut self, region: usize) {
        let it = self.regions.remove(&region).expect("a region that is closed once");
        assert!(it.closing && it.now.is_none(), "H2: its requests end first: {it:?}");
    }

    pub(crate) fn close_domain(&mut self, domain: usize) -> NTSTATUS {
        let pends = self.course.pends(Operation::ClosePd) && !self.lost;
        let closing = self.domains.get_mut(&domain).expect("a domain");
        if std::mem::replace(closing, true) {
            return STATE;
        }
        if pends || self.regions.values().any(|region| region.domain == domain) {
            return STATUS_PENDING;
        }
        self.closed_domain(domain);
        STATUS_SUCCESS
    }

    pub(crate) fn closed_domain(&mut self, domain: usize) {
        let left = self.regions.values().any(|region| region.domain == domain);
        assert!(!left, "H4: its regions are closed first");
        assert_eq!(self.domains.remove(&domain), Some(true), "a domain that is closed once");
    }

    pub(crate) fn fast_register(&mut self, region: usize, reach: Reach, flaw: Flaw) -> NTSTATUS {
        let (lost, broken) = (self.lost, self.broken);
        let pages = self.memories[reach.memory].pages(reach.length) as u32;
        let it = self.region(region);
        if it.domain != 0 {
            return INVALID;
        }
        let ready = it.phase == Phase::Initialised && it.now.is_none() && it.posted == Fast::Free;
        if it.closing || !it.fast || !ready {
            return STATE;
        }
        if flaw != Flaw::None || pages > it.pages {
            return INVALID;
        }
        if reach.flags & REMOTE != 0 && !it.remote {
            return STATUS_ACCESS_VIOLATION;
        }
        if lost {
            return STATUS_DEVICE_REMOVED;
        }
        it.posted = Fast::Valid;
        if !broken {
            it.reach = Some(reach);
        }
        let round = it.round;
        self.post(region, round, false);
        STATUS_SUCCESS
    }

    pub(crate) fn invalidate(&mut self, region: usize) -> NTSTATUS {
        let (lost, broken) = (self.lost, self.broken);
        let it = self.region(region);
        if it.domain != 0 {
            return INVALID;
        }
        if it.closing || it.posted != Fast::Valid {
            return STATE;
        }
        if lost {
            return STATUS_DEVICE_REMOVED;
        }
        it.posted = Fast::Free;
        it.invalidations += 1;
        if !broken {
            it.reach = None;
        }
        let round = it.round;
        self.post(region, round, true);
        STATUS_SUCCESS
    }

    fn post(&mut self, region: usize, round: usize, invalidation: bool) {
        let result = if self.broken { Err(ErrorKind::Cancelled) } else { Ok(()) };
        self.completions.push_back(Posted { invalidation, region, round, result });
    }

    /// The next completion was polled.
    pub(crate) fn polled(&mut self) -> Option<Posted> {
        let posted = self.completions.pop_front()?;
        let it = self.regions.get_mut(&posted.region).filter(|it| it.round == posted.round);
        if let Some(it) = it {
            it.invalidations -= usize::from(posted.invalidation);
            if posted.result.is_err() {
                it.posted = Fast::Open;
            }
        }
        Some(posted)
    }

    pub(crate) fn access(&self, region: usize, access: &Access) -> Comes {
        let it = &self.regions[&region];
        let right = if access.write { REMOTE & !0x2 } else { NDK_MR_FLAG_ALLOW_REMOTE_READ };
        match it.reach {
            _ if self.broken => Comes::Flushed,
            Some(reach) if !access.stale && it.domain == 0 && reach.flags & right != 0 => {
                let end = access.at + i64::from(access.length);
                let inside = access.at >= 0 && end <= reach.length as i64;
                match inside || access.length == 0 {
                    true if it.is_ending() => Comes::Either(reach),
                    true => Comes::Through(reach),
                    false => Comes::Refused,
                }
            }
            _ => Comes::Refused,
        }
    }
}

fn operation(change: Change) -> Operation {
    match change {
        Change::Register(_) => Operation::Register,
        Change::Deregister => Operation::Deregister,
        Change::Initialise { .. } => Operation::InitializeFastRegister,
    }
}
