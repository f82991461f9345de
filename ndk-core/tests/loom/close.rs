//! The close of a region against its requests.

use crate::bench::{Bench, Consumer, Event, Mr, nothing};
use crate::device::{Device, Pace, wait_for_work};
use crate::executors::Threads;
use crate::{explore, explore_up_to};
use loom::thread;
use ndk_core::abi::{NTSTATUS, STATUS_CANCELLED, STATUS_SUCCESS};
use ndk_core::{Progress, RegionKind};
use std::sync::Arc;

/// One request, told `status`, then the close: inline, or told last (H1, H2).
fn assert_closed_last(consumer: &Consumer, close: Progress, status: NTSTATUS) {
    let mut expected = vec![Event::Request(status)];
    if close == Progress::Pending {
        expected.push(Event::MrClosed);
    }
    assert_eq!(consumer.record(), expected);
}

/// A request pends on another thread while this one closes; gives what became of the close.
fn close_while_pending(device: Device, threads: Arc<Threads>, status: NTSTATUS) {
    let bench = Bench::new(device, threads.lent(), nothing);
    let mr = bench.region(RegionKind::Conventional);
    assert_eq!(bench.consumer.register(mr), Ok(Progress::Pending));
    let close = bench.consumer.close(mr);
    threads.join();
    assert_closed_last(&bench.consumer, close, status);
    bench.end_all();
}

/// H2: the request ends by itself, before, during or after the close.
#[test]
fn close_against_a_request_that_ends() {
    explore(|| {
        close_while_pending(Device::with(Pace::Later), Threads::that_run(), STATUS_SUCCESS);
    });
}

/// As above, with a backend whose close pends, too.
#[test]
fn a_close_that_pends_against_a_request_that_ends() {
    explore(|| {
        let device = Device { closes: Pace::Later, ..Device::with(Pace::Later) };
        close_while_pending(device, Threads::that_run(), STATUS_SUCCESS);
    });
}

/// H2: the request ends only because the close has it cancelled.
#[test]
fn close_cancels_a_request() {
    explore(|| {
        let device = Device::with(Pace::Cancelled);
        close_while_pending(device, Threads::that_run(), STATUS_CANCELLED);
    });
}

/// B9: the executor drops the task on a thread of its own, while this one closes.
#[test]
fn close_against_a_dropped_task() {
    explore(|| {
        close_while_pending(Device::with(Pace::Later), Threads::that_drop(), STATUS_CANCELLED);
    });
}

/// H2: close from the callback pends, whatever the entry's thread does meanwhile.
#[test]
fn close_from_the_callback() {
    fn close(consumer: &Consumer, mr: Mr) {
        consumer.notes.lock().unwrap().push(Ok(consumer.close(mr)));
    }
    explore(|| {
        let threads = Threads::that_run();
        let bench = Bench::new(Device::with(Pace::Later), threads.lent(), close);
        let mr = bench.region(RegionKind::Conventional);
        assert_eq!(bench.consumer.register(mr), Ok(Progress::Pending));
        // The domain closes first, and waits for its region (H4).
        let domain = bench.consumer.close_domain(bench.pd);
        threads.join();
        assert_eq!(*bench.consumer.notes.lock().unwrap(), [Ok(Progress::Pending)]);
        let mut expected = vec![Event::Request(STATUS_SUCCESS), Event::MrClosed];
        if domain == Progress::Pending {
            expected.push(Event::PdClosed);
        }
        assert_eq!(bench.consumer.record(), expected);
        bench.end();
    });
}

/// H1, H2: this thread closes while another one's entry is at work, and hears of the end after it.
fn close_behind_an_entry(threads: Arc<Threads>) {
    let bench = Bench::new(Device::with(Pace::AtOnce), threads.lent(), nothing);
    let mr = bench.region(RegionKind::Conventional);
    let other = {
        let consumer = bench.consumer.clone();
        thread::spawn(move || consumer.register(mr))
    };
    wait_for_work();
    let close = bench.consumer.close(mr);
    assert_eq!(other.join().unwrap(), Ok(Progress::Done));
    threads.join();
    let expected = vec![Event::MrClosed; usize::from(close == Progress::Pending)];
    assert_eq!(bench.consumer.record(), expected);
    bench.end_all();
}

#[test]
fn close_against_an_entry_at_work() {
    explore_up_to(3, || close_behind_an_entry(Threads::that_run()));
}

/// B9: the executor drops the task that waits for the entry.
#[test]
fn close_against_an_entry_at_work_where_the_task_is_dropped() {
    explore_up_to(3, || close_behind_an_entry(Threads::that_drop()));
}
