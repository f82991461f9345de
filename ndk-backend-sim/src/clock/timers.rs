//! What waits on a clock, ordered by deadline and then by creation.
//!
//! Entries live in a slab, their order in a heap of names. Taking an entry back leaves its name in the heap, where it
//! is passed over, until such names are the greater part. Neither allocates once it has grown to what is in use.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::task::Waker;
use std::time::Duration;

use slab::Slab;

/// Names one sleep or call of a clock; never two in a clock's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerId {
    slot: usize,
    number: u64,
}

/// What is to be done.
pub(super) enum Action {
    /// Wake a sleep, where it was polled.
    Wake(Option<Waker>),
    Call(Box<dyn FnOnce() + Send>),
}

impl Action {
    pub(super) fn run(self) {
        match self {
            Self::Wake(waker) => {
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            Self::Call(call) => call(),
        }
    }
}

#[derive(Default)]
pub(super) struct Timers {
    entries: Slab<Entry>,
    /// The earliest first.
    order: BinaryHeap<Reverse<Due>>,
    created: u64,
}

struct Entry {
    number: u64,
    action: Action,
}

/// Compared field by field, from the top.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    deadline: Duration,
    number: u64,
    slot: usize,
}

impl Due {
    fn id(self) -> TimerId {
        TimerId { slot: self.slot, number: self.number }
    }
}

impl Timers {
    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Adds an action, and says whether it is now the first one due.
    pub(super) fn insert(&mut self, deadline: Duration, action: Action) -> (TimerId, bool) {
        let earliest = self.next_deadline().is_none_or(|next| deadline < next);
        let number = self.created;
        self.created += 1;
        let slot = self.entries.insert(Entry { number, action });
        let due = Due { deadline, number, slot };
        self.order.push(Reverse(due));
        (due.id(), earliest)
    }

    /// Takes an action back, if it still waits.
    pub(super) fn remove(&mut self, id: TimerId) -> Option<Action> {
        if !is_live(&self.entries, id) {
            return None;
        }
        let action = self.entries.remove(id.slot).action;
        if self.order.len() > 2 * self.entries.len() + 64 {
            self.order.retain(|Reverse(due)| is_live(&self.entries, due.id()));
        }
        Some(action)
    }

    /// Takes the first action out if it is due by `until`.
    pub(super) fn pop_due(&mut self, until: Duration) -> Option<(Duration, Action)> {
        let deadline = self.next_deadline().filter(|deadline| *deadline <= until)?;
        let Reverse(due) = self.order.pop()?;
        Some((deadline, self.entries.remove(due.slot).action))
    }

    /// When the first action is due.
    pub(super) fn next_deadline(&mut self) -> Option<Duration> {
        loop {
            let due = self.order.peek()?.0;
            if is_live(&self.entries, due.id()) {
                return Some(due.deadline);
            }
            self.order.pop();
        }
    }

    /// The waker of a sleep that still waits.
    pub(super) fn waker(&mut self, id: TimerId) -> Option<&mut Option<Waker>> {
        match self.entries.get_mut(id.slot) {
            Some(Entry { number, action: Action::Wake(waker) }) if *number == id.number => {
                Some(waker)
            }
            _ => None,
        }
    }
}

fn is_live(entries: &Slab<Entry>, id: TimerId) -> bool {
    entries.get(id.slot).is_some_and(|entry| entry.number == id.number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn names_taken_back_do_not_pile_up() {
        let mut timers = Timers::default();
        let (keep, _) = timers.insert(ms(5000), Action::Wake(None));
        for number in 0..100_000 {
            let (id, _) = timers.insert(ms(1000 + number), Action::Wake(None));
            assert!(timers.remove(id).is_some());
            assert!(timers.remove(id).is_none());
            assert!(timers.order.len() <= 2 * timers.len() + 65);
        }
        assert_eq!(timers.next_deadline(), Some(ms(5000)));
        assert!(timers.waker(keep).is_some());
    }

    #[test]
    fn a_slot_used_again_is_another_timer() {
        let mut timers = Timers::default();
        let (first, _) = timers.insert(ms(1), Action::Wake(None));
        assert!(timers.pop_due(ms(1)).is_some());
        let (second, _) = timers.insert(ms(2), Action::Wake(None));
        assert_eq!(first.slot, second.slot);
        assert!(timers.waker(first).is_none() && timers.remove(first).is_none());
        assert!(timers.pop_due(ms(1)).is_none());
        assert!(timers.pop_due(ms(2)).is_some());
    }
}
