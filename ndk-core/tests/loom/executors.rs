//! What an executor may do with a task: another thread, the same thread at once, later, never.

use loom::sync::Mutex;
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
}

impl Executor for Threads {
    fn spawn(&self, task: Task) {
        let work = self.work;
        let thread = thread::spawn(move || work(task));
        self.started.lock().unwrap().push(thread);
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
