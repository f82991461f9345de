//! The rounds of a key that is made valid and invalid again by requests: what is under each, until it was seen to end.

use std::collections::VecDeque;

/// What was given to the device and has not been seen to end, oldest first. What a step gives back is to be dropped once
/// no lock is held.
pub(crate) struct Rounds<T> {
    under: VecDeque<T>,
    /// Whether the key is valid once what the device was given is done.
    valid: bool,
}

impl<T> Default for Rounds<T> {
    fn default() -> Self {
        Self { under: VecDeque::new(), valid: false }
    }
}

impl<T> Rounds<T> {
    /// Whether the key is valid once what the device was given is done.
    pub(crate) fn is_valid(&self) -> bool {
        self.valid
    }

    /// What is under the key, where it is valid.
    pub(crate) fn current(&self) -> Option<&T> {
        self.under.back().filter(|_| self.valid)
    }

    /// A round was given to the device.
    pub(crate) fn begin(&mut self, under: T) {
        self.under.push_back(under);
        self.valid = true;
    }

    /// An invalidation was given to the device.
    pub(crate) fn invalidate(&mut self) {
        self.valid = false;
    }

    /// The oldest round was seen to end.
    #[must_use]
    pub(crate) fn ended(&mut self) -> Option<T> {
        self.under.pop_front()
    }

    /// A peer's message has ended the round.
    #[must_use]
    pub(crate) fn ended_by_peer(&mut self) -> Option<T> {
        self.valid = false;
        self.under.pop_front()
    }

    /// A round that was given to the device did not come about.
    #[must_use]
    pub(crate) fn failed(&mut self) -> Option<T> {
        let under = self.under.pop_back();
        self.stays();
        under
    }

    /// An invalidation that was given to the device did not come about.
    pub(crate) fn stays(&mut self) {
        self.valid = !self.under.is_empty();
    }
}
