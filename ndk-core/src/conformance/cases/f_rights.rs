//! Section F: which rights an access needs (F4).

use super::super::case::{Case, Device};
use super::super::env::Env;
use super::super::memory::Memory;
use super::super::needs::wire;
use super::super::net::{Net, next_context};
use super::c::{is_remote, unions};
use super::f::ALL;
use crate::abi::*;
use crate::provider::WorkKind;

pub(super) const CASES: &[Case] = &[
    Case::new("F4", "remote", remote).between().needs(wire),
    Case::new("F4", "source", source).between().needs(wire),
    Case::new("F4", "sink_of_receive", sink_of_receive).between().needs(wire),
    Case::new("F4", "sink_of_read", sink_of_read).between().needs(wire),
    Case::new("F4", "dead_token", dead_token).between().needs(wire),
];

/// Whether a peer may read a region with these flags; a device may not ask for the right (K1).
pub(super) fn lets_read(device: &Device, flags: ULONG) -> bool {
    flags & NDK_MR_FLAG_ALLOW_REMOTE_READ != 0 || !device.capabilities.remote_read_enforced
}

/// Whether a peer may write a region with these flags; a read sink may have to allow it (C10, K1).
pub(super) fn lets_write(device: &Device, flags: ULONG) -> bool {
    const WRITE: ULONG = NDK_MR_FLAG_ALLOW_REMOTE_WRITE;
    let by_sink = device.capabilities.read_sink_grants_write;
    flags & WRITE == WRITE || by_sink && flags & NDK_MR_FLAG_RDMA_READ_SINK != 0
}

/// Whether a region with these flags may take what is read from a peer.
fn takes_reads(device: &Device, flags: ULONG) -> bool {
    let not_required = device.info.AdapterFlags & NDK_ADAPTER_FLAG_RDMA_READ_SINK_NOT_REQUIRED != 0;
    flags & NDK_MR_FLAG_RDMA_READ_SINK != 0
        || not_required && flags & NDK_MR_FLAG_ALLOW_LOCAL_WRITE != 0
}

/// Each right of a peer, with and without every other right. Regions without any are E3's.
fn remote(env: &mut Env) {
    let mut net = Net::new(env);
    for flags in unions().into_iter().filter(|&flags| is_remote(flags)) {
        let target = net.target(env, Memory::new(100, 30), flags);
        if lets_read(&env.device, flags) {
            net.reads(env, &target, 0, 100);
        } else {
            net.read_refused(env, target.at(0), 100);
        }
        if lets_write(&env.device, flags) {
            net.writes(env, &target, 0, 100);
        } else {
            net.write_refused(env, target.at(0), 100);
        }
    }
}

/// Any live token will do for the source of a send or a write.
fn source(env: &mut Env) {
    let mut net = Net::new(env);
    let target = net.target(env, Memory::new(100, 0), ALL);
    for flags in unions() {
        let memory = env.memory(100, 8);
        memory.fill(flags as u8);
        let own = env.register_in(net.peer, memory, flags);
        let (port, from) = (&*net.link.peer, [own.element(0, 100)]);
        let write = |context| port.write(context, &from, target.at(0));
        let written = env.carry_out(port, WorkKind::Write, write);
        assert!(written.is_ok(), "F4: the source of a write, flags {flags:#x}: {written:?}");
        let into = [target.element(0, 100)];
        let receive = next_context();
        net.link.owner.receive(receive, &into).expect("posted");
        let sent = env.carry_out(port, WorkKind::Send, |context| port.send(context, &from, None));
        assert!(sent.is_ok(), "F4: the source of a send, flags {flags:#x}: {sent:?}");
        let received = env.completion(&*net.link.owner);
        assert_eq!((received.id.context, received.result), (receive, Ok(())), "the message");
        assert_eq!(received.bytes, 100, "the message's length");
        assert!(target.memory.bytes() == own.memory.bytes(), "the message's bytes");
    }
}

fn sink_of_receive(env: &mut Env) {
    let mut net = Net::new(env);
    for flags in unions() {
        let sink = net.target(env, Memory::new(100, 0), flags);
        let (port, from) = (&*net.link.peer, [net.scratch.element(0, 50)]);
        net.scratch.memory.fill(flags as u8 ^ 0x55);
        let before = net.snapshot();
        let receive = next_context();
        net.link.owner.receive(receive, &[sink.element(0, 100)]).expect("posted");
        let sent = env.carry_out(port, WorkKind::Send, |context| port.send(context, &from, None));
        let received = env.completion(&*net.link.owner);
        assert_eq!(received.id.context, receive, "whose completion");
        if flags & NDK_MR_FLAG_ALLOW_LOCAL_WRITE != 0 {
            assert!(sent.is_ok(), "F4: flags {flags:#x}: {sent:?}");
            assert_eq!((received.result, received.bytes), (Ok(()), 50), "F4: flags {flags:#x}");
            let (sent, got) = (net.scratch.memory.bytes(), sink.memory.bytes());
            assert!(got[..50] == sent[..50] && got[50..] == before[before.len() - 1][50..]);
        } else {
            // Which error the sender is told of is the device's: it is not its memory.
            assert!(received.result.is_err(), "F4: flags {flags:#x}");
            assert!(net.snapshot() == before, "F4: bytes of a sink without the right");
            net.broken(env);
            net.reconnect(env);
        }
    }
}

fn sink_of_read(env: &mut Env) {
    let mut net = Net::new(env);
    let target = net.target(env, Memory::new(100, 0), ALL);
    for flags in unions() {
        let memory = env.memory(100, 8);
        net.watch(&memory);
        let own = env.register_in(net.peer, memory, flags);
        let (into, at) = ([own.element(0, 100)], target.at(0));
        if takes_reads(&env.device, flags) {
            let port = &*net.link.peer;
            let read = |context| port.read(context, &into, at);
            let read = env.carry_out(port, WorkKind::Read, read);
            assert!(read.is_ok(), "F4: flags {flags:#x}: {read:?}");
            assert!(own.memory.bytes() == target.memory.bytes(), "the bytes read");
        } else {
            net.refused_locally(env, WorkKind::Read, |port, context| port.read(context, &into, at));
        }
    }
}

/// The token of a region that is deregistered, locally and remotely.
fn dead_token(env: &mut Env) {
    let mut net = Net::new(env);
    let target = net.target(env, Memory::new(100, 0), ALL);
    let own = env.page();
    net.watch(&own);
    let own = env.register_in(net.peer, own, ALL | NDK_MR_FLAG_RDMA_READ_SINK);
    env.deregister(own.mr).success();
    net.names_nothing(env, own.element(0, 8), &target);
    env.deregister(target.mr).success();
    net.unreachable(env, target.at(0));
}
