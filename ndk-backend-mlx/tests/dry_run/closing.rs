//! Closes of regions whose keys the device does not end: the device may still reach their memory, and Close says so (B8).

use crate::bench::{Bench, key};
use crate::fake::Fake;
use crate::harness::dry_run;
use futures_lite::future::block_on;
use ndk_core::{AdapterProvider, ErrorKind, MrProvider};

/// Closes a region in vain, and then with success.
fn close_twice(fake: Fake, is_indirect: bool) {
    let bench = Bench::open(fake);
    let before = fake.objects();
    let region = bench.region(4);
    assert_eq!(fake.key(key(&region)).is_some(), is_indirect);
    fake.refuse_ends(true);
    let refusal = block_on(region.close()).unwrap_err();
    assert_ne!(refusal.kind(), ErrorKind::Cancelled, "{refusal}");
    assert_eq!(fake.objects(), before + 1, "the key is there");
    fake.refuse_ends(false);
    block_on(region.close()).unwrap();
    assert_eq!(fake.objects(), before);
    drop(region);
    bench.adapter.shut_down();
    assert_eq!(fake.objects(), before, "it was ended once");
}

#[test]
fn b8_a_close_whose_indirect_key_does_not_end_says_so() {
    let name = "closing::b8_a_close_whose_indirect_key_does_not_end_says_so";
    dry_run(name, &[], |fake| close_twice(fake, true));
}

#[test]
fn b8_a_close_whose_window_does_not_end_says_so() {
    let name = "closing::b8_a_close_whose_window_does_not_end_says_so";
    dry_run(name, &[("FAKE_MLX5_NO_DEVX", "1")], |fake| close_twice(fake, false));
}
