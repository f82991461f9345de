//! Requests that pend at the backend, and the thread that looks at how long (V24).

use super::desk::Desk;
use super::desks;
use crate::platform::Std;
use crate::sync::Mutex;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::task::Poll;
use core::time::Duration;
use slab::Slab;
use std::sync::OnceLock;
use std::thread::{self, Thread};
use std::time::Instant;

/// The requests of an adapter that pend.
pub(super) struct Waits(Mutex<Std, Slab<Arc<Wait>>>);

struct Wait {
    id: u64,
    call: &'static str,
    since: Instant,
    /// How often it was polled after its entry.
    polls: AtomicU64,
    told: AtomicBool,
}

impl Waits {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Slab::new()))
    }

    /// Those that pend for longer than `limit`, and were not told of. One that its executor has not polled is none: the
    /// backend may have finished long ago.
    fn overdue(&self, limit: Duration) -> Vec<(u64, String)> {
        let waits = self.0.lock();
        let overdue = waits.iter().filter_map(|(_, wait)| {
            let (age, polls) = (wait.since.elapsed(), wait.polls.load(Ordering::Acquire));
            if age < limit || polls == 0 || wait.told.swap(true, Ordering::AcqRel) {
                return None;
            }
            let did = format!("{} pends for longer than the limit of {limit:?}", wait.call);
            Some((wait.id, did))
        });
        overdue.collect()
    }
}

/// A request that pends; it does no longer where this is dropped.
struct Pending<'d> {
    desk: &'d Desk,
    place: usize,
    wait: Arc<Wait>,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.desk.waits.0.lock().remove(self.place);
    }
}

impl Desk {
    /// Runs an operation of the backend; `pended` is called where it has pended for the first time.
    pub(super) async fn run<F: Future>(
        &self,
        id: u64,
        call: &'static str,
        operation: F,
        mut pended: impl FnMut(),
    ) -> F::Output {
        let mut operation = pin!(operation);
        let mut pending = None;
        poll_fn(|cx| {
            let polled = operation.as_mut().poll(cx);
            if polled.is_pending() {
                match &pending {
                    None => {
                        pended();
                        pending = Some(self.wait(id, call));
                    }
                    Some(Pending { wait, .. }) => {
                        wait.polls.fetch_add(1, Ordering::AcqRel);
                    }
                }
                return Poll::Pending;
            }
            polled
        })
        .await
    }

    fn wait(&self, id: u64, call: &'static str) -> Pending<'_> {
        let wait = Arc::new(Wait {
            id,
            call,
            since: Instant::now(),
            polls: AtomicU64::new(0),
            told: AtomicBool::new(false),
        });
        let place = self.waits.0.lock().insert(wait.clone());
        wake_thread();
        Pending { desk: self, place, wait }
    }
}

static THREAD: OnceLock<Option<Thread>> = OnceLock::new();
/// The thread sleeps until it is woken.
static ASLEEP: AtomicBool = AtomicBool::new(false);

fn wake_thread() {
    let thread = THREAD.get_or_init(|| {
        let builder = thread::Builder::new().name("ndk-verifier".into());
        match builder.spawn(watch) {
            Ok(thread) => Some(thread.thread().clone()),
            Err(error) => {
                log::error!("no thread to see which requests pend for too long: {error} [V24]");
                None
            }
        }
    });
    if ASLEEP.swap(false, Ordering::AcqRel)
        && let Some(thread) = thread
    {
        thread.unpark();
    }
}

fn watch() {
    loop {
        let desks = desks::all();
        let waiting: Vec<_> =
            desks.into_iter().filter(|desk| !desk.waits.0.lock().is_empty()).collect();
        let Some(limit) = waiting.iter().map(|desk| desk.limit()).min() else {
            ASLEEP.store(true, Ordering::Release);
            // A request that pended meanwhile has seen the thread awake, or wakes it.
            if desks::all().iter().all(|desk| desk.waits.0.lock().is_empty()) {
                thread::park();
            }
            ASLEEP.store(false, Ordering::Release);
            continue;
        };
        for desk in &waiting {
            for (id, did) in desk.waits.overdue(desk.limit()) {
                desk.provider(vec!["V24", "B2"], id, did);
            }
        }
        // Not to keep an adapter's desk while asleep.
        drop(waiting);
        thread::park_timeout((limit / 4).clamp(Duration::from_millis(1), Duration::from_secs(1)));
    }
}
