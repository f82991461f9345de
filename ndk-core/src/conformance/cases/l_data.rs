//! Section L: what work requests make of logical addresses and the privileged token.

use super::super::case::{Case, Device};
use super::super::env::Env;
use super::super::memory::Memory;
use super::super::needs::{byte_exact, fast_wire, queue_pairs, wire};
use super::super::net::{Net, element, next_context};
use super::super::route::Pd;
use super::f::ALL;
use super::fast::{Mapped, read_write};
use super::l::has_privileged_token;
use crate::abi::*;
use crate::error::{ErrorKind, Result};
use crate::mdl::{Buffer, MdlBuilder};
use crate::provider::{FastMemory, Sge, WorkKind};

pub(super) const CASES: &[Case] = &[
    Case::new("L1", "opaque", opaque).needs(fast_wire),
    Case::new("L1", "not_reused_in_use", not_reused_in_use).needs(fast_wire),
    Case::new("L1", "not_reused_while_posted", not_reused_while_posted).needs(posts_and_keeps),
    Case::new("L2", "elements", elements).needs(privileged),
    Case::new("L2", "pages", pages).needs(fast_wire),
    Case::new("L3", "whole_pages", whole_pages).needs(privileged),
    Case::new("L3", "narrowed_to_bytes", narrowed_to_bytes).needs(narrows_to_bytes),
    Case::new("L4", "released_in_use", released_in_use).needs(fast_wire),
    Case::new("L5", "local_use", local_use).needs(privileged),
    Case::new("L5", "other_domain", other_domain).needs(privileged),
    Case::new("L5", "not_for_addresses_of_regions", not_for_addresses_of_regions).needs(privileged),
];

/// Needs the privileged token, and addresses to use it on.
fn privileged(device: &Device) -> Option<&'static str> {
    let mappings = super::super::case::mappings(device);
    wire(device).or_else(|| has_privileged_token(device)).or(mappings)
}

fn narrows_to_bytes(device: &Device) -> Option<&'static str> {
    fast_wire(device).or_else(|| byte_exact(device))
}

/// As `privileged`, with receives that the device keeps.
fn posts_and_keeps(device: &Device) -> Option<&'static str> {
    queue_pairs(device).or_else(|| privileged(device))
}

/// Memory whose first byte is inside a page, with more of its buffer around it; of two pages at the most.
fn amid(length: usize) -> Memory {
    let range = PAGE_SIZE + 100..PAGE_SIZE + 100 + length;
    let shape = |builder: MdlBuilder, buffer: &Buffer| builder.range(buffer, range);
    Memory::shaped(4 * PAGE_SIZE, 0, shape)
}

fn token_of(env: &Env, pd: Pd) -> u32 {
    // SAFETY: the domain is open.
    unsafe { env.route.privileged_token(pd) }
}

impl Env {
    /// Memory of the case's, mapped and filled.
    #[track_caller]
    fn mapped(&mut self, memory: Memory, seed: u8) -> Mapped {
        let memory = self.keep(memory);
        memory.fill(seed);
        self.map(memory)
    }
}

/// The addresses are the provider's, and none of them is the host's.
fn opaque(env: &mut Env) {
    let mapped = env.mapped(Memory::new(4 * PAGE_SIZE, 0), 0);
    for (index, &page) in mapped.pages.iter().enumerate() {
        let host = (mapped.memory.buffer.address() + index * PAGE_SIZE) as u64;
        assert_ne!(page, host, "L1: a host address");
        assert_ne!(page, host >> PAGE_SHIFT, "L1: a frame number");
    }
}

/// A mapping that is released while a fast registration uses it: its addresses stay taken until that is over.
fn not_reused_in_use(env: &mut Env) {
    let mut net = Net::new(env);
    let length = env.device.fast_pages(4) * PAGE_SIZE;
    let fast = env.fast(&mut net, Memory::new(length, 0));
    let target = fast.register(env, &*net.link.owner);
    let used = fast.mapped.pages.clone();
    env.unmap(fast.mapped);
    others_are_new(env, &used);
    net.reads(env, &target, 0, length);
}

/// The same with a receive, whose message comes when the mapping was released long ago.
fn not_reused_while_posted(env: &mut Env) {
    let net = Net::new(env);
    let mapped = env.mapped(Memory::new(2 * PAGE_SIZE, 0), 1);
    let into = [element(token_of(env, net.owner), mapped.address(0), 2 * PAGE_SIZE)];
    net.link.owner.receive(next_context(), &into).expect("posted");
    let (memory, used) = (mapped.memory.clone(), mapped.pages.clone());
    env.unmap(mapped);
    others_are_new(env, &used);
    net.scratch.memory.fill(0x2f);
    let (peer, message) = (&*net.link.peer, [net.scratch.element(0, 2 * PAGE_SIZE)]);
    let sent = env.carry_out(peer, WorkKind::Send, |context| peer.send(context, &message, None));
    assert!(sent.is_ok(), "L4: the mapping lives until its last use: {sent:?}");
    assert_eq!(env.completion(&*net.link.owner).result, Ok(()), "L4");
    assert!(memory.bytes() == net.scratch.memory.bytes()[..2 * PAGE_SIZE], "L4: the message");
}

/// Mappings that are built and released by turns have none of these addresses.
#[track_caller]
fn others_are_new(env: &mut Env, used: &[u64]) {
    let memory = env.memory(used.len() * PAGE_SIZE, 0);
    let mut live = Vec::new();
    for _ in 0..50 {
        let other = env.map(memory.clone());
        let again = other.pages.iter().find(|page| used.contains(page));
        assert_eq!(again, None, "L1: what the address was of is in use still");
        live.push(other);
        if live.len() > 5 {
            let oldest = live.remove(0);
            env.unmap(oldest);
        }
    }
    live.into_iter().for_each(|mapped| env.unmap(mapped));
}

fn elements(env: &mut Env) {
    let net = Net::new(env);
    let mapped = env.mapped(Memory::new(2 * PAGE_SIZE, 0), 1);
    let released = env.mapped(Memory::new(PAGE_SIZE, 0), 2);
    let (start, gone) = (mapped.address(0), released.address(0));
    env.unmap(released);
    let token = token_of(env, net.owner);
    let page = net.target_of_peer(env);
    let (port, length) = (&*net.link.owner, 2 * PAGE_SIZE);
    // Addresses are the provider's: the mapping may be at 0, or at the end.
    let (before, end) = (start.wrapping_sub(1), start.wrapping_add(length as u64));
    let is_inside = |address: u64, bytes: usize| {
        let room = length.checked_sub(bytes);
        room.is_some_and(|room| address.wrapping_sub(start) <= room as u64)
    };
    let bad = [
        (before, 1),
        (before, 2),
        (start, length + 1),
        (start + 1, length),
        (end, 1),
        (gone, 8),
        (0, 8),
        (u64::MAX, 1),
        (u64::MAX - 7, 8),
        (mapped.memory.base(), 8),
    ];
    for (address, length) in bad.into_iter().filter(|&(at, bytes)| !is_inside(at, bytes)) {
        let local = [element(token, address, length)];
        let not_posted = |what: &str, posted: Result<()>| {
            let kind = posted.map_err(|error| error.kind());
            assert_eq!(kind, Err(ErrorKind::InvalidParameter), "L2: {what} at {address:#x}");
            assert_eq!(port.poll(), None, "L2: nothing is posted");
        };
        not_posted("send", port.send(0xdead, &local, None));
        not_posted("receive", port.receive(0xdead, &local));
        not_posted("write", port.write(0xdead, &local, page.at(0)));
        not_posted("read", port.read(0xdead, &local, page.at(0)));
    }
    // The queue pair is well: no receive and no request of these is on it.
    assert_eq!(net.message(env), Ok(()));
    let local = [element(token, start + 2 * PAGE_SIZE as u64 - 8, 8)];
    let write =
        env.carry_out(port, WorkKind::Write, |context| port.write(context, &local, page.at(0)));
    assert!(write.is_ok(), "L2: wholly inside: {write:?}");
    env.unmap(mapped);
}

fn pages(env: &mut Env) {
    let mut net = Net::new(env);
    let fast = env.fast(&mut net, Memory::new(env.device.fast_pages(2) * PAGE_SIZE, 0));
    let released = env.mapped(Memory::new(PAGE_SIZE, 0), 2);
    let gone = released.pages[0];
    env.unmap(released);
    let (port, good) = (&*net.link.owner, fast.mapped.all());
    let last = good.pages.len() - 1;
    let behind = good.pages[last].wrapping_add(PAGE_SIZE as u64);
    let host = fast.mapped.memory.base();
    for (place, bad) in [(last, gone), (0, gone), (last, behind), (last, 0), (last, host)] {
        // Addresses are the provider's: 0 may be one.
        if good.pages.contains(&bad) {
            continue;
        }
        let mut pages = good.pages.to_vec();
        pages[place] = bad;
        let memory = FastMemory { pages: &pages, ..good };
        fast.refuses(env, port, memory, read_write(), ErrorKind::InvalidParameter);
    }
    let target = fast.register(env, port);
    net.reads(env, &target, 0, fast.mapped.memory.len());
}

/// Through a mapping all of each page can be reached, also what is before the first byte and after the last one.
fn whole_pages(env: &mut Env) {
    let net = Net::new(env);
    let mapped = env.mapped(amid(4900), 3);
    let token = token_of(env, net.owner);
    let (port, page) = (&*net.link.owner, net.target_of_peer(env));
    let local = |at: u64| [element(token, at, PAGE_SIZE)];
    for (index, &at) in mapped.pages.iter().enumerate() {
        let write = |context| port.write(context, &local(at), page.at(0));
        let write = env.carry_out(port, WorkKind::Write, write);
        assert!(write.is_ok(), "L3: page {index}: {write:?}");
        assert_eq!(net.message_to_peer(env), Ok(()));
        let whole = &mapped.memory.buffer.to_vec()[(index + 1) * PAGE_SIZE..][..PAGE_SIZE];
        assert!(page.memory.bytes() == whole, "L3: page {index}");
    }
    env.unmap(mapped);
}

fn narrowed_to_bytes(env: &mut Env) {
    let mut net = Net::new(env);
    let length = if env.device.fast_pages(2) > 1 { 4900 } else { 1000 };
    let fast = env.fast(&mut net, amid(length));
    let length = fast.mapped.memory.len();
    for offset in [-1, length as isize] {
        let target = fast.register(env, &*net.link.owner);
        net.reads(env, &target, 0, length);
        net.writes(env, &target, 0, length);
        net.read_refused(env, target.at(offset), 1);
        // Its queue pair is broken, and with it perhaps the way to invalidate it (G11).
        let _ = fast.invalidate(env, &*net.link.owner);
    }
}

/// The mapping lives until its last use is over.
fn released_in_use(env: &mut Env) {
    let mut net = Net::new(env);
    let length = env.device.fast_pages(4) * PAGE_SIZE - 20;
    let fast = env.fast(&mut net, Memory::new(length, 10));
    let target = fast.register(env, &*net.link.owner);
    let (mr, pages) = (fast.mr, fast.mapped.pages.clone());
    env.unmap(fast.mapped);
    net.reads(env, &target, 0, length);
    net.writes(env, &target, 0, length);
    let port = &*net.link.owner;
    // SAFETY: a live region.
    let invalidate = |context| unsafe { port.invalidate(context, mr) };
    assert_eq!(env.carry_out(port, WorkKind::Invalidate, invalidate).map(drop), Ok(()));
    // Now that the last use is over, so is the mapping.
    let memory = FastMemory { pages: &pages, first_byte: 10, length: 1, base: 10 };
    let posted = super::fast::post(port, 0xdead, mr, memory, read_write());
    assert_eq!(posted.map_err(|error| error.kind()), Err(ErrorKind::InvalidParameter), "L2");
}

/// Source and sink of the domain's own requests, for reading and writing.
fn local_use(env: &mut Env) {
    const LENGTH: usize = 2 * PAGE_SIZE;
    let net = Net::new(env);
    let mapped = env.mapped(Memory::new(LENGTH, 0), 4);
    let token = token_of(env, net.owner);
    let page = net.target_of_peer(env);
    let (owner, peer) = (&*net.link.owner, &*net.link.peer);
    let local = |offset, length| -> [Sge; 1] { [element(token, mapped.address(offset), length)] };
    let buffer = &mapped.memory.buffer;

    let from = local(PAGE_SIZE - 50, 100);
    let write =
        env.carry_out(owner, WorkKind::Write, |context| owner.write(context, &from, page.at(0)));
    assert!(write.is_ok(), "L5: the source of a write: {write:?}");
    assert_eq!(net.message_to_peer(env), Ok(()));
    assert!(page.memory.bytes()[..100] == buffer.to_vec()[PAGE_SIZE - 50..][..100], "L5");

    page.memory.fill(0x21);
    let into = local(5, 1000);
    let read =
        env.carry_out(owner, WorkKind::Read, |context| owner.read(context, &into, page.at(0)));
    assert!(read.is_ok(), "L5: the sink of a read: {read:?}");
    assert!(buffer.to_vec()[5..1005] == page.memory.bytes()[..1000], "L5");

    owner.receive(next_context(), &local(PAGE_SIZE, 300)).expect("posted");
    net.scratch.memory.fill(0x42);
    let message = [net.scratch.element(0, 300)];
    let sent = env.carry_out(peer, WorkKind::Send, |context| peer.send(context, &message, None));
    assert!(sent.is_ok(), "L5: the sink of a receive: {sent:?}");
    assert_eq!(env.completion(owner).result, Ok(()), "L5: the sink of a receive");
    assert!(buffer.to_vec()[PAGE_SIZE..][..300] == net.scratch.memory.bytes()[..300], "L5");

    peer.receive(next_context(), &[net.scratch.element(0, 300)]).expect("posted");
    let from = local(1, 300);
    let sent = env.carry_out(owner, WorkKind::Send, |context| owner.send(context, &from, None));
    assert!(sent.is_ok(), "L5: the source of a send: {sent:?}");
    assert_eq!(env.completion(peer).result, Ok(()), "the message");
    assert!(net.scratch.memory.bytes()[..300] == buffer.to_vec()[1..301], "L5");
    env.unmap(mapped);
}

fn other_domain(env: &mut Env) {
    let mut net = Net::new(env);
    let target = net.target(env, Memory::new(100, 0), ALL);
    let mapped = env.mapped(Memory::new(PAGE_SIZE, 0), 4);
    net.watch(&mapped.memory);
    let token = token_of(env, net.owner);
    let (local, at) = ([element(token, mapped.address(0), 8)], target.at(0));
    net.refused_locally(env, WorkKind::Write, |port, context| port.write(context, &local, at));
    net.refused_locally(env, WorkKind::Read, |port, context| port.read(context, &local, at));
    env.unmap(mapped);
}

/// The privileged token goes with logical addresses only, and a region's token not with them.
fn not_for_addresses_of_regions(env: &mut Env) {
    let mut net = Net::new(env);
    let target = net.target(env, Memory::new(PAGE_SIZE, 0), ALL);
    let mapped = env.mapped(Memory::new(PAGE_SIZE, 0), 4);
    net.watch(&mapped.memory);
    let token = token_of(env, net.peer);
    let own = net.scratch.clone();
    let by_address = [element(token, own.address(0), 8)];
    let posted = net.link.peer.write(0xdead, &by_address, target.at(0));
    assert_eq!(posted.map_err(|error| error.kind()), Err(ErrorKind::InvalidParameter), "L2");
    let (local, at) = ([element(own.local, mapped.address(0), 8)], target.at(0));
    net.refused_locally(env, WorkKind::Write, |port, context| port.write(context, &local, at));
    env.unmap(mapped);
}
