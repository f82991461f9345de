//! Following a plan.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chacha20::ChaCha8Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use ndk_core::ErrorKind;
use parking_lot::Mutex;

use super::{Effect, Fault, Latency, Limits, Occurrence, Operation, Plan, Target};

/// The shortest time after which something has not completed inline.
const MOMENT: Duration = Duration::from_nanos(1);

/// What an operation is to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// How long it pends first, never zero; without it, it completes inline.
    pub delay: Option<Duration>,
    /// What it then fails with, having changed nothing (B7).
    pub fault: Option<ErrorKind>,
    /// Whether the adapter is to be taken away (H8), once the operation has begun. True for one decision of a planner.
    pub lose_adapter: bool,
}

/// Follows a plan: counts operations, draws latencies, says what fails.
///
/// Each operation has a count and a stream of random numbers of its own. With one seed, the n-th decision on an
/// operation is the same each time, whatever happened to the others; with several threads it depends on them who gets
/// it, and at which operation the adapter is lost.
pub struct Planner {
    /// One bit for each operation that the plan says anything about.
    affected: u32,
    lanes: Box<[Lane]>,
    limits: Limits,
    lose_at: Option<Duration>,
    /// With how many operations the adapter is lost; 0 is never.
    lose_after: u64,
    begun: AtomicU64,
}

/// What there is of one operation. A line of cache for itself: different operations do not get in each other's way.
#[repr(align(128))]
struct Lane {
    latency: Latency,
    faults: Vec<Fault>,
    state: Mutex<State>,
}

struct State {
    count: u64,
    random: Random,
}

impl Planner {
    /// Starts to follow a plan.
    pub fn new(plan: &Plan, seed: u64) -> Self {
        let lanes: Box<[Lane]> =
            Operation::ALL.iter().map(|operation| Lane::new(plan, seed, *operation)).collect();
        let is_affected = |lane: &Lane| {
            plan.lose.after.is_some() || lane.latency != Latency::Inline || !lane.faults.is_empty()
        };
        let affected = lanes.iter().enumerate().filter(|(_, lane)| is_affected(lane));
        Self {
            affected: affected.fold(0, |mask, (operation, _)| mask | 1 << operation),
            lanes,
            limits: plan.limits,
            lose_at: plan.lose.at,
            lose_after: plan.lose.after.map_or(0, |after| after.get().into()),
            begun: AtomicU64::new(0),
        }
    }

    /// What there is a given amount of.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// When the adapter is to be taken away, whatever it did until then.
    pub fn lose_at(&self) -> Option<Duration> {
        self.lose_at
    }

    /// Whether the plan has anything to decide: a latency, a fault, or a number of operations that end it.
    pub fn is_empty(&self) -> bool {
        self.affected == 0
    }

    /// Whether the plan says anything of this operation.
    #[inline]
    pub fn affects(&self, operation: Operation) -> bool {
        self.affected & (1 << operation as u32) != 0
    }

    /// Counts the operation, and says what it is to do. Costs a load and a branch where the plan says nothing about it.
    #[inline]
    pub fn decide(&self, operation: Operation) -> Decision {
        if !self.affects(operation) {
            return Decision { delay: None, fault: None, lose_adapter: false };
        }
        self.follow(operation)
    }

    #[inline(never)]
    fn follow(&self, operation: Operation) -> Decision {
        let mut decision = self.lanes[operation as usize].decide();
        if self.lose_after != 0 {
            decision.lose_adapter =
                self.begun.fetch_add(1, Ordering::Relaxed) + 1 == self.lose_after;
        }
        decision
    }
}

impl Lane {
    fn new(plan: &Plan, seed: u64, operation: Operation) -> Self {
        let latency = plan.latency.get(&Target::One(operation));
        let latency = latency.or_else(|| plan.latency.get(&Target::All));
        let concerns = |fault: &&Fault| {
            let is_legal = operation.can_fail() || fault.effect.status().is_none();
            is_legal && fault.operation.covers(operation)
        };
        Self {
            latency: latency.copied().unwrap_or(Latency::Inline),
            faults: plan.faults.iter().filter(concerns).copied().collect(),
            state: Mutex::new(State { count: 0, random: Random::new(seed, operation) }),
        }
    }

    /// Draws the same number of random numbers each time, whatever comes of it, so that one fault of a plan does not
    /// shift what the others do.
    fn decide(&self) -> Decision {
        let mut state = self.state.lock();
        state.count += 1;
        let mut delay = self.latency.draw(&mut state.random);
        let mut failure = None;
        for fault in &self.faults {
            if state.befalls(fault.occurrence) {
                match fault.effect {
                    Effect::Late(late) | Effect::FailPending { late, .. } => {
                        delay = delay.saturating_add(late);
                    }
                    Effect::FailInline(_) => {}
                }
                if failure.is_none() && fault.effect.status().is_some() {
                    failure = Some(fault.effect);
                }
            }
        }
        let delay = match failure {
            Some(Effect::FailInline(_)) => None,
            Some(_) => Some(delay.max(MOMENT)),
            None => Some(delay).filter(|delay| !delay.is_zero()),
        };
        Decision { delay, fault: failure.and_then(Effect::status), lose_adapter: false }
    }
}

impl State {
    fn befalls(&mut self, occurrence: Occurrence) -> bool {
        match occurrence {
            Occurrence::Nth(n) => self.count == u64::from(n.get()),
            Occurrence::Every(n) => self.count.is_multiple_of(n.get().into()),
            Occurrence::Share(share) => self.random.share() < share,
        }
    }
}

impl fmt::Debug for Planner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_affected = |operation: &&Operation| self.affected & (1 << **operation as u32) != 0;
        let affected: Vec<_> = Operation::ALL.iter().filter(is_affected).collect();
        f.debug_struct("Planner")
            .field("affected", &affected)
            .field("limits", &self.limits)
            .field("lose_at", &self.lose_at)
            .field("lose_after", &self.lose_after)
            .finish_non_exhaustive()
    }
}

/// One operation's random numbers: a cipher's keystream, the same for the same seed in every version of this crate.
pub(super) struct Random(ChaCha8Rng);

impl Random {
    fn new(seed: u64, operation: Operation) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8] = operation as u8;
        // Tokens may be drawn with the same seed; what peers see of those says nothing about these.
        key[16..24].copy_from_slice(b"ndk plan");
        Self(ChaCha8Rng::from_seed(key))
    }

    /// A number from 0 up to but not 1.
    pub(super) fn share(&mut self) -> f64 {
        // As many bits as a number of this type has below 1 with equal distances.
        const BITS: u32 = f64::MANTISSA_DIGITS;
        (self.0.next_u64() >> (64 - BITS)) as f64 / (1_u64 << BITS) as f64
    }

    /// A number from 0 to `most`, both included.
    pub(super) fn up_to(&mut self, most: u64) -> u64 {
        let scaled = u128::from(self.0.next_u64()) * (u128::from(most) + 1);
        (scaled >> 64) as u64
    }
}
