//! The token table against a map, over random sequences of calls.

use std::collections::HashMap;

use ndk_backend_sim::token::{Config, Token, TokenTable};
use proptest::prelude::*;

/// A whole rotation: the new token, or `None` where the old one is not live.
fn rotate(table: &TokenTable, shard: usize, token: Token) -> Option<Token> {
    let new = table.sibling(shard, token)?;
    assert!(table.leave(token), "a live token is left");
    Some(new)
}

#[derive(Clone, Debug)]
enum Call {
    Insert { shard: usize, index: u32 },
    Remove { shard: usize, which: usize },
    Rotate { shard: usize, which: usize },
    RemoveDead { which: usize },
    Lookup { token: u32 },
    InsertMany { shard: usize, count: u32 },
    RemoveMany { shard: usize, count: usize },
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let shard = 0..10usize;
    let which = 0..usize::MAX;
    let call = prop_oneof![
        6 => (shard.clone(), 0..1u32 << 29).prop_map(|(shard, index)| Call::Insert { shard, index }),
        5 => (shard.clone(), which.clone()).prop_map(|(shard, which)| Call::Remove { shard, which }),
        3 => (shard.clone(), which.clone()).prop_map(|(shard, which)| Call::Rotate { shard, which }),
        2 => which.prop_map(|which| Call::RemoveDead { which }),
        2 => any::<u32>().prop_map(|token| Call::Lookup { token }),
        1 => (shard.clone(), 1..3000u32).prop_map(|(shard, count)| Call::InsertMany { shard, count }),
        1 => (shard, 1..3000usize).prop_map(|(shard, count)| Call::RemoveMany { shard, count }),
    ];
    proptest::collection::vec(call, 1..120)
}

/// The table, and what it should say.
struct Pair {
    table: TokenTable,
    live: HashMap<Token, u32>,
    /// The live tokens in an order that does not depend on the map's.
    order: Vec<Token>,
    dead: Vec<Token>,
}

impl Pair {
    fn insert(&mut self, shard: usize, index: u32) {
        let token = self.table.insert(shard, index).unwrap();
        self.entered(token, index);
    }

    fn entered(&mut self, token: Token, index: u32) {
        assert_eq!(self.live.insert(token, index), None, "issued twice");
        assert_eq!(self.table.lookup(token.get()), Some(index));
        self.order.push(token);
    }

    /// Takes a live token out of the model.
    fn take(&mut self, which: usize) -> Option<(Token, u32)> {
        let at = which.checked_rem(self.order.len())?;
        let token = self.order.swap_remove(at);
        self.dead.push(token);
        self.live.remove(&token).map(|index| (token, index))
    }

    fn remove(&mut self, shard: usize, which: usize) {
        if let Some((token, index)) = self.take(which) {
            assert_eq!(self.table.remove(shard, token), Some(index));
            assert_eq!(self.table.lookup(token.get()), None);
        }
    }

    fn call(&mut self, call: Call) {
        match call {
            Call::Insert { shard, index } => self.insert(shard, index),
            Call::Remove { shard, which } => self.remove(shard, which),
            Call::Rotate { shard, which } => {
                if let Some((token, index)) = self.take(which) {
                    let new = rotate(&self.table, shard, token).unwrap();
                    assert_eq!(new.get() >> 8, token.get() >> 8);
                    assert_eq!(self.table.lookup(token.get()), None);
                    self.dead.retain(|dead| *dead != new);
                    self.entered(new, index);
                }
            }
            Call::RemoveDead { which } => {
                if let Some(at) = which.checked_rem(self.dead.len()) {
                    assert_eq!(self.table.remove(0, self.dead[at]), None);
                    assert_eq!(rotate(&self.table, 0, self.dead[at]), None);
                }
            }
            Call::Lookup { token } => {
                let expected = Token::new(token).and_then(|token| self.live.get(&token).copied());
                assert_eq!(self.table.lookup(token), expected);
            }
            Call::InsertMany { shard, count } => {
                (0..count).for_each(|index| self.insert(shard, index))
            }
            Call::RemoveMany { shard, count } => {
                (0..count).for_each(|which| self.remove(shard, which))
            }
        }
        assert_eq!(self.table.live(), self.live.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_table_does_what_a_map_does(seed: u64, calls in calls()) {
        let table = TokenTable::new(&Config { capacity: 1 << 20, seed: Some(seed) }).unwrap();
        let mut pair = Pair { table, live: HashMap::new(), order: Vec::new(), dead: Vec::new() };
        calls.into_iter().for_each(|call| pair.call(call));
        for (token, index) in &pair.live {
            prop_assert_eq!(pair.table.lookup(token.get()), Some(*index));
        }
        for token in &pair.dead {
            prop_assert_eq!(pair.table.lookup(token.get()), None);
        }
    }
}
