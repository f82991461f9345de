//! What chance would hardly ever show: the same token drawn again. Here it is planted.

use std::cell::Cell;
use std::collections::HashSet;
use std::sync::Barrier;
use std::thread;

use ndk_core::conformance::predict;

use super::*;

/// A whole rotation: the new token, or `None` where the old one is not live.
fn rotate(table: &TokenTable, shard: usize, token: Token) -> Option<Token> {
    let new = table.sibling(shard, token)?;
    assert!(table.leave(token), "a live token is left");
    Some(new)
}

fn table() -> TokenTable {
    TokenTable::new(&Config { seed: Some(7), ..Config::default() }).unwrap()
}

thread_local! {
    static STEPS: Cell<u32> = const { Cell::new(0) };
}

/// Counts a look at a slot.
pub(super) fn count_step() {
    STEPS.set(STEPS.get() + 1);
}

impl TokenTable {
    /// An insert that draws this token first.
    fn insert_planted(&self, shard: usize, token: u32, index: u32) -> Token {
        self.shards[shard].0.lock().plant(self.cipher.open(token));
        self.insert(shard, index).unwrap()
    }
}

#[test]
fn a_token_drawn_again_while_live_is_drawn_anew() {
    let table = table();
    let first = table.insert(0, 1).unwrap();
    let second = table.insert_planted(3, first.get(), 2);
    assert_ne!(first, second);
    assert_eq!((table.lookup(first.get()), table.lookup(second.get())), (Some(1), Some(2)));
}

#[test]
fn a_removal_that_is_taken_back_is_none() {
    let table = table();
    let retired = table.insert(0, 1).unwrap();
    table.remove(0, retired);
    let supply = Supply::default();
    let Issued { number, tokens } = table.insert_two(0, 2, &supply).unwrap();
    for _ in 0..2 * RETIRE_DISTANCE {
        assert!(table.bury_number(number));
        assert!(tokens.iter().all(|token| table.lookup(*token).is_none()));
        assert!(table.take_back(number, 2));
        assert!(tokens.iter().all(|token| table.lookup(*token) == Some(2)));
    }
    assert_ne!(table.insert_planted(0, retired.get(), 3), retired, "D4: nothing was removed since");
}

#[test]
fn zero_is_drawn_anew() {
    let table = table();
    let token = table.insert_planted(0, 0, 1);
    assert_eq!((table.lookup(0), table.lookup(token.get())), (None, Some(1)));
}

#[test]
fn a_retired_token_stays_away_for_the_distance_and_comes_back_after_it() {
    let table = table();
    // Some removals before, so that it does not fall on an epoch's first.
    for _ in 0..1000 {
        let token = table.insert(2, 0).unwrap();
        table.remove(2, token);
    }
    let retired = table.insert(0, 1).unwrap();
    table.remove(0, retired);
    let mut removals = 0;
    loop {
        let shard = removals as usize % 3;
        let token = table.insert_planted(shard, retired.get(), 2);
        if token == retired {
            break;
        }
        table.remove(shard, token);
        removals += 1;
    }
    assert!(removals >= RETIRE_DISTANCE, "came back after {removals}");
    assert!(removals <= epoch::MAX_RETIRED, "came back only after {removals}");
    assert_eq!(table.lookup(retired.get()), Some(2));
}

#[test]
fn tombstones_survive_growth() {
    let table = table();
    let retired: Vec<_> = (0..1000).map(|index| table.insert(0, index).unwrap()).collect();
    retired.iter().for_each(|token| _ = table.remove(0, *token));
    let before = table.slots.mask().slots();
    (0..100_000).for_each(|index| _ = table.insert(1, index).unwrap());
    assert!(table.slots.mask().slots() > 4 * before);
    for token in retired {
        assert_ne!(table.insert_planted(0, token.get(), 5), token);
    }
}

#[test]
fn no_insert_takes_more_than_a_bounded_number_of_steps() {
    let table = table();
    let (mut most, mut doublings) = (0, 0);
    for index in 0..400_000 {
        let before = table.slots.mask();
        STEPS.set(0);
        table.insert(index as usize % 3, index).unwrap();
        most = most.max(STEPS.get());
        if table.slots.mask() != before {
            doublings += 1;
        }
    }
    assert!(doublings == 7, "{doublings}");
    // A look at the slot for each draw, and while tokens move at the two slots that come together there; the insert's share;
    // a look around. Few need more than two goes at it.
    let bound = 4 * (3 * PATIENCE + 2 * growth::SHARE as u32 + growth::SAMPLE as u32);
    assert!(most > growth::SHARE as u32 && most <= bound, "{most} looks at slots by one insert");
}

#[test]
fn all_tokens_have_moved_long_before_the_table_doubles_again() {
    let table = table();
    let mut since = 0;
    for index in 0..100_000 {
        let before = table.slots.mask();
        table.insert(0, index).unwrap();
        if table.slots.mask() != before {
            assert!(table.growth.is_moving());
            since = 0;
        }
        since += 1;
        if since == before.slots() / growth::SHARE + 1 {
            assert!(!table.growth.is_moving(), "{before:?}");
        }
    }
}

#[test]
fn bits_are_balanced_while_tokens_move() {
    let table = table();
    let mut tokens = Vec::new();
    for index in 0..400_000 {
        let token = table.insert(0, index).unwrap();
        if table.growth.is_moving() {
            tokens.push(token.get());
        }
    }
    assert!(tokens.len() > 50_000);
    assert!(predict::imbalance(&tokens) < 5.0, "{}", predict::imbalance(&tokens));
}

#[test]
fn threads_that_draw_the_same_tokens_never_both_get_one() {
    const ROUNDS: u32 = 3000;
    let table = table();
    let start = Barrier::new(4);
    let issued: Vec<Vec<Token>> = thread::scope(|scope| {
        let threads = [0, 1, 2, 3].map(|shard| {
            let (table, start) = (&table, &start);
            scope.spawn(move || {
                let insert = |round: u32| {
                    start.wait();
                    table.insert_planted(shard, 0x8000_0000 + round, round)
                };
                (0..ROUNDS).map(insert).collect()
            })
        });
        threads.map(|thread| thread.join().unwrap()).into()
    });
    let mut distinct = HashSet::new();
    for (round, token) in issued.iter().flat_map(|tokens| tokens.iter().enumerate()) {
        assert!(distinct.insert(*token), "{token:#x} was issued twice");
        assert_eq!(table.lookup(token.get()), Some(round as u32));
    }
    assert_eq!(table.live(), distinct.len());
}

#[test]
fn a_rotated_token_comes_back_to_its_family_only() {
    let table = table();
    let first = table.insert(0, 1).unwrap();
    let mut token = rotate(&table, 0, first).unwrap();
    assert_ne!(table.insert_planted(0, first.get(), 2), first, "for all others it is retired");
    let mut seen = HashSet::from([first]);
    while token != first {
        seen.insert(token);
        assert!(seen.len() <= 256);
        token = rotate(&table, 0, token).unwrap();
    }
    assert!(seen.len() > 1);
    assert_eq!(table.lookup(first.get()), Some(1));
}

#[test]
fn a_removed_token_does_not_come_back_by_rotation() {
    let table = table();
    let neighbour = table.insert_planted(0, 0x1234_5600, 1);
    table.remove(0, neighbour);
    let mut token = table.insert_planted(0, 0x1234_5601, 2);
    for _ in 0..2000 {
        token = rotate(&table, 0, token).unwrap();
        assert_ne!(token, neighbour);
    }
}

#[test]
fn a_supply_gives_values_that_were_drawn_and_each_once() {
    let supply = Supply::default();
    let mut draws = Draws::from_seed(1).into_iter().next().unwrap();
    let mut taken = Vec::new();
    for _ in 0..10_000 {
        let value = if supply.is_due() { None } else { Some(supply.peek()) };
        match supply.take() {
            Some(next) => {
                assert_eq!(value, Some(next), "what was told is what comes");
                taken.push(next);
            }
            None => taken.push(supply.draw(&mut draws).0),
        }
    }
    let mut again = Draws::from_seed(1).into_iter().next().unwrap();
    let drawn: HashSet<u32> = (0..10_100).map(|_| again.draw()).collect();
    let distinct: HashSet<u32> = taken.iter().copied().collect();
    assert!(distinct.len() == taken.len() && distinct.is_subset(&drawn));
}

#[test]
fn threads_that_insert_from_supplies_while_the_table_grows_lose_no_token() {
    const EACH: u32 = 40_000;
    let table = table();
    let issued: Vec<(Issued, u32)> = thread::scope(|scope| {
        let threads = [0, 1, 2, 3].map(|part| {
            let table = &table;
            scope.spawn(move || {
                let supply = Supply::default();
                let mut live = Vec::new();
                for index in (0..EACH).map(|index| part * EACH + index) {
                    let issued = table.insert_two(part as usize, index, &supply).unwrap();
                    if index % 3 == 0 {
                        let (shard, number) = (part as usize, issued.number);
                        assert!(table.bury_number(number) && table.take_back(number, index));
                        assert_eq!(table.slots.lookup(number), Some(index));
                        table.remove_number(shard, number, &supply);
                        assert_eq!(table.slots.lookup(number), None);
                    } else {
                        live.push((issued, index));
                    }
                }
                live
            })
        });
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(table.slots.mask().slots() > 1 << 16, "it has grown");
    let numbers: HashSet<u32> = issued.iter().map(|(issued, _)| issued.number).collect();
    assert_eq!((numbers.len(), table.live()), (issued.len(), issued.len()));
    for (Issued { number, tokens }, index) in issued {
        assert!(tokens[0] != tokens[1]);
        for token in tokens {
            assert_eq!((table.number(token), table.lookup(token)), (number, Some(index)));
        }
    }
}

#[test]
fn values_that_were_drawn_in_advance_are_used_while_tokens_move_too() {
    let (table, supply) = (table(), Supply::default());
    let (mut moving, mut used) = (0, 0);
    for index in 0..100_000 {
        let next = (!supply.is_due() && table.growth.is_moving()).then(|| supply.peek() >> 1);
        let issued = table.insert_two(0, index, &supply).unwrap();
        moving += u32::from(next.is_some());
        used += u32::from(next == Some(issued.number));
    }
    // A value whose slot is taken is not: of a table that has just doubled a quarter of them is.
    assert!(moving > 10_000 && used > moving / 3 * 2, "{used} of {moving}");
}
