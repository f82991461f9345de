//! Section G: the rounds of fast registration and invalidation.

use super::super::case::{Case, Device};
use super::super::control::Step;
use super::super::env::Env;
use super::super::memory::Memory;
use super::super::needs::{fast_wire, own_fast_wire};
use super::super::net::{Net, Registered, next_context};
use super::super::outcome::Status;
use super::fast::{Fast, post, read_write};
use crate::abi::*;
use crate::access::{Access, RemoteToken};
use crate::capabilities::TokenScope;
use crate::error::ErrorKind;
use crate::provider::WorkKind;

pub(super) const CASES: &[Case] = &[
    Case::new("G3", "initialise_valid", initialise_valid).needs(fast_wire),
    Case::new("G3", "register_while_initialising", register_while_initialising)
        .own()
        .needs(fast_wire),
    Case::new("G7", "valid_already", valid_already).needs(fast_wire),
    Case::new("G7", "not_initialised", not_initialised).needs(fast_wire),
    Case::new("G7", "rights_of_the_round", rights_of_the_round).needs(fast_wire),
    Case::new("G8", "reaches_nothing", reaches_nothing).needs(fast_wire),
    Case::new("G8", "nothing_valid", nothing_valid).needs(fast_wire),
    Case::new("G8", "posted_in_order", posted_in_order).needs(own_fast_wire),
    Case::new("G9", "send_and_invalidate", send_and_invalidate).between().needs(fast_wire),
    Case::new("G9", "unknown_token", unknown_token).between().needs(fast_wire),
    Case::new("G9", "token_of_other_domain", token_of_other_domain).between().needs(fast_wire),
    Case::new("G9", "conventional_region", conventional_region).between().needs(fast_wire),
    Case::new("G10", "initialised_again", initialised_again).needs(own_fast_wire),
    Case::new("G10", "closed", closed).needs(own_fast_wire),
    Case::new("G11", "queue_pairs", queue_pairs).needs(own_fast_wire),
];

/// On which queue pairs the token of a fast registration works.
pub(super) fn scope(device: &Device) -> TokenScope {
    device.capabilities.fast_registration.expect("declared, since the device has it").scope
}

fn initialise_valid(env: &mut Env) {
    let mut net = Net::new(env);
    let fast = env.fast(&mut net, Memory::new(300, 0));
    let target = fast.register(env, &*net.link.owner);
    for remote in [true, false] {
        env.initialise(fast.mr, 1, remote).refused(STATUS_INVALID_DEVICE_STATE);
    }
    assert_eq!(env.tokens(fast.mr), (target.local, target.remote), "G3: nothing changed");
    net.reads(env, &target, 0, 300);
    assert_eq!(fast.invalidate(env, &*net.link.owner), Ok(()));
    env.initialise(fast.mr, 1, true).success();
}

fn register_while_initialising(env: &mut Env) {
    let mut net = Net::new(env);
    let fast = env.fast(&mut net, Memory::new(300, 0));
    env.control.hold(Step::Initialise);
    let initialise = env.start_initialise(fast.mr, 1, true);
    assert_eq!(Status(initialise.returned), Status(STATUS_PENDING));
    fast.refused(env, &*net.link.owner, ErrorKind::InvalidDeviceState);
    env.control.release(Step::Initialise);
    env.finish(initialise).has(STATUS_SUCCESS);
    let target = fast.register(env, &*net.link.owner);
    net.reads(env, &target, 0, 300);
}

/// Refused inline; what was registered first stays.
fn valid_already(env: &mut Env) {
    let mut net = Net::new(env);
    let fast = env.fast(&mut net, Memory::new(300, 0));
    let other = env.page();
    let other = env.map(other);
    for _ in 0..3 {
        let target = fast.register(env, &*net.link.owner);
        fast.refused(env, &*net.link.owner, ErrorKind::InvalidDeviceState);
        let port = &*net.link.owner;
        fast.refuses(env, port, other.all(), read_write(), ErrorKind::InvalidDeviceState);
        net.reads(env, &target, 0, 300);
        assert_eq!(fast.invalidate(env, port), Ok(()));
    }
}

fn not_initialised(env: &mut Env) {
    let mut net = Net::new(env);
    let fast = env.fast(&mut net, Memory::new(300, 0));
    let created = env.mr_of(net.owner, crate::provider::RegionKind::FastRegister);
    let port = &*net.link.owner;
    let posted = post(port, 0xdead, created, fast.mapped.all(), Access::LOCAL_READ);
    // Nor is there a page that it was initialised for (G4): the state comes first.
    let kind = posted.expect_err("G7: not initialised").kind();
    assert_eq!(kind, ErrorKind::InvalidDeviceState, "G7");
    assert_eq!(port.poll(), None, "nothing was posted");
    let conventional = env.registered_in(&net);
    let posted = post(port, 0xdead, conventional.mr, fast.mapped.all(), read_write());
    assert_eq!(posted.map_err(|error| error.kind()), Err(ErrorKind::InvalidDeviceState));
    net.reads(env, &conventional, 0, 100);
}

impl Env {
    /// A conventional region of the owner's that a peer may read.
    #[track_caller]
    fn registered_in(&mut self, net: &Net) -> Registered {
        let memory = self.page();
        self.register_in(net.owner, memory, NDK_MR_FLAG_ALLOW_REMOTE_READ)
    }
}

/// Each round has its own memory and rights.
fn rights_of_the_round(env: &mut Env) {
    let mut net = Net::new(env);
    let fast = env.fast(&mut net, Memory::new(300, 0));
    let other = env.memory(500, 50);
    other.fill(1);
    net.watch(&other);
    let other = env.map(other);
    let rounds = [(&fast.mapped, Access::REMOTE_READ), (&other, Access::REMOTE_WRITE)];
    for (mapped, access) in rounds.into_iter().cycle().take(4) {
        let target = fast.register_over(env, &*net.link.owner, mapped, access);
        if super::f_rights::lets_read(&env.device, access.flags()) {
            net.reads(env, &target, 0, 300);
        }
        if access == Access::REMOTE_WRITE {
            net.writes(env, &target, 0, 300);
            assert_eq!(fast.invalidate(env, &*net.link.owner), Ok(()));
        } else {
            net.write_refused(env, target.at(0), 300);
            // The queue pair that has the registration may be gone; a new one may invalidate it, or not (G11).
            start_afresh(env, &net, &fast);
        }
    }
}

/// Brings a region back to where it can be registered, after its queue pair was broken.
#[track_caller]
fn start_afresh(env: &mut Env, net: &Net, fast: &Fast) {
    let port = &*net.link.owner;
    match scope(&env.device) {
        TokenScope::ProtectionDomain => assert_eq!(fast.invalidate(env, port), Ok(())),
        TokenScope::QueuePair => {
            let _ = fast.invalidate(env, port);
        }
    }
}

fn reaches_nothing(env: &mut Env) {
    let mut net = Net::new(env);
    let fast = env.fast(&mut net, Memory::new(300, 0));
    // Initialised, and not registered yet.
    let token = env.registered_over(fast.mr, fast.mapped.memory.clone());
    net.unreachable(env, token.at(0));
    for _ in 0..2 {
        let target = fast.register(env, &*net.link.owner);
        net.reads(env, &target, 0, 300);
        assert_eq!(fast.invalidate(env, &*net.link.owner), Ok(()));
        net.unreachable(env, target.at(0));
    }
}

/// A second invalidation, one before any registration, and one of a conventional region are refused inline.
fn nothing_valid(env: &mut Env) {
    let mut net = Net::new(env);
    let fast = env.fast(&mut net, Memory::new(300, 0));
    fast.cannot_invalidate(&*net.link.owner);
    for _ in 0..2 {
        let target = fast.register(env, &*net.link.owner);
        net.reads(env, &target, 0, 300);
        assert_eq!(fast.invalidate(env, &*net.link.owner), Ok(()));
        fast.cannot_invalidate(&*net.link.owner);
        fast.cannot_invalidate(&*net.link.owner);
    }
    let conventional = env.registered_in(&net);
    let port = &*net.link.owner;
    // SAFETY: a live region.
    let posted = unsafe { port.invalidate(0xdead, conventional.mr) };
    assert_eq!(posted.map_err(|error| error.kind()), Err(ErrorKind::InvalidDeviceState), "G8");
    net.reads(env, &conventional, 0, 100);
}

/// The posted state counts, before anything has completed. Accesses come in their place: each write takes its bytes
/// through a registration that was posted before it, and whose end is posted after it.
fn posted_in_order(env: &mut Env) {
    const ROUNDS: usize = 5;
    let mut net = Net::new(env);
    let fast = env.fast(&mut net, Memory::new(300, 0));
    let page = net.target_of_peer(env);
    let port = &*net.link.owner;
    let mut posted = Vec::new();
    for round in 0..ROUNDS {
        let register = next_context();
        post(port, register, fast.mr, fast.mapped.all(), read_write()).expect("posted");
        posted.push((register, WorkKind::FastRegister));
        let own = env.registered_over(fast.mr, fast.mapped.memory.clone());
        let write = next_context();
        port.write(write, &[own.element(0, 10)], page.at(round as isize * 10)).expect("posted");
        posted.push((write, WorkKind::Write));
        if round + 1 < ROUNDS {
            let invalidate = next_context();
            // SAFETY: a live region.
            unsafe { port.invalidate(invalidate, fast.mr) }.expect("posted");
            posted.push((invalidate, WorkKind::Invalidate));
        }
    }
    for (context, kind) in posted {
        let completion = env.completion(port);
        assert_eq!((completion.id.context, completion.kind), (context, kind), "in order");
        assert_eq!(completion.result, Ok(()), "G8: {kind:?}");
    }
    let bytes = fast.mapped.memory.bytes()[..10].repeat(ROUNDS);
    assert!(page.memory.bytes()[..bytes.len()] == bytes, "G8: the bytes written");
    let target = env.registered_over(fast.mr, fast.mapped.memory.clone());
    net.reads(env, &target, 0, 300);
    fast.refused(env, port, ErrorKind::InvalidDeviceState);
}

/// When the receiver can read its completion, the token is dead, and counts as invalidated.
fn send_and_invalidate(env: &mut Env) {
    let mut net = Net::new(env);
    let fast = env.fast(&mut net, Memory::new(300, 0));
    for round in 0..3 {
        let target = fast.register(env, &*net.link.owner);
        let token = RemoteToken::new(target.remote);
        let (owner, peer) = (&*net.link.owner, &*net.link.peer);
        let receive = next_context();
        owner.receive(receive, &[]).expect("posted");
        let send = |context| peer.send(context, &[], token);
        let sent = env.carry_out(peer, WorkKind::Send, send);
        assert!(sent.is_ok(), "G9: {sent:?}");
        let received = env.completion(owner);
        assert_eq!((received.id.context, received.result), (receive, Ok(())), "G9");
        assert_eq!(received.invalidated, token, "G9: the receiver is told which");
        fast.cannot_invalidate(owner);
        if round == 1 {
            env.initialise(fast.mr, 1, true).success();
        }
        net.unreachable(env, target.at(0));
    }
}

impl Net {
    /// A peer's send that is to invalidate this token is refused at one end or both. There is a new connection afterwards.
    #[track_caller]
    pub(super) fn cannot_invalidate(&mut self, env: &Env, token: u32) {
        let (owner, peer, token) = (&*self.link.owner, &*self.link.peer, RemoteToken::new(token));
        owner.receive(next_context(), &[]).expect("posted");
        let sent = env.carry_out(peer, WorkKind::Send, |context| peer.send(context, &[], token));
        let received = env.completion(owner);
        assert!(sent.is_err() || received.result.is_err(), "G9: {sent:?}, {received:?}");
        self.broken(env);
        self.reconnect(env);
    }
}

/// A token that stands for nothing cannot be invalidated by a peer; what is valid stays so.
fn unknown_token(env: &mut Env) {
    let mut net = Net::new(env);
    let fast = env.fast(&mut net, Memory::new(300, 0));
    let target = fast.register(env, &*net.link.owner);
    assert_eq!(fast.invalidate(env, &*net.link.owner), Ok(()));
    net.cannot_invalidate(env, target.remote);
    let again = fast.register(env, &*net.link.owner);
    net.reads(env, &again, 0, 300);
}

/// A peer invalidates what is of the domain that it is connected to, and nothing else.
fn token_of_other_domain(env: &mut Env) {
    let mut net = Net::new(env);
    let fast = env.fast(&mut net, Memory::new(300, 0));
    let target = fast.register(env, &*net.link.owner);
    let third = env.pd();
    let link = env.link(third, net.peer);
    let own = std::mem::replace(&mut net.link, link);
    // A new connection of the third domain's comes with each refusal.
    let owner = std::mem::replace(&mut net.owner, third);
    net.cannot_invalidate(env, target.remote);
    net.owner = owner;
    let link = std::mem::replace(&mut net.link, own);
    env.close_link(link);
    net.reads(env, &target, 0, 300);
    assert_eq!(fast.invalidate(env, &*net.link.owner), Ok(()), "G9: it is valid still");
}

/// What ends a conventional registration is its owner's Deregister, and no peer's message.
fn conventional_region(env: &mut Env) {
    let mut net = Net::new(env);
    let target = net.target(env, Memory::new(300, 0), super::f::ALL);
    net.cannot_invalidate(env, target.remote);
    net.reads(env, &target, 0, 300);
    net.writes(env, &target, 0, 300);
    env.deregister(target.mr).success();
}

/// A registration that is flushed leaves the region to be initialised again.
#[track_caller]
fn flush_register(env: &Env, net: &Net, fast: &Fast) {
    let port = &*net.link.owner;
    port.flush();
    let request = |context| post(port, context, fast.mr, fast.mapped.all(), read_write());
    let flushed = env.carry_out(port, WorkKind::FastRegister, request);
    assert_eq!(flushed, Err(ErrorKind::Cancelled), "F6: flushed");
}

fn initialised_again(env: &mut Env) {
    let mut net = Net::new(env);
    let fast = env.fast(&mut net, Memory::new(300, 0));
    for _ in 0..2 {
        flush_register(env, &net, &fast);
        net.reconnect(env);
        fast.refused(env, &*net.link.owner, ErrorKind::InvalidDeviceState);
        fast.cannot_invalidate(&*net.link.owner);
        env.initialise(fast.mr, 1, true).success();
        let target = fast.register(env, &*net.link.owner);
        net.reads(env, &target, 0, 300);
        assert_eq!(fast.invalidate(env, &*net.link.owner), Ok(()));
    }
}

fn closed(env: &mut Env) {
    let mut net = Net::new(env);
    let fast = env.fast(&mut net, Memory::new(300, 0));
    let token = env.registered_over(fast.mr, fast.mapped.memory.clone());
    flush_register(env, &net, &fast);
    env.close(fast.mr).success();
    net.reconnect(env);
    net.unreachable(env, token.at(0));
}

/// The token works on every queue pair of the domain, or, where that is declared, on its own only.
fn queue_pairs(env: &mut Env) {
    let mut net = Net::new(env);
    let fast = env.fast(&mut net, Memory::new(300, 0));
    let target = fast.register(env, &*net.link.owner);
    net.reads(env, &target, 0, 300);
    let other = env.link(net.owner, net.peer);
    let own = std::mem::replace(&mut net.link, other);
    match scope(&env.device) {
        TokenScope::ProtectionDomain => {
            net.reads(env, &target, 0, 300);
            net.writes(env, &target, 0, 300);
            assert_eq!(fast.invalidate(env, &*net.link.owner), Ok(()), "on any of them");
        }
        TokenScope::QueuePair => net.unreachable(env, target.at(0)),
    }
    let other = std::mem::replace(&mut net.link, own);
    if scope(&env.device) == TokenScope::QueuePair {
        net.reads(env, &target, 0, 300);
        net.writes(env, &target, 0, 300);
        assert_eq!(fast.invalidate(env, &*net.link.owner), Ok(()));
    }
    env.close_link(other);
    net.unreachable(env, target.at(0));
}
