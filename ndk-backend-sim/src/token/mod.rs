//! The token table: from the 32-bit token that a peer presents to the record of a region.
//!
//! One table serves one adapter, all its protection domains included. Tokens are drawn at random (contract E5), so a
//! token says nothing about its record; the table finds it. A lookup takes no lock, writes nothing, and reads one cache
//! line of the table.
//!
//! - Two tokens share a *number*, and the number has one slot, the one that its low bits name (`cipher`, `slot`, `slots`).
//!   An insert draws numbers until it finds its slot free: in a table that is half full, twice in the mean.
//! - A removed number leaves a tombstone, which keeps it from being issued again too soon (`epoch`).
//! - Random numbers are guarded by their shard's lock (`draw`), which is taken for a few of them at a time. Inserts hold
//!   none else, lookups and removals none at all.
//! - The table doubles as load asks for it, and tokens move one by one (`growth`).
//!
//! A token whose slot is taken cannot be drawn. So who knew which are could rule out about half of all numbers, and had
//! one chance in 2^31 to guess the next where it is one in 2^32 for everybody else.
//!
//! Calls take a *shard*: any number that differs between protection domains, taken modulo [`SHARDS`]. Domains in
//! different shards insert and remove side by side; but for the slots, they hardly ever write to the same cache line.

mod cipher;
mod draw;
mod epoch;
pub(crate) mod fence;
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
use core::sync::atomic::Ordering;

use parking_lot::Mutex;

use cipher::Cipher;
use draw::Draws;
pub use draw::Supply;
use epoch::Epochs;
use fence::fence_after_exchange;
use growth::Growth;
use slot::Reuse;
use slots::{Mask, Slots};

/// What a peer presents to reach a region.
pub type Token = NonZeroU32;

/// Parts of the table that draw tokens independently.
pub const SHARDS: usize = 8;

/// A removed token is not issued again within this many removals (contract D4).
pub const RETIRE_DISTANCE: u64 = 65_536;

/// The largest [`Config::capacity`].
pub const MAX_CAPACITY: u32 = 1 << 23;

/// Draws that find no free slot before an insert looks whether the table is to grow, and how often it goes on after that.
const PATIENCE: u32 = 4;
const ATTEMPTS: u32 = 64;

/// How to make a [`TokenTable`].
#[derive(Clone, Debug)]
pub struct Config {
    /// Pairs of live tokens that the table has room for; at most [`MAX_CAPACITY`]. Beyond it, inserts may be refused.
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
    cipher: Cipher,
    shards: [Shard; SHARDS],
}

/// A number that was taken, and its tokens, of which none is 0.
#[derive(Clone, Copy, Debug)]
pub struct Issued {
    /// What both tokens are in the table.
    pub number: u32,
    /// One is as good as the other.
    pub tokens: [u32; 2],
}

#[repr(align(128))]
struct Shard(Mutex<Draws>);

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
        let [mut key, draws @ ..] = match config.seed {
            Some(seed) => Draws::from_seed(seed),
            None => Draws::from_entropy()?,
        };
        Ok(Self {
            slots: Slots::new(),
            growth: Growth::new(config.capacity),
            epochs: Epochs::new(),
            cipher: Cipher::new([(); _].map(|()| key.draw())),
            shards: draws.map(|draws| Shard(Mutex::new(draws))),
        })
    }

    /// The number that a token shares with one other: all of the drawn value but its lowest bit. 0 is none.
    #[inline(always)]
    pub fn number(&self, token: u32) -> u32 {
        self.cipher.open(token) >> 1
    }

    /// The index that was inserted with this token, or with the one that it shares its number with, if they are live. Takes
    /// any number that a peer may send.
    #[inline]
    pub fn lookup(&self, token: u32) -> Option<u32> {
        self.slots.lookup(self.number(token))
    }

    /// Whether the token was live and was removed not long ago. To tell one miss from another.
    pub fn was_removed(&self, token: u32) -> bool {
        match self.number(token) {
            0 => false,
            number => self.slots.has_retired(number),
        }
    }

    /// Issues a token for a record and makes it live.
    ///
    /// # Errors
    /// [`Full`] if there is no room; never below the capacity, unless memory is short.
    ///
    /// # Panics
    /// If the index has more than 29 bits.
    pub fn insert(&self, shard: usize, index: u32) -> Result<Token, Full> {
        assert!(index <= slot::MAX_INDEX, "record index out of range");
        let Issued { tokens: [token, _], .. } = self.insert_drawn(shard, index)?;
        // Neither token is 0, since the number is not.
        Ok(Token::new(token).unwrap_or(Token::MAX))
    }

    /// As [`insert`](Self::insert), of a number that was drawn in advance, with both of its tokens. The supply is the
    /// caller's alone during the call, and for this table.
    ///
    /// # Errors
    /// As for [`insert`](Self::insert).
    ///
    /// # Panics
    /// As for [`insert`](Self::insert).
    #[inline(always)]
    pub fn insert_two(&self, shard: usize, index: u32, supply: &Supply) -> Result<Issued, Full> {
        assert!(index <= slot::MAX_INDEX, "record index out of range");
        match self.insert_next(index, supply) {
            Some(issued) => Ok(issued),
            None => self.insert_further(shard, index, supply),
        }
    }

    /// Takes the slot of one of the next values; `None` where there are none, or tokens have to move first.
    #[inline(always)]
    fn insert_next(&self, index: u32, supply: &Supply) -> Option<Issued> {
        let mask = self.slots.mask();
        if self.growth.is_moving() {
            return None;
        }
        let reuse = self.epochs.reuse();
        for _ in 0..PATIENCE {
            let issued = self.try_value(supply.take()?, index, mask, reuse);
            if issued.is_some() {
                return issued;
            }
        }
        None
    }

    /// Takes the slot of a value, if it is free.
    #[inline(always)]
    fn try_value(&self, value: u32, index: u32, mask: Mask, reuse: Reuse) -> Option<Issued> {
        // Made before its slot is taken, which nothing that comes after it can begin before.
        let issued = self.issued(value);
        let Issued { number, .. } = issued;
        let word = slot::live(number, index);
        let taken = number != 0 && self.slots.take_unless_doubled(number, mask, reuse, word);
        taken.then_some(issued)
    }

    #[inline(always)]
    fn issued(&self, value: u32) -> Issued {
        let tokens = [value, value ^ 1].map(|value| self.cipher.seal(value));
        Issued { number: value >> 1, tokens }
    }

    /// As `insert_next`, where values are due or tokens have to move first.
    #[inline(never)]
    fn insert_further(&self, shard: usize, index: u32, supply: &Supply) -> Result<Issued, Full> {
        if self.growth.is_moving() {
            self.share();
        }
        // Before the question whether tokens move, as everywhere.
        let mask = self.slots.mask();
        let (moving, reuse) = (self.growth.is_moving(), self.epochs.reuse());
        for _ in 0..PATIENCE {
            let value = supply.take().unwrap_or_else(|| self.draw(shard, supply, mask));
            if moving {
                self.slots.fetch(value >> 1, mask);
            }
            let issued = self.try_value(value, index, mask, reuse);
            if let Some(issued) = issued {
                return Ok(issued);
            }
        }
        self.insert_drawn(shard, index)
    }

    /// Draws a half of the supply, and takes the next value.
    fn draw(&self, shard: usize, supply: &Supply, mask: Mask) -> u32 {
        if supply.is_used() {
            self.epochs.admit(&supply.late);
        }
        let (value, drawn) = supply.draw(&mut self.shards[shard % SHARDS].0.lock());
        drawn.into_iter().for_each(|value| self.slots.prefetch(value >> 1, mask));
        value
    }

    /// Takes the slot of a value that is drawn, and drawn again until its slot is free.
    #[inline(never)]
    fn insert_drawn(&self, shard: usize, index: u32) -> Result<Issued, Full> {
        for _ in 0..ATTEMPTS {
            if self.growth.is_moving() {
                self.share();
            }
            let mask = self.slots.mask();
            // In this order: who sees the mask of a doubling sees too that tokens move, until all have.
            let (moving, reuse) = (self.growth.is_moving(), self.epochs.reuse());
            let mut number = 0;
            for _ in 0..PATIENCE {
                let value = self.shards[shard % SHARDS].0.lock().draw();
                number = value >> 1;
                if number == 0 {
                    continue;
                }
                if moving {
                    self.slots.fetch(number, mask);
                }
                let word = slot::live(number, index);
                if self.slots.take_unless_doubled(number, mask, reuse, word) {
                    return Ok(self.issued(value));
                }
            }
            self.grow_if_loaded(mask, number, reuse);
        }
        Err(Full)
    }

    /// Asks the processor for the slot that the next insert from this supply will try first.
    #[inline(always)]
    pub fn prefetch(&self, supply: &Supply) {
        let (number, mask) = (supply.peek() >> 1, self.slots.mask());
        self.slots.prefetch(number, mask);
        if self.growth.is_moving() {
            // Where a token may have to move from first.
            self.slots.prefetch(number, mask.half());
        }
    }

    /// Makes a live token dead, and the one it shares its number with, and gives the index they stood for, or `None` if they
    /// were not live. From the moment this returns, a lookup fails. `shard` is where the removal counts; any will do, the
    /// one of the insert does best.
    ///
    /// A removal that succeeds is a sequentially consistent fence.
    pub fn remove(&self, shard: usize, token: Token) -> Option<u32> {
        let removed = self.bury(self.number(token.get()));
        if removed.is_some() {
            self.epochs.add(shard % SHARDS, 1);
        }
        removed
    }

    /// As [`remove`](Self::remove), of both tokens of a number that was inserted from this supply. The supply is the caller's
    /// alone during the call.
    #[inline(always)]
    pub fn remove_number(&self, shard: usize, number: u32, supply: &Supply) {
        if self.bury_number(number) {
            self.count_removal(shard, supply);
        }
    }

    /// As [`remove_number`](Self::remove_number), where the caller goes on with `count_removal` or with `take_back`; neither
    /// where this is false.
    #[inline(always)]
    pub fn bury_number(&self, number: u32) -> bool {
        let tomb = slot::retired(number, self.epochs.current());
        self.bury_at_once(number, tomb).is_some() || self.bury_further(number, tomb).is_some()
    }

    /// The number that was inserted from this supply, and is buried, stays removed.
    #[inline(always)]
    pub fn count_removal(&self, shard: usize, supply: &Supply) {
        self.epochs.count(shard % SHARDS, &supply.late);
    }

    /// A number that was just buried is live again, and stands for this index; false where its slot has another by now, after
    /// as many removals as keep one retired.
    pub fn take_back(&self, number: u32, index: u32) -> bool {
        self.slots.dig_up(number, slot::live(number, index))
    }

    /// As [`remove`](Self::remove), of a token that goes with another one that was just removed: the two count as one
    /// removal (D4).
    pub fn remove_second(&self, token: Token) -> Option<u32> {
        self.bury(self.number(token.get()))
    }

    /// Nothing is inserted from this supply any more, nor removed.
    pub fn settle(&self, shard: usize, supply: &Supply) {
        self.epochs.settle(shard % SHARDS, &supply.late);
    }

    fn bury(&self, number: u32) -> Option<u32> {
        let tomb = slot::retired(number, self.epochs.current());
        self.bury_at_once(number, tomb).or_else(|| self.bury_further(number, tomb))
    }

    #[inline(always)]
    fn bury_at_once(&self, number: u32, tomb: u64) -> Option<u32> {
        let slot = self.slots.slot(number, self.slots.mask());
        let word = slot.load(Ordering::Acquire);
        if slot::is_live_as(word, number)
            && slot.compare_exchange(word, tomb, Ordering::SeqCst, Ordering::Relaxed).is_ok()
        {
            fence_after_exchange();
            return Some(slot::index(word));
        }
        None
    }

    /// Of a token that is not in its slot yet, or nowhere, or whose slot changes meanwhile.
    #[cold]
    #[inline(never)]
    fn bury_further(&self, number: u32, tomb: u64) -> Option<u32> {
        while let Some((slot, word)) = self.slots.find(number) {
            if slot.compare_exchange(word, tomb, Ordering::SeqCst, Ordering::Relaxed).is_ok() {
                fence_after_exchange();
                return Some(slot::index(word));
            }
        }
        None
    }

    /// The live numbers, counted one by one; exact while nobody inserts or removes.
    pub fn live(&self) -> usize {
        self.slots.live()
    }
}
