//! Requests that fail: the n-th, inline and through the completion, with everything as before (B6, B7).

use super::common::{Host, Memory, Mr};
use ndk_core::abi::*;
use std::ptr::null_mut;

const REMOTE: ULONG = NDK_MR_FLAG_ALLOW_REMOTE_READ | NDK_MR_FLAG_ALLOW_REMOTE_WRITE;
const SHORT: NTSTATUS = STATUS_INSUFFICIENT_RESOURCES;

/// A plan in which the n-th of an operation fails, inline or pending, and what the entry returns for that one.
fn failing(operation: &str, nth: u32) -> [(Host, NTSTATUS); 2] {
    [("inline", SHORT), ("pending", STATUS_PENDING)].map(|(when, returned)| {
        // A limit makes what a failure would leave behind felt.
        let plan = format!(
            "limits = {{ pinned-pages = 3, tokens = 4, regions = 2 }}
            [[fault]]
            operation = '{operation}'
            nth = {nth}
            status = 'insufficient-resources'
            when = '{when}'"
        );
        (Host::planned(&plan), returned)
    })
}

/// What can be seen of a region and of what it has taken.
fn state(host: &Host, mr: &Mr) -> (u32, u32, u64, usize) {
    let live = host.sim().counters().live();
    (mr.local_value(), mr.remote_value(), live, host.sim().live_records())
}

#[test]
fn b6_b7_a_registration_that_fails_leaves_the_region_as_it_was_and_a_retry_works() {
    for (host, returned) in failing("register", 2) {
        let (pd, memory) = (host.pd(), Memory::scattered(5000));
        let mr = pd.mr();
        assert_eq!(mr.register(&memory, REMOTE), STATUS_SUCCESS, "the first");
        assert_eq!(mr.deregister(), STATUS_SUCCESS);
        let (before, bytes) = (state(&host, &mr), memory.fill(1));
        let request = mr.begin_register(&memory, memory.len(), REMOTE);
        assert_eq!(request.inline, returned);
        assert_eq!(request.finish(&host.pump), SHORT, "B6: the second");
        assert_eq!(state(&host, &mr), before, "B7");
        // All of the pins and tokens are there: nothing was kept.
        let other = pd.mr();
        assert_eq!(other.register(&memory, REMOTE), STATUS_SUCCESS, "B7: pins");
        assert_eq!(other.deregister(), STATUS_SUCCESS);
        other.close();
        assert_eq!(mr.register(&memory, REMOTE), STATUS_SUCCESS, "B6: a retry");
        assert_ne!(mr.local_value(), 0);
        assert_eq!(memory.bytes(), bytes, "D5");
        mr.close();
        pd.close();
        host.close();
    }
}

#[test]
fn b7_a_deregistration_that_fails_leaves_the_tokens_alive() {
    for (host, returned) in failing("deregister", 1) {
        let (pd, memory) = (host.pd(), Memory::new(5000));
        let mr = pd.registered(&memory, REMOTE);
        let before = state(&host, &mr);
        let request = mr.begin_deregister();
        assert_eq!(request.inline, returned);
        let tokens = (mr.local_value(), mr.remote_value());
        let expected = if returned == STATUS_PENDING { (0, 0) } else { (before.0, before.1) };
        assert_eq!(tokens, expected, "E1: none while it is going on");
        assert_eq!(request.finish(&host.pump), SHORT);
        assert_eq!(state(&host, &mr), before, "B7");
        let again = mr.register(&memory, REMOTE);
        assert_eq!(again, STATUS_INVALID_DEVICE_STATE, "C12: it is registered");
        assert_eq!(mr.deregister(), STATUS_SUCCESS, "a retry");
        mr.close();
        pd.close();
        host.close();
    }
}

#[test]
fn b7_an_initialisation_that_fails_leaves_the_one_before() {
    for (host, returned) in failing("initialize-fast-register", 2) {
        let pd = host.pd();
        let mr = pd.fast_mr(4, true);
        let before = state(&host, &mr);
        let request = mr.begin_initialise(9, false);
        assert_eq!(request.inline, returned);
        assert_eq!(request.finish(&host.pump), SHORT);
        assert_eq!(state(&host, &mr), before, "B7");
        assert_eq!(mr.initialise(9, false), STATUS_SUCCESS, "a retry");
        assert_eq!(mr.remote_value(), 0, "G3: what was committed last");
        assert_ne!(mr.local_value(), before.0, "E4: a new token with each initialisation");
        mr.close();
        pd.close();
        host.close();
    }
}

#[test]
fn g3_of_initialisations_in_parallel_the_last_committed_counts_and_each_completes_once() {
    let host = Host::planned(
        "latency = { initialize-fast-register = '10us' }
        [[fault]]
        operation = 'initialize-fast-register'
        nth = 4
        status = 'timeout'",
    );
    let pd = host.pd();
    let mr = pd.try_mr(true).unwrap();
    let requests: Vec<_> = [(1, true), (2, false), (3, true), (4, false)]
        .map(|(pages, remote)| mr.begin_initialise(pages, remote))
        .into();
    assert!(requests.iter().all(|request| request.inline == STATUS_PENDING));
    let ends: Vec<_> =
        requests.into_iter().map(|request| request.finish_with_object(&host.pump)).collect();
    let statuses: Vec<_> = ends.iter().map(|end| end.status).collect();
    assert_eq!(statuses, [STATUS_SUCCESS, STATUS_SUCCESS, STATUS_SUCCESS, STATUS_IO_TIMEOUT]);
    assert!(ends.windows(2).all(|pair| pair[0].order < pair[1].order), "one after another");
    assert_ne!(mr.remote_value(), 0, "G3: the third, which was with remote access");
    mr.close();
    pd.close();
    host.close();
}

#[test]
fn a1_a_creation_that_fails_makes_nothing() {
    for (host, returned) in failing("create-mr", 2) {
        let pd = host.pd();
        let (first, records) = (pd.mr(), host.sim().live_records());
        let mut out = null_mut();
        let request = pd.begin_mr(false, &mut out);
        assert_eq!(request.inline, returned);
        let call = request.finish_with_object(&host.pump);
        assert_eq!(call.status, SHORT);
        assert!(out.is_null() && call.object().is_null(), "A1");
        assert_eq!(host.sim().live_records(), records, "B7");
        let second = pd.mr();
        assert_eq!(pd.try_mr(false).err(), Some(SHORT), "C14: the limit is not reached sooner");
        first.close();
        second.close();
        pd.close();
        host.close();
    }
    for (host, returned) in failing("create-pd", 1) {
        let mut out = null_mut();
        let request = host.begin_pd(&mut out);
        assert_eq!(request.inline, returned);
        let call = request.finish_with_object(&host.pump);
        assert_eq!(call.status, SHORT);
        assert!(out.is_null() && call.object().is_null(), "A1");
        assert_eq!(host.sim().live_records(), 0, "B7");
        host.pd().close();
        host.close();
    }
}

#[test]
fn l4_a_build_that_fails_leaves_no_mapping() {
    let host = Host::planned(
        "[[fault]]
        operation = 'build-mapping'
        nth = 1
        status = 'insufficient-resources'",
    );
    let memory = Memory::scattered(9000);
    assert_eq!(host.try_map(&memory).err(), Some(SHORT));
    let lam = host.map(&memory);
    assert_eq!(lam.pages.len(), 3);
    host.release(lam);
    host.close();
}

#[test]
fn l6_a_build_that_pends_needs_a_completion() {
    let host = Host::planned("latency = { build-mapping = '1us' }");
    let memory = Memory::new(10);
    // A7: with a null completion nothing is started.
    assert_eq!(host.try_map(&memory).err(), Some(STATUS_INVALID_PARAMETER));
    host.pump.run_ready();
    assert_eq!(host.pump.clock().waiting(), 0, "nothing is left waiting");
    host.close();
}

#[test]
fn faults_befall_the_occurrences_that_the_plan_names_and_no_others() {
    let host = Host::planned(
        "[[fault]]
        operation = 'register'
        every = 3
        status = 'timeout'
        [[fault]]
        operation = 'register'
        nth = 4
        status = '0xc0000001'
        when = 'pending'",
    );
    let (pd, memory) = (host.pd(), Memory::new(1));
    let mr = pd.mr();
    let unnamed = 0xC000_0001_u32.cast_signed();
    for number in 1..=9 {
        let status = mr.register(&memory, 0);
        let expected = match number {
            4 => unnamed,
            3 | 6 | 9 => STATUS_IO_TIMEOUT,
            _ => STATUS_SUCCESS,
        };
        assert_eq!(status, expected, "registration {number}");
        if status == STATUS_SUCCESS {
            assert_eq!(mr.deregister(), STATUS_SUCCESS);
        }
    }
    mr.close();
    pd.close();
    host.close();
}
