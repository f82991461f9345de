//! How a layer hears of what the framework alone can see: what it refuses, and what is left open.

use crate::error::{Error, Result};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

/// Watches how a consumer uses an adapter's objects. The verifier is one; a backend has none.
///
/// Without a watch the framework asks for one only where it refuses something, makes or frees an object.
///
/// # For implementors
/// A method may be called on any thread, several at once, and in any callback; never under a lock of the framework. It
/// calls nothing of the adapter.
pub trait Watch: Send + Sync {
    /// The creation of an object begins, on the stack of who asked for it. Gives a number to know it by again.
    fn creating(&self) -> u64;

    /// Something happened to an object. The entry answers with the error where this gives one, and does nothing more;
    /// that is meant for what is not wrong in the framework's eyes ([`Event::Starting`], [`Event::Length`],
    /// [`Event::LeftOpen`]), and not looked at elsewhere.
    ///
    /// # Errors
    /// What the call is to be refused with.
    fn see(&self, object: &Named<'_>, event: Event<'_>) -> Result<()>;

    /// A backend below has broken the contract, as a layer found out: which rules, on what, and how.
    fn broken(&self, rules: &'static [&'static str], id: u64, did: String);

    /// What was found so far, each as a text of several lines.
    fn findings(&self) -> Vec<Finding>;
}

/// An object of an adapter. The adapter itself has the number 0.
pub struct Named<'n> {
    /// A number that no other object of the adapter has, or had.
    pub id: u64,
    /// The name in log lines.
    pub name: &'n dyn fmt::Display,
}

/// What the framework saw.
pub enum Event<'e> {
    /// The object was made; by the creation that has this number.
    Made(u64),
    /// The object is closed, and its memory kept for a while: the state of one that is being closed, for ever.
    Closed,
    /// The object is closed, and nothing is kept of it that could be used.
    Gone,
    /// The object's close is over for its consumer, but what the backend has of it stays: the close panicked, or was given up.
    Leaked,
    /// The request in progress has failed, or was given up.
    Failed,
    /// The framework refused a call, by the rule that the error names.
    Refused {
        /// What was asked for, in words.
        call: &'e str,
        /// The refusal.
        error: &'e Error,
    },
    /// A request is about to start, with a completion routine and a context.
    Starting {
        /// What was asked for, in words.
        call: &'e str,
        /// The routine's address.
        routine: usize,
        /// The context, not null.
        context: usize,
    },
    /// The request that started pends: its routine will be called.
    Pending {
        /// What was asked for, in words.
        call: &'e str,
        /// The routine's address.
        routine: usize,
        /// The context, not null.
        context: usize,
    },
    /// A token was asked for that is not there; `closing` where that is because the object is closed, or being closed.
    NoToken {
        /// Whether Close was called.
        closing: bool,
    },
    /// A consumer gave a buffer that is longer than what is to be written.
    Length {
        /// What was asked for, in words.
        call: &'e str,
        /// Where the buffer starts.
        buffer: usize,
        /// How long it is said to be.
        length: usize,
    },
    /// The adapter's close waits for this object, or has given up on it where nothing is said of how long.
    LeftOpen {
        /// Since when it waits.
        waited: Option<Duration>,
        /// Whether Close was called for the object.
        closing: bool,
    },
}

/// Whose mistake it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Party {
    /// Who uses the objects.
    Consumer,
    /// Who implements them.
    Provider,
}

/// A mistake that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whose it is.
    pub party: Party,
    /// The contract's rules that it breaks, the first of which names it.
    pub rules: Vec<&'static str>,
    /// The object's name.
    pub object: String,
    /// What was done.
    pub did: String,
    /// What would be right.
    pub right: &'static str,
    /// Where the object was created: the functions on the stack, the innermost first, a line each. Empty where that is
    /// not known.
    pub created: String,
    /// How often it was seen.
    pub times: u64,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let party = match self.party {
            Party::Consumer => "consumer",
            Party::Provider => "provider",
        };
        let Self { object, did, right, .. } = self;
        write!(
            f,
            "{party} mistake [{}]: {object}: {did}\n  right: {right}",
            self.rules.join(", ")
        )?;
        match self.created.is_empty() {
            true => Ok(()),
            false => write!(f, "\n  created:\n{}", self.created),
        }
    }
}
