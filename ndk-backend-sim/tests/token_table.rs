//! The token table from outside: issue, look up, remove, rotate, grow, fill.

use std::collections::HashSet;
use std::thread;

use ndk_backend_sim::token::{Config, Full, MAX_CAPACITY, RETIRE_DISTANCE, Token, TokenTable};

/// A whole rotation: the new token, or `None` where the old one is not live.
fn rotate(table: &TokenTable, shard: usize, token: Token) -> Option<Token> {
    let new = table.sibling(shard, token)?;
    assert!(table.leave(token), "a live token is left");
    Some(new)
}

fn table(capacity: u32, seed: u64) -> TokenTable {
    TokenTable::new(&Config { capacity, seed: Some(seed) }).unwrap()
}

#[test]
fn a_token_reaches_its_record_until_it_is_removed() {
    let table = TokenTable::new(&Config::default()).unwrap();
    let token = table.insert(3, 42).unwrap();
    assert_eq!(table.lookup(token.get()), Some(42));
    assert_eq!(table.remove(3, token), Some(42));
    assert_eq!(table.lookup(token.get()), None);
    assert_eq!(table.remove(3, token), None, "a second removal finds nothing");
    assert_eq!(table.live(), 0);
}

#[test]
fn numbers_that_are_no_tokens_reach_nothing() {
    let table = table(1000, 1);
    let tokens: HashSet<u32> =
        (0..1000).map(|index| table.insert(0, index).unwrap().get()).collect();
    let mut number = 0u32;
    for _ in 0..100_000 {
        assert!(table.lookup(number).is_some() == tokens.contains(&number));
        number = number.wrapping_add(0x9E37_79B9);
    }
}

#[test]
fn a_million_tokens_from_four_threads_are_distinct_and_right() {
    const EACH: u32 = 250_000;
    let table = table(MAX_CAPACITY, 2);
    let issued: Vec<(Token, u32)> = thread::scope(|scope| {
        let threads = [0u32, 1, 2, 3].map(|part| {
            let table = &table;
            let insert = move |index| (table.insert(part as usize, index).unwrap(), index);
            scope.spawn(move || (part * EACH..(part + 1) * EACH).map(insert).collect::<Vec<_>>())
        });
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(table.live(), 4 * EACH as usize);
    let distinct: HashSet<Token> = issued.iter().map(|(token, _)| *token).collect();
    assert_eq!(distinct.len(), issued.len());
    assert!(issued.iter().all(|(token, index)| table.lookup(token.get()) == Some(*index)));
    thread::scope(|scope| {
        for (part, issued) in issued.chunks(EACH as usize).enumerate() {
            let table = &table;
            scope.spawn(move || {
                for (token, index) in issued {
                    assert_eq!(table.remove(part, *token), Some(*index));
                    assert_eq!(table.lookup(token.get()), None);
                }
            });
        }
    });
    assert_eq!(table.live(), 0);
    assert!(issued.iter().all(|(token, _)| table.lookup(token.get()).is_none()));
}

#[test]
fn there_is_room_again_at_once_after_everything_was_removed() {
    const MANY: u32 = 300_000;
    let table = table(MANY, 3);
    for _ in 0..4 {
        let tokens: Vec<_> = (0..MANY).map(|index| table.insert(0, index).unwrap()).collect();
        tokens.into_iter().for_each(|token| _ = table.remove(0, token).unwrap());
    }
}

#[test]
fn a_full_table_refuses_and_keeps_what_it_has() {
    let table = table(10_000, 4);
    let mut issued = Vec::new();
    let refused = loop {
        match table.insert(0, issued.len() as u32) {
            Ok(token) => issued.push(token),
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused, Full);
    assert!(issued.len() >= 10_000);
    assert!(
        issued
            .iter()
            .enumerate()
            .all(|(index, token)| table.lookup(token.get()) == Some(index as u32))
    );
    // Room comes back with the distance.
    issued.drain(..).for_each(|token| _ = table.remove(0, token));
    assert!(table.insert(0, 1).is_ok());
}

#[test]
fn the_seed_decides_the_tokens() {
    let issue = |seed| {
        let table = table(1000, seed);
        let mut tokens = Vec::new();
        for n in 0..2000 {
            let token = table.insert(n as usize % 5, n).unwrap();
            tokens.push(token);
            if n % 3 == 0 {
                table.remove(0, token);
            } else if n % 7 == 0 {
                tokens.push(rotate(&table, 1, token).unwrap());
            }
        }
        tokens
    };
    assert_eq!(issue(5), issue(5));
    let (five, six): (HashSet<_>, HashSet<_>) =
        (issue(5).into_iter().collect(), issue(6).into_iter().collect());
    assert!(five.is_disjoint(&six));
}

#[test]
fn no_token_repeats_within_the_distance() {
    // In as many plain draws from 2^32 numbers, every second run would see a repetition.
    for seed in 0..8 {
        let table = table(16, seed);
        let mut seen = HashSet::new();
        for n in 0..RETIRE_DISTANCE as u32 {
            let token = table.insert(0, n % 16).unwrap();
            assert!(seen.insert(token));
            table.remove(0, token);
        }
    }
}

#[test]
fn rotation_changes_the_low_eight_bits_only() {
    let table = table(1000, 7);
    let mut token = table.insert(0, 9).unwrap();
    let (family, mut variants) = (token.get() >> 8, HashSet::new());
    for _ in 0..5000 {
        let new = rotate(&table, 0, token).unwrap();
        assert!(new != token && new.get() >> 8 == family);
        assert_eq!((table.lookup(token.get()), table.lookup(new.get())), (None, Some(9)));
        assert_eq!(rotate(&table, 0, token), None, "the old token is dead");
        variants.insert(new);
        token = new;
    }
    assert!(variants.len() > 200, "all of the family are used: {}", variants.len());
    assert_eq!(table.live(), 1);
    assert_eq!(table.remove(0, token), Some(9));
    assert_eq!(rotate(&table, 0, token), None);
    assert_eq!(table.live(), 0);
}

#[test]
fn rotations_leave_room_for_inserts() {
    const RECORDS: u32 = 3_000;
    let table = table(2 * RECORDS, 8);
    let mut tokens: Vec<_> = (0..RECORDS).map(|index| table.insert(0, index).unwrap()).collect();
    for _ in 0..16 {
        for token in &mut tokens {
            *token = rotate(&table, 1, *token).unwrap();
        }
    }
    let more: Vec<_> =
        (RECORDS..2 * RECORDS).map(|index| table.insert(0, index).unwrap()).collect();
    let all = tokens.iter().chain(&more).enumerate();
    assert!({ all }.all(|(index, token)| table.lookup(token.get()) == Some(index as u32)));
}
