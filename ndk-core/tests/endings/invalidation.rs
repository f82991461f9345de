//! An initialisation while an invalidation is in flight (G3, G8, G10).

use crate::bench::{
    Bench, Calls, Qp, Region, WRONG_STATE, close, complete, fast_register, initialise, invalidate,
    kind,
};
use crate::operation::End;
use ndk_core::ErrorKind;
use ndk_core::Progress;

/// What an initialisation answers; those of this backend are inline.
fn initialised(region: Region) -> Option<ErrorKind> {
    let calls = Calls::default();
    let progress = initialise(region, &calls);
    assert_eq!(calls.take(), [], "B1");
    kind(progress.map(|progress| assert_eq!(progress, Progress::Done)))
}

/// A region whose fast registration is valid.
fn registered(bench: &Bench, qp: &Qp) -> Region {
    let region = bench.fast_region();
    fast_register(qp, region).expect("posted");
    complete(bench, qp, Ok(()));
    region
}

#[test]
fn g3_a_region_is_not_initialised_until_its_invalidation_has_completed() {
    let bench = Bench::new();
    let qp = bench.qp();
    let region = registered(&bench, &qp);
    invalidate(&qp, region).expect("posted");
    assert_eq!(initialised(region), WRONG_STATE, "G3: the invalidation is in flight");
    bench.control.complete(Ok(()));
    assert_eq!(initialised(region), WRONG_STATE, "G3: nobody has polled the completion");
    assert!(qp.poll().is_some());
    assert_eq!(initialised(region), None, "G3: the invalidation is over");
    fast_register(&qp, region).expect("G7");
    close(region);
    drop(qp);
    bench.end();
}

#[test]
fn g10_a_region_is_initialised_after_its_invalidation_was_flushed() {
    let bench = Bench::new();
    let qp = bench.qp();
    let region = registered(&bench, &qp);
    invalidate(&qp, region).expect("posted");
    complete(&bench, &qp, Err(ErrorKind::Cancelled));
    assert_eq!(kind(fast_register(&qp, region)), WRONG_STATE, "G10");
    assert_eq!(initialised(region), None, "F6: an invalidation that was flushed");
    close(region);
    drop(qp);
    bench.end();
}

#[test]
fn g8_rounds_are_posted_one_behind_the_other_and_the_last_invalidation_counts() {
    let bench = Bench::new();
    let qp = bench.qp();
    let region = registered(&bench, &qp);
    for _ in 0..3 {
        invalidate(&qp, region).expect("posted");
        fast_register(&qp, region).expect("G8: behind the invalidation, on its queue pair");
    }
    invalidate(&qp, region).expect("posted");
    for _ in 0..6 {
        complete(&bench, &qp, Ok(()));
        assert_eq!(initialised(region), WRONG_STATE, "G3: one is in flight still");
    }
    complete(&bench, &qp, Ok(()));
    assert_eq!(initialised(region), None, "G3: all are over");
    close(region);
    drop(qp);
    bench.end();
}

#[test]
fn g8_a_registration_behind_an_invalidation_is_of_the_same_queue_pair() {
    let bench = Bench::new();
    let (qp, other) = (bench.qp(), bench.qp());
    let region = registered(&bench, &qp);
    invalidate(&qp, region).expect("posted");
    // The device may come to it first.
    assert_eq!(kind(fast_register(&other, region)), WRONG_STATE, "G8: on another queue pair");
    complete(&bench, &qp, Ok(()));
    fast_register(&other, region).expect("G8: nothing is in flight");
    close(region);
    drop((qp, other));
    bench.end();
}

#[test]
fn g8_an_invalidation_that_was_refused_is_not_in_flight() {
    let bench = Bench::new();
    let qp = bench.qp();
    let region = registered(&bench, &qp);
    bench.control.post.set(End::Fail);
    assert_eq!(kind(invalidate(&qp, region)), Some(ErrorKind::InsufficientResources));
    bench.control.post.set(End::Succeed);
    assert_eq!(initialised(region), WRONG_STATE, "G3: it is valid still");
    invalidate(&qp, region).expect("G8: it is valid still");
    complete(&bench, &qp, Ok(()));
    assert_eq!(initialised(region), None);
    close(region);
    drop(qp);
    bench.end();
}

#[test]
fn g10_what_a_closed_queue_pair_leaves_in_flight_is_as_after_a_flush() {
    let bench = Bench::new();
    let (qp, other) = (bench.qp(), bench.qp());
    let region = registered(&bench, &qp);
    invalidate(&qp, region).expect("posted");
    drop(qp);
    // Nobody will ever hear what became of it.
    assert_eq!(kind(fast_register(&other, region)), WRONG_STATE, "G10");
    assert_eq!(initialised(region), None, "G10: as after a flush");
    fast_register(&other, region).expect("G7");
    close(region);
    drop(other);
    bench.end();
}

#[test]
fn g8_an_invalidation_that_completes_twice_counts_once() {
    let bench = Bench::new();
    let qp = bench.qp();
    let region = registered(&bench, &qp);
    for posted in 1..=2 {
        for _ in 0..posted {
            invalidate(&qp, region).expect("posted");
            fast_register(&qp, region).expect("G8: behind the invalidation");
        }
        bench.control.complete_all();
        bench.control.repeat();
        // One more than there are; the first is there twice.
        for _ in 0..=2 * posted {
            assert!(qp.poll().is_some());
        }
        invalidate(&qp, region).expect("G8: it is valid");
        complete(&bench, &qp, Ok(()));
        assert_eq!(initialised(region), None, "G3: nothing is in flight");
        fast_register(&qp, region).expect("G7");
        complete(&bench, &qp, Ok(()));
    }
    close(region);
    drop(qp);
    bench.end();
}

/// A region with a fast registration in flight, in the place of one whose invalidation is in flight on the first queue pair.
fn in_place_of_another(bench: &Bench, qp: &Qp, other: &Qp) -> Region {
    let first = registered(bench, qp);
    invalidate(qp, first).expect("posted");
    close(first);
    let second = bench.fast_region();
    fast_register(other, second).expect("posted");
    second
}

#[test]
fn g8_what_ends_late_says_nothing_of_the_region_in_the_place_of_its_own() {
    for ended in [Some(Ok(())), Some(Err(ErrorKind::Cancelled)), None] {
        let bench = Bench::new();
        let (qp, other) = (bench.qp(), bench.qp());
        let second = in_place_of_another(&bench, &qp, &other);
        if let Some(result) = ended {
            // As the first that was posted.
            complete(&bench, &qp, result);
        }
        drop(qp);
        invalidate(&other, second).expect("G8: it is valid");
        bench.control.complete_all();
        assert_eq!(initialised(second), WRONG_STATE, "G3: the second's is in flight");
        while other.poll().is_some() {}
        assert_eq!(initialised(second), None, "G3: it is over");
        close(second);
        drop(other);
        bench.end();
    }
}

#[test]
fn g3_an_invalidation_that_ends_late_leaves_the_other_regions_in_flight() {
    let bench = Bench::new();
    let (qp, other) = (bench.qp(), bench.qp());
    let second = in_place_of_another(&bench, &qp, &other);
    invalidate(&other, second).expect("G8");
    complete(&bench, &qp, Ok(()));
    assert_eq!(initialised(second), WRONG_STATE, "G3: the second's is in flight");
    bench.control.complete_all();
    while other.poll().is_some() {}
    assert_eq!(initialised(second), None);
    close(second);
    drop((qp, other));
    bench.end();
}
