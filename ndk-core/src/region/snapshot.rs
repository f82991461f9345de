//! A reading of a region's two words: what they say, and what may start in that state.

use crate::error::{Error, ErrorKind, Result};
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
    Initialise = 2,
    /// A bit that no other has, for `has_tokens`.
    Deregister = 4,
}

impl Op {
    /// What was asked for, in words.
    pub(super) fn name(self) -> &'static str {
        match self {
            Op::None => "nothing",
            Op::Register => "register",
            Op::Initialise => "initialise fast registration",
            Op::Deregister => "deregister",
        }
    }
}

pub(super) const PHASE: u64 = 0xFF;
pub(super) const OP_SHIFT: u32 = 8;
pub(super) const OP: u64 = 0b111 << OP_SHIFT;
/// The operation is at work in its entry, and has no reference.
pub(super) const IN_ENTRY: u64 = 1 << 11;
/// Somebody watches: a request that is claimed as if nobody did fails at that, and goes a longer way, which tells.
pub(super) const WATCHED: u64 = 1 << 15;
pub(super) const FAST: u64 = 1 << 16;
/// Of the word that has the life, as the references are.
pub(super) const CLOSING: u64 = 1 << 17;
pub(super) const POISONED: u64 = 1 << 18;
/// Initialisations wait behind the one in progress.
pub(super) const QUEUED: u64 = 1 << 19;
/// Of a conventional region, the memory windows bound to it; each holds a reference too, so that Close waits for them
/// (D2, H3).
pub(super) const BIND: u64 = 1 << 20;
pub(super) const MAX_BINDS: u64 = (1 << 10) - 1;
/// In the same place, of a region for fast registration: the invalidations that were posted and have not completed (G3).
pub(super) const INVALIDATION: u64 = BIND;
pub(super) const MAX_INVALIDATIONS: u64 = MAX_BINDS;
pub(super) const FAST_STATE_SHIFT: u32 = 30;
pub(super) const REF: u64 = 1 << 32;
/// Where the word that has the life has its parts. The other one has none there.
pub(super) const LIFE: u64 = CLOSING | POISONED | !0 << 32;

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

/// A reading of both words, in one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Snapshot(pub(super) u64);

impl Snapshot {
    pub(crate) fn phase(self) -> Phase {
        match self.0 as u8 {
            0 => Phase::Created,
            1 => Phase::Registered,
            _ => Phase::Initialised,
        }
    }

    pub(crate) fn op(self) -> Op {
        match (self.0 & OP) >> OP_SHIFT {
            0 => Op::None,
            1 => Op::Register,
            2 => Op::Initialise,
            _ => Op::Deregister,
        }
    }

    pub(crate) fn fast_state(self) -> FastState {
        match self.0 >> FAST_STATE_SHIFT & 0b11 {
            0 => FastState::Free,
            1 => FastState::Valid,
            _ => FastState::Stale,
        }
    }

    pub(super) fn with_fast_state(self, state: FastState) -> u64 {
        self.0 & !(0b11 << FAST_STATE_SHIFT) | (state as u64) << FAST_STATE_SHIFT
    }

    pub(super) fn binds(self) -> u64 {
        (self.0 / BIND) & MAX_BINDS
    }

    pub(crate) fn is_fast(self) -> bool {
        self.0 & FAST != 0
    }

    /// Invalidations that were posted and have not completed.
    pub(crate) fn invalidations(self) -> u64 {
        if self.is_fast() { (self.0 / INVALIDATION) & MAX_INVALIDATIONS } else { 0 }
    }

    pub(super) fn is_watched(self) -> bool {
        self.0 & WATCHED != 0
    }

    pub(crate) fn is_closing(self) -> bool {
        self.0 & CLOSING != 0
    }

    pub(crate) fn is_poisoned(self) -> bool {
        self.0 & POISONED != 0
    }

    /// How many need the region: the consumer until it has called Close, and each request that outlasts its entry until its
    /// callback has returned.
    pub(crate) fn refs(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Whether the token getters may ask the backend (E1).
    #[inline]
    pub(crate) fn has_tokens(self) -> bool {
        const NONE: u64 = CLOSING | POISONED | (Op::Deregister as u64) << OP_SHIFT;
        // The tokens of a registered region stay valid until its deregistration has started; an initialised region
        // keeps its own while another initialisation runs, since the last one committed counts (G3).
        // All of it in one comparison: a phase from Registered to Initialised, and no bit above it.
        (Phase::Registered as u64..=Phase::Initialised as u64).contains(&(self.0 & (NONE | PHASE)))
    }

    /// Neither closing nor poisoned.
    #[inline]
    pub(super) fn is_alive(self) -> bool {
        self.0 & (CLOSING | POISONED) == 0
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
            (Op::Initialise, ..) if self.invalidations() > 0 => Err(wrong_state(
                "G3",
                "an invalidation of the region was posted, and its completion not polled yet",
            )),
            // One that is in progress already is for the caller to queue behind.
            (Op::Initialise, ..) => Ok(()),
            (Op::None, ..) => unreachable!("nothing to admit"),
        }
    }

    /// Whether a fast-register request may be posted now, to a queue pair that has `here` of the invalidations in flight.
    pub(super) fn admit_fast_register(self, here: u64) -> Result<()> {
        self.check_alive()?;
        match (self.phase(), self.op(), self.fast_state()) {
            (Phase::Initialised, Op::None, FastState::Free) if self.invalidations() > here => {
                Err(wrong_state(
                    "G8",
                    "an invalidation is in flight on another queue pair, or being posted",
                ))
            }
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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const PHASES: [Phase; 3] = [Phase::Created, Phase::Registered, Phase::Initialised];
    const OPS: [Op; 4] = [Op::None, Op::Register, Op::Initialise, Op::Deregister];
    const FAST_STATES: [FastState; 3] = [FastState::Free, FastState::Valid, FastState::Stale];

    /// A region as it may be, but for its life.
    fn state(fast: bool, phase: Phase, op: Op, registration: FastState, count: u64) -> Snapshot {
        let rest = if fast { FAST } else { 0 } | phase as u64 | (op as u64) << OP_SHIFT;
        let rest = rest | (count * BIND) | REF;
        Snapshot(Snapshot(rest).with_fast_state(registration))
    }

    /// Every state, with none, one or all of the binds or invalidations that it can count.
    fn each(mut test: impl FnMut(Snapshot, (bool, Phase, Op, FastState, u64))) {
        for number in 0..2 * 3 * 4 * 3 * 3_usize {
            let mut rest = number;
            let mut pick = |of| {
                let picked = rest % of;
                rest /= of;
                picked
            };
            let (fast, phase, op) = (pick(2) == 1, PHASES[pick(3)], OPS[pick(4)]);
            let (registration, count) = (FAST_STATES[pick(3)], [0, 1, MAX_BINDS][pick(3)]);
            let parts = (fast, phase, op, registration, count);
            test(state(fast, phase, op, registration, count), parts);
        }
    }

    /// The rule that an error names; none where there is none.
    fn rule(result: Result<()>) -> &'static str {
        result.map_or_else(|error| error.rule_id(), |()| "")
    }

    #[test]
    fn the_parts_of_a_state_do_not_touch_each_other() {
        each(|now, (fast, phase, op, registration, count)| {
            for marks in
                [0, IN_ENTRY, WATCHED, QUEUED, CLOSING, POISONED, u64::from(u32::MAX) << 32]
            {
                let now = Snapshot(now.0 | marks);
                assert_eq!((now.is_fast(), now.phase(), now.op()), (fast, phase, op));
                assert_eq!((now.fast_state(), now.binds()), (registration, count));
                assert_eq!(now.invalidations(), if fast { count } else { 0 });
                assert_eq!(now.is_watched(), marks == WATCHED);
                assert_eq!(
                    (now.is_closing(), now.is_poisoned()),
                    (marks == CLOSING, marks == POISONED)
                );
                assert_eq!(now.is_alive(), ![CLOSING, POISONED].contains(&marks));
                assert_eq!(now.refs(), if marks >> 32 != 0 { u32::MAX } else { 1 });
                for next in FAST_STATES {
                    let change = now.0 ^ now.with_fast_state(next);
                    assert_eq!(change, (registration as u64 ^ next as u64) << FAST_STATE_SHIFT);
                }
            }
        });
    }

    #[test]
    fn e1_tokens_are_had_from_the_registration_to_the_start_of_its_end() {
        each(|now, (_, phase, op, ..)| {
            let has = phase != Phase::Created && op != Op::Deregister;
            assert_eq!(now.has_tokens(), has, "{phase:?}, {op:?}");
            for marks in [IN_ENTRY, WATCHED, QUEUED] {
                assert_eq!(Snapshot(now.0 | marks).has_tokens(), has);
            }
            for life in [CLOSING, POISONED, CLOSING | POISONED] {
                assert!(!Snapshot(now.0 | life).has_tokens(), "H7, B8");
            }
        });
    }

    #[test]
    fn h7_b8_a_region_that_is_closing_or_poisoned_takes_nothing() {
        each(|now, _| {
            for (life, wanted) in [(CLOSING, "H7"), (POISONED, "B8"), (CLOSING | POISONED, "H7")] {
                let now = Snapshot(now.0 | life);
                assert_eq!(rule(now.check_alive()), wanted);
                for op in [Op::Register, Op::Initialise, Op::Deregister] {
                    assert_eq!(rule(now.admit(op)), wanted);
                }
                assert_eq!(rule(now.admit_fast_register(0)), wanted);
            }
        });
    }

    #[test]
    fn what_may_start_and_by_which_rule_it_may_not() {
        each(|now, (fast, phase, op, registration, count)| {
            assert_eq!(rule(now.check_alive()), "");
            let idle = op == Op::None;
            let register = match (fast, phase) {
                (true, _) => "C11",
                (false, Phase::Created) if idle => "",
                _ => "C12",
            };
            assert_eq!(rule(now.admit(Op::Register)), register, "{phase:?}, {op:?}");
            let deregister = match phase {
                Phase::Registered if idle && count > 0 => "D2",
                Phase::Registered if idle => "",
                _ => "D1",
            };
            assert_eq!(rule(now.admit(Op::Deregister)), deregister, "{phase:?}, {op:?}");
            let initialise = match registration {
                _ if !fast => "G1",
                FastState::Valid => "G3",
                _ if count > 0 => "G3",
                _ => "",
            };
            assert_eq!(rule(now.admit(Op::Initialise)), initialise, "{registration:?}, {count}");
        });
    }

    #[test]
    fn g7_a_fast_registration_is_posted_to_an_initialised_region_that_is_free() {
        each(|now, (fast, phase, op, registration, count)| {
            let said = |here| {
                now.admit_fast_register(here)
                    .map_or_else(|error| error.to_string(), |()| "free".into())
            };
            let wanted = match (phase, op, registration) {
                (_, Op::Initialise, _) => "[G3]",
                (Phase::Initialised, _, FastState::Valid) => "not invalidated [G7]",
                (Phase::Initialised, _, FastState::Stale) => "[G10]",
                (Phase::Initialised, Op::None, FastState::Free) => "free",
                _ => "not initialised",
            };
            assert!(
                said(count).contains(wanted),
                "{phase:?}, {op:?}, {registration:?}: {}",
                said(count)
            );
            if fast && wanted == "free" && count > 0 {
                assert!(said(count - 1).contains("[G8]"), "G8: {}", said(count - 1));
            }
        });
    }
}
