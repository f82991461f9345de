//! The slots: an array that doubles while it is used, in segments that stay where they are.
//!
//! A token has one slot, the one that its low bits name: as many bits as the *mask* has. A doubling adds a segment as long
//! as all before it together, and one bit to the mask. A token in the lower half that has the bit then belongs into
//! the upper half, at the same distance from its start; no other slot's tokens go there. The moves are made one by one,
//! while lookups, inserts and removals go on (`growth`).
//!
//! # How a token moves
//! It is marked as leaving; copied to its new slot, if that is empty; and its old slot is marked as left. Whoever finds
//! a token that has not moved, or not all the way, may do the same steps, at the same time as others: from the first mark on
//! the old word does not change but to the last, and the new slot is empty only until the first copy.
//!
//! - An insert sees to it that nothing has to move into the slot, or out of it, before it takes it. So a new slot is empty
//!   until the copy, and a token that is in the lower half still is not issued again.
//! - A removal changes a token that has not been marked where it is, and sees a marked one through its move first.
//! - A doubling does not wait for inserts. One that took a slot by the mask of before has not seen to all that, so it looks
//!   at the mask again, and *takes back* what it took if that has changed. Between the two steps it has a full fence, and
//!   so has whoever moves a token, after it read the mask: either the insert sees the new mask, or the mover the token.
//!
//! # Why no lookup misses a live token
//! Whoever was told a token sees the mask that its insert saw, or a later one. With the latest mask the token is in its slot,
//! or has yet to come there from the lower half: a lookup that did not find it in its slot looks at the lower half *first*,
//! then again at its slot, and at last whether the mask is still the latest. A token that leaves is live as long as its new
//! slot is empty; after that the new slot decides.

use core::ops::Range;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering};
#[cfg(not(all(loom, test)))]
use std::alloc::Layout;

#[cfg(not(all(loom, test)))]
use core::sync::atomic::{AtomicU32, fence};
#[cfg(all(loom, test))]
use loom::sync::atomic::{AtomicU32, fence};

use super::fence::fence_after_exchange;
use super::growth::SAMPLE;
use super::slot::{self, EMPTY, LEFT, Reuse, Slot};

/// Bits of the first mask: 64 KiB of slots; fewer for the model, which would take forever.
const FIRST_BITS: u32 = if cfg!(all(loom, test)) { 1 } else { 13 };
/// As many segments as a 32-bit mask can ask for, which is more than a table ever has.
const SEGMENTS: usize = 33 - FIRST_BITS as usize;

pub(super) struct Slots {
    mask: AtomicU32,
    /// Where the slot of number 0 would be if the segment began there.
    segments: [AtomicPtr<Slot>; SEGMENTS],
}

/// How many bits of a token name its slot, at some time. To be used with the slots that it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mask(u32);

impl Mask {
    /// How many slots there are with this mask.
    pub(super) fn slots(self) -> u64 {
        u64::from(self.0) + 1
    }

    /// The mask before the last doubling; with the first mask, as if there had been one.
    pub(super) fn half(self) -> Self {
        Self(self.0 >> 1)
    }

    fn place(self, token: u32) -> u32 {
        token & self.0
    }
}

impl Slots {
    pub(super) fn new() -> Self {
        let segments = [const { AtomicPtr::new(null_mut()) }; SEGMENTS];
        let slots = Self { mask: AtomicU32::new((1 << FIRST_BITS) - 1), segments };
        assert!(slots.add_segment(0), "no memory for the first slots");
        slots
    }

    /// The latest mask.
    #[inline]
    pub(super) fn mask(&self) -> Mask {
        Mask(self.mask.load(Ordering::Acquire))
    }

    /// The slot of a token.
    #[inline]
    pub(super) fn slot(&self, token: u32, mask: Mask) -> &Slot {
        #[cfg(all(test, not(loom)))]
        super::tests::count_step();
        // SAFETY: the segments up to the mask's were put in place before the mask was, and stay until `drop`.
        unsafe { &*self.address(mask.place(token)) }
    }

    #[inline]
    fn address(&self, place: u32) -> *const Slot {
        let base = self.segments[segment_of(place)].load(Ordering::Acquire);
        base.wrapping_add(place as usize)
    }

    /// Asks the processor for a slot that will be written soon.
    #[inline]
    pub(super) fn prefetch(&self, token: u32, mask: Mask) {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        {
            use core::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
            // SAFETY: a prefetch is a hint without effect on memory.
            unsafe { _mm_prefetch::<_MM_HINT_ET0>(self.address(mask.place(token)).cast()) };
        }
        #[cfg(not(all(target_arch = "x86_64", not(miri))))]
        let _ = (token, mask);
    }

    /// How many of a token's slot and those of the same low 8 bits nearest to it an insert could use.
    pub(super) fn free_near(&self, token: u32, mask: Mask, reuse: Reuse) -> usize {
        let near = (0..NEAR as u32).map(|step| self.slot(token ^ step << 8, mask));
        near.filter(|slot| reuse.allows(slot.load(Ordering::Relaxed))).count()
    }

    /// How many of the slots around a token's an insert could use, of `SAMPLE` that lie in a row.
    pub(super) fn free_around(&self, token: u32, mask: Mask, reuse: Reuse) -> usize {
        let row = (0..SAMPLE as u32).map(|step| self.slot(token ^ step, mask));
        row.filter(|slot| reuse.allows(slot.load(Ordering::Relaxed))).count()
    }

    /// What a live token stands for.
    #[inline]
    pub(super) fn lookup(&self, token: u32) -> Option<u32> {
        let word = self.slot(token, self.mask()).load(Ordering::Acquire);
        if slot::is_live_as(word, token) {
            return Some(slot::index(word));
        }
        self.look_further(token).map(slot::index)
    }

    #[cold]
    fn look_further(&self, token: u32) -> Option<u64> {
        loop {
            let mask = self.mask();
            let low = self.slot(token, mask.half()).load(Ordering::Acquire);
            if slot::is_live_as(low, token) {
                return Some(low);
            }
            let word = self.slot(token, mask).load(Ordering::Acquire);
            if slot::is_live_as(word, token) {
                return Some(word);
            }
            if word == EMPTY && slot::is_live_as(slot::arrived(low), token) {
                return Some(low);
            }
            if mask == self.mask() {
                return None;
            }
        }
    }

    /// The slot in which a token is live, and its word, which only a removal or a move changes.
    #[inline]
    pub(super) fn find(&self, token: u32) -> Option<(&Slot, u64)> {
        let slot = self.slot(token, self.mask());
        let word = slot.load(Ordering::Acquire);
        if slot::is_live_as(word, token) { Some((slot, word)) } else { self.find_further(token) }
    }

    #[cold]
    fn find_further(&self, token: u32) -> Option<(&Slot, u64)> {
        loop {
            let mask = self.mask();
            self.fetch(token, mask);
            let slot = self.slot(token, mask);
            let word = slot.load(Ordering::Acquire);
            if slot::is_live_as(word, token) {
                return Some((slot, word));
            }
            if mask == self.mask() {
                return None;
            }
        }
    }

    /// As `take`, by a mask that may change meanwhile; false also where it did.
    #[inline(always)]
    pub(super) fn take_unless_doubled(
        &self,
        token: u32,
        mask: Mask,
        reuse: Reuse,
        word: u64,
    ) -> bool {
        if !self.take(token, mask, reuse, word) {
            return false;
        }
        fence_after_exchange();
        if self.mask() == mask {
            return true;
        }
        self.take_back(token, mask, word);
        false
    }

    /// Frees the slot that was taken by a mask of before, wherever the word is by now.
    #[cold]
    #[inline(never)]
    fn take_back(&self, token: u32, mut mask: Mask, word: u64) {
        loop {
            let slot = self.slot(token, mask);
            if slot.compare_exchange(word, LEFT, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return;
            }
            let latest = self.mask();
            if latest == mask {
                // It was dropped on its way: its new slot had another.
                return;
            }
            // Where it is on its way: out of the slot that was taken, or one doubling further.
            self.fetch(mask.place(token), latest);
            self.fetch(token, latest);
            mask = latest;
        }
    }

    /// Makes a token live again that was just retired; false where its slot has another by now.
    #[cold]
    #[inline(never)]
    pub(super) fn dig_up(&self, token: u32, word: u64) -> bool {
        loop {
            let mask = self.mask();
            self.fetch(token, mask);
            let slot = self.slot(token, mask);
            let tomb = slot.load(Ordering::Acquire);
            if slot::is_retired_as(tomb, token) {
                // Where it fails, the tombstone is on its way.
                if slot.compare_exchange(tomb, word, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                    return true;
                }
            } else if mask == self.mask() {
                return false;
            }
        }
    }

    /// Puts the word into a token's slot, if that is free. The mask is the latest, and stays so during the call.
    #[inline(always)]
    pub(super) fn take(&self, token: u32, mask: Mask, reuse: Reuse, word: u64) -> bool {
        let slot = self.slot(token, mask);
        let free = slot.load(Ordering::Relaxed);
        reuse.allows(free)
            && slot.compare_exchange(free, word, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Whether the token is dead, and its tombstone not taken by another yet.
    pub(super) fn has_retired(&self, token: u32) -> bool {
        let mask = self.mask();
        [mask.half(), mask].into_iter().any(|mask| {
            let word = slot::arrived(self.slot(token, mask).load(Ordering::Acquire));
            slot::is_retired_as(word, token) || slot::is_rotated_as(word, token)
        })
    }

    /// How many slots are live.
    pub(super) fn live(&self) -> usize {
        let mask = self.mask();
        let words = (0..=mask.0).map(|place| self.slot(place, mask).load(Ordering::Acquire));
        words.filter(|word| slot::is_live_as(*word, slot::token(*word))).count()
    }

    /// Adds the upper half for a mask of one bit more; false where memory is short. Not to be called twice at a time.
    pub(super) fn make_room(&self, mask: Mask) -> bool {
        self.add_segment(segment_of(mask.0) + 1)
    }

    /// Makes the slots twice as many. `make_room` has succeeded, nobody takes a slot but by `take_unless_doubled`, and
    /// everything else is where `mask`, which is the latest, has it.
    pub(super) fn double(&self, mask: Mask) {
        self.mask.store(mask.0 << 1 | 1, Ordering::Release);
    }

    /// Moves what has to move from or to a token's slot. From it too: a slot of the lower half would else be taken more often
    /// than one of the upper half, and the next token less likely one of its own (E5).
    #[cold]
    #[inline(never)]
    pub(super) fn fetch(&self, token: u32, mask: Mask) {
        // Pairs with `take_unless_doubled`; after the mask was read.
        fence(Ordering::SeqCst);
        self.fetch_fenced(token, mask);
    }

    /// As `fetch`, for the slots of those numbers.
    #[cold]
    pub(super) fn fetch_all(&self, places: Range<u32>, mask: Mask) {
        fence(Ordering::SeqCst);
        places.for_each(|place| self.fetch_fenced(place, mask));
    }

    fn fetch_fenced(&self, token: u32, mask: Mask) {
        let half = mask.half();
        let low = self.slot(token, half);
        let mut word = low.load(Ordering::Acquire);
        loop {
            let found = slot::token(word);
            if half.place(found) == mask.place(found) {
                return;
            }
            if slot::is_leaving(word) {
                break;
            }
            let leaving = slot::leaving(word);
            match low.compare_exchange(word, leaving, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => word = leaving,
                Err(now) => word = now,
            }
        }
        let arrived = slot::arrived(word);
        let upper = self.slot(slot::token(word), mask);
        // Each fails where another has done it.
        let _ = upper.compare_exchange(EMPTY, arrived, Ordering::AcqRel, Ordering::Relaxed);
        let _ = low.compare_exchange(word, LEFT, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Makes a segment, with empty slots. It is not touched here, so that its pages cost time only as they are used.
    fn add_segment(&self, segment: usize) -> bool {
        let Some(memory) = allocate(len_of(segment)) else { return false };
        let base = memory.wrapping_sub(start_of(segment));
        self.segments[segment].store(base, Ordering::Release);
        true
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        for (segment, base) in self.segments.iter_mut().enumerate() {
            let base = *base.get_mut();
            if !base.is_null() {
                let memory = base.wrapping_add(start_of(segment));
                // SAFETY: it was allocated so, and nothing uses the slots any more.
                unsafe { free(memory, len_of(segment)) };
            }
        }
    }
}

/// How many slots `free_near` looks at.
pub(super) const NEAR: usize = 8;

/// The segment that a slot is in, by the highest bit of its number.
#[inline]
const fn segment_of(place: u32) -> usize {
    (place >> (FIRST_BITS - 1) | 1).ilog2() as usize
}

const fn start_of(segment: usize) -> usize {
    if segment == 0 { 0 } else { len_of(segment) }
}

const fn len_of(segment: usize) -> usize {
    let first = 1 << FIRST_BITS;
    if segment == 0 { first } else { first << (segment - 1) }
}

#[cfg(not(all(loom, test)))]
fn layout(len: usize) -> Layout {
    Layout::array::<Slot>(len).expect("a segment is far smaller than the address space")
}

#[cfg(not(all(loom, test)))]
fn allocate(len: usize) -> Option<*mut Slot> {
    // SAFETY: the length is not 0, and zeroes are empty slots.
    let memory: *mut Slot = unsafe { std::alloc::alloc_zeroed(layout(len)) }.cast();
    (!memory.is_null()).then_some(memory)
}

/// # Safety
/// The memory is from `allocate` with the same length, and no longer used.
#[cfg(not(all(loom, test)))]
unsafe fn free(memory: *mut Slot, len: usize) {
    // SAFETY: the caller's promise. Slots need not be dropped.
    unsafe { std::alloc::dealloc(memory.cast(), layout(len)) };
}

#[cfg(all(loom, test))]
fn allocate(len: usize) -> Option<*mut Slot> {
    let slots: Box<[Slot]> = (0..len).map(|_| Slot::new(EMPTY)).collect();
    Some(Box::into_raw(slots).cast())
}

/// # Safety
/// As for the other `free`.
#[cfg(all(loom, test))]
unsafe fn free(memory: *mut Slot, len: usize) {
    // SAFETY: the caller's promise.
    drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(memory, len)) });
}
