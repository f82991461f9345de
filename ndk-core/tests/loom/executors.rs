//! What an executor may do with a task: another thread, the same thread at once, later, never.

use loom::sync::Mutex;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread::{self, JoinHandle};
use ndk_core::{Executor, Task};
use std::collections::VecDeque;
use std::sync::Arc;

/// Each task gets a thread of its own, that runs or drops it. It may be through before `spawn` returns.
pub(crate) struct Threads {
    work: fn(Task),
    // A lock that loom does not see: it is held for no loom operation, so no other thread ever waits for it.
    started: std::sync::Mutex<Vec<JoinHandle<()>>>,
}

impl Threads {
    pub(crate) fn that_run() -> Arc<Self> {
        Arc::new(Self { work: loom::future::block_on, started: Default::default() })
    }

    pub(crate) fn that_drop() -> Arc<Self> {
        Arc::new(Self { work: drop, started: Default::default() })
    }

    /// Waits for every thread, those included that tasks start meanwhile.
    pub(crate) fn join(&self) {
        loop {
            let Some(thread) = self.started.lock().unwrap().pop() else { return };
            thread.join().unwrap();
        }
    }

    /// What an adapter is given.
    pub(crate) fn lent(self: &Arc<Self>) -> Arc<Lent> {
        Arc::new(Lent { threads: self.clone(), uses: AtomicUsize::new(0) })
    }
}

/// The adapter's hold on the threads. It notes that it is still there when `spawn` is about to return (H5).
pub(crate) struct Lent {
    threads: Arc<Threads>,
    uses: AtomicUsize,
}

impl Executor for Lent {
    fn spawn(&self, task: Task) {
        let work = self.threads.work;
        let thread = thread::spawn(move || work(task));
        self.threads.started.lock().unwrap().push(thread);
        self.uses.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // Every use happened before, or loom reports it.
            self.uses.with_mut(|_| ());
        }
    }
}

/// Runs a task on the spot, within `spawn`.
pub(crate) struct OnTheSpot;

impl Executor for OnTheSpot {
    fn spawn(&self, task: Task) {
        loom::future::block_on(task);
    }
}

/// Keeps tasks until some thread runs them.
#[derive(Default)]
pub(crate) struct Queue(Mutex<VecDeque<Task>>);

impl Queue {
    /// Runs what is there, one after the other.
    pub(crate) fn run(&self) {
        loop {
            let task = self.0.lock().unwrap().pop_front();
            let Some(task) = task else { return };
            loom::future::block_on(task);
        }
    }
}

impl Executor for Queue {
    fn spawn(&self, task: Task) {
        self.0.lock().unwrap().push_back(task);
    }
}
