//! Section C: what an MDL chain may look like.

use super::super::case::{
    Case, Device,
    ruled_out::{CHAIN, NULL},
};
use super::super::env::Env;
use super::super::memory::Memory;
use super::super::route::{Mr, Registration};
use crate::abi::*;
use crate::capabilities::BaseAddress;

pub(super) const CASES: &[Case] = &[
    Case::new("C2", "any_address", any_address),
    Case::new("C3", "chain", chain),
    Case::new("C3", "joint_inside_page", joint_inside_page),
    Case::new("C3", "joint_of_two_frames", joint_of_two_frames).raw(CHAIN),
    Case::new("C3", "empty_elements", empty_elements),
    Case::new("C3", "scattered_pages", scattered_pages).needs(any_base),
    Case::new("C4", "hole", hole).raw(CHAIN),
    Case::new("C4", "wrong_order", wrong_order).raw(CHAIN),
    Case::new("C4", "hole_beyond_length", hole_beyond_length).raw(CHAIN),
    Case::new("C4", "loop", endless).raw(CHAIN),
    Case::new("C4", "malformed", malformed).raw(CHAIN),
    Case::new("C5", "beyond_chain", beyond_chain),
    Case::new("C6", "length_zero", length_zero),
    Case::new("C6", "null_chain", null_chain).raw(NULL),
    Case::new("C7", "wraps", wraps).raw(CHAIN),
    Case::new("C15", "unlocked", unlocked).raw(CHAIN),
    Case::new("C15", "locked", locked).raw(CHAIN),
    Case::new("C15", "not_used_afterwards", not_used_afterwards).raw(CHAIN),
];

const REMOTE: ULONG = NDK_MR_FLAG_ALLOW_REMOTE_READ;

fn any_base(device: &Device) -> Option<&'static str> {
    let host_only = device.capabilities.base_address == BaseAddress::HostOnly;
    host_only.then_some("the device takes host addresses only (K1)")
}

/// The entry refuses, and the region is as before.
#[track_caller]
fn refused(env: &mut Env, mr: Mr, registration: Registration) {
    env.register(mr, registration).refused(STATUS_INVALID_PARAMETER);
    assert_eq!(env.tokens(mr), (0, 0), "B7: no token after a refusal");
}

#[track_caller]
fn works(env: &mut Env, mr: Mr, registration: Registration) {
    env.register(mr, registration).success();
    env.deregister(mr).success();
}

fn any_address(env: &mut Env) {
    let mr = env.region();
    for start in [0, 0x1000, 0x7fff_f000, usize::MAX & !0xffff] {
        let shape = |builder: crate::mdl::MdlBuilder, buffer: &_| {
            builder.buffer(buffer).address(start + 0x123)
        };
        let memory = env.keep(Memory::shaped(2 * PAGE_SIZE, 0x123, shape));
        match env.device.capabilities.base_address {
            BaseAddress::Any => works(env, mr, memory.all(REMOTE)),
            BaseAddress::HostOnly => {
                env.register(mr, memory.all(REMOTE)).has(STATUS_NOT_SUPPORTED);
                assert_eq!(env.tokens(mr), (0, 0), "K2: nothing is registered");
            }
        }
    }
}

fn chain(env: &mut Env) {
    let (mr, memory) = (env.region(), env.keep(Memory::chain(8)));
    for length in [1, PAGE_SIZE, PAGE_SIZE + 1, 8 * PAGE_SIZE - 1, 8 * PAGE_SIZE] {
        works(env, mr, memory.first(length, REMOTE));
    }
}

/// A buffer cut inside its first page: two MDLs that name the same frame.
fn cut_inside(env: &mut Env) -> std::sync::Arc<Memory> {
    let shape = |builder: crate::mdl::MdlBuilder, buffer: &_| builder.buffer(buffer).split_at(100);
    env.keep(Memory::shaped(2 * PAGE_SIZE, 0, shape))
}

fn joint_inside_page(env: &mut Env) {
    let (mr, memory) = (env.region(), cut_inside(env));
    works(env, mr, memory.all(REMOTE));
    works(env, mr, memory.first(100, REMOTE));
    works(env, mr, memory.first(101, REMOTE));
}

fn joint_of_two_frames(env: &mut Env) {
    let (mr, memory, other) = (env.region(), cut_inside(env), env.page());
    memory.change_first_frame(1, other.buffer.address() >> PAGE_SHIFT);
    refused(env, mr, memory.all(REMOTE));
    refused(env, mr, memory.first(101, REMOTE));
    works(env, mr, memory.first(100, REMOTE));
}

/// An MDL that is none by itself, at the head of a chain or behind: it starts inside a page, its offset is not inside one,
/// or it has no room for its frames. Nothing else is wrong with it.
fn malformed(env: &mut Env) {
    const COUNT: usize = 100;
    let mr = env.region();
    let pages = 2 * PAGE_SIZE;
    for index in [0, 1] {
        for change in [Memory::start_inside_a_page, Memory::offset_by_a_page, Memory::cut_short] {
            let memory = Memory::shaped(2 * pages, 0, |builder, buffer| {
                builder.buffer(buffer).at_most(pages)
            });
            let memory = env.keep(memory);
            memory.set_count(index, COUNT as ULONG);
            let before = index * pages;
            works(env, mr, memory.first(before + COUNT, REMOTE));
            change(&memory, index);
            refused(env, mr, memory.first(before + COUNT, REMOTE));
            if before > 0 {
                works(env, mr, memory.first(before, REMOTE));
            }
        }
    }
}

fn empty_elements(env: &mut Env) {
    let shape = |builder: crate::mdl::MdlBuilder, buffer: &_| {
        builder.buffer(buffer).split_at(0).split_at(0).split_at(PAGE_SIZE).split_at(PAGE_SIZE)
    };
    let (mr, memory) = (env.region(), env.keep(Memory::shaped(2 * PAGE_SIZE, 0, shape)));
    works(env, mr, memory.all(REMOTE));
    works(env, mr, memory.first(PAGE_SIZE, REMOTE));
}

fn scattered_pages(env: &mut Env) {
    let page = |index: usize| index * PAGE_SIZE..(index + 1) * PAGE_SIZE;
    let shape = |builder: crate::mdl::MdlBuilder, buffer: &_| {
        builder.range(buffer, page(3)).range(buffer, page(0)).range(buffer, page(2))
    };
    let (mr, memory) = (env.region(), env.keep(Memory::shaped(4 * PAGE_SIZE, 0, shape)));
    if env.device.capabilities.scattered_pages {
        works(env, mr, memory.all(REMOTE));
    } else {
        env.register(mr, memory.all(REMOTE)).has(STATUS_NOT_SUPPORTED);
        assert_eq!(env.tokens(mr), (0, 0), "K2: nothing is registered");
    }
}

fn hole(env: &mut Env) {
    let (mr, memory) = (env.region(), env.keep(Memory::chain(3)));
    memory.move_element(1, 1);
    refused(env, mr, memory.all(0));
    refused(env, mr, memory.first(PAGE_SIZE + 1, 0));
}

fn wrong_order(env: &mut Env) {
    let (mr, memory) = (env.region(), env.keep(Memory::chain(3)));
    memory.move_element(1, 1);
    memory.move_element(2, -1);
    refused(env, mr, memory.all(0));
}

fn hole_beyond_length(env: &mut Env) {
    let (mr, memory) = (env.region(), env.keep(Memory::chain(3)));
    memory.move_element(2, 7);
    works(env, mr, memory.first(2 * PAGE_SIZE, REMOTE));
    refused(env, mr, memory.first(2 * PAGE_SIZE + 1, REMOTE));
    memory.set_flags_of(2, 0);
    works(env, mr, memory.first(2 * PAGE_SIZE, REMOTE));
}

/// A chain that leads back into itself has no end to find.
fn endless(env: &mut Env) {
    let (mr, memory) = (env.region(), env.keep(Memory::chain(3)));
    memory.close_loop();
    refused(env, mr, memory.first(3 * PAGE_SIZE + 1, 0));
    memory.empty_all();
    refused(env, mr, memory.first(1, 0));
}

fn beyond_chain(env: &mut Env) {
    let mr = env.region();
    for memory in [Memory::chain(3), Memory::new(5000, 17), Memory::new(1, PAGE_SIZE - 1)] {
        let memory = env.keep(memory);
        refused(env, mr, memory.first(memory.len() + 1, REMOTE));
        refused(env, mr, memory.first(memory.len() + PAGE_SIZE, REMOTE));
        refused(env, mr, memory.first(usize::MAX, REMOTE));
        works(env, mr, memory.all(REMOTE));
    }
}

fn length_zero(env: &mut Env) {
    let (mr, page) = (env.region(), env.page());
    for flags in [0, REMOTE, NDK_MR_FLAG_ALLOW_REMOTE_WRITE] {
        refused(env, mr, page.first(0, flags));
    }
    works(env, mr, page.first(1, REMOTE));
}

fn null_chain(env: &mut Env) {
    let mr = env.region();
    for length in [0, 1, usize::MAX] {
        refused(env, mr, Registration { chain: None, length, flags: REMOTE });
    }
}

fn wraps(env: &mut Env) {
    let (mr, memory) = (env.region(), env.memory(3 * PAGE_SIZE, 0));
    memory.set_start(0, usize::MAX & !(2 * PAGE_SIZE - 1));
    refused(env, mr, memory.all(REMOTE));
    refused(env, mr, memory.first(2 * PAGE_SIZE + 1, REMOTE));
}

fn unlocked(env: &mut Env) {
    let (mr, memory) = (env.region(), env.keep(Memory::chain(2)));
    for flags in [0, MDL_MAPPED_TO_SYSTEM_VA] {
        memory.set_flags(flags);
        refused(env, mr, memory.all(REMOTE));
    }
    memory.set_flags(MDL_PAGES_LOCKED);
    memory.set_flags_of(1, 0);
    refused(env, mr, memory.all(REMOTE));
    works(env, mr, memory.first(PAGE_SIZE, REMOTE));
}

fn locked(env: &mut Env) {
    let (mr, memory) = (env.region(), env.keep(Memory::chain(2)));
    for flags in [MDL_PAGES_LOCKED, MDL_SOURCE_IS_NONPAGED_POOL, MDL_PARTIAL] {
        memory.set_flags(flags);
        works(env, mr, memory.all(REMOTE));
        memory.set_flags(flags | MDL_MAPPED_TO_SYSTEM_VA);
        works(env, mr, memory.all(REMOTE));
    }
}

fn not_used_afterwards(env: &mut Env) {
    let (mr, memory) = (env.region(), env.keep(Memory::chain(4)));
    env.register(mr, memory.all(REMOTE)).success();
    memory.scribble();
    let tokens = env.tokens(mr);
    assert!(tokens.0 != 0 && tokens.1 != 0);
    env.deregister(mr).success();
    let page = env.page();
    works(env, mr, page.all(REMOTE));
}
