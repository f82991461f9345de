//! The clock that stands still: order, time seen, and what may be done from inside.

use crate::wakes::{Wakes, poll};
use ndk_backend_sim::Clock;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

fn us(us: u64) -> Duration {
    Duration::from_micros(us)
}

/// A list that calls append to.
type Trace = Arc<Mutex<Vec<(&'static str, Duration)>>>;

fn note(trace: &Trace, clock: &Clock, name: &'static str) -> Box<dyn FnOnce() + Send> {
    let (trace, clock) = (trace.clone(), clock.clone());
    Box::new(move || trace.lock().push((name, clock.now())))
}

#[test]
fn time_stands_still_until_it_is_advanced() {
    let clock = Clock::manual();
    assert_eq!(clock.now(), Duration::ZERO);
    let (wakes, mut sleep) = (Wakes::new(), clock.sleep(us(10)));
    assert!(!poll(&mut sleep, &wakes));
    clock.advance(us(9));
    assert_eq!((clock.now(), wakes.count()), (us(9), 0));
    assert!(!poll(&mut sleep, &wakes));
    clock.advance(us(1));
    assert_eq!((clock.now(), wakes.count()), (us(10), 1));
    assert!(poll(&mut sleep, &wakes));
    assert!(poll(&mut sleep, &wakes), "over stays over");
    assert_eq!(clock.waiting(), 0);
}

#[test]
fn nothing_to_wait_for_is_ready_at_once() {
    let clock = Clock::manual();
    let mut sleep = clock.sleep(Duration::ZERO);
    assert_eq!(clock.waiting(), 0);
    assert!(poll(&mut sleep, &Wakes::new()));
    assert!(!clock.advance_to_next());
}

#[test]
fn what_is_due_happens_by_deadline_and_then_by_creation_each_at_its_own_time() {
    let (clock, trace) = (Clock::manual(), Trace::default());
    for (name, delay) in [("d", 30), ("b", 20), ("c", 20), ("a", 10)] {
        clock.schedule(us(delay), note(&trace, &clock, name));
    }
    clock.advance(us(25));
    assert_eq!(*trace.lock(), [("a", us(10)), ("b", us(20)), ("c", us(20))]);
    assert_eq!(clock.now(), us(25));
    clock.advance(us(5));
    assert_eq!(trace.lock()[3], ("d", us(30)));
}

#[test]
fn sleeps_and_calls_share_one_order_and_a_late_poll_does_not_change_it() {
    let (clock, trace) = (Clock::manual(), Trace::default());
    let mut first = clock.sleep(us(5));
    clock.schedule(us(5), note(&trace, &clock, "second"));
    let wakes = Wakes::calling({
        let (trace, clock) = (trace.clone(), clock.clone());
        move || trace.lock().push(("first", clock.now()))
    });
    assert!(!poll(&mut first, &wakes));
    assert!(clock.advance_to_next());
    assert_eq!(*trace.lock(), [("first", us(5)), ("second", us(5))]);
}

#[test]
fn a_sleep_that_was_not_polled_in_time_is_over_all_the_same() {
    let clock = Clock::manual();
    let mut sleep = clock.sleep(us(5));
    assert!(clock.advance_to_next());
    assert!(poll(&mut sleep, &Wakes::new()));
}

#[test]
fn advancing_to_the_next_deadline_takes_all_that_is_due_then_and_no_more() {
    let (clock, trace) = (Clock::manual(), Trace::default());
    for (name, delay) in [("a", 10), ("b", 10), ("c", 11)] {
        clock.schedule(us(delay), note(&trace, &clock, name));
    }
    assert!(clock.advance_to_next());
    assert_eq!((clock.now(), trace.lock().len()), (us(10), 2));
    assert!(clock.advance_to_next());
    assert!(!clock.advance_to_next());
    assert_eq!(clock.now(), us(11));
}

#[test]
fn what_is_started_on_the_way_is_passed_too() {
    let (clock, trace) = (Clock::manual(), Trace::default());
    let again = {
        let (clock, trace) = (clock.clone(), trace.clone());
        move || {
            clock.schedule(us(10), note(&trace, &clock, "on the way"));
            clock.schedule(us(30), note(&trace, &clock, "beyond"));
        }
    };
    clock.schedule(us(10), Box::new(again));
    clock.schedule(us(15), note(&trace, &clock, "between"));
    clock.advance(us(30));
    assert_eq!(*trace.lock(), [("between", us(15)), ("on the way", us(20))]);
    assert_eq!((clock.now(), clock.waiting()), (us(30), 1));
    // What waits holds the clock.
    while clock.advance_to_next() {}
}

#[test]
fn a_call_never_runs_inside_schedule_and_one_for_the_past_is_due_at_once() {
    let (clock, trace) = (Clock::manual(), Trace::default());
    clock.advance(us(10));
    clock.schedule(Duration::ZERO, note(&trace, &clock, "now"));
    clock.schedule_at(us(3), note(&trace, &clock, "past"));
    assert!(trace.lock().is_empty());
    clock.advance(Duration::ZERO);
    // Time does not go back for it.
    assert_eq!(*trace.lock(), [("past", us(10)), ("now", us(10))]);
}

#[test]
fn a_call_may_advance_the_clock_itself() {
    let (clock, trace) = (Clock::manual(), Trace::default());
    clock.schedule(us(20), note(&trace, &clock, "inner"));
    let inner = clock.clone();
    clock.schedule(us(10), Box::new(move || inner.advance(us(40))));
    clock.advance(us(10));
    assert_eq!(*trace.lock(), [("inner", us(20))]);
    assert_eq!(clock.now(), us(50));
}

#[test]
fn a_dropped_sleep_and_a_cancelled_call_are_gone() {
    let (clock, trace) = (Clock::manual(), Trace::default());
    let (wakes, mut sleep) = (Wakes::new(), clock.sleep(us(1)));
    assert!(!poll(&mut sleep, &wakes));
    drop(sleep);
    let id = clock.schedule(us(1), note(&trace, &clock, "never"));
    assert!(clock.cancel(id));
    assert!(!clock.cancel(id));
    assert_eq!(clock.waiting(), 0);
    clock.advance(us(10));
    assert_eq!((wakes.count(), trace.lock().len()), (0, 0));
    assert_eq!(wakes.holders(), 1, "the waker was let go");
}

#[test]
fn a_call_that_ran_cannot_be_cancelled_not_even_from_inside() {
    let clock = Clock::manual();
    let seen = Arc::new(Mutex::new(None));
    let id = Arc::new(Mutex::new(None));
    let call = {
        let (clock, seen, id) = (clock.clone(), seen.clone(), id.clone());
        move || *seen.lock() = id.lock().map(|id| clock.cancel(id))
    };
    *id.lock() = Some(clock.schedule(us(1), Box::new(call)));
    clock.advance(us(1));
    assert_eq!(*seen.lock(), Some(false));
}

#[test]
fn the_last_waker_counts() {
    let clock = Clock::manual();
    let (old, new, mut sleep) = (Wakes::new(), Wakes::new(), clock.sleep(us(1)));
    assert!(!poll(&mut sleep, &old));
    assert!(!poll(&mut sleep, &new));
    assert_eq!(old.holders(), 1);
    clock.advance(us(1));
    assert_eq!((old.count(), new.count()), (0, 1));
}

#[test]
fn a_panic_reaches_the_one_who_advances_and_the_clock_goes_on() {
    let (clock, trace) = (Clock::manual(), Trace::default());
    clock.schedule(us(1), Box::new(|| panic!("meant to")));
    clock.schedule(us(2), note(&trace, &clock, "after"));
    let advance = std::panic::AssertUnwindSafe(|| clock.advance(us(2)));
    assert!(std::panic::catch_unwind(advance).is_err());
    clock.advance(us(1));
    assert_eq!(*trace.lock(), [("after", us(2))]);
}

#[test]
fn the_end_of_time_is_no_overflow() {
    let clock = Clock::manual();
    clock.advance(us(1));
    let mut sleep = clock.sleep(Duration::MAX);
    assert!(!poll(&mut sleep, &Wakes::new()));
    clock.advance(Duration::MAX);
    assert_eq!(clock.now(), Duration::MAX);
    assert!(poll(&mut sleep, &Wakes::new()));
}

#[test]
fn calls_that_never_ran_are_dropped_with_the_last_handle() {
    let held = Arc::new(());
    let clock = Clock::manual();
    let call = held.clone();
    clock.schedule(us(1), Box::new(move || drop(call)));
    drop(clock.clone());
    assert_eq!(Arc::strong_count(&held), 2);
    drop(clock);
    assert_eq!(Arc::strong_count(&held), 1);
}
