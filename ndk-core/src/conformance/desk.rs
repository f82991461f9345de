//! The harness's executor: deterministic, pumped by the case that runs, and as badly behaved as the case wants it.

use super::control::Control;
use super::hooks::{NO_EXECUTOR, leave_out};
use super::ticket::{Bell, lock};
use crate::executor::{Executor, Task};
use std::collections::VecDeque;
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

/// What becomes of a task that is spawned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spawning {
    /// It waits until the case pumps.
    Queue,
    /// It runs inside `spawn`, so that its callback comes before the entry has returned.
    Inside,
    /// It runs on another thread before `spawn` returns.
    OtherThread,
    /// `spawn` panics; unwinding drops the task.
    Panic,
    /// The task is dropped.
    Drop,
}

impl Spawning {
    /// Every way but the well-behaved queue.
    pub(super) const UNRULY: [Self; 4] = [Self::Inside, Self::OtherThread, Self::Panic, Self::Drop];

    /// Whether the task is dropped unfinished, so that its request completes with CANCELLED (B9).
    pub(super) fn gives_up(self) -> bool {
        matches!(self, Self::Panic | Self::Drop)
    }
}

/// The executor.
pub(super) struct Desk {
    me: Weak<Desk>,
    spawning: Mutex<Spawning>,
    ready: Mutex<VecDeque<Arc<Job>>>,
    /// Every job that was taken, to find those that wait.
    taken: Mutex<Vec<Weak<Job>>>,
    bell: Arc<Bell>,
    control: Arc<Control>,
}

impl Desk {
    pub(super) fn new(bell: Arc<Bell>, control: Arc<Control>) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            spawning: Mutex::new(Spawning::Queue),
            ready: Mutex::default(),
            taken: Mutex::default(),
            bell,
            control,
        })
    }

    pub(super) fn set_spawning(&self, spawning: Spawning) {
        self.control.set_spawning(spawning);
        *lock(&self.spawning) = spawning;
    }

    /// Gives up every task that is not finished.
    pub(super) fn drop_tasks(&self) {
        if self.control.hooks().is_some() {
            leave_out(NO_EXECUTOR);
        }
        lock(&self.ready).clear();
        let taken = std::mem::take(&mut *lock(&self.taken));
        for job in taken.iter().filter_map(Weak::upgrade) {
            let task = lock(&job.task).take();
            drop(task);
        }
    }

    /// Polls what is ready until nothing is.
    pub(super) fn run_until_idle(&self) {
        loop {
            // A statement of its own, so that the lock is free while the job runs.
            let job = lock(&self.ready).pop_front();
            let Some(job) = job else { return };
            job.run();
        }
    }
}

impl Executor for Desk {
    fn spawn(&self, task: Task) {
        let spawning = *lock(&self.spawning);
        let job = |task| {
            let desk = self.me.clone();
            let job = Job { task: Mutex::new(Some(task)), queued: AtomicBool::new(true), desk };
            let job = Arc::new(job);
            let mut taken = lock(&self.taken);
            if taken.len() >= 1000 {
                taken.retain(|job| job.strong_count() > 0);
            }
            taken.push(Arc::downgrade(&job));
            job
        };
        match spawning {
            Spawning::Queue => lock(&self.ready).push_back(job(task)),
            Spawning::Inside => job(task).run_to_its_end(),
            Spawning::OtherThread => {
                let job = job(task);
                let run = move || job.run_to_its_end();
                thread::spawn(run).join().expect("a task contains its panics");
            }
            Spawning::Panic => {
                let _unwound = task;
                blow("planted: spawn")
            }
            Spawning::Drop => drop(task),
        }
        self.bell.ring();
    }
}

/// A panic without the usual report, since it is wanted.
pub(super) fn blow(message: &'static str) -> ! {
    resume_unwind(Box::new(message))
}

struct Job {
    task: Mutex<Option<Task>>,
    queued: AtomicBool,
    desk: Weak<Desk>,
}

impl Job {
    fn run(self: Arc<Self>) {
        self.queued.store(false, Ordering::SeqCst);
        let waker = Waker::from(self.clone());
        // Whoever polls holds the lock; a wake meanwhile queues the job again, for later.
        let mut task = lock(&self.task);
        if let Some(running) = &mut *task {
            let poll = pin!(running).poll(&mut Context::from_waker(&waker));
            if poll == Poll::Ready(()) {
                *task = None;
            }
        }
    }

    /// Runs the job outside the queue until it is done, or a gate is closed, which it may be waiting at.
    fn run_to_its_end(self: Arc<Self>) {
        let Some(desk) = self.desk.upgrade() else { return };
        loop {
            let seen = desk.bell.rings();
            self.clone().run();
            if lock(&self.task).is_none() {
                return;
            }
            let mut ready = lock(&desk.ready);
            if let Some(place) = ready.iter().position(|job| Arc::ptr_eq(job, &self)) {
                ready.remove(place);
                continue;
            }
            drop(ready);
            if desk.control.is_holding() || !desk.bell.wait(seen) {
                return;
            }
        }
    }
}

impl Wake for Job {
    fn wake(self: Arc<Self>) {
        if self.queued.swap(true, Ordering::SeqCst) {
            return;
        }
        if let Some(desk) = self.desk.upgrade() {
            lock(&desk.ready).push_back(self);
            desk.bell.ring();
        }
    }
}
