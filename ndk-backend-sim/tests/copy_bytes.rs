//! The data path's copy, against what it should have done byte by byte.

use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread;

use ndk_backend_sim::copy::{bytewise, copy};
use proptest::prelude::*;

/// Untouched bytes kept around every destination.
const GUARD: usize = 64;
/// More bytes than the longest copy that is handled specially.
const LENGTHS: usize = if cfg!(miri) { 40 } else { 300 };

/// Bytes in which no two neighbours, nor blocks, look alike.
fn pattern(len: usize, salt: usize) -> Vec<u8> {
    (0..len).map(|at| ((at + salt).wrapping_mul(0x9E37_79B1) >> 13) as u8).collect()
}

/// Copies into the middle of a buffer and looks at all of it.
fn check(len: usize, src_at: usize, dst_at: usize) {
    let src = pattern(src_at + len, 1);
    let before = pattern(GUARD + dst_at + len + GUARD, 2);
    let mut dst = before.clone();
    // SAFETY: Both ranges are within their buffers, which nobody else uses.
    unsafe { copy(dst.as_mut_ptr().add(GUARD + dst_at), src.as_ptr().add(src_at), len) };
    let mut expected = before;
    expected[GUARD + dst_at..][..len].copy_from_slice(&src[src_at..]);
    assert!(dst == expected, "{len} bytes from +{src_at} to +{dst_at}");
}

#[test]
fn every_length_at_every_alignment() {
    let alignments = if cfg!(miri) { 2 } else { 16 };
    for len in 0..LENGTHS {
        for src_at in 0..alignments {
            for dst_at in 0..alignments {
                check(len, src_at, dst_at);
            }
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "too slow")]
fn large_and_odd_sizes() {
    for size in [1 << 10, 1 << 12, 1 << 14, 1 << 17, 1 << 20, 1 << 22] {
        for (less, src_at, dst_at) in [(0, 0, 0), (1, 1, 0), (0, 0, 1), (7, 3, 12), (13, 15, 15)] {
            check(size - less, src_at, dst_at);
            check(size + less, dst_at, src_at);
        }
    }
}

#[test]
fn nothing_is_copied_through_pointers_to_nothing() {
    // SAFETY: For no bytes, any pointers will do.
    unsafe {
        copy(ptr::null_mut(), ptr::null(), 0);
        copy(ptr::without_provenance_mut(usize::MAX), ptr::dangling(), 0);
    }
}

#[test]
fn overlapping_ranges_are_copied_as_if_by_way_of_a_third() {
    let lengths = (0..LENGTHS).chain(if cfg!(miri) { 0..0 } else { 4090..4100 });
    for len in lengths {
        let shifts = [
            0,
            1,
            2,
            3,
            7,
            8,
            15,
            16,
            17,
            31,
            33,
            64,
            65,
            100,
            len / 2,
            len.saturating_sub(1),
            len,
        ];
        for shift in shifts.into_iter().filter(|shift| *shift <= len) {
            for (src_at, dst_at) in [(0, shift), (shift, 0)] {
                let mut bytes = pattern(len + shift, 3);
                let mut expected = bytes.clone();
                expected.copy_within(src_at..src_at + len, dst_at);
                let base = bytes.as_mut_ptr();
                // SAFETY: Both ranges are within the buffer, which nobody else uses.
                unsafe { copy(base.add(dst_at), base.add(src_at), len) };
                assert!(bytes == expected, "{len} bytes from +{src_at} to +{dst_at}");
            }
        }
    }
}

#[test]
fn an_exposed_address_is_as_good_as_a_pointer() {
    let src = pattern(200, 4);
    let mut dst = vec![0; 200];
    let (from, to) = (src.as_ptr().expose_provenance(), dst.as_mut_ptr().expose_provenance());
    // SAFETY: The addresses are those of the buffers, whose provenance is exposed and which nobody else uses.
    unsafe { copy(ptr::with_exposed_provenance_mut(to), ptr::with_exposed_provenance(from), 200) };
    assert_eq!(src, dst);
}

/// Memory that others change meanwhile.
fn shared(len: usize) -> Vec<AtomicU8> {
    (0..len).map(|_| AtomicU8::new(0)).collect()
}

#[test]
fn two_writers_leave_bytes_of_either_and_readers_see_nothing_else() {
    for (len, rounds) in
        if cfg!(miri) { [(24, 3); 3] } else { [(48, 20_000), (1000, 5000), (1 << 16, 100)] }
    {
        let target = shared(len + 2);
        let done = AtomicBool::new(false);
        let (target, done) = (&target, &done);
        let address = target.as_ptr().expose_provenance();
        thread::scope(|scope| {
            let writers = [1, 2].map(|writer: usize| {
                scope.spawn(move || {
                    let bytes = vec![writer as u8; len];
                    // The writers' ranges overlap but differ, in alignment too.
                    let to: *mut u8 = ptr::with_exposed_provenance_mut(address + writer - 1);
                    for _ in 0..rounds {
                        // SAFETY: The range is within the target, which all access by this function or byte by byte.
                        unsafe { copy(to, bytes.as_ptr(), len) };
                    }
                })
            });
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    let mut seen = vec![9; len + 2];
                    // SAFETY: As above; the destination is this thread's own.
                    unsafe {
                        copy(seen.as_mut_ptr(), ptr::with_exposed_provenance(address), len + 2)
                    };
                    assert!(seen.iter().all(|byte| *byte <= 2));
                    assert!(target.iter().all(|byte| byte.load(Ordering::Relaxed) <= 2));
                }
            });
            let ended = writers.map(|writer| writer.join());
            done.store(true, Ordering::Relaxed);
            ended.into_iter().for_each(|ended| ended.unwrap());
        });
        let last: Vec<u8> = target.iter().map(|byte| byte.load(Ordering::Relaxed)).collect();
        assert_eq!(
            (last[0], last[len], last[len + 1]),
            (1, 2, 0),
            "what only one wrote, or nobody"
        );
        assert!(last[1..len].iter().all(|byte| [1, 2].contains(byte)));
    }
}

#[cfg(all(target_os = "linux", not(miri)))]
#[test]
fn no_byte_outside_is_touched_even_where_that_would_be_a_fault() {
    const PAGE: usize = 1 << 16;
    // SAFETY: A fresh mapping of three pages; the first and the last become inaccessible. They are never unmapped.
    let page = || unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let base =
            libc::mmap(ptr::null_mut(), 3 * PAGE, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
        assert_ne!(base, libc::MAP_FAILED);
        assert_eq!(libc::mprotect(base, PAGE, libc::PROT_NONE), 0);
        assert_eq!(libc::mprotect(base.add(2 * PAGE), PAGE, libc::PROT_NONE), 0);
        base.cast::<u8>().add(PAGE)
    };
    let (src, dst) = (page(), page());
    for len in (0..LENGTHS).chain([4095, 4096, 4097, PAGE - 1, PAGE]) {
        for (from, to) in [(0, 0), (PAGE - len, 0), (0, PAGE - len), (PAGE - len, PAGE - len)] {
            // SAFETY: Both ranges are within the accessible pages, which are this test's own.
            unsafe { copy(dst.add(to), src.add(from), len) };
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 20 } else { 1000 }))]

    /// Whatever the lengths, alignments and overlaps: as the loop over bytes does it.
    #[test]
    fn every_form_copies_as_the_bytewise_one(
        len in prop_oneof![0_usize..80, 0_usize..9000],
        src_at in 0_usize..9000,
        dst_at in 0_usize..9000,
        salt: u8,
    ) {
        let mut one = pattern(18_000, salt.into());
        let mut other = one.clone();
        // SAFETY: All ranges are within the buffers, which nobody else uses.
        unsafe {
            let (one, other) = (one.as_mut_ptr(), other.as_mut_ptr());
            copy(one.add(dst_at), one.add(src_at), len);
            bytewise(other.add(dst_at), other.add(src_at), len);
        }
        prop_assert!(one == other, "{} bytes from {} to {}", len, src_at, dst_at);
    }
}

/// What a consumer does that waits for a message in memory: it polls the last byte.
#[test]
fn who_sees_the_last_byte_sees_all() {
    let lengths = [2, 3, 7, 8, 9, 16, 31, 33, 47, 63, 64, 65, 100, 1000, 4096, 20_000];
    let rounds: u32 = if cfg!(miri) { 2 } else { 100 };
    for len in if cfg!(miri) { &lengths[..4] } else { &lengths } {
        for at in [0, 1] {
            let (len, target) = (*len, shared(len + 1));
            let address = target[at..].as_ptr().expose_provenance();
            let (target, turn) = (&target[at..], AtomicU8::new(0));
            // Told at the end, since the other thread waits for its turn until then.
            let mut torn = None;
            thread::scope(|scope| {
                scope.spawn(|| {
                    for round in 1..=rounds {
                        let bytes = vec![round as u8; len];
                        while turn.load(Ordering::Acquire) != (round - 1) as u8 {
                            thread::yield_now();
                        }
                        let to: *mut u8 = ptr::with_exposed_provenance_mut(address);
                        // SAFETY: The range is within the target, which is accessed so or byte by byte.
                        unsafe { copy(to, bytes.as_ptr(), len) };
                    }
                });
                for round in (1..=rounds).map(|round| round as u8) {
                    while target[len - 1].load(Ordering::Acquire) != round {
                        thread::yield_now();
                    }
                    let late =
                        target[..len].iter().position(|b| b.load(Ordering::Relaxed) != round);
                    torn = torn.or(late);
                    turn.store(round, Ordering::Release);
                }
            });
            assert_eq!(torn, None, "of {len} bytes at +{at}");
        }
    }
}
