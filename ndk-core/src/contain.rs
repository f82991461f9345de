//! Panics of foreign code stop here (B8).

use crate::error::{Error, ErrorKind};
use alloc::boxed::Box;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

/// Foreign code panicked; what it said is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Panicked;

/// What a caller hears of a panic on an object that is not poisoned by it, or has no state to be.
#[cold]
pub(crate) fn panicked() -> Error {
    Error::new(ErrorKind::Internal, "the backend panicked").rule("B8")
}

/// Runs a backend's or an executor's code. Without `std` nothing is contained: a panic there ends the program.
#[cfg(feature = "std")]
#[inline(always)]
pub(crate) fn contain<R>(
    what: &'static str,
    name: impl core::fmt::Display,
    code: impl FnOnce() -> R,
) -> Result<R, Panicked> {
    extern crate std;
    // What the code leaves half done stays behind the poisoned object's state, which nothing but its close reads.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(code))
        .map_err(|payload| report(what, &name, payload))
}

#[cfg(feature = "std")]
#[cold]
fn report(
    what: &'static str,
    name: &dyn core::fmt::Display,
    payload: alloc::boxed::Box<dyn core::any::Any + Send>,
) -> Panicked {
    let message = payload
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| {
            payload.downcast_ref::<alloc::string::String>().map(alloc::string::String::as_str)
        })
        .unwrap_or("no message");
    log::error!("{name}: {what} panicked: {message} [B8]");
    // A payload whose own drop panics must not get past this frame, nor what comes of that.
    if let Err(again) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(payload))) {
        core::mem::forget(again);
    }
    Panicked
}

/// Runs a backend's or an executor's code; without `std` a panic in it ends the program.
#[cfg(not(feature = "std"))]
#[inline(always)]
pub(crate) fn contain<R>(
    _what: &'static str,
    _name: impl core::fmt::Display,
    code: impl FnOnce() -> R,
) -> Result<R, Panicked> {
    Ok(code())
}

/// As `contain`, for a future: its making, each of its polls, and its drop. In an allocation of its own, which only rare
/// operations have: those of queue pairs and windows.
pub(crate) struct Contained<F> {
    what: &'static str,
    future: Option<Pin<Box<F>>>,
}

impl<F: Future> Contained<F> {
    pub(crate) fn new(what: &'static str, make: impl FnOnce() -> F) -> Self {
        let future = contain(what, "a new request", || Box::pin(make())).ok();
        Self { what, future }
    }
}

impl<F: Future> Future for Contained<F> {
    type Output = Result<F::Output, Panicked>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let what = self.what;
        let Some(future) = &mut self.future else { return Poll::Ready(Err(Panicked)) };
        let output = match contain(what, "a request", || future.as_mut().poll(cx)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => Ok(output),
            Err(panicked) => Err(panicked),
        };
        self.empty();
        Poll::Ready(output)
    }
}

impl<F> Contained<F> {
    fn empty(&mut self) {
        let future = self.future.take();
        let _ = contain(self.what, "a finished request", || drop(future));
    }
}

impl<F> Drop for Contained<F> {
    fn drop(&mut self) {
        self.empty();
    }
}
