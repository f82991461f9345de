//! What an operation of the backend comes to, and what a test does in the middle of it.

use futures_lite::future::yield_now;
use ndk_core::{Error, ErrorKind, Result};
use std::future::{pending, poll_fn};
use std::panic::resume_unwind;
use std::sync::Mutex;
use std::task::Poll;

/// What a test does once, inside an operation.
#[derive(Default)]
pub(crate) struct Hook(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl Hook {
    pub(crate) fn set(&self, what: impl FnOnce() + Send + 'static) {
        *self.0.lock().unwrap() = Some(Box::new(what));
    }

    pub(crate) fn call(&self) {
        // Taken first: what it does may come back here.
        let what = self.0.lock().unwrap().take();
        if let Some(what) = what {
            what();
        }
    }
}

/// What an operation comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum End {
    #[default]
    Succeed,
    Fail,
    /// It pends, and nothing ever wakes it.
    Hang,
    /// It pends until it is to come to another end, which wakes nobody.
    Wait,
    Panic,
    /// It pends, and panics when it is polled again.
    HangThenPanic,
}

impl End {
    /// As an answer at once; what would pend is none.
    pub(crate) fn at_once(self) -> Option<Result<()>> {
        match self {
            Self::Succeed => Some(Ok(())),
            Self::Fail => Some(Err(Error::new(ErrorKind::InsufficientResources, "planted"))),
            Self::Hang | Self::Wait | Self::HangThenPanic => None,
            Self::Panic => resume_unwind(Box::new("planted")),
        }
    }
}

/// What one kind of operation does, from now on.
#[derive(Default)]
pub(crate) struct Operation {
    pub(crate) hook: Hook,
    end: Mutex<End>,
}

impl Operation {
    pub(crate) fn set(&self, end: End) {
        *self.end.lock().unwrap() = end;
    }

    pub(crate) fn call(&self) -> End {
        self.hook.call();
        *self.end.lock().unwrap()
    }

    pub(crate) async fn run(&self) -> Result<()> {
        let called = self.call();
        let end = poll_fn(|_| match called {
            End::Wait => match *self.end.lock().unwrap() {
                End::Wait => Poll::Pending,
                end => Poll::Ready(end),
            },
            end => Poll::Ready(end),
        });
        match end.await {
            End::Succeed => Ok(()),
            End::Fail => Err(Error::new(ErrorKind::InsufficientResources, "planted")),
            End::Hang | End::Wait => pending().await,
            End::Panic => resume_unwind(Box::new("planted")),
            End::HangThenPanic => {
                yield_now().await;
                resume_unwind(Box::new("planted"))
            }
        }
    }
}
