//! The data path: moving bytes between the memory of two peers.
//!
//! Hardware reads and writes registered memory behind the back of the program that registered it. Two peers may write the
//! same bytes at once, and the program may look at them meanwhile; what it sees then is a mixture, byte by byte. A copy
//! through references, or `ptr::copy`, would make that a data race, which is undefined behaviour. [`copy`] does not.
//!
//! # Why it is sound
//! On 64-bit x86 and Arm, under Unix and Windows, the bytes are moved by inline assembly: for short copies by a few
//! loads and stores, on x86 with AVX-512 for those of up to a page too, else by a call, from within the assembly, of
//! the C library's `memmove`. The compiler knows nothing of what happens there, but that it may read and write any
//! memory that it could not prove private. It is as if each byte were read and written by relaxed atomic operations of
//! one byte each, some of them more than once: this is the strongest statement to be made to the compiler, and all that
//! the machine's loads and stores of whatever width do is an instance of it. Neither variant takes a decision that
//! depends on the bytes, so bytes that change meanwhile cannot lead it astray.
//!
//! Everywhere else, under Miri, and with the feature `portable-copy`, it really is a loop of relaxed atomic accesses to
//! single bytes, which is slow. Words would be faster, and would not be sound: Rust's memory model, as that of C++, has no
//! atomic accesses of different sizes to the same memory that race. A copy begins and ends at any byte, so where one moves
//! a word another may have to move a part of it, and neither may touch the rest, which may be no registered memory at all;
//! a program's own accesses are of single bytes too. Only all of them together could go over to words.
//!
//! The other side has to do its part: code that reads or writes registered memory while a peer may access it should use
//! [`copy`] or atomic accesses to single bytes. Where it uses plain accesses, the race is its own.
//!
//! # What ThreadSanitizer sees
//! Of the assembly, nothing: neither races of its accesses nor the order they create. Of the call, if the C library's
//! `memmove` is replaced by the sanitizer's, a plain access, hence races that are none. Of the portable loop, atomic
//! accesses: it reports a plain access that races with one of them. So build with `portable-copy` under a sanitizer.
//!
//! # Order
//! The last byte is written after all others, of this copy and of those before it on the same thread: a program that has
//! read it, and has made that read an acquire, sees them. So a device may declare that it places data in order, and a
//! consumer wait for the last byte of a message. Between the other bytes there is no order, nor in a copy onto itself.
//! Whoever tells another thread in any other way that a copy is complete does so through an atomic access with release
//! ordering, a lock, or the like, which covers the bytes copied before it.

use core::sync::atomic::{AtomicU8, Ordering, fence};

/// Copies `len` bytes from `src` to `dst`, both of which may be changed by others meanwhile.
///
/// Where the two overlap, the result is as if the source had been copied elsewhere first, like `memmove`. This goes by the
/// addresses: where the same memory is mapped at both, bytes may mix. A byte that somebody else writes during the copy is
/// copied as before or as after that write, each byte for itself. A byte that several write ends up as one of them wrote it.
///
/// # Safety
/// - `src` is valid for reads and `dst` for writes of `len` bytes, until this returns; their provenance may be exposed only.
///   With `len` 0, any pointers will do.
/// - Whoever else accesses the destination, or writes to the source, meanwhile, does so through this function or by
///   atomic accesses to single bytes. For registered memory this is the promise of whoever registered it.
/// - No reference is in use that promises exclusive access to the destination, or an unchanging source.
#[inline]
pub unsafe fn copy(dst: *mut u8, src: *const u8, len: usize) {
    if len <= imp::IN_ORDER {
        fence(Ordering::Release);
        // SAFETY: the caller's ranges.
        unsafe { imp::copy(dst, src, len) }
    } else {
        // SAFETY: the caller's ranges.
        unsafe { copy_long(dst, src, len) }
    }
}

/// # Safety
/// As of `copy`.
#[inline(never)]
unsafe fn copy_long(dst: *mut u8, src: *const u8, len: usize) {
    let mut done = 0;
    if !overlap(dst, src, len) {
        fence(Ordering::Release);
        // SAFETY: the caller's ranges.
        if unsafe { imp::copy_in_order(dst, src, len) } {
            return;
        }
        done = len - imp::TAIL;
        // SAFETY: a part of the caller's ranges.
        unsafe { imp::copy(dst, src, done) };
    }
    fence(Ordering::Release);
    // SAFETY: the rest of the caller's ranges, or all of them.
    unsafe { imp::copy(dst.wrapping_add(done), src.wrapping_add(done), len - done) }
}

#[inline]
fn overlap(dst: *mut u8, src: *const u8, len: usize) -> bool {
    let distance = dst.addr().wrapping_sub(src.addr());
    distance < len || distance.wrapping_neg() < len
}

/// As [`copy`] without the order: the form that every target has.
///
/// # Safety
/// As of `copy`.
pub unsafe fn bytewise(dst: *mut u8, src: *const u8, len: usize) {
    let byte = |at: usize| {
        // SAFETY: Within the caller's ranges. Others use atomic accesses to single bytes too, or asked for it. The
        // source is only read.
        let (from, to) = unsafe {
            (AtomicU8::from_ptr(src.add(at).cast_mut()), AtomicU8::from_ptr(dst.add(at)))
        };
        to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
    };
    // Where the destination begins inside the source, its bytes are copied before they are overwritten.
    if dst.addr().wrapping_sub(src.addr()) < len {
        (0..len).rev().for_each(byte);
    } else {
        (0..len).for_each(byte);
    }
}

#[cfg(all(
    any(target_arch = "x86_64", target_arch = "aarch64"),
    target_pointer_width = "64",
    any(unix, windows),
    not(miri),
    not(feature = "portable-copy")
))]
mod assembly;

#[cfg(all(
    any(target_arch = "x86_64", target_arch = "aarch64"),
    target_pointer_width = "64",
    any(unix, windows),
    not(miri),
    not(feature = "portable-copy")
))]
use assembly as imp;

#[cfg(not(all(
    any(target_arch = "x86_64", target_arch = "aarch64"),
    target_pointer_width = "64",
    any(unix, windows),
    not(miri),
    not(feature = "portable-copy")
)))]
mod imp {
    /// The longest copy whose bytes are written in their order; of one byte any is.
    pub(super) const IN_ORDER: usize = 1;
    pub(super) const TAIL: usize = 1;

    pub(super) use super::bytewise as copy;

    pub(super) unsafe fn copy_in_order(_: *mut u8, _: *const u8, _: usize) -> bool {
        false
    }
}
