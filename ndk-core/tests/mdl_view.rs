//! The view against a reference model that walks a chain run by run: random chains, whole and broken.
#![cfg(feature = "std")]

#[path = "mdl_view/chain.rs"]
mod chain;

use chain::{Chain, Element, MASK, apply, check, contiguous, counts, damage, length_of, total};
use ndk_core::abi::{PAGE_SHIFT, PAGE_SIZE};
use ndk_core::mdl::{Buffer, Mdl, MdlView};
use proptest::prelude::*;
use std::ptr::null_mut;

/// A view that is only looked at.
fn look(mdl: &Mdl, length: usize) -> ndk_core::Result<ndk_core::mdl::MdlView<'_>> {
    // SAFETY: no region gets it.
    unsafe { mdl.view(length) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn c3_c5_c6_c7_a_whole_chain_gives_its_pages(chain in contiguous(), draw: u32) {
        check(&chain, None, length_of(&chain, draw));
        check(&chain, None, total(&chain));
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
        check(&chain, None, length_of(&chain, draw));
        check(&chain, None, total(&chain));
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
        check(&chain, Some(back), length_of(&chain, draw));
        check(&chain, Some(back), total(&chain).wrapping_add(1));
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
