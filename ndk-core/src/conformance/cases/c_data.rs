//! Section C: what of a registration is seen by reaching for the bytes.

use super::super::case::{
    Case, Device,
    ruled_out::{CHAIN, STATE},
};
use super::super::env::Env;
use super::super::memory::Memory;
use super::super::needs::{byte_exact, wire};
use super::super::net::{Net, Registered, element, remote};
use super::c::unions;
use super::f::ALL;
use super::f_rights::{lets_read, lets_write};
use crate::abi::*;
use crate::capabilities::BaseAddress;
use crate::mdl::{Buffer, MdlBuilder};
use crate::provider::WorkKind;

pub(super) const CASES: &[Case] = &[
    Case::new("C2", "data_at_any_address", data_at_any_address).needs(any_base),
    Case::new("C3", "data_across_joints", data_across_joints).needs(wire),
    Case::new("C3", "data_across_joint_inside_page", data_across_joint_inside_page).needs(wire),
    Case::new("C3", "data_on_scattered_pages", data_on_scattered_pages).needs(scattered),
    Case::new("C3", "part_of_a_chain", part_of_a_chain).needs(wire),
    Case::new("C6", "addresses_count_from_the_mdl", addresses_count_from_the_mdl).needs(wire),
    Case::new("C8", "ends_of_the_largest", ends_of_the_largest).needs(largest),
    Case::new("C9", "one_byte", one_byte)
        .needs(|device| wire(device).or_else(|| byte_exact(device))),
    Case::new("C10", "data_into_a_read_sink", data_into_a_read_sink).needs(wire),
    Case::new("C10", "right_of_a_peer", right_of_a_peer).needs(wire),
    Case::new("C12", "first_registration_stays", first_registration_stays).raw(STATE).needs(wire),
    Case::new("C13", "rights_of_each", rights_of_each).needs(wire),
    Case::new("C15", "data_without_the_chain", data_without_the_chain).raw(CHAIN).needs(wire),
];

fn any_base(device: &Device) -> Option<&'static str> {
    let host_only = device.capabilities.base_address == BaseAddress::HostOnly;
    wire(device).or(host_only.then_some("the device takes host addresses only (K1)"))
}

fn scattered(device: &Device) -> Option<&'static str> {
    let adjacent_only = !device.capabilities.scattered_pages;
    any_base(device).or(adjacent_only.then_some("the device cannot join scattered pages (K1)"))
}

/// Needs memory for the largest registration.
fn largest(device: &Device) -> Option<&'static str> {
    const MOST: usize = 64 << 20;
    let too_large = device.info.MaxRegistrationSize > MOST;
    wire(device)
        .or(too_large
            .then_some("the largest registration is more than the 64 MiB that the kit takes"))
}

/// Reads and writes all of a region, and around each of these places.
#[track_caller]
fn everywhere(env: &Env, net: &Net, target: &Registered, joints: &[usize]) {
    let length = target.memory.len();
    net.reads(env, target, 0, length);
    net.writes(env, target, 0, length);
    for &joint in joints {
        net.reads(env, target, joint - 10, 20);
        net.writes(env, target, joint - 1, 2);
    }
}

fn data_at_any_address(env: &mut Env) {
    let mut net = Net::new(env);
    for start in [0, 0x1000, 0x7fff_f000, usize::MAX & !0xffff] {
        let shape =
            |builder: MdlBuilder, buffer: &Buffer| builder.buffer(buffer).address(start + 0x123);
        let target = net.target(env, Memory::shaped(2 * PAGE_SIZE, 0x123, shape), ALL);
        everywhere(env, &net, &target, &[PAGE_SIZE - 0x123]);
        // As source and sink of the owner's own requests too.
        let (port, own) = (&*net.link.owner, [target.element(5, 100)]);
        let page = net.target_of_peer(env);
        let write = |context| port.write(context, &own, page.at(0));
        assert!(env.carry_out(port, WorkKind::Write, write).is_ok(), "C2: a source at {start:#x}");
        assert!(page.memory.bytes()[..100] == target.memory.bytes()[5..105], "C2: the bytes");
    }
}

fn data_across_joints(env: &mut Env) {
    let mut net = Net::new(env);
    let target = net.target(env, Memory::chain(8), ALL);
    let joints: Vec<usize> = (1..8).map(|page| page * PAGE_SIZE).collect();
    everywhere(env, &net, &target, &joints);
}

fn data_across_joint_inside_page(env: &mut Env) {
    let mut net = Net::new(env);
    let shape = |builder: MdlBuilder, buffer: &Buffer| {
        builder.buffer(buffer).split_at(100).split_at(PAGE_SIZE + 1).split_at(PAGE_SIZE + 1)
    };
    let target = net.target(env, Memory::shaped(2 * PAGE_SIZE, 0, shape), ALL);
    everywhere(env, &net, &target, &[100, PAGE_SIZE, PAGE_SIZE + 1]);
}

fn data_on_scattered_pages(env: &mut Env) {
    let mut net = Net::new(env);
    let page = |index: usize| index * PAGE_SIZE..(index + 1) * PAGE_SIZE;
    let shape = |builder: MdlBuilder, buffer: &Buffer| {
        builder.range(buffer, page(5)).range(buffer, page(0)).range(buffer, page(3))
    };
    let target = net.target(env, Memory::shaped(6 * PAGE_SIZE, 0, shape), ALL);
    everywhere(env, &net, &target, &[PAGE_SIZE, 2 * PAGE_SIZE]);
}

/// Length ends the region, inside an element or between two, whatever the chain goes on with.
fn part_of_a_chain(env: &mut Env) {
    let mut net = Net::new(env);
    for length in [1, PAGE_SIZE, PAGE_SIZE + 1, 2 * PAGE_SIZE - 1] {
        let memory = env.keep(Memory::chain(3));
        net.watch(&memory);
        let mr = env.mr(net.owner);
        env.register(mr, memory.first(length, ALL)).success();
        let target = env.registered_over(mr, memory);
        net.reads(env, &target, 0, length);
        net.writes(env, &target, length - 1, 1);
        let (_, behind) = target.outside_of(&env.device, length);
        net.read_refused(env, target.at(behind), 1);
    }
}

/// From the MDL's virtual address, that is; nothing is zero-based.
fn addresses_count_from_the_mdl(env: &mut Env) {
    let mut net = Net::new(env);
    let target = net.target(env, Memory::new(2 * PAGE_SIZE, 40), ALL);
    net.reads(env, &target, 0, 100);
    for address in [0, 40, PAGE_SIZE as u64] {
        net.unreachable(env, remote(target.remote, address));
    }
}

fn ends_of_the_largest(env: &mut Env) {
    let most = env.device.info.MaxRegistrationSize;
    let mut net = Net::new(env);
    let memory = env.memory(most, 0);
    let target = env.register_in(net.owner, memory, ALL);
    for offset in [0, most / 2, most - 100] {
        target.memory.buffer.write(offset, &[offset as u8 ^ 0x5a; 100]).expect("it fits");
        let read = net.read(env, target.at(offset as isize), 100);
        assert_eq!(read, Ok(vec![offset as u8 ^ 0x5a; 100]), "C8: at {offset}");
    }
    let (_, behind) = target.outside(&env.device);
    net.read_refused(env, target.at(behind), 1);
}

fn one_byte(env: &mut Env) {
    let mut net = Net::new(env);
    for place in [1, 77, PAGE_SIZE - 1, PAGE_SIZE, 2 * PAGE_SIZE - 1] {
        let shape = |builder: MdlBuilder, buffer: &Buffer| builder.range(buffer, place..place + 1);
        let target = net.target(env, Memory::shaped(2 * PAGE_SIZE, 0, shape), ALL);
        net.reads(env, &target, 0, 1);
        net.writes(env, &target, 0, 1);
        for (offset, length) in [(-1, 1), (1, 1), (0, 2), (-1, 2)] {
            net.read_refused(env, target.at(offset), length);
            if !env.device.capabilities.partial_writes {
                net.write_refused(env, target.at(offset), length);
            }
        }
    }
}

/// The flag is no hindrance to anything that the other flags allow.
fn data_into_a_read_sink(env: &mut Env) {
    let mut net = Net::new(env);
    let target = net.target(env, Memory::new(100, 0), ALL);
    for flags in unions().into_iter().filter(|flags| flags & NDK_MR_FLAG_RDMA_READ_SINK != 0) {
        let memory = env.memory(100, 8);
        let sink = env.register_in(net.peer, memory, flags);
        let (port, local) = (&*net.link.peer, [sink.element(0, 100)]);
        let read = |context| port.read(context, &local, target.at(0));
        let read = env.carry_out(port, WorkKind::Read, read);
        assert!(read.is_ok(), "C10: a read into flags {flags:#x}: {read:?}");
        assert!(sink.memory.bytes() == target.memory.bytes(), "C10: the bytes read");
        let write = |context| port.write(context, &local, target.at(0));
        let write = env.carry_out(port, WorkKind::Write, write);
        assert!(write.is_ok(), "C10: a write from flags {flags:#x}: {write:?}");
    }
}

/// The flag alone gives a peer nothing, or the right to write where that is declared.
fn right_of_a_peer(env: &mut Env) {
    let mut net = Net::new(env);
    let target = net.target(env, Memory::new(100, 0), NDK_MR_FLAG_RDMA_READ_SINK);
    // Without a remote right there may be no remote token: the other one is all that a peer could come by.
    let token = if target.remote == 0 { target.local } else { target.remote };
    let place = remote(token, target.address(0));
    if lets_write(&env.device, NDK_MR_FLAG_RDMA_READ_SINK) {
        assert_eq!(net.write(env, place, &[1, 2, 3]), Ok(()), "C10: as declared");
        assert!(target.memory.bytes()[..3] == [1, 2, 3], "C10: as declared");
    } else {
        net.write_refused(env, place, 3);
    }
    if !env.device.capabilities.shared_key || !lets_read(&env.device, NDK_MR_FLAG_RDMA_READ_SINK) {
        net.read_refused(env, place, 3);
    }
}

/// A registration that is refused since there is one leaves that one's tokens where they lead.
fn first_registration_stays(env: &mut Env) {
    let mut net = Net::new(env);
    let target = net.target(env, Memory::new(100, 0), ALL);
    let other = env.page();
    net.watch(&other);
    for flags in [0, ALL] {
        env.register(target.mr, other.all(flags)).refused(STATUS_INVALID_DEVICE_STATE);
        net.reads(env, &target, 0, 100);
        net.writes(env, &target, 0, 100);
    }
    net.read_refused(env, remote(target.remote, other.base()), 8);
    env.deregister(target.mr).success();
    net.unreachable(env, target.at(0));
}

/// One buffer in regions of different rights: each allows what it allows, and goes alone.
fn rights_of_each(env: &mut Env) {
    let mut net = Net::new(env);
    let memory = env.memory(3 * PAGE_SIZE, 33);
    memory.fill(5);
    net.watch(&memory);
    let [read, write, all] = [NDK_MR_FLAG_ALLOW_REMOTE_READ, NDK_MR_FLAG_ALLOW_REMOTE_WRITE, ALL]
        .map(|flags| env.register_in(net.owner, memory.clone(), flags));
    let length = memory.len();
    net.reads(env, &read, 0, length);
    net.write_refused(env, read.at(0), 8);
    net.writes(env, &write, 0, length);
    if !lets_read(&env.device, NDK_MR_FLAG_ALLOW_REMOTE_WRITE) {
        net.read_refused(env, write.at(0), 8);
    }
    env.close(read.mr).success();
    net.unreachable(env, read.at(0));
    net.writes(env, &write, 0, length);
    net.reads(env, &all, 0, length);
    env.deregister(all.mr).success();
    net.unreachable(env, all.at(0));
    net.writes(env, &write, 0, length);
}

/// What the owner does with the chain after the request has completed is nobody's business.
fn data_without_the_chain(env: &mut Env) {
    let mut net = Net::new(env);
    let memory = env.keep(Memory::chain(4));
    memory.fill(8);
    let bytes = memory.bytes();
    let target = env.register_in(net.owner, memory, ALL);
    let (at, local) = (target.at(0), element(target.local, target.address(0), 100));
    target.memory.scribble();
    assert!(net.read(env, at, 4 * PAGE_SIZE).expect("the read succeeds") == bytes, "C15");
    assert_eq!(net.write(env, at, &[3; 4 * PAGE_SIZE]), Ok(()), "C15");
    assert!(target.memory.buffer.to_vec() == [3; 4 * PAGE_SIZE], "C15: the bytes written");
    let (port, page) = (&*net.link.owner, net.target_of_peer(env));
    let write = |context| port.write(context, &[local], page.at(0));
    assert!(env.carry_out(port, WorkKind::Write, write).is_ok(), "C15: as a source");
    net.reconnect(env);
}
