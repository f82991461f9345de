//! Chains as plain data, whole and broken; what is to be said of them, by a model that walks them run by run; and whether
//! the view says it.

use ndk_core::abi::{
    MDL, MDL_PAGES_LOCKED, MDL_PARTIAL, MDL_SOURCE_IS_NONPAGED_POOL, PAGE_SHIFT, PAGE_SIZE,
};
use ndk_core::mdl::MdlView;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ptr::{null_mut, without_provenance_mut};

pub(crate) const MASK: usize = PAGE_SIZE - 1;

/// One MDL as plain data.
#[derive(Clone, Debug)]
pub(crate) struct Element {
    pub(crate) start: usize,
    pub(crate) offset: u32,
    pub(crate) count: u32,
    pub(crate) flags: i16,
    /// Bytes missing from (or, negative, added to) the Size that is right.
    pub(crate) short: i16,
    pub(crate) frames: Vec<usize>,
}

impl Element {
    pub(crate) fn new(address: usize, count: usize, first_frame: usize) -> Self {
        let offset = address & MASK;
        let pages = (offset + count).div_ceil(PAGE_SIZE);
        Self {
            start: address - offset,
            offset: offset as u32,
            count: count as u32,
            flags: MDL_PAGES_LOCKED,
            short: 0,
            frames: (first_frame..first_frame + pages).collect(),
        }
    }

    pub(crate) fn address(&self) -> usize {
        self.start.wrapping_add(self.offset as usize)
    }

    fn size(&self) -> usize {
        size_of::<MDL>() + self.frames.len() * size_of::<usize>()
    }
}

/// A chain in memory; `back` makes the last element lead to that one.
pub(crate) struct Chain {
    memory: Vec<Vec<u64>>,
}

impl Chain {
    pub(crate) fn new(elements: &[Element], back: Option<usize>) -> Self {
        let words = |element: &Element| element.size().div_ceil(8);
        let mut memory: Vec<Vec<u64>> = elements.iter().map(|e| vec![0; words(e)]).collect();
        let heads: Vec<*mut MDL> = memory.iter_mut().map(|m| m.as_mut_ptr().cast()).collect();
        for (index, element) in elements.iter().enumerate() {
            let next = heads.get(index + 1).or(back.and_then(|to| heads.get(to)));
            // SAFETY: each allocation has room for its structure and numbers.
            unsafe {
                heads[index].write(MDL {
                    Next: next.copied().unwrap_or(null_mut()),
                    Size: (element.size() as i16).wrapping_sub(element.short),
                    MdlFlags: element.flags,
                    Process: null_mut(),
                    MappedSystemVa: null_mut(),
                    StartVa: without_provenance_mut(element.start),
                    ByteCount: element.count,
                    ByteOffset: element.offset,
                });
                let numbers = heads[index].add(1).cast::<usize>();
                for (at, &frame) in element.frames.iter().enumerate() {
                    numbers.add(at).write(frame);
                }
            }
        }
        Self { memory }
    }

    pub(crate) fn head(&self) -> *const MDL {
        self.memory[0].as_ptr().cast()
    }
}

/// What the view must give: base and frames, or the rule that is broken.
pub(crate) fn model(
    elements: &[Element],
    back: Option<usize>,
    length: usize,
) -> Result<(usize, Vec<usize>), &'static str> {
    let base = elements[0].address();
    if length == 0 {
        return Err("C6");
    }
    let end = base.checked_add(length).ok_or("C7")?;
    // The frame of each virtual page.
    let mut pages = BTreeMap::new();
    let mut at = base;
    let mut index = 0;
    for _ in 0..10_000 {
        let element = &elements[index];
        if element.flags & (MDL_PAGES_LOCKED | MDL_SOURCE_IS_NONPAGED_POOL | MDL_PARTIAL) == 0 {
            return Err("C15");
        }
        let page_aligned = element.start & MASK == 0 && element.offset as usize <= MASK;
        if !page_aligned || element.short > 0 || element.address() != at {
            return Err("C4");
        }
        for run in 0..element.frames.len() {
            let run_end = (element.offset as usize + element.count as usize)
                .min((run + 1) * PAGE_SIZE)
                .wrapping_add(element.start);
            if run_end == at || at == end {
                break;
            }
            let frame = element.frames[run];
            if *pages.entry(at >> PAGE_SHIFT).or_insert(frame) != frame {
                return Err("C3");
            }
            // In the last page of the address space the end of a run is 0.
            at = if run_end == 0 { end } else { run_end.min(end) };
        }
        if at == end {
            return Ok((base, pages.into_values().collect()));
        }
        index = match (index + 1 < elements.len(), back) {
            (true, _) => index + 1,
            (false, Some(back)) => back,
            (false, None) => return Err("C5"),
        };
    }
    Err("C4")
}

/// The view gives what the model says; panics where it does not.
pub(crate) fn check(elements: &[Element], back: Option<usize>, length: usize) {
    let chain = Chain::new(elements, back);
    // SAFETY: the chain lives, unchanged, while the view is used.
    let view = unsafe { MdlView::new(chain.head(), length) };
    match (model(elements, back, length), view) {
        (Ok((base, frames)), Ok(view)) => {
            assert_eq!(view.base() as usize, base);
            assert_eq!(view.page_offset(), base & MASK);
            assert_eq!(view.len(), length);
            assert_eq!(view.page_count(), frames.len());
            assert_eq!(view.frames().len(), frames.len());
            let mut copied = vec![0; view.page_count()];
            view.copy_frames(&mut copied);
            assert_eq!(&copied, &view.frames().collect::<Vec<_>>());
            assert_eq!(copied, frames);
        }
        (Err(rule), Err(error)) => assert_eq!(error.rule_id(), rule, "{}", error),
        (expected, view) => panic!("expected {expected:?}, got {view:?}"),
    }
}

/// Lengths that end at, around and between page ends, zero included.
pub(crate) fn counts() -> impl Strategy<Value = usize> {
    let page = PAGE_SIZE;
    prop_oneof![Just(0), 1..20_usize, page - 2..page + 3, 0..4 * page, Just(2 * page)]
}

/// A contiguous chain whose joints inside a page share the frame.
pub(crate) fn contiguous() -> impl Strategy<Value = Vec<Element>> {
    let base = prop_oneof![
        (0..8 * PAGE_SIZE).prop_map(|at| 0x10_0000 + at),
        Just(0),
        // Near the end of the address space, so that chains reach it or wrap.
        (1..8 * PAGE_SIZE).prop_map(|before| 0_usize.wrapping_sub(before)),
    ];
    (base, prop::collection::vec((counts(), 1..1_000_000_usize), 1..7)).prop_map(|(base, parts)| {
        let mut at = base;
        let mut last = None;
        let mut chain: Vec<Element> = Vec::new();
        for (count, frame) in parts {
            let first = last.filter(|_| at & MASK != 0).unwrap_or(frame);
            let element = Element::new(at, count, first);
            at = at.wrapping_add(count);
            if count > 0 {
                last = element.frames.last().copied();
            }
            chain.push(element);
        }
        chain
    })
}

/// One thing that breaks an element, or does not.
#[derive(Clone, Debug)]
pub(crate) enum Damage {
    Move(i8),
    Frame(usize),
    Flags(i16),
    Short(i16),
    Offset(u32),
    Unalign(u8),
}

pub(crate) fn damage() -> impl Strategy<Value = Damage> {
    let locked = prop_oneof![
        Just(0),
        Just(0x1),
        Just(MDL_SOURCE_IS_NONPAGED_POOL),
        Just(MDL_PARTIAL),
        any::<i16>(),
    ];
    prop_oneof![
        any::<i8>().prop_map(Damage::Move),
        any::<usize>().prop_map(Damage::Frame),
        locked.prop_map(Damage::Flags),
        (-64..=size_of::<MDL>() as i16).prop_map(Damage::Short),
        (4095..4100_u32).prop_map(Damage::Offset),
        any::<u8>().prop_map(Damage::Unalign),
    ]
}

pub(crate) fn apply(element: &mut Element, damage: &Damage) {
    match *damage {
        Damage::Move(pages) => {
            element.start =
                element.start.wrapping_add_signed(isize::from(pages) * PAGE_SIZE as isize);
        }
        Damage::Frame(to) => {
            if let Some(frame) = element.frames.first_mut() {
                *frame = to;
            }
        }
        Damage::Flags(flags) => element.flags = flags,
        Damage::Short(short) => element.short = short,
        Damage::Offset(offset) => {
            let pages = (offset as usize + element.count as usize).div_ceil(PAGE_SIZE);
            element.frames.resize(pages, 77);
            element.offset = offset;
        }
        Damage::Unalign(by) => element.start = element.start.wrapping_add(usize::from(by)),
    }
}

pub(crate) fn total(elements: &[Element]) -> usize {
    elements.iter().map(|element| element.count as usize).sum()
}

/// Lengths inside, at and beyond the end of a chain.
pub(crate) fn length_of(elements: &[Element], draw: u32) -> usize {
    let total = total(elements);
    match draw % 8 {
        0 => 0,
        1 => total + 1,
        2 => usize::MAX,
        3 | 4 => total,
        _ => draw as usize % (total + 2),
    }
}
