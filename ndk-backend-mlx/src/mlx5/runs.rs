//! From pages to runs: adjacent pages of one registration become one element of the list.

use super::umr::{MOST_RUNS, Run, too_many};
use ndk_core::Result;
use smallvec::SmallVec;

const PAGE: u64 = 4096;

/// The runs of a fast registration, in order. Few are the rule: a contiguous buffer is one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Runs(SmallVec<[Run; 4]>);

impl Runs {
    /// Makes runs of pages, each given as the local key and the address by which its registration knows it. The first
    /// run begins at `first_byte` of the first page; together they have `length` bytes, and pages beyond are left out.
    ///
    /// # Errors
    /// IMPLEMENTATION_LIMIT for more than `limit` runs; that of a page that could not be given.
    pub(crate) fn of_pages(
        pages: impl IntoIterator<Item = Result<(u32, u64)>>,
        first_byte: u64,
        length: u64,
        limit: usize,
    ) -> Result<Self> {
        let mut list = Self::default();
        let (mut skip, mut left) = (first_byte, length);
        for page in pages {
            let (key, page) = page?;
            if left == 0 {
                continue;
            }
            let bytes = left.min(PAGE - skip);
            list.append(Run { key, address: page + skip, length: bytes }, limit.min(MOST_RUNS))?;
            (skip, left) = (0, left - bytes);
        }
        debug_assert_eq!(left, 0, "the framework lets no length beyond the pages through (G4)");
        Ok(list)
    }

    fn append(&mut self, next: Run, limit: usize) -> Result<()> {
        if let Some(last) = self.0.last_mut()
            && last.key == next.key
            && last.address + last.length == next.address
        {
            last.length += next.length;
            return Ok(());
        }
        if self.0.len() == limit {
            return Err(too_many(limit));
        }
        self.0.push(next);
        Ok(())
    }

    /// The runs.
    pub(crate) fn as_slice(&self) -> &[Run] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndk_core::ErrorKind;

    const KEY: u32 = 0x1200;

    fn run(key: u32, address: u64, length: u64) -> Run {
        Run { key, address, length }
    }

    #[test]
    fn adjacent_pages_of_one_registration_are_one_run() {
        let pages = (0..511).map(|page| Ok((KEY, 0x7000_0000 + page * PAGE)));
        let runs = Runs::of_pages(pages, 0x123, 511 * PAGE - 0x123, MOST_RUNS).unwrap();
        assert_eq!(runs.as_slice(), [run(KEY, 0x7000_0123, 511 * PAGE - 0x123)]);
    }

    #[test]
    fn a_gap_another_registration_and_another_order_begin_a_run() {
        let pages = [(KEY, 0x1000), (KEY, 0x2000), (KEY, 0x4000), (0x34, 0x5000), (0x34, 0x4000)];
        let runs = Runs::of_pages(pages.map(Ok), 0, 5 * PAGE, MOST_RUNS).unwrap();
        let expected = [
            run(KEY, 0x1000, 2 * PAGE),
            run(KEY, 0x4000, PAGE),
            run(0x34, 0x5000, PAGE),
            run(0x34, 0x4000, PAGE),
        ];
        assert_eq!(runs.as_slice(), expected);
    }

    #[test]
    fn the_first_and_last_page_count_by_bytes_and_a_page_beyond_is_left_out() {
        let pages = [(KEY, 0x9000), (KEY, 0x3000), (KEY, 0x6000)];
        let runs = Runs::of_pages(pages.map(Ok), 0xffe, 5, MOST_RUNS).unwrap();
        assert_eq!(runs.as_slice(), [run(KEY, 0x9ffe, 2), run(KEY, 0x3000, 3)]);
        let runs = Runs::of_pages(pages.map(Ok), 0x10, 0x20, MOST_RUNS).unwrap();
        assert_eq!(runs.as_slice(), [run(KEY, 0x9010, 0x20)]);
    }

    #[test]
    fn one_run_more_than_the_limit_is_refused() {
        let scattered = |count| (0..count).map(|page| Ok((KEY, 0x10_0000 + page * 2 * PAGE)));
        for limit in [1, 24, 52] {
            let most = limit as u64;
            assert!(Runs::of_pages(scattered(most), 0, most * PAGE, limit).is_ok());
            let error =
                Runs::of_pages(scattered(most + 1), 0, (most + 1) * PAGE, limit).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ImplementationLimit);
        }
        let error = Runs::of_pages(scattered(53), 0, 53 * PAGE, 100).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ImplementationLimit);
    }
}
