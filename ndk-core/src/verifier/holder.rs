//! What a region has of the tables of tokens: its tokens, and those of its registration that ended last. It is written
//! without the lock of the tables.

use core::sync::atomic::{AtomicU64, Ordering};

/// A region's tokens; 0 for none.
pub(super) type Pair = (u32, u32);

fn pack((local, remote): Pair) -> u64 {
    u64::from(local) << 32 | u64::from(remote)
}

fn unpack(pair: u64) -> Pair {
    ((pair >> 32) as u32, pair as u32)
}

#[inline]
pub(super) fn each(pair: Pair, mut act: impl FnMut(u32)) {
    let second = if pair.0 == pair.1 { 0 } else { pair.1 };
    for token in [pair.0, second] {
        if token != 0 {
            act(token);
        }
    }
}

/// A region as the tables know it, which asks for its place there.
pub(super) struct Holder {
    pub(super) place: u32,
    /// The number by which the framework knows the region.
    id: AtomicU64,
    /// Those that are the region's. Written by whoever has the region's operation, or posts its fast registration.
    tokens: AtomicU64,
    /// Those of the registration that ended last, where the tables have them as live still. Taken away under the lock only.
    ended: AtomicU64,
    /// How many deregistrations had begun by then.
    ended_at: AtomicU64,
}

impl Holder {
    pub(super) fn at(place: u32) -> Self {
        let none = || AtomicU64::new(0);
        Self { place, id: none(), tokens: none(), ended: none(), ended_at: none() }
    }

    pub(super) fn id(&self) -> u64 {
        self.id.load(Ordering::Relaxed)
    }

    pub(super) fn set_id(&self, id: u64) {
        self.id.store(id, Ordering::Relaxed);
    }

    pub(super) fn tokens(&self) -> Pair {
        unpack(self.tokens.load(Ordering::Relaxed))
    }

    pub(super) fn set(&self, pair: Pair) {
        self.tokens.store(pack(pair), Ordering::Relaxed);
    }

    pub(super) fn take(&self) -> Pair {
        let pair = self.tokens();
        self.set((0, 0));
        pair
    }

    /// What has ended and is not in the tables, and when.
    pub(super) fn ended(&self) -> Option<(Pair, u64)> {
        let pair = self.ended.load(Ordering::Acquire);
        (pair != 0).then(|| (unpack(pair), self.ended_at.load(Ordering::Relaxed)))
    }

    pub(super) fn set_ended(&self, pair: Pair, at: u64) {
        self.ended_at.store(at, Ordering::Relaxed);
        self.ended.store(pack(pair), Ordering::Release);
    }

    pub(super) fn forget_ended(&self) {
        self.ended.store(0, Ordering::Relaxed);
    }
}
