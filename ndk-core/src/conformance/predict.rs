//! Predictors of tokens: what a peer could try that has seen some tokens and wants the next (contract E5).
//!
//! Each is a plain function over observed tokens and knows nothing of where they come from. It guesses every token from
//! those before it, and its [`Score`] says whether that went better than blind guessing. Good tokens make all of them fail;
//! for each there is a weak generator that it sees through.

/// How often a predictor was right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Right guesses.
    pub hits: u64,
    /// All guesses.
    pub tries: u64,
    /// The probability that a blind guess is right.
    pub chance: f64,
}

impl Score {
    /// Whether luck does not explain the hits: more than six standard deviations above the expectation, and at least three.
    pub fn beats_chance(&self) -> bool {
        let expected = self.tries as f64 * self.chance;
        let deviation = (expected * (1.0 - self.chance)).sqrt();
        self.hits as f64 > expected + 6.0 * deviation + 2.0
    }

    /// Counts how often one of a predictor's guesses is the token.
    fn of_tokens<const N: usize>(guesses: impl Iterator<Item = ([Option<u32>; N], u32)>) -> Self {
        let none = Self { hits: 0, tries: 0, chance: N as f64 / 2f64.powi(32) };
        guesses.fold(none, |score, (guesses, token)| Self {
            hits: score.hits + u64::from(guesses.contains(&Some(token))),
            tries: score.tries + 1,
            ..score
        })
    }

    /// Counts how many bits of a predictor's guesses are right.
    fn of_bits(guesses: impl Iterator<Item = (u32, u32)>) -> Self {
        guesses.fold(Self { hits: 0, tries: 0, chance: 0.5 }, |score, (guess, token)| Self {
            hits: score.hits + u64::from((guess ^ token).count_zeros()),
            tries: score.tries + 32,
            ..score
        })
    }
}

/// A record, by whatever number or place a peer can tell it from others, and the token it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Issue {
    /// The record's number.
    pub record: u32,
    /// The token issued for it.
    pub token: u32,
}

/// Guesses that each token differs from the last by as much as that one from its predecessor: counters.
pub fn constant_step(tokens: &[u32]) -> Score {
    Score::of_tokens(
        tokens.windows(3).map(|w| ([Some(w[1].wrapping_add(w[1].wrapping_sub(w[0])))], w[2])),
    )
}

/// Guesses that tokens come from `x -> (a * x + c) mod m`, with `a`, `c` and, if it is not 2^32, `m` found from the
/// tokens before.
pub fn linear_congruence(tokens: &[u32]) -> Score {
    const SEEN: usize = 8;
    Score::of_tokens(tokens.windows(SEEN + 1).map(|w| {
        let (seen, next) = (&w[..SEEN], w[SEEN]);
        ([congruent_word(seen), congruent_modulus(seen)], next)
    }))
}

/// The next of a linear congruence modulo 2^32, from the last three.
fn congruent_word(seen: &[u32]) -> Option<u32> {
    let [.., x, y, z] = *seen else { return None };
    let (d, e) = (y.wrapping_sub(x), z.wrapping_sub(y));
    let common = d.trailing_zeros();
    if d == 0 || e.trailing_zeros() < common {
        return None;
    }
    // a * d = e. If d is even, a is known but for its uppermost bits; these do not matter for a * e, since e is as even.
    let a = (e >> common).wrapping_mul(inverse_of_odd(d >> common));
    Some(z.wrapping_add(a.wrapping_mul(e)))
}

/// The inverse modulo 2^32, by Newton's method: each step doubles the number of right bits.
fn inverse_of_odd(odd: u32) -> u32 {
    (0..5).fold(odd, |x, _| x.wrapping_mul(2u32.wrapping_sub(odd.wrapping_mul(x))))
}

/// The next of a linear congruence whose modulus is the greatest common divisor of what would be zero under it.
fn congruent_modulus(seen: &[u32]) -> Option<u32> {
    let steps: Vec<i128> = seen.windows(2).map(|w| i128::from(w[1]) - i128::from(w[0])).collect();
    let modulus =
        steps.windows(3).map(|d| d[0] * d[2] - d[1] * d[1]).fold(0, |m, zero| gcd(m, zero.abs()));
    let [.., d, e] = *steps.as_slice() else { return None };
    let (common, inverse) = inverse(d.rem_euclid(modulus.max(1)), modulus.max(1));
    if modulus < 2 || common != 1 {
        return None;
    }
    let a = (e * inverse).rem_euclid(modulus);
    let next = (i128::from(*seen.last()?) + a * e).rem_euclid(modulus);
    u32::try_from(next).ok()
}

fn gcd(a: i128, b: i128) -> i128 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The greatest common divisor, and the number that times `a` is it modulo `m`.
fn inverse(a: i128, m: i128) -> (i128, i128) {
    let ((mut r, mut s), (mut next_r, mut next_s)) = ((m, 0), (a, 1));
    while next_r != 0 {
        let q = r / next_r;
        (r, next_r) = (next_r, r - q * next_r);
        (s, next_s) = (next_s, s - q * next_s);
    }
    (r, s)
}

/// Guesses that each bit is a fixed exclusive-or of its own past: xorshift generators, shift registers, and whatever else is
/// linear in its state, which this finds without knowing it. Learns from the first half, at most 1,024 tokens, and
/// guesses the bits of as many after it.
pub fn linear_feedback(tokens: &[u32]) -> Score {
    const MOST: usize = 1024;
    let learned = (tokens.len() / 2).min(MOST);
    let end = tokens.len().min(2 * learned);
    let mut guesses = vec![0; end - learned];
    for bit in 0..32 {
        let bits: Vec<bool> = tokens[..end].iter().map(|token| token >> bit & 1 == 1).collect();
        let taps = shortest_feedback(&bits[..learned]);
        for (guess, at) in guesses.iter_mut().zip(learned..) {
            *guess |= u32::from(feedback(&taps, &bits[..at])) << bit;
        }
    }
    Score::of_bits(guesses.into_iter().zip(tokens[learned..end].iter().copied()))
}

/// The exclusive-or of those past bits that the taps select; the first tap is for the last bit.
fn feedback(taps: &[bool], past: &[bool]) -> bool {
    taps.iter().zip(past.iter().rev()).fold(false, |sum, (tap, bit)| sum ^ (tap & bit))
}

/// The taps of the shortest shift register that produces these bits: the algorithm of Berlekamp and Massey.
fn shortest_feedback(bits: &[bool]) -> Vec<bool> {
    let (mut taps, mut before) = (Vec::new(), Vec::new());
    // How long ago the register was lengthened.
    let mut age = 1;
    for at in 0..bits.len() {
        if feedback(&taps, &bits[..at]) == bits[at] {
            age += 1;
            continue;
        }
        // Correct by the register that failed `age` steps ago: its failure, delayed so that it falls on this bit.
        let mut corrected = taps.clone();
        corrected.resize(taps.len().max(age + before.len()), false);
        corrected[age - 1] ^= true;
        for (tap, old) in corrected[age..].iter_mut().zip(&before) {
            *tap ^= old;
        }
        if 2 * taps.len() <= at {
            corrected.resize(at + 1 - taps.len(), false);
            (before, age) = (taps, 1);
        } else {
            age += 1;
        }
        taps = corrected;
    }
    taps
}

/// Guesses that bits of the token are bits of the record's number, upright or inverted, or always the same. Learns from the
/// first half which, and guesses the second.
pub fn fixed_bits(issues: &[Issue]) -> Score {
    let (known, tested) = issues.split_at(issues.len() / 2);
    // What a bit may equal: a bit of the record's number, or (the last) zero.
    let source = |record: u32, at: usize| if at < 32 { record >> at & 1 } else { 0 };
    let rules: Vec<(usize, u32)> = (0..32)
        .map(|bit| {
            let differing = |at: &usize| {
                known
                    .iter()
                    .filter(|issue| source(issue.record, *at) != issue.token >> bit & 1)
                    .count()
            };
            let unlike_chance = |at: &usize| differing(at).abs_diff(known.len() / 2);
            let best = (0..=32).max_by_key(unlike_chance).unwrap_or(32);
            (best, u32::from(differing(&best) > known.len() / 2))
        })
        .collect();
    Score::of_bits(tested.iter().map(|issue| {
        let guess = rules.iter().enumerate().fold(0, |guess, (bit, (at, inverted))| {
            guess | (source(issue.record, *at) ^ inverted) << bit
        });
        (guess, issue.token)
    }))
}

/// Guesses that a record's next token is its last one plus the step by which any record's token changed most recently:
/// tokens made of a place and a count of its uses.
pub fn step_per_record(issues: &[Issue]) -> Score {
    let mut last = std::collections::HashMap::new();
    let mut step = 1;
    let again = issues.iter().filter_map(|issue| {
        let before: u32 = last.insert(issue.record, issue.token)?;
        let guess = before.wrapping_add(step);
        step = issue.token.wrapping_sub(before);
        Some(([Some(guess)], issue.token))
    });
    Score::of_tokens(again.collect::<Vec<_>>().into_iter())
}

/// Guesses one protection domain's tokens from another's: that both take the same steps, added or exclusive-ored, or that
/// one repeats the other. Position by position, as if both had been seen side by side.
pub fn related_streams(seen: &[u32], guessed: &[u32]) -> Score {
    let pairs = seen.windows(2).zip(guessed.windows(2));
    Score::of_tokens(pairs.map(|(seen, guessed)| {
        let added = guessed[0].wrapping_add(seen[1].wrapping_sub(seen[0]));
        (
            [Some(added), Some(guessed[0] ^ seen[0] ^ seen[1]), Some(seen[0]), Some(seen[1])],
            guessed[1],
        )
    }))
}

/// How many standard deviations the most unbalanced of the 32 bits is from being set in half of the tokens.
pub fn imbalance(tokens: &[u32]) -> f64 {
    let n = tokens.len() as f64;
    let ones = |bit: u32| tokens.iter().filter(|token| *token >> bit & 1 == 1).count() as f64;
    (0..32).map(|bit| (ones(bit) - n / 2.0).abs() / (n.sqrt() / 2.0)).fold(0.0, f64::max)
}
