//! Executors of all manners, and polling by hand.

use ndk_core::{Executor, Task};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

/// Polls once, with a waker that does nothing.
pub fn poll_once<F: Future + ?Sized>(future: &mut Pin<Box<F>>) -> Option<F::Output> {
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Keeps what is spawned until it is told to run it.
#[derive(Default)]
pub struct Manual(Mutex<Vec<Task>>);

impl Manual {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Runs what there is, and what comes of it, as long as anything ends; how many tasks are left.
    pub fn run(&self) -> usize {
        let mut left = Vec::new();
        for _ in 0..1000 {
            left.append(&mut self.0.lock().unwrap());
            left.retain_mut(|task| {
                Pin::new(task).poll(&mut Context::from_waker(Waker::noop())).is_pending()
            });
        }
        let count = left.len();
        self.0.lock().unwrap().append(&mut left);
        count
    }

    pub fn waiting(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

impl Executor for Manual {
    fn spawn(&self, task: Task) {
        self.0.lock().unwrap().push(task);
    }
}

/// Drops the tasks that it is given while it is told to.
#[derive(Default)]
pub struct Dropping(pub Mutex<How>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum How {
    #[default]
    Run,
    Drop,
    Panic,
    Thread,
}

impl Executor for Dropping {
    fn spawn(&self, mut task: Task) {
        let how = *self.0.lock().unwrap();
        match how {
            How::Run => {
                let mut cx = Context::from_waker(Waker::noop());
                while Pin::new(&mut task).poll(&mut cx).is_pending() {}
            }
            How::Drop => drop(task),
            How::Panic => panic!("an executor's own trouble"),
            How::Thread => drop(std::thread::spawn(move || drop(task)).join()),
        }
    }
}
