//! What the device knows of a region: one cache line each, found by the index that the token table gives.

#[cfg(all(test, loom))]
mod interleavings;

use ndk_core::Access;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

#[cfg(all(test, loom))]
use loom::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64};
#[cfg(not(all(test, loom)))]
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64};

/// Set in `state` while the record may be reached.
const LIVE: u32 = 1 << 31;
/// The record is a domain's privileged token: local access to logical addresses (L5).
const PRIVILEGED: u32 = 1 << 30;
/// A peer may invalidate it: a fast registration or a window.
const INVALIDATABLE: u32 = 1 << 29;
/// The record is a window's, so that what lives is a binding and no registration.
const WINDOW: u32 = 1 << 28;
/// What is no right of a region.
const MARKS: u32 = LIVE | PRIVILEGED | INVALIDATABLE | WINDOW;

/// The part of `state` that counts rounds: what lives and may be invalidated has a round that nothing before it had, so
/// that an invalidation which was late does not take one for another.
const ROUNDS: u64 = !0 << 32;
const ROUND: u64 = 1 << 32;

/// A record. Its fields are written while no token leads to it, or by its owner while the live bit is clear; what
/// reads them has published a hazard first, and the owner waits for hazards before it changes anything (D3).
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Record {
    /// Rights and marks, all 0 while the record is dead, and the round.
    state: AtomicU64,
    local: AtomicU32,
    remote: AtomicU32,
    domain: AtomicU32,
    base: AtomicU64,
    length: AtomicU64,
    /// The one queue pair on which the token works; 0 for any.
    scope: AtomicU64,
    /// Page-frame numbers, one for each page from that of `base`.
    pages: AtomicPtr<usize>,
    /// Registrations that the record ever had, conventional and fast ones. Whoever makes one counts it, one at a time, so
    /// that no addition need be atomic.
    registrations: AtomicU64,
}

/// The tokens that lead to a record, by the side on which each works; 0 where there is none. Where a device has one key
/// for both sides, they are equal (E3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) local: u32,
    pub(crate) remote: u32,
}

impl Keys {
    /// How many tokens these are.
    pub(crate) fn count(self) -> u64 {
        u64::from(self.local != 0) + u64::from(self.remote != 0 && self.remote != self.local)
    }
}

/// On which side of a request a token is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Local,
    Remote,
}

/// The rights of a live record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rights(u32);

impl Rights {
    /// Whether every right of `needed` is there (F4).
    #[inline(always)]
    pub(crate) const fn contains(self, needed: Access) -> bool {
        self.0 & needed.flags() == needed.flags()
    }
}

/// What a record was before it was killed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Killed(u64);

/// What a live record says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(crate) rights: Rights,
    pub(crate) privileged: bool,
    pub(crate) domain: u32,
    pub(crate) base: u64,
    pub(crate) length: u64,
    pub(crate) scope: u64,
    pub(crate) pages: *const usize,
}

impl Record {
    pub(crate) fn new() -> Self {
        Self {
            state: AtomicU64::new(0),
            local: AtomicU32::new(0),
            remote: AtomicU32::new(0),
            domain: AtomicU32::new(0),
            base: AtomicU64::new(0),
            length: AtomicU64::new(0),
            scope: AtomicU64::new(0),
            pages: AtomicPtr::new(std::ptr::null_mut()),
            registrations: AtomicU64::new(0),
        }
    }

    /// Describes the memory, for any queue pair. The record must be dead.
    #[inline]
    pub(crate) fn describe(&self, domain: u32, base: u64, length: u64, pages: &[usize]) {
        self.describe_at(domain, base, length, pages.as_ptr());
    }

    /// As `describe`, with the list by its first page.
    #[inline]
    pub(crate) fn describe_at(&self, domain: u32, base: u64, length: u64, pages: *const usize) {
        self.domain.store(domain, Ordering::Relaxed);
        self.base.store(base, Ordering::Relaxed);
        self.length.store(length, Ordering::Relaxed);
        self.scope.store(0, Ordering::Relaxed);
        self.pages.store(pages.cast_mut(), Ordering::Relaxed);
    }

    /// Limits the token to one queue pair. The record must be dead, and described.
    pub(crate) fn set_scope(&self, queue_pair: u64) {
        self.scope.store(queue_pair, Ordering::Relaxed);
    }

    /// Names the tokens that lead here.
    #[inline]
    pub(crate) fn set_keys(&self, keys: Keys) {
        self.local.store(keys.local, Ordering::Relaxed);
        self.remote.store(keys.remote, Ordering::Relaxed);
    }

    /// The token that works on that side.
    #[inline]
    fn key(&self, side: Side) -> u32 {
        match side {
            Side::Local => self.local.load(Ordering::Relaxed),
            Side::Remote => self.remote.load(Ordering::Relaxed),
        }
    }

    /// Lets accesses through, to a new registration. The record must be dead.
    #[inline]
    pub(crate) fn enliven(&self, rights: Access) {
        self.count_registration();
        let round = self.state.load(Ordering::Relaxed);
        self.state.store(round | u64::from(rights.flags() | LIVE), Ordering::Release);
    }

    /// As `enliven`, for a fast registration, which a peer may invalidate.
    pub(crate) fn enliven_fast(&self, rights: Access) {
        self.count_registration();
        self.next_round(rights.flags() | INVALIDATABLE | LIVE);
    }

    /// As `enliven`, for the binding of a window, which a peer may invalidate.
    pub(crate) fn enliven_window(&self, rights: Access) {
        self.next_round(rights.flags() | INVALIDATABLE | WINDOW | LIVE);
    }

    #[inline]
    fn count_registration(&self) {
        let before = self.registrations.load(Ordering::Relaxed);
        self.registrations.store(before + 1, Ordering::Relaxed);
    }

    /// Registrations that the record ever had, and whether one lives.
    pub(crate) fn registrations(&self) -> (u64, bool) {
        let marks = self.state.load(Ordering::Acquire) as u32 & (LIVE | PRIVILEGED | WINDOW);
        (self.registrations.load(Ordering::Relaxed), marks == LIVE)
    }

    fn next_round(&self, rights: u32) {
        let round = self.state.load(Ordering::Relaxed).wrapping_add(ROUND);
        self.state.store(round | u64::from(rights), Ordering::Release);
    }

    /// Kills a registration or binding that may be invalidated with this token; false where there is none. Its owner
    /// names it by either token. A peer can end only what gives peers rights (E3), by its remote token, and on the queue
    /// pair that it is for (G11).
    pub(crate) fn invalidate(&self, token: u32, domain: u32, by_peer: Option<u64>) -> bool {
        let state = self.state.load(Ordering::Acquire);
        let rights = state as u32;
        let can = rights & (LIVE | INVALIDATABLE) == LIVE | INVALIDATABLE
            && (self.key(Side::Remote) == token
                || by_peer.is_none() && self.key(Side::Local) == token)
            && self.domain.load(Ordering::Relaxed) == domain
            && by_peer.is_none_or(|queue_pair| self.is_open_to(rights, queue_pair));
        let dead = state & ROUNDS;
        // Where the state is still the same, all that was read was of its round.
        can && self.state.compare_exchange(state, dead, Ordering::SeqCst, Ordering::Relaxed).is_ok()
    }

    fn is_open_to(&self, rights: u32, queue_pair: u64) -> bool {
        let scope = self.scope.load(Ordering::Relaxed);
        let remote = Access::from_flags(rights & !MARKS).is_ok_and(Access::is_remote);
        remote && (scope == 0 || scope == queue_pair)
    }

    /// Makes the record the one of a domain's privileged token (L5).
    pub(crate) fn make_privileged(&self, domain: u32) {
        self.domain.store(domain, Ordering::Relaxed);
        let round = self.state.load(Ordering::Relaxed);
        let rights = Access::LOCAL_WRITE.flags() | PRIVILEGED | LIVE;
        self.state.store(round | u64::from(rights), Ordering::Release);
    }

    /// Stops accesses that have not published their hazard yet: with this, `Hazards::is_busy` and an access's fence in one
    /// order, either the access sees the record dead, or `is_busy` the hazard. What was there is for `revive`.
    #[inline]
    pub(crate) fn kill(&self) -> Killed {
        Killed(self.state.fetch_and(ROUNDS, Ordering::SeqCst))
    }

    /// As `kill`, of a record that no peer may invalidate now; the caller goes on with a sequentially consistent fence.
    #[inline]
    pub(crate) fn kill_before_fence(&self) -> Killed {
        let state = self.state.load(Ordering::Relaxed);
        self.state.store(state & ROUNDS, Ordering::Relaxed);
        Killed(state)
    }

    /// Lets accesses through as before it was killed, to the same registration, which no peer may invalidate.
    pub(crate) fn revive(&self, Killed(state): Killed) {
        self.state.store(state, Ordering::Release);
    }

    /// Whether accesses are let through.
    pub(crate) fn is_live(&self) -> bool {
        self.state.load(Ordering::Acquire) as u32 & LIVE != 0
    }

    /// Reads the record for an access with `token`; `None` where it is dead, or the token is another one's or for the
    /// other side.
    #[inline(always)]
    pub(crate) fn read(&self, side: Side, token: u32) -> Option<Reading> {
        let rights = self.state.load(Ordering::Acquire) as u32;
        if rights & LIVE == 0 || self.key(side) != token {
            return None;
        }
        Some(Reading {
            rights: Rights(rights),
            privileged: rights & PRIVILEGED != 0,
            domain: self.domain.load(Ordering::Relaxed),
            base: self.base.load(Ordering::Relaxed),
            length: self.length.load(Ordering::Relaxed),
            scope: self.scope.load(Ordering::Relaxed),
            pages: self.pages.load(Ordering::Relaxed),
        })
    }
}

const CHUNK: usize = 1024;

/// All records of a device: chunks that are made when first needed and stay where they are.
#[derive(Debug)]
pub(crate) struct Records {
    chunks: Box<[OnceLock<Arc<[Record]>>]>,
}

impl Records {
    pub(crate) fn new(capacity: u32) -> Self {
        let chunks = (capacity as usize).div_ceil(CHUNK);
        Self { chunks: (0..chunks).map(|_| OnceLock::new()).collect() }
    }

    fn chunk(&self, index: u32) -> &Arc<[Record]> {
        self.chunks[index as usize / CHUNK]
            .get_or_init(|| (0..CHUNK).map(|_| Record::new()).collect())
    }

    /// The record of an index that was handed out.
    #[inline]
    pub(crate) fn get(&self, index: u32) -> &Record {
        &self.chunk(index)[index as usize % CHUNK]
    }

    /// All records that were ever handed out, and some more.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Record> {
        self.chunks.iter().filter_map(OnceLock::get).flat_map(|chunk| chunk.iter())
    }

    /// The same, to be kept.
    pub(crate) fn handle(&self, index: u32) -> Handle {
        Handle { record: NonNull::from(self.get(index)), _chunk: self.chunk(index).clone() }
    }
}

/// A record that is used often, by its address.
#[derive(Debug)]
pub(crate) struct Handle {
    record: NonNull<Record>,
    _chunk: Arc<[Record]>,
}

// SAFETY: it is a reference to a record, which is used from any thread.
unsafe impl Send for Handle {}
// SAFETY: as for Send.
unsafe impl Sync for Handle {}

impl Deref for Handle {
    type Target = Record;

    #[inline]
    fn deref(&self) -> &Record {
        // SAFETY: it is one of the chunk's, which stays where it is for as long as it is held.
        unsafe { self.record.as_ref() }
    }
}
