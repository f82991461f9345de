//! What the adapter declares, by what the device, its firmware and its libraries can do.

use crate::bench::{Bench, key};
use crate::entry;
use crate::harness::dry_run;
use crate::{apart, fast, scattered};
use ndk_core::{AdapterProvider, ErrorKind, FastRegistration, TokenScope};

#[test]
fn the_adapter_declares_what_an_entry_holds() {
    dry_run("adapters::the_adapter_declares_what_an_entry_holds", &[], |fake| {
        let bench = Bench::open(fake);
        let declared = FastRegistration {
            pages: 52,
            rotating: false,
            emulated: false,
            scope: TokenScope::ProtectionDomain,
        };
        assert_eq!(bench.adapter.capabilities().fast_registration, Some(declared));
        let info = bench.adapter.info();
        assert_eq!(info.FRMRPageCount, 52);
        // 32,768 blocks of 64 bytes, and 960 for each request.
        assert_eq!(info.MaxInitiatorQueueDepth, 2184);
        assert_eq!(info.MaxInitiatorRequestSge, 30);
        assert_eq!(fake.refused(), 0);
    });
}

#[test]
fn an_adapter_with_smaller_entries_has_a_smaller_limit() {
    let settings = [("FAKE_MLX5_LARGEST_ENTRY", "512")];
    dry_run("adapters::an_adapter_with_smaller_entries_has_a_smaller_limit", &settings, |fake| {
        let bench = Bench::open(fake);
        let info = bench.adapter.info();
        assert_eq!(info.FRMRPageCount, 24);
        // The rest of 512 bytes, where the adapter itself says 30.
        assert_eq!((info.MaxInitiatorRequestSge, info.MaxReadRequestSge), (20, 20));
        let memory = bench.memory(50);
        let (queue_pair, region) = (bench.queue_pair(), bench.region(24));
        let refusal = queue_pair.fast_register(&region, &fast(scattered(&memory, 25))).unwrap_err();
        assert_eq!(refusal.kind(), ErrorKind::ImplementationLimit);
        let largest = fast(scattered(&memory, 24));
        let block = queue_pair.fast_register(&region, &largest).unwrap();
        assert_eq!(entry::umr(&queue_pair.entry(block)).list, apart(&largest));
    });
}

#[test]
fn without_devx_or_indirect_keys_windows_take_their_place() {
    let name = "adapters::without_devx_or_indirect_keys_windows_take_their_place";
    let without = ["NO_DEVX", "NO_INDIRECT_UMR", "NO_INDIRECT_KEYS"];
    for setting in without.map(|what| format!("FAKE_MLX5_{what}")) {
        dry_run(name, &[(setting.as_str(), "1")], |fake| {
            let bench = Bench::open(fake);
            let declared = bench.adapter.capabilities().fast_registration.unwrap();
            assert!(declared.emulated && declared.scope == TokenScope::QueuePair);
            assert_eq!(fake.key(key(&bench.region(4))), None, "the region's key is a window's");
        });
    }
}
