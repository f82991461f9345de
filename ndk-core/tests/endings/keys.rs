//! What the framework knows of a fast registration's key while a peer, a close or a panic comes in between (G7, G8).

use crate::bench::{Bench, Qp, Region, close, fast_register, initialise_inline, invalidate, kind};
use crate::operation::End;
use ndk_core::ErrorKind;
use std::sync::Arc;

#[test]
fn g8_a_closing_region_leaves_its_key_to_the_region_that_has_it_now() {
    let bench = Bench::new();
    let qp = Arc::new(bench.qp());
    let (first, second) = (bench.fast_region(), bench.region());
    fast_register(&qp, first).expect("posted");
    let inner = qp.clone();
    // The device has given the key up, and gives it to another thread's region before the close has come to its end.
    bench.control.close_region.hook.set(move || {
        initialise_inline(second);
        fast_register(&inner, second).expect("posted");
    });
    close(first);
    bench.control.peer_invalidates();
    assert!(qp.poll().is_some());
    let again = kind(invalidate(&qp, second));
    assert_eq!(again, Some(ErrorKind::InvalidDeviceState), "G8: a peer has invalidated it");
    close(second);
    drop(qp);
    bench.end();
}

#[test]
fn g8_a_peer_may_invalidate_before_the_posting_has_returned() {
    let bench = Bench::new();
    let qp = Arc::new(bench.qp());
    let region = bench.fast_region();
    let (control, inner) = (bench.control.clone(), qp.clone());
    // A peer that knows the key from before uses it as soon as the device has the request.
    bench.control.post.hook.set(move || {
        control.peer_invalidates();
        assert!(inner.poll().is_some());
    });
    fast_register(&qp, region).expect("posted");
    let again = kind(invalidate(&qp, region));
    assert_eq!(again, Some(ErrorKind::InvalidDeviceState), "G8: a peer has invalidated it");
    fast_register(&qp, region).expect("G7: after an invalidation it can be registered again");
    close(region);
    drop(qp);
    bench.end();
}

#[test]
fn b8_a_panic_in_a_posting_leaves_the_region_as_after_a_flush() {
    let bench = Bench::new();
    let (qp, region) = (bench.qp(), bench.fast_region());
    bench.control.post.set(End::Panic);
    assert_eq!(kind(fast_register(&qp, region)), Some(ErrorKind::Internal));
    bench.control.post.set(End::Succeed);
    // The device may have got the request before the panic: its registration may be valid.
    let other = bench.qp();
    let over = kind(fast_register(&other, region));
    assert_eq!(over, Some(ErrorKind::InvalidDeviceState), "G7: posted over what may be valid");
    initialise_inline(region);
    fast_register(&other, region).expect("G10: it can be initialised again");
    close(region);
    drop((qp, other));
    bench.end();
}

/// A region with a registration in flight: a peer was faster than the completion, and it is for another round already.
fn in_another_round() -> (Bench, Qp, Region) {
    let bench = Bench::new();
    let (qp, region) = (bench.qp(), bench.fast_region());
    fast_register(&qp, region).expect("posted");
    bench.control.peer_invalidates();
    assert!(qp.poll().is_some());
    initialise_inline(region);
    (bench, qp, region)
}

#[test]
fn g6_a_late_failure_says_nothing_of_the_registrations_after_the_next_initialisation() {
    let (bench, qp, region) = in_another_round();
    fast_register(&qp, region).expect("G7: it is another round's");
    bench.control.complete(Err(ErrorKind::Cancelled));
    assert_eq!(qp.poll().expect("the first round's").result, Err(ErrorKind::Cancelled));
    invalidate(&qp, region).expect("G8: the second round's registration is valid");
    bench.control.complete_all();
    while qp.poll().is_some() {}
    close(region);
    drop(qp);
    bench.end();
}

#[test]
fn g6_a_late_failure_says_nothing_of_a_region_that_was_only_initialised_since() {
    let (bench, qp, region) = in_another_round();
    bench.control.complete(Err(ErrorKind::Cancelled));
    assert_eq!(qp.poll().expect("the first round's").result, Err(ErrorKind::Cancelled));
    fast_register(&qp, region).expect("G7: nothing was registered since");
    close(region);
    drop(qp);
    bench.end();
}
