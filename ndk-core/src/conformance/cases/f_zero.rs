//! Section F: accesses of no length (F3), which succeed at whatever address.

use super::super::case::Case;
use super::super::env::Env;
use super::super::memory::Memory;
use super::super::needs::{fast_wire, wire};
use super::super::net::{Net, Registered, element, next_context};
use super::super::port::Port;
use super::f::{ALL, amid};
use crate::abi::*;
use crate::provider::{RemoteAddress, Sge, WorkKind};

pub(super) const CASES: &[Case] = &[
    Case::new("F3", "zero_length", zero_length).between().needs(wire),
    Case::new("F3", "zero_length_of_an_element", zero_length_of_an_element).needs(wire),
    Case::new("F3", "zero_length_by_a_fast_registration", zero_length_by_a_fast_registration)
        .between()
        .needs(fast_wire),
];

/// Addresses in memory of that length, at its ends, next to it, far from it, and at the ends of all addresses.
fn places(first: u64, length: u64) -> [u64; 14] {
    const FAR: u64 = 1 << 40;
    let end = first.wrapping_add(length);
    [
        first,
        first + 1,
        end - 1,
        end,
        first.wrapping_sub(1),
        end.wrapping_add(1),
        first.wrapping_sub(FAR),
        end.wrapping_add(FAR),
        !first,
        0,
        1,
        1 << 63,
        u64::MAX - 1,
        u64::MAX,
    ]
}

/// A peer reads and writes nothing there, with an element and without.
#[track_caller]
fn nothing_at(env: &Env, net: &Net, place: RemoteAddress) {
    let (address, port, own) = (place.address, &*net.link.peer, [net.scratch.element(0, 0)]);
    for local in [&own[..], &[]] {
        let read = env.carry_out(port, WorkKind::Read, |context| port.read(context, local, place));
        assert_eq!(read, Ok(0), "F3: a read at {address:#x}, elements: {local:x?}");
        let write = |context| port.write(context, local, place);
        let write = env.carry_out(port, WorkKind::Write, write);
        assert_eq!(write, Ok(0), "F3: a write at {address:#x}, elements: {local:x?}");
    }
    // Where a completion says only that a write is on its way.
    assert_eq!(net.message(env), Ok(()), "F3: the connection after {address:#x}");
}

/// As `nothing_at`, at every place, by the token of a region or a window that has these bytes of it.
#[track_caller]
pub(super) fn nothing_anywhere(
    env: &Env,
    net: &Net,
    target: &Registered,
    (offset, length): (usize, usize),
) {
    net.scratch.memory.fill(0x2e);
    let bytes = || [target, &net.scratch].map(|it| it.memory.buffer.to_vec());
    let before = bytes();
    for address in places(target.address(offset as isize), length as u64) {
        nothing_at(env, net, RemoteAddress { address, ..target.at(0) });
    }
    assert!(bytes() == before, "F3: no byte");
    net.reads(env, target, offset, length);
    net.writes(env, target, offset, length);
}

fn zero_length(env: &mut Env) {
    let mut net = Net::new(env);
    let target = net.target(env, amid(300), ALL);
    nothing_anywhere(env, &net, &target, (0, 300));
}

fn zero_length_by_a_fast_registration(env: &mut Env) {
    let mut net = Net::new(env);
    let fast = env.fast(&mut net, Memory::new(300, 70));
    let target = fast.register(env, &*net.link.owner);
    nothing_anywhere(env, &net, &target, (0, 300));
}

/// The source of a send and of a write, the sink of a read and of a receive.
fn zero_length_of_an_element(env: &mut Env) {
    let mut net = Net::new(env);
    let target = net.target(env, amid(300), ALL);
    let memory = env.keep(amid(200));
    memory.fill(0x18);
    let flags = NDK_MR_FLAG_ALLOW_LOCAL_WRITE | NDK_MR_FLAG_RDMA_READ_SINK;
    let own = env.register_in(net.peer, memory, flags);
    let (before, theirs) = (own.memory.buffer.to_vec(), target.memory.buffer.to_vec());
    let (peer, owner, at) = (&*net.link.peer, &*net.link.owner, target.at(0));
    for address in places(own.address(0), 200) {
        let local = [element(own.local, address, 0)];
        let write = env.carry_out(peer, WorkKind::Write, |context| peer.write(context, &local, at));
        assert_eq!(write, Ok(0), "F3: the source of a write at {address:#x}");
        let read = env.carry_out(peer, WorkKind::Read, |context| peer.read(context, &local, at));
        assert_eq!(read, Ok(0), "F3: the sink of a read at {address:#x}");
        message(env, (peer, &local), (owner, &[]));
        message(env, (owner, &[]), (peer, &local));
    }
    assert!(own.memory.buffer.to_vec() == before, "F3: no byte");
    assert!(target.memory.buffer.to_vec() == theirs, "F3: no byte");
}

/// An empty message from elements of one end's to elements of the other's.
#[track_caller]
fn message(env: &Env, (from, source): (&dyn Port, &[Sge]), (to, sink): (&dyn Port, &[Sge])) {
    let receive = next_context();
    to.receive(receive, sink).expect("posted");
    let sent = env.carry_out(from, WorkKind::Send, |context| from.send(context, source, None));
    assert_eq!(sent, Ok(0), "F3: the source of a send: {source:x?}");
    let received = env.completion(to);
    assert_eq!(received.id.context, receive, "whose completion");
    assert_eq!(received.result, Ok(()), "F3: the sink of a receive: {sink:x?}");
}
