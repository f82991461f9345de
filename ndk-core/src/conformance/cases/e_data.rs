//! Section E: what tokens reach, and what they do not.

use super::super::case::{Case, Device};
use super::super::env::Env;
use super::super::memory::Memory;
use super::super::needs::{fast_wire, wire};
use super::super::net::{Net, Registered, element, next_context, remote};
use super::f::ALL;
use super::f_rights::{lets_read, lets_write};
use super::fast::{post, read_write};
use super::l::has_privileged_token;
use crate::abi::*;
use crate::provider::WorkKind;

pub(super) const CASES: &[Case] = &[
    Case::new("E3", "local_token", local_token).between().needs(wire),
    Case::new("E3", "one_key", one_key).between().needs(shared_key),
    Case::new("E3", "two_keys", two_keys).between().needs(keys_of_its_own),
    Case::new("E4", "over_the_rounds", over_the_rounds).needs(fast_wire),
    Case::new("E4", "old_token", old_token).needs(fast_wire),
    Case::new("E6", "privileged_token", privileged_token).between().needs(privileged),
];

fn shared_key(device: &Device) -> Option<&'static str> {
    let two = (!device.capabilities.shared_key).then_some("a local token is no remote key (K1)");
    wire(device).or(two)
}

fn keys_of_its_own(device: &Device) -> Option<&'static str> {
    let shared = device.capabilities.shared_key;
    wire(device).or(shared.then_some("the device has one key for both sides (K1)"))
}

fn privileged(device: &Device) -> Option<&'static str> {
    wire(device).or_else(|| has_privileged_token(device))
}

/// A region without remote rights has a local token, and no peer gets anywhere with it. Where the device has one key
/// for both sides, what it does not ask a right for is open to who has the key.
fn local_token(env: &mut Env) {
    const WRITE: ULONG = NDK_MR_FLAG_ALLOW_LOCAL_WRITE;
    const SINK: ULONG = NDK_MR_FLAG_RDMA_READ_SINK;
    let mut net = Net::new(env);
    let shared = env.device.capabilities.shared_key;
    for flags in [0, WRITE, SINK, WRITE | SINK] {
        let target = net.target(env, Memory::new(100, 9), flags);
        assert_eq!(target.remote, 0, "E1: no remote rights, no remote token");
        let place = target.at_by_local(0);
        if shared && lets_read(&env.device, flags) {
            assert!(net.read(env, place, 100) == Ok(target.memory.bytes()), "K1: as declared");
        } else {
            net.read_refused(env, place, 100);
        }
        if shared && lets_write(&env.device, flags) {
            assert_eq!(net.write(env, place, &[7; 100]), Ok(()), "K1: as declared");
            assert!(target.memory.bytes() == [7; 100], "K1: as declared");
        } else {
            net.write_refused(env, place, 100);
        }
    }
}

/// Declared: the local token is the remote key.
fn one_key(env: &mut Env) {
    let mut net = Net::new(env);
    let target = net.target(env, Memory::new(100, 0), ALL);
    let by_local = Registered { remote: target.local, ..target };
    net.reads(env, &by_local, 0, 100);
    net.writes(env, &by_local, 0, 100);
}

/// The tokens of a region differ, and each is for its side only.
fn two_keys(env: &mut Env) {
    let mut net = Net::new(env);
    let target = net.target(env, Memory::new(100, 0), ALL);
    assert_ne!(target.local, target.remote, "K1: one key, and two are declared");
    net.unreachable(env, target.at_by_local(0));
    // A peer's key is no help to its owner either: it names no local memory.
    let (page, at) = (env.page(), target.at(0));
    let own = env.register_in(net.peer, page, ALL);
    let by_remote = [element(own.remote, own.address(0), 8)];
    net.refused_locally(env, WorkKind::Write, |port, context| port.write(context, &by_remote, at));
    let (port, by_local) = (&*net.link.peer, [own.element(0, 8)]);
    let write = |context| port.write(context, &by_local, at);
    assert!(env.carry_out(port, WorkKind::Write, write).is_ok(), "E3: by the local token");
    net.reads(env, &target, 0, 100);
}

/// Fixed when FastRegister returns, and the same in every round; or, where that is declared, another one each time in
/// its low 8 bits.
fn over_the_rounds(env: &mut Env) {
    let mut net = Net::new(env);
    let fast = env.fast(&mut net, Memory::new(300, 0));
    let declared = env.device.capabilities.fast_registration.expect("declared");
    let initialised = env.tokens(fast.mr).1;
    assert_ne!(initialised, 0, "E1: readable from the initialisation on");
    let mut last = initialised;
    for round in 0..6 {
        let (port, context) = (&*net.link.owner, next_context());
        post(port, context, fast.mr, fast.mapped.all(), read_write()).expect("posted");
        let token = env.tokens(fast.mr).1;
        assert_eq!(env.completion(port).result, Ok(()), "a fast registration");
        assert_eq!(env.tokens(fast.mr).1, token, "E4: fixed when FastRegister has returned");
        if declared.rotating {
            assert_eq!(token >> 8, initialised >> 8, "E4: only the low 8 bits change");
            assert!(round == 0 || token != last, "E4: the token was to rotate");
        } else {
            assert_eq!(token, initialised, "E4: unchanged over all rounds");
        }
        let target = env.registered_over(fast.mr, fast.mapped.memory.clone());
        net.reads(env, &target, 0, 300);
        assert_eq!(fast.invalidate(env, port), Ok(()));
        last = token;
    }
}

/// A peer that kept the token of one round reaches the next, where the token is stable. Where it rotates, the old one is
/// dead, and the owner has to be asked for the new one.
fn old_token(env: &mut Env) {
    let mut net = Net::new(env);
    let fast = env.fast(&mut net, Memory::new(300, 0));
    let other = env.memory(300, 70);
    other.fill(0x61);
    net.watch(&other);
    let other = env.map(other);
    let first = fast.register(env, &*net.link.owner);
    assert_eq!(fast.invalidate(env, &*net.link.owner), Ok(()));
    let second = fast.register_over(env, &*net.link.owner, &other, read_write());
    let kept = Registered { remote: first.remote, ..second };
    if env.device.capabilities.fast_registration.expect("declared").rotating {
        let now = env.registered_over(fast.mr, other.memory.clone());
        net.reads(env, &now, 0, 300);
        net.writes(env, &now, 0, 300);
        net.unreachable(env, kept.at(0));
    } else {
        net.reads(env, &kept, 0, 300);
        net.writes(env, &kept, 0, 300);
    }
}

/// At logical addresses, at those of memory, and by whatever domain's token.
fn privileged_token(env: &mut Env) {
    let mut net = Net::new(env);
    let target = net.target(env, Memory::new(PAGE_SIZE, 0), ALL);
    let mut addresses = vec![0, target.address(0), target.memory.buffer.address() as u64];
    if env.device.mappings {
        let mapped = env.map(target.memory.clone());
        addresses.push(mapped.address(0));
    }
    for pd in [net.owner, net.peer] {
        // SAFETY: the domains are open.
        let token = unsafe { env.route.privileged_token(pd) };
        assert_ne!(token, 0, "L5");
        for &address in &addresses {
            net.unreachable(env, remote(token, address));
        }
    }
    net.reads(env, &target, 0, PAGE_SIZE);
}
