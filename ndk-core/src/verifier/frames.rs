//! The page frames that a device may reach by a registration.

use super::desks::overlap;
use crate::mdl::MdlView;
use crate::platform::Std;
use crate::sync::Mutex;
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Adjacent page frames as ranges.
pub(super) fn ranges(memory: MdlView<'_>) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    memory.each_run(|run| ranges.push(run));
    ranges
}

/// The frames of one registration, which one thread at a time writes, and any reads. Most are one range, which is one word.
pub(super) struct Frames {
    /// First frame and number of frames; 0 where there are none, or more than that says.
    one: AtomicU64,
    has_more: AtomicBool,
    more: Mutex<Std, Vec<Range<usize>>>,
}

const COUNT_BITS: u32 = 24;

fn pack(range: &Range<usize>) -> Option<u64> {
    let (start, count) = (range.start as u64, range.len() as u64);
    let fits = start >> (u64::BITS - COUNT_BITS) == 0 && count >> COUNT_BITS == 0;
    fits.then_some(start << COUNT_BITS | count)
}

fn unpack(word: u64) -> Range<usize> {
    let (start, count) = ((word >> COUNT_BITS) as usize, word & ((1 << COUNT_BITS) - 1));
    start..start + count as usize
}

impl Frames {
    pub(super) fn new() -> Self {
        let more = Mutex::new(Vec::new());
        Self { one: AtomicU64::new(0), has_more: AtomicBool::new(false), more }
    }

    /// Those of this memory, in place of none.
    #[inline]
    pub(super) fn set(&self, memory: MdlView<'_>) {
        match memory.one_run().as_ref().and_then(pack) {
            Some(word) => self.one.store(word, Ordering::Release),
            None => self.set_any(memory),
        }
    }

    #[cold]
    #[inline(never)]
    fn set_any(&self, memory: MdlView<'_>) {
        let (mut first, mut are_more) = (0..0, false);
        memory.each_run(|run| match first.is_empty() {
            true => first = run,
            false => are_more = true,
        });
        match pack(&first) {
            Some(word) if !are_more => self.one.store(word, Ordering::Release),
            _ => {
                *self.more.lock() = ranges(memory);
                self.has_more.store(true, Ordering::Relaxed);
            }
        }
    }

    #[inline]
    pub(super) fn clear(&self) {
        self.one.store(0, Ordering::Release);
        if self.has_more.load(Ordering::Relaxed) {
            self.has_more.store(false, Ordering::Relaxed);
            self.more.lock().clear();
        }
    }

    /// Whether some of these are among them.
    pub(super) fn overlap(&self, frames: &Range<usize>) -> bool {
        overlap(&unpack(self.one.load(Ordering::Acquire)), frames)
            || self.more.lock().iter().any(|range| overlap(range, frames))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::PAGE_SIZE;
    use crate::mdl::{Buffer, Mdl};

    /// An MDL with these frames.
    fn chain(frames: &[usize]) -> Mdl {
        let buffer = Buffer::new(frames.len() * PAGE_SIZE).expect("memory");
        let mdl = Mdl::new(&buffer).expect("an MDL");
        for (index, frame) in frames.iter().enumerate() {
            // SAFETY: the MDL has a frame for each page, and nobody else has the MDL.
            unsafe { mdl.as_ptr().add(1).cast::<usize>().add(index).write(*frame) };
        }
        mdl
    }

    fn view(mdl: &Mdl) -> MdlView<'_> {
        // SAFETY: nothing is registered, and nobody reaches the frames.
        unsafe { mdl.view(mdl.len()) }.expect("a chain")
    }

    fn found(frames: &Frames, among: Range<usize>) -> Vec<usize> {
        among.filter(|&frame| frames.overlap(&(frame..frame + 1))).collect()
    }

    #[test]
    fn what_is_set_is_found_until_it_is_cleared() {
        let frames = Frames::new();
        let large = usize::MAX - 1;
        for list in [
            &[5][..],
            &[5, 6, 7],
            &[5, 7, 8, 9],
            &[9, 8, 7],
            &[3, 4, 3, 4],
            &[large],
            &(100..140).collect::<Vec<_>>(),
            &(100..117).chain(118..150).collect::<Vec<_>>(),
        ] {
            let mdl = chain(list);
            frames.set(view(&mdl));
            let mut sorted = list.to_vec();
            sorted.sort_unstable();
            sorted.dedup();
            assert_eq!(found(&frames, 0..200).len(), sorted.iter().filter(|&&f| f < 200).count());
            assert!(sorted.iter().all(|&frame| frames.overlap(&(frame..frame + 1))), "{list:?}");
            assert!(!frames.overlap(&(large - 9..large - 1)));
            frames.clear();
            assert!(found(&frames, 0..200).is_empty() && !frames.overlap(&(large..large + 1)));
        }
    }

    #[test]
    fn adjacent_frames_are_one_range() {
        let list: Vec<usize> = (100..117).chain(118..150).chain([3]).collect();
        let mdl = chain(&list);
        assert_eq!(ranges(view(&mdl)), [100..117, 118..150, 3..4]);
        // Where MDLs meet, be it inside of a page, no new one begins.
        let buffer = Buffer::new(5 * PAGE_SIZE).expect("memory");
        let cut = Mdl::builder().buffer(&buffer).split_at(PAGE_SIZE).split_at(2 * PAGE_SIZE + 9);
        let cut = cut.build().expect("a chain");
        assert_eq!(cut.elements().len(), 3);
        let first = buffer.address() / PAGE_SIZE;
        let found = ranges(view(&cut));
        assert_eq!((found.len(), &found[0]), (1, &(first..first + 5)));
    }
}
