//! Section K: declarations that can be compared with what is there. The others are tried by the cases that need them.

use super::super::case::{Case, Device};
use super::super::env::Env;
use super::super::memory::Memory;
use super::super::needs::queue_pairs;
use crate::abi::{NDK_MR_FLAG_ALLOW_REMOTE_READ, PAGE_SIZE, STATUS_NOT_SUPPORTED};
use crate::capabilities::BaseAddress;
use crate::error::ErrorKind;
use crate::mdl::{Buffer, MdlBuilder};
use std::sync::Arc;

pub(super) const CASES: &[Case] = &[
    Case::new("K1", "fast_registration", fast_registration).own(),
    Case::new("K1", "windows", windows).own().needs(window_makers),
    Case::new("K2", "region_as_before", region_as_before).needs(limited),
];

/// Declared where such regions can be created, with the page count that the adapter's attributes say.
fn fast_registration(env: &mut Env) {
    let declared = env.device.capabilities.fast_registration;
    assert_eq!(declared.is_some(), env.device.fast_registration, "K1: declared, and found");
    let pages = declared.map_or(0, |declared| declared.pages);
    assert_eq!(pages, env.device.info.FRMRPageCount, "K1: the attribute FRMRPageCount");
}

/// Where windows are declared they can be made, and else making one says that they cannot.
fn windows(env: &mut Env) {
    let pd = env.pd();
    // SAFETY: the case has a live domain of this adapter.
    let made = env.wait_for("a window", unsafe { env.session().create_window(pd) });
    let kind = match made {
        Ok(window) => {
            env.wait_for("the close of a window", window.close());
            None
        }
        Err(error) => Some(error.kind()),
    };
    let declared = env.device.capabilities.windows;
    let expected = (!declared).then_some(ErrorKind::NotSupported);
    assert_eq!(kind, expected, "K1: declared: {declared}");
}

/// Needs that windows can be asked for: where there are queue pairs, or by a table's own entry.
fn window_makers(device: &Device) -> Option<&'static str> {
    if device.table_alone { None } else { queue_pairs(device) }
}

fn limited(device: &Device) -> Option<&'static str> {
    let any = device.capabilities.base_address == BaseAddress::Any;
    let every = any && device.capabilities.scattered_pages;
    every.then_some("the device takes every chain (K1)")
}

/// Memory that the device cannot be told of, by what it declares.
fn inexpressible(env: &mut Env) -> Vec<Arc<Memory>> {
    let mut memories = Vec::new();
    if env.device.capabilities.base_address == BaseAddress::HostOnly {
        let shape = |builder: MdlBuilder, buffer: &Buffer| builder.buffer(buffer).address(0x1000);
        memories.push(env.keep(Memory::shaped(PAGE_SIZE, 0, shape)));
    }
    if !env.device.capabilities.scattered_pages {
        let page = |index: usize| index * PAGE_SIZE..(index + 1) * PAGE_SIZE;
        let shape = |builder: MdlBuilder, buffer: &Buffer| {
            builder.range(buffer, page(2)).range(buffer, page(0))
        };
        memories.push(env.keep(Memory::shaped(3 * PAGE_SIZE, 0, shape)));
    }
    memories
}

/// What cannot be expressed is refused before anything happens: the region takes other memory as if it had not been asked.
fn region_as_before(env: &mut Env) {
    let (pd, page) = (env.pd(), env.page());
    for memory in inexpressible(env) {
        let mr = env.mr(pd);
        for _ in 0..2 {
            env.register(mr, memory.all(NDK_MR_FLAG_ALLOW_REMOTE_READ)).has(STATUS_NOT_SUPPORTED);
            assert_eq!(env.tokens(mr), (0, 0), "K2: nothing is registered");
            env.register(mr, page.all(NDK_MR_FLAG_ALLOW_REMOTE_READ)).success();
            assert_ne!(env.tokens(mr).1, 0, "K2: the region as before");
            env.deregister(mr).success();
        }
    }
}
