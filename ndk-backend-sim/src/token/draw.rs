//! Where token values come from (contract E5): a cipher's keystream per shard.
//!
//! ChaCha with 12 rounds: nobody who sees some of its output can tell the rest from noise. Every shard has a key of its
//! own, so protection domains in different shards share nothing. Domains in one shard take turns on one keystream, of
//! which each sees a part that tells it nothing about the rest.

use core::array;

use chacha20::rand_core::SeedableRng;
use chacha20::rand_core::block::Generator;
use chacha20::variants::Legacy;
use chacha20::{ChaChaCore, R12};

use super::{EntropyError, SHARDS};

type ChaCha12 = ChaChaCore<R12, Legacy>;

/// Values that the cipher gives at a time.
const BLOCK: usize = 64;
/// How far ahead of its use a value is told, so that its bucket can be fetched from memory meanwhile.
const AHEAD: u8 = 8;

/// A stream of token values: blocks of it in a ring, each filled anew when it was used up and the next is begun.
pub(super) struct Draws {
    cipher: ChaCha12,
    /// As many as `next` counts, so that it wraps by itself and no bounds are checked.
    values: [u32; 1 << u8::BITS],
    next: u8,
}

/// A value out of the stream.
pub(super) struct Draw {
    pub(super) value: u32,
    /// The value `AHEAD` draws later. Never to be told to anybody.
    pub(super) later: u32,
}

impl Draws {
    fn new(key: [u8; 32]) -> Self {
        let mut cipher = ChaCha12::from_seed(key);
        let mut values = [0; _];
        values.as_chunks_mut().0.iter_mut().for_each(|block| cipher.generate(block));
        Self { cipher, values, next: 0 }
    }

    /// Streams with keys from the operating system.
    pub(super) fn from_entropy() -> Result<[Self; SHARDS], EntropyError> {
        let mut keys = [[0; 32]; SHARDS];
        getrandom::fill(keys.as_flattened_mut()).map_err(EntropyError)?;
        Ok(keys.map(Self::new))
    }

    /// Streams that are the same for the same seed.
    pub(super) fn from_seed(seed: u64) -> [Self; SHARDS] {
        array::from_fn(|shard| {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&seed.to_le_bytes());
            key[8] = shard as u8;
            Self::new(key)
        })
    }

    #[inline]
    pub(super) fn draw(&mut self) -> Draw {
        let later = self.next.wrapping_add(AHEAD);
        let draw = Draw {
            value: self.values[usize::from(self.next)],
            later: self.values[usize::from(later)],
        };
        self.next = self.next.wrapping_add(1);
        if self.next.is_multiple_of(BLOCK as u8) {
            self.refill();
        }
        draw
    }

    /// Refills the block that was used up just now.
    #[cold]
    fn refill(&mut self) {
        let used = usize::from(self.next.wrapping_sub(1)) / BLOCK;
        self.cipher.generate(&mut self.values.as_chunks_mut().0[used]);
    }

    /// Makes this value the next to be drawn.
    #[cfg(all(test, not(loom)))]
    pub(super) fn plant(&mut self, value: u32) {
        self.values[usize::from(self.next)] = value;
    }
}
