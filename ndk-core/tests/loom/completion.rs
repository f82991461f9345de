//! The completion of a request against the return of its entry, and against other requests of the region.

use crate::bench::{Bench, Consumer, Event, Mr, nothing};
use crate::device::{Device, Pace};
use crate::executors::{OnTheSpot, Threads};
use crate::{explore, explore_up_to};
use loom::thread;
use ndk_core::abi::STATUS_SUCCESS;
use ndk_core::{ErrorKind, Progress, RegionKind};

/// In the callback: the new state is there (B4), and the region can be freed at once.
fn use_and_close(consumer: &Consumer, mr: Mr) {
    // SAFETY: the region is closed below.
    let registered = unsafe { mr.local_token() }.is_some();
    if registered {
        // Its callback closes, unless it is over at once.
        let again = consumer.deregister(mr);
        consumer.notes.lock().unwrap().push(again.clone());
        if again == Ok(Progress::Pending) {
            return;
        }
    }
    consumer.notes.lock().unwrap().push(Ok(consumer.close(mr)));
}

/// B2 to B4, H2: another thread finishes the request, and the consumer frees the region in the callback, while the
/// entry is on its way out.
#[test]
fn the_callback_frees_the_region_before_the_entry_has_returned() {
    explore(|| {
        let threads = Threads::that_run();
        let bench = Bench::new(Device::with(Pace::Later), threads.lent(), use_and_close);
        let mr = bench.region(RegionKind::Conventional);
        assert_eq!(bench.consumer.register(mr), Ok(Progress::Pending));
        threads.join();
        let done = Event::Request(STATUS_SUCCESS);
        assert_eq!(bench.consumer.record(), [done, done, Event::MrClosed]);
        assert_eq!(
            *bench.consumer.notes.lock().unwrap(),
            [Ok(Progress::Pending), Ok(Progress::Pending)],
            "deregistered in the first callback, closed in the second"
        );
        bench.end_all();
    });
}

/// B9: the executor runs the task within `spawn`, so that everything is freed below the entry's own frame.
#[test]
fn the_callback_frees_the_region_on_the_stack_of_the_entry() {
    explore(|| {
        let bench =
            Bench::new(Device::with(Pace::Later), std::sync::Arc::new(OnTheSpot), use_and_close);
        let mr = bench.region(RegionKind::Conventional);
        assert_eq!(bench.consumer.register(mr), Ok(Progress::Pending));
        let done = Event::Request(STATUS_SUCCESS);
        assert_eq!(bench.consumer.record(), [done, done, Event::MrClosed]);
        bench.end_all();
    });
}

/// C12: of two threads that register one region exactly one succeeds.
#[test]
fn of_two_registrations_one_succeeds() {
    explore(|| two_registrations(Pace::AtOnce));
    explore(|| two_registrations(Pace::Inline));
    explore(|| two_registrations(Pace::Later));
}

fn two_registrations(pace: Pace) {
    let threads = Threads::that_run();
    let bench = Bench::new(Device::with(pace), threads.lent(), nothing);
    let mr = bench.region(RegionKind::Conventional);
    let other = {
        let consumer = bench.consumer.clone();
        thread::spawn(move || consumer.register(mr))
    };
    let results = [bench.consumer.register(mr), other.join().unwrap()];
    threads.join();
    let accepted = match pace {
        Pace::AtOnce | Pace::Inline => Progress::Done,
        _ => Progress::Pending,
    };
    assert_eq!(results.iter().filter(|&result| *result == Ok(accepted)).count(), 1);
    let refused = |result: &&ndk_core::Result<Progress>| {
        result.as_ref().is_err_and(|error| error.kind() == ErrorKind::InvalidDeviceState)
    };
    assert_eq!(results.iter().filter(refused).count(), 1);
    let calls = usize::from(accepted == Progress::Pending);
    assert_eq!(bench.consumer.record(), [Event::Request(STATUS_SUCCESS)].repeat(calls));
    assert_eq!(bench.consumer.close(mr), Progress::Done);
    bench.end_all();
}

/// E1: a token that another thread can read has the whole registration behind it.
#[test]
fn a_token_against_the_registration_it_comes_from() {
    for pace in [Pace::AtOnce, Pace::Inline, Pace::Later] {
        explore(move || {
            let threads = Threads::that_run();
            let bench = Bench::new(Device::with(pace), threads.lent(), nothing);
            let mr = bench.region(RegionKind::Conventional);
            // SAFETY: the region is closed below, after the thread.
            let other = thread::spawn(move || unsafe { mr.local_token() }.is_some());
            assert!(bench.consumer.register(mr).is_ok());
            other.join().unwrap();
            threads.join();
            // SAFETY: as above.
            assert!(unsafe { mr.local_token() }.is_some());
            assert_eq!(bench.consumer.close(mr), Progress::Done);
            bench.end_all();
        });
    }
}

/// C12, D1: a thread deregisters while another registers. It is refused, or comes after all that the registration
/// did, even before the registration's callback has returned.
#[test]
fn a_deregistration_against_a_registration() {
    explore(|| registration_and_deregistration(Pace::AtOnce));
    explore(|| registration_and_deregistration(Pace::Inline));
    explore_up_to(3, || registration_and_deregistration(Pace::Later));
}

fn registration_and_deregistration(pace: Pace) {
    let threads = Threads::that_run();
    let bench = Bench::new(Device::with(pace), threads.lent(), nothing);
    let mr = bench.region(RegionKind::Conventional);
    let other = {
        let consumer = bench.consumer.clone();
        thread::spawn(move || consumer.deregister(mr))
    };
    let registered = bench.consumer.register(mr);
    let deregistered = other.join().unwrap();
    threads.join();
    let accepted = match pace {
        Pace::AtOnce | Pace::Inline => Progress::Done,
        _ => Progress::Pending,
    };
    assert_eq!(registered, Ok(accepted));
    match &deregistered {
        Ok(progress) => assert_eq!(*progress, accepted),
        Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidDeviceState),
    }
    let pending = [registered, deregistered]
        .iter()
        .filter(|&result| *result == Ok(Progress::Pending))
        .count();
    assert_eq!(bench.consumer.record(), [Event::Request(STATUS_SUCCESS)].repeat(pending));
    assert_eq!(bench.consumer.close(mr), Progress::Done);
    bench.end_all();
}
