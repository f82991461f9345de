//! Section L: mappings and the privileged token. What work requests make of them is in `l_data`.

use super::super::case::{
    Case, Device, inline_mappings, mappings, panics,
    ruled_out::{MAPPING, NULL},
};
use super::super::control::{Fault, Step};
use super::super::env::Env;
use super::super::lam::{Lam, bytes_for};
use super::super::outcome::Status;
use super::super::route::Mapped;
use super::super::ticket::Done;
use crate::abi::*;
use crate::error::ErrorKind;
use std::ptr::null_mut;

pub(super) const CASES: &[Case] = &[
    Case::new("L1", "adjacent_pages", adjacent_pages).needs(mappings),
    Case::new("L4", "page_count", page_count).needs(mappings),
    Case::new("L4", "too_small", too_small).raw(MAPPING).needs(mappings),
    Case::new("L4", "failed_build", failed_build).needs(mappings),
    Case::new("L4", "build_that_panics", build_that_panics)
        .needs(|device| panics(device).or_else(|| mappings(device))),
    Case::new("L4", "bad_arguments", bad_arguments).raw(MAPPING).needs(mappings),
    Case::new("L5", "privileged_token", privileged_token).own().needs(may_have_privileged_token),
    Case::new("L6", "inline", completes_inline).own().needs(inline_mappings),
    Case::new("L6", "null_completion", null_completion).raw(NULL).own().needs(inline_mappings),
    Case::new("L6", "null_completion_of_pending", null_completion_of_pending)
        .raw(NULL)
        .own()
        .needs(mappings),
];

fn adjacent_pages(env: &mut Env) {
    let memory = env.memory(4 * PAGE_SIZE, 0);
    let mut lam = Lam::for_pages(4);
    let issued = env.start_build(lam.arguments(&memory, memory.len()));
    env.finish(issued).has(STATUS_SUCCESS);
    let pages = lam.pages();
    assert!(
        pages.windows(2).all(|pair| pair[1] == pair[0] + PAGE_SIZE as u64),
        "L1: a contiguous buffer gives contiguous addresses: {pages:x?}"
    );
    let mut other = Lam::for_pages(4);
    let issued = env.start_build(other.arguments(&memory, memory.len()));
    env.finish(issued).has(STATUS_SUCCESS);
    assert!(pages.iter().all(|page| !other.pages().contains(page)), "L1: two live mappings");
    env.release(&mut lam);
    env.release(&mut other);
}

fn page_count(env: &mut Env) {
    let page = PAGE_SIZE;
    for (offset, length, pages) in [
        (0, 1, 1),
        (0, page, 1),
        (0, page + 1, 2),
        (page - 1, 1, 1),
        (page - 1, 2, 2),
        (100, 3 * page, 4),
    ] {
        let memory = env.memory(length, offset);
        let mut lam = Lam::for_pages(pages + 1);
        let issued = env.start_build(lam.arguments(&memory, length));
        env.finish(issued).has(STATUS_SUCCESS);
        assert_eq!(lam.pages().len(), pages, "L4: {length} bytes at {offset}");
        assert_eq!(lam.fbo as usize, offset, "L4: the offset in the first page");
        assert!(lam.pages().iter().all(|page| page % PAGE_SIZE as u64 == 0), "L3: whole pages");
        env.release(&mut lam);
    }
}

fn too_small(env: &mut Env) {
    let memory = env.memory(3 * PAGE_SIZE, 0);
    for given in [0, 1, bytes_for(1), bytes_for(3) - 1] {
        let mut lam = Lam::for_pages(3);
        lam.size = given as ULONG;
        let issued = env.start_build(lam.arguments(&memory, memory.len()));
        env.finish(issued).refused(STATUS_BUFFER_TOO_SMALL);
        assert_eq!(lam.size as usize, bytes_for(3), "L4: the size needed");
        assert!(lam.is_untouched(), "L4: nothing is built");
    }
    let mut lam = Lam::for_pages(3);
    let arguments = Mapped { lam: null_mut(), ..lam.arguments(&memory, memory.len()) };
    let issued = env.start_build(arguments);
    env.finish(issued).refused(STATUS_BUFFER_TOO_SMALL);
    assert_eq!(lam.size as usize, bytes_for(3), "L4: the size needed");
}

/// Fails inside the backend; afterwards nothing keeps the adapter, and a retry works.
fn failed_build(env: &mut Env) {
    build_fails(env, Fault::Fail(ErrorKind::InsufficientResources), STATUS_INSUFFICIENT_RESOURCES);
}

fn build_that_panics(env: &mut Env) {
    build_fails(env, Fault::PanicAtFirstPoll, STATUS_INTERNAL_ERROR);
}

#[track_caller]
fn build_fails(env: &mut Env, fault: Fault, status: NTSTATUS) {
    let memory = env.memory(PAGE_SIZE, 0);
    let mut lam = Lam::for_pages(1);
    env.control.plan(Step::BuildMapping, fault);
    let issued = env.start_build(lam.arguments(&memory, memory.len()));
    env.finish(issued).has(status);
    assert!(lam.is_untouched(), "L4: a failed build leaves no mapping");
    let issued = env.start_build(lam.arguments(&memory, memory.len()));
    env.finish(issued).has(STATUS_SUCCESS);
    env.release(&mut lam);
}

fn bad_arguments(env: &mut Env) {
    let memory = env.memory(PAGE_SIZE, 0);
    for length in [0, PAGE_SIZE + 1, usize::MAX] {
        let mut lam = Lam::for_pages(4);
        let issued = env.start_build(lam.arguments(&memory, length));
        env.finish(issued).refused(STATUS_INVALID_PARAMETER);
        assert!(lam.is_untouched());
    }
    let mut lam = Lam::for_pages(1);
    let good = lam.arguments(&memory, PAGE_SIZE);
    for bad in [
        Mapped { chain: None, ..good.clone() },
        Mapped { size: null_mut(), ..good.clone() },
        Mapped { fbo: null_mut(), ..good.clone() },
    ] {
        let issued = env.start_build(bad);
        env.finish(issued).refused(STATUS_INVALID_PARAMETER);
    }
    assert!(lam.is_untouched());
    memory.set_flags(0);
    let issued = env.start_build(good);
    env.finish(issued).refused(STATUS_INVALID_PARAMETER);
}

pub(super) fn has_privileged_token(device: &Device) -> Option<&'static str> {
    (!device.privileged_token).then_some("the backend has no privileged token")
}

/// It is for logical addresses: without them a domain need not have one.
fn may_have_privileged_token(device: &Device) -> Option<&'static str> {
    if device.privileged_token { None } else { mappings(device) }
}

fn privileged_token(env: &mut Env) {
    let pds = [env.pd(), env.pd()];
    // SAFETY: the domains are open.
    let tokens = pds.map(|pd| unsafe { env.route.privileged_token(pd) });
    assert!(tokens[0] != 0 && tokens[1] != 0, "L5: {tokens:x?}");
    assert_ne!(tokens[0], tokens[1], "L5: a token for each domain");
    let (mr, page) = (env.mr(pds[0]), env.page());
    for _ in 0..10 {
        env.register(mr, page.all(NDK_MR_FLAG_ALLOW_REMOTE_WRITE)).success();
        let (local, remote) = env.tokens(mr);
        assert!(!tokens.contains(&local) && !tokens.contains(&remote), "E2: {local:#x}");
        // SAFETY: as above.
        let again = pds.map(|pd| unsafe { env.route.privileged_token(pd) });
        assert_eq!(again, tokens, "L5: for as long as the domain lives");
        env.deregister(mr).success();
    }
}

/// Shipped consumers pass a completion that they cannot stand to have called.
fn completes_inline(env: &mut Env) {
    let memory = env.memory(PAGE_SIZE, 5);
    let mut lam = Lam::for_pages(2);
    let issued = env.start_build(lam.arguments(&memory, PAGE_SIZE));
    env.finish(issued).refused(STATUS_SUCCESS);
    assert_eq!(lam.pages().len(), 2);
    env.release(&mut lam);
}

/// A null one is legal too (A7).
fn null_completion(env: &mut Env) {
    let memory = env.memory(PAGE_SIZE, 5);
    let (mut lam, ticket) = (Lam::for_pages(2), env.ticket());
    let arguments = lam.arguments(&memory, PAGE_SIZE);
    // SAFETY: the adapter is open, the buffers are kept.
    let returned =
        unsafe { env.route.build_mapping(env.adapter(), arguments, Done::null(&ticket)) };
    assert_eq!(Status(returned), Status(STATUS_SUCCESS), "L6: inline");
    env.settle(&ticket, returned);
    assert_eq!(lam.pages().len(), 2);
    env.release(&mut lam);
}

/// A backend that would have to wait cannot, where nobody can be told.
fn null_completion_of_pending(env: &mut Env) {
    env.control.set_yields(true);
    let memory = env.memory(PAGE_SIZE, 0);
    let (mut lam, ticket) = (Lam::for_pages(1), env.ticket());
    let arguments = lam.arguments(&memory, PAGE_SIZE);
    // SAFETY: as above.
    let returned =
        unsafe { env.route.build_mapping(env.adapter(), arguments, Done::null(&ticket)) };
    assert_eq!(Status(returned), Status(STATUS_INVALID_PARAMETER), "A7");
    env.settle(&ticket, returned);
    env.run_until_idle();
    assert!(lam.is_untouched(), "L4: no mapping");
}
