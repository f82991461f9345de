//! Copies that the compiler does not see into, for the targets whose calls are known.

use core::arch::asm;
use core::ffi::c_void;

unsafe extern "C" {
    fn memmove(dst: *mut c_void, src: *const c_void, len: usize) -> *mut c_void;
}

/// The longest copy whose bytes are written in their order, and how much of a longer one is left to such a copy. x86 makes
/// stores visible in the order of the program; elsewhere only a single byte is in order with itself.
#[cfg(target_arch = "x86_64")]
pub(super) const IN_ORDER: usize = short::LIMIT;
#[cfg(target_arch = "x86_64")]
pub(super) const TAIL: usize = 16;
#[cfg(target_arch = "aarch64")]
pub(super) const IN_ORDER: usize = 1;
#[cfg(target_arch = "aarch64")]
pub(super) const TAIL: usize = 1;

/// A call as x86 Windows has it: with room on the stack for the callee to keep its four register arguments in.
#[cfg(all(target_arch = "x86_64", any(windows, test)))]
macro_rules! call_by_windows {
    ($function:path, $dst:expr, $src:expr, $len:expr) => {
        asm!(
            "sub rsp, 32",
            "call {function}",
            "add rsp, 32",
            function = sym $function,
            inout("rcx") $dst => _,
            inout("rdx") $src => _,
            inout("r8") $len => _,
            clobber_abi("win64"),
        )
    };
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
        #[cfg(all(target_arch = "x86_64", not(windows)))]
        asm!(
            "call {memmove}",
            memmove = sym memmove,
            inout("rdi") dst => _,
            inout("rsi") src => _,
            inout("rdx") len => _,
            clobber_abi("C"),
        );
        #[cfg(all(target_arch = "x86_64", windows))]
        call_by_windows!(memmove, dst, src, len);
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

/// Copies a page or a good part of it with its bytes in their order, if the length is such a one and the processor can; the
/// ranges do not overlap.
#[cfg(target_arch = "x86_64")]
pub(super) use wide::copy as copy_in_order;

/// Elsewhere there is no such copy.
#[cfg(target_arch = "aarch64")]
pub(super) unsafe fn copy_in_order(_: *mut u8, _: *const u8, _: usize) -> bool {
    false
}

/// Copies of some cache lines by registers of that size. The C library's `memmove` moves a page by one string instruction
/// that nothing before it or after it overlaps with, and that writes in no order, so that the last bytes take a copy of
/// their own; these few loads and stores hide behind what comes before and after them.
#[cfg(target_arch = "x86_64")]
mod wide {
    use core::arch::asm;
    use std::is_x86_feature_detected;

    /// What is copied in each step.
    const STEP: usize = 128;
    /// The most bytes copied here: more of them take longer than the string instruction.
    const LIMIT: usize = 4096;

    /// See [`super::copy_in_order`].
    #[inline(always)]
    pub(in super::super) unsafe fn copy(dst: *mut u8, src: *const u8, len: usize) -> bool {
        if !(STEP..=LIMIT).contains(&len) || !is_x86_feature_detected!("avx512f") {
            return false;
        }
        // SAFETY: The length is at least that of a step, so all steps are within the caller's ranges; the last one ends
        // with them. The registers are there, and those that are used have no lower half that other code must clear.
        unsafe {
            asm!(
                "jmp 3f",
                "2:",
                "vmovdqu64 zmm16, [rsi + rax]",
                "vmovdqu64 zmm17, [rsi + rax + 64]",
                "vmovdqu64 [rdi + rax], zmm16",
                "vmovdqu64 [rdi + rax + 64], zmm17",
                "add rax, {step}",
                "3:",
                "cmp rax, rdx",
                "jb 2b",
                "vmovdqu64 zmm16, [rsi + rdx]",
                "vmovdqu64 zmm17, [rsi + rdx + 64]",
                "vmovdqu64 [rdi + rdx], zmm16",
                "vmovdqu64 [rdi + rdx + 64], zmm17",
                step = const STEP,
                inout("rdi") dst => _,
                inout("rsi") src => _,
                inout("rax") 0_usize => _,
                inout("rdx") len - STEP => _,
                // Of vector registers it is the form of the clobbers that needs no feature of the compiler's.
                clobber_abi("C"),
                options(nostack),
            );
        }
        true
    }
}

/// Copies that are over before a call would have begun.
#[cfg(target_arch = "x86_64")]
mod short {
    use core::arch::asm;

    /// The most bytes copied here.
    pub(super) const LIMIT: usize = 64;

    /// Copies some bytes from the start and as many up to the end, which meet or overlap in the middle: one or more
    /// registers, of some size each, at either end. Everything is read before anything is written, and the last bytes are
    /// written last.
    macro_rules! both_ends {
        ($dst:ident, $src:ident, $len:ident; $class:ident, $mov:literal, $form:literal;
         $($at:literal $front:ident),+; $($before_end:literal $back:ident),+) => {
            // SAFETY: The caller's length is at least the bytes taken from one end, so all accesses are within the
            // caller's ranges.
            unsafe {
                asm!(
                    $(concat!($mov, " {", stringify!($front), $form, "}, [{src} + ", $at, "]"),)+
                    $(concat!(
                        $mov, " {", stringify!($back), $form, "}, [{src} + {len} - ", $before_end, "]"
                    ),)+
                    $(concat!($mov, " [{dst} + ", $at, "], {", stringify!($front), $form, "}"),)+
                    $(concat!(
                        $mov, " [{dst} + {len} - ", $before_end, "], {", stringify!($back), $form, "}"
                    ),)+
                    src = in(reg) $src,
                    dst = in(reg) $dst,
                    len = in(reg) $len,
                    $($front = out($class) _,)+
                    $($back = out($class) _,)+
                    options(nostack, preserves_flags),
                )
            }
        };
    }

    /// See [`super::super::copy`]; for at most [`LIMIT`] bytes.
    #[inline]
    pub(super) unsafe fn copy(dst: *mut u8, src: *const u8, len: usize) {
        // The longest are worth the most.
        if len > 32 {
            both_ends!(dst, src, len; xmm_reg, "movdqu", ""; "0" a, "16" b; "32" c, "16" d)
        } else if len >= 16 {
            both_ends!(dst, src, len; xmm_reg, "movdqu", ""; "0" a; "16" b)
        } else if len >= 8 {
            both_ends!(dst, src, len; reg, "mov", ""; "0" a; "8" b)
        } else if len >= 4 {
            both_ends!(dst, src, len; reg, "mov", ":e"; "0" a; "4" b)
        } else if len >= 2 {
            both_ends!(dst, src, len; reg, "mov", ":x"; "0" a; "2" b)
        } else if len == 1 {
            both_ends!(dst, src, len; reg_byte, "mov", ""; "0" a; "1" b)
        }
    }
}

#[cfg(all(test, target_arch = "x86_64", not(windows)))]
mod tests {
    use super::*;

    /// Takes its arguments as Windows passes them, and uses the room that its caller owes it.
    unsafe extern "win64" fn by_windows(dst: *mut u8, src: *const u8, len: usize) -> *mut u8 {
        // SAFETY: the caller's ranges.
        unsafe { memmove(dst.cast(), src.cast(), len).cast() }
    }

    #[test]
    fn the_call_of_windows_passes_its_arguments_and_keeps_the_stack() {
        for len in [65, 100, 4096, 70_001] {
            let from: Vec<u8> = (0..len).map(|at| (at * 7 + at / 251) as u8).collect();
            let mut to = vec![0; len];
            let around = (len, [len; 8]);
            // SAFETY: both are as long as that, and the function is called as its kind asks.
            unsafe { call_by_windows!(by_windows, to.as_mut_ptr(), from.as_ptr(), len) };
            assert!(to == from && around == (len, [len; 8]));
        }
    }
}
