//! Calls into a table of anybody's: each request owns what it needs until its callback has run, whoever still waits.

mod cause;
pub(crate) mod entry;
mod lam;
mod opener;
pub(crate) mod ticket;

pub(crate) use cause::Entry;
pub(crate) use lam::Lam;
pub(crate) use opener::{Opener, OpenerFn, close_later};

use crate::abi::{
    NDK_FN_CLOSE_COMPLETION, NDK_FN_CREATE_COMPLETION, NDK_FN_REQUEST_COMPLETION,
    NDK_OBJECT_HEADER, NTSTATUS, PVOID, STATUS_PENDING, STATUS_SUCCESS,
};
use crate::platform::Std;
use crate::sync::Mutex;
use alloc::sync::Arc;
use core::future::Future;
use core::mem;
use core::pin::Pin;
use core::ptr::null_mut;
use core::task::{Context, Poll, Waker};

/// What a request needs until its callback.
pub(crate) trait Request: Send + Sized + 'static {
    /// What the callback, or the entry's return, brings.
    type Output: Send;

    /// The request is over and nobody waits for it any more. May run inside the callback.
    fn unclaimed(self, output: Self::Output) {
        drop((self, output));
    }
}

/// The outcome of a creation.
#[derive(Debug)]
pub(crate) struct Created {
    pub(crate) status: NTSTATUS,
    pub(crate) object: *mut NDK_OBJECT_HEADER,
}

// SAFETY: a pointer to an NDK object, which may be used from any thread.
unsafe impl Send for Created {}

enum State<R: Request> {
    Running(R, Option<Waker>),
    Unclaimed(R),
    Over(R, R::Output),
    Taken,
}

struct Cell<R: Request>(Mutex<Std, State<R>>);

impl<R: Request> Cell<R> {
    fn complete(&self, output: R::Output) {
        // Foreign code (wakers, what is dropped) runs after the lock is let go.
        let (waker, unclaimed) = {
            let mut state = self.0.lock();
            match mem::replace(&mut *state, State::Taken) {
                State::Running(request, waker) => {
                    *state = State::Over(request, output);
                    (waker, None)
                }
                State::Unclaimed(request) => (None, Some((request, output))),
                over => {
                    *state = over;
                    log::error!("a completion was called twice [B2]");
                    (None, None)
                }
            }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        if let Some((request, output)) = unclaimed {
            request.unclaimed(output);
        }
    }

    /// Hands the cell to C as a context.
    fn into_context(self: Arc<Self>) -> PVOID {
        Arc::into_raw(self).cast_mut().cast()
    }

    /// # Safety
    /// `context` comes from `into_context`, and comes back once.
    unsafe fn from_context(context: PVOID) -> Arc<Self> {
        // SAFETY: the caller's promise.
        unsafe { Arc::from_raw(context.cast_const().cast()) }
    }
}

/// A request on its way. Dropping it gives up the waiting only: the request goes on, and keeps what it needs.
pub(crate) struct Running<R: Request>(Arc<Cell<R>>);

impl<R: Request> Future for Running<R> {
    type Output = (R, R::Output);

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let waker = cx.waker().clone();
        let (result, _old) = {
            let mut state = self.0.0.lock();
            match mem::replace(&mut *state, State::Taken) {
                State::Over(request, output) => (Poll::Ready((request, output)), None),
                State::Running(request, old) => {
                    *state = State::Running(request, Some(waker));
                    (Poll::Pending, old)
                }
                State::Unclaimed(_) | State::Taken => panic!("polled after the request was over"),
            }
        };
        result
    }
}

impl<R: Request> Drop for Running<R> {
    fn drop(&mut self) {
        let (over, _waker) = {
            let mut state = self.0.0.lock();
            match mem::replace(&mut *state, State::Taken) {
                State::Running(request, waker) => {
                    *state = State::Unclaimed(request);
                    (None, waker)
                }
                State::Over(request, output) => (Some((request, output)), None),
                State::Unclaimed(_) | State::Taken => (None, None),
            }
        };
        if let Some((request, output)) = over {
            request.unclaimed(output);
        }
    }
}

fn start<R: Request>(
    request: R,
    entry: impl FnOnce(PVOID) -> NTSTATUS,
    inline: impl FnOnce(NTSTATUS) -> R::Output,
) -> Running<R> {
    let cell = Arc::new(Cell(Mutex::new(State::Running(request, None))));
    let context = cell.clone().into_context();
    let status = entry(context);
    if status != STATUS_PENDING {
        // SAFETY: the callback, which would have taken the context back, is never called (B1).
        drop(unsafe { Cell::<R>::from_context(context) });
        cell.complete(inline(status));
    }
    Running(cell)
}

/// Starts a request by calling an entry with a completion routine and its context.
///
/// # Safety
/// The entry keeps B1 and B2: the routine is called once, with the context, where it returned PENDING, and else never.
pub(crate) unsafe fn start_request<R: Request<Output = NTSTATUS>>(
    request: R,
    entry: impl FnOnce(Option<NDK_FN_REQUEST_COMPLETION>, PVOID) -> NTSTATUS,
) -> Running<R> {
    start(request, |context| entry(Some(request_done::<R>), context), |status| status)
}

/// Starts a close; one that pends cannot fail any more.
///
/// # Safety
/// As for [`start_request`].
pub(crate) unsafe fn start_close<R: Request<Output = NTSTATUS>>(
    request: R,
    entry: impl FnOnce(Option<NDK_FN_CLOSE_COMPLETION>, PVOID) -> NTSTATUS,
) -> Running<R> {
    start(request, |context| entry(Some(close_done::<R>), context), |status| status)
}

/// Starts a creation; an object that is created inline comes through the last argument (A1).
///
/// # Safety
/// As for [`start_request`].
pub(crate) unsafe fn start_create<R: Request<Output = Created>>(
    request: R,
    entry: impl FnOnce(Option<NDK_FN_CREATE_COMPLETION>, PVOID, *mut *mut NDK_OBJECT_HEADER) -> NTSTATUS,
) -> Running<R> {
    let mut object = null_mut();
    let out = &raw mut object;
    start(
        request,
        |context| entry(Some(create_done::<R>), context, out),
        // SAFETY: the local is alive, and the entry is through with it.
        |status| Created { status, object: unsafe { out.read() } },
    )
}

/// # Safety
/// The context is that of a request of this type, and the routine is called once.
unsafe extern "system" fn request_done<R: Request<Output = NTSTATUS>>(
    context: PVOID,
    status: NTSTATUS,
) {
    // SAFETY: the caller's promise.
    unsafe { Cell::<R>::from_context(context) }.complete(status);
}

/// # Safety
/// As for `request_done`.
unsafe extern "system" fn close_done<R: Request<Output = NTSTATUS>>(context: PVOID) {
    // SAFETY: the caller's promise.
    unsafe { Cell::<R>::from_context(context) }.complete(STATUS_SUCCESS);
}

/// # Safety
/// As for `request_done`.
unsafe extern "system" fn create_done<R: Request<Output = Created>>(
    context: PVOID,
    status: NTSTATUS,
    object: *mut NDK_OBJECT_HEADER,
) {
    // SAFETY: the caller's promise.
    unsafe { Cell::<R>::from_context(context) }.complete(Created { status, object });
}
