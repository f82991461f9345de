//! Models of a region's two words: a request that takes no reference against the close.

use super::{Claim, Word};
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
    fn new(is_fast: bool) -> Arc<Self> {
        let (word, inside) = (Word::new(is_fast), UnsafeCell::new(()));
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

    /// An initialisation, which takes its reference before its claim.
    fn initialise(&self) -> bool {
        if self.word.load().admit(Op::Initialise).is_err() {
            return false;
        }
        if self.word.retain_open().is_err() {
            return false;
        }
        let claimed = matches!(self.word.claim(Op::Initialise), Ok(Claim::Mine));
        if claimed {
            self.work();
            assert!(self.word.settle_unless_queued(Phase::Created, Phase::Initialised));
        }
        self.release();
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

fn against_close(is_fast: bool, request: fn(&Region) -> bool) {
    loom::model(move || {
        let region = Region::new(is_fast);
        let other = region.clone();
        let requester = thread::spawn(move || request(&other));
        region.close();
        let claimed = requester.join().unwrap();
        assert_eq!(region.freed.load(Ordering::Relaxed), 1);
        let state = region.word.load();
        let after = if is_fast { Phase::Initialised } else { Phase::Registered };
        let phase = if claimed { after } else { Phase::Created };
        assert_eq!((state.phase(), state.op(), state.refs()), (phase, Op::None, 0));
    });
}

#[test]
fn a_request_in_its_entry_is_refused_or_waited_for() {
    against_close(false, Region::request);
}

#[test]
fn a_request_that_leaves_its_entry_has_a_reference() {
    against_close(false, Region::request_that_pends);
}

#[test]
fn an_initialisation_takes_no_reference_once_the_last_is_gone() {
    against_close(true, Region::initialise);
}

/// C12: also where both are about to be taken back, since the region is closing.
#[test]
fn of_two_requests_one_is_claimed_at_a_time() {
    loom::model(|| {
        let region = Region::new(false);
        let others = [region.clone(), region.clone()];
        let requesters = others.map(|region| thread::spawn(move || region.request()));
        region.close();
        let claimed = requesters.map(|requester| requester.join().unwrap());
        assert!(claimed != [true, true]);
        assert_eq!(region.freed.load(Ordering::Relaxed), 1);
    });
}
