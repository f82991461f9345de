//! How one slot serves both tokens of a region: a secret permutation of the 32-bit numbers.
//!
//! A drawn value *v* names a slot by all of its bits but the lowest. The tokens of a region are *P(v)* and *P(v ^ 1)*, so
//! either leads back to the slot, and retires with it. *P* is a few multiplications by secret odd numbers, each followed
//! by a shift, and has an inverse of the same kind.
//!
//! *P* has no part in what contract E5 asks: the values are drawn at random, so of tokens of which no two are one
//! region's, none says anything of another, whatever *P* is. It hides from one who has one token of a region the other
//! one (E3), and from everybody which slots are taken. That is less than a real cipher would be worth: who was told both
//! tokens of many regions could find the multipliers. Local tokens never leave the machine.

/// A permutation of the 32-bit numbers that leaves 0 where it is.
pub(super) struct Cipher {
    forth: [u32; ROUNDS],
    back: [u32; ROUNDS],
}

const ROUNDS: usize = 3;

impl Cipher {
    /// The permutation of that key.
    pub(super) fn new(key: [u32; ROUNDS]) -> Self {
        let forth = key.map(|number| number | 1);
        Self { forth, back: forth.map(inverse) }
    }

    #[inline(always)]
    pub(super) fn seal(&self, value: u32) -> u32 {
        self.forth.iter().fold(value, |value, factor| fold(value.wrapping_mul(*factor)))
    }

    /// The value that was sealed to this token.
    #[inline(always)]
    pub(super) fn open(&self, token: u32) -> u32 {
        self.back.iter().rev().fold(token, |token, factor| fold(token).wrapping_mul(*factor))
    }
}

/// Carries the upper half into the lower one, which no product does; its own inverse.
#[inline(always)]
const fn fold(number: u32) -> u32 {
    number ^ number >> 16
}

/// The inverse of an odd number modulo 2^32, by Newton's method: each step doubles the bits that are right, of which an odd
/// number as its own inverse has three.
fn inverse(odd: u32) -> u32 {
    (0..4).fold(odd, |guess, _| guess.wrapping_mul(2_u32.wrapping_sub(odd.wrapping_mul(guess))))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use ndk_core::conformance::predict;
    use std::collections::HashSet;

    /// Numbers that look drawn.
    fn noise(n: u32) -> u32 {
        let x = u64::from(n).wrapping_add(0x9E37_79B9_7F4A_7C15);
        let x = (x ^ x >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let x = (x ^ x >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (x ^ x >> 31) as u32
    }

    fn ciphers() -> impl Iterator<Item = Cipher> {
        (0..20).map(|key| Cipher::new([3 * key, 3 * key + 1, 3 * key + 2].map(|n| noise(!n))))
    }

    #[test]
    fn what_was_sealed_is_opened() {
        for cipher in ciphers() {
            assert_eq!((cipher.seal(0), cipher.open(0)), (0, 0));
            for value in (0..10_000).chain((0..10_000).map(noise)) {
                assert_eq!(cipher.open(cipher.seal(value)), value);
            }
        }
    }

    /// What is to be added to, or flipped in, one token of a region to get the other.
    fn differences(cipher: &Cipher, difference: fn(u32, u32) -> u32) -> Vec<u32> {
        let values = (0..1 << 16).map(noise);
        values.map(|value| difference(cipher.seal(value & !1), cipher.seal(value | 1))).collect()
    }

    #[test]
    fn one_token_of_a_region_does_not_tell_the_other() {
        for (key, cipher) in ciphers().enumerate() {
            for difference in [u32::wrapping_sub as fn(u32, u32) -> u32, |a, b| a ^ b] {
                let found = differences(&cipher, difference);
                assert!(predict::imbalance(&found) < 6.0, "{key}: {}", predict::imbalance(&found));
                // Of so many random numbers hardly any come twice.
                let distinct: HashSet<u32> = found.iter().copied().collect();
                assert!(found.len() - distinct.len() < 16, "{key}: {} distinct", distinct.len());
            }
        }
    }
}
