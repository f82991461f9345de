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

use super::epoch::Late;
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

/// Values that were drawn and not used yet, and removals that were not counted yet. It belongs to one region, whose
/// operations take turns; a table's own.
///
/// It has two halves, of which each is drawn when the other is begun: so the slots of its values can be fetched from memory
/// long before they are used.
#[derive(Debug)]
#[repr(C)]
pub struct Supply {
    /// How many are left until it starts from its end; at the start of a half it is that half's turn to be drawn.
    left: AtomicU32,
    /// The removals of what was inserted from here.
    pub(super) late: Late,
    values: [AtomicU32; SUPPLY],
}

/// A power of two, so that a remainder is always in bounds.
const SUPPLY: usize = 16;
const HALF: usize = SUPPLY / 2;
/// What is left of a supply that was never drawn.
const NEW: u32 = 2 * SUPPLY as u32;

impl Default for Supply {
    fn default() -> Self {
        Self { left: AtomicU32::new(NEW), late: Late::default(), values: Default::default() }
    }
}

impl Supply {
    /// Whether values have to be drawn before the next is taken.
    #[cfg(all(test, not(loom)))]
    pub(super) fn is_due(&self) -> bool {
        Self::are_due(self.left.load(Ordering::Relaxed))
    }

    #[inline(always)]
    fn are_due(left: u32) -> bool {
        (left as usize).is_multiple_of(HALF)
    }

    /// Whether it was drawn before, so that what it is of inserts again and again.
    pub(super) fn is_used(&self) -> bool {
        self.left.load(Ordering::Relaxed) != NEW
    }

    /// The value that comes next, and is not to be told to anybody; where values are due, one that was used.
    #[inline(always)]
    pub(super) fn peek(&self) -> u32 {
        let left = self.left.load(Ordering::Relaxed) as usize;
        self.values[left.wrapping_sub(1) % SUPPLY].load(Ordering::Relaxed)
    }

    /// The next value, unless values are due.
    #[inline(always)]
    pub(super) fn take(&self) -> Option<u32> {
        let left = self.left.load(Ordering::Relaxed);
        if Self::are_due(left) { None } else { Some(self.next(left)) }
    }

    #[inline(always)]
    fn next(&self, left: u32) -> u32 {
        self.left.store(left - 1, Ordering::Relaxed);
        self.values[(left as usize - 1) % SUPPLY].load(Ordering::Relaxed)
    }

    /// Draws the half that was used up, and takes the next value, which is of the other one. Gives it with those drawn.
    pub(super) fn draw(&self, draws: &mut Draws) -> (u32, [u32; HALF]) {
        let fill = |at: usize, draws: &mut Draws| {
            let drawn = draws.take::<HALF>();
            let to = self.values.iter().skip(at).zip(drawn);
            to.for_each(|(to, value)| to.store(value, Ordering::Relaxed));
            drawn
        };
        let half = HALF as u32;
        match self.left.load(Ordering::Relaxed) {
            NEW => {
                fill(HALF, draws);
                let drawn = fill(0, draws);
                (self.next(2 * half), drawn)
            }
            // The upper half was used up.
            left if left == half => {
                let drawn = fill(HALF, draws);
                (self.next(half), drawn)
            }
            _ => {
                let drawn = fill(0, draws);
                (self.next(2 * half), drawn)
            }
        }
    }
}
