//! The request slot: room in a region's own allocation for the future of the operation in progress.
//!
//! A future that was polled may not move, so it is written here before its first poll and stays until it is done.

use crate::access::Access;
use crate::error::Result;
use crate::mdl::MdlView;
use crate::provider::MrProvider;
use core::alloc::Layout;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

/// How an operation ended.
pub(crate) type Outcome = Result<()>;

/// How to poll and drop the future in a slot, whose type is forgotten.
#[derive(Clone, Copy)]
pub(crate) struct Operation {
    /// The pointer is the slot's; the future in it is not finished.
    pub(crate) poll: unsafe fn(*mut u8, &mut Context<'_>) -> Poll<Outcome>,
    /// The slot is empty afterwards, whether the future was finished or not.
    pub(crate) drop: unsafe fn(*mut u8),
}

impl Operation {
    pub(crate) fn of<F: Future<Output = Outcome>>() -> Self {
        Self { poll: poll::<F>, drop: drop_in_slot::<F> }
    }
}

/// # Safety
/// `slot` holds an unfinished `F`, which nobody else touches and which is not moved until it is dropped.
unsafe fn poll<F: Future<Output = Outcome>>(slot: *mut u8, cx: &mut Context<'_>) -> Poll<Outcome> {
    // SAFETY: the caller's promise; the slot is part of an allocation, so the future does not move.
    let future = unsafe { Pin::new_unchecked(&mut *slot.cast::<F>()) };
    future.poll(cx)
}

/// # Safety
/// `slot` holds an `F`, which nobody else touches, now or later.
unsafe fn drop_in_slot<F>(slot: *mut u8) {
    // SAFETY: the caller's promise.
    unsafe { slot.cast::<F>().drop_in_place() };
}

/// The room that the operations of `M` need: the largest of its four futures.
pub(crate) const fn layout<M: MrProvider>() -> Layout {
    // The futures' types cannot be named; the functions that make them can.
    let register = of3::<&'static M, MdlView<'static>, Access, _>(M::register);
    let deregister = of1::<&'static M, _>(M::deregister);
    let initialise = of3::<&'static M, u32, bool, _>(M::initialize_fast_register);
    let close = of1::<&'static M, _>(M::close);
    union(union(register, deregister), union(initialise, close))
}

const fn of1<A, F>(_make: impl FnOnce(A) -> F + Copy) -> Layout {
    Layout::new::<F>()
}

const fn of3<A, B, C, F>(_make: impl FnOnce(A, B, C) -> F + Copy) -> Layout {
    Layout::new::<F>()
}

const fn union(a: Layout, b: Layout) -> Layout {
    let size = if a.size() > b.size() { a.size() } else { b.size() };
    let align = if a.align() > b.align() { a.align() } else { b.align() };
    match Layout::from_size_align(size, align) {
        Ok(layout) => layout,
        Err(_) => panic!("two layouts that exist have a union"),
    }
}
