//! The simulator's time: what waits for a moment of it, and who makes it pass.

mod sleep;
mod timers;

pub use sleep::Sleep;
pub use timers::TimerId;

use std::any::Any;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use timers::{Action, Timers};

/// A handle to a clock; clones of it are the same clock. Of two kinds, one mechanism:
///
/// - a *manual* clock stands still until somebody calls [`advance`](Self::advance) or
///   [`advance_to_next`](Self::advance_to_next). Driven by one thread, everything that depends on it happens in the
///   same order each time;
/// - a *real* clock follows the operating system's, with a thread of its own. It is never early; how late it is
///   depends on the operating system: commonly some 70 us, now and then milliseconds.
///
/// Futures wait by [`sleep`](Self::sleep), code without an executor by [`schedule`](Self::schedule). What is due
/// happens in the order of deadlines, and of creation where those are equal, on the thread that makes the time pass.
/// No lock is held meanwhile: a waker or a call may use the clock.
///
/// The thread of a real clock ends with the last handle, which waits for what the thread is just running. A [`Sleep`]
/// holds a handle; a scheduled call that is still waiting is dropped with the last handle, unless it holds one itself.
#[derive(Clone)]
pub struct Clock(Arc<Owner>);

/// What all handles share, and the thread does not: it must not keep itself alive.
struct Owner {
    time: Arc<Time>,
    /// The beginning of a real clock; a manual one has none.
    start: Option<Instant>,
}

struct Time {
    state: Mutex<State>,
    /// An earlier deadline than all before, or the end.
    changed: Condvar,
}

struct State {
    timers: Timers,
    /// Since the start; a real clock leaves it at zero and asks the operating system.
    now: Duration,
    thread: Option<JoinHandle<()>>,
    stop: bool,
}

impl Clock {
    /// A clock that stands still until it is advanced.
    pub fn manual() -> Self {
        Self::new(None)
    }

    /// A clock that follows the operating system's. Its thread starts with the first wait.
    pub fn real() -> Self {
        Self::new(Some(Instant::now()))
    }

    fn new(start: Option<Instant>) -> Self {
        let state =
            State { timers: Timers::default(), now: Duration::ZERO, thread: None, stop: false };
        let time = Time { state: Mutex::new(state), changed: Condvar::new() };
        Self(Arc::new(Owner { time: Arc::new(time), start }))
    }

    /// Whether this is a manual clock.
    pub fn is_manual(&self) -> bool {
        self.0.start.is_none()
    }

    /// The time since the clock was made.
    pub fn now(&self) -> Duration {
        match self.0.start {
            Some(start) => start.elapsed(),
            None => self.0.time.state.lock().now,
        }
    }

    /// Ends after `duration`; at once, without a wait, where that is zero.
    ///
    /// # Panics
    /// As [`schedule`](Self::schedule).
    pub fn sleep(&self, duration: Duration) -> Sleep {
        if duration.is_zero() {
            return Sleep::over();
        }
        let (deadline, state) = self.lock_for(|now| now.saturating_add(duration));
        Sleep::waiting(self, self.insert(state, deadline, Action::Wake(None)))
    }

    /// Runs `call` after `delay`, on the thread that makes the time pass: never inside this function, not even without
    /// a delay. A real clock contains and logs its panic; that of a manual clock reaches the thread that advances.
    ///
    /// # Panics
    /// Where a real clock is used for the first time and the operating system gives no thread; [`start`](Self::start)
    /// says so without a panic.
    pub fn schedule(&self, delay: Duration, call: Box<dyn FnOnce() + Send>) -> TimerId {
        let (deadline, state) = self.lock_for(|now| now.saturating_add(delay));
        self.insert(state, deadline, Action::Call(call))
    }

    /// As [`schedule`](Self::schedule), at a time since the clock was made. One that is past is due at once.
    pub fn schedule_at(&self, deadline: Duration, call: Box<dyn FnOnce() + Send>) -> TimerId {
        let (deadline, state) = self.lock_for(|_| deadline);
        self.insert(state, deadline, Action::Call(call))
    }

    /// Takes a scheduled call back; false where it has run, runs, or was taken back already.
    pub fn cancel(&self, id: TimerId) -> bool {
        let taken = self.0.time.state.lock().timers.remove(id);
        // The call is dropped here, without the lock.
        taken.is_some()
    }

    /// Starts the thread of a real clock that has none yet, so that no later call has to.
    ///
    /// # Errors
    /// The operating system gave no thread.
    pub fn start(&self) -> io::Result<()> {
        match self.is_manual() {
            true => Ok(()),
            false => self.0.start_thread(&mut self.0.time.state.lock()),
        }
    }

    /// How many sleeps and calls wait.
    pub fn waiting(&self) -> usize {
        self.0.time.state.lock().timers.len()
    }

    /// Moves a manual clock on by `by`, through everything that becomes due on the way, what that starts included; each
    /// sees its own deadline as the time.
    ///
    /// # Panics
    /// On a real clock.
    pub fn advance(&self, by: Duration) {
        self.assert_manual();
        let mut state = self.0.time.state.lock();
        let target = state.now.saturating_add(by);
        while fire_until(&mut state, target) {}
        state.now = state.now.max(target);
    }

    /// Moves a manual clock to the next deadline and through everything due then; false, and nothing done, where
    /// nothing waits. `while clock.advance_to_next() {}` runs until nothing is left to wait for.
    ///
    /// # Panics
    /// On a real clock.
    pub fn advance_to_next(&self) -> bool {
        self.assert_manual();
        let mut state = self.0.time.state.lock();
        let Some(target) = state.timers.next_deadline() else { return false };
        while fire_until(&mut state, target) {}
        true
    }

    fn assert_manual(&self) {
        assert!(self.is_manual(), "a real clock passes by itself: only a manual one is advanced");
    }

    /// The lock, with a deadline that depends on the time. A manual clock's time is read under it.
    fn lock_for(&self, at: impl FnOnce(Duration) -> Duration) -> (Duration, MutexGuard<'_, State>) {
        let real = self.0.start.map(|start| start.elapsed());
        let state = self.0.time.state.lock();
        (at(real.unwrap_or(state.now)), state)
    }

    fn insert(
        &self,
        mut state: MutexGuard<'_, State>,
        deadline: Duration,
        action: Action,
    ) -> TimerId {
        if !self.is_manual() {
            self.0.start_thread(&mut state).expect("a thread for the simulator's clock");
        }
        let (id, earliest) = state.timers.insert(deadline, action);
        drop(state);
        if earliest {
            self.0.time.changed.notify_one();
        }
        id
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock")
            .field("manual", &self.is_manual())
            .field("now", &self.now())
            .field("waiting", &self.waiting())
            .finish()
    }
}

/// Does the first thing that is due by `target`, at its own time and without the lock; false where nothing is.
fn fire_until(state: &mut MutexGuard<'_, State>, target: Duration) -> bool {
    let Some((deadline, action)) = state.timers.pop_due(target) else { return false };
    // Never back: a call may have advanced the clock itself, or have been scheduled for a time that was past.
    state.now = state.now.max(deadline);
    MutexGuard::unlocked(state, || action.run());
    true
}

impl Owner {
    fn start_thread(&self, state: &mut State) -> io::Result<()> {
        let Some(start) = self.start.filter(|_| state.thread.is_none()) else { return Ok(()) };
        let time = self.time.clone();
        let builder = thread::Builder::new().name(String::from("ndk-sim-clock"));
        state.thread = Some(builder.spawn(move || time.run(start))?);
        Ok(())
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let mut state = self.time.state.lock();
        state.stop = true;
        let thread = state.thread.take();
        drop(state);
        self.time.changed.notify_one();
        // The last handle may have been dropped by what the thread just ran: it cannot wait for itself.
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != thread::current().id())
        {
            // Calls are contained, so the thread does not panic; if it did, there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

impl Time {
    /// A real clock's thread.
    fn run(&self, start: Instant) {
        let mut state = self.state.lock();
        while !state.stop {
            if let Some((_, action)) = state.timers.pop_due(start.elapsed()) {
                MutexGuard::unlocked(&mut state, || contain(action));
                continue;
            }
            // A time too far for the operating system is none.
            match state.timers.next_deadline().and_then(|deadline| start.checked_add(deadline)) {
                Some(until) => {
                    self.changed.wait_until(&mut state, until);
                }
                None => self.changed.wait(&mut state),
            }
        }
    }
}

/// One bad call must not stop the time for all others.
fn contain(action: Action) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| action.run())) {
        log::error!("what the simulator's clock ran panicked: {}", message(&*panic));
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
