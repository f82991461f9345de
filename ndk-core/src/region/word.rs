//! A region's state in one atomic word: what it is, what is being done to it, who still needs it.

use crate::error::{Error, ErrorKind, Result};
use crate::sync::{AtomicU64, Ordering};
use core::fmt;

/// What a region is when nothing is in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    Created = 0,
    Registered = 1,
    Initialised = 2,
}

/// What is being done to it; at most one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Op {
    None = 0,
    Register = 1,
    Deregister = 2,
    Initialise = 3,
}

const OP_SHIFT: u32 = 8;
const FAST: u64 = 1 << 16;
const CLOSING: u64 = 1 << 17;
const POISONED: u64 = 1 << 18;
/// Initialisations wait behind the one in progress.
const QUEUED: u64 = 1 << 19;
/// Memory windows bound to it; each holds a reference too, so that Close waits for them (D2, H3).
const BIND: u64 = 1 << 20;
const MAX_BINDS: u64 = (1 << 10) - 1;
const FAST_STATE_SHIFT: u32 = 30;
const REF: u64 = 1 << 32;

/// What a claim adds to the word: the operation, and its reference.
const fn started(op: Op) -> u64 {
    REF + ((op as u64) << OP_SHIFT)
}

/// What the requests posted so far made of a region for fast registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum FastState {
    /// Its token reaches nothing.
    Free = 0,
    /// Registered, by a request that was posted.
    Valid = 1,
    /// A flush left open what the device did: to be initialised again, or closed (F6, G10).
    Stale = 2,
}

/// A reading of the word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Snapshot(u64);

impl Snapshot {
    pub(crate) fn phase(self) -> Phase {
        match self.0 as u8 {
            0 => Phase::Created,
            1 => Phase::Registered,
            _ => Phase::Initialised,
        }
    }

    pub(crate) fn op(self) -> Op {
        match (self.0 >> OP_SHIFT) as u8 {
            0 => Op::None,
            1 => Op::Register,
            2 => Op::Deregister,
            _ => Op::Initialise,
        }
    }

    pub(crate) fn fast_state(self) -> FastState {
        match self.0 >> FAST_STATE_SHIFT & 0b11 {
            0 => FastState::Free,
            1 => FastState::Valid,
            _ => FastState::Stale,
        }
    }

    /// Whether `admit` lets the operation start at once, for the two that are frequent: one comparison.
    #[inline]
    fn is_ready_for(self, op: Op) -> bool {
        const PHASE_AND_OP: u64 = 0xFFFF;
        const NEVER: u64 = CLOSING | POISONED;
        match op {
            Op::Register => self.0 & (PHASE_AND_OP | FAST | NEVER) == Phase::Created as u64,
            Op::Deregister => {
                self.0 & (PHASE_AND_OP | (MAX_BINDS * BIND) | NEVER) == Phase::Registered as u64
            }
            _ => false,
        }
    }

    fn with_fast_state(self, state: FastState) -> u64 {
        self.0 & !(0b11 << FAST_STATE_SHIFT) | (state as u64) << FAST_STATE_SHIFT
    }

    fn binds(self) -> u64 {
        (self.0 / BIND) & MAX_BINDS
    }

    pub(crate) fn is_fast(self) -> bool {
        self.0 & FAST != 0
    }

    pub(crate) fn is_closing(self) -> bool {
        self.0 & CLOSING != 0
    }

    pub(crate) fn is_poisoned(self) -> bool {
        self.0 & POISONED != 0
    }

    /// How many need the region: the consumer until it has called Close, and each request in progress until its
    /// callback has returned.
    pub(crate) fn refs(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Whether the token getters may ask the backend (E1).
    pub(crate) fn has_tokens(self) -> bool {
        const NONE: u64 = CLOSING | POISONED;
        // The tokens of a registered region stay valid until its deregistration has started; an initialised region
        // keeps its own while another initialisation runs, since the last one committed counts (G3).
        self.0 & NONE == 0 && self.phase() != Phase::Created && self.op() != Op::Deregister
    }

    /// What every operation asks first: closing (H7), then poisoned (B8).
    pub(crate) fn check_alive(self) -> Result<()> {
        if self.is_closing() {
            return Err(wrong_state("H7", "the region is being closed"));
        }
        if self.is_poisoned() {
            return Err(poisoned());
        }
        Ok(())
    }

    /// Whether `op` may start now.
    pub(crate) fn admit(self, op: Op) -> Result<()> {
        self.check_alive()?;
        match (op, self.phase(), self.op()) {
            (Op::Register, ..) if self.is_fast() => {
                Err(wrong_state("C11", "the region was created for fast registration"))
            }
            (Op::Register, Phase::Created, Op::None) => Ok(()),
            (Op::Register, ..) => Err(wrong_state(
                "C12",
                "the region is registered, or another request is changing it",
            )),
            (Op::Deregister, Phase::Registered, Op::None) if self.binds() > 0 => {
                let cause = "a memory window is bound to the region";
                Err(Error::new(ErrorKind::DeviceBusy, cause).rule("D2"))
            }
            (Op::Deregister, Phase::Registered, Op::None) => Ok(()),
            (Op::Deregister, ..) => Err(wrong_state("D1", "the region is not registered")),
            (Op::Initialise, ..) if !self.is_fast() => {
                Err(wrong_state("G1", "the region was created for conventional registration"))
            }
            (Op::Initialise, ..) if self.fast_state() == FastState::Valid => {
                Err(wrong_state("G3", "the region's fast registration is valid"))
            }
            // One that is in progress already is for the caller to queue behind.
            (Op::Initialise, ..) => Ok(()),
            (Op::None, ..) => unreachable!("nothing to admit"),
        }
    }

    /// Whether a fast-register request may be posted now.
    fn admit_fast_register(self) -> Result<()> {
        self.check_alive()?;
        match (self.phase(), self.op(), self.fast_state()) {
            (Phase::Initialised, Op::None, FastState::Free) => Ok(()),
            (_, Op::Initialise, _) => {
                Err(wrong_state("G3", "an initialisation of the region is pending"))
            }
            (Phase::Initialised, _, FastState::Valid) => {
                Err(wrong_state("G7", "the region is fast-registered and not invalidated"))
            }
            (Phase::Initialised, _, FastState::Stale) => Err(wrong_state(
                "G10",
                "a flush left the region's registration open: initialise it again",
            )),
            _ => Err(wrong_state("G7", "the region is not initialised for fast registration")),
        }
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match (self.is_closing(), self.is_poisoned(), self.op(), self.phase()) {
            (true, ..) => "closing",
            (_, true, ..) => "poisoned",
            (_, _, Op::Register, _) => "registering",
            (_, _, Op::Deregister, _) => "deregistering",
            (_, _, Op::Initialise, _) => "initialising",
            (_, _, Op::None, Phase::Created) => "created",
            (_, _, Op::None, Phase::Registered) => "registered",
            (_, _, Op::None, Phase::Initialised) => "initialised",
        };
        f.write_str(name)
    }
}

pub(crate) fn wrong_state(rule: &'static str, cause: &'static str) -> Error {
    Error::new(ErrorKind::InvalidDeviceState, cause).rule(rule)
}

#[cold]
pub(crate) fn poisoned() -> Error {
    Error::new(ErrorKind::Internal, "the backend panicked on this region; only Close is left")
        .rule("B8")
}

/// What became of a claim on the word.
pub(crate) enum Claim {
    /// The operation is the caller's to run.
    Mine,
    /// An initialisation is in progress; queue behind it.
    Queue,
}

/// The word itself.
pub(crate) struct Word(AtomicU64);

impl Word {
    /// A new region's word: the consumer holds the one reference.
    pub(crate) fn new(fast: bool) -> Self {
        Self(AtomicU64::new(REF | if fast { FAST } else { 0 }))
    }

    pub(crate) fn load(&self) -> Snapshot {
        Snapshot(self.0.load(Ordering::Acquire))
    }

    /// Starts `op` and takes a reference for it, where the state allows it.
    #[inline]
    pub(crate) fn claim(&self, op: Op) -> Result<Claim> {
        let now = self.load();
        if now.is_ready_for(op) && self.exchange(now, now.0 + started(op)).is_ok() {
            return Ok(Claim::Mine);
        }
        self.claim_slowly(op)
    }

    /// For a claim that is refused, contended, or of a kind that is rare.
    #[cold]
    fn claim_slowly(&self, op: Op) -> Result<Claim> {
        let mut now = self.load();
        loop {
            now.admit(op)?;
            if now.op() != Op::None {
                return Ok(Claim::Queue);
            }
            match self.exchange(now, now.0 + started(op)) {
                Ok(()) => return Ok(Claim::Mine),
                Err(seen) => now = seen,
            }
        }
    }

    /// Joins the queue behind the initialisation in progress, with a reference of its own. False where none is in
    /// progress any more. Called under the queue's lock.
    pub(crate) fn join_queue(&self) -> Result<bool> {
        let mut now = self.load();
        loop {
            now.admit(Op::Initialise)?;
            if now.op() != Op::Initialise {
                return Ok(false);
            }
            match self.exchange(now, (now.0 | QUEUED) + REF) {
                Ok(()) => return Ok(true),
                Err(seen) => now = seen,
            }
        }
    }

    /// The queue is empty. Called under its lock.
    pub(crate) fn queue_drained(&self) {
        self.0.fetch_and(!QUEUED, Ordering::AcqRel);
    }

    /// Ends the operation in progress: the region is in `phase` from now on. The reference stays.
    pub(crate) fn settle(&self, op: Op, from: Phase, phase: Phase) {
        self.0.fetch_add(Self::settled(op, from, phase), Ordering::AcqRel);
    }

    /// Ends the operation and lets its reference go; true where it was the last.
    #[inline]
    pub(crate) fn settle_and_release(&self, op: Op, from: Phase, phase: Phase) -> bool {
        let change = Self::settled(op, from, phase).wrapping_sub(REF);
        Snapshot(self.0.fetch_add(change, Ordering::AcqRel)).refs() == 1
    }

    /// The owner of an operation is the only one to change phase and operation, so the change is a difference.
    fn settled(op: Op, from: Phase, phase: Phase) -> u64 {
        (phase as u64).wrapping_sub(from as u64).wrapping_sub((op as u64) << OP_SHIFT)
    }

    /// As `settle`, but refused where initialisations are queued: one of them is next, and the operation goes on.
    pub(crate) fn settle_unless_queued(&self, op: Op, from: Phase, phase: Phase) -> bool {
        let mut now = self.load();
        loop {
            if now.0 & QUEUED != 0 {
                return false;
            }
            match self.exchange(now, now.0.wrapping_add(Self::settled(op, from, phase))) {
                Ok(()) => return true,
                Err(seen) => now = seen,
            }
        }
    }

    /// An operation that goes on with the next of the queue: only the phase changes.
    pub(crate) fn step(&self, from: Phase, phase: Phase) {
        self.0.fetch_add((phase as u64).wrapping_sub(from as u64), Ordering::AcqRel);
    }

    /// Takes the step to a valid fast registration.
    pub(crate) fn post_fast_register(&self) -> Result<()> {
        self.update(|now| {
            now.admit_fast_register()?;
            Ok(now.with_fast_state(FastState::Valid))
        })
    }

    /// Takes the step from a valid fast registration.
    pub(crate) fn post_invalidate(&self) -> Result<()> {
        self.update(|now| {
            now.check_alive()?;
            if now.fast_state() != FastState::Valid {
                return Err(wrong_state("G8", "the region has no valid fast registration"));
            }
            Ok(now.with_fast_state(FastState::Free))
        })
    }

    /// What a completion, or a request that was not posted after all, says of the fast registration.
    pub(crate) fn set_fast_state(&self, state: FastState) {
        let _ = self.update(|now| Ok(now.with_fast_state(state)));
    }

    /// A window is being bound: one more, and a reference for it.
    pub(crate) fn bind(&self) -> Result<()> {
        self.update(|now| {
            now.check_alive()?;
            if (now.phase(), now.op()) != (Phase::Registered, Op::None) {
                return Err(wrong_state("D2", "the region to bind to is not registered"));
            }
            if now.binds() == MAX_BINDS {
                let cause = "as many windows as can be are bound to the region";
                return Err(Error::new(ErrorKind::InsufficientResources, cause).rule("D2"));
            }
            Ok(now.0 + BIND + REF)
        })
    }

    /// A window is no longer bound; true where its reference was the last.
    pub(crate) fn unbind(&self) -> bool {
        Snapshot(self.0.fetch_sub(BIND + REF, Ordering::AcqRel)).refs() == 1
    }

    fn update(&self, step: impl Fn(Snapshot) -> Result<u64>) -> Result<()> {
        let mut now = self.load();
        loop {
            match self.exchange(now, step(now)?) {
                Ok(()) => return Ok(()),
                Err(seen) => now = seen,
            }
        }
    }

    /// Marks the region as closing; false where it was already.
    pub(crate) fn start_close(&self) -> bool {
        !Snapshot(self.0.fetch_or(CLOSING, Ordering::AcqRel)).is_closing()
    }

    /// Poisons the region; only Close is left (B8).
    pub(crate) fn poison(&self) {
        self.0.fetch_or(POISONED, Ordering::AcqRel);
    }

    /// Lets one reference go; true where it was the last, and the region is the caller's to close.
    pub(crate) fn release(&self) -> bool {
        Snapshot(self.0.fetch_sub(REF, Ordering::AcqRel)).refs() == 1
    }

    fn exchange(&self, now: Snapshot, next: u64) -> core::result::Result<(), Snapshot> {
        self.0
            .compare_exchange_weak(now.0, next, Ordering::AcqRel, Ordering::Acquire)
            .map(|_| ())
            .map_err(Snapshot)
    }
}
