//! What a chain was when a registration pended, to be compared with what it is at the end (V8).

use super::view::{Fields, MdlView, frame};
use crate::abi::MDL;
use alloc::vec::Vec;

/// The elements that a view covers, their fields and their page-frame numbers.
pub(crate) struct Snapshot {
    elements: Vec<Element>,
}

struct Element {
    mdl: *const MDL,
    fields: Fields,
    frames: Vec<usize>,
}

// SAFETY: the pointers are to a consumer's chain, which `changed` has its caller promise to be there.
unsafe impl Send for Snapshot {}

impl Element {
    /// # Safety
    /// `mdl` is a readable MDL with its page-frame numbers.
    unsafe fn read(mdl: *const MDL) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            let fields = Fields::read(mdl);
            let frames = (0..fields.frames()).map(|index| frame(mdl, index)).collect();
            Self { mdl, fields, frames }
        }
    }
}

impl Snapshot {
    pub(crate) fn of(view: MdlView<'_>) -> Self {
        let (mut mdl, mut left, mut elements) = (view.head(), view.len(), Vec::new());
        while left > 0 && !mdl.is_null() {
            // SAFETY: the view has checked the chain this far, and it stays readable while the view exists.
            let element = unsafe { Element::read(mdl) };
            left = left.saturating_sub(element.fields.bytes());
            mdl = element.fields.next();
            elements.push(element);
        }
        Self { elements }
    }

    /// Whether an element of the chain is at this address.
    pub(crate) fn has(&self, mdl: usize) -> bool {
        self.elements.iter().any(|element| element.mdl.addr() == mdl)
    }

    /// What became of the chain, if it is not what it was.
    ///
    /// # Safety
    /// The chain's elements are readable, as they were.
    pub(crate) unsafe fn changed(&self) -> Option<&'static str> {
        self.elements.iter().find_map(|before| {
            // SAFETY: the caller's promise.
            let fields = unsafe { Fields::read(before.mdl) };
            if before.fields.is_locked() && !fields.is_locked() {
                return Some("its MDL chain was unlocked while its registration was pending");
            }
            let is_same = fields.is_like(&before.fields)
                // SAFETY: as above; the element has as many page-frame numbers as before.
                && before.frames.iter().enumerate().all(|(index, &number)| unsafe {
                    frame(before.mdl, index) == number
                });
            (!is_same).then_some("its MDL chain was changed while its registration was pending")
        })
    }
}
