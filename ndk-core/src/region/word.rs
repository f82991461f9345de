//! A region's state in one atomic word: what it is, what is being done to it, who still needs it. Its parts, and what they
//! allow, are in `snapshot`.

use super::snapshot::{
    BIND, CLOSING, FAST, FastState, INVALIDATION, MAX_BINDS, MAX_INVALIDATIONS, OP_SHIFT, Op,
    POISONED, Phase, QUEUED, REF, Snapshot, WATCHED, wrong_state,
};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::{AtomicU64, Ordering, subtract};

/// What a claim adds to the word: the operation, and its reference.
const fn started(op: Op) -> u64 {
    REF + ((op as u64) << OP_SHIFT)
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

    #[inline]
    pub(crate) fn load(&self) -> Snapshot {
        Snapshot(self.0.load(Ordering::Acquire))
    }

    /// As `claim`, for an operation that is frequent, in the state that it is asked for in. False says nothing.
    #[inline]
    pub(crate) fn claim_at_once(&self, op: Op) -> bool {
        let now = self.load();
        now.is_ready_for(op) && self.exchange(now, now.0 + started(op)).is_ok()
    }

    /// Starts `op` and takes a reference for it, where the state allows it.
    pub(crate) fn claim(&self, op: Op) -> Result<Claim> {
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

    /// Ends the operation and lets its reference go; true where it was the last. The region may be gone already where it
    /// was not.
    ///
    /// # Safety
    /// The caller holds the operation. It is a pointer, so that no borrow outlives what another thread may free.
    #[inline]
    pub(crate) unsafe fn settle_and_release(
        word: *const Self,
        op: Op,
        from: Phase,
        phase: Phase,
    ) -> bool {
        let change = REF.wrapping_sub(Self::settled(op, from, phase));
        // SAFETY: the caller's promise.
        Snapshot(unsafe { subtract(&raw const (*word).0, change) }).refs() == 1
    }

    /// The owner of an operation is the only one to change phase and operation, so the change is a difference.
    #[inline]
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
    pub(crate) fn post_fast_register(&self, here: u64) -> Result<()> {
        self.update(|now| {
            now.admit_fast_register(here)?;
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
            if now.invalidations() == MAX_INVALIDATIONS {
                let cause = "as many invalidations as can be are in flight";
                return Err(Error::new(ErrorKind::InsufficientResources, cause).rule("G8"));
            }
            Ok(now.with_fast_state(FastState::Free) + INVALIDATION)
        })
    }

    /// An invalidation is over, or was not posted after all: `state` where that says what the registration is now.
    pub(crate) fn end_invalidation(&self, state: Option<FastState>) {
        let _ = self.update(|now| {
            let next = state.map_or(now.0, |state| now.with_fast_state(state));
            // A backend that completes one twice does not take another's.
            Ok(if now.invalidations() > 0 { next - INVALIDATION } else { next })
        });
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
    ///
    /// # Safety
    /// The caller holds the bind's reference; as for `release`.
    pub(crate) unsafe fn unbind(word: *const Self) -> bool {
        // SAFETY: the caller's promise.
        Snapshot(unsafe { subtract(&raw const (*word).0, BIND + REF) }).refs() == 1
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

    /// Somebody watches the region, which nobody else has yet.
    pub(super) fn mark_watched(&self) {
        self.0.fetch_or(WATCHED, Ordering::AcqRel);
    }

    /// Marks the region as closing; false where it was already.
    pub(crate) fn start_close(&self) -> bool {
        !Snapshot(self.0.fetch_or(CLOSING, Ordering::AcqRel)).is_closing()
    }

    /// Poisons the region; only Close is left (B8).
    pub(crate) fn poison(&self) {
        self.0.fetch_or(POISONED, Ordering::AcqRel);
    }

    /// Lets one reference go; true where it was the last, and the region is the caller's to close. It may be gone already
    /// where it was not.
    ///
    /// # Safety
    /// The caller holds the reference; a pointer for the reason given above.
    pub(crate) unsafe fn release(word: *const Self) -> bool {
        // SAFETY: the caller's promise.
        Snapshot(unsafe { subtract(&raw const (*word).0, REF) }).refs() == 1
    }

    #[inline]
    fn exchange(&self, now: Snapshot, next: u64) -> core::result::Result<(), Snapshot> {
        self.0
            .compare_exchange_weak(now.0, next, Ordering::AcqRel, Ordering::Acquire)
            .map(|_| ())
            .map_err(Snapshot)
    }
}
