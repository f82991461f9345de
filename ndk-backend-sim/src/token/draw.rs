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
const AHEAD: usize = 8;

/// A stream of token values: two blocks of it, of which one is filled anew when it was used up and the other is begun.
pub(super) struct Draws {
    cipher: ChaCha12,
    values: [[u32; BLOCK]; 2],
    next: usize,
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
        let mut values = [[0; BLOCK]; 2];
        values.iter_mut().for_each(|block| cipher.generate(block));
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
        let values = self.values.as_flattened();
        let next = self.next % values.len();
        let draw = Draw { value: values[next], later: values[(next + AHEAD) % values.len()] };
        self.next = next + 1;
        if self.next.is_multiple_of(BLOCK) {
            self.refill();
        }
        draw
    }

    /// Refills the block that was used up just now.
    #[cold]
    fn refill(&mut self) {
        self.cipher.generate(&mut self.values[self.next / BLOCK - 1]);
    }

    /// Makes this value the next to be drawn.
    #[cfg(all(test, not(loom)))]
    pub(super) fn plant(&mut self, value: u32) {
        let next = self.next % (2 * BLOCK);
        self.values.as_flattened_mut()[next] = value;
    }
}
