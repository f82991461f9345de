//! Who runs what pends in these tests: a queue on the test's own thread, or threads.

use ndk_backend_sim::Clock;
use ndk_core::{Executor, Task, ThreadPool};
use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// The longest wait for something that must come: it ends a hang, no test that passes waits for a time.
const LIMIT: Duration = Duration::from_secs(60);

type Ready = Arc<Mutex<VecDeque<Arc<Cell>>>>;

/// An executor that runs tasks in the order in which they became ready, when it is told to, on that thread.
#[derive(Clone, Default)]
pub(crate) struct Queue(Ready);

struct Cell {
    /// Taken out while it is polled.
    task: Mutex<Option<Task>>,
    ready: Ready,
}

impl Wake for Cell {
    fn wake(self: Arc<Self>) {
        let ready = self.ready.clone();
        ready.lock().unwrap().push_back(self);
    }
}

impl Executor for Queue {
    fn spawn(&self, task: Task) {
        let cell = Cell { task: Mutex::new(Some(task)), ready: self.0.clone() };
        self.0.lock().unwrap().push_back(Arc::new(cell));
    }
}

impl Queue {
    /// Polls the first task that is ready; false where none is.
    fn run_one(&self) -> bool {
        let Some(cell) = self.0.lock().unwrap().pop_front() else { return false };
        let Some(mut task) = cell.task.lock().unwrap().take() else { return true };
        let waker = Waker::from(cell.clone());
        if Pin::new(&mut task).poll(&mut Context::from_waker(&waker)).is_pending() {
            *cell.task.lock().unwrap() = Some(task);
        }
        true
    }
}

/// What makes pending things go on.
#[derive(Clone)]
pub(crate) enum Pump {
    /// This thread, and the manual clock that stands still otherwise.
    Own(Queue, Clock),
    /// The threads of an executor.
    Threads(Arc<ThreadPool>),
}

impl Pump {
    /// A queue on this thread, with a manual clock.
    pub(crate) fn own() -> Self {
        Self::Own(Queue::default(), Clock::manual())
    }

    pub(crate) fn threads(count: usize) -> Self {
        Self::Threads(Arc::new(ThreadPool::new(count).expect("threads")))
    }

    pub(crate) fn executor(&self) -> Arc<dyn Executor> {
        match self {
            Self::Own(queue, _) => Arc::new(queue.clone()),
            Self::Threads(pool) => Arc::new(pool.clone()),
        }
    }

    /// The clock for an adapter that this drives.
    pub(crate) fn clock(&self) -> Clock {
        match self {
            Self::Own(_, clock) => clock.clone(),
            Self::Threads(_) => Clock::real(),
        }
    }

    /// Runs what is ready, without letting time pass.
    pub(crate) fn run_ready(&self) {
        if let Self::Own(queue, _) = self {
            while queue.run_one() {}
        }
    }

    /// Runs what is ready, and else lets time pass to the next deadline; false where nothing is left to wait for.
    pub(crate) fn turn(&self) -> bool {
        match self {
            Self::Own(queue, clock) => queue.run_one() || clock.advance_to_next(),
            Self::Threads(_) => {
                thread::sleep(Duration::from_micros(20));
                true
            }
        }
    }

    /// Goes on until `done`, which must come.
    pub(crate) fn until(&self, what: &str, mut done: impl FnMut() -> bool) {
        let start = Instant::now();
        while !done() {
            assert!(self.turn(), "{what}: never happens, since nothing is left to run");
            assert!(start.elapsed() < LIMIT, "{what}: did not happen in time");
        }
    }

    /// Runs a future to its end.
    pub(crate) fn block_on<F: Future>(&self, what: &str, future: F) -> F::Output {
        let mut future = pin!(future);
        let mut output = None;
        self.until(what, || {
            let poll = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            if let Poll::Ready(ready) = poll {
                output = Some(ready);
            }
            output.is_some()
        });
        output.expect("the future is ready")
    }
}
