//! The slots' protocol under loom, in a table that doubles from two slots to four: all interleavings of two threads, and of
//! three those with few preemptions.

use core::sync::atomic::Ordering;

use loom::sync::Arc;
use loom::thread::{self, JoinHandle};

use super::slot::{self, Reuse};
use super::slots::{Mask, Slots};

/// In the lower half before the doubling, in the upper one after it.
const TOKEN: u32 = 0x77;
/// The same.
const OTHER: u32 = 0xF7;

/// Nothing but what was never used is free.
const FRESH: Reuse = Reuse::up_to(0);
/// Tombstones are free too.
const LATER: Reuse = Reuse::up_to(2);

/// What a rotation does, with a shard's lock held: the mask is the latest.
fn insert(slots: &Slots, token: u32, index: u32, reuse: Reuse) -> bool {
    let mask = slots.mask();
    slots.fetch(token, mask);
    slots.take(token, mask, reuse, slot::live(token, index))
}

fn remove(slots: &Slots) -> bool {
    let tomb = slot::retired(TOKEN, 1);
    while let Some((slot, word)) = slots.find(TOKEN) {
        if slot.compare_exchange(word, tomb, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            return true;
        }
    }
    false
}

/// A table with a live token, and room for the doubling.
fn with_live_token() -> Arc<Slots> {
    let slots = Slots::new();
    assert!(insert(&slots, TOKEN, 5, FRESH));
    assert!(slots.make_room(slots.mask()));
    Arc::new(slots)
}

/// One that has doubled, with the token yet to move.
fn doubled() -> (Arc<Slots>, Mask) {
    let slots = with_live_token();
    slots.double(slots.mask());
    let mask = slots.mask();
    (slots, mask)
}

fn spawn<T: 'static>(slots: &Arc<Slots>, act: impl FnOnce(&Slots) -> T + 'static) -> JoinHandle<T> {
    let slots = slots.clone();
    thread::spawn(move || act(&slots))
}

fn double_and_move(slots: &Slots) {
    slots.double(slots.mask());
    slots.fetch(TOKEN, slots.mask());
}

fn model_of_three(act: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(act);
}

#[test]
fn two_inserts_of_one_token_are_never_both_live() {
    loom::model(|| {
        let slots = Arc::new(Slots::new());
        let other = spawn(&slots, |slots| insert(slots, TOKEN, 1, FRESH));
        let mine = insert(&slots, TOKEN, 2, FRESH);
        assert!(mine ^ other.join().unwrap());
        assert_eq!(slots.lookup(TOKEN), Some(if mine { 2 } else { 1 }));
    });
}

#[test]
fn a_lookup_finds_a_live_token_while_it_moves() {
    loom::model(|| {
        let slots = with_live_token();
        let mover = spawn(&slots, double_and_move);
        assert_eq!(slots.lookup(TOKEN), Some(5));
        mover.join().unwrap();
        assert_eq!(slots.lookup(TOKEN), Some(5));
    });
}

#[test]
fn a_lookup_finds_a_live_token_that_two_threads_move() {
    model_of_three(|| {
        let (slots, mask) = doubled();
        let movers = [(); 2].map(|()| spawn(&slots, move |slots| slots.fetch(TOKEN, mask)));
        assert_eq!(slots.lookup(TOKEN), Some(5));
        movers.into_iter().for_each(|mover| mover.join().unwrap());
        assert_eq!(slots.lookup(TOKEN), Some(5));
    });
}

#[test]
fn a_token_removed_while_it_moves_is_dead_at_once_and_stays_away() {
    loom::model(|| {
        let slots = with_live_token();
        let mover = spawn(&slots, double_and_move);
        assert!(remove(&slots));
        assert_eq!(slots.lookup(TOKEN), None);
        mover.join().unwrap();
        assert_eq!(slots.lookup(TOKEN), None);
        assert!(slots.has_retired(TOKEN) && !insert(&slots, TOKEN, 6, FRESH));
    });
}

#[test]
fn a_token_whose_removal_is_taken_back_while_it_moves_is_live_again() {
    loom::model(|| {
        let slots = with_live_token();
        let mover = spawn(&slots, double_and_move);
        assert!(remove(&slots));
        assert!(slots.dig_up(TOKEN, slot::live(TOKEN, 5)));
        assert_eq!(slots.lookup(TOKEN), Some(5));
        mover.join().unwrap();
        assert_eq!(slots.lookup(TOKEN), Some(5));
        assert!(!insert(&slots, TOKEN, 6, LATER), "issued twice");
    });
}

#[test]
fn of_two_removals_while_it_moves_one_succeeds() {
    model_of_three(|| {
        let (slots, mask) = doubled();
        let mover = spawn(&slots, move |slots| slots.fetch(TOKEN, mask));
        let other = spawn(&slots, remove);
        let mine = remove(&slots);
        mover.join().unwrap();
        assert!(mine ^ other.join().unwrap());
        assert_eq!(slots.lookup(TOKEN), None);
    });
}

#[test]
fn a_token_that_moves_is_not_issued_again_and_its_slot_not_taken() {
    model_of_three(|| {
        let (slots, mask) = doubled();
        let mover = spawn(&slots, move |slots| slots.fetch(TOKEN, mask));
        let other = spawn(&slots, |slots| insert(slots, OTHER, 6, FRESH));
        assert!(!insert(&slots, TOKEN, 7, FRESH));
        assert!(!other.join().unwrap());
        mover.join().unwrap();
        assert_eq!((slots.lookup(TOKEN), slots.lookup(OTHER)), (Some(5), None));
    });
}

/// As `insert`, with no lock held: the mask may change at any time. What an insert reads of the growth is left out: nothing
/// moves by the first mask.
fn insert_unlocked(slots: &Slots, token: u32, index: u32) -> bool {
    let mask = slots.mask();
    if mask.slots() > 2 {
        slots.fetch(token, mask);
    }
    slots.take_unless_doubled(token, mask, FRESH, slot::live(token, index))
}

#[test]
fn a_token_taken_while_the_table_doubles_is_where_it_belongs_or_nowhere() {
    model_of_three(|| {
        let slots = Arc::new(Slots::new());
        assert!(slots.make_room(slots.mask()));
        let mover = spawn(&slots, double_and_move);
        let mine = insert_unlocked(&slots, TOKEN, 5);
        assert_eq!(slots.lookup(TOKEN), mine.then_some(5));
        mover.join().unwrap();
        // Who comes later sees to no more than this.
        slots.fetch(TOKEN, slots.mask());
        assert_eq!(slots.lookup(TOKEN), mine.then_some(5));
        assert_eq!(slots.find(TOKEN).is_some(), mine);
    });
}

#[test]
fn a_token_taken_by_the_mask_of_before_does_not_stay_beside_its_twin() {
    model_of_three(|| {
        let slots = Arc::new(Slots::new());
        assert!(slots.make_room(slots.mask()));
        let late = spawn(&slots, |slots| insert_unlocked(slots, TOKEN, 5));
        double_and_move(&slots);
        let mine = insert_unlocked(&slots, TOKEN, 6);
        let late = late.join().unwrap();
        assert!(!(mine && late), "issued twice");
        slots.fetch(TOKEN, slots.mask());
        let expected = if mine { Some(6) } else { late.then_some(5) };
        assert_eq!(slots.lookup(TOKEN), expected);
    });
}

#[test]
fn a_retired_token_that_moves_is_not_taken_by_the_mask_of_before() {
    model_of_three(|| {
        let slots = with_live_token();
        assert!(remove(&slots));
        let mover = spawn(&slots, double_and_move);
        assert!(!insert_unlocked(&slots, TOKEN, 6));
        mover.join().unwrap();
        assert_eq!(slots.lookup(TOKEN), None);
        assert!(slots.has_retired(TOKEN));
    });
}

#[test]
fn who_moves_a_token_late_leaves_its_successor_alone() {
    loom::model(|| {
        let (slots, mask) = doubled();
        let mover = spawn(&slots, move |slots| slots.fetch(TOKEN, mask));
        assert!(remove(&slots));
        assert!(insert(&slots, OTHER, 6, LATER));
        assert_eq!((slots.lookup(TOKEN), slots.lookup(OTHER)), (None, Some(6)));
        mover.join().unwrap();
        assert_eq!((slots.lookup(TOKEN), slots.lookup(OTHER)), (None, Some(6)));
    });
}

#[test]
fn a_lookup_while_a_token_moves_and_is_removed_is_right_before_and_after() {
    model_of_three(|| {
        let (slots, mask) = doubled();
        let mover = spawn(&slots, move |slots| slots.fetch(TOKEN, mask));
        let remover = spawn(&slots, remove);
        let first = slots.lookup(TOKEN);
        let second = slots.lookup(TOKEN);
        assert!(first.is_some() || second.is_none(), "it came back");
        mover.join().unwrap();
        assert!(remover.join().unwrap());
    });
}
