//! Panics of foreign code stop here (B8).

/// Foreign code panicked; what it said is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Panicked;

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

/// As `contain`, for a future: each of its polls.
pub(crate) async fn contain_future<F: Future>(
    what: &'static str,
    name: impl core::fmt::Display,
    future: F,
) -> Result<F::Output, Panicked> {
    let mut future = core::pin::pin!(future);
    core::future::poll_fn(|cx| match contain(what, &name, || future.as_mut().poll(cx)) {
        Ok(poll) => poll.map(Ok),
        Err(panicked) => core::task::Poll::Ready(Err(panicked)),
    })
    .await
}
