//! A region's object for which there is no memory (B6, B7).

use crate::bench::{Bench, close, created};
use crate::operation::End;
use ndk_core::{ErrorKind, RegionKind};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::null_mut;
use std::sync::atomic::Ordering;

thread_local! {
    /// Whether the next allocation of this thread fails.
    static FAILS: Cell<bool> = const { Cell::new(false) };
}

struct Failing;

// SAFETY: the system's allocator, or a null pointer, which any allocation may give.
unsafe impl GlobalAlloc for Failing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        if FAILS.take() { null_mut() } else { unsafe { System.alloc(layout) } }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise; all memory is the system's.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Failing = Failing;

#[test]
fn b6_a_region_without_memory_for_its_object_leaves_nothing_and_can_be_made_later() {
    let bench = Bench::new();
    // At once, so that the object is the only thing that is allocated.
    *bench.control.create_at_once.lock().unwrap() = Some(End::Succeed);
    let mut out = null_mut();
    FAILS.set(true);
    // SAFETY: the domain is not closed, and the out pointer valid.
    let made = unsafe {
        bench.domain.create_mr(RegionKind::Conventional, Some(created), null_mut(), &mut out)
    };
    assert!(!FAILS.take(), "nothing was allocated");
    assert_eq!(made.expect_err("B6").kind(), ErrorKind::InsufficientResources, "B6");
    assert!(out.is_null(), "A1: nothing is delivered");
    assert_eq!(
        bench.control.dropped.load(Ordering::Relaxed),
        1,
        "B7: the backend's region is gone"
    );
    close(bench.region());
    bench.end();
}
