//! Requests that were complete when their posting returned (`QpProvider::write_at_once`), and whose completions nobody has
//! polled: a ring of fixed entries, which takes no lock.
//!
//! An entry's *turn* says whose it is: at a push's number it is free for that push, one above it holds what that push
//! has left for the pop of the same number. Everything is in atomics, and an entry is written and read by whoever has won
//! its number only. This is Dmitry Vyukov's bounded queue.

use crate::provider::{WorkCompletion, WorkId, WorkKind};
use crate::sync::{AtomicU64, Ordering};
use alloc::boxed::Box;

#[cfg(not(loom))]
const ENTRIES: usize = 64;
#[cfg(loom)]
const ENTRIES: usize = 2;

/// The completion of a read, or else of a write.
#[inline]
pub(super) fn completion(context: u64, is_read: bool, bytes: u32) -> WorkCompletion {
    let kind = if is_read { WorkKind::Read } else { WorkKind::Write };
    let id = WorkId { context, tag: 0 };
    WorkCompletion { id, kind, result: Ok(()), bytes, invalidated: None }
}

pub(super) struct Done {
    pushed: AtomicU64,
    popped: AtomicU64,
    entries: Box<[Entry; ENTRIES]>,
}

struct Entry {
    turn: AtomicU64,
    context: AtomicU64,
    /// The bytes, and `READ` for a read.
    what: AtomicU64,
}

const READ: u64 = 1 << 32;

impl Done {
    pub(super) fn new() -> Self {
        let entry = |index: usize| Entry {
            turn: AtomicU64::new(index as u64),
            context: AtomicU64::new(0),
            what: AtomicU64::new(0),
        };
        Self {
            pushed: AtomicU64::new(0),
            popped: AtomicU64::new(0),
            entries: Box::new(core::array::from_fn(entry)),
        }
    }

    fn entry(&self, number: u64) -> &Entry {
        &self.entries[number as usize % ENTRIES]
    }

    /// Adds the completion of a read, or else of a write; false where there is no room.
    #[inline]
    pub(super) fn push(&self, context: u64, is_read: bool, bytes: u32) -> bool {
        let mut number = self.pushed.load(Ordering::Relaxed);
        loop {
            let entry = self.entry(number);
            let turn = entry.turn.load(Ordering::Acquire);
            if turn < number {
                return false;
            }
            // What is not this number's turn any more is a number that another push has won.
            let won = turn == number
                && self
                    .pushed
                    .compare_exchange(number, number + 1, Ordering::AcqRel, Ordering::Relaxed)
                    .is_ok();
            if won {
                let read = if is_read { READ } else { 0 };
                entry.context.store(context, Ordering::Relaxed);
                entry.what.store(read | u64::from(bytes), Ordering::Relaxed);
                entry.turn.store(number + 1, Ordering::Release);
                return true;
            }
            number = self.pushed.load(Ordering::Relaxed);
        }
    }

    /// Takes the oldest completion; `None` also while it is being added.
    #[inline]
    pub(super) fn pop(&self) -> Option<WorkCompletion> {
        let mut number = self.popped.load(Ordering::Relaxed);
        loop {
            let entry = self.entry(number);
            let turn = entry.turn.load(Ordering::Acquire);
            if turn <= number {
                return None;
            }
            let won = turn == number + 1
                && self
                    .popped
                    .compare_exchange(number, number + 1, Ordering::AcqRel, Ordering::Relaxed)
                    .is_ok();
            if won {
                let context = entry.context.load(Ordering::Relaxed);
                let what = entry.what.load(Ordering::Relaxed);
                entry.turn.store(number + ENTRIES as u64, Ordering::Release);
                return Some(completion(context, what & READ != 0, what as u32));
            }
            number = self.popped.load(Ordering::Relaxed);
        }
    }

    /// Whether a completion is there, or is being added. An addition: so a push that is not seen here happens after it,
    /// and sees what was written before.
    pub(super) fn is_there(&self) -> bool {
        let pushed = self.pushed.fetch_add(0, Ordering::AcqRel);
        pushed != self.popped.load(Ordering::Relaxed)
    }
}
