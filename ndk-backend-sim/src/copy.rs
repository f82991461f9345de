//! The data path: moving bytes between the memory of two peers.
//!
//! Hardware reads and writes registered memory behind the back of the program that registered it. Two peers may write the
//! same bytes at once, and the program may look at them meanwhile; what it sees then is a mixture, byte by byte. A copy
//! through references, or `ptr::copy`, would make that a data race, which is undefined behaviour. [`copy`] does not.
//!
//! # Why it is sound
//! On x86-64 and AArch64 Linux the bytes are moved by inline assembly: for short copies by a few loads and stores, else
//! by a call, from within the assembly, of the C library's `memmove`. The compiler knows nothing of what happens there, but that
//! it may read and write any memory that it could not prove private. It is as if each byte were read and written by relaxed
//! atomic operations of one byte each, some of them more than once: this is the strongest statement to be made to the
//! compiler, and all that the machine's loads and stores of whatever width do is an instance of it. Neither variant takes a
//! decision that depends on the bytes, so bytes that change meanwhile cannot lead it astray.
//!
//! Everywhere else, under Miri, and with the feature `portable-copy`, it really is a loop of relaxed atomic accesses to
//! single bytes. Larger ones would be faster, but atomic accesses of different sizes to the same memory must not race either,
//! and two copies need not agree about alignment.
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
//! A copy orders nothing by itself. Whoever tells another thread that it is complete does so through an atomic access with
//! release ordering, a lock, or the like, which covers the bytes copied before it.

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
    // SAFETY: The caller's promise is what each of them asks for.
    unsafe { imp::copy(dst, src, len) }
}

#[cfg(all(
    any(target_arch = "x86_64", target_arch = "aarch64"),
    target_os = "linux",
    not(miri),
    not(feature = "portable-copy")
))]
mod imp {
    use core::arch::asm;
    use core::ffi::c_void;

    unsafe extern "C" {
        fn memmove(dst: *mut c_void, src: *const c_void, len: usize) -> *mut c_void;
    }

    /// See [`super::copy`].
    #[inline]
    pub(super) unsafe fn copy(dst: *mut u8, src: *const u8, len: usize) {
        #[cfg(target_arch = "x86_64")]
        if len <= short::LIMIT {
            // SAFETY: The ranges are the caller's.
            return unsafe { short::copy(dst, src, len) };
        }
        // SAFETY: The C function gets what it asks for, as far as the machine is concerned: its arguments, and a stack that
        // is aligned as for any call, since `nostack` is not set. What it may change is declared.
        unsafe {
            #[cfg(target_arch = "x86_64")]
            asm!(
                "call {memmove}",
                memmove = sym memmove,
                inout("rdi") dst => _,
                inout("rsi") src => _,
                inout("rdx") len => _,
                clobber_abi("C"),
            );
            #[cfg(target_arch = "aarch64")]
            asm!(
                "bl {memmove}",
                memmove = sym memmove,
                inout("x0") dst => _,
                inout("x1") src => _,
                inout("x2") len => _,
                clobber_abi("C"),
            );
        }
    }

    /// Copies that are over before a call would have begun.
    #[cfg(target_arch = "x86_64")]
    mod short {
        use core::arch::asm;

        /// The most bytes copied here.
        pub(super) const LIMIT: usize = 64;

        /// Copies some bytes from the start and as many up to the end, which meet or overlap in the middle: one or more
        /// registers, of some size each, at either end. Everything is read before anything is written.
        macro_rules! both_ends {
            ($dst:ident, $src:ident, $len:ident; $class:ident, $mov:literal, $form:literal, $size:literal;
             $($at:literal $front:ident $back:ident),+) => {
                // SAFETY: The caller's length is at least the bytes taken from one end, so all accesses are within the
                // caller's ranges.
                unsafe {
                    asm!(
                        $(
                            concat!($mov, " {", stringify!($front), $form, "}, [{src} + ", $at, "]"),
                            concat!($mov, " {", stringify!($back), $form, "}, [{src} + {len} - ", $size, " - ", $at, "]"),
                        )+
                        $(
                            concat!($mov, " [{dst} + ", $at, "], {", stringify!($front), $form, "}"),
                            concat!($mov, " [{dst} + {len} - ", $size, " - ", $at, "], {", stringify!($back), $form, "}"),
                        )+
                        src = in(reg) $src,
                        dst = in(reg) $dst,
                        len = in(reg) $len,
                        $($front = out($class) _, $back = out($class) _,)+
                        options(nostack, preserves_flags),
                    )
                }
            };
        }

        /// See [`super::super::copy`]; for at most [`LIMIT`] bytes.
        #[inline]
        pub(super) unsafe fn copy(dst: *mut u8, src: *const u8, len: usize) {
            match len {
                0 => {}
                1 => both_ends!(dst, src, len; reg_byte, "mov", "", "1"; "0" a b),
                2..4 => both_ends!(dst, src, len; reg, "mov", ":x", "2"; "0" a b),
                4..8 => both_ends!(dst, src, len; reg, "mov", ":e", "4"; "0" a b),
                8..16 => both_ends!(dst, src, len; reg, "mov", "", "8"; "0" a b),
                16..=32 => both_ends!(dst, src, len; xmm_reg, "movdqu", "", "16"; "0" a b),
                _ => both_ends!(dst, src, len; xmm_reg, "movdqu", "", "16"; "0" a b, "16" c d),
            }
        }
    }
}

#[cfg(not(all(
    any(target_arch = "x86_64", target_arch = "aarch64"),
    target_os = "linux",
    not(miri),
    not(feature = "portable-copy")
)))]
mod imp {
    use core::sync::atomic::{AtomicU8, Ordering};

    /// See [`super::copy`].
    pub(super) unsafe fn copy(dst: *mut u8, src: *const u8, len: usize) {
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
}
