//! Inserts, removals, rotations and lookups side by side, while the table grows under them.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread;

use ndk_backend_sim::token::{Config, Token, TokenTable};

/// A whole rotation: the new token, or `None` where the old one is not live.
fn rotate(table: &TokenTable, shard: usize, token: Token) -> Option<Token> {
    let new = table.sibling(shard, token)?;
    assert!(table.leave(token), "a live token is left");
    Some(new)
}

const WRITERS: usize = 3;
const READERS: usize = 2;
const RECORDS: usize = 20_000;
const ROUNDS: usize = 5;

/// What writers tell readers about one record.
#[derive(Default)]
struct Shown {
    /// The token that is live now, or 0 while that changes.
    live: AtomicU32,
    /// The token that was removed last.
    dead: AtomicU32,
}

struct Stage {
    table: TokenTable,
    shown: Vec<Shown>,
    done: AtomicBool,
    /// Lookups that had to succeed, and those that had to fail.
    checked: [AtomicU64; 2],
}

impl Stage {
    /// Takes every record of its share through insert, rotation and removal. Records stay live for different times, so that
    /// the table holds more and more of them.
    fn write(&self, writer: usize) {
        let records = || (writer..RECORDS).step_by(WRITERS);
        for round in 0..ROUNDS {
            for record in records() {
                let shown = &self.shown[record];
                if let Some(token) = Token::new(shown.live.swap(0, Ordering::SeqCst)) {
                    if record % 5 == round {
                        let new = rotate(&self.table, writer, token).unwrap();
                        shown.dead.store(0, Ordering::SeqCst);
                        shown.live.store(new.get(), Ordering::SeqCst);
                        continue;
                    }
                    assert_eq!(self.table.remove(writer, token), Some(record as u32));
                    assert_eq!(self.table.lookup(token.get()), None);
                    shown.dead.store(token.get(), Ordering::SeqCst);
                }
                let token = self.table.insert(writer, record as u32).unwrap();
                assert_eq!(self.table.lookup(token.get()), Some(record as u32));
                shown.live.store(token.get(), Ordering::SeqCst);
            }
        }
    }

    fn read(&self, reader: usize) {
        let mut record = reader;
        while !self.done.load(Ordering::Relaxed) {
            record = (record + 7919) % RECORDS;
            let shown = &self.shown[record];
            let live = shown.live.load(Ordering::SeqCst);
            let found = self.table.lookup(live);
            assert!(
                found.is_none() || found == Some(record as u32),
                "a token reached another's record"
            );
            if live != 0 && shown.live.load(Ordering::SeqCst) == live {
                assert_eq!(found, Some(record as u32), "a live token was not found");
                self.checked[0].fetch_add(1, Ordering::Relaxed);
            }
            let dead = shown.dead.load(Ordering::SeqCst);
            let found = self.table.lookup(dead);
            if dead != 0 && shown.dead.load(Ordering::SeqCst) == dead {
                assert_eq!(found, None, "a removed token was found");
                self.checked[1].fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

#[test]
fn every_lookup_is_right_while_the_table_changes() {
    for seed in 0..4 {
        let table = TokenTable::new(&Config { capacity: 1 << 20, seed: Some(seed) }).unwrap();
        let shown = (0..RECORDS).map(|_| Shown::default()).collect();
        let stage =
            Stage { table, shown, done: AtomicBool::new(false), checked: Default::default() };
        thread::scope(|scope| {
            let stage = &stage;
            (0..READERS).for_each(|reader| _ = scope.spawn(move || stage.read(reader)));
            let writers = [0, 1, 2].map(|writer| scope.spawn(move || stage.write(writer)));
            let ended = writers.map(|writer| writer.join());
            stage.done.store(true, Ordering::Relaxed);
            ended.into_iter().for_each(|ended| ended.unwrap());
        });
        assert_eq!(stage.table.live(), RECORDS);
        for (record, shown) in stage.shown.iter().enumerate() {
            assert_eq!(stage.table.lookup(shown.live.load(Ordering::SeqCst)), Some(record as u32));
        }
        assert!(stage.checked.iter().all(|count| count.load(Ordering::Relaxed) > 0));
    }
}

#[test]
fn of_two_removals_of_one_token_one_succeeds() {
    let table = TokenTable::new(&Config { capacity: 1 << 16, seed: Some(9) }).unwrap();
    let tokens: Vec<_> = (0..50_000).map(|index| table.insert(0, index).unwrap()).collect();
    let removed: usize = thread::scope(|scope| {
        let threads = [0, 1, 2].map(|shard| {
            let (table, tokens) = (&table, &tokens);
            scope.spawn(move || {
                tokens.iter().filter(|token| table.remove(shard, **token).is_some()).count()
            })
        });
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(removed, tokens.len());
    assert_eq!(table.live(), 0);
}
