//! The dry run of fast registration on mlx5: the backend over unmodified libibverbs and libmlx5 and a fake device, whose
//! requests a fake kernel answers. What is posted stays in the send queue, and is read back from there and compared with
//! mlx5's format field by field. It takes no adapter, no privileges and no kernel module; what it cannot show is in
//! `docs/mlx5.md`.
//!
//! It needs libibverbs, libmlx5 (Debian: `apt-get install ibverbs-providers`) and a C compiler. Without them each test
//! says that it did not run, or fails where `NDK_REQUIRE_RDMA_CORE` is set.
//!
//! The requests go to the backend's traits, past the framework, so that what the framework refuses before (more pages
//! than FRMRPageCount, a region that is registered) is asked of the backend, too.

#![cfg(target_os = "linux")]

mod adapters;
mod bench;
mod closing;
mod connecting;
mod cost;
mod entry;
mod fake;
mod given_up;
mod harness;
mod rounds;

use bench::{Bench, Fast, Memory, PAGE, Page, QueuePair, key};
use entry::{Element, Umr, mask, right};
use fake::Key;
use futures_lite::future::block_on;
use harness::dry_run;
use ndk_backend_mlx::{
    MlxRegion, NDKMR_VERBS_REGION, NDKMR_VERBS_REGION_GUID, NDKMR_VERBS_REGION_VERSION,
};
use ndk_core::{Access, ErrorKind, MrProvider};
use std::sync::atomic::Ordering;

const ANY_QUEUE_PAIR: u32 = 0xff_ffff;

/// Pages none of which is adjacent to the one before it.
fn scattered(memory: &Memory, count: usize) -> Vec<Page> {
    (0..count).map(|index| memory.page(index * 2)).collect()
}

fn fast(pages: Vec<Page>) -> Fast {
    let first_byte = 0x123;
    Fast {
        length: pages.len() as u64 * PAGE - u64::from(first_byte) - 0x45,
        pages,
        first_byte,
        base: 0x5a5a_0000_0000 + u64::from(first_byte),
        access: Access::REMOTE_WRITE | Access::REMOTE_READ,
    }
}

/// What the list of a fast registration of pages that are all apart is, filled up to a block.
fn apart(fast: &Fast) -> Vec<Element> {
    let mut left = fast.length;
    let mut list = Vec::new();
    for (index, page) in fast.pages.iter().enumerate() {
        let skip = if index == 0 { u64::from(fast.first_byte) } else { 0 };
        let length = left.min(PAGE - skip);
        left -= length;
        list.push(Element { length: length as u32, key: page.key, address: page.host + skip });
    }
    list.resize(list.len().next_multiple_of(4), Element { length: 0, key: 0, address: 0 });
    list
}

/// The UMR entry that this fast registration has to be, with this list.
fn expected(
    queue_pair: &QueuePair,
    block: u16,
    region: &MlxRegion,
    fast: &Fast,
    list: Vec<Element>,
) -> Umr {
    Umr {
        control: entry::Control {
            opcode: entry::OPCODE_UMR,
            slot: block,
            queue_pair: queue_pair.number,
            octowords: 8 + list.len() as u8,
            fence: entry::INITIATOR_SMALL,
            completion: 2,
            immediate: key(region),
        },
        inline: true,
        check_free: true,
        check_queue_pair: false,
        list_octowords: list.len() as u16,
        mask: mask::LENGTH
            | mask::START
            | mask::KEY
            | mask::LOCAL_WRITE
            | mask::REMOTE_READ
            | mask::REMOTE_WRITE
            | mask::FREE,
        free: false,
        rights: right::LOCAL_READ | right::LOCAL_WRITE | right::REMOTE_READ | right::REMOTE_WRITE,
        queue_pair: ANY_QUEUE_PAIR,
        variant: key(region) as u8,
        start: fast.base,
        length: fast.length,
        list,
    }
}

#[test]
fn a_key_is_made_free_indirect_and_open_to_remote_invalidation() {
    dry_run("a_key_is_made_free_indirect_and_open_to_remote_invalidation", &[], |fake| {
        let bench = Bench::open(fake);
        let memory = bench.memory(1);
        let before = fake.objects();
        let (one, other) = (bench.region(52), bench.region(1));
        assert_ne!(key(&one), key(&other));
        let made = Key {
            domain: fake.region_at(memory.begin).unwrap().domain,
            elements: 52,
            queue_pair: ANY_QUEUE_PAIR,
            free: true,
            by_umr: true,
            local_read: true,
            other_rights: false,
            remote_invalidate: true,
            indirect: true,
        };
        for region in [&one, &other] {
            assert_eq!(fake.key(key(region)), Some(made));
            assert_eq!(key(region) & 0xff, 0, "an invalidation makes the low 8 bits 0");
        }
        // Another initialisation is another key (E4), and the old one is gone.
        let old = key(&one);
        block_on(one.initialize_fast_register(52, true)).unwrap();
        assert_ne!(key(&one), old);
        assert_eq!(fake.key(old), None);
        for region in [one, other] {
            block_on(region.close()).unwrap();
        }
        assert_eq!(fake.objects(), before, "every key was destroyed");
        assert_eq!(fake.refused(), 0);
    });
}

#[test]
fn a5_the_key_is_in_the_extension_interface() {
    dry_run("a5_the_key_is_in_the_extension_interface", &[], |fake| {
        let bench = Bench::open(fake);
        let region = bench.region(1);
        let found = region.query_extension(&NDKMR_VERBS_REGION_GUID, NDKMR_VERBS_REGION_VERSION);
        // SAFETY: the interface is that of the region, which is there until its end.
        let interface = unsafe { &*found.unwrap().Dispatch.cast::<NDKMR_VERBS_REGION>() };
        assert!(interface.Mr.load(Ordering::Acquire).is_null());
        let value = || {
            let key = interface.Mkey.load(Ordering::Acquire);
            // SAFETY: an initialised region's key is there.
            unsafe { ((*key).lkey, (*key).rkey) }
        };
        assert_eq!(value(), (key(&region), key(&region)));
        block_on(region.initialize_fast_register(1, true)).unwrap();
        assert_eq!(value(), (key(&region), key(&region)), "the new one");
        block_on(region.close()).unwrap();
        assert!(interface.Mkey.load(Ordering::Acquire).is_null());
    });
}

#[test]
fn scattered_pages_are_an_element_each() {
    dry_run("scattered_pages_are_an_element_each", &[], |fake| {
        let bench = Bench::open(fake);
        let (memory, other) = (bench.memory(104), bench.memory(4));
        assert_ne!(memory.key, other.key);
        let queue_pair = bench.queue_pair();
        for count in [1, 16, 52] {
            let region = bench.region(52);
            let mut fast = fast(scattered(&memory, count));
            if count == 16 {
                // Of another mapping: the next page in memory, maybe, and still an element of its own.
                fast.pages[3] = other.page(2);
            }
            let block = queue_pair.fast_register(&region, &fast).unwrap();
            let bytes = queue_pair.entry(block);
            let wanted = expected(&queue_pair, block, &region, &fast, apart(&fast));
            assert_eq!(entry::umr(&bytes), wanted, "{count} pages");
            let blocks = bytes.len().div_ceil(64) as u16;
            assert_eq!(queue_pair.posted() - block, blocks, "the doorbell counts the whole entry");
        }
        assert_eq!(fake.refused(), 0);
    });
}

#[test]
fn contiguous_pages_are_one_element() {
    dry_run("contiguous_pages_are_one_element", &[], |fake| {
        let bench = Bench::open(fake);
        let memory = bench.memory(511);
        let (queue_pair, region) = (bench.queue_pair(), bench.region(511));
        let fast = fast((0..511).map(|index| memory.page(index)).collect());
        let block = queue_pair.fast_register(&region, &fast).unwrap();
        let none = Element { length: 0, key: 0, address: 0 };
        let all = Element {
            length: fast.length as u32,
            key: memory.key,
            address: memory.begin + u64::from(fast.first_byte),
        };
        let wanted = expected(&queue_pair, block, &region, &fast, vec![all, none, none, none]);
        assert_eq!(entry::umr(&queue_pair.entry(block)), wanted);
    });
}

#[test]
fn each_right_reaches_the_entry() {
    dry_run("each_right_reaches_the_entry", &[], |fake| {
        let bench = Bench::open(fake);
        let memory = bench.memory(1);
        let queue_pair = bench.queue_pair();
        let rights = [
            (Access::LOCAL_READ, 0),
            (Access::LOCAL_WRITE, right::LOCAL_WRITE),
            (Access::READ_SINK, right::LOCAL_WRITE),
            (Access::REMOTE_READ, right::REMOTE_READ),
            (Access::REMOTE_WRITE, right::LOCAL_WRITE | right::REMOTE_WRITE),
        ];
        for (access, expected) in rights {
            let fast = Fast { access, ..fast(scattered(&memory, 1)) };
            let block = queue_pair.fast_register(&bench.region(1), &fast).unwrap();
            let entry = entry::umr(&queue_pair.entry(block));
            assert_eq!(entry.rights, right::LOCAL_READ | expected, "{access:?}");
        }
    });
}

#[test]
fn a_run_too_many_is_refused_and_nothing_is_posted() {
    dry_run("a_run_too_many_is_refused_and_nothing_is_posted", &[], |fake| {
        let bench = Bench::open(fake);
        let memory = bench.memory(106);
        let (queue_pair, region) = (bench.queue_pair(), bench.region(53));
        let (requests, posted) = (fake.requests(), queue_pair.posted());
        let refusal = queue_pair.fast_register(&region, &fast(scattered(&memory, 53))).unwrap_err();
        assert_eq!(refusal.kind(), ErrorKind::ImplementationLimit);
        assert_eq!((fake.requests(), queue_pair.posted()), (requests, posted));
        // And queue and region are as good as before.
        let fast = fast(scattered(&memory, 52));
        let block = queue_pair.fast_register(&region, &fast).unwrap();
        assert_eq!(block, posted);
        assert_eq!(entry::umr(&queue_pair.entry(block)).list, apart(&fast));
    });
}

#[test]
fn an_address_outside_every_mapping_is_refused_and_nothing_is_posted() {
    dry_run("an_address_outside_every_mapping_is_refused_and_nothing_is_posted", &[], |fake| {
        let bench = Bench::open(fake);
        let memory = bench.memory(2);
        let (queue_pair, region) = (bench.queue_pair(), bench.region(4));
        let posted = queue_pair.posted();
        let mut beyond = memory.page(1);
        beyond.logical += PAGE;
        let refusal = queue_pair.fast_register(&region, &fast(vec![memory.page(0), beyond]));
        let refusal = refusal.unwrap_err();
        assert_eq!((refusal.kind(), refusal.rule_id()), (ErrorKind::InvalidParameter, "L2"));
        assert_eq!(queue_pair.posted(), posted);
    });
}

#[test]
fn a_full_queue_of_the_largest_entries_keeps_each_of_them() {
    dry_run("a_full_queue_of_the_largest_entries_keeps_each_of_them", &[], |fake| {
        let bench = Bench::open(fake);
        let memory = bench.memory(104);
        let fast = fast(scattered(&memory, 52));
        // libmlx5 rounds queues up, to different degrees.
        for depth in [1, 2, 5, 8, 21] {
            let queue_pair = bench.queue_pair_of(depth);
            let regions: Vec<_> = (0..depth).map(|_| bench.region(52)).collect();
            let post = |region| queue_pair.fast_register(region, &fast);
            let blocks: Vec<_> = regions.iter().map(|region| post(region).unwrap()).collect();
            let refusal = post(&bench.region(52)).unwrap_err();
            assert_eq!(refusal.kind(), ErrorKind::InsufficientResources);
            for (region, block) in regions.iter().zip(blocks) {
                let wanted = expected(&queue_pair, block, region, &fast, apart(&fast));
                assert_eq!(entry::umr(&queue_pair.entry(block)), wanted, "depth {depth}");
            }
        }
        assert_eq!(fake.refused(), 0);
    });
}

#[test]
fn entries_are_whole_where_the_queue_goes_round() {
    dry_run("entries_are_whole_where_the_queue_goes_round", &[], |fake| {
        let bench = Bench::open(fake);
        let memory = bench.memory(104);
        let (queue_pair, region) = (bench.queue_pair(), bench.region(52));
        // An odd number of blocks each round, so that entries come to lie across the end in every way.
        for round in 0..100 {
            let fast = fast(scattered(&memory, 49 + round % 4));
            let block = queue_pair.fast_register(&region, &fast).unwrap();
            let wanted = expected(&queue_pair, block, &region, &fast, apart(&fast));
            assert_eq!(entry::umr(&queue_pair.entry(block)), wanted, "round {round}");
            assert_eq!(queue_pair.complete(block, 0).result, Ok(()));
            let block = queue_pair.invalidate(&region);
            assert_eq!(queue_pair.complete(block, 0).result, Ok(()));
        }
        assert!(queue_pair.posted() > 1000, "128 blocks went round several times");
    });
}

#[test]
fn an_invalidation_frees_the_key_and_a_round_more_is_the_same_key() {
    dry_run("an_invalidation_frees_the_key_and_a_round_more_is_the_same_key", &[], |fake| {
        let bench = Bench::open(fake);
        let memory = bench.memory(8);
        let (queue_pair, region) = (bench.queue_pair(), bench.region(4));
        let (requests, token) = (fake.requests(), key(&region));
        for round in 0..2 {
            let fast = Fast { base: 0x1000 * (round + 7) + 0x123, ..fast(scattered(&memory, 4)) };
            let block = queue_pair.fast_register(&region, &fast).unwrap();
            let wanted = expected(&queue_pair, block, &region, &fast, apart(&fast));
            assert_eq!(entry::umr(&queue_pair.entry(block)), wanted, "round {round}");
            let found = entry::invalidation(&queue_pair.entry(queue_pair.invalidate(&region)));
            assert_eq!(found.control.opcode, entry::OPCODE_UMR);
            assert_eq!(found.control.immediate, token);
            assert_eq!(found.control.queue_pair, queue_pair.number);
            assert_eq!(
                found.control.fence,
                entry::SMALL_AND_FENCE,
                "it waits for the entry before"
            );
            assert!(found.inline && found.free && !found.check_free);
            assert!(found.check_queue_pair, "as for the windows that it is also for");
            assert_eq!(found.queue_pair, ANY_QUEUE_PAIR);
            assert_eq!(found.mask, mask::FREE | mask::KEY | mask::QUEUE_PAIR);
            assert_eq!(found.variant, token as u8, "the key's value stays");
        }
        assert_eq!(key(&region), token);
        assert_eq!(fake.requests(), requests, "no call of the kernel in two rounds");
    });
}

#[test]
fn the_request_after_a_fast_registration_waits_for_it() {
    dry_run("the_request_after_a_fast_registration_waits_for_it", &[], |fake| {
        let bench = Bench::open(fake);
        let memory = bench.memory(1);
        let queue_pair = bench.queue_pair();
        let register = || {
            let fast = fast(scattered(&memory, 1));
            queue_pair.fast_register(&bench.region(1), &fast).unwrap()
        };
        let fence = |block| entry::control(&queue_pair.entry(block)).fence;
        assert_eq!(fence(queue_pair.send()), entry::NO_FENCE);
        register();
        assert_eq!(fence(register()), entry::INITIATOR_SMALL);
        let send = queue_pair.send();
        assert_eq!(entry::control(&queue_pair.entry(send)).opcode, entry::OPCODE_SEND);
        assert_eq!(fence(send), entry::SMALL_AND_FENCE);
        assert_eq!(fence(queue_pair.send()), entry::NO_FENCE);
    });
}
