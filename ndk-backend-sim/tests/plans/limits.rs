//! What the adapter has a given amount of: exact, given back, and felt by nobody else (B6, B7, C13, C14).

use super::common::{Host, Memory, loopback, window};
use ndk_core::abi::*;
use ndk_core::{Access, ErrorKind};

const SHORT: NTSTATUS = STATUS_INSUFFICIENT_RESOURCES;
const REMOTE: ULONG = NDK_MR_FLAG_ALLOW_REMOTE_READ;

#[test]
fn b6_c13_pins_are_counted_in_each_region_to_the_last_one() {
    for latency in ["inline", "5us"] {
        let plan =
            format!("latency = {{ register = '{latency}' }}\nlimits = {{ pinned-pages = 10 }}");
        let host = Host::planned(&plan);
        let pd = host.pd();
        // Four pages, by three of bytes.
        let memory = Memory::scattered(3 * 4096);
        let (one, two, three) =
            (pd.registered(&memory, REMOTE), pd.registered(&memory, 0), pd.mr());
        let before = host.sim().live_records();
        assert_eq!(three.register(&memory, 0), SHORT, "C13: 12 pages are more than 10");
        assert_eq!((three.local_value(), host.sim().live_records()), (0, before), "B7");
        let two_pages = Memory::new(8192);
        assert_eq!(three.register(&two_pages, 0), STATUS_SUCCESS, "the limit itself");
        assert_eq!(three.deregister(), STATUS_SUCCESS);
        assert_eq!(one.deregister(), STATUS_SUCCESS);
        assert_eq!(three.register(&memory, 0), STATUS_SUCCESS, "B6: there is room again");
        assert_ne!((two.local_value(), three.local_value()), (0, 0), "C13: independent");
        two.close();
        assert_eq!(one.register(&memory, 0), STATUS_SUCCESS, "a close gives pins back too");
        one.close();
        three.close();
        pd.close();
        host.close();
    }
}

#[test]
fn b7_a_region_larger_than_all_the_pins_is_refused_and_leaves_them() {
    let host = Host::planned("limits = { pinned-pages = 16 }");
    let (pd, large, exact) = (host.pd(), Memory::new(17 * 4096), Memory::new(16 * 4096));
    let mr = pd.mr();
    for _ in 0..5 {
        assert_eq!(mr.register(&large, 0), SHORT);
        assert_eq!(mr.register(&exact, 0), STATUS_SUCCESS);
        assert_eq!(mr.deregister(), STATUS_SUCCESS);
    }
    mr.close();
    pd.close();
    host.close();
}

#[test]
fn b7_tokens_run_out_and_come_back() {
    // One is the domain's own privileged token.
    let host = Host::planned("limits = { tokens = 4, pinned-pages = 4 }\ntokens.keys = 'one'");
    let (pd, memory) = (host.pd(), Memory::new(100));
    let (one, two, three) = (pd.registered(&memory, 0), pd.registered(&memory, 0), pd.mr());
    let bound = window(&pd).unwrap();
    for _ in 0..5 {
        assert_eq!(three.register(&memory, REMOTE), SHORT, "E2: no token is left");
    }
    assert_eq!((three.local_value(), host.sim().counters().live()), (0, 2), "B7");
    assert_eq!(window(&pd).unwrap_err().kind(), ErrorKind::InsufficientResources);
    let fast = pd.try_mr(true).unwrap();
    assert_eq!(fast.initialise(1, true), SHORT);
    assert_eq!(fast.local_value(), 0, "B7");
    host.pump.block_on("the close of a window", bound.close());
    assert_eq!(three.register(&memory, REMOTE), STATUS_SUCCESS, "its pins were not kept (B7)");
    assert_eq!(two.deregister(), STATUS_SUCCESS);
    assert_eq!(fast.initialise(1, true), STATUS_SUCCESS);
    let old = fast.local_value();
    assert_eq!(fast.initialise(2, true), STATUS_SUCCESS, "in place of its own at the limit");
    assert_ne!(fast.local_value(), old);
    assert_eq!(two.register(&memory, 0), SHORT);
    fast.close();
    assert_eq!(two.register(&memory, 0), STATUS_SUCCESS);
    let four = pd.mr();
    assert_eq!(four.register(&memory, 0), SHORT, "no more was given back than was taken");
    four.close();
    [one, two, three].into_iter().for_each(|mr| mr.close());
    pd.close();
    host.close();
}

#[test]
fn b7_an_initialisation_that_finds_no_token_leaves_the_region_as_it_was() {
    for latency in ["inline", "5us"] {
        // One is the domain's own privileged token.
        let host = Host::planned(&format!(
            "latency = {{ initialize-fast-register = '{latency}' }}\nlimits.tokens = 4"
        ));
        let (pd, memory) = (host.pd(), Memory::new(100));
        let (fast, other, qp) =
            (pd.fast_mr(1, false), pd.registered(&memory, REMOTE), loopback(&pd));
        let tokens = (fast.local_value(), fast.remote_value());
        for _ in 0..3 {
            assert_eq!(fast.initialise(1, true), SHORT, "one token more than there are");
            assert_eq!((fast.local_value(), fast.remote_value()), tokens, "B7");
        }
        assert_eq!(fast.initialise(1, false), STATUS_SUCCESS, "in place of its own");
        assert_eq!(fast.initialise(1, true), SHORT);
        // What the region was initialised for goes on.
        let lam = host.map(&memory);
        qp.fast_register(&fast, lam.memory(0), Access::LOCAL_WRITE).unwrap();
        assert_eq!(qp.outcome(), Ok(0), "B7: it can still be registered");
        qp.invalidate(&fast).unwrap();
        assert_eq!(qp.outcome(), Ok(0));
        assert_eq!(other.deregister(), STATUS_SUCCESS);
        assert_eq!(fast.initialise(1, true), STATUS_SUCCESS, "there is room");
        assert_eq!(other.register(&memory, REMOTE), SHORT, "for one token");
        assert_eq!(other.register(&memory, 0), STATUS_SUCCESS);
        assert_eq!(fast.initialise(1, false), STATUS_SUCCESS, "one is given back");
        assert_eq!(other.deregister(), STATUS_SUCCESS);
        assert_eq!(other.register(&memory, REMOTE), STATUS_SUCCESS);
        host.release(lam);
        qp.close();
        [fast, other].into_iter().for_each(|mr| mr.close());
        pd.close();
        host.close();
    }
}

#[test]
fn c14_the_limit_of_regions_is_exact_over_all_domains() {
    for latency in ["inline", "5us"] {
        let plan = format!("latency = {{ create-mr = '{latency}' }}\nlimits = {{ regions = 7 }}");
        let host = Host::planned(&plan);
        let (pd, other) = (host.pd(), host.pd());
        let memory = Memory::new(100);
        let mut regions: Vec<_> = (0..7)
            .map(|index| if index % 2 == 0 { &pd } else { &other }.try_mr(index == 3).unwrap())
            .collect();
        let records = host.sim().live_records();
        for fast in [false, true] {
            assert_eq!(pd.try_mr(fast).err(), Some(SHORT), "C14");
        }
        assert_eq!(host.sim().live_records(), records, "B7");
        assert_eq!(regions[0].register(&memory, REMOTE), STATUS_SUCCESS, "C14: live ones go on");
        regions.swap_remove(5).close();
        regions.push(other.mr());
        assert_eq!(other.try_mr(false).err(), Some(SHORT), "C14: room for one");
        // Windows and domains are no regions.
        let bound = window(&pd).unwrap();
        host.pd().close();
        host.pump.block_on("the close of a window", bound.close());
        regions.into_iter().for_each(|mr| mr.close());
        pd.close();
        other.close();
        host.close();
    }
}

#[test]
fn b7_a_region_has_both_its_tokens_or_none() {
    // One is the domain's own privileged token, so that one is left beside the first region's.
    let host = Host::planned("limits.tokens = 3");
    let (pd, memory) = (host.pd(), Memory::new(100));
    let (one, two) = (pd.registered(&memory, 0), pd.mr());
    for _ in 0..5 {
        assert_eq!(two.register(&memory, REMOTE), SHORT, "E3: one token for each side");
        assert_eq!((two.local_value(), two.remote_value()), (0, 0), "B7");
    }
    assert_eq!(two.register(&memory, 0), STATUS_SUCCESS, "the first token was given back (B7)");
    assert_eq!((one.deregister(), two.deregister()), (STATUS_SUCCESS, STATUS_SUCCESS));
    assert_eq!(one.register(&memory, REMOTE), STATUS_SUCCESS);
    [one, two].into_iter().for_each(|mr| mr.close());
    pd.close();
    host.close();
}
