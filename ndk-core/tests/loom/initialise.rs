//! Initialisations in parallel.

use crate::bench::{Bench, Event, nothing};
use crate::device::{Device, Pace};
use crate::executors::Queue;
use crate::explore_up_to;
use loom::thread;
use ndk_core::abi::STATUS_SUCCESS;
use ndk_core::{Progress, RegionKind};
use std::sync::Arc;

/// G3: three calls on three threads; each is accepted, and told by its return or by one callback.
fn three_calls(pace: Pace) {
    let queue = Arc::new(Queue::default());
    let bench = Bench::new(Device::with(pace), queue.clone(), nothing);
    let mr = bench.region(RegionKind::FastRegister);
    let others = [2, 3].map(|pages| {
        let (consumer, queue) = (bench.consumer.clone(), queue.clone());
        thread::spawn(move || {
            let result = consumer.initialise(mr, pages);
            queue.run();
            result
        })
    });
    let mut results = vec![bench.consumer.initialise(mr, 1)];
    queue.run();
    results.extend(others.map(|other| other.join().unwrap()));
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
    explore_up_to(2, || three_calls(Pace::Inline));
}

#[test]
fn three_initialisations_that_pend() {
    explore_up_to(2, || three_calls(Pace::Later));
}
