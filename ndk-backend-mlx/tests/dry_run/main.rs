//! The dry run of fast registration on mlx5: unmodified libibverbs and libmlx5 over a fake device, whose requests a fake
//! kernel answers. What is posted stays in the send queue, and is read back from there and compared with mlx5's format
//! field by field. It takes no adapter, no privileges and no kernel module; what it cannot show is in `docs/mlx5.md`.
//!
//! It needs libibverbs, libmlx5 (Debian: `apt-get install ibverbs-providers`) and a C compiler. Without them each test
//! says that it did not run, or fails where `NDK_REQUIRE_RDMA_CORE` is set.

#![cfg(target_os = "linux")]

mod bench;
mod entry;
mod fake;
mod harness;

use bench::{Bench, DEPTH, Fast, Memory, PAGE, QueuePair};
use entry::{Element, Umr, mask, right};
use fake::{Fake, Key};
use harness::dry_run;
use ndk_backend_mlx::mlx5::key::IndirectKey;
use ndk_backend_mlx::mlx5::limits::Limits;
use ndk_core::{Access, ErrorKind};

const ANY_QUEUE_PAIR: u32 = 0xff_ffff;

fn key(bench: &Bench, limits: &Limits) -> IndirectKey {
    // SAFETY: the domain is allocated, and stays.
    unsafe { IndirectKey::create(bench.mlx5, bench.domain, limits.runs as u16) }.unwrap()
}

/// Pages none of which is adjacent to the one before it.
fn scattered(memory: &Memory, count: usize) -> Vec<(u32, u64)> {
    (0..count).map(|index| memory.page(index * 2)).collect()
}

fn fast(key: &IndirectKey, pages: Vec<(u32, u64)>) -> Fast {
    let first_byte = 0x123;
    let length = pages.len() as u64 * PAGE - first_byte - 0x45;
    Fast {
        key: key.value(),
        pages,
        first_byte,
        length,
        base: 0x5a5a_0000_0000 + first_byte,
        access: Access::REMOTE_WRITE | Access::REMOTE_READ,
    }
}

/// What the list of a fast registration of pages that are all apart is, filled up to a block.
fn apart(fast: &Fast) -> Vec<Element> {
    let mut left = fast.length;
    let mut list = Vec::new();
    for (index, (key, page)) in fast.pages.iter().enumerate() {
        let skip = if index == 0 { fast.first_byte } else { 0 };
        let length = left.min(PAGE - skip);
        left -= length;
        list.push(Element { length: length as u32, key: *key, address: page + skip });
    }
    list.resize(list.len().next_multiple_of(4), Element { length: 0, key: 0, address: 0 });
    list
}

/// The UMR entry that this fast registration has to be, with this list.
fn expected(queue_pair: &QueuePair<'_>, block: u16, fast: &Fast, list: Vec<Element>) -> Umr {
    Umr {
        control: entry::Control {
            opcode: entry::OPCODE_UMR,
            slot: block,
            queue_pair: queue_pair.queue.number(),
            octowords: 8 + list.len() as u8,
            fence: entry::INITIATOR_SMALL,
            completion: 2,
            immediate: fast.key,
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
        variant: fast.key as u8,
        start: fast.base,
        length: fast.length,
        list,
    }
}

#[test]
fn a_key_is_made_free_indirect_and_open_to_remote_invalidation() {
    dry_run("a_key_is_made_free_indirect_and_open_to_remote_invalidation", &[], |fake| {
        let bench = Bench::open(fake);
        let limits = bench.limits().unwrap();
        let memory = bench.memory(1);
        let before = fake.objects();
        let (one, other) = (key(&bench, &limits), key(&bench, &limits));
        assert_ne!(one.value(), other.value());
        let made = Key {
            domain: fake.domain_of(memory.key),
            elements: 52,
            queue_pair: ANY_QUEUE_PAIR,
            free: true,
            by_umr: true,
            local_read: true,
            other_rights: false,
            remote_invalidate: true,
            indirect: true,
        };
        for key in [&one, &other] {
            assert_eq!(fake.key(key.value()), Some(made));
            assert_eq!(key.value() & 0xff, 0, "an invalidation makes the low 8 bits 0");
        }
        let value = one.value();
        drop(one);
        assert_eq!(fake.key(value), None);
        drop(other);
        assert_eq!(fake.objects(), before, "every key was destroyed");
        assert_eq!(fake.refused(), 0);
    });
}

#[test]
fn scattered_pages_are_an_element_each() {
    dry_run("scattered_pages_are_an_element_each", &[], |fake| {
        let bench = Bench::open(fake);
        let limits = bench.limits().unwrap();
        let (memory, other) = (bench.memory(104), bench.memory(4));
        let key = key(&bench, &limits);
        let queue_pair = bench.queue_pair(&limits);
        for count in [1, 16, 52] {
            let mut fast = fast(&key, scattered(&memory, count));
            if count == 16 {
                // Of another registration: the next one in memory, maybe, and still an element of its own.
                fast.pages[3] = other.page(2);
            }
            let block = queue_pair.fast_register(&fast).unwrap();
            let bytes = queue_pair.entry(block);
            let list = apart(&fast);
            assert_eq!(
                entry::umr(&bytes),
                expected(&queue_pair, block, &fast, list),
                "{count} pages"
            );
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
        let limits = bench.limits().unwrap();
        let memory = bench.memory(511);
        let key = key(&bench, &limits);
        let queue_pair = bench.queue_pair(&limits);
        let fast = fast(&key, (0..511).map(|index| memory.page(index)).collect());
        let block = queue_pair.fast_register(&fast).unwrap();
        let none = Element { length: 0, key: 0, address: 0 };
        let all = Element {
            length: fast.length as u32,
            key: memory.key,
            address: memory.begin + fast.first_byte,
        };
        let list = vec![all, none, none, none];
        assert_eq!(entry::umr(&queue_pair.entry(block)), expected(&queue_pair, block, &fast, list));
    });
}

#[test]
fn each_right_reaches_the_entry() {
    dry_run("each_right_reaches_the_entry", &[], |fake| {
        let bench = Bench::open(fake);
        let limits = bench.limits().unwrap();
        let memory = bench.memory(1);
        let key = key(&bench, &limits);
        let queue_pair = bench.queue_pair(&limits);
        let rights = [
            (Access::LOCAL_READ, 0),
            (Access::LOCAL_WRITE, right::LOCAL_WRITE),
            (Access::READ_SINK, right::LOCAL_WRITE),
            (Access::REMOTE_READ, right::REMOTE_READ),
            (Access::REMOTE_WRITE, right::LOCAL_WRITE | right::REMOTE_WRITE),
        ];
        for (access, expected) in rights {
            let fast = Fast { access, ..fast(&key, scattered(&memory, 1)) };
            let block = queue_pair.fast_register(&fast).unwrap();
            let entry = entry::umr(&queue_pair.entry(block));
            assert_eq!(entry.rights, right::LOCAL_READ | expected, "{access:?}");
        }
    });
}

#[test]
fn a_run_too_many_is_refused_and_nothing_is_posted() {
    dry_run("a_run_too_many_is_refused_and_nothing_is_posted", &[], |fake| {
        let bench = Bench::open(fake);
        let limits = bench.limits().unwrap();
        assert_eq!(limits.runs, 52);
        let memory = bench.memory(106);
        let key = key(&bench, &limits);
        let queue_pair = bench.queue_pair(&limits);
        let (requests, posted) = (fake.requests(), queue_pair.posted());
        let error = queue_pair.fast_register(&fast(&key, scattered(&memory, 53))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ImplementationLimit);
        assert_eq!((fake.requests(), queue_pair.posted()), (requests, posted));
        // And the queue is as good as before.
        let fast = fast(&key, scattered(&memory, 52));
        let block = queue_pair.fast_register(&fast).unwrap();
        assert_eq!(block, posted);
        assert_eq!(entry::umr(&queue_pair.entry(block)).list, apart(&fast));
    });
}

#[test]
fn a_full_queue_of_the_largest_entries_keeps_each_of_them() {
    dry_run("a_full_queue_of_the_largest_entries_keeps_each_of_them", &[], |fake| {
        let bench = Bench::open(fake);
        let limits = bench.limits().unwrap();
        let memory = bench.memory(104);
        let queue_pair = bench.queue_pair(&limits);
        let keys: Vec<_> = (0..DEPTH).map(|_| key(&bench, &limits)).collect();
        let posted: Vec<_> = keys
            .iter()
            .map(|key| {
                let fast = fast(key, scattered(&memory, 52));
                (queue_pair.fast_register(&fast).unwrap(), fast)
            })
            .collect();
        for (block, fast) in posted {
            let found = entry::umr(&queue_pair.entry(block));
            assert_eq!(found, expected(&queue_pair, block, &fast, apart(&fast)));
        }
        assert_eq!(fake.refused(), 0);
    });
}

#[test]
fn an_invalidation_frees_the_key_and_a_round_more_is_the_same_key() {
    dry_run("an_invalidation_frees_the_key_and_a_round_more_is_the_same_key", &[], |fake| {
        let bench = Bench::open(fake);
        let limits = bench.limits().unwrap();
        let memory = bench.memory(8);
        let key = key(&bench, &limits);
        let queue_pair = bench.queue_pair(&limits);
        let requests = fake.requests();
        for round in 0..2 {
            let fast =
                Fast { base: 0x1000 * (round + 7) + 0x123, ..fast(&key, scattered(&memory, 4)) };
            let block = queue_pair.fast_register(&fast).unwrap();
            assert_eq!(
                entry::umr(&queue_pair.entry(block)),
                expected(&queue_pair, block, &fast, apart(&fast)),
                "round {round}"
            );
            let invalidation =
                entry::invalidation(&queue_pair.entry(queue_pair.invalidate(key.value())));
            assert_eq!(invalidation.control.opcode, entry::OPCODE_UMR);
            assert_eq!(invalidation.control.immediate, key.value());
            assert_eq!(invalidation.control.queue_pair, queue_pair.queue.number());
            assert_eq!(
                invalidation.control.fence,
                entry::SMALL_AND_FENCE,
                "it waits for the entry before"
            );
            assert!(invalidation.inline && invalidation.free && !invalidation.check_free);
            assert!(invalidation.check_queue_pair, "as for the windows that it is also for");
            assert_eq!(invalidation.queue_pair, ANY_QUEUE_PAIR);
            assert_eq!(invalidation.mask, mask::FREE | mask::KEY | mask::QUEUE_PAIR);
            assert_eq!(invalidation.variant, key.value() as u8, "the key's value stays");
        }
        assert_eq!(fake.requests(), requests, "no call of the kernel in two rounds");
    });
}

#[test]
fn the_request_after_a_fast_registration_waits_for_it() {
    dry_run("the_request_after_a_fast_registration_waits_for_it", &[], |fake| {
        let bench = Bench::open(fake);
        let limits = bench.limits().unwrap();
        let memory = bench.memory(1);
        let (key, other) = (key(&bench, &limits), key(&bench, &limits));
        let queue_pair = bench.queue_pair(&limits);
        let fence = |block| entry::control(&queue_pair.entry(block)).fence;
        assert_eq!(fence(queue_pair.send()), entry::NO_FENCE);
        queue_pair.fast_register(&fast(&key, scattered(&memory, 1))).unwrap();
        let second = queue_pair.fast_register(&fast(&other, scattered(&memory, 1))).unwrap();
        assert_eq!(fence(second), entry::INITIATOR_SMALL);
        let send = queue_pair.send();
        assert_eq!(entry::control(&queue_pair.entry(send)).opcode, entry::OPCODE_SEND);
        assert_eq!(fence(send), entry::SMALL_AND_FENCE);
        assert_eq!(fence(queue_pair.send()), entry::NO_FENCE);
    });
}

#[test]
fn an_adapter_with_smaller_entries_has_a_smaller_limit() {
    let settings = [("FAKE_MLX5_LARGEST_ENTRY", "512")];
    dry_run("an_adapter_with_smaller_entries_has_a_smaller_limit", &settings, |fake| {
        let bench = Bench::open(fake);
        let limits = bench.limits().unwrap();
        assert_eq!(limits.runs, 24);
        let memory = bench.memory(50);
        let key = key(&bench, &limits);
        let queue_pair = bench.queue_pair(&limits);
        let largest = fast(&key, scattered(&memory, 24));
        let block = queue_pair.fast_register(&largest).unwrap();
        assert_eq!(entry::umr(&queue_pair.entry(block)).list, apart(&largest));
        let error = queue_pair.fast_register(&fast(&key, scattered(&memory, 25))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ImplementationLimit);
    });
}

fn is_refused(fake: Fake, cause: &str) {
    let bench = Bench::open(fake);
    let error = bench.limits().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotSupported);
    assert!(error.detail().contains(cause), "{error}");
}

#[test]
fn without_devx_there_is_no_fast_registration() {
    dry_run("without_devx_there_is_no_fast_registration", &[("FAKE_MLX5_NO_DEVX", "1")], |fake| {
        is_refused(fake, "DEVX");
    });
}

#[test]
fn without_indirect_keys_there_is_no_fast_registration() {
    let settings = [("FAKE_MLX5_NO_INDIRECT_UMR", "1")];
    dry_run("without_indirect_keys_there_is_no_fast_registration", &settings, |fake| {
        is_refused(fake, "indirect memory keys");
    });
}
