//! Where the framework's counts end, and what it refuses before a backend hears of it.

use crate::at_once::Subject;
use crate::bench::{
    Bench, Runner, Window, bind, close, close_domain, domain_of, fast_register, invalidate, kind,
    logged, new_control, open, ready, wait_until_a_close_waits,
};
use ndk_core::{ErrorKind, Progress, QueueDepths};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

/// So many binds, and so many invalidations in flight, a region takes at a time.
const MOST: usize = 1_023;

#[test]
fn d2_a_region_takes_1023_binds_at_a_time() {
    let bench = Bench::new();
    let (qp, subject, other) = (bench.qp(), Subject::new(&bench), Subject::new(&bench));
    let bind_here = |window: &Window| bind(&qp, subject.region, window);
    subject.register().expect("registered");
    other.register().expect("registered");
    let elsewhere = bench.window();
    bind(&qp, other.region, &elsewhere).expect("D2");
    let mut windows: Vec<_> = (0..MOST).map(|_| bench.window()).collect();
    windows.iter().for_each(|window| bind_here(window).expect("D2"));
    let one_more = bench.window();
    let refused = bind_here(&one_more).expect_err("D2: as many as can be");
    assert_eq!((refused.kind(), refused.rule_id()), (ErrorKind::InsufficientResources, "D2"));
    drop(logged());
    assert_eq!(kind(subject.deregister()), Some(ErrorKind::DeviceBusy), "D2");
    let bound = logged().into_iter().find(|line| line.contains("bound to it: "));
    let bound = bound.expect("D2: which windows are bound");
    let (_, names) = bound.split_once("bound to it: ").expect("found by it");
    let names: Vec<_> = names.trim_end_matches(" [D2]").split(", ").collect();
    assert_eq!(names.len(), MOST, "D2: each that is bound to this region");
    assert!(names.iter().all(|name| name.starts_with("mw")), "D2: {:?}", names[0]);
    drop(windows.pop());
    bind_here(&one_more).expect("D2: there is room for one again");
    drop((windows, one_more));
    assert_eq!(subject.deregister(), Ok(Progress::Done), "D2: nothing is bound");
    subject.end();
    drop(elsewhere);
    assert_eq!(other.deregister(), Ok(Progress::Done), "D2: nothing is bound");
    other.end();
    drop(qp);
    bench.end();
}

#[test]
fn g8_a_region_takes_1023_invalidations_in_flight() {
    let bench = Bench::new();
    let (qp, region) = (bench.qp(), bench.fast_region());
    fast_register(&qp, region).expect("posted");
    for _ in 0..MOST {
        invalidate(&qp, region).expect("posted");
        fast_register(&qp, region).expect("G8: behind the invalidation");
    }
    let refused = invalidate(&qp, region).expect_err("G8: as many as can be");
    assert_eq!((refused.kind(), refused.rule_id()), (ErrorKind::InsufficientResources, "G8"));
    // The registration, and the first invalidation behind it.
    for _ in 0..2 {
        bench.control.complete(Ok(()));
        assert!(qp.poll().is_some());
    }
    invalidate(&qp, region).expect("G8: there is room for one again");
    bench.control.complete_all();
    while qp.poll().is_some() {}
    fast_register(&qp, region).expect("G7: every invalidation is over");
    close(region);
    drop(qp);
    bench.end();
}

#[test]
fn a_queue_pair_is_no_deeper_than_the_adapter_says() {
    let bench = Bench::new();
    // SAFETY: the domain is not closed.
    let make = |depths| ready(unsafe { bench.domain.create_qp(depths) });
    for (receive, initiator) in [(65, 1), (1, 65), (u32::MAX, u32::MAX)] {
        let refused = make(QueueDepths { receive, initiator });
        assert_eq!(kind(refused), Some(ErrorKind::InvalidParameter), "{receive}, {initiator}");
    }
    drop(make(QueueDepths { receive: 64, initiator: 64 }).expect("exactly the limits"));
    bench.end();
    let control = new_control();
    control.no_queues.store(true, Ordering::Relaxed);
    let bench = Bench::of(control);
    // SAFETY: the domain is not closed.
    let none = ready(unsafe { bench.domain.create_qp(QueueDepths { receive: 0, initiator: 0 }) });
    assert_eq!(kind(none), Some(ErrorKind::NotSupported), "both depths are 0");
    bench.end();
}

#[test]
fn f5_a_window_of_another_domain_is_refused() {
    let bench = Bench::new();
    let other = domain_of(&bench.opened);
    let (qp, subject) = (bench.qp(), Subject::new(&bench));
    subject.register().expect("registered");
    // SAFETY: the domain is not closed.
    let stranger = ready(unsafe { other.create_window() }).expect("a window");
    let bound = bind(&qp, subject.region, &stranger);
    assert_eq!(kind(bound), Some(ErrorKind::InvalidParameter), "F5");
    let invalidated = qp.invalidate_window(1, &stranger);
    assert_eq!(kind(invalidated), Some(ErrorKind::InvalidParameter), "F5");
    assert_eq!(bench.control.in_flight(), 0, "F5: nothing is posted");
    assert_eq!(subject.deregister(), Ok(Progress::Done), "D2: nothing is bound");
    subject.end();
    drop((qp, stranger));
    close_domain(other);
    bench.end();
}

#[test]
fn h8_a_device_that_is_gone_is_not_opened() {
    let control = new_control();
    control.lost.store(true, Ordering::Relaxed);
    assert_eq!(
        kind(open(&control, &Arc::<Runner>::default())),
        Some(ErrorKind::DeviceRemoved),
        "H8"
    );
    // The backend is gone: what is left is the test's.
    assert_eq!(Arc::strong_count(&control), 2);
}

#[test]
fn h5_a_refused_close_names_what_is_open_and_gives_the_adapter_back() {
    let Bench { control, runner, domain, opened } = Bench::new();
    let refused = opened.try_close().expect_err("H5: a domain is open");
    let said = refused.to_string();
    let begin = "hooked: close refused: STATUS_DEVICE_BUSY";
    assert!(said.starts_with(begin) && said.contains("still open: "), "{said}");
    // As an unwrap would show it.
    assert_eq!(format!("{refused:?}"), said);
    assert_eq!(refused.error.rule_id(), "H5");
    Bench { control, runner, domain, opened: refused.adapter }.end();
}

#[test]
fn h5_a_region_that_is_closed_is_not_named_as_open() {
    let bench = Bench::new();
    let (region, other) = (bench.region(), bench.region());
    close(region);
    let Bench { control, runner, domain, opened } = bench;
    let refused = opened.try_close().expect_err("H5: a domain and a region are open");
    let said = refused.to_string();
    let (_, open) = said.split_once("still open: ").expect("what is open");
    assert_eq!(open.split(", ").count(), 2, "H5: {said}");
    close(other);
    Bench { control, runner, domain, opened: refused.adapter }.end();
}

#[test]
fn h5_a_close_that_waits_says_what_for() {
    let Bench { domain, opened, .. } = Bench::new();
    let closer = thread::spawn(move || {
        let open = wait_until_a_close_waits("hooked");
        close_domain(domain);
        open
    });
    assert!(opened.close().is_ok(), "H5: the domain was closed");
    let open = closer.join().expect("the domain's close");
    assert!(open.starts_with("hooked/pd1") && open.contains("[H5]"), "{open}");
}
