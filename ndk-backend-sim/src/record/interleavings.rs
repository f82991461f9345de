//! An invalidation against the record's next use under loom: all interleavings.

use super::{Keys, Record};
use loom::sync::Arc;
use loom::thread;
use ndk_core::Access;

const DOMAIN: u32 = 7;
const QUEUE_PAIR: u64 = 1;
const KEYS: Keys = Keys { local: 1, remote: 2 };
const OTHER_KEYS: Keys = Keys { local: 3, remote: 4 };

/// A fast registration of a peer's right to read, on one queue pair.
fn register(record: &Record, keys: Keys, queue_pair: u64) {
    record.set_keys(keys);
    record.describe_at(DOMAIN, 0x1000, 8, std::ptr::null());
    record.set_scope(queue_pair);
    record.enliven_fast(Access::REMOTE_READ);
}

/// The owner ends a registration while a peer invalidates it, and makes another with those keys, on that queue pair.
fn reused(keys: Keys, queue_pair: u64) {
    let record = Arc::new(Record::new());
    register(&record, KEYS, QUEUE_PAIR);
    let peer = {
        let record = record.clone();
        thread::spawn(move || record.invalidate(KEYS.remote, DOMAIN, Some(QUEUE_PAIR)))
    };
    record.kill();
    register(&record, keys, queue_pair);
    peer.join().unwrap();
    assert!(record.is_live(), "an invalidation ended what it was not for");
}

#[test]
fn a_late_invalidation_leaves_the_records_next_region_alone() {
    loom::model(|| reused(OTHER_KEYS, QUEUE_PAIR));
}

#[test]
fn a_late_invalidation_leaves_the_next_round_on_another_queue_pair_alone() {
    loom::model(|| reused(KEYS, QUEUE_PAIR + 1));
}
