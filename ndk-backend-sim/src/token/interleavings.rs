//! The bucket's protocol under loom: all interleavings, in a bucket of two slots.

use core::sync::atomic::Ordering;

use loom::sync::Arc;
use loom::thread;

use super::bucket::{Bucket, SLOTS};
use super::slot::{self, Reuse};

const TOKEN: u32 = 0x77;

/// Nothing but what was never used is free.
const FRESH: Reuse = Reuse::up_to(0);

fn insert(bucket: &Bucket, index: u32) -> bool {
    let claim = bucket.claim(TOKEN, FRESH);
    claim.map(|slot| slot.store(slot::live(TOKEN, index), Ordering::Release)).is_ok()
}

/// The old bucket and the one in the next array that its token goes to.
#[derive(Default)]
struct Growing {
    old: Bucket,
    low: Bucket,
    high: Bucket,
}

impl Growing {
    fn with_live_token() -> Arc<Self> {
        let growing = Self::default();
        assert!(insert(&growing.old, 5));
        Arc::new(growing)
    }

    fn split(&self) {
        self.old.split(&self.low, &self.high, |_| true, FRESH);
    }

    /// What the table does, across the two levels.
    fn lookup(&self) -> Option<u32> {
        let found = self.old.lookup(TOKEN);
        found.or_else(|| self.old.has_moved(TOKEN).then(|| self.high.lookup(TOKEN)).flatten())
    }

    fn remove(&self) -> bool {
        let tomb = slot::retired(TOKEN, 1);
        let retire = |(slot, word): (&super::Slot, u64)| {
            slot.compare_exchange(word, tomb, Ordering::AcqRel, Ordering::Acquire).is_ok()
        };
        self.old.find(TOKEN).is_some_and(retire)
            || self.old.has_moved(TOKEN) && self.high.find(TOKEN).is_some_and(retire)
    }
}

#[test]
fn two_inserts_of_one_token_are_never_both_live() {
    loom::model(|| {
        let bucket = Arc::new(Bucket::default());
        let other = {
            let bucket = bucket.clone();
            thread::spawn(move || insert(&bucket, 1))
        };
        let mine = insert(&bucket, 2);
        let other = other.join().unwrap();
        assert!(!(mine && other));
        let expected = if mine { Some(2) } else { other.then_some(1) };
        assert_eq!(bucket.lookup(TOKEN), expected);
        assert_eq!(
            bucket.free(FRESH),
            SLOTS - usize::from(mine || other),
            "who gives up leaves nothing behind"
        );
    });
}

#[test]
fn a_lookup_finds_a_live_token_while_it_moves() {
    loom::model(|| {
        let growing = Growing::with_live_token();
        let grower = {
            let growing = growing.clone();
            thread::spawn(move || growing.split())
        };
        assert_eq!(growing.lookup(), Some(5));
        grower.join().unwrap();
        assert_eq!((growing.lookup(), growing.high.lookup(TOKEN)), (Some(5), Some(5)));
        assert_eq!(growing.low.free(FRESH), SLOTS);
    });
}

#[test]
fn a_token_removed_while_it_moves_is_dead_at_once_and_everywhere() {
    loom::model(|| {
        let growing = Growing::with_live_token();
        let grower = {
            let growing = growing.clone();
            thread::spawn(move || growing.split())
        };
        assert!(growing.remove());
        assert_eq!(growing.lookup(), None);
        grower.join().unwrap();
        assert_eq!((growing.lookup(), growing.high.lookup(TOKEN)), (None, None));
        assert_eq!(growing.high.free(FRESH), SLOTS - 1, "the tombstone moved, too");
    });
}

#[test]
fn of_two_removals_while_it_moves_one_succeeds() {
    loom::model(|| {
        let growing = Growing::with_live_token();
        let [grower, other] = [|growing: &Growing| (growing.split(), false).1, Growing::remove]
            .map(|act| {
                let growing = growing.clone();
                thread::spawn(move || act(&growing))
            });
        let mine = growing.remove();
        grower.join().unwrap();
        assert!(mine ^ other.join().unwrap());
        assert_eq!((growing.lookup(), growing.high.lookup(TOKEN)), (None, None));
    });
}
