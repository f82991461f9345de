//! Where token values come from (contract E5): a cipher's keystream per shard.
//!
//! ChaCha with 12 rounds: nobody who sees some of its output can tell the rest from noise. Every shard has a key of its
//! own, so protection domains in different shards share nothing. Domains in one shard take turns on one keystream, of
//! which each sees a part that tells it nothing about the rest.
//!
//! Whoever registers again and again takes values in advance, a `Supply`, so that the shard's lock is taken once for all
//! of them.

use core::array;
use core::sync::atomic::{AtomicU32, Ordering};

use chacha20::rand_core::SeedableRng;
use chacha20::rand_core::block::Generator;
use chacha20::variants::Legacy;
use chacha20::{ChaChaCore, R12};

use super::{EntropyError, SHARDS};

type ChaCha12 = ChaChaCore<R12, Legacy>;

/// Values that the cipher gives at a time.
const BLOCK: usize = 64;

/// A stream of token values.
pub(super) struct Draws {
    cipher: ChaCha12,
    block: [u32; BLOCK],
    used: usize,
}

impl Draws {
    fn new(key: [u8; 32]) -> Self {
        Self { cipher: ChaCha12::from_seed(key), block: [0; BLOCK], used: BLOCK }
    }

    /// Streams with keys from the operating system: one for each shard, and one more.
    pub(super) fn from_entropy() -> Result<[Self; SHARDS + 1], EntropyError> {
        let mut keys = [[0; 32]; SHARDS + 1];
        getrandom::fill(keys.as_flattened_mut()).map_err(EntropyError)?;
        Ok(keys.map(Self::new))
    }

    /// Streams that are the same for the same seed.
    pub(super) fn from_seed(seed: u64) -> [Self; SHARDS + 1] {
        array::from_fn(|shard| {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&seed.to_le_bytes());
            key[8] = shard as u8;
            Self::new(key)
        })
    }

    pub(super) fn draw(&mut self) -> u32 {
        self.take::<1>()[0]
    }

    /// The next values of the stream, which all come out of one block.
    #[inline]
    fn take<const N: usize>(&mut self) -> [u32; N] {
        if self.used + N > BLOCK {
            self.cipher.generate(&mut self.block);
            self.used = 0;
        }
        let values = array::from_fn(|at| self.block[self.used + at]);
        self.used += N;
        values
    }

    /// Makes this value the next to be drawn.
    #[cfg(all(test, not(loom)))]
    pub(super) fn plant(&mut self, value: u32) {
        if self.used == BLOCK {
            self.draw();
        }
        self.used -= 1;
        self.block[self.used] = value;
    }
}

/// Values that were drawn and not used yet. It belongs to one region, whose operations take turns; a table's own.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Supply {
    left: AtomicU32,
    values: [AtomicU32; SUPPLY],
}

/// A power of two, so that a remainder is always in bounds.
const SUPPLY: usize = 8;

impl Supply {
    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }

    /// The two values that come next, and are not to be told to anybody; where there are fewer, some that will not come.
    #[inline(always)]
    pub(super) fn peek(&self) -> [u32; 2] {
        let left = self.left.load(Ordering::Relaxed) as usize;
        [1, 2].map(|ahead| self.values[left.wrapping_sub(ahead) % SUPPLY].load(Ordering::Relaxed))
    }

    #[inline(always)]
    pub(super) fn take(&self) -> Option<u32> {
        let left = self.left.load(Ordering::Relaxed).checked_sub(1)?;
        self.left.store(left, Ordering::Relaxed);
        Some(self.values[left as usize % SUPPLY].load(Ordering::Relaxed))
    }

    pub(super) fn refill(&self, draws: &mut Draws) {
        let drawn = draws.take::<SUPPLY>();
        self.values.iter().zip(drawn).for_each(|(to, value)| to.store(value, Ordering::Relaxed));
        self.left.store(SUPPLY as u32, Ordering::Relaxed);
    }
}
