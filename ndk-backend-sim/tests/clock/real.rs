//! The clock that passes by itself: its thread, and the end of it.

use crate::wakes::{Wakes, poll};
use ndk_backend_sim::Clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Longer than any of these tests should take, shorter than a tester's patience.
const LONG: Duration = Duration::from_secs(60);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn a_sleep_ends_not_before_its_time() {
    let clock = Clock::real();
    let start = clock.now();
    let (tell, told) = mpsc::channel();
    let wakes = Wakes::calling(move || tell.send(()).unwrap());
    let mut sleep = clock.sleep(ms(20));
    assert!(!poll(&mut sleep, &wakes));
    told.recv_timeout(LONG).unwrap();
    assert!(clock.now() - start >= ms(20));
    assert!(poll(&mut sleep, &wakes));
    assert_eq!(wakes.count(), 1);
}

#[test]
fn an_earlier_deadline_is_not_slept_through_and_the_order_is_kept() {
    let clock = Clock::real();
    let (tell, told) = mpsc::channel();
    clock.schedule(Duration::MAX, Box::new(|| ()));
    // Both are for times that are past when the thread gets to them, or nearly: the order is theirs, not its.
    for name in [30, 10, 20] {
        let tell = tell.clone();
        clock.schedule_at(ms(name), Box::new(move || tell.send(name).unwrap()));
    }
    let order: Vec<_> = (0..3).map(|_| told.recv_timeout(LONG).unwrap()).collect();
    assert_eq!(order, [10, 20, 30]);
    assert_eq!(clock.waiting(), 1);
}

#[test]
fn one_panic_does_not_stop_the_time() {
    let clock = Clock::real();
    let (tell, told) = mpsc::channel();
    clock.schedule(ms(1), Box::new(|| panic!("meant to")));
    clock.schedule(ms(2), Box::new(move || tell.send(()).unwrap()));
    told.recv_timeout(LONG).unwrap();
}

#[test]
fn dropping_the_last_handle_waits_for_the_call_that_runs() {
    let clock = Clock::real();
    let (tell, told) = mpsc::channel();
    let ended = Arc::new(AtomicUsize::new(0));
    let count = ended.clone();
    let call = move || {
        tell.send(()).unwrap();
        thread::sleep(ms(20));
        count.fetch_add(1, Ordering::SeqCst);
    };
    clock.schedule(Duration::ZERO, Box::new(call));
    told.recv_timeout(LONG).unwrap();
    drop(clock);
    assert_eq!(ended.load(Ordering::SeqCst), 1);
    assert_eq!(Arc::strong_count(&ended), 1, "the thread has let everything go");
}

#[test]
fn dropping_the_last_handle_drops_what_still_waits() {
    let held = Arc::new(());
    let clock = Clock::real();
    let call = held.clone();
    clock.schedule(LONG, Box::new(move || drop(call)));
    drop(clock);
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn the_last_handle_may_be_dropped_by_the_clocks_own_thread() {
    let clock = Clock::real();
    let (tell, told) = mpsc::channel();
    let own = clock.clone();
    let call = move || {
        drop(own);
        tell.send(()).unwrap();
    };
    clock.schedule(ms(5), Box::new(call));
    drop(clock);
    told.recv_timeout(LONG).unwrap();
}

#[test]
fn a_sleep_keeps_the_clock_going() {
    let clock = Clock::real();
    let (tell, told) = mpsc::channel();
    let wakes = Wakes::calling(move || tell.send(()).unwrap());
    let mut sleep = clock.sleep(ms(5));
    drop(clock);
    assert!(!poll(&mut sleep, &wakes));
    told.recv_timeout(LONG).unwrap();
    assert!(poll(&mut sleep, &wakes));
}

#[test]
fn a_thread_can_be_asked_for_beforehand() {
    Clock::real().start().unwrap();
    Clock::manual().start().unwrap();
}

#[test]
#[should_panic(expected = "a real clock passes by itself")]
fn a_real_clock_is_not_advanced() {
    Clock::real().advance(ms(1));
}

#[test]
fn many_threads_may_wait_and_give_up_at_once() {
    let clock = Clock::real();
    let woken = Arc::new(AtomicUsize::new(0));
    let waiters: Vec<_> = (0..4)
        .map(|_| {
            let (clock, woken) = (clock.clone(), woken.clone());
            thread::spawn(move || {
                for round in 0..500_u64 {
                    let woken = woken.clone();
                    let call = move || {
                        woken.fetch_add(1, Ordering::SeqCst);
                    };
                    clock.schedule(Duration::from_micros(round % 7), Box::new(call));
                    let mut sleep = clock.sleep(LONG);
                    assert!(!poll(&mut sleep, &Wakes::new()));
                }
            })
        })
        .collect();
    waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
    let deadline = std::time::Instant::now() + LONG;
    while clock.waiting() > 0 {
        assert!(std::time::Instant::now() < deadline, "calls that never ran");
        thread::yield_now();
    }
    // The last call may still be on its way when nothing waits any more: the end of the clock waits for it.
    drop(clock);
    assert_eq!(woken.load(Ordering::SeqCst), 2000);
}
