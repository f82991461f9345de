//! What the device knows of a region: one cache line each, found by the index that the token table gives.

use ndk_core::Access;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// Set in `rights` while the record may be reached.
const LIVE: u32 = 1 << 31;
/// The record is a domain's privileged token: local access to logical addresses (L5).
const PRIVILEGED: u32 = 1 << 30;
/// A peer may invalidate it: a fast registration or a window.
const INVALIDATABLE: u32 = 1 << 29;
/// The record is a window's, so that what lives is a binding and no registration.
const WINDOW: u32 = 1 << 28;
/// What is no right of a region.
const MARKS: u32 = LIVE | PRIVILEGED | INVALIDATABLE | WINDOW;

/// A record. Its fields are written while no token leads to it, or by its owner while the live bit is clear; what
/// reads them has published a hazard first, and the owner waits for hazards before it changes anything (D3).
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Record {
    local: AtomicU32,
    remote: AtomicU32,
    rights: AtomicU32,
    domain: AtomicU32,
    base: AtomicU64,
    length: AtomicU64,
    /// The one queue pair on which the token works; 0 for any.
    scope: AtomicU64,
    /// Page-frame numbers, one for each page from that of `base`.
    pages: AtomicPtr<usize>,
}

/// The tokens that lead to a record, by the side on which each works; 0 where there is none. Where a device has one key
/// for both sides, they are equal (E3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) local: u32,
    pub(crate) remote: u32,
}

/// On which side of a request a token is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Local,
    Remote,
}

/// What an invalidation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Invalidated {
    Registration,
    Binding,
}

/// What a live record says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(crate) rights: Access,
    pub(crate) privileged: bool,
    pub(crate) domain: u32,
    pub(crate) base: u64,
    pub(crate) length: u64,
    pub(crate) scope: u64,
    pub(crate) pages: *const usize,
}

impl Record {
    const fn new() -> Self {
        Self {
            local: AtomicU32::new(0),
            remote: AtomicU32::new(0),
            rights: AtomicU32::new(0),
            domain: AtomicU32::new(0),
            base: AtomicU64::new(0),
            length: AtomicU64::new(0),
            scope: AtomicU64::new(0),
            pages: AtomicPtr::new(std::ptr::null_mut()),
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

    /// Lets accesses through.
    #[inline]
    pub(crate) fn enliven(&self, rights: Access) {
        self.rights.store(rights.flags() | LIVE, Ordering::Release);
    }

    /// As `enliven`, for a fast registration, which a peer may invalidate.
    pub(crate) fn enliven_fast(&self, rights: Access) {
        self.rights.store(rights.flags() | INVALIDATABLE | LIVE, Ordering::Release);
    }

    /// As `enliven`, for the binding of a window, which a peer may invalidate.
    pub(crate) fn enliven_window(&self, rights: Access) {
        self.rights.store(rights.flags() | INVALIDATABLE | WINDOW | LIVE, Ordering::Release);
    }

    /// Kills a registration or binding that may be invalidated with this token; `None` where there is none. Its owner
    /// names it by either token. A peer can end only what gives peers rights (E3), by its remote token, and on the queue
    /// pair that it is for (G11).
    pub(crate) fn invalidate(
        &self,
        token: u32,
        domain: u32,
        by_peer: Option<u64>,
    ) -> Option<Invalidated> {
        let rights = self.rights.load(Ordering::Acquire);
        let can = rights & (LIVE | INVALIDATABLE) == LIVE | INVALIDATABLE
            && (self.key(Side::Remote) == token
                || by_peer.is_none() && self.key(Side::Local) == token)
            && self.domain.load(Ordering::Relaxed) == domain
            && by_peer.is_none_or(|queue_pair| self.is_open_to(rights, queue_pair));
        let killed = can
            && self.rights.compare_exchange(rights, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        let window = rights & WINDOW != 0;
        killed.then_some(if window { Invalidated::Binding } else { Invalidated::Registration })
    }

    fn is_open_to(&self, rights: u32, queue_pair: u64) -> bool {
        let scope = self.scope.load(Ordering::Relaxed);
        let remote = Access::from_flags(rights & !MARKS).is_ok_and(Access::is_remote);
        remote && (scope == 0 || scope == queue_pair)
    }

    /// Makes the record the one of a domain's privileged token (L5).
    pub(crate) fn make_privileged(&self, domain: u32) {
        self.domain.store(domain, Ordering::Relaxed);
        self.rights.store(Access::LOCAL_WRITE.flags() | PRIVILEGED | LIVE, Ordering::Release);
    }

    /// Stops accesses that have not published their hazard yet.
    #[inline]
    pub(crate) fn kill(&self) {
        self.rights.store(0, Ordering::Release);
    }

    /// As `kill`; true for the one that ended what lived.
    pub(crate) fn end(&self) -> bool {
        self.rights.swap(0, Ordering::AcqRel) & LIVE != 0
    }

    /// Whether accesses are let through.
    pub(crate) fn is_live(&self) -> bool {
        self.rights.load(Ordering::Acquire) & LIVE != 0
    }

    /// Reads the record for an access with `token`; `None` where it is dead, or the token is another one's or for the
    /// other side.
    #[inline]
    pub(crate) fn read(&self, side: Side, token: u32) -> Option<Reading> {
        let rights = self.rights.load(Ordering::Acquire);
        if rights & LIVE == 0 || self.key(side) != token {
            return None;
        }
        Some(Reading {
            rights: Access::from_flags(rights & !MARKS).ok()?,
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
    chunks: Box<[OnceLock<Box<[Record]>>]>,
}

impl Records {
    pub(crate) fn new(capacity: u32) -> Self {
        let chunks = (capacity as usize).div_ceil(CHUNK);
        Self { chunks: (0..chunks).map(|_| OnceLock::new()).collect() }
    }

    /// The record of an index that was handed out.
    #[inline]
    pub(crate) fn get(&self, index: u32) -> &Record {
        let index = index as usize;
        let chunk =
            self.chunks[index / CHUNK].get_or_init(|| (0..CHUNK).map(|_| Record::new()).collect());
        &chunk[index % CHUNK]
    }
}
