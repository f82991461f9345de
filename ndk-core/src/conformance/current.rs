//! Which case a thread is running, for a factory that wants to know.

use std::cell::Cell;

thread_local! {
    static CURRENT: Cell<Option<(&'static str, &'static str)>> = const { Cell::new(None) };
}

/// The rule and the name of the case that this thread is running, as in `("C6", "length_zero")`: who makes adapters for
/// a kit can tell what each was made for. `None` where an adapter is made to see what the device has.
pub fn case_in_progress() -> Option<(&'static str, &'static str)> {
    CURRENT.get()
}

/// The thread runs a case until this is dropped.
pub(super) struct InProgress;

impl InProgress {
    pub(super) fn new(rule: &'static str, case: &'static str) -> Self {
        CURRENT.set(Some((rule, case)));
        Self
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        CURRENT.set(None);
    }
}
