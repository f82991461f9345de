//! The simulated device: its limits, its tokens and records, who is at work on them.

use crate::hazard::Hazards;
use crate::mapping::Mappings;
use crate::profile::Profile;
use crate::record::{Record, Records};
use crate::token::{Config, Token, TokenTable};
use ndk_core::abi::NDK_ADAPTER_FLAG_RDMA_READ_SINK_NOT_REQUIRED;
use ndk_core::{Capabilities, Error, ErrorKind, Result};
use parking_lot::Mutex;
use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

/// What the regions, domains and queue pairs of one adapter share.
pub(crate) struct Device {
    pub(crate) name: String,
    pub(crate) profile: Profile,
    pub(crate) hazards: Hazards,
    pub(crate) mappings: Mappings,
    /// The profile's declaration, and whether its flags spare reads their sink flag: asked at every access.
    pub(crate) shape: Capabilities,
    pub(crate) sink_needs_no_flag: bool,
    tokens: TokenTable,
    records: Records,
    indices: Mutex<Indices>,
    lost: AtomicBool,
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

pub(crate) fn exhausted(rule: &'static str, cause: &'static str) -> Error {
    Error::new(ErrorKind::InsufficientResources, cause).rule(rule)
}

impl Device {
    pub(crate) fn new(name: String, profile: Profile, seed: Option<u64>, limit: u32) -> Result<Self> {
        let config = Config { seed, ..Config::default() };
        let tokens = TokenTable::new(&config)
            .map_err(|error| Error::new(ErrorKind::InsufficientResources, error.to_string()))?;
        let limit = limit.min(config.capacity);
        let flags = profile.info().AdapterFlags;
        Ok(Self {
            name,
            shape: profile.capabilities(),
            sink_needs_no_flag: flags & NDK_ADAPTER_FLAG_RDMA_READ_SINK_NOT_REQUIRED != 0,
            profile,
            hazards: Hazards::new(),
            mappings: Mappings::default(),
            tokens,
            records: Records::new(config.capacity),
            indices: Mutex::new(Indices { regions: 0, limit, ..Indices::new(config.capacity) }),
            lost: AtomicBool::new(false),
        })
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// The device is gone from now on (H8).
    pub(crate) fn lose(&self) {
        if !self.lost.swap(true, Ordering::Relaxed) {
            log::warn!("{}: the device is lost", self.name);
        }
    }

    #[inline]
    pub(crate) fn record(&self, index: u32) -> &Record {
        self.records.get(index)
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
        let token = self
            .tokens
            .insert(domain as usize, index)
            .map_err(|_| exhausted("E2", "the adapter has no token left"))?;
        self.record(index).set_token(token.get());
        Ok(token)
    }

    /// Retires a token; from the return on nothing finds its record by it.
    #[inline]
    pub(crate) fn retire(&self, domain: u32, token: Token) {
        self.tokens.remove(domain as usize, token);
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
        poll_fn(|cx| {
            if self.hazards.is_busy(index) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
    }

    /// As `quiesce`, for an invalidation, which is a step of a queue pair and ends before the next.
    pub(crate) fn quiesce_now(&self, index: u32) {
        while self.hazards.is_busy(index) {
            std::thread::yield_now();
        }
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device").field("name", &self.name).finish_non_exhaustive()
    }
}
