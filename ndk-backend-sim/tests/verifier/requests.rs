//! V1, V7, V9, and what the contract says of arguments and states.

use crate::calls::*;
use futures_lite::future::{block_on, zip};
use ndk_core::abi::*;
use ndk_core::{Access, ErrorKind, FastMemory, QueueDepths, RegionRef};
use std::ptr::{NonNull, addr_of, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn v1_a_null_completion_routine() {
    let program = open("verify+sim");
    let pd = program.domain();
    let (mr, mdl) = (region(pd, false), memory(100));
    // SAFETY: the region is open.
    let status =
        unsafe { entry!(mr, NdkRegisterMr)(mr, mdl.as_ptr(), mdl.len(), 0, None, null_mut()) };
    assert_eq!(status, STATUS_INVALID_PARAMETER);
    program.consumer("V1", "/mr");
    // SAFETY: as above.
    let status = unsafe { entry!(mr, NdkCloseMr)(mr.cast(), None, null_mut()) };
    assert_eq!(status, STATUS_INVALID_PARAMETER);
    let adapter = program.adapter();
    // SAFETY: the adapter is open; a queue pair is not built by the table, and its completion looked at all the same.
    unsafe {
        let mut made = null_mut();
        let status = entry!(adapter, NdkCreatePd)(adapter, None, null_mut(), &mut made);
        assert_eq!(status, STATUS_INVALID_PARAMETER);
        let mut window = null_mut();
        let status = entry!(pd, NdkCreateMw)(pd, None, null_mut(), &mut window);
        assert_eq!(status, STATUS_INVALID_PARAMETER);
    }
    assert!(program.found().iter().all(|found| found.1 == "V1"), "{:?}", program.found());
    assert_eq!(program.verifier.counts().consumer, 4);
    assert_eq!(close(mr), STATUS_SUCCESS);
    program.end(pd);
}

#[test]
fn v1_a_null_completion_routine_where_a_mapping_pends() {
    let program = open("verify+sim?latency=build-mapping:3600s");
    let (adapter, mdl, mut lam) = (program.adapter(), memory(100), [0_u64; 16]);
    let (mut size, mut first_byte) = (size_of_val(&lam) as ULONG, 0);
    // SAFETY: the adapter is open, and the buffer as long as is said.
    let status = unsafe {
        let (build, out) = (entry!(adapter, NdkBuildLAM), lam.as_mut_ptr().cast());
        let (head, size, first_byte) = (mdl.as_ptr(), &mut size, &mut first_byte);
        build(adapter, head, mdl.len(), None, null_mut(), out, size, first_byte)
    };
    assert_eq!(status, STATUS_INVALID_PARAMETER);
    program.consumer("V1", "sim0");
    program.opened.close().unwrap();
}

#[test]
fn v7_a_context_of_a_pending_request_is_used_again() {
    let program = open("verify+sim?latency=register:3600s");
    let pd = program.domain();
    let (first, second, mdl) = (region(pd, false), region(pd, false), memory(100));
    let (ticket, other) = (Ticket::new(), Ticket::new());
    assert_eq!(register_with(first, &mdl, 0, ticket), STATUS_PENDING);
    program.silent();
    assert_eq!(register_with(second, &mdl, 0, ticket), STATUS_PENDING);
    let finding = program.consumer("V7", "/mr3");
    assert!(finding.did.contains("in progress on") && finding.did.contains("/mr2"), "{finding}");
    assert_eq!((close(first), close(second)), (STATUS_SUCCESS, STATUS_SUCCESS));
    // Once the request is over its context may be used again, and different requests have different ones.
    let (third, fourth) = (region(pd, false), region(pd, false));
    assert_eq!(register_with(third, &mdl, 0, ticket), STATUS_PENDING);
    assert_eq!(register_with(fourth, &mdl, 0, other), STATUS_PENDING);
    assert_eq!((close(third), close(fourth)), (STATUS_SUCCESS, STATUS_SUCCESS));
    program.consumer("V7", "/mr3");
    program.end(pd);
}

#[test]
fn v7_requests_without_a_context_have_none_together() {
    static DONE: AtomicUsize = AtomicUsize::new(0);
    extern "system" fn done(context: PVOID, status: NTSTATUS) {
        assert!(context.is_null());
        assert_eq!(status, STATUS_SUCCESS);
        DONE.fetch_add(1, Ordering::Relaxed);
    }
    let program = open("verify(policy=fail)+sim?latency=register:50ms");
    let pd = program.domain();
    let (regions, mdl) = ([region(pd, false), region(pd, false)], memory(100));
    for mr in regions {
        // SAFETY: the region is open, and the chain outlives the request.
        let status = unsafe {
            let register = entry!(mr, NdkRegisterMr);
            register(mr, mdl.as_ptr(), mdl.len(), 0, Some(done), null_mut())
        };
        assert_eq!(status, STATUS_PENDING);
    }
    until("both registrations", || DONE.load(Ordering::Relaxed) == 2);
    program.silent();
    regions.into_iter().for_each(|mr| assert_eq!(close(mr), STATUS_SUCCESS));
    program.end(pd);
}

#[test]
fn v7_where_mistakes_fail_the_request_is_not_started_and_the_region_is_as_before() {
    let program = open("verify(policy=fail)+sim?latency=register:3600s");
    let pd = program.domain();
    let (first, second, fast) = (region(pd, false), region(pd, false), region(pd, true));
    let (ticket, mdl) = (Ticket::new(), memory(100));
    assert_eq!(register_with(first, &mdl, 0, ticket), STATUS_PENDING);
    let initialise = |ticket: &'static Ticket| {
        // SAFETY: the region is open.
        unsafe {
            let initialise = entry!(fast, NdkInitializeFastRegisterMr);
            initialise(fast, 1, TRUE, Some(request_done), ticket.context())
        }
    };
    for refused in [register_with(second, &mdl, 0, ticket), initialise(ticket)] {
        assert_eq!(refused, STATUS_INVALID_PARAMETER);
    }
    let found = program.found();
    assert!(found.len() == 2 && found.iter().all(|found| found.1 == "V7"), "{found:?}");
    assert_eq!(local_token(fast), 0, "it was not initialised");
    assert_eq!(initialise(Ticket::new()), STATUS_SUCCESS);
    assert_eq!(register_with(second, &mdl, 0, Ticket::new()), STATUS_PENDING);
    for mr in [first, second, fast] {
        assert_eq!(close(mr), STATUS_SUCCESS);
    }
    program.end(pd);
}

#[test]
fn v7_requests_without_a_context_and_those_that_end_inline_share_nothing() {
    let program = open("verify(policy=fail)+sim");
    let pd = program.domain();
    let (mr, mdl, ticket) = (region(pd, false), memory(100), Ticket::new());
    for _ in 0..3 {
        assert_eq!(register_with(mr, &mdl, 0, ticket), STATUS_SUCCESS);
        // SAFETY: the region is open.
        let status =
            unsafe { entry!(mr, NdkDeregisterMr)(mr, Some(request_done), ticket.context()) };
        assert_eq!(status, STATUS_SUCCESS);
    }
    // One that is refused leaves its context, too.
    assert_eq!(register_with(mr, &mdl, 0x10, ticket), STATUS_INVALID_PARAMETER);
    assert_eq!(register_with(mr, &mdl, 0, ticket), STATUS_SUCCESS);
    program.consumer("V9", "/mr");
    assert_eq!(close(mr), STATUS_SUCCESS);
    program.end(pd);
}

#[test]
fn v9_flags_outside_the_mask_and_remote_rights_where_there_can_be_none() {
    let program = open("verify+sim");
    let pd = program.domain();
    let (mr, mdl) = (region(pd, false), memory(100));
    assert_eq!(register_with(mr, &mdl, 0x4, Ticket::new()), STATUS_INVALID_PARAMETER);
    program.consumer("V9", "/mr");
    for flags in [0, 1, 2, 3, 5, 7, 8, 9, 0xF] {
        assert_eq!(register_with(mr, &mdl, flags, Ticket::new()), STATUS_SUCCESS);
        assert_eq!(deregister(mr), STATUS_SUCCESS);
    }
    program.consumer("V9", "/mr");
    assert_eq!(close(mr), STATUS_SUCCESS);

    let fast = region(pd, true);
    // SAFETY: the region is open.
    unsafe {
        let initialise = entry!(fast, NdkInitializeFastRegisterMr);
        let status = initialise(fast, 4, FALSE, Some(request_done), Ticket::new().context());
        assert_eq!(status, STATUS_SUCCESS);
        let qp = block_on(native(pd).create_qp(QueueDepths::default())).expect("a queue pair");
        let memory = FastMemory { pages: &[0], first_byte: 0, length: 4096, base: 0 };
        let region = RegionRef::from_ndk(NonNull::new(fast).expect("a region"));
        let refused = qp.fast_register(1, region, memory, Access::REMOTE_READ);
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::AccessViolation);
        block_on(qp.close());
    }
    assert_eq!(program.found()[1].1, "V9", "{:?}", program.found());
    assert_eq!((close(fast), program.verifier.counts().consumer), (STATUS_SUCCESS, 2));
    program.end(pd);
}

#[test]
fn other_rules_are_told_by_their_own_names() {
    let program = open("verify+sim");
    let pd = program.domain();
    let (mr, fast, mdl) = (region(pd, false), region(pd, true), memory(100));
    let register_part = |mr: *mut NDK_MR, mdl: *mut MDL, length| {
        // SAFETY: the regions are open.
        unsafe {
            let context = Ticket::new().context();
            entry!(mr, NdkRegisterMr)(mr, mdl, length, 0, Some(request_done), context)
        }
    };
    assert_eq!(deregister(mr), STATUS_INVALID_DEVICE_STATE);
    assert_eq!(register_part(mr, mdl.as_ptr(), 0), STATUS_INVALID_PARAMETER);
    assert_eq!(register_part(mr, mdl.as_ptr(), 101), STATUS_INVALID_PARAMETER);
    assert_eq!(register_part(mr, null_mut(), 1), STATUS_INVALID_PARAMETER);
    assert_eq!(register_part(fast, mdl.as_ptr(), 1), STATUS_INVALID_DEVICE_STATE);
    assert_eq!(register(mr, &mdl), STATUS_SUCCESS);
    assert_eq!(register(mr, &mdl), STATUS_INVALID_DEVICE_STATE);
    let rules: Vec<_> = program.found().iter().map(|found| found.1).collect();
    assert_eq!(rules, ["D1", "C6", "C5", "A6", "C11", "C12"]);
    assert_eq!(program.verifier.counts().provider, 0);
    assert_eq!((close(mr), close(fast)), (STATUS_SUCCESS, STATUS_SUCCESS));
    program.end(pd);
}

#[test]
fn what_a_right_program_is_refused_is_no_mistake() {
    let program = open("verify+sim?fault=register:1:insufficient-resources");
    let pd = program.domain();
    let (mr, mdl) = (region(pd, false), memory(100));
    assert_eq!(register(mr, &mdl), STATUS_INSUFFICIENT_RESOURCES);
    assert_eq!(register(mr, &mdl), STATUS_SUCCESS);
    assert_eq!((deregister(mr), close(mr)), (STATUS_SUCCESS, STATUS_SUCCESS));
    program.silent();
    program.end(pd);
}

#[test]
fn what_is_refused_of_a_region_or_window_on_a_queue_pair_is_told_of_the_region_or_window() {
    let program = open("verify+sim");
    let pd = program.domain();
    let regions = [region(pd, true), region(pd, true)];
    // SAFETY: the domain is open.
    let (qp, window) = block_on(unsafe {
        let domain = native(pd);
        zip(domain.create_qp(QueueDepths::default()), domain.create_window())
    });
    let (qp, window) = (qp.expect("a queue pair"), window.expect("a window"));
    for mr in regions {
        assert_eq!(close(mr), STATUS_SUCCESS);
        // SAFETY: made by an adapter of that type; it is closed, and its memory kept.
        let refused = unsafe {
            let region = RegionRef::from_ndk(NonNull::new(mr).expect("a region"));
            qp.invalidate(1, region)
        };
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidDeviceState);
    }
    let refused = qp.invalidate_window(2, &window);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidDeviceState);
    let findings = program.verifier.findings();
    let found: Vec<_> =
        findings.iter().map(|finding| (finding.rules[0], &finding.object[..])).collect();
    assert_eq!(found, [("V3", "sim0/pd1/mr2"), ("V3", "sim0/pd1/mr3"), ("G8", "sim0/pd1/mw5")]);
    assert!(findings[0].did.starts_with("invalidate on sim0/pd1/qp4: "), "{}", findings[0]);
    block_on(zip(qp.close(), window.close()));
    program.end(pd);
}
