//! Contract E5: what the predictors make of the table's tokens, and that each predictor sees through a generator of its kind.

use ndk_backend_sim::token::{Config, SHARDS, TokenTable};
use ndk_core::conformance::predict::{self, Issue, Score};

const MANY: usize = 1 << 16;

/// Tables to look at: a seeded one and one that the operating system seeded.
fn tables() -> [TokenTable; 2] {
    [Some(0x5eed), None].map(|seed| TokenTable::new(&Config { capacity: 1 << 18, seed }).unwrap())
}

/// Tokens of `MANY` records that are all registered at the same time.
fn of_many_records(table: &TokenTable) -> Vec<Issue> {
    (0..MANY as u32)
        .map(|record| Issue { record, token: table.insert(0, record).unwrap().get() })
        .collect()
}

/// Tokens of a few records, each closed and registered again, over and over.
fn of_few_records(table: &TokenTable, records: u32) -> Vec<Issue> {
    let mut issues = Vec::new();
    while issues.len() < MANY {
        let round: Vec<_> =
            (0..records).map(|record| (record, table.insert(0, record).unwrap())).collect();
        for (record, token) in round {
            assert_eq!(table.remove(0, token), Some(record));
            issues.push(Issue { record, token: token.get() });
        }
    }
    issues
}

fn tokens(issues: &[Issue]) -> Vec<u32> {
    issues.iter().map(|issue| issue.token).collect()
}

/// Puts a generator's output in the place of a table's tokens.
fn planted(mut next: impl FnMut() -> u32) -> Vec<u32> {
    (0..4096).map(|_| next()).collect()
}

/// Noise for weak generators that are weak in one respect only.
fn noise(n: u32) -> u32 {
    let mut x =
        u64::from(n).wrapping_add(0x9E37_79B9_7F4A_7C15).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ x >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    (x ^ x >> 31) as u32
}

fn fails(name: &str, score: Score) {
    assert!(score.tries > 1000, "{name} made hardly a guess: {score:?}");
    assert!(!score.beats_chance(), "{name} predicts tokens: {score:?}");
}

fn succeeds(name: &str, score: Score) {
    let rate = score.hits as f64 / score.tries as f64;
    assert!(
        score.beats_chance() && rate > 0.85,
        "{name} misses a generator of its kind: {score:?}"
    );
}

/// Applies a predictor to every stream of tokens there is.
fn fails_on_tables(name: &str, predictor: impl Fn(&[Issue]) -> Score) {
    for table in tables() {
        fails(name, predictor(&of_many_records(&table)));
    }
    for (table, records) in tables().iter().zip([1, 7]) {
        fails(name, predictor(&of_few_records(table, records)));
    }
}

#[test]
fn a_constant_step_predicts_counters_only() {
    let mut counter = 0x100u32;
    let weak = planted(|| {
        counter = counter.wrapping_add(0x101);
        counter
    });
    succeeds("constant step", predict::constant_step(&weak));
    fails_on_tables("constant step", |issues| predict::constant_step(&tokens(issues)));
}

#[test]
fn a_linear_congruence_predicts_its_kind_only() {
    let mut x = 1u32;
    let word = planted(|| {
        x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        x
    });
    succeeds("linear congruence modulo 2^32", predict::linear_congruence(&word));
    let mut x = 1u64;
    let prime = planted(|| {
        x = x * 48_271 % 0x7FFF_FFFF;
        x as u32
    });
    succeeds("linear congruence modulo a prime", predict::linear_congruence(&prime));
    fails_on_tables("linear congruence", |issues| predict::linear_congruence(&tokens(issues)));
}

#[test]
fn linear_feedback_predicts_xorshift_only() {
    let mut x = 0x1234_5678u32;
    let short = planted(|| {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        x
    });
    succeeds("linear feedback on xorshift32", predict::linear_feedback(&short));
    let mut s = [1u32, 2, 3, 4];
    let long = planted(|| {
        let t = s[3] ^ s[3] << 11;
        s = [s[0] ^ s[0] >> 19 ^ t ^ t >> 8, s[0], s[1], s[2]];
        s[0]
    });
    succeeds("linear feedback on xorshift128", predict::linear_feedback(&long));
    fails_on_tables("linear feedback", |issues| predict::linear_feedback(&tokens(issues)));
}

#[test]
fn fixed_bits_predict_tokens_that_hold_the_index_only() {
    // A key as some hardware makes it: the index above, a variant below.
    let key = |record| Issue { record, token: record << 8 | noise(record) & 0xFF };
    let weak: Vec<_> = (0..4096).map(|n| key(noise(n) & 0xFFFF)).collect();
    succeeds("fixed bits", predict::fixed_bits(&weak));
    let one_bit: Vec<_> = (0..MANY as u32)
        .map(|record| Issue { record, token: noise(record) & !0x400 | !record & 1 << 10 })
        .collect();
    assert!(predict::fixed_bits(&one_bit).beats_chance(), "one bit of 32 is enough to notice");
    fails_on_tables("fixed bits", predict::fixed_bits);
}

#[test]
fn a_step_per_record_predicts_keys_that_count_their_uses_only() {
    let weak: Vec<_> =
        (0..4096).map(|n| Issue { record: n % 7, token: noise(n % 7) + n / 7 }).collect();
    succeeds("step per record", predict::step_per_record(&weak));
    for (table, records) in tables().iter().zip([1, 7]) {
        fails("step per record", predict::step_per_record(&of_few_records(table, records)));
    }
}

#[test]
fn domains_share_no_visible_sequence() {
    let seen: Vec<u32> = (0..4096).map(noise).collect();
    let weak: Vec<u32> = seen.iter().map(|token| token.wrapping_add(77)).collect();
    succeeds("related streams", predict::related_streams(&seen, &weak));
    for table in tables() {
        let mut streams = vec![Vec::new(); SHARDS];
        for record in 0..4096 {
            for (shard, stream) in streams.iter_mut().enumerate() {
                stream.push(table.insert(shard, record).unwrap().get());
            }
        }
        for seen in 0..SHARDS {
            for guessed in (0..SHARDS).filter(|guessed| *guessed != seen) {
                fails(
                    "related streams",
                    predict::related_streams(&streams[seen], &streams[guessed]),
                );
            }
        }
        // All domains of the adapter as one stream.
        let all: Vec<u32> =
            (0..4096).flat_map(|n| streams.iter().map(move |stream| stream[n])).collect();
        fails("constant step", predict::constant_step(&all));
        fails("linear feedback", predict::linear_feedback(&all));
    }
}

#[test]
fn every_bit_is_set_in_half_of_the_tokens() {
    const BOUND: f64 = 5.0;
    let weak: Vec<u32> = (0..MANY as u32).map(|n| noise(n) | (noise(!n) & 0x40)).collect();
    assert!(predict::imbalance(&weak) > BOUND);
    // Seeded, so that chance decides once and for all.
    for seed in 0..4 {
        let table = || TokenTable::new(&Config { capacity: 1 << 18, seed: Some(seed) }).unwrap();
        assert!(predict::imbalance(&tokens(&of_many_records(&table()))) < BOUND);
        assert!(predict::imbalance(&tokens(&of_few_records(&table(), 1))) < BOUND);
    }
}
