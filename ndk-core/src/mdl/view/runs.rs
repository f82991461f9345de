//! The page-frame numbers of a chain as runs of numbers that follow each other: most chains are one.

use super::{Fields, MdlView};
use core::ops::Range;

impl MdlView<'_> {
    /// All of the frames, where they are one range and in the first MDL, as most are. `None` says nothing.
    #[inline]
    pub(crate) fn one_run(&self) -> Option<Range<usize>> {
        let count = self.page_count();
        // SAFETY: `new` was promised the chain, and has found the first element; one that has all of the bytes has all of
        // the frames, of which there is at least one.
        unsafe {
            if self.len() > Fields::read(self.head).count {
                return None;
            }
            let at = self.head.add(1).cast::<usize>();
            let first = at.read();
            let is_one = count == 1 || adjacent(at, count) == count;
            is_one.then(|| first..first.wrapping_add(count))
        }
    }

    /// Gives the frames as ranges, in order.
    pub(crate) fn each_run(&self, mut give: impl FnMut(Range<usize>)) {
        let (mut frames, mut last) = (self.frames(), None::<Range<usize>>);
        while frames.here > 0 || frames.enter_next() {
            // SAFETY: the element has so many frames from here on.
            let (first, count) = unsafe { (frames.at.read(), adjacent(frames.at, frames.here)) };
            let run = first..first.wrapping_add(count);
            match &mut last {
                // Two MDLs meet inside of a run.
                Some(last) if last.end == run.start => last.end = run.end,
                _ => last.replace(run).into_iter().for_each(&mut give),
            }
            // SAFETY: as above.
            frames.at = unsafe { frames.at.add(count) };
            frames.here -= count;
        }
        last.into_iter().for_each(give);
    }
}

/// How many of the numbers at `at` are each one more than the one before, the first included.
///
/// # Safety
/// There are `len` of them, at least one, and nobody writes them.
unsafe fn adjacent(at: *const usize, len: usize) -> usize {
    // SAFETY: the caller's promise.
    let first = unsafe { at.read() };
    // SAFETY: as above; the index is below `len`.
    let differs = |index| unsafe { at.add(index).read() } ^ first.wrapping_add(index);
    let mut count = 1;
    while count < len {
        // As many again as were found so far, all of them whatever they are, so that the processor compares several at a
        // time; never more than twice as many as a run has.
        let end = len.min(2 * count);
        if (count..end).fold(0, |all, index| all | differs(index)) != 0 {
            return (count..end).find(|&index| differs(index) != 0).unwrap_or(end);
        }
        count = end;
    }
    count
}
