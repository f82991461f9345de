//! Requests that own an allocation: creation, the close of a domain, mappings. Those of a region have its slot.

use crate::contain::{contain, panicked};
use crate::error::{Error, ErrorKind, Result};
use crate::executor::{Task, TaskVtable};
use alloc::boxed::Box;
use core::future::Future;
use core::pin::Pin;
use core::ptr::NonNull;
use core::task::{Context, Poll, Waker};

/// What a request that started as a job came to.
pub(crate) enum Started<T> {
    /// It is over.
    Ready(Result<T>),
    /// It goes on as this task.
    Pending(Task),
}

/// What the future gets whose task the executor drops (B9).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// Nothing: the request is cancelled.
    Cancelled,
    /// One more poll on that thread: a close that need not wait any more is an ordinary one.
    PolledOnce,
}

/// Makes the future, polls it once, and turns it into a task if it is not ready. `done` runs exactly once, where
/// the task ends: with the result, or with CANCELLED where the executor dropped it (B9).
pub(crate) fn start<F, D>(
    what: &'static str,
    dropped: Dropped,
    make: impl FnOnce() -> F,
    done: D,
) -> Started<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send,
    D: FnOnce(Result<F::Output>) + Send + 'static,
{
    let first = contain(what, "a new request", || {
        let mut future = Box::pin(make());
        let poll = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        (poll, future)
    });
    match first {
        Ok((Poll::Ready(output), future)) => {
            // Apart from the poll, so that a panic here does not lose what was made.
            let _ = contain(what, "a finished request", || drop(future));
            Started::Ready(Ok(output))
        }
        Ok((Poll::Pending, future)) => {
            Started::Pending(Job { what, future, done, dropped }.into_task())
        }
        Err(_) => Started::Ready(Err(panicked())),
    }
}

/// A close that starts in the executor.
pub(crate) fn deferred<F, D>(what: &'static str, future: F, done: D) -> Task
where
    F: Future + Send + 'static,
    F::Output: Send,
    D: FnOnce(Result<F::Output>) + Send + 'static,
{
    Job { what, future: Box::pin(future), done, dropped: Dropped::PolledOnce }.into_task()
}

struct Job<F: Future, D> {
    what: &'static str,
    future: Pin<Box<F>>,
    done: D,
    dropped: Dropped,
}

impl<F, D> Job<F, D>
where
    F: Future + Send + 'static,
    F::Output: Send,
    D: FnOnce(Result<F::Output>) + Send + 'static,
{
    const VTABLE: TaskVtable = TaskVtable { poll: Self::poll, abandon: Self::abandon };

    fn into_task(self) -> Task {
        let job = NonNull::from(Box::leak(Box::new(self))).cast();
        // SAFETY: the box is valid until `poll` gives Ready or `abandon` is called, which take it back; future and
        // `done` are Send, so any thread may do so.
        unsafe { Task::new(job, &Self::VTABLE) }
    }

    /// # Safety
    /// `job` is a leaked `Box<Self>` that is this call's alone.
    unsafe fn poll(job: NonNull<()>, cx: &mut Context<'_>) -> Poll<()> {
        // SAFETY: the caller's promise.
        let this = unsafe { job.cast::<Self>().as_mut() };
        let what = this.what;
        let result = match contain(what, "a pending request", || this.future.as_mut().poll(cx)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => Ok(output),
            Err(_) => Err(panicked()),
        };
        // SAFETY: the caller's promise; Ready ends the pointer's life.
        unsafe { Self::finish(job, result) };
        Poll::Ready(())
    }

    /// # Safety
    /// As for `poll`.
    unsafe fn abandon(job: NonNull<()>) {
        // SAFETY: the caller's promise.
        if unsafe { job.cast::<Self>().as_ref() }.dropped == Dropped::PolledOnce {
            let mut cx = Context::from_waker(Waker::noop());
            // SAFETY: the caller's promise.
            if unsafe { Self::poll(job, &mut cx) }.is_ready() {
                return;
            }
        }
        let dropped =
            Error::new(ErrorKind::Cancelled, "the executor dropped the request").rule("B9");
        // SAFETY: the caller's promise; the job was not finished.
        unsafe { Self::finish(job, Err(dropped)) };
    }

    /// # Safety
    /// As for `poll`, and the box is not used afterwards.
    unsafe fn finish(job: NonNull<()>, result: Result<F::Output>) {
        // SAFETY: the caller's promise.
        let Job { what, future, done, .. } = *unsafe { Box::from_raw(job.cast::<Self>().as_ptr()) };
        // What the future borrows is let go before `done` may free it.
        let _ = contain(what, "a finished request", || drop(future));
        done(result);
    }
}
