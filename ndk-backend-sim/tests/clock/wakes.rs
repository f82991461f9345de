//! A waker that counts.

use ndk_backend_sim::Sleep;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};

/// Counts how often it was woken, and may do something each time.
pub(crate) struct Wakes(Arc<Inner>);

struct Inner {
    count: AtomicUsize,
    call: Box<dyn Fn() + Send + Sync>,
}

impl Wakes {
    pub(crate) fn new() -> Self {
        Self::calling(|| ())
    }

    pub(crate) fn calling(call: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner { count: AtomicUsize::new(0), call: Box::new(call) }))
    }

    pub(crate) fn count(&self) -> usize {
        self.0.count.load(Ordering::SeqCst)
    }

    /// Who holds the waker, this value included.
    pub(crate) fn holders(&self) -> usize {
        Arc::strong_count(&self.0)
    }
}

impl Wake for Inner {
    fn wake(self: Arc<Self>) {
        self.count.fetch_add(1, Ordering::SeqCst);
        (self.call)();
    }
}

/// Polls once; true where the sleep is over.
pub(crate) fn poll(sleep: &mut Sleep, wakes: &Wakes) -> bool {
    let waker = Waker::from(wakes.0.clone());
    Pin::new(sleep).poll(&mut Context::from_waker(&waker)).is_ready()
}
