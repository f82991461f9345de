//! V3, V4, V5, V6: objects used after their close, closed twice, closed from a callback, never closed.

use crate::calls::*;
use futures_lite::future::{block_on, zip};
use ndk_core::abi::*;
use ndk_core::{BoxedAdapter, ErrorKind, Opened, Party, QueueDepths, Std};
use std::ptr::{addr_of, null_mut};
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

#[test]
fn v3_a_region_used_after_its_close_has_completed() {
    let program = open("verify+sim");
    let pd = program.domain();
    let (mr, mdl) = (region(pd, false), memory(100));
    assert_eq!(close(mr), STATUS_SUCCESS);
    program.silent();
    assert_eq!(register(mr, &mdl), STATUS_INVALID_DEVICE_STATE);
    let finding = program.consumer("V3", "/mr");
    assert!(finding.did.starts_with("register: "), "{finding}");
    // Where it was created is this file's function, not the verifier's.
    assert!(finding.created.contains("calls::region"), "{finding}");
    // Other uses are other mistakes; the same once more is not.
    assert_eq!(register(mr, &mdl), STATUS_INVALID_DEVICE_STATE);
    assert_eq!(program.consumer("V3", "/mr").times, 2);
    assert_eq!((deregister(mr), local_token(mr)), (STATUS_INVALID_DEVICE_STATE, 0));
    let (consumer, v3) = (Party::Consumer, "V3");
    assert!(program.found().iter().all(|found| (found.0, found.1) == (consumer, v3)));
    assert_eq!(program.verifier.counts().consumer, 3);
    program.end(pd);
}

#[test]
fn v3_a_region_used_while_its_close_is_pending() {
    let program = open("verify+sim?latency=register:3600s");
    let pd = program.domain();
    let (mr, mdl, pending) = (region(pd, false), memory(100), Ticket::new());
    assert_eq!(register_with(mr, &mdl, 0, pending), STATUS_PENDING);
    let closing = Ticket::new();
    let status = start_close(mr, closing);
    // Whether the request was cancelled by then, and the close has completed, or not: the region was closed.
    assert_eq!(remote_token(mr), 0);
    assert_eq!(closing.wait(status), STATUS_SUCCESS);
    assert_eq!(pending.wait(STATUS_PENDING), STATUS_CANCELLED);
    program.consumer("V3", "/mr");
    program.end(pd);
}

#[test]
fn v3_a_domain_used_after_its_close() {
    let program = open("verify+sim");
    let (kept, pd) = (program.domain(), program.domain());
    let ticket = Ticket::new();
    // SAFETY: the domain is open; then its memory is kept.
    unsafe {
        let status = entry!(pd, NdkClosePd)(pd.cast(), Some(close_done), ticket.context());
        assert_eq!(ticket.wait(status), STATUS_SUCCESS);
        program.silent();
        let mut mr = null_mut();
        let status = entry!(pd, NdkCreateMr)(pd, FALSE, Some(create_done), null_mut(), &mut mr);
        assert_eq!((status, mr), (STATUS_INVALID_DEVICE_STATE, null_mut()));
    }
    program.consumer("V3", "/pd");
    program.end(kept);
}

#[test]
fn v3_a_queue_pair_or_window_made_in_a_domain_after_its_close() {
    let program = open("verify+sim");
    let (kept, pd) = (program.domain(), program.domain());
    let ticket = Ticket::new();
    // SAFETY: the domain is open; then its memory is kept.
    let (qp, window) = unsafe {
        let status = entry!(pd, NdkClosePd)(pd.cast(), Some(close_done), ticket.context());
        assert_eq!(ticket.wait(status), STATUS_SUCCESS);
        let domain = native(pd);
        block_on(zip(domain.create_qp(QueueDepths::default()), domain.create_window()))
    };
    let refused = [qp.expect_err("no queue pair"), window.expect_err("no window")];
    assert_eq!(refused.map(|error| error.kind()), [ErrorKind::InvalidDeviceState; 2]);
    let finding = program.consumer("V3", "/pd2");
    assert_eq!(finding.times, 2);
    program.end(kept);
}

#[test]
fn v4_a_second_close_is_found_before_and_after_the_first_has_completed() {
    let program = open("verify+sim");
    let pd = program.domain();
    let mr = region(pd, false);
    assert_eq!(close(mr), STATUS_SUCCESS);
    assert_eq!(close(mr), STATUS_INVALID_DEVICE_STATE);
    program.consumer("V4", "/mr");
    program.end(pd);

    let program = open("verify+sim?latency=register:3600s");
    let pd = program.domain();
    let (mr, mdl, pending) = (region(pd, false), memory(100), Ticket::new());
    assert_eq!(register_with(mr, &mdl, 0, pending), STATUS_PENDING);
    let closing = Ticket::new();
    let first = start_close(mr, closing);
    assert_eq!(start_close(mr, Ticket::new()), STATUS_INVALID_DEVICE_STATE);
    assert_eq!(closing.wait(first), STATUS_SUCCESS);
    program.consumer("V4", "/mr");
    program.end(pd);
}

/// What the callback of V5 closes, and what came of it.
struct Callback {
    opened: Mutex<Option<Opened<BoxedAdapter, Std>>>,
    status: AtomicI32,
}

unsafe extern "system" fn closes_the_adapter(context: PVOID) {
    // SAFETY: the test's, which waits for this.
    let callback = unsafe { &*context.cast::<Callback>() };
    let mut opened = callback.opened.lock().expect("no panic");
    let refused = opened.take().expect("an adapter").close().expect_err("refused");
    *opened = Some(refused.adapter);
    callback.status.store(refused.error.status(), Ordering::Release);
}

#[test]
fn v5_the_adapter_closed_inside_a_callback() {
    let program = open("verify+sim?latency=close-mr:1ms");
    let pd = program.domain();
    let mr = region(pd, false);
    let Program { opened, verifier } = program;
    let callback =
        Callback { opened: Mutex::new(Some(opened)), status: AtomicI32::new(STATUS_PENDING) };
    let held = callback.opened.lock().expect("no panic");
    // SAFETY: the region is open.
    let status = unsafe {
        let context = (&raw const callback).cast_mut().cast();
        entry!(mr, NdkCloseMr)(mr.cast(), Some(closes_the_adapter), context)
    };
    assert_eq!(status, STATUS_PENDING);
    drop(held);
    until("the callback", || callback.status.load(Ordering::Acquire) != STATUS_PENDING);
    assert_eq!(callback.status.load(Ordering::Acquire), STATUS_INVALID_DEVICE_STATE);
    let opened = callback.opened.lock().expect("no panic").take().expect("an adapter");
    let program = Program { opened, verifier };
    program.consumer("V5", "sim0");
    program.end(pd);
}

#[test]
fn v6_what_was_never_closed_is_named_where_the_adapters_close_waits_for_it() {
    let program = open("verify(limit=1ms)+sim");
    let pd = program.domain();
    let mr = region(pd, false);
    let Program { opened, verifier } = program;
    let closing = thread::spawn(move || opened.close().map_err(|refused| refused.error));
    until("the finding", || verifier.findings().len() == 2);
    let findings = verifier.findings();
    assert!(findings.iter().all(|finding| finding.rules[0] == "V6"), "{findings:#?}");
    assert!(findings[0].object.contains("/mr") && findings[0].created.contains("calls::region"));
    assert!(findings[1].object.ends_with("/pd1"), "{findings:#?}");
    assert_eq!(close(mr), STATUS_SUCCESS);
    let ticket = Ticket::new();
    // SAFETY: the domain is open.
    let status = unsafe { entry!(pd, NdkClosePd)(pd.cast(), Some(close_done), ticket.context()) };
    assert_eq!(ticket.wait(status), STATUS_SUCCESS);
    closing.join().expect("no panic").expect("closed at last");
}

#[test]
fn v6_a_close_that_would_wait_for_ever_fails_where_mistakes_fail() {
    let program = open("verify(limit=1ms,policy=fail)+sim");
    let pd = program.domain();
    let mr = region(pd, false);
    let Program { opened, verifier } = program;
    let refused = opened.close().expect_err("refused");
    assert_eq!((refused.error.kind(), refused.error.rule_id()), (ErrorKind::DeviceBusy, "V6"));
    assert_eq!(verifier.counts().consumer, 2);
    assert_eq!(close(mr), STATUS_SUCCESS);
    Program { opened: refused.adapter, verifier }.end(pd);
}

#[test]
fn v6_what_is_being_closed_is_not_the_consumers_to_close() {
    let program = open("verify(limit=1ms)+sim?latency=close-mr:2s");
    let pd = program.domain();
    let mr = region(pd, false);
    let (region_closed, domain_closed) = (Ticket::new(), Ticket::new());
    assert_eq!(start_close(mr, region_closed), STATUS_PENDING);
    // SAFETY: the domain is open.
    let closing =
        unsafe { entry!(pd, NdkClosePd)(pd.cast(), Some(close_done), domain_closed.context()) };
    assert_eq!(closing, STATUS_PENDING, "H4");
    // It waits for a second and looks what for, before the closes are over.
    program.opened.close().expect("closed at last");
    // That the close takes longer than the limit is the provider's.
    let findings = program.verifier.findings();
    assert!(findings.iter().all(|finding| finding.rules[0] == "V24"), "{findings:#?}");
    assert_eq!(region_closed.wait(STATUS_PENDING), STATUS_SUCCESS);
    assert_eq!(domain_closed.wait(STATUS_PENDING), STATUS_SUCCESS);
}

#[test]
fn v6_an_adapter_that_is_dropped_open_names_what_is_lost() {
    /// What this leaks, so that a leak checker finds it.
    static LOST: AtomicPtr<NDK_PD> = AtomicPtr::new(null_mut());
    let program = open("verify+sim");
    let pd = program.domain();
    drop(program.opened);
    let findings = program.verifier.findings();
    assert_eq!((findings.len(), findings[0].rules[0]), (1, "V6"), "{findings:#?}");
    assert!(findings[0].did.contains("dropped"), "{}", findings[0]);
    // It was leaked, and is as usable as before.
    assert_eq!(close(region(pd, false)), STATUS_SUCCESS);
    LOST.store(pd, Ordering::Release);
}

#[test]
fn v6_a_queue_pair_or_window_whose_close_is_not_over_is_not_the_consumers_to_close() {
    /// What this leaks, so that a leak checker finds it.
    static LOST: AtomicPtr<NDK_ADAPTER> = AtomicPtr::new(null_mut());
    let executor = Arc::new(Asleep::default());
    let program = open_on("verify+sim", executor.clone());
    let (pd, adapter) = (program.domain(), program.adapter());
    // SAFETY: the domain is open.
    let (qp, window) = block_on(unsafe {
        let domain = native(pd);
        zip(domain.create_qp(QueueDepths::default()), domain.create_window())
    });
    // Dropped, they are closed by the executor, which has not come to it.
    drop((qp.expect("a queue pair"), window.expect("a window")));
    let ticket = Ticket::new();
    // SAFETY: the domain is open.
    let status = unsafe { entry!(pd, NdkClosePd)(pd.cast(), Some(close_done), ticket.context()) };
    assert_eq!(status, STATUS_PENDING, "H4");
    drop(program.opened);
    executor.run();
    assert_eq!(ticket.wait(status), STATUS_SUCCESS);
    assert_eq!(program.verifier.findings(), []);
    LOST.store(adapter, Ordering::Release);
}
