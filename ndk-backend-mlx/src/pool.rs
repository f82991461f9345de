//! Threads for kernel calls that block, so that no entry does (B5).

use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;

type Job = Box<dyn FnOnce() + Send>;

/// A bounded number of threads, started as they are needed, which carry jobs out in the order in which they come.
///
/// A job once given is carried out, whoever still waits for it: a kernel call cannot be cancelled.
#[derive(Default)]
pub(crate) struct Pool {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: Vec<JoinHandle<()>>,
    apart: Vec<JoinHandle<()>>,
    idle: usize,
    ended: bool,
}

/// More would wait for the kernel's locks on the process's memory.
const MOST_THREADS: usize = 4;

impl Pool {
    /// Gives a job to the threads. After `end` it runs on this one.
    pub(crate) fn spawn(self: &Arc<Self>, job: impl FnOnce() + Send + 'static) {
        let mut state = self.state.lock();
        if state.ended {
            drop(state);
            return job();
        }
        state.jobs.push_back(Box::new(job));
        if state.idle < state.jobs.len() && state.threads.len() < MOST_THREADS {
            let pool = self.clone();
            let named = std::thread::Builder::new().name("ndk-mlx".into());
            match named.spawn(move || pool.serve()) {
                Ok(thread) => state.threads.push(thread),
                Err(error) if state.threads.is_empty() => {
                    log::error!("no thread for kernel calls can be started: {error}");
                    let job = state.jobs.pop_back();
                    drop(state);
                    return job.into_iter().for_each(|job| job());
                }
                Err(_) => {}
            }
        }
        drop(state);
        self.work.notify_one();
    }

    /// Carries a function out on a thread. A dropped future leaves it running, and its result is dropped.
    pub(crate) fn run<R: Send + 'static>(
        self: &Arc<Self>,
        function: impl FnOnce() -> R + Send + 'static,
    ) -> Running<R> {
        let (running, job) = Running::new(function);
        self.spawn(job);
        running
    }

    /// As `run`, on a thread of its own: for what takes as long as somebody else likes.
    pub(crate) fn run_apart<R: Send + 'static>(
        self: &Arc<Self>,
        function: impl FnOnce() -> R + Send + 'static,
    ) -> Running<R> {
        let (running, job) = Running::new(function);
        // Shared, so that it is not lost with a thread that does not start.
        let job = Arc::new(Mutex::new(Some(job)));
        let given = job.clone();
        let run = move || {
            let job = given.lock().take();
            job.into_iter().for_each(|job| job());
        };
        match std::thread::Builder::new().name("ndk-mlx-connect".into()).spawn(run) {
            Ok(thread) => {
                let mut state = self.state.lock();
                state.apart.retain(|thread| !thread.is_finished());
                state.apart.push(thread);
            }
            Err(error) => {
                log::warn!("no thread for a connection can be started: {error}");
                let job = job.lock().take();
                job.into_iter().for_each(|job| self.spawn(job));
            }
        }
        running
    }

    fn serve(&self) {
        let mut state = self.state.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                // Whoever waits for the job's result is told of the panic; nobody else is to be.
                let _ = catch_unwind(AssertUnwindSafe(job));
                state = self.state.lock();
            } else if state.ended {
                return;
            } else {
                state.idle += 1;
                self.work.wait(&mut state);
                state.idle -= 1;
            }
        }
    }

    /// Waits for every job, and ends the threads.
    pub(crate) fn end(&self) {
        let threads = {
            let mut state = self.state.lock();
            state.ended = true;
            (std::mem::take(&mut state.threads), std::mem::take(&mut state.apart))
        };
        self.work.notify_all();
        for thread in threads.0.into_iter().chain(threads.1) {
            let _ = thread.join();
        }
    }
}

struct Answer<R> {
    result: Option<std::thread::Result<R>>,
    waker: Option<Waker>,
}

/// A function on its way through the pool.
#[must_use = "what is not awaited runs all the same"]
pub(crate) struct Running<R>(Arc<Mutex<Answer<R>>>);

impl<R: Send + 'static> Running<R> {
    /// The future of a function's result, and the job that gives it.
    fn new(
        function: impl FnOnce() -> R + Send + 'static,
    ) -> (Self, impl FnOnce() + Send + 'static) {
        let shared = Arc::new(Mutex::new(Answer { result: None, waker: None }));
        let answer = shared.clone();
        let job = move || {
            let result = catch_unwind(AssertUnwindSafe(function));
            let waker = {
                let mut answer = answer.lock();
                answer.result = Some(result);
                answer.waker.take()
            };
            waker.into_iter().for_each(Waker::wake);
        };
        (Self(shared), job)
    }
}

impl<R> Future for Running<R> {
    type Output = R;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<R> {
        let waker = cx.waker().clone();
        let mut answer = self.0.lock();
        match answer.result.take() {
            Some(Ok(result)) => Poll::Ready(result),
            Some(Err(panic)) => {
                drop(answer);
                std::panic::resume_unwind(panic)
            }
            None => {
                answer.waker = Some(waker);
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;

    fn wait<R>(running: Running<R>) -> R {
        struct Thread(std::thread::Thread);
        impl std::task::Wake for Thread {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let waker = Waker::from(Arc::new(Thread(std::thread::current())));
        let mut running = std::pin::pin!(running);
        loop {
            match running.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(result) => return result,
                Poll::Pending => std::thread::park(),
            }
        }
    }

    #[test]
    fn a_function_runs_elsewhere_and_its_result_comes() {
        let pool = Arc::<Pool>::default();
        let here = std::thread::current().id();
        let there = wait(pool.run(move || std::thread::current().id()));
        assert_ne!(here, there);
        pool.end();
    }

    #[test]
    fn jobs_that_wait_for_each_other_have_threads_of_their_own_up_to_the_bound() {
        let pool = Arc::<Pool>::default();
        let (send, receive) = channel();
        let receive = Mutex::new(receive);
        let waiting = pool.run(move || receive.lock().recv().unwrap());
        let sent = pool.run(move || send.send(7).unwrap());
        assert_eq!(wait(waiting), 7);
        wait(sent);
        for _ in 0..100 {
            drop(pool.run(|| ()));
        }
        assert!(pool.state.lock().threads.len() <= MOST_THREADS);
        pool.end();
    }

    #[test]
    fn what_nobody_waits_for_is_carried_out_before_the_end() {
        let (pool, ran) = (Arc::<Pool>::default(), Arc::new(AtomicUsize::new(0)));
        for _ in 0..50 {
            let ran = ran.clone();
            drop(pool.run(move || ran.fetch_add(1, Ordering::Relaxed)));
        }
        pool.end();
        assert_eq!(ran.load(Ordering::Relaxed), 50);
        let late = ran.clone();
        pool.spawn(move || {
            late.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(ran.load(Ordering::Relaxed), 51, "after the end, on this thread");
    }

    #[test]
    fn a_panic_reaches_who_waits_and_ends_no_thread() {
        let pool = Arc::<Pool>::default();
        let panics = pool.run(|| std::panic::resume_unwind(Box::new("planted")));
        assert!(catch_unwind(AssertUnwindSafe(|| wait(panics))).is_err());
        assert_eq!(wait(pool.run(|| 3)), 3);
        pool.end();
    }
}
