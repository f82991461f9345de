//! Section F: where an access may go, and what a refusal does to the queue pairs. Rights are in `f_rights`, accesses of no
//! length in `f_zero`, and what is local of a request in `f_elements`.

use super::super::case::{Case, Device};
use super::super::env::Env;
use super::super::memory::Memory;
use super::super::needs::{fast_wire, own_fast_wire, own_wire, wire};
use super::super::net::{Net, Registered, next_context};
use super::super::port::Port;
use super::fast::{Fast, post, read_write};
use crate::abi::*;
use crate::capabilities::{BaseAddress, Refusal, TokenScope};
use crate::error::ErrorKind;
use crate::mdl::{Buffer, MdlBuilder};
use crate::provider::{RemoteAddress, WorkKind};
use std::iter::repeat_with;
use std::ops::Range;

pub(super) const CASES: &[Case] = &[
    Case::new("F1", "bounds", bounds).between().needs(wire),
    Case::new("F2", "wraps", wraps).between().needs(wire),
    Case::new("F5", "other_domain", other_domain).between().needs(wire),
    Case::new("F5", "own_memory_of_other_domain", own_memory_of_other_domain).between().needs(wire),
    Case::new("F5", "requests_on_other_domain", requests_on_other_domain)
        .between()
        .needs(fast_wire),
    Case::new("F6", "both_ends", both_ends).between().needs(own_wire),
    Case::new("F6", "requests_behind", requests_behind).between().needs(own_wire),
    Case::new("F6", "other_connections", other_connections).between().needs(own_wire),
    Case::new("F6", "loss_of_connection", loss_of_connection).between().needs(loses_connection),
    Case::new("F6", "flushed_invalidate", flushed_invalidate).between().needs(own_fast_wire),
    Case::new("F6", "close_after_flush", close_after_flush).between().needs(own_fast_wire),
];

pub(super) const ALL: ULONG = NDK_MR_FLAG_ALLOW_REMOTE_READ | NDK_MR_FLAG_ALLOW_REMOTE_WRITE;

fn loses_connection(device: &Device) -> Option<&'static str> {
    let by_completion = device.capabilities.refusal == Refusal::Completion;
    let reason = by_completion.then_some("a refusal is a completion on this device (K1)");
    own_wire(device).or(reason)
}

/// Where in its buffer [`amid`]'s memory begins.
const AMID: usize = PAGE_SIZE + 100;

/// Memory in the middle of a buffer, so that what lies around it can be watched.
pub(super) fn amid(length: usize) -> Memory {
    let around = (length + 3 * PAGE_SIZE).next_multiple_of(PAGE_SIZE);
    Memory::shaped(around, 0, |builder: MdlBuilder, buffer: &Buffer| {
        builder.range(buffer, AMID..AMID + length)
    })
}

fn bounds(env: &mut Env) {
    const LENGTH: usize = 5000;
    let mut net = Net::new(env);
    let target = net.target(env, amid(LENGTH), ALL);
    let (before, end) = target.outside(&env.device);
    let reach = before + 1..end;
    for (offset, length) in [
        (before, 1),
        (before, 2),
        (before, reach.len() + 2),
        (end, 1),
        (end - 1, 2),
        (before + 1, reach.len() + 1),
        (end - 100, 3 * PAGE_SIZE),
        (-end, 1),
        (1 << 40, 8),
    ] {
        net.read_refused(env, target.at(offset), length);
        write_beyond(&mut net, env, &target, &reach, (offset, length));
    }
    for (offset, length) in [(0, 1), (LENGTH - 1, 1), (0, LENGTH), (1, LENGTH - 1)] {
        net.reads(env, &target, offset, length);
        net.writes(env, &target, offset, length);
    }
}

/// A write that reaches beyond these places, which are what a peer may reach by a region [amid](amid) a buffer. Where
/// partial writes are declared, bytes there may change: to what was to be written.
#[track_caller]
fn write_beyond(
    net: &mut Net,
    env: &Env,
    target: &Registered,
    reach: &Range<isize>,
    (offset, length): (isize, usize),
) {
    let to = target.at(offset);
    if !env.device.capabilities.partial_writes {
        return net.write_refused(env, to, length);
    }
    let inside_of = |buffer: &[u8]| {
        let [start, end] = [reach.start, reach.end].map(|place| AMID.strict_add_signed(place));
        buffer[start..end].to_vec()
    };
    let before = target.memory.buffer.to_vec();
    let inside = inside_of(&before);
    let result = net.write(env, to, &vec![0xd7; length]);
    let now = target.memory.buffer.to_vec();
    let inside_now = inside_of(&now);
    let changed = |old: &[u8], new: &[u8]| old.iter().zip(new).filter(|(a, b)| a != b).count();
    let count = changed(&inside, &inside_now);
    assert_eq!(changed(&before, &now), count, "F1: a byte outside changed");
    for (place, (old, new)) in reach.clone().zip(inside.iter().zip(&inside_now)) {
        let written = (offset..offset + length as isize).contains(&place);
        assert!(new == old || written && *new == 0xd7, "F1: byte {place} is neither old nor new");
    }
    let now = net.snapshot();
    net.refused(env, result, &now);
}

/// Addresses at the top, from which a careless sum leads into a region at the bottom.
fn wraps(env: &mut Env) {
    let mut net = Net::new(env);
    let shape = |builder: MdlBuilder, buffer: &Buffer| builder.buffer(buffer).address(0);
    let memory = match env.device.capabilities.base_address {
        BaseAddress::Any => Memory::shaped(2 * PAGE_SIZE, 0, shape),
        BaseAddress::HostOnly => Memory::new(2 * PAGE_SIZE, 0),
    };
    let target = net.target(env, memory, ALL);
    for (address, length) in [(u64::MAX, 1), (u64::MAX, 2), (u64::MAX - 3, 8), (u64::MAX - 3, 4)] {
        let place = RemoteAddress { address, ..target.at(0) };
        net.read_refused(env, place, length);
        net.write_refused(env, place, length);
    }
    net.reads(env, &target, 0, 8);
}

fn other_domain(env: &mut Env) {
    let mut net = Net::new(env);
    let (third, memory) = (env.pd(), env.keep(Memory::new(100, 0)));
    net.watch(&memory);
    let target = env.register_in(third, memory, ALL);
    net.unreachable(env, target.at(0));
    // The peer's own domain is another one too, seen from the owner's queue pair.
    let scratch = env.page();
    net.watch(&scratch);
    let target = env.register_in(net.peer, scratch, ALL);
    net.unreachable(env, target.at(0));
}

fn own_memory_of_other_domain(env: &mut Env) {
    let mut net = Net::new(env);
    let target = net.target(env, Memory::new(100, 0), ALL);
    let (third, page) = (env.pd(), env.page());
    net.watch(&page);
    let flags = ALL | NDK_MR_FLAG_RDMA_READ_SINK;
    let foreign = env.register_in(third, page, flags);
    net.names_nothing(env, foreign.element(0, 8), &target);
}

/// A region is fast-registered and invalidated on queue pairs of its own domain only.
fn requests_on_other_domain(env: &mut Env) {
    let mut net = Net::new(env);
    let fast = env.fast(&mut net, Memory::new(100, 0));
    fast.refused(env, &*net.link.peer, ErrorKind::InvalidParameter);
    let target = fast.register(env, &*net.link.owner);
    // SAFETY: a live region.
    let posted = unsafe { net.link.peer.invalidate(0xdead, fast.mr) };
    assert_eq!(posted.map_err(|error| error.kind()), Err(ErrorKind::InvalidParameter), "F5");
    net.reads(env, &target, 0, 100);
}

/// What was posted at either end, and whatever is posted later, completes with CANCELLED.
fn both_ends(env: &mut Env) {
    let mut net = Net::new(env);
    let target = net.target(env, Memory::new(100, 0), NDK_MR_FLAG_ALLOW_REMOTE_WRITE);
    let (_, behind) = target.outside(&env.device);
    let ports = [&*net.link.peer, &*net.link.owner];
    let posted: Vec<u64> = repeat_with(next_context).take(4).collect();
    for (index, &context) in posted.iter().enumerate() {
        ports[index % 2].receive(context, &[]).expect("posted");
    }
    let from = [net.scratch.element(0, 8)];
    let before = net.snapshot();
    let write = next_context();
    ports[0].write(write, &from, target.at(behind - 4)).expect("posted");
    let mut ended = Vec::new();
    for _ in 0..3 {
        ended.push(env.completion(ports[0]));
    }
    let first = ended.iter().find(|completion| completion.id.context == write).expect("the write");
    if env.device.capabilities.refusal == Refusal::Completion {
        assert_eq!(first.result, Err(ErrorKind::AccessViolation), "F6");
    }
    for _ in 0..2 {
        ended.push(env.completion(ports[1]));
    }
    for context in posted {
        let flushed = ended.iter().find(|completion| completion.id.context == context);
        let result = flushed.expect("each receive completes").result;
        assert_eq!(result, Err(ErrorKind::Cancelled), "F6: a posted receive");
    }
    if !env.device.capabilities.partial_writes {
        assert!(net.snapshot() == before, "F1");
    }
    let own = net.target_of_peer(env);
    for (port, memory, token) in [(0, &net.scratch, target.at(0)), (1, &target, own.at(0))] {
        let (port, local) = (ports_of(&net)[port], [memory.element(0, 8)]);
        flushes(env, port, WorkKind::Receive, |context| port.receive(context, &local));
        flushes(env, port, WorkKind::Send, |context| port.send(context, &local, None));
        flushes(env, port, WorkKind::Read, |context| port.read(context, &local, token));
        flushes(env, port, WorkKind::Write, |context| port.write(context, &local, token));
    }
    net.reconnect(env);
    net.writes(env, &target, 0, 100);
}

fn ports_of(net: &Net) -> [&dyn Port; 2] {
    [&*net.link.peer, &*net.link.owner]
}

#[track_caller]
fn flushes(
    env: &Env,
    port: &dyn Port,
    kind: WorkKind,
    request: impl FnOnce(u64) -> crate::error::Result<()>,
) {
    let result = env.carry_out(port, kind, request);
    assert_eq!(result, Err(ErrorKind::Cancelled), "F6: {kind:?} on a queue pair in error");
}

/// Requests take effect in their order: what is before the refusal succeeds, what is behind it is flushed.
fn requests_behind(env: &mut Env) {
    const REQUESTS: usize = 8;
    const BAD: usize = 3;
    let mut net = Net::new(env);
    let target = net.target(env, Memory::new(100, 0), ALL);
    let from = [net.scratch.element(0, 8)];
    net.scratch.memory.fill(9);
    let contexts: Vec<u64> = repeat_with(next_context).take(REQUESTS).collect();
    let (before, outside) = (target.memory.bytes(), target.at(target.outside(&env.device).1));
    for (index, &context) in contexts.iter().enumerate() {
        let place = if index == BAD { outside } else { target.at(8 * index as isize) };
        net.link.peer.write(context, &from, place).expect("posted");
    }
    for (index, &context) in contexts.iter().enumerate() {
        let completion = env.completion(&*net.link.peer);
        assert_eq!(completion.id.context, context, "completions come in the order of the posting");
        let expected = match index {
            ..BAD => Ok(()),
            BAD => Err(ErrorKind::AccessViolation),
            _ => Err(ErrorKind::Cancelled),
        };
        if env.device.capabilities.refusal == Refusal::Completion {
            assert_eq!(completion.result, expected, "F6: request {index}");
        }
    }
    net.broken(env);
    // On any device: nothing behind the refusal is carried out.
    let (now, behind) = (target.memory.bytes(), 8 * BAD..);
    assert!(now[behind.clone()] == before[behind], "F6: a request behind the refused one");
    net.reconnect(env);
    net.writes(env, &target, 0, 100);
}

fn other_connections(env: &mut Env) {
    let mut net = Net::new(env);
    let target = net.target(env, Memory::new(100, 0), ALL);
    let other = env.link(net.owner, net.peer);
    net.read_refused(env, target.at(target.outside(&env.device).1), 1);
    let broken = std::mem::replace(&mut net.link, other);
    env.close_link(broken);
    net.writes(env, &target, 0, 100);
    net.reads(env, &target, 0, 100);
}

/// The initiator hears of it by the loss of its connection, whatever the request's own completion says (K1).
fn loss_of_connection(env: &mut Env) {
    let mut net = Net::new(env);
    let target = net.target(env, Memory::new(100, 0), NDK_MR_FLAG_ALLOW_REMOTE_READ);
    let (from, before) = ([net.scratch.element(0, 8)], net.snapshot());
    let port = &*net.link.peer;
    let write = |context| port.write(context, &from, target.at(0));
    // Success, or whatever error the loss came to.
    let _ = env.carry_out(port, WorkKind::Write, write);
    net.broken(env);
    assert!(net.snapshot() == before, "F4: the bytes of a refused write");
}

/// Breaks the connection by a refused access.
#[track_caller]
fn break_link(env: &Env, net: &Net, target: &Registered) {
    let (_, behind) = target.outside(&env.device);
    assert!(net.read(env, target.at(behind), 1).is_err(), "refused");
    net.broken(env);
}

#[track_caller]
fn flush_invalidate(env: &Env, net: &Net, fast: &Fast) {
    let flushed = fast.invalidate(env, &*net.link.owner);
    assert_eq!(flushed, Err(ErrorKind::Cancelled), "F6: the owner's Invalidate is flushed");
}

/// The token is live still: on other connections, where they are in its scope, until the next initialisation.
fn flushed_invalidate(env: &mut Env) {
    let mut net = Net::new(env);
    let fast = env.fast(&mut net, Memory::new(300, 20));
    let target = fast.register(env, &*net.link.owner);
    break_link(env, &net, &target);
    flush_invalidate(env, &net, &fast);
    net.reconnect(env);
    if super::g_work::scope(&env.device) == TokenScope::ProtectionDomain {
        net.reads(env, &target, 0, 300);
    }
    fast.refused(env, &*net.link.owner, ErrorKind::InvalidDeviceState);
    env.initialise(fast.mr, 1, true).success();
    net.unreachable(env, target.at(0));
    let again = fast.register(env, &*net.link.owner);
    net.reads(env, &again, 0, 300);
    assert_eq!(fast.invalidate(env, &*net.link.owner), Ok(()));
}

fn close_after_flush(env: &mut Env) {
    let mut net = Net::new(env);
    let fast = env.fast(&mut net, Memory::new(300, 20));
    let target = fast.register(env, &*net.link.owner);
    break_link(env, &net, &target);
    flush_invalidate(env, &net, &fast);
    net.reconnect(env);
    env.close(fast.mr).success();
    net.unreachable(env, target.at(0));
    // On a queue pair in error a registration is flushed too, and its region can be closed (G10).
    let fast = env.fast(&mut net, Memory::new(10, 0));
    let other = net.target(env, Memory::new(10, 0), ALL);
    break_link(env, &net, &other);
    let port = &*net.link.owner;
    let request = |context| post(port, context, fast.mr, fast.mapped.all(), read_write());
    flushes(env, port, WorkKind::FastRegister, request);
    env.close(fast.mr).success();
}
