//! The simulated device: its limits, its tokens and records, who is at work on them.

use crate::clock::Clock;
use crate::counters::Counters;
use crate::hazard::Hazards;
use crate::mapping::Mappings;
use crate::pace::Waiting;
use crate::plan::Planner;
use crate::profile::Profile;
use crate::queue_pair::QueuePairs;
use crate::record::{Handle, Keys, Record, Records};
use crate::token::{Config, Issued, MAX_CAPACITY, Supply, Token, TokenTable};
use ndk_core::abi::{NDK_ADAPTER_FLAG_RDMA_READ_SINK_NOT_REQUIRED, PAGE_SIZE};
use ndk_core::{BaseAddress, Capabilities, Error, ErrorKind, Result};
use parking_lot::Mutex;
use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;

/// Records of a device. Where tokens rotate, one has its local token in a slot, and its remote one in another.
const RECORDS: u32 = MAX_CAPACITY / 2;

/// What the regions, domains and queue pairs of one adapter share.
pub(crate) struct Device {
    pub(crate) name: String,
    pub(crate) profile: Profile,
    pub(crate) hazards: Hazards,
    pub(crate) mappings: Mappings,
    /// The profile's declaration with the plan's tokens, and whether its flags spare reads their sink flag: asked at every access.
    pub(crate) shape: Capabilities,
    pub(crate) sink_needs_no_flag: bool,
    /// Whether it takes memory of every shape (K1), and whether its tokens rotate (E4): asked at every registration and its
    /// end.
    pub(crate) takes_all_memory: bool,
    pub(crate) rotates: bool,
    tokens: TokenTable,
    records: Records,
    indices: Mutex<Indices>,
    pub(crate) lost: AtomicBool,
    pub(crate) waiting: Waiting,
    pub(crate) queue_pairs: QueuePairs,
    pub(crate) planner: Planner,
    pub(crate) clock: Clock,
    pub(crate) counters: Counters,
    /// Counted only where there is a limit.
    pinned: Meter,
    issued: Meter,
}

/// Something there is a given amount of.
#[derive(Debug)]
struct Meter {
    used: AtomicU64,
    limit: Option<u64>,
}

impl Meter {
    fn new(limit: Option<u32>) -> Self {
        Self { used: AtomicU64::new(0), limit: limit.map(u64::from) }
    }

    /// Takes an amount; false where the limit does not allow it.
    #[inline(always)]
    fn take(&self, amount: impl FnOnce() -> u64) -> bool {
        let Some(limit) = self.limit else { return true };
        let amount = amount();
        let step = |used: u64| used.checked_add(amount).filter(|used| *used <= limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).is_ok()
    }

    #[inline(always)]
    fn give_back(&self, amount: impl FnOnce() -> u64) {
        if self.limit.is_some() {
            self.used.fetch_sub(amount(), Ordering::Relaxed);
        }
    }
}

/// The record indices that are free.
#[derive(Debug)]
struct Indices {
    free: Vec<u32>,
    next: u32,
    end: u32,
    /// Regions live, and how many may be (C14).
    regions: u32,
    limit: u32,
}

impl Indices {
    fn new(end: u32) -> Self {
        Self { free: Vec::new(), next: 0, end, regions: 0, limit: end }
    }

    fn take(&mut self) -> Result<u32> {
        if let Some(index) = self.free.pop() {
            return Ok(index);
        }
        if self.next == self.end {
            return Err(exhausted("C14", "the adapter has no record left"));
        }
        self.next += 1;
        Ok(self.next - 1)
    }
}

#[cold]
fn no_token() -> Error {
    exhausted("E2", "the adapter has no token left")
}

#[cold]
pub(crate) fn exhausted(rule: &'static str, cause: &'static str) -> Error {
    Error::new(ErrorKind::InsufficientResources, cause).rule(rule)
}

impl Device {
    pub(crate) fn new(config: crate::Config) -> Result<Self> {
        let crate::Config { name, profile, seed, plan, clock, fabric: _ } = config;
        let limits = plan.limits;
        let mut shape = profile.capabilities();
        plan.tokens.apply(&mut shape)?;
        let limit = limits.regions.unwrap_or_else(|| profile.regions());
        // Without a seed tokens come from the operating system, and plans run as they do with seed 0.
        let planner = Planner::new(&plan, seed.unwrap_or(0));
        let config = Config { seed, ..Config::default() };
        let tokens = TokenTable::new(&config)
            .map_err(|error| Error::new(ErrorKind::InsufficientResources, error.to_string()))?;
        let limit = limit.min(RECORDS);
        let flags = profile.info().AdapterFlags;
        Ok(Self {
            name,
            shape,
            takes_all_memory: shape.base_address == BaseAddress::Any && shape.scattered_pages,
            rotates: shape.fast_registration.is_some_and(|fast| fast.rotating),
            sink_needs_no_flag: flags & NDK_ADAPTER_FLAG_RDMA_READ_SINK_NOT_REQUIRED != 0,
            profile,
            hazards: Hazards::new(),
            mappings: Mappings::default(),
            tokens,
            records: Records::new(RECORDS),
            indices: Mutex::new(Indices { regions: 0, limit, ..Indices::new(RECORDS) }),
            lost: AtomicBool::new(false),
            waiting: Waiting::default(),
            queue_pairs: QueuePairs::default(),
            planner,
            clock,
            counters: Counters::default(),
            pinned: Meter::new(limits.pinned_pages),
            issued: Meter::new(limits.tokens),
        })
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn record(&self, index: u32) -> &Record {
        self.records.get(index)
    }

    /// All records that were ever handed out, and some more.
    pub(crate) fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.all()
    }

    pub(crate) fn record_handle(&self, index: u32) -> Handle {
        self.records.handle(index)
    }

    /// Takes a record for a region (C14).
    pub(crate) fn take_region(&self) -> Result<u32> {
        let mut indices = self.indices.lock();
        if indices.regions == indices.limit {
            return Err(exhausted("C14", "the adapter's limit of regions is reached"));
        }
        let index = indices.take()?;
        indices.regions += 1;
        Ok(index)
    }

    pub(crate) fn give_region_back(&self, index: u32) {
        let mut indices = self.indices.lock();
        indices.regions -= 1;
        indices.free.push(index);
    }

    /// Takes a record for something that is no region: a window, a privileged token.
    pub(crate) fn take_index(&self) -> Result<u32> {
        self.indices.lock().take()
    }

    pub(crate) fn give_index_back(&self, index: u32) {
        self.indices.lock().free.push(index);
    }

    /// How many records are in use.
    pub(crate) fn live_records(&self) -> usize {
        let indices = self.indices.lock();
        indices.next as usize - indices.free.len()
    }

    /// Issues a token that leads to the record.
    #[inline]
    pub(crate) fn issue(&self, domain: u32, index: u32) -> Result<Token> {
        if self.issued.take(|| 1) {
            if let Ok(token) = self.tokens.insert(domain as usize, index) {
                return Ok(token);
            }
            self.issued.give_back(|| 1);
        }
        Err(no_token())
    }

    /// Retires a token; from the return on nothing finds its record by it.
    #[inline]
    pub(crate) fn retire(&self, domain: u32, token: Token) {
        self.tokens.remove(domain as usize, token);
        self.issued.give_back(|| 1);
    }

    /// Issues the tokens of a region, for peers too where it has remote rights, and tells their number in the table. A
    /// device with one key for both sides has it whatever the rights are (E3, K1). Those that they replace, which are
    /// retired afterwards, make room for them.
    #[inline(always)]
    pub(crate) fn issue_keys(
        &self,
        domain: u32,
        index: u32,
        supply: &Supply,
        remote: bool,
        replaced: Keys,
    ) -> Result<(u32, Keys)> {
        let shared = self.shape.shared_key;
        let count = || (1 + u64::from(remote && !shared)).saturating_sub(replaced.count());
        if !self.issued.take(count) {
            return Err(no_token());
        }
        let Ok(issued) = self.tokens.insert_two(domain as usize, index, supply) else {
            self.issued.give_back(count);
            return Err(no_token());
        };
        let Issued { number, tokens: [local, other] } = issued;
        let remote = match (shared, remote) {
            (true, _) => local,
            (false, true) => other,
            (false, false) => 0,
        };
        Ok((number, Keys { local, remote }))
    }

    /// Retires the tokens of a region, of which the local one has this number: they count as one (D4). Those that replace
    /// them take their room. This is a sequentially consistent fence.
    #[inline(always)]
    pub(crate) fn retire_keys(
        &self,
        domain: u32,
        number: u32,
        supply: &Supply,
        keys: impl Fn() -> Keys,
        replacing: Keys,
    ) {
        self.tokens.remove_number(domain as usize, number, supply);
        if self.rotates
            && let Some(remote) = Token::new(keys().remote)
            && self.number(remote) != number
        {
            self.tokens.remove_second(remote);
        }
        self.issued.give_back(|| keys().count().saturating_sub(replacing.count()));
    }

    /// As `retire_keys`, of tokens that share their number, where the caller goes on with `count_retired` or with
    /// `take_keys_back`; neither where this is false.
    #[inline(always)]
    pub(crate) fn bury_keys(&self, number: u32) -> bool {
        self.tokens.bury_number(number)
    }

    /// The tokens of a region, which are buried, stay retired.
    #[inline(always)]
    pub(crate) fn count_retired(&self, domain: u32, supply: &Supply, keys: impl Fn() -> Keys) {
        self.tokens.count_removal(domain as usize, supply);
        self.issued.give_back(|| keys().count());
    }

    /// Tokens that were just buried lead to the record again; false where that cannot be any more.
    pub(crate) fn take_keys_back(&self, number: u32, index: u32) -> bool {
        self.tokens.take_back(number, index)
    }

    /// Nothing more is issued from this supply.
    pub(crate) fn settle_supply(&self, domain: u32, supply: &Supply) {
        self.tokens.settle(domain as usize, supply);
    }

    /// What a token leads to of memory with these bounds: the whole pages of a device that is not exact to the byte (K1).
    #[inline(always)]
    pub(crate) fn bounds(&self, base: u64, length: u64) -> (u64, u64) {
        if self.shape.byte_exact {
            return (base, length);
        }
        let first = base % PAGE_SIZE as u64;
        (base - first, (first + length).next_multiple_of(PAGE_SIZE as u64))
    }

    /// What a token is in the table.
    pub(crate) fn number(&self, token: Token) -> u32 {
        self.tokens.number(token.get())
    }

    /// Asks the processor for what the next issue from this supply will write.
    #[inline(always)]
    pub(crate) fn prefetch_keys(&self, supply: &Supply) {
        self.tokens.prefetch(supply);
    }

    /// Another token for the same record, which differs in its low 8 bits (E4); the old one leads there still.
    pub(crate) fn sibling(&self, domain: u32, token: Token) -> Result<Token> {
        self.tokens
            .sibling(domain as usize, token)
            .ok_or_else(|| exhausted("E4", "the token's low 8 bits have no other value left"))
    }

    /// A remote token that was replaced by its sibling leads nowhere any more, of a region whose local token has this
    /// number.
    pub(crate) fn leave(&self, token: Token, number: u32) {
        // Where it has the same, it is the record that tells the token from the one in its place.
        if self.number(token) != number {
            self.tokens.leave(token);
        }
    }

    /// Whether a token that leads nowhere led somewhere lately.
    pub(crate) fn was_removed(&self, token: u32) -> bool {
        self.tokens.was_removed(token)
    }

    /// Pins pages.
    #[inline]
    pub(crate) fn pin(&self, pages: usize) -> Result<()> {
        if self.pinned.take(|| pages as u64) {
            return Ok(());
        }
        Err(exhausted("B6", "the adapter's limit of pinned pages is reached"))
    }

    #[inline]
    pub(crate) fn unpin(&self, pages: impl FnOnce() -> u32) {
        self.pinned.give_back(|| pages().into());
    }

    /// The record that a token leads to.
    #[inline]
    pub(crate) fn find(&self, token: u32) -> Option<u32> {
        self.tokens.lookup(token)
    }

    /// Waits until no access is at work on a record that was killed before (D3). An access that was let through is
    /// a copy in progress on another thread, so it ends soon: the waiter is polled again rather than woken, which
    /// spares each access a look at who waits.
    pub(crate) async fn quiesce(&self, index: u32) {
        let given_up = GivenUp { device: self, index };
        self.quiet(index).await;
        std::mem::forget(given_up);
    }

    /// As `quiesce`; one that is given up ends there and then, so that accesses may still be at work.
    pub(crate) async fn quiet(&self, index: u32) {
        poll_fn(|cx| {
            if self.hazards.is_busy(index) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
    }

    /// Ends a fast registration or a binding, and waits for accesses at work; false where there is none that this
    /// token may invalidate, or that a peer may by way of the queue pair it came by. Accesses to what goes on living are not
    /// waited for: there need be no end of them.
    pub(crate) fn invalidate(
        &self,
        index: u32,
        token: u32,
        domain: u32,
        by_peer: Option<u64>,
    ) -> bool {
        let record = self.record(index);
        let ended = record.invalidate(token, domain, by_peer);
        // What a peer is just ending is over for its owner only when no access to it is at work.
        if ended || by_peer.is_none() && !record.is_live() {
            self.quiesce_now(index);
        }
        ended
    }

    /// As `quiesce`, for an invalidation, which is a step of a queue pair and ends before the next.
    pub(crate) fn quiesce_now(&self, index: u32) {
        while self.hazards.is_busy(index) {
            std::thread::yield_now();
        }
    }
}

/// A close that is given up (B9) has to end all the same: the object is over then, and its memory the consumer's.
struct GivenUp<'a> {
    device: &'a Device,
    index: u32,
}

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        self.device.quiesce_now(self.index);
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device").field("name", &self.name).finish_non_exhaustive()
    }
}
