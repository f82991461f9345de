//! A region as the contract has it.

use ndk_core::abi::*;
use std::collections::VecDeque;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Created,
    Registered,
    Initialised,
}

/// What the requests posted so far made of a fast registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fast {
    Free,
    Valid,
    /// A flush left it open (G10).
    Open,
}

/// A request that was accepted, by its number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) number: usize,
    pub(crate) change: Change,
    /// What it comes to, unless the region is closed or the device lost meanwhile.
    pub(crate) planned: NTSTATUS,
}

/// What a request is to make of its region.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    Register(Reach),
    Deregister,
    Initialise { pages: u32, remote: bool },
}

/// What a token reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    pub(crate) memory: usize,
    pub(crate) length: usize,
    pub(crate) flags: u32,
    /// What its addresses count from.
    pub(crate) base: u64,
}

#[derive(Debug)]
pub(crate) struct Region {
    pub(crate) domain: usize,
    pub(crate) fast: bool,
    pub(crate) phase: Phase,
    pub(crate) closing: bool,
    pub(crate) now: Option<Request>,
    /// Initialisations that wait (G3).
    pub(crate) waiting: VecDeque<Request>,
    /// What is registered, in either way.
    pub(crate) reach: Option<Reach>,
    pub(crate) posted: Fast,
    /// Invalidations that were posted and are not polled.
    pub(crate) invalidations: usize,
    /// How many initialisations were committed.
    pub(crate) round: usize,
    pub(crate) pages: u32,
    pub(crate) remote: bool,
}

impl Region {
    pub(crate) fn new(domain: usize, fast: bool) -> Self {
        Self {
            domain,
            fast,
            phase: Phase::Created,
            closing: false,
            now: None,
            waiting: VecDeque::new(),
            reach: None,
            posted: Fast::Free,
            invalidations: 0,
            round: 0,
            pages: 0,
            remote: false,
        }
    }

    /// Whether it shows a local token, and a remote one (E1, H7).
    pub(crate) fn tokens(&self) -> (bool, bool) {
        let ending = matches!(self.now, Some(Request { change: Change::Deregister, .. }));
        if self.closing || ending || self.phase == Phase::Created {
            return (false, false);
        }
        let remote = match self.reach {
            _ if self.fast => self.remote,
            Some(reach) => reach.flags & REMOTE != 0,
            None => false,
        };
        (true, remote)
    }

    /// Whether what it reaches may end at any moment: until that is over, an access may come to either.
    pub(crate) fn is_ending(&self) -> bool {
        let ends = |request: Request| !matches!(request.change, Change::Register(_));
        self.closing || self.now.is_some_and(ends)
    }

    /// A request has succeeded.
    pub(crate) fn commit(&mut self, change: Change) {
        match change {
            Change::Register(reach) => {
                self.reach = Some(reach);
                self.phase = Phase::Registered;
            }
            Change::Deregister => {
                self.reach = None;
                self.phase = Phase::Created;
            }
            Change::Initialise { pages, remote } => {
                (self.pages, self.remote) = (pages, remote);
                self.reach = None;
                self.posted = Fast::Free;
                self.round += 1;
                self.phase = Phase::Initialised;
            }
        }
    }
}

/// The rights of peers.
pub(crate) const REMOTE: u32 =
    NDK_MR_FLAG_ALLOW_REMOTE_READ | (NDK_MR_FLAG_ALLOW_REMOTE_WRITE & !1);
