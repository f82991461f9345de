//! Rule E5: tokens cannot be guessed. Each predictor must see through a weak generator of its kind, planted in the same
//! case, and must not do better than chance on the device's tokens.

use super::super::case::{Case, Device};
use super::super::env::Env;
use super::super::predict::{self, Issue, Score};
use super::super::route::{Mr, Pd};
use crate::abi::*;
use crate::provider::RegionKind;

pub(super) const CASES: &[Case] = &[
    Case::new("E5", "counter", counter).own().needs(unpredictable),
    Case::new("E5", "linear_congruence", linear_congruence).own().needs(unpredictable),
    Case::new("E5", "xorshift", xorshift).own().needs(unpredictable),
    Case::new("E5", "fixed_index_bits", fixed_index_bits).own().needs(unpredictable),
    Case::new("E5", "step_per_region", step_per_region).own().needs(unpredictable),
    Case::new("E5", "related_domains", related_domains).own().needs(unpredictable),
    Case::new("E5", "balance_of_bits", balance_of_bits).own().needs(unpredictable),
];

/// The tokens of a stream.
const STREAM: usize = 4096;
/// The tokens of which every bit is to be set in half.
const MANY: usize = 1 << 16;
/// Standard deviations that chance does not come to: one case in 10^8 would fail without a reason.
const BOUND: f64 = 6.5;

fn unpredictable(device: &Device) -> Option<&'static str> {
    let declared = device.capabilities.tokens_unpredictable;
    (!declared).then_some("the device promises nothing of its tokens (K1)")
}

/// The shortest stream.
const LEAST: usize = 1024;

/// The tokens of a region's sides that are drawn: for peers, and for its owner where that is another key (E3).
fn drawn(env: &Env, mr: Mr) -> Vec<u32> {
    let (local, remote) = env.tokens(mr);
    if env.device.capabilities.shared_key { vec![remote] } else { vec![remote, local] }
}

/// How many sides' tokens `drawn` gives.
fn sides(env: &Env) -> usize {
    if env.device.capabilities.shared_key { 1 } else { 2 }
}

/// Regions that are registered, and by turns deregistered and registered again, or closed and made again: what each side
/// is issued.
fn issues(env: &mut Env, pd: Pd, (regions, closes): (usize, bool), most: usize) -> Vec<Vec<Issue>> {
    let count = env.sample(most, LEAST);
    let page = env.page();
    let registration = page.all(NDK_MR_FLAG_ALLOW_REMOTE_READ);
    let mut live = Vec::new();
    while live.len() < regions
        && let Some(mr) = env.mr_if_room(pd, RegionKind::Conventional)
    {
        live.push(mr);
    }
    let mut issues = vec![Vec::with_capacity(count); sides(env)];
    while issues[0].len() < count {
        for (record, mr) in live.iter_mut().enumerate() {
            env.register(*mr, registration.clone()).success();
            for (token, issues) in drawn(env, *mr).into_iter().zip(&mut issues) {
                issues.push(Issue { record: record as u32, token });
            }
        }
        for mr in &mut live {
            if closes {
                env.close(*mr).success();
                *mr = env.mr(pd);
            } else {
                env.deregister(*mr).success();
            }
        }
    }
    live.into_iter().for_each(|mr| {
        env.close(mr).success();
    });
    issues
}

/// The streams that somebody might see: of many regions at a time, and of few or one over and over.
fn streams(env: &mut Env) -> Vec<Vec<Issue>> {
    let pd = env.pd();
    let ways = [(7, false), (1, true), (256, false), (1, false), (7, true)];
    let ways = ways.into_iter().take(env.sample(ways.len(), 2));
    ways.flat_map(|way| issues(env, pd, way, STREAM)).collect()
}

fn tokens(issues: &[Issue]) -> Vec<u32> {
    issues.iter().map(|issue| issue.token).collect()
}

/// The predictor is good for its kind, and no good for the device's tokens.
#[track_caller]
fn compare(env: &mut Env, weak: &[Issue], predictor: fn(&[Issue]) -> Score) {
    sees_through(predictor(weak));
    for stream in streams(env) {
        fails(predictor(&stream));
    }
}

#[track_caller]
fn sees_through(score: Score) {
    let rate = score.hits as f64 / score.tries as f64;
    assert!(score.beats_chance() && rate > 0.85, "the kit misses a generator: {score:?}");
}

#[track_caller]
fn fails(score: Score) {
    // A region that is issued a token once only gives nothing to learn from.
    assert!(score.tries > 500, "hardly a guess: {score:?}");
    assert!(!score.beats_chance(), "E5: tokens can be guessed: {score:?}");
}

/// A generator's output, as the tokens of one record.
fn planted(mut next: impl FnMut() -> u32) -> Vec<Issue> {
    (0..STREAM).map(|_| Issue { record: 0, token: next() }).collect()
}

/// Noise for generators that are weak in one respect only.
fn noise(n: u32) -> u32 {
    let mut x =
        u64::from(n).wrapping_add(0x9E37_79B9_7F4A_7C15).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ x >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    (x ^ x >> 31) as u32
}

fn counter(env: &mut Env) {
    let mut value = 0x100_u32;
    let weak = planted(|| {
        value = value.wrapping_add(0x101);
        value
    });
    compare(env, &weak, |issues| predict::constant_step(&tokens(issues)));
}

fn linear_congruence(env: &mut Env) {
    let mut x = 1_u64;
    let prime = planted(|| {
        x = x * 48_271 % 0x7FFF_FFFF;
        x as u32
    });
    sees_through(predict::linear_congruence(&tokens(&prime)));
    let mut x = 1_u32;
    let word = planted(|| {
        x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        x
    });
    compare(env, &word, |issues| predict::linear_congruence(&tokens(issues)));
}

fn xorshift(env: &mut Env) {
    let mut x = 0x1234_5678_u32;
    let weak = planted(|| {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        x
    });
    // A long one says no more, and takes the square of its length.
    compare(env, &weak, |issues| predict::linear_feedback(&tokens(&issues[..LEAST])));
}

/// A key as some hardware makes it: the region's number above, a variant below.
fn fixed_index_bits(env: &mut Env) {
    let key = |record| Issue { record, token: record << 8 | noise(record) & 0xFF };
    let weak: Vec<_> = (0..STREAM as u32).map(|n| key(noise(n) & 0xFFFF)).collect();
    compare(env, &weak, predict::fixed_bits);
}

/// A key that counts its uses.
fn step_per_region(env: &mut Env) {
    let key = |n: u32| Issue { record: n % 7, token: noise(n % 7).wrapping_add(n / 7) };
    let weak: Vec<_> = (0..STREAM as u32).map(key).collect();
    compare(env, &weak, predict::step_per_record);
}

/// Domains that issue side by side: neither tells of the other, and both together are no sequence either.
fn related_domains(env: &mut Env) {
    let seen: Vec<u32> = (0..STREAM as u32).map(noise).collect();
    let weak: Vec<u32> = seen.iter().map(|token| token.wrapping_add(77)).collect();
    sees_through(predict::related_streams(&seen, &weak));
    let pds = [env.pd(), env.pd(), env.pd()];
    let (page, count) = (env.page(), env.sample(STREAM, LEAST));
    let registration = page.all(NDK_MR_FLAG_ALLOW_REMOTE_READ);
    let regions = pds.map(|pd| env.mr(pd));
    let mut streams = vec![[const { Vec::new() }; 3]; sides(env)];
    for _ in 0..count {
        for (domain, &mr) in regions.iter().enumerate() {
            env.register(mr, registration.clone()).success();
            for (token, streams) in drawn(env, mr).into_iter().zip(&mut streams) {
                streams[domain].push(token);
            }
        }
        for mr in regions {
            env.deregister(mr).success();
        }
    }
    for streams in &streams {
        for (one, other) in [(0, 1), (1, 2), (2, 0), (1, 0), (2, 1), (0, 2)] {
            fails(predict::related_streams(&streams[one], &streams[other]));
        }
        let all: Vec<u32> =
            (0..count).flat_map(|n| streams.iter().map(move |stream| stream[n])).collect();
        fails(predict::constant_step(&all));
        fails(predict::linear_feedback(&all[..LEAST]));
    }
}

/// Of 2^16 tokens of each side, and of as many of one region that is closed and made again.
fn balance_of_bits(env: &mut Env) {
    let weak: Vec<u32> = (0..MANY as u32).map(|n| noise(n) | (noise(!n) & 0x40)).collect();
    assert!(predict::imbalance(&weak) > BOUND, "the kit misses a bit that is set too often");
    let pd = env.pd();
    for way in [(256, false), (1, false), (1, true)] {
        for issues in issues(env, pd, way, MANY) {
            let imbalance = predict::imbalance(&tokens(&issues));
            assert!(imbalance < BOUND, "E5: a bit is {imbalance} deviations from half: {way:?}");
        }
    }
}
