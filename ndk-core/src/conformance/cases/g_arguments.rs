//! Section G: what a fast registration may ask for.

use super::super::case::{Case, Device};
use super::super::env::Env;
use super::super::memory::Memory;
use super::super::needs::{fast_wire, own_fast_wire};
use super::super::net::{Net, next_context};
use super::fast::{Fast, post, read_write};
use super::g::MANY_PAGES;
use crate::abi::*;
use crate::access::Access;
use crate::capabilities::BaseAddress;
use crate::error::ErrorKind;
use crate::provider::{FastMemory, WorkKind};

pub(super) const CASES: &[Case] = &[
    Case::new("G3", "last_initialisation_counts", last_initialisation_counts).needs(fast_wire),
    Case::new("G4", "illegal", illegal).needs(fast_wire),
    Case::new("G4", "legal", legal).needs(fast_wire),
    Case::new("G4", "any_base", any_base).needs(fast_wire),
    Case::new("G4", "most_pages", most_pages).needs(most_pages_within_reach),
    Case::new("G5", "remote_rights", remote_rights).needs(fast_wire),
    Case::new("G5", "local_rights", local_rights).needs(fast_wire),
    Case::new("G6", "not_connected", not_connected).needs(own_fast_wire),
];

const PAGE: u64 = PAGE_SIZE as u64;

/// The page count and the remote access are those of the last initialisation.
fn last_initialisation_counts(env: &mut Env) {
    let mut net = Net::new(env);
    let pages = env.device.fast_pages(2);
    let fast = env.fast(&mut net, Memory::new(pages * PAGE_SIZE, 0));
    let port = &*net.link.owner;
    if pages > 1 {
        env.initialise(fast.mr, 1, true).success();
        fast.refused(env, port, ErrorKind::InvalidParameter);
    }
    env.initialise(fast.mr, pages as ULONG, false).success();
    fast.refused(env, port, ErrorKind::AccessViolation);
    env.initialise(fast.mr, pages as ULONG, true).success();
    let target = fast.register(env, port);
    net.reads(env, &target, 0, pages * PAGE_SIZE);
}

fn illegal(env: &mut Env) {
    let mut net = Net::new(env);
    let count = env.device.fast_pages(2);
    let fast = env.fast(&mut net, Memory::new(count * PAGE_SIZE, 0));
    let (port, good) = (&*net.link.owner, fast.mapped.all());
    let (pages, room) = (good.pages, (count * PAGE_SIZE) as u64);
    let (first, last) = (pages[0], pages[count - 1]);
    let too_many = [pages, &[last]].concat();
    let unaligned = [&pages[..count - 1], &[last + 8]].concat();
    // The page from there on is inside the mapping, where that is of more than one.
    let unaligned_inside = [first + 8, first];
    let base = good.base;
    let bad = |memory| fast.refuses(env, port, memory, read_write(), ErrorKind::InvalidParameter);
    for pages in [&[][..], &too_many, &unaligned, &unaligned_inside[..count]] {
        bad(FastMemory { pages, ..good });
    }
    // The offset of the first byte: not inside a page, or another one than the base address has.
    for (first_byte, base) in
        [(4096, base), (8192, base), (u32::MAX, base), (1, base), (0, base + 1), (1, 0), (7, PAGE)]
    {
        bad(FastMemory { first_byte, base, length: 1, ..good });
    }
    for length in [0, room + 1, 1 << 40, u64::MAX] {
        bad(FastMemory { length, ..good });
    }
    bad(FastMemory { first_byte: 1, base: base + 1, length: room, ..good });
    bad(FastMemory { pages: &pages[..1], length: PAGE + 1, ..good });
    bad(FastMemory { pages: &[], first_byte: 1, base: base + 1, length: 1 });
    bad(FastMemory { base: !0xfff, length: PAGE + 1, ..good });
    // Nothing of all that has changed the region.
    let target = fast.register(env, port);
    net.reads(env, &target, 0, count * PAGE_SIZE);
}

/// The least and the most of each argument, and fewer pages than initialised for.
fn legal(env: &mut Env) {
    let mut net = Net::new(env);
    let fast = env.fast(&mut net, Memory::new(env.device.fast_pages(2) * PAGE_SIZE, 0));
    let (port, good) = (&*net.link.owner, fast.mapped.all());
    let (last, room) = (PAGE - 1, good.pages.len() as u64 * PAGE);
    let from_last = FastMemory { first_byte: last as u32, base: good.base + last, ..good };
    for memory in [
        FastMemory { length: 1, ..good },
        FastMemory { pages: &good.pages[..1], length: PAGE, ..good },
        FastMemory { length: 1, ..from_last },
        FastMemory { length: room - last, ..from_last },
    ] {
        accepted(env, &net, &fast, memory);
        let offset = memory.first_byte as usize;
        let target = env.registered_over(fast.mr, fast.mapped.memory.clone());
        net.reads(env, &target, offset, memory.length as usize);
        net.writes(env, &target, offset, memory.length as usize);
        assert_eq!(fast.invalidate(env, port), Ok(()));
    }
}

#[track_caller]
fn accepted(env: &Env, net: &Net, fast: &Fast, memory: FastMemory<'_>) {
    let port = &*net.link.owner;
    let request = |context| post(port, context, fast.mr, memory, read_write());
    let result = env.carry_out(port, WorkKind::FastRegister, request);
    assert_eq!(result.map(drop), Ok(()), "{memory:x?}");
}

/// The base address is an index only, 0 included; or the device takes host addresses only, and says so (K2).
fn any_base(env: &mut Env) {
    let mut net = Net::new(env);
    let length = (env.device.fast_pages(3) - 1) * PAGE_SIZE + 500;
    let fast = env.fast(&mut net, Memory::new(length, 0x123));
    let (port, good) = (&*net.link.owner, fast.mapped.all());
    let aligned = FastMemory { first_byte: 0, length: PAGE, ..good };
    let high = 0xffff_ffff_0000_0000;
    for memory in [
        FastMemory { base: 0, ..aligned },
        FastMemory { base: 7 * PAGE, ..aligned },
        FastMemory { base: high, ..aligned },
        FastMemory { base: 0x123, ..good },
        FastMemory { base: high + 0x123, ..good },
    ] {
        if env.device.capabilities.base_address == BaseAddress::HostOnly {
            fast.refuses(env, port, memory, read_write(), ErrorKind::NotSupported);
            continue;
        }
        accepted(env, &net, &fast, memory);
        let token = env.tokens(fast.mr).1;
        let at = |offset| super::super::net::remote(token, memory.base + offset);
        let skipped = (memory.first_byte == 0) as usize * 0x123;
        let bytes = fast.mapped.memory.bytes();
        let read = net.read(env, at(skipped as u64), 100).expect("the read succeeds");
        assert!(read == bytes[..100], "the bytes at base address {:#x}", memory.base);
        assert_eq!(fast.invalidate(env, port), Ok(()));
    }
}

/// Needs memory for the largest fast registration.
fn most_pages_within_reach(device: &Device) -> Option<&'static str> {
    let far = device.info.FRMRPageCount > MANY_PAGES;
    fast_wire(device)
        .or(far.then_some("the largest fast registration is of more memory than a test takes"))
}

fn most_pages(env: &mut Env) {
    let most = env.device.info.FRMRPageCount as usize;
    let mut net = Net::new(env);
    let fast = env.fast(&mut net, Memory::new(most * PAGE_SIZE, 0));
    let target = fast.register(env, &*net.link.owner);
    for page in [0, most / 2, most - 1] {
        net.reads(env, &target, page * PAGE_SIZE, PAGE_SIZE);
        // That nothing around changes is seen by other cases, on less memory.
        let place = page * PAGE_SIZE + 77;
        assert_eq!(net.write(env, target.at(place as isize), &[page as u8; 99]), Ok(()));
        assert_eq!(target.memory.part(place, 99), [page as u8; 99], "the bytes written");
    }
    if most > 1 {
        net.reads(env, &target, (most - 1) * PAGE_SIZE - 10, 20);
    }
    net.read_refused(env, target.at((most * PAGE_SIZE) as isize), 1);
}

/// On a region that was initialised without remote access.
fn remote_rights(env: &mut Env) {
    let mut net = Net::new(env);
    let fast = env.fast(&mut net, Memory::new(100, 0));
    env.initialise(fast.mr, 1, false).success();
    let (port, memory) = (&*net.link.owner, fast.mapped.all());
    for access in [Access::REMOTE_READ, Access::REMOTE_WRITE, read_write()] {
        fast.refuses(env, port, memory, access, ErrorKind::AccessViolation);
    }
    // Nothing happened: the region can be registered for local use.
    let local = fast.register_over(env, port, &fast.mapped, Access::LOCAL_WRITE);
    assert!(local.local != 0 && local.remote == 0, "E1");
}

/// A fast registration without remote rights serves its owner: as the source of a send, and the sink of a receive.
fn local_rights(env: &mut Env) {
    let mut net = Net::new(env);
    let fast = env.fast(&mut net, Memory::new(100, 0));
    let port = &*net.link.owner;
    let local = fast.register_over(env, port, &fast.mapped, Access::LOCAL_WRITE);
    let receive = next_context();
    port.receive(receive, &[local.element(0, 100)]).expect("posted");
    let (peer, from) = (&*net.link.peer, [net.scratch.element(0, 100)]);
    net.scratch.memory.fill(0x99);
    let sent = env.carry_out(peer, WorkKind::Send, |context| peer.send(context, &from, None));
    assert!(sent.is_ok(), "{sent:?}");
    let received = env.completion(port);
    assert_eq!((received.id.context, received.result), (receive, Ok(())));
    assert!(local.memory.bytes() == net.scratch.memory.bytes()[..100], "the message");
    assert_eq!(fast.invalidate(env, port), Ok(()));
    assert_eq!(port.poll(), None);
}

fn not_connected(env: &mut Env) {
    let mut net = Net::new(env);
    let fast = env.fast(&mut net, Memory::new(100, 0));
    let alone = env.port(net.owner);
    fast.refused(env, &*alone, ErrorKind::ConnectionInvalid);
    let target = fast.register(env, &*net.link.owner);
    // SAFETY: a live region.
    let posted = unsafe { alone.invalidate(0xdead, fast.mr) };
    assert_eq!(posted.map_err(|error| error.kind()), Err(ErrorKind::ConnectionInvalid), "G6");
    net.reads(env, &target, 0, 100);
    assert_eq!(fast.invalidate(env, &*net.link.owner), Ok(()));
    env.wait_for("the close of a queue pair", alone.close());
}
