//! The builder: what it makes, what it refuses, and what it keeps alive.
#![cfg(feature = "std")]

use ndk_core::ErrorKind;
use ndk_core::abi::PAGE_SIZE;
use ndk_core::mdl::{Buffer, Mdl};

/// A view that is only looked at.
fn look(mdl: &Mdl, length: usize) -> ndk_core::Result<ndk_core::mdl::MdlView<'_>> {
    // SAFETY: no region gets it.
    unsafe { mdl.view(length) }
}

fn frames(mdl: &Mdl) -> Vec<usize> {
    look(mdl, mdl.len()).unwrap().frames().collect()
}

/// Reads a byte as a backend does: by the frame number and the offset in the page.
fn byte(mdl: &Mdl, index: usize) -> u8 {
    let view = look(mdl, mdl.len()).unwrap();
    let at = view.page_offset() + index;
    let frame = view.frames().nth(at / PAGE_SIZE).unwrap();
    let pointer = std::ptr::with_exposed_provenance::<u8>((frame << 12) + at % PAGE_SIZE);
    // SAFETY: the MDL's buffers are alive, and nothing else copies.
    unsafe { pointer.read_volatile() }
}

#[test]
fn a_buffer_is_zeroed_and_is_copied_in_and_out() {
    let buffer = Buffer::with_page_offset(10_000, 100).unwrap();
    assert_eq!((buffer.len(), buffer.address() % PAGE_SIZE), (10_000, 100));
    assert!(buffer.to_vec().iter().all(|&byte| byte == 0));
    buffer.write(9_997, &[1, 2, 3]).unwrap();
    let mut copy = [0; 4];
    buffer.read(9_996, &mut copy).unwrap();
    assert_eq!(copy, [0, 1, 2, 3]);
    for (offset, length) in [(9_998, 3), (10_001, 0), (usize::MAX, 2)] {
        let refused = buffer.write(offset, &vec![9; length]).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidParameter);
        assert!(buffer.read(offset, &mut vec![9; length]).is_err());
    }
    buffer.read(10_000, &mut []).unwrap();
    assert_eq!(Buffer::copy_of(b"abc").unwrap().to_vec(), b"abc");
    assert!(Buffer::new(0).unwrap().is_empty());
}

#[test]
fn an_impossible_buffer_is_an_error() {
    let kind = |result: ndk_core::Result<Buffer>| result.unwrap_err().kind();
    assert_eq!(kind(Buffer::new(usize::MAX)), ErrorKind::InsufficientResources);
    assert_eq!(kind(Buffer::new(isize::MAX as usize)), ErrorKind::InsufficientResources);
    assert_eq!(kind(Buffer::with_page_offset(1, PAGE_SIZE)), ErrorKind::InvalidParameter);
}

#[test]
fn one_mdl_describes_the_buffer_and_keeps_it() {
    let buffer = Buffer::with_page_offset(2 * PAGE_SIZE, 5).unwrap();
    buffer.write(0, &[7]).unwrap();
    buffer.write(2 * PAGE_SIZE - 1, &[8]).unwrap();
    let mdl = Mdl::new(&buffer).unwrap();
    let first = buffer.address() >> 12;
    drop(buffer);
    let view = look(&mdl, mdl.len()).unwrap();
    assert_eq!((view.page_offset(), view.page_count(), mdl.elements().len()), (5, 3, 1));
    assert_eq!(frames(&mdl), [first, first + 1, first + 2]);
    assert_eq!((byte(&mdl, 0), byte(&mdl, 2 * PAGE_SIZE - 1)), (7, 8));
}

#[test]
fn c2_a_virtual_address_is_free_but_for_its_page_offset() {
    let buffer = Buffer::with_page_offset(100, 8).unwrap();
    let at = |address| Mdl::builder().buffer(&buffer).address(address).build();
    let mdl = at(0xABCD_E008).unwrap();
    assert_eq!(look(&mdl, 100).unwrap().base(), 0xABCD_E008);
    assert_eq!(frames(&mdl), [buffer.address() >> 12]);
    assert_eq!(at(0xABCD_E000).unwrap_err().rule_id(), "C2");
    let end_of_space = usize::MAX & !0xFFF | 8;
    assert!(at(end_of_space).is_ok());
    let long = Buffer::with_page_offset(PAGE_SIZE, 8).unwrap();
    let wraps = Mdl::builder().buffer(&long).address(end_of_space).build();
    assert_eq!(wraps.unwrap_err().rule_id(), "C7");
}

#[test]
fn scattered_pages_of_several_buffers_follow_each_other() {
    let one = Buffer::new(3 * PAGE_SIZE).unwrap();
    let two = Buffer::new(PAGE_SIZE).unwrap();
    let page = |index| index * PAGE_SIZE..(index + 1) * PAGE_SIZE;
    let mdl = Mdl::builder()
        .range(&one, 2 * PAGE_SIZE + 10..3 * PAGE_SIZE)
        .range(&two, page(0))
        .range(&one, page(0))
        .range(&one, page(0))
        .range(&one, PAGE_SIZE..PAGE_SIZE + 20)
        .range(&one, PAGE_SIZE + 20..PAGE_SIZE + 30)
        .build()
        .unwrap();
    let (a, b) = (one.address() >> 12, two.address() >> 12);
    assert_eq!(frames(&mdl), [a + 2, b, a, a, a + 1]);
    assert_eq!(mdl.len(), 4 * PAGE_SIZE - 10 + 30);
}

#[test]
fn c3_parts_that_cannot_follow_each_other_are_refused() {
    let one = Buffer::new(2 * PAGE_SIZE).unwrap();
    let join = |first, second| Mdl::builder().range(&one, first).range(&one, second).build();
    let rule = |result: ndk_core::Result<Mdl>| result.unwrap_err().rule_id();
    assert_eq!(rule(join(0..10, 11..20)), "C3");
    assert_eq!(rule(join(0..10, PAGE_SIZE + 10..PAGE_SIZE + 20)), "C3");
    assert_eq!(rule(join(0..10, PAGE_SIZE..PAGE_SIZE + 20)), "C3");
    assert!(join(0..10, 10..20).is_ok());
    assert!(join(0..10, 0..2 * PAGE_SIZE + 1).is_err());
}

#[test]
fn chains_are_cut_where_asked() {
    let buffer = Buffer::with_page_offset(4 * PAGE_SIZE, 100).unwrap();
    let whole = frames(&Mdl::new(&buffer).unwrap());
    let chain = Mdl::builder().buffer(&buffer).split_at(10).split_at(4_000).split_at(4_000);
    let chain = chain.split_at(0).split_at(4 * PAGE_SIZE).build().unwrap();
    let counts: Vec<_> = chain
        .elements()
        // SAFETY: elements of a live chain.
        .map(|mdl| unsafe { (*mdl).ByteCount as usize })
        .collect();
    assert_eq!(counts, [0, 10, 3_990, 0, 4 * PAGE_SIZE - 4_000, 0]);
    assert_eq!(frames(&chain), whole);
    let pieces = Mdl::builder().buffer(&buffer).at_most(2 * PAGE_SIZE + 5).build().unwrap();
    assert_eq!(pieces.elements().len(), 3);
    assert_eq!(frames(&pieces), whole);
    let beyond = Mdl::builder().buffer(&buffer).split_at(4 * PAGE_SIZE + 1).build();
    assert_eq!(beyond.unwrap_err().rule_id(), "C5");
}

#[test]
fn memory_of_the_callers_is_described_too() {
    let mut memory = vec![3_u8; 6_000];
    // SAFETY: the vector outlives the MDL, and is only read below.
    let mdl = unsafe { Mdl::over(memory.as_mut_ptr(), memory.len()) }.unwrap();
    assert_eq!((mdl.len(), byte(&mdl, 5_999)), (6_000, 3));
    drop(mdl);
    drop(memory);
}

#[test]
fn c6_an_mdl_of_nothing_has_no_view() {
    let mdl = Mdl::builder().build().unwrap();
    assert!(mdl.is_empty() && look(&mdl, 0).is_err() && look(&mdl, 1).is_err());
    let empty = Buffer::with_page_offset(0, 9).unwrap();
    assert!(Mdl::new(&empty).unwrap().is_empty());
}

#[test]
fn an_mdls_bytes_are_copied_across_its_parts() {
    let one = Buffer::new(2 * PAGE_SIZE).unwrap();
    let two = Buffer::new(PAGE_SIZE).unwrap();
    let mdl = Mdl::builder()
        .range(&one, PAGE_SIZE + 4_090..2 * PAGE_SIZE)
        .range(&two, 0..0)
        .range(&two, 0..PAGE_SIZE)
        .range(&one, 0..3)
        .split_at(5)
        .build()
        .unwrap();
    assert_eq!(mdl.len(), 6 + PAGE_SIZE + 3);
    mdl.write(4, &[1, 2, 3, 4]).unwrap();
    assert_eq!(one.to_vec()[2 * PAGE_SIZE - 2..], [1, 2]);
    assert_eq!(two.to_vec()[..3], [3, 4, 0]);
    mdl.write(6 + PAGE_SIZE - 1, &[7, 8, 9, 10]).unwrap();
    assert_eq!((two.to_vec()[PAGE_SIZE - 1], &one.to_vec()[..3]), (7, &[8, 9, 10][..]));
    let mut all = vec![0; mdl.len()];
    mdl.read(0, &mut all).unwrap();
    assert_eq!(all[..9], [0, 0, 0, 0, 1, 2, 3, 4, 0]);
    assert_eq!(all[mdl.len() - 4..], [7, 8, 9, 10]);
    for (offset, length) in [(0, mdl.len() + 1), (mdl.len(), 1), (usize::MAX, 1)] {
        assert!(mdl.read(offset, &mut vec![0; length]).is_err());
        assert!(mdl.write(offset, &vec![0; length]).is_err());
    }
    mdl.read(mdl.len(), &mut []).unwrap();
}
