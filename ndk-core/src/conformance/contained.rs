//! What calls a provider, on a thread of its own: where it panics or hangs, a text says so, and the run goes on.

use super::watch::{on_a_thread, patience};
use std::any::Any;
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::time::Duration;

thread_local! {
    /// Where this thread panicked last: the line of the case, or of what it calls.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Notes places from now on, beside what the program does on a panic.
pub(super) fn note_places() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        PLACE.set(info.location().map(ToString::to_string));
        before(info);
    }));
}

/// What a panic of this thread said, and where.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text =
        text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message");
    // One that a callback's thread passed on has no place here.
    PLACE.take().map_or_else(|| text.into(), |place| format!("{text}\n at {place}"))
}

/// What `run` gives, of a kit that waits so long for a callback; or what its panic said, or that it hangs.
pub(super) fn contained<T: Send + 'static>(
    name: String,
    callback: Duration,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    let run = || catch_unwind(AssertUnwindSafe(run)).map_err(|panic| said(&*panic));
    let hangs = || Err("B5: it hangs: a call of the provider's has not returned".into());
    on_a_thread(name, patience(callback), run).unwrap_or_else(hangs)
}
