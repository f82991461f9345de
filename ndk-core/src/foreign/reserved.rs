//! The reserved block of a watched object's header. It is the consumer's side's, which is this: what was written there must
//! be there when it is looked at again (V22).

use crate::abi::{NDK_OBJECT_HEADER, NDK_OBJECT_HEADER_RESERVED_BLOCK};
use crate::call::ticket::Watched;
use core::ptr::{NonNull, addr_of, addr_of_mut, without_provenance_mut};

/// What is written: numbers that are no addresses, and differ.
fn pattern(object: NonNull<NDK_OBJECT_HEADER>) -> NDK_OBJECT_HEADER_RESERVED_BLOCK {
    let word = |index: usize| without_provenance_mut(object.addr().get() ^ (0x5A5A_0001 + index));
    NDK_OBJECT_HEADER_RESERVED_BLOCK { rf: [word(0), word(1), word(2), word(3)] }
}

/// Looks whether a fresh object's block is zeroed (A2), and writes to it.
///
/// # Safety
/// The object is alive, and fresh.
pub(super) unsafe fn stamp(object: NonNull<NDK_OBJECT_HEADER>, watched: &Watched) {
    // SAFETY: the caller's promise; fields are read and written raw.
    let found = unsafe {
        let block = addr_of_mut!((*object.as_ptr()).NdkReserved);
        block.replace(pattern(object))
    };
    if found.rf.iter().any(|word| !word.is_null()) {
        watched.broken(&["V22", "A2"], "its reserved block was not zeroed when it was created");
    }
}

/// Looks whether the block is as it was written; it is written again where it is not.
///
/// # Safety
/// The object is alive, and was stamped.
pub(super) unsafe fn check(object: NonNull<NDK_OBJECT_HEADER>, watched: &Watched) {
    let expected = pattern(object);
    // SAFETY: the caller's promise.
    let found = unsafe { addr_of!((*object.as_ptr()).NdkReserved).read() };
    if found.rf != expected.rf {
        watched.broken(&["V22", "A3"], "its reserved block was written to");
        // SAFETY: as above.
        unsafe { addr_of_mut!((*object.as_ptr()).NdkReserved).write(expected) };
    }
}
