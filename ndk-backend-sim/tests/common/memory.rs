//! Memory to register, wherever its pages lie, with what surrounds it.

use ndk_core::abi::PAGE_SIZE;
use ndk_core::mdl::{Buffer, Mdl};

/// Whole pages, and a chain of MDLs over some bytes of them, page after page in any order.
pub(crate) struct Memory {
    pages: Buffer,
    order: Vec<usize>,
    offset: usize,
    length: usize,
    mdl: Mdl,
    base: u64,
}

/// How a chain is made over the pages.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shape {
    /// The offset of the first byte in its page.
    pub(crate) offset: usize,
    /// Which page comes when; as they lie where this is empty.
    pub(crate) order: Vec<usize>,
    /// Where a new MDL of the chain starts.
    pub(crate) cuts: Vec<usize>,
    /// The virtual address of the first byte; the host's where there is none.
    pub(crate) address: Option<usize>,
}

impl Memory {
    /// As many bytes, from the start of a page on, as they lie in the host's memory.
    pub(crate) fn new(length: usize) -> Self {
        Self::shaped(length, Shape::default())
    }

    /// `length` bytes whose pages lie in reverse order, from the middle of a page on, in a chain with a joint inside a
    /// page: whatever walks them has to look at every frame.
    pub(crate) fn scattered(length: usize) -> Self {
        let offset = 0x123;
        let count = (offset + length).div_ceil(PAGE_SIZE);
        let cuts = vec![length / 3, length / 2];
        let address = Some(0x7000_0000 + offset);
        Self::shaped(length, Shape { offset, order: (0..count).rev().collect(), cuts, address })
    }

    pub(crate) fn shaped(length: usize, shape: Shape) -> Self {
        let Shape { offset, mut order, cuts, address } = shape;
        let count = (offset + length).div_ceil(PAGE_SIZE);
        if order.is_empty() {
            order = (0..count).collect();
        }
        let highest = order.iter().max().expect("at least one page");
        let pages = Buffer::new((highest + 1) * PAGE_SIZE).expect("memory for a test");
        let mut builder = Mdl::builder();
        for (index, page) in order.iter().enumerate() {
            let start = page * PAGE_SIZE + if index == 0 { offset } else { 0 };
            let left = offset + length - index * PAGE_SIZE;
            builder = builder.range(&pages, start..page * PAGE_SIZE + left.min(PAGE_SIZE));
        }
        for cut in cuts {
            builder = builder.split_at(cut);
        }
        let base = address.unwrap_or(pages.address() + order[0] * PAGE_SIZE + offset);
        let mdl = builder.address(base).build().expect("an MDL for a test");
        Self { pages, order, offset, length, mdl, base: base as u64 }
    }

    pub(crate) fn mdl(&self) -> &Mdl {
        &self.mdl
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// The address that the bytes count from.
    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    /// Where a byte of the chain lies in the pages.
    fn place(&self, at: usize) -> usize {
        let position = self.offset + at;
        // One byte beyond the last is asked for where a range ends with its page.
        let page = self.order.get(position / PAGE_SIZE).copied().unwrap_or_default();
        page * PAGE_SIZE + position % PAGE_SIZE
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.length];
        for (at, place, length) in self.parts(0, self.length) {
            self.pages.read(place, &mut bytes[at..at + length]).expect("inside the pages");
        }
        bytes
    }

    /// The first byte.
    pub(crate) fn first(&self) -> u8 {
        let mut byte = [0];
        self.pages.read(self.place(0), &mut byte).expect("inside the pages");
        byte[0]
    }

    /// The parts of a range that lie in one page each: where in the range, where in the pages, how long.
    fn parts(&self, start: usize, length: usize) -> impl Iterator<Item = (usize, usize, usize)> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let position = start + at;
            let place = self.place(position);
            let part = (PAGE_SIZE - place % PAGE_SIZE).min(length - at);
            at += part;
            (part > 0).then_some((at - part, place, part))
        })
    }

    /// Every byte of the pages that is none of the chain's.
    pub(crate) fn surroundings(&self) -> Vec<u8> {
        let mut pages: Vec<_> = self.pages.to_vec().into_iter().map(Some).collect();
        (0..self.length).for_each(|at| pages[self.place(at)] = None);
        pages.into_iter().flatten().collect()
    }

    pub(crate) fn write(&self, at: usize, bytes: &[u8]) {
        for (from, place, length) in self.parts(at, bytes.len()) {
            self.pages.write(place, &bytes[from..from + length]).expect("inside the pages");
        }
    }

    /// Fills the chain's bytes with a pattern, and what surrounds them with another, and gives the former.
    pub(crate) fn fill(&self, salt: u8) -> Vec<u8> {
        self.pages.write(0, &vec![!salt; self.pages.len()]).expect("all pages");
        let bytes: Vec<_> = (0..self.length).map(|at| pattern(at, salt)).collect();
        self.write(0, &bytes);
        bytes
    }

    /// Whether what surrounds the chain's bytes is as `fill` left it.
    pub(crate) fn surroundings_are(&self, salt: u8) -> bool {
        self.surroundings().iter().all(|byte| *byte == !salt)
    }
}

/// Bytes in which neither neighbours nor pages look alike.
fn pattern(at: usize, salt: u8) -> u8 {
    ((at.wrapping_mul(0x9E37_79B1) >> 11) as u8) ^ ((at >> 12) as u8) ^ salt
}
