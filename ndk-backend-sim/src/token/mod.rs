//! The token table: from the 32-bit token that a peer presents to the record of a region.
//!
//! One table serves one adapter, all its protection domains included. Tokens are drawn at random (contract E5), so a
//! token says nothing about its record; the table finds it. A lookup takes no lock, writes nothing, and reads one cache
//! line of the table.
//!
//! - A token is in the bucket that its low bits name, in one of eight slots (`slot`, `bucket`).
//! - A removed token leaves a tombstone, which keeps it from being issued again too soon (`epoch`).
//! - Inserts hold their shard's lock, which guards the random numbers (`draw`); lookups and removals hold none.
//! - The table doubles as load asks for it (`levels`).
//!
//! Calls take a *shard*: any number that differs between protection domains, taken modulo [`SHARDS`]. Domains in
//! different shards insert and remove side by side; but for the buckets, they hardly ever write to the same cache line.

mod bucket;
mod draw;
mod epoch;
mod history;
#[cfg(all(test, loom))]
mod interleavings;
mod levels;
mod rotate;
mod slot;
#[cfg(all(test, not(loom)))]
mod tests;

use core::fmt;
use core::num::NonZeroU32;
use core::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};

use bucket::{Refused, Slot};
use draw::{Draw, Draws};
use epoch::Epochs;
use levels::Levels;

/// What a peer presents to reach a region.
pub type Token = NonZeroU32;

/// Parts of the table that draw tokens independently.
pub const SHARDS: usize = 8;

/// A removed token is not issued again within this many removals (contract D4), of which one may take two tokens.
pub const RETIRE_DISTANCE: u64 = 65_536;

/// The largest [`Config::capacity`].
pub const MAX_CAPACITY: u32 = 1 << 23;

/// Draws that found no room in a row before an insert asks for a larger table, and before it gives up.
const PATIENCE: u32 = 16;
const LAST_DRAW: u32 = 16 * PATIENCE;

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
    levels: Levels,
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
            levels: Levels::new(config.capacity),
            epochs: Epochs::new(),
            shards: draws
                .map(|draws| Shard { draws: Mutex::new(draws), inserted: AtomicU64::new(0) }),
        })
    }

    /// The index that was inserted with this token, if the token is live. Takes any number that a peer may send.
    #[inline]
    pub fn lookup(&self, token: u32) -> Option<u32> {
        let level = self.levels.current();
        match self.levels.array(level).bucket(token).lookup(token) {
            Some(index) => Some(index),
            None => self.find_moved(level, token).map(|(_, word)| slot::index(word)),
        }
    }

    /// Issues a token for a record and makes it live.
    ///
    /// # Errors
    /// [`Full`] if there is no room; never below the capacity, unless memory is short.
    ///
    /// # Panics
    /// If the index has more than 29 bits.
    #[inline]
    pub fn insert(&self, shard: usize, index: u32) -> Result<Token, Full> {
        assert!(index <= slot::MAX_INDEX, "record index out of range");
        let shard = &self.shards[shard % SHARDS];
        let mut draws = shard.draws.lock();
        let mut failures = 0;
        loop {
            let level = self.levels.current();
            let array = self.levels.array(level);
            let Draw { value, later } = draws.draw();
            array.prefetch(later);
            let Some(token) = Token::new(value) else { continue };
            match array.bucket(value).claim(value, self.epochs.reuse()) {
                Ok(claim) => {
                    claim.store(slot::live(value, index), Ordering::Release);
                    let inserted = shard.inserted.load(Ordering::Relaxed) + 1;
                    shard.inserted.store(inserted, Ordering::Relaxed);
                    if inserted.is_multiple_of(LOOK_EVERY) {
                        drop(draws);
                        self.grow_if_loaded(level);
                    }
                    return Ok(token);
                }
                Err(Refused::Taken) => {}
                Err(Refused::Full) => {
                    failures += 1;
                    draws = self.after_failure(failures, level, shard, draws)?;
                }
            }
        }
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
        let level = self.levels.current();
        let found = self.levels.array(level).bucket(token).find(token);
        let (slot, word) = found.or_else(|| self.find_moved(level, token))?;
        let epoch = if FIRST { self.epochs.count(shard) } else { self.epochs.count_second(shard) };
        let tomb = slot::retired(token, epoch);
        match slot.compare_exchange(word, tomb, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Some(slot::index(word)),
            Err(_) => self.remove_contended::<FIRST>(shard, level, token, tomb),
        }
    }

    /// Goes on with a removal that is counted already, after the slot changed under its hands.
    #[cold]
    fn remove_contended<const FIRST: bool>(
        &self,
        shard: usize,
        level: usize,
        token: u32,
        tomb: u64,
    ) -> Option<u32> {
        while let Some((slot, word)) = self.find_moved(level, token) {
            if slot.compare_exchange(word, tomb, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                return Some(slot::index(word));
            }
        }
        match FIRST {
            true => self.epochs.uncount(shard),
            false => self.epochs.uncount_second(shard),
        }
        None
    }

    /// Finds a live token in this level or, where it was moved, in a later one.
    #[cold]
    fn find_moved(&self, mut level: usize, token: u32) -> Option<(&Slot, u64)> {
        loop {
            let bucket = self.levels.array(level).bucket(token);
            match bucket.find(token) {
                None if bucket.has_moved(token) => level += 1,
                found => return found,
            }
        }
    }

    /// The number of live tokens; exact while nobody inserts or removes.
    pub fn live(&self) -> usize {
        self.inserted().saturating_sub(self.epochs.all_removed()) as usize
    }

    fn inserted(&self) -> u64 {
        self.shards.iter().map(|shard| shard.inserted.load(Ordering::Relaxed)).sum()
    }

    /// After a draw that found its bucket full: tries again, in a larger table after many of them, and gives up at last.
    #[cold]
    fn after_failure<'a>(
        &self,
        failures: u32,
        level: usize,
        shard: &'a Shard,
        draws: MutexGuard<'a, Draws>,
    ) -> Result<MutexGuard<'a, Draws>, Full> {
        if failures == LAST_DRAW {
            return Err(Full);
        }
        if !failures.is_multiple_of(PATIENCE) {
            return Ok(draws);
        }
        drop(draws);
        self.grow(level);
        Ok(shard.draws.lock())
    }

    #[cold]
    fn grow_if_loaded(&self, level: usize) {
        let live = self.inserted().saturating_sub(self.epochs.all_removed());
        if self.levels.is_loaded(level, live + self.epochs.retired()) {
            self.grow(level);
        }
    }

    /// Doubles the table, unless somebody did since `level` was current. False if it is as large as it may get, or memory is
    /// short.
    fn grow(&self, level: usize) -> bool {
        if !self.levels.prepare(level) {
            return false;
        }
        let _no_inserts = self.shards.each_ref().map(|shard| shard.draws.lock());
        self.levels.double(level, self.epochs.reuse());
        true
    }
}
