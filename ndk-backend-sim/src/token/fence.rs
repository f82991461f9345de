//! Fences that cost nothing where the processor has done their work already.

use core::sync::atomic::Ordering;
#[cfg(not(all(loom, test)))]
use core::sync::atomic::fence;
#[cfg(all(loom, test))]
use loom::sync::atomic::fence;

/// A sequentially consistent fence right after an atomic read-modify-write: on x86 that instruction is a fence itself, and
/// it is only the compiler that has to be told.
#[inline(always)]
pub(crate) fn fence_after_exchange() {
    if cfg!(all(target_arch = "x86_64", not(any(all(loom, test), miri)))) {
        core::sync::atomic::compiler_fence(Ordering::SeqCst);
    } else {
        fence(Ordering::SeqCst);
    }
}
