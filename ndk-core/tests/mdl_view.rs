//! The view against a reference model that walks a chain run by run: random chains, whole and broken.
#![cfg(feature = "std")]

use ndk_core::abi::{
    MDL, MDL_PAGES_LOCKED, MDL_PARTIAL, MDL_SOURCE_IS_NONPAGED_POOL, PAGE_SHIFT, PAGE_SIZE,
};
use ndk_core::mdl::{Buffer, Mdl, MdlView};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ptr::{null_mut, without_provenance_mut};

/// A view that is only looked at.
fn look(mdl: &Mdl, length: usize) -> ndk_core::Result<ndk_core::mdl::MdlView<'_>> {
    // SAFETY: no region gets it.
    unsafe { mdl.view(length) }
}

const MASK: usize = PAGE_SIZE - 1;

/// One MDL as plain data.
#[derive(Clone, Debug)]
struct Element {
    start: usize,
    offset: u32,
    count: u32,
    flags: i16,
    /// Bytes missing from (or, negative, added to) the Size that is right.
    short: i16,
    frames: Vec<usize>,
}

impl Element {
    fn new(address: usize, count: usize, first_frame: usize) -> Self {
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

    fn address(&self) -> usize {
        self.start.wrapping_add(self.offset as usize)
    }

    fn size(&self) -> usize {
        size_of::<MDL>() + self.frames.len() * size_of::<usize>()
    }
}

/// A chain in memory; `back` makes the last element lead to that one.
struct Chain {
    memory: Vec<Vec<u64>>,
}

impl Chain {
    fn new(elements: &[Element], back: Option<usize>) -> Self {
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

    fn head(&self) -> *const MDL {
        self.memory[0].as_ptr().cast()
    }
}

/// What the view must give: base and frames, or the rule that is broken.
fn model(
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

fn check(elements: &[Element], back: Option<usize>, length: usize) -> Result<(), TestCaseError> {
    let chain = Chain::new(elements, back);
    // SAFETY: the chain lives, unchanged, while the view is used.
    let view = unsafe { MdlView::new(chain.head(), length) };
    match (model(elements, back, length), view) {
        (Ok((base, frames)), Ok(view)) => {
            prop_assert_eq!(view.base() as usize, base);
            prop_assert_eq!(view.page_offset(), base & MASK);
            prop_assert_eq!(view.len(), length);
            prop_assert_eq!(view.page_count(), frames.len());
            prop_assert_eq!(view.frames().len(), frames.len());
            let mut copied = vec![0; view.page_count()];
            view.copy_frames(&mut copied);
            prop_assert_eq!(&copied, &view.frames().collect::<Vec<_>>());
            prop_assert_eq!(copied, frames);
        }
        (Err(rule), Err(error)) => prop_assert_eq!(error.rule_id(), rule, "{}", error),
        (expected, view) => {
            prop_assert!(false, "expected {expected:?}, got {view:?}");
        }
    }
    Ok(())
}

/// Lengths that end at, around and between page ends, zero included.
fn counts() -> impl Strategy<Value = usize> {
    let page = PAGE_SIZE;
    prop_oneof![Just(0), 1..20_usize, page - 2..page + 3, 0..4 * page, Just(2 * page)]
}

/// A contiguous chain whose joints inside a page share the frame.
fn contiguous() -> impl Strategy<Value = Vec<Element>> {
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
enum Damage {
    Move(i8),
    Frame(usize),
    Flags(i16),
    Short(i16),
    Offset(u32),
    Unalign(u8),
}

fn damage() -> impl Strategy<Value = Damage> {
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

fn apply(element: &mut Element, damage: &Damage) {
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

fn total(elements: &[Element]) -> usize {
    elements.iter().map(|element| element.count as usize).sum()
}

/// Lengths inside, at and beyond the end of a chain.
fn length_of(elements: &[Element], draw: u32) -> usize {
    let total = total(elements);
    match draw % 8 {
        0 => 0,
        1 => total + 1,
        2 => usize::MAX,
        3 | 4 => total,
        _ => draw as usize % (total + 2),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn c3_c5_c6_c7_a_whole_chain_gives_its_pages(chain in contiguous(), draw: u32) {
        check(&chain, None, length_of(&chain, draw))?;
        check(&chain, None, total(&chain))?;
    }

    #[test]
    fn c3_c4_c15_a_damaged_chain_is_refused_by_the_right_rule(
        mut chain in contiguous(),
        damages in prop::collection::vec((any::<prop::sample::Index>(), damage()), 1..3),
        draw: u32,
    ) {
        for (index, damage) in &damages {
            let at = index.index(chain.len());
            apply(&mut chain[at], damage);
        }
        check(&chain, None, length_of(&chain, draw))?;
        check(&chain, None, total(&chain))?;
    }

    #[test]
    fn c4_a_cycle_ends(
        chain in contiguous(),
        back in any::<prop::sample::Index>(),
        empty in any::<bool>(),
        draw: u32,
    ) {
        let mut chain = chain;
        if empty {
            let last = chain.len() - 1;
            let (start, end) = (chain[0].address(), total(&chain));
            // Empty elements at the end, all of the same address, on which a cycle goes on for ever.
            let from = back.index(chain.len());
            if from < last {
                for element in &mut chain[from + 1..] {
                    *element = Element::new(start.wrapping_add(end), 0, 5);
                }
            }
        }
        let back = back.index(chain.len());
        check(&chain, Some(back), length_of(&chain, draw))?;
        check(&chain, Some(back), total(&chain).wrapping_add(1))?;
    }

    #[test]
    fn the_builders_chains_give_the_pages_of_their_parts(
        offset in 0..PAGE_SIZE,
        parts in prop::collection::vec((0..4_usize, 1..4_usize), 0..5),
        head in 0..PAGE_SIZE,
        tail in counts(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        most in prop_oneof![Just(None), (0..5 * PAGE_SIZE).prop_map(Some)],
        address in prop_oneof![Just(None), (0..1_usize << 40).prop_map(Some)],
    ) {
        // The head up to a page's end, whole pages from anywhere, and a tail.
        let first = Buffer::with_page_offset(PAGE_SIZE, offset).unwrap();
        let pool = Buffer::new(8 * PAGE_SIZE).unwrap();
        let start = offset.max(head);
        let head_length = PAGE_SIZE - start;
        let page = |buffer: &Buffer| buffer.address() >> PAGE_SHIFT;
        let mut expected = vec![page(&first)];
        let mut length = head_length;
        let mut builder = Mdl::builder().range(&first, start - offset..start - offset + head_length);
        for (from, pages) in parts {
            builder = builder.range(&pool, from * PAGE_SIZE..(from + pages) * PAGE_SIZE);
            expected.extend(page(&pool) + from..page(&pool) + from + pages);
            length += pages * PAGE_SIZE;
        }
        builder = builder.range(&pool, 0..tail);
        expected.extend(page(&pool)..page(&pool) + tail.div_ceil(PAGE_SIZE));
        length += tail;
        for cut in cuts {
            builder = builder.split_at(cut.index(length + 1));
        }
        if let Some(most) = most {
            builder = builder.at_most(most);
        }
        let base = address.map(|address| (address & !MASK) | start);
        if let Some(base) = base {
            builder = builder.address(base);
        }
        let mdl = builder.build().unwrap();
        prop_assert_eq!(mdl.len(), length);
        let view = look(&mdl, length).unwrap();
        prop_assert_eq!(view.base() as usize, base.unwrap_or(first.address() + start - offset));
        prop_assert_eq!(view.frames().collect::<Vec<_>>(), &expected[..]);
        prop_assert!(look(&mdl, length + 1).is_err());
    }
}

#[test]
fn a6_a_null_chain_is_refused() {
    // SAFETY: null is allowed.
    let refused = unsafe { MdlView::new(null_mut(), 1) }.unwrap_err();
    assert_eq!(refused.rule_id(), "A6");
}

#[test]
fn c7_the_end_of_the_address_space_is_no_end_of_a_region() {
    // The last page: up to its last byte but one, and up to its last, where the sum is 0.
    for page in [0, 1] {
        let base = usize::MAX - page * PAGE_SIZE - MASK;
        let chain = Chain::new(&[Element::new(base, PAGE_SIZE, 7)], None);
        let wraps = base.wrapping_add(PAGE_SIZE) == 0;
        // SAFETY: the chain is whole and outlives the views.
        let (short, whole) =
            unsafe { (MdlView::new(chain.head(), MASK), MdlView::new(chain.head(), PAGE_SIZE)) };
        let frames = |view: MdlView<'_>| view.frames().collect::<Vec<_>>();
        assert_eq!(short.map(frames), Ok(vec![7]));
        assert_eq!(whole.map_err(|error| error.rule_id()).err(), wraps.then_some("C7"));
    }
}

#[test]
fn an_element_before_the_first_byte_may_be_empty() {
    let buffer = Buffer::with_page_offset(PAGE_SIZE, 100).unwrap();
    let mdl = Mdl::builder().buffer(&buffer).split_at(0).split_at(0).build().unwrap();
    let frame = buffer.address() >> PAGE_SHIFT;
    assert_eq!(look(&mdl, PAGE_SIZE).unwrap().frames().collect::<Vec<_>>(), [frame, frame + 1]);
}

#[test]
fn a_count_at_its_limit_is_walked() {
    // Only the first page is looked at, so only its number has to be there.
    let mut element = Element::new(0x1001, 10, 42);
    element.count = u32::MAX;
    let chain = Chain::new(&[element], None);
    // SAFETY: the length needs the first page only, and the numbers needed would not fit into Size.
    let view = unsafe { MdlView::new(chain.head(), 10) }.unwrap();
    assert_eq!(view.frames().collect::<Vec<_>>(), [42]);
}
