//! Close cancels what is pending: it ends at once with CANCELLED, whatever time it would have taken (H2).

use super::common::{Host, Memory, Pd, Request};
use ndk_core::abi::*;
use std::ptr::null_mut;
use std::time::Duration;

const REMOTE: ULONG = NDK_MR_FLAG_ALLOW_REMOTE_WRITE;

/// Each request was over before the close, with CANCELLED, and no time has passed.
fn cancelled(host: &Host, requests: Vec<Request>, close: Request) {
    assert_eq!(close.inline, STATUS_PENDING, "H2: a close waits for what is pending");
    host.pump.run_ready();
    assert!(close.is_over() && requests.iter().all(Request::is_over), "H2: at once");
    assert_eq!(host.pump.clock().now(), Duration::ZERO);
    let last = close.finish_with_object(&host.pump);
    for request in requests {
        let call = request.finish_with_object(&host.pump);
        assert_eq!(call.status, STATUS_CANCELLED, "H2");
        assert!(call.order < last.order, "H2: the close completion is the last call");
    }
}

fn finish(host: Host, pd: Pd) {
    pd.close();
    host.close();
}

#[test]
fn h2_a_registration_that_would_take_an_hour_is_cancelled_by_close() {
    let host = Host::planned(
        "latency = { register = '3600s' }\nlimits = { pinned-pages = 2, tokens = 2 }",
    );
    let (pd, memory) = (host.pd(), Memory::scattered(5000));
    let bytes = memory.fill(1);
    for _ in 0..3 {
        let mr = pd.mr();
        let register = mr.begin_register(&memory, memory.len(), REMOTE);
        assert_eq!((mr.local_value(), mr.remote_value()), (0, 0), "E1");
        let close = mr.begin_close();
        cancelled(&host, vec![register], close);
    }
    assert_eq!(host.pump.clock().waiting(), 0, "no timer is left");
    assert_eq!(memory.bytes(), bytes, "D5");
    finish(host, pd);
}

#[test]
fn h2_h3_a_deregistration_is_cancelled_by_close_and_its_tokens_die_all_the_same() {
    let host = Host::planned("latency = { deregister = '3600s' }");
    let (pd, memory) = (host.pd(), Memory::new(100));
    let mr = pd.registered(&memory, REMOTE);
    let deregister = mr.begin_deregister();
    assert_eq!(host.sim().counters().live(), 1);
    let close = mr.begin_close();
    cancelled(&host, vec![deregister], close);
    assert_eq!(host.sim().counters().live(), 0, "H3");
    finish(host, pd);
}

#[test]
fn h2_every_initialisation_of_a_queue_is_cancelled_once() {
    let host = Host::planned("latency = { initialize-fast-register = '3600s' }");
    let pd = host.pd();
    let mr = pd.try_mr(true).unwrap();
    let requests: Vec<_> = (1..5).map(|pages| mr.begin_initialise(pages, true)).collect();
    assert!(requests.iter().all(|request| request.inline == STATUS_PENDING));
    let close = mr.begin_close();
    cancelled(&host, requests, close);
    finish(host, pd);
}

#[test]
fn h2_a_close_does_not_cancel_itself() {
    let host = Host::planned("latency = { register = '3600s', close-mr = '5us' }");
    let (pd, memory) = (host.pd(), Memory::new(100));
    let mr = pd.mr();
    let register = mr.begin_register(&memory, 100, REMOTE);
    let close = mr.begin_close();
    host.pump.run_ready();
    assert!(register.is_over() && !close.is_over(), "it takes its time");
    assert_eq!(register.finish(&host.pump), STATUS_CANCELLED);
    assert_eq!(close.finish(&host.pump), STATUS_SUCCESS);
    assert_eq!(host.pump.clock().now(), Duration::from_micros(5));
    finish(host, pd);
}

#[test]
fn h2_the_close_of_one_region_cancels_no_other() {
    let host = Host::planned("latency = { register = '3600s' }");
    let (pd, memory) = (host.pd(), Memory::new(100));
    let (one, other) = (pd.mr(), pd.mr());
    let request = other.begin_register(&memory, 100, REMOTE);
    let register = one.begin_register(&memory, 100, REMOTE);
    let close = one.begin_close();
    cancelled(&host, vec![register], close);
    assert!(!request.is_over());
    assert_eq!(request.finish(&host.pump), STATUS_SUCCESS);
    assert_eq!(host.pump.clock().now(), Duration::from_secs(3600));
    other.close();
    finish(host, pd);
}

#[test]
fn h4_a_domain_is_closed_after_a_creation_that_pends_and_the_region_it_made() {
    let host = Host::planned("latency = { create-mr = '10us' }");
    let (pd, mut out) = (host.pd(), null_mut());
    let create = pd.begin_mr(false, &mut out);
    let close = pd.begin_close();
    let mut refused = null_mut();
    let another = pd.begin_mr(false, &mut refused);
    assert_eq!(another.finish(&host.pump), STATUS_INVALID_DEVICE_STATE, "H7");
    assert_eq!(pd.begin_close().finish(&host.pump), STATUS_INVALID_DEVICE_STATE, "H7");
    let created = create.finish_with_object(&host.pump);
    assert_eq!(created.status, STATUS_SUCCESS);
    while host.pump.turn() {}
    assert!(!close.is_over(), "H4: its region is there");
    let raw = std::ptr::NonNull::new(created.object().cast()).unwrap();
    super::common::Mr { raw, pump: host.pump.clone() }.close();
    assert_eq!(close.finish(&host.pump), STATUS_SUCCESS);
    host.close();
}

#[test]
fn h7_while_a_close_pends_nothing_else_is_done() {
    let host = Host::planned("latency = { close-mr = '10us' }");
    let (pd, memory) = (host.pd(), Memory::new(100));
    // A request in progress keeps the object there for as long as the close pends.
    let mr = pd.registered(&memory, REMOTE);
    let close = mr.begin_close();
    assert_eq!(close.inline, STATUS_PENDING);
    let pump = &host.pump;
    assert_eq!(mr.register(&memory, REMOTE), STATUS_INVALID_DEVICE_STATE, "H7");
    assert_eq!(mr.deregister(), STATUS_INVALID_DEVICE_STATE, "H7");
    assert_eq!((mr.local_value(), mr.remote_value()), (0, 0), "H7");
    assert_eq!(mr.begin_close().finish(pump), STATUS_INVALID_DEVICE_STATE, "H7");
    assert_eq!(close.finish(pump), STATUS_SUCCESS);
    finish(host, pd);
}
