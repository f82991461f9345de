//! A layer over any backend that finds what its consumer and its provider do wrong, while a program runs: the rules V1
//! to V25 of the contract, and what the framework refuses by any other rule.
//!
//! It is chosen by name, with no other change to a program: `verify+sim`, `verify+mlx:rxe0`. Options of its own stand
//! in parentheses, `verify(policy=fail,limit=5s)+sim?seed=7`. In Rust a [`Verifier`] is put over an adapter too.
//!
//! ```no_run
//! use ndk_core::verifier::{Policy, Verifier};
//! # fn adapter() -> ndk_core::BoxedAdapter { unimplemented!() }
//! let verifier = Verifier::new().policy(Policy::Count);
//! let verified = verifier.verify(adapter()); // to be opened as any other
//! # drop(verified);
//! for finding in verifier.findings() {
//!     println!("{finding}");
//! }
//! ```
//!
//! Each mistake is found once for each object: whose it is, the rules, the object's name, what was done, what would be
//! right, and where the object was created. `docs/verifier.md` has it rule by rule, and what cannot be found.

extern crate std;

mod adapter;
mod contexts;
mod desk;
mod desks;
mod frames;
mod holder;
mod live;
mod mapped;
mod mappings;
mod name;
mod objects;
mod origin;
mod queue_pair;
mod region;
mod retired;
mod rules;
mod shadow;
mod sink;
mod spread;
mod tokens;
mod waiting;

pub use adapter::Verified;
pub(crate) use desks::{frees_chain, frees_memory};
pub(crate) use name::split_name;
pub use queue_pair::VerifiedQueuePair;
pub use region::VerifiedRegion;

use crate::provider::{AdapterProvider, Finding, Party};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use sink::Sink;

/// What is done about a mistake, beside what the framework does: whatever it knows to be undefined it never does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// It is written to the log, a consumer's as a warning, a provider's as an error, and kept to be read.
    #[default]
    Log,
    /// It is kept to be read.
    Count,
    /// As for [`Log`](Self::Log), and the call fails, also where the framework would let it pass.
    Fail,
}

/// How many mistakes were found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Those of consumers.
    pub consumer: u64,
    /// Those of providers.
    pub provider: u64,
}

/// How adapters are verified, and what was found on all of them. A clone is another handle.
#[derive(Clone)]
pub struct Verifier {
    policy: Policy,
    limit: Duration,
    backtraces: bool,
    shared_contexts: bool,
    sink: Arc<Sink>,
}

impl Default for Verifier {
    fn default() -> Self {
        Self::new()
    }
}

impl Verifier {
    /// The limit of a verifier that is told of none.
    pub const DEFAULT_LIMIT: Duration = Duration::from_secs(30);

    /// A verifier with policy [`Log`](Policy::Log), the default limit, and backtraces.
    pub fn new() -> Self {
        Self {
            policy: Policy::default(),
            limit: Self::DEFAULT_LIMIT,
            backtraces: true,
            shared_contexts: false,
            sink: Arc::default(),
        }
    }

    /// What is done about a mistake.
    #[must_use]
    pub fn policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// For how long a request may pend (V24), and an adapter's close wait for what was never closed (V6), before that is
    /// a mistake.
    #[must_use]
    pub fn limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// Whether the stack is kept of whoever creates an object, to say where that was. It costs some microseconds and
    /// kilobytes for each object.
    #[must_use]
    pub fn backtraces(self, backtraces: bool) -> Self {
        Self { backtraces, ..self }
    }

    /// Whether requests in progress may share a context (V7): for a consumer to which one of them is as good as another,
    /// such as one that counts completions.
    #[must_use]
    pub fn shared_contexts(self, shared_contexts: bool) -> Self {
        Self { shared_contexts, ..self }
    }

    /// Puts the layer over an adapter, to be opened instead of it.
    pub fn verify<A: AdapterProvider>(&self, adapter: A) -> Verified<A> {
        Verified::new(adapter, self.clone())
    }

    /// What was found, in the order in which it was; at most the first 4,096 mistakes.
    pub fn findings(&self) -> Vec<Finding> {
        self.sink.findings(|_| true)
    }

    /// How many mistakes were found.
    pub fn counts(&self) -> Counts {
        Counts {
            consumer: self.sink.count(Party::Consumer),
            provider: self.sink.count(Party::Provider),
        }
    }

    /// Whether a call that is a mistake is to fail.
    fn fails(&self) -> bool {
        self.policy == Policy::Fail
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("policy", &self.policy)
            .field("limit", &self.limit)
            .field("backtraces", &self.backtraces)
            .field("counts", &self.counts())
            .finish()
    }
}
