//! Initialisations in parallel.

use crate::bench::{Bench, Event, nothing};
use crate::device::{Device, Pace};
use crate::executors::{Queue, Threads};
use crate::explore_up_to;
use loom::thread;
use ndk_core::abi::{STATUS_CANCELLED, STATUS_SUCCESS};
use ndk_core::{Progress, RegionKind};
use std::sync::Arc;

/// G3: three calls, two of them on a thread of their own; each is accepted, and told by its return or by one
/// callback. What pends runs on the first thread: beside the other, and after it.
fn three_calls(pace: Pace) {
    let queue = Arc::new(Queue::default());
    let bench = Bench::new(Device::with(pace), queue.clone(), nothing);
    let mr = bench.region(RegionKind::FastRegister);
    let other = {
        let consumer = bench.consumer.clone();
        thread::spawn(move || [2, 3].map(|pages| consumer.initialise(mr, pages)))
    };
    let mut results = vec![bench.consumer.initialise(mr, 1)];
    queue.run();
    results.extend(other.join().unwrap());
    queue.run();
    let pending = results.iter().filter(|&result| *result == Ok(Progress::Pending)).count();
    let done = results.iter().filter(|&result| *result == Ok(Progress::Done)).count();
    assert_eq!(pending + done, 3, "each call is accepted");
    assert_eq!(bench.consumer.count(Event::Request(STATUS_SUCCESS)), pending);
    assert_eq!(bench.consumer.record().len(), pending);
    assert_eq!(bench.consumer.close(mr), Progress::Done, "nothing is left in progress");
    bench.end_all();
}

#[test]
fn three_initialisations_that_end_inline() {
    explore_up_to(3, || three_calls(Pace::Inline));
}

#[test]
fn three_initialisations_that_pend() {
    explore_up_to(3, || three_calls(Pace::Later));
}

/// H2: a close while one initialisation runs and another waits behind it, or has its turn: both end by one callback
/// each, before the close.
#[test]
fn close_against_a_queued_initialisation() {
    explore_up_to(3, || {
        let threads = Threads::that_run();
        let bench = Bench::new(Device::with(Pace::Later), threads.lent(), nothing);
        let mr = bench.region(RegionKind::FastRegister);
        let consumer = bench.consumer.clone();
        for pages in [1, 2] {
            assert_eq!(consumer.initialise(mr, pages), Ok(Progress::Pending));
        }
        let close = consumer.close(mr);
        threads.join();
        let record = consumer.record();
        let (done, cancelled) = (Event::Request(STATUS_SUCCESS), Event::Request(STATUS_CANCELLED));
        assert_eq!(record[0], done);
        assert!([done, cancelled].contains(&record[1]));
        assert_eq!(record[2..], [Event::MrClosed][..usize::from(close == Progress::Pending)]);
        bench.end_all();
    });
}
