//! The token table: from the 32-bit token that a peer presents to the record of a region.
//!
//! One table serves one adapter, all its protection domains included. Tokens are drawn at random (contract E5), so a
//! token says nothing about its record; the table finds it. A lookup takes no lock, writes nothing, and reads one cache
//! line of the table.
//!
//! - A token has one slot, the one that its low bits name (`slot`, `slots`). An insert draws again until it finds its
//!   slot free: in a table that is half full at most, twice in the mean.
//! - A removed token leaves a tombstone, which keeps it from being issued again too soon (`epoch`).
//! - Inserts hold their shard's lock, which guards the random numbers (`draw`); lookups and removals hold none.
//! - The table doubles as load asks for it, and tokens move one by one (`growth`).
//!
//! A token whose slot is taken cannot be drawn. So who knows all live tokens, retired ones included, can rule out up to
//! half of all numbers, and has one chance in 2^31 to guess the next where it is one in 2^32 for everybody else.
//!
//! Calls take a *shard*: any number that differs between protection domains, taken modulo [`SHARDS`]. Domains in
//! different shards insert and remove side by side; but for the slots, they hardly ever write to the same cache line.

mod draw;
mod epoch;
mod growth;
#[cfg(all(test, loom))]
mod interleavings;
mod rotate;
mod slot;
mod slots;
#[cfg(all(test, not(loom)))]
mod tests;

use core::fmt;
use core::num::NonZeroU32;
use core::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use draw::{Draw, Draws};
use epoch::Epochs;
use growth::Growth;
use slots::Slots;

/// What a peer presents to reach a region.
pub type Token = NonZeroU32;

/// Parts of the table that draw tokens independently.
pub const SHARDS: usize = 8;

/// A removed token is not issued again within this many removals (contract D4), of which one may take two tokens.
pub const RETIRE_DISTANCE: u64 = 65_536;

/// The largest [`Config::capacity`].
pub const MAX_CAPACITY: u32 = 1 << 23;

/// Draws that find no free slot before an insert asks for a larger table, and how often it goes on after that.
const PATIENCE: u32 = 16;
const ATTEMPTS: u32 = 16;

/// A shard's inserts between two looks at the load.
const LOOK_EVERY: u64 = 128;

/// How to make a [`TokenTable`].
#[derive(Clone, Debug)]
pub struct Config {
    /// Live tokens that the table has room for; at most [`MAX_CAPACITY`]. Beyond it, inserts may be refused.
    pub capacity: u32,
    /// With a seed, the same calls give the same tokens: for tests only. Without, the operating system seeds the table.
    pub seed: Option<u64>,
}

impl Default for Config {
    fn default() -> Self {
        Self { capacity: MAX_CAPACITY, seed: None }
    }
}

/// The operating system had no random numbers to give.
#[derive(Debug)]
pub struct EntropyError(getrandom::Error);

impl fmt::Display for EntropyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no random numbers to seed a token table: {}", self.0)
    }
}

impl core::error::Error for EntropyError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// The table has no room, or no memory to grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the token table is full")
    }
}

impl core::error::Error for Full {}

/// See the [module's documentation](self).
pub struct TokenTable {
    slots: Slots,
    growth: Growth,
    epochs: Epochs,
    shards: [Shard; SHARDS],
}

#[repr(align(128))]
struct Shard {
    draws: Mutex<Draws>,
    /// Tokens inserted; written only under the lock.
    inserted: AtomicU64,
}

impl TokenTable {
    /// An empty table.
    ///
    /// # Errors
    /// [`EntropyError`] if there is no seed and the operating system gives none.
    ///
    /// # Panics
    /// If the capacity is larger than [`MAX_CAPACITY`].
    pub fn new(config: &Config) -> Result<Self, EntropyError> {
        assert!(
            config.capacity <= MAX_CAPACITY,
            "a token table holds at most {MAX_CAPACITY} tokens"
        );
        let draws = match config.seed {
            Some(seed) => Draws::from_seed(seed),
            None => Draws::from_entropy()?,
        };
        Ok(Self {
            slots: Slots::new(),
            growth: Growth::new(config.capacity),
            epochs: Epochs::new(),
            shards: draws
                .map(|draws| Shard { draws: Mutex::new(draws), inserted: AtomicU64::new(0) }),
        })
    }

    /// The index that was inserted with this token, if the token is live. Takes any number that a peer may send.
    #[inline]
    pub fn lookup(&self, token: u32) -> Option<u32> {
        self.slots.lookup(token)
    }

    /// Whether the token was live and was removed not long ago. To tell one miss from another.
    pub fn was_removed(&self, token: u32) -> bool {
        self.slots.has_retired(token)
    }

    /// Issues a token for a record and makes it live.
    ///
    /// # Errors
    /// [`Full`] if there is no room; never below the capacity, unless memory is short.
    ///
    /// # Panics
    /// If the index has more than 29 bits.
    pub fn insert(&self, shard: usize, index: u32) -> Result<Token, Full> {
        self.insert_each::<1>(shard, index).map(|[token]| token)
    }

    /// As [`insert`](Self::insert), of two tokens for the same record; of both, or none.
    ///
    /// # Errors
    /// As for [`insert`](Self::insert).
    ///
    /// # Panics
    /// As for [`insert`](Self::insert).
    pub fn insert_two(&self, shard: usize, index: u32) -> Result<[Token; 2], Full> {
        self.insert_each(shard, index)
    }

    #[inline]
    fn insert_each<const N: usize>(&self, shard: usize, index: u32) -> Result<[Token; N], Full> {
        assert!(index <= slot::MAX_INDEX, "record index out of range");
        let shard = &self.shards[shard % SHARDS];
        let mut tokens = [Token::MIN; N];
        let mut have = 0;
        for _ in 0..ATTEMPTS {
            if self.growth.is_moving() {
                self.share();
            }
            let mut draws = shard.draws.lock();
            let (mask, reuse) = (self.slots.mask(), self.epochs.reuse());
            let moving = self.growth.is_moving();
            for _ in 0..PATIENCE {
                let Draw { value, later } = draws.draw();
                self.slots.prefetch(later, mask);
                let Some(token) = Token::new(value) else { continue };
                if moving {
                    self.slots.fetch(value, mask);
                    self.slots.prefetch(later, mask.half());
                }
                if !self.slots.take(value, mask, reuse, slot::live(value, index)) {
                    continue;
                }
                tokens[have] = token;
                have += 1;
                if have == N {
                    let before = shard.inserted.load(Ordering::Relaxed);
                    let inserted = before + N as u64;
                    shard.inserted.store(inserted, Ordering::Relaxed);
                    if before / LOOK_EVERY != inserted / LOOK_EVERY {
                        drop(draws);
                        self.grow_if_loaded(mask);
                    }
                    return Ok(tokens);
                }
            }
            drop(draws);
            self.grow(mask);
        }
        tokens[..have].iter().for_each(|token| _ = self.leave(*token));
        Err(Full)
    }

    /// Makes a live token dead and gives the index it stood for, or `None` if it was not live. From the moment this
    /// returns, a lookup fails. `shard` is where the removal counts; any will do, the one of the insert does best.
    #[inline]
    pub fn remove(&self, shard: usize, token: Token) -> Option<u32> {
        self.remove_as::<true>(shard % SHARDS, token.get())
    }

    /// As [`remove`](Self::remove), of a token that goes with another one that was just removed: the two count as one
    /// removal (D4).
    #[inline]
    pub fn remove_second(&self, shard: usize, token: Token) -> Option<u32> {
        self.remove_as::<false>(shard % SHARDS, token.get())
    }

    #[inline]
    fn remove_as<const FIRST: bool>(&self, shard: usize, token: u32) -> Option<u32> {
        let (slot, word) = self.slots.find(token)?;
        let epoch = if FIRST { self.epochs.count(shard) } else { self.epochs.count_second(shard) };
        let tomb = slot::retired(token, epoch);
        match slot.compare_exchange(word, tomb, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => Some(slot::index(word)),
            Err(_) => self.remove_contended::<FIRST>(shard, token, tomb),
        }
    }

    /// Goes on with a removal that is counted already, after the slot changed under its hands.
    #[cold]
    fn remove_contended<const FIRST: bool>(
        &self,
        shard: usize,
        token: u32,
        tomb: u64,
    ) -> Option<u32> {
        while let Some((slot, word)) = self.slots.find(token) {
            if slot.compare_exchange(word, tomb, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return Some(slot::index(word));
            }
        }
        match FIRST {
            true => self.epochs.uncount(shard),
            false => self.epochs.uncount_second(shard),
        }
        None
    }

    /// The number of live tokens; exact while nobody inserts or removes.
    pub fn live(&self) -> usize {
        self.inserted().saturating_sub(self.epochs.all_removed()) as usize
    }

    fn inserted(&self) -> u64 {
        self.shards.iter().map(|shard| shard.inserted.load(Ordering::Relaxed)).sum()
    }
}
