//! Rounds of fast registration to their end: the adapter's completions, and what the backend makes of them.

use crate::bench::{Bench, Fast, PAGE, key};
use crate::entry;
use crate::fake::Fake;
use crate::harness::dry_run;
use futures_lite::future::block_on;
use ndk_core::{Access, AdapterProvider, ErrorKind, MrProvider, RemoteToken, WorkKind};
use std::thread;
use std::time::{Duration, Instant};

/// The adapter's code for a UMR entry that it did not carry out.
const MW_BIND_ERROR: u8 = 0x06;

/// Waits for what a thread of the backend does.
pub(crate) fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let limit = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < limit, "{what}");
        thread::yield_now();
    }
}

fn one_page(bench: &Bench) -> (crate::bench::Memory, Fast) {
    let memory = bench.memory(1);
    let pages = vec![memory.page(0)];
    let access = Access::REMOTE_READ;
    (memory, Fast { pages, first_byte: 0, length: PAGE, base: 0x7000, access })
}

#[test]
fn a_mapping_lives_until_the_invalidation_has_completed() {
    dry_run("rounds::a_mapping_lives_until_the_invalidation_has_completed", &[], |fake: Fake| {
        let bench = Bench::open(fake);
        let (memory, fast) = one_page(&bench);
        let (queue_pair, region) = (bench.queue_pair(), bench.region(1));
        let is_registered = || fake.region_at(memory.begin).is_some();

        let block = queue_pair.fast_register(&region, &fast).unwrap();
        let done = queue_pair.complete(block, 0);
        assert_eq!((done.kind, done.result), (WorkKind::FastRegister, Ok(())));
        bench.adapter.release_mapping(memory.mapping);
        let after = queue_pair.fast_register(&bench.region(1), &fast).unwrap_err();
        assert_eq!(after.rule_id(), "L2", "no new use of a mapping that was released");

        let block = queue_pair.invalidate(&region);
        assert!(is_registered(), "the key leads to it still");
        let done = queue_pair.complete(block, 0);
        assert_eq!((done.kind, done.result), (WorkKind::Invalidate, Ok(())));
        eventually("the registration ends with its last use (L4)", || !is_registered());
        assert_eq!(fake.refused(), 0);
    });
}

#[test]
fn a_peer_ends_a_registration_and_the_next_round_begins() {
    dry_run("rounds::a_peer_ends_a_registration_and_the_next_round_begins", &[], |fake: Fake| {
        let bench = Bench::open(fake);
        let (memory, fast) = one_page(&bench);
        let (queue_pair, region) = (bench.queue_pair(), bench.region(1));
        for _ in 0..3 {
            let block = queue_pair.fast_register(&region, &fast).unwrap();
            assert_eq!(queue_pair.complete(block, 0).result, Ok(()));
            let done = queue_pair.receive(key(&region));
            assert_eq!(done.kind, WorkKind::Receive);
            assert_eq!(done.invalidated, RemoteToken::new(key(&region)));
        }
        bench.adapter.release_mapping(memory.mapping);
        eventually("nothing holds the mapping any more", || fake.region_at(memory.begin).is_none());
    });
}

#[test]
fn a_registration_that_the_adapter_refuses_breaks_the_queue_pair_and_not_the_region() {
    let name =
        "rounds::a_registration_that_the_adapter_refuses_breaks_the_queue_pair_and_not_the_region";
    dry_run(name, &[], |fake: Fake| {
        let bench = Bench::open(fake);
        let (_memory, fast) = one_page(&bench);
        let (queue_pair, region) = (bench.queue_pair(), bench.region(1));
        let block = queue_pair.fast_register(&region, &fast).unwrap();
        let done = queue_pair.complete(block, MW_BIND_ERROR);
        assert_eq!(
            (done.kind, done.result),
            (WorkKind::FastRegister, Err(ErrorKind::AccessViolation))
        );
        // Later requests there are flushed (F6).
        let _ = queue_pair.fast_register(&region, &fast).unwrap();
        eventually("a flushed completion", || {
            let done = queue_pair.completion();
            done.is_some_and(|done| done.result == Err(ErrorKind::Cancelled))
        });
        // The region is as good as before on another queue pair, once it is initialised anew (G10).
        block_on(region.initialize_fast_register(1, true)).unwrap();
        let other = bench.queue_pair();
        let block = other.fast_register(&region, &fast).unwrap();
        assert_eq!(entry::umr(&other.entry(block)).control.immediate, key(&region));
        assert_eq!(other.complete(block, 0).result, Ok(()));
        assert_eq!(fake.refused(), 0);
    });
}
