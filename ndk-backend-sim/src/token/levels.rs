//! The arrays of buckets: each twice the size of the one before, all kept until the table goes.
//!
//! A reader may stand in an old array for as long as it likes, so none is freed early; together the old ones are
//! smaller than the current one.
//!
//! A doubling goes like this. The new array is put in its place first, so that whoever meets a slot marked as moved finds
//! it. Then, with inserts shut out, bucket after bucket is split. At last the new array becomes the current one. Before
//! that, only slots marked as moved lead into it.
//!
//! # Why no lookup misses a live token
//! In the array a reader starts from, the token's slot is live or marked as moved, if the token was issued before the
//! reader loaded the current level: an insert goes to the level that is current, and whoever learned the token from it
//! sees that level or a later one. A token issued later than that load may be missed, as if the lookup had come first.

use core::sync::atomic::{AtomicUsize, Ordering};
use std::sync::OnceLock;

use super::bucket::Bucket;
use super::epoch::MAX_RETIRED;
use super::slot::Reuse;

/// Buckets of the first array: 64 KiB.
const FIRST: usize = 1 << 10;
/// Slots in use per bucket, live or retired, from which on the table doubles.
const LOAD: u64 = 5;
/// Arrays that the largest table can have.
const MAX_LEVELS: usize = 13;

pub(super) struct Levels {
    current: AtomicUsize,
    /// The last level that load alone can ask for. One more is allowed when draws fail all the same, which tombstones of
    /// rotations can bring about: load does not count them.
    last: usize,
    arrays: [OnceLock<Array>; MAX_LEVELS],
}

/// The buckets of one level: a power of two of them.
pub(super) struct Array(Box<[Bucket]>);

impl Levels {
    /// Room for `capacity` live tokens, beside the tombstones.
    pub(super) fn new(capacity: u32) -> Self {
        let mut last = 0;
        while u64::from(capacity) + MAX_RETIRED > capacity_of(last) {
            last += 1;
        }
        assert!(last + 1 < MAX_LEVELS);
        let arrays = [const { OnceLock::new() }; MAX_LEVELS];
        arrays[0].get_or_init(|| Array((0..FIRST).map(|_| Bucket::default()).collect()));
        Self { current: AtomicUsize::new(0), last, arrays }
    }

    /// The level to start from.
    #[inline]
    pub(super) fn current(&self) -> usize {
        self.current.load(Ordering::Acquire)
    }

    /// The array of a level that was current once, or is named by a slot marked as moved.
    #[inline]
    pub(super) fn array(&self, level: usize) -> &Array {
        self.arrays[level].get().expect("a level is reached only after its array was put in place")
    }

    /// Whether this level is too small for so many tokens, and a larger one is allowed.
    pub(super) fn is_loaded(&self, level: usize, tokens: u64) -> bool {
        level < self.last && tokens > capacity_of(level)
    }

    /// Sees to it that the next level's array is there; false if it may not or cannot be.
    pub(super) fn prepare(&self, level: usize) -> bool {
        if level > self.last {
            return false;
        }
        let next = &self.arrays[level + 1];
        if next.get().is_none() {
            let len = FIRST << (level + 1);
            let mut buckets = Vec::new();
            if buckets.try_reserve_exact(len).is_err() {
                return false;
            }
            buckets.resize_with(len, Bucket::default);
            // Another thread's array is as good as this one.
            let _ = next.set(Array(buckets.into_boxed_slice()));
        }
        true
    }

    /// Moves everything to the next level, if this one is current still. The caller has it prepared, and holds all inserts
    /// back.
    pub(super) fn double(&self, level: usize, reuse: Reuse) {
        if self.current() != level {
            return;
        }
        let (from, to) = (&self.array(level).0, &self.array(level + 1).0);
        let (low, high) = to.split_at(from.len());
        for (bucket, (low, high)) in from.iter().zip(low.iter().zip(high)) {
            bucket.split(low, high, |token| token as usize & from.len() != 0, reuse);
        }
        self.current.store(level + 1, Ordering::Release);
    }
}

impl Array {
    /// The bucket a token belongs to.
    #[inline]
    pub(super) fn bucket(&self, token: u32) -> &Bucket {
        &self.0[token as usize & (self.0.len() - 1)]
    }

    /// Asks the processor for a bucket that will be needed soon.
    #[inline]
    pub(super) fn prefetch(&self, token: u32) {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        {
            use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let bucket: *const Bucket = self.bucket(token);
            // SAFETY: A prefetch is a hint without effect on memory, and the address is that of a bucket.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(bucket.cast()) };
        }
        #[cfg(not(all(target_arch = "x86_64", not(miri))))]
        let _ = token;
    }
}

const fn capacity_of(level: usize) -> u64 {
    (FIRST as u64 * LOAD) << level
}
