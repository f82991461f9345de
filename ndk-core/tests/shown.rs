//! What `{:?}` shows of the objects that a program holds, for its assertions and logs.
#![cfg(feature = "std")]

mod soft;

use ndk_core::abi::{NDK_VERSION, PAGE_SIZE, PHYSICAL_ADDRESS};
use ndk_core::backend::Registry;
use ndk_core::consumer::{Adapter, Failed};
use ndk_core::foreign::ForeignAdapter;
use ndk_core::mdl::{Buffer, Mdl};
use ndk_core::verifier::{Policy, Verifier};
use ndk_core::{Access, AdapterProvider, BoxedAdapter, Error, ErrorKind, Opened, Std};
use soft::open_soft;
use soft::provider::{Mode, Op, Soft, World};
use soft::run::Manual;
use std::fmt::Debug;

fn shows(object: &dyn Debug, parts: &[&str]) {
    let shown = format!("{object:?}");
    for part in parts {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
}

#[test]
fn adapters_are_shown_by_their_names_and_objects_by_their_addresses() {
    let (world, executor) = (World::new(Mode::Inline), Manual::new());
    let opened = open_soft(&world, executor.clone());
    shows(&opened, &["Opened", "soft"]);
    shows(&opened.adapter(), &["AdapterRef", "0x"]);
    let foreign = ForeignAdapter::new(opened).unwrap();
    shows(&foreign, &["ForeignAdapter", "soft"]);
    let verified = Verifier::new().verify(foreign);
    shows(&verified, &["Verified"]);
    assert_eq!(verified.inner().name(), "soft");
    let version = NDK_VERSION { Major: 1, Minor: 2 };
    let adapter = Adapter::from(Opened::<_, Std>::new(verified, executor, version).unwrap());
    let domain = adapter.create_domain_blocking().unwrap();
    let region = domain.create_region_blocking().unwrap();
    let buffer = Buffer::new(2 * PAGE_SIZE).unwrap();
    let memory = Mdl::new(&buffer).unwrap();
    shows(&buffer, &["Buffer", "0x", "len: 8192"]);
    shows(&memory, &["Mdl", "0x", "len: 8192"]);
    shows(&adapter, &["NDK_ADAPTER", "0x"]);
    shows(&domain, &["NDK_PD", "0x"]);
    shows(&region, &["NDK_MR", "0x"]);
    let region = region.register_blocking(memory, Access::REMOTE_READ).unwrap();
    shows(&region, &["Region", "length: 8192", "LOCAL_READ|REMOTE_READ"]);
    let mapped = adapter.build_mapping_blocking(region.close_blocking().unwrap()).unwrap();
    shows(&mapped, &["LogicalMapping", "pages: 2"]);
    drop(mapped);
    domain.close_blocking().unwrap();
    adapter.close().unwrap();
    world.wait_for_shut_down();
}

#[test]
fn failures_say_why_and_turn_into_their_errors() {
    let (world, executor) = (World::new(Mode::Inline), Manual::new());
    let adapter = Adapter::from(open_soft(&world, executor));
    let memory = || Mdl::new(&Buffer::new(100).unwrap()).unwrap();
    let fail = || {
        world.fail_next(Op::Map, ErrorKind::InsufficientResources);
        adapter.build_mapping_blocking(memory()).unwrap_err()
    };
    let failed: Failed<Mdl> = fail();
    let said = failed.to_string();
    assert!(said.starts_with("STATUS_INSUFFICIENT_RESOURCES"), "{said}");
    // As a `?` does it.
    assert_eq!(Error::from(fail()).kind(), ErrorKind::InsufficientResources);
    let unknown = Error::new(ErrorKind::Other(0xE000_1234_u32.cast_signed()), "");
    assert_eq!(unknown.to_string(), "status 0xe0001234");
    adapter.close().unwrap();
}

#[test]
fn registries_list_their_backends_and_verifiers_what_they_do() {
    let registry = Registry::new()
        .with("soft", "in memory", |_| Ok(BoxedAdapter::new(Soft(World::new(Mode::Inline)))));
    shows(&registry, &["soft", "true"]);
    let verifier = Verifier::new().policy(Policy::Count);
    shows(&verifier, &["Verifier", "Count", "limit", "backtraces", "counts"]);
    let (zero, one) = (PHYSICAL_ADDRESS::default(), PHYSICAL_ADDRESS::new(0x1000));
    assert_ne!(zero, one);
    shows(&one, &["PHYSICAL_ADDRESS(0x1000)"]);
}
