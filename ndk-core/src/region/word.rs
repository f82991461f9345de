//! A region's state in two atomic words: *state*, what it is and what is being done to it, and *life*, who still needs it,
//! and whether it is closing or poisoned. Their parts, and what they allow, are in `snapshot`.
//!
//! They are two, so that a request that is over in its entry takes one atomic step, its claim. Nobody else writes the state
//! of a region for conventional registration while it is claimed, so that its end is a plain store; and it takes no
//! reference. Instead the claim says that it is *in its entry*, and Close keeps the consumer's reference until it is no
//! more (`close`).
//!
//! A claim writes the state and then reads the life, Close writes the life and then reads the state, all of them
//! sequentially consistent: so either the claim sees that the region is closing, and is taken back, or Close sees the claim.

#[cfg(all(test, loom))]
mod interleavings;

use super::snapshot::{
    BIND, CLOSING, FAST, FastState, IN_ENTRY, INVALIDATION, LIFE, MAX_BINDS, MAX_INVALIDATIONS, OP,
    OP_SHIFT, Op, PHASE, POISONED, Phase, QUEUED, REF, Snapshot, WATCHED, wrong_state,
};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::{AtomicU64, Ordering, between_seq_cst, subtract};

/// What a claim adds to the state. An initialisation has its reference already.
const fn started(op: Op) -> u64 {
    let place = match op {
        Op::Register | Op::Deregister => IN_ENTRY,
        _ => 0,
    };
    place | (op as u64) << OP_SHIFT
}

/// What became of a claim on the word.
pub(crate) enum Claim {
    /// The operation is the caller's to run.
    Mine,
    /// An initialisation is in progress; queue behind it.
    Queue,
}

/// Both words.
pub(crate) struct Word {
    state: AtomicU64,
    life: AtomicU64,
}

impl Word {
    /// A new region's word: the consumer holds the one reference.
    pub(crate) fn new(fast: bool) -> Self {
        Self { state: AtomicU64::new(if fast { FAST } else { 0 }), life: AtomicU64::new(REF) }
    }

    #[inline]
    pub(crate) fn load(&self) -> Snapshot {
        Snapshot(self.state.load(Ordering::Acquire) | self.life.load(Ordering::Acquire))
    }

    /// As `claim`, for an operation that is frequent, in the state that it is asked for in, where somebody watches or nobody
    /// does. False says nothing.
    #[inline]
    pub(crate) fn claim_at_once<const IS_WATCHED: bool>(&self, op: Op) -> bool {
        let marks = if IS_WATCHED { WATCHED } else { 0 };
        let from = match op {
            Op::Register => Phase::Created,
            _ => Phase::Registered,
        };
        // Of a region for conventional registration, to which no window is bound, this is all of the state.
        let (now, next) = (from as u64 | marks, from as u64 | marks | started(op));
        if self.state.compare_exchange(now, next, Ordering::SeqCst, Ordering::Relaxed).is_err() {
            return false;
        }
        let stays = self.life_behind_claim().is_alive();
        if !stays {
            self.settle(from);
        }
        stays
    }

    /// Starts `op` where the state allows it.
    pub(crate) fn claim(&self, op: Op) -> Result<Claim> {
        let mut now = self.load();
        loop {
            now.admit(op)?;
            if now.op() != Op::None {
                return Ok(Claim::Queue);
            }
            match self.exchange(now, now.0 + started(op)) {
                Ok(()) => break,
                Err(seen) => now = seen,
            }
        }
        if started(op) & IN_ENTRY != 0 {
            self.life_behind_claim().check_alive().inspect_err(|_| self.settle(now.phase()))?;
        }
        Ok(Claim::Mine)
    }

    #[inline]
    fn life_behind_claim(&self) -> Snapshot {
        between_seq_cst();
        Snapshot(self.life.load(Ordering::SeqCst))
    }

    /// Ends an operation that is in its entry: the region is in `phase` from now on, and may be gone.
    ///
    /// # Safety
    /// The caller holds the operation. It is a pointer, so that no borrow outlives what another thread may free.
    #[inline]
    pub(crate) unsafe fn leave(word: *const Self, phase: Phase) {
        // SAFETY: the caller's promise.
        unsafe { (*word).settle(phase) };
    }

    /// The operation in progress, which is the caller's, may outlast its entry: it takes a reference instead.
    pub(crate) fn hold(&self) {
        self.retain();
        let now = self.state.load(Ordering::Relaxed);
        self.state.store(now & !IN_ENTRY, Ordering::Release);
    }

    /// Whether an operation is in its entry, after `start_close`.
    pub(crate) fn is_in_entry(&self) -> bool {
        self.state.load(Ordering::SeqCst) & IN_ENTRY != 0
    }

    /// Takes a reference by the right of one that is held, or of the consumer's.
    fn retain(&self) {
        self.life.fetch_add(REF, Ordering::Relaxed);
    }

    /// Takes a reference by nobody's right.
    ///
    /// # Errors
    /// Refused once the close has begun, since the last reference may be gone (H7), and where the region is poisoned (B8).
    pub(crate) fn retain_open(&self) -> Result<()> {
        let mut now = self.life.load(Ordering::Relaxed);
        loop {
            Snapshot(now).check_alive()?;
            let taken =
                self.life.compare_exchange(now, now + REF, Ordering::Relaxed, Ordering::Relaxed);
            match taken {
                Ok(_) => return Ok(()),
                Err(seen) => now = seen,
            }
        }
    }

    /// Joins the queue behind the initialisation in progress, with a reference that was taken for it. False where none is
    /// in progress any more. Called under the queue's lock.
    pub(crate) fn join_queue(&self) -> Result<bool> {
        let mut now = self.load();
        loop {
            now.admit(Op::Initialise)?;
            if now.op() != Op::Initialise {
                return Ok(false);
            }
            match self.exchange(now, now.0 | QUEUED) {
                Ok(()) => return Ok(true),
                Err(seen) => now = seen,
            }
        }
    }

    /// The queue is empty. Called under its lock.
    pub(crate) fn queue_drained(&self) {
        self.state.fetch_and(!QUEUED, Ordering::AcqRel);
    }

    /// Ends the operation in progress, of a region for conventional registration: it is in `phase` from now on. The
    /// owner of an operation is the only one to write the state.
    #[inline]
    pub(crate) fn settle(&self, phase: Phase) {
        let now = self.state.load(Ordering::Relaxed);
        self.state.store(now & !(PHASE | OP | IN_ENTRY) | phase as u64, Ordering::Release);
    }

    /// Ends an initialisation; refused where others are queued: one of them is next, and the operation goes on.
    pub(crate) fn settle_unless_queued(&self, from: Phase, phase: Phase) -> bool {
        let change = Self::step_of(from, phase).wrapping_sub((Op::Initialise as u64) << OP_SHIFT);
        let mut now = self.load();
        loop {
            if now.0 & QUEUED != 0 {
                return false;
            }
            match self.exchange(now, now.0.wrapping_add(change)) {
                Ok(()) => return true,
                Err(seen) => now = seen,
            }
        }
    }

    /// An initialisation that goes on with the next of the queue: only the phase changes.
    pub(crate) fn step(&self, from: Phase, phase: Phase) {
        self.state.fetch_add(Self::step_of(from, phase), Ordering::AcqRel);
    }

    /// The owner of an operation is the only one to change the phase, so the change is a difference.
    fn step_of(from: Phase, phase: Phase) -> u64 {
        (phase as u64).wrapping_sub(from as u64)
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

    /// An invalidation is over, or was not posted after all; `becomes` says what the registration is by that.
    pub(crate) fn end_invalidation(&self, becomes: impl Fn(FastState) -> FastState) {
        let _ = self.update(|now| {
            let next = now.with_fast_state(becomes(now.fast_state()));
            // A backend that completes one twice does not take another's.
            Ok(if now.invalidations() > 0 { next - INVALIDATION } else { next })
        });
    }

    /// What a completion, or a request that was not posted after all, makes of the fast registration.
    pub(crate) fn change_fast_state(&self, becomes: impl Fn(FastState) -> FastState) {
        let _ = self.update(|now| Ok(now.with_fast_state(becomes(now.fast_state()))));
    }

    /// A window is being bound: one more, with a reference that was taken for it.
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
            Ok(now.0 + BIND)
        })
    }

    /// A window is no longer bound; its reference stays.
    pub(crate) fn unbind(&self) {
        self.state.fetch_sub(BIND, Ordering::AcqRel);
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
        self.state.fetch_or(WATCHED, Ordering::AcqRel);
    }

    /// Marks the region as closing; false where it was already.
    pub(crate) fn start_close(&self) -> bool {
        let before = Snapshot(self.life.fetch_or(CLOSING, Ordering::SeqCst));
        between_seq_cst();
        !before.is_closing()
    }

    /// Poisons the region; only Close is left (B8).
    pub(crate) fn poison(&self) {
        self.life.fetch_or(POISONED, Ordering::AcqRel);
    }

    /// Lets one reference go; true where it was the last, and the region is the caller's to close. It may be gone already
    /// where it was not.
    ///
    /// # Safety
    /// The caller holds the reference; a pointer for the reason given above.
    pub(crate) unsafe fn release(word: *const Self) -> bool {
        // SAFETY: the caller's promise.
        Snapshot(unsafe { subtract(&raw const (*word).life, REF) }).refs() == 1
    }

    /// Writes a state that follows from a reading.
    #[inline]
    fn exchange(&self, now: Snapshot, next: u64) -> core::result::Result<(), Snapshot> {
        self.state
            .compare_exchange(now.0 & !LIFE, next & !LIFE, Ordering::SeqCst, Ordering::Relaxed)
            .map(|_| ())
            .map_err(|_| self.load())
    }
}
