//! Who polls a request that could not finish at once.

use core::future::Future;
use core::pin::Pin;
use core::ptr::NonNull;
use core::task::{Context, Poll};

/// Runs the requests that pend. An adapter is given one when it is opened; there is no ambient runtime.
///
/// # For implementors
/// - `spawn` is called from an entry and must not block (B5). It may run the task at once, on another thread, later,
///   or never: a task that is dropped completes its request with CANCELLED (B9). A panic in `spawn` is contained.
/// - Poll a new task at least once: its operation was polled before with a waker that does nothing.
/// - A Close that meets a request of its region inside of that one's entry is a task that pends until the entry has
///   returned. An executor that polls tasks to their end, or drops them, inside of `spawn` waits there: on another thread as
///   long as the entry takes, and on the entry's own stack, where the backend has called the consumer, for ever.
pub trait Executor: Send + Sync + 'static {
    /// Takes over a task.
    fn spawn(&self, task: Task);
}

impl<E: Executor + ?Sized> Executor for alloc::sync::Arc<E> {
    fn spawn(&self, task: Task) {
        (**self).spawn(task);
    }
}

/// A pending request on its way to an executor: two words, a future without output.
#[must_use = "a dropped task cancels its request"]
pub struct Task {
    object: Option<NonNull<()>>,
    vtable: &'static TaskVtable,
}

/// What a task's object can do. Both functions get the pointer given to [`Task::new`].
pub(crate) struct TaskVtable {
    /// Polls; on Ready the object has taken its reference back and the pointer is dead.
    pub(crate) poll: unsafe fn(NonNull<()>, &mut Context<'_>) -> Poll<()>,
    /// Gives the request up; the pointer is dead afterwards.
    pub(crate) abandon: unsafe fn(NonNull<()>),
}

// SAFETY: a task is the only holder of the right to poll its object, whose future is `Send` (`Task::new` asks for
// it); moving the task moves that right as a whole.
unsafe impl Send for Task {}

impl Task {
    /// # Safety
    /// `object` is what `vtable` works on, it stays valid until `poll` gave Ready or `abandon` was called, nobody
    /// else polls it meanwhile, and both may be called on any thread.
    pub(crate) unsafe fn new(object: NonNull<()>, vtable: &'static TaskVtable) -> Self {
        Self { object: Some(object), vtable }
    }
}

impl Future for Task {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(object) = self.object.take() else { return Poll::Ready(()) };
        // SAFETY: `new`'s promises; the pointer is put back only where `poll` left the object alive.
        let poll = unsafe { (self.vtable.poll)(object, cx) };
        if poll.is_pending() {
            self.object = Some(object);
        }
        poll
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(object) = self.object.take() {
            // SAFETY: `new`'s promises; the object was not finished by `poll`.
            unsafe { (self.vtable.abandon)(object) };
        }
    }
}

impl core::fmt::Debug for Task {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Task").field("finished", &self.object.is_none()).finish()
    }
}

#[cfg(all(feature = "std", not(loom)))]
pub use pool::ThreadPool;

#[cfg(all(feature = "std", not(loom)))]
mod pool {
    extern crate std;
    use super::{Executor, Task};
    use alloc::sync::Arc;
    use alloc::vec::Vec;
    use async_channel::{Receiver, Sender};
    use futures_lite::future::block_on;
    use std::thread::JoinHandle;

    /// The default executor: a few threads of its own that run an [`async_executor::Executor`].
    ///
    /// Dropping it stops the threads after the task each is running, and drops what has not finished (B9).
    #[derive(Debug)]
    pub struct ThreadPool {
        executor: Arc<async_executor::Executor<'static>>,
        running: Option<Sender<()>>,
        threads: Vec<JoinHandle<()>>,
    }

    impl ThreadPool {
        /// A pool of `threads` threads, at least one.
        ///
        /// # Errors
        /// The operating system gave no thread.
        pub fn new(threads: usize) -> std::io::Result<Self> {
            let (running, stopped) = async_channel::bounded(1);
            let mut pool =
                Self { executor: Arc::default(), running: Some(running), threads: Vec::new() };
            for index in 0..threads.max(1) {
                let (executor, stopped): (_, Receiver<()>) =
                    (pool.executor.clone(), stopped.clone());
                // The receive ends, with an error, once the pool has dropped its sender.
                let run = move || {
                    let _ = block_on(executor.run(stopped.recv()));
                };
                let thread = std::thread::Builder::new()
                    .name(std::format!("ndk-executor-{index}"))
                    .spawn(run)?;
                pool.threads.push(thread);
            }
            Ok(pool)
        }
    }

    impl Executor for ThreadPool {
        fn spawn(&self, task: Task) {
            self.executor.spawn(task).detach();
        }
    }

    impl Drop for ThreadPool {
        fn drop(&mut self) {
            self.running = None;
            let me = std::thread::current().id();
            for thread in self.threads.drain(..) {
                // The last owner may be a task that ran on one of these threads: a thread cannot wait for itself.
                if thread.thread().id() != me {
                    let _ = thread.join();
                }
            }
        }
    }
}
