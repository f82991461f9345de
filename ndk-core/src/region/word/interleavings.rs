//! Models of a region's two words: a request that takes no reference against the close.

use super::Word;
use crate::region::snapshot::{Op, Phase};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicUsize, Ordering};
use loom::cell::UnsafeCell;
use loom::thread;

/// What a request uses while it has the operation, and what the last reference frees.
struct Region {
    word: Word,
    inside: UnsafeCell<()>,
    /// Loom does not see it: it is right in each execution by itself.
    freed: AtomicUsize,
}

// SAFETY: that one at a time gets inside is what the models check.
unsafe impl Sync for Region {}

impl Region {
    fn new() -> Arc<Self> {
        let (word, inside) = (Word::new(false), UnsafeCell::new(()));
        Arc::new(Self { word, inside, freed: AtomicUsize::new(0) })
    }

    fn work(&self) {
        self.inside.with_mut(|_| ());
    }

    fn release(&self) {
        // SAFETY: each caller has a reference, and the models keep the memory.
        if unsafe { Word::release(&self.word) } {
            self.work();
            self.freed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A request that is over in its entry.
    fn request(&self) -> bool {
        let claimed = self.word.claim_at_once::<false>(Op::Register);
        if claimed {
            self.work();
            // SAFETY: the operation is this call's.
            unsafe { Word::leave(&self.word, Phase::Registered) };
        }
        claimed
    }

    /// A request that pends, claimed on the way that refusals take.
    fn request_that_pends(&self) -> bool {
        let claimed = self.word.claim(Op::Register).is_ok();
        if claimed {
            self.word.hold();
            self.work();
            self.word.settle(Phase::Registered);
            self.release();
        }
        claimed
    }

    fn close(&self) {
        assert!(self.word.start_close());
        while self.word.is_in_entry() {
            thread::yield_now();
        }
        self.release();
    }
}

fn against_close(request: fn(&Region) -> bool) {
    loom::model(move || {
        let region = Region::new();
        let other = region.clone();
        let requester = thread::spawn(move || request(&other));
        region.close();
        let claimed = requester.join().unwrap();
        assert_eq!(region.freed.load(Ordering::Relaxed), 1);
        let state = region.word.load();
        let phase = if claimed { Phase::Registered } else { Phase::Created };
        assert_eq!((state.phase(), state.op(), state.refs()), (phase, Op::None, 0));
    });
}

#[test]
fn a_request_in_its_entry_is_refused_or_waited_for() {
    against_close(Region::request);
}

#[test]
fn a_request_that_leaves_its_entry_has_a_reference() {
    against_close(Region::request_that_pends);
}

/// C12: also where both are about to be taken back, since the region is closing.
#[test]
fn of_two_requests_one_is_claimed_at_a_time() {
    loom::model(|| {
        let region = Region::new();
        let others = [region.clone(), region.clone()];
        let requesters = others.map(|region| thread::spawn(move || region.request()));
        region.close();
        let claimed = requesters.map(|requester| requester.join().unwrap());
        assert!(claimed != [true, true]);
        assert_eq!(region.freed.load(Ordering::Relaxed), 1);
    });
}
