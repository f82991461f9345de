//! A hash for numbers: those of objects, tokens and contexts, which nobody attacks.

use core::hash::{BuildHasherDefault, Hasher};
use std::collections::HashMap;

/// Spreads a number's bits over the word.
#[derive(Default)]
pub(super) struct Spread(u64);

pub(super) fn spread(number: u64) -> u64 {
    let product = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    product ^ product >> 32
}

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(byte.into()));
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = spread(self.0 ^ number);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A table by numbers.
pub(super) type Table<K, V> = HashMap<K, V, BuildHasherDefault<Spread>>;
