//! Section H: what closing a region, or losing the device, does to accesses.

use super::super::case::Case;
use super::super::env::Env;
use super::super::memory::Memory;
use super::super::needs::{fast_wire, wire};
use super::super::net::Net;
use super::f::ALL;
use crate::abi::*;
use crate::error::{ErrorKind, Result};

pub(super) const CASES: &[Case] = &[
    Case::new("H2", "fast_registered", fast_registered).needs(fast_wire),
    Case::new("H3", "tokens_are_dead", tokens_are_dead).needs(wire),
    Case::new("H8", "work_requests", work_requests).needs(wire),
];

/// A valid fast registration does not keep its region: it ends with it.
fn fast_registered(env: &mut Env) {
    let mut net = Net::new(env);
    let fast = env.fast(&mut net, Memory::new(300, 0));
    let target = fast.register(env, &*net.link.owner);
    net.reads(env, &target, 0, 300);
    env.close(fast.mr).success();
    net.unreachable(env, target.at(0));
}

fn tokens_are_dead(env: &mut Env) {
    let mut net = Net::new(env);
    let target = net.target(env, Memory::new(300, 0), ALL);
    let stays = net.target(env, Memory::new(300, 0), ALL);
    net.writes(env, &target, 0, 300);
    env.close(target.mr).success();
    net.unreachable(env, target.at(0));
    net.unreachable(env, target.at_by_local(0));
    net.writes(env, &stays, 0, 300);
}

/// New requests are refused when they are posted.
fn work_requests(env: &mut Env) {
    let mut net = Net::new(env);
    let target = net.target(env, Memory::new(300, 0), ALL);
    env.control.lose();
    let port = &*net.link.peer;
    let (local, at) = ([net.scratch.element(0, 8)], target.at(0));
    let removed = |posted: Result<()>| {
        let kind = posted.map_err(|error| error.kind());
        assert_eq!(kind, Err(ErrorKind::DeviceRemoved), "H8");
        assert_eq!(port.poll(), None, "H8: nothing was posted");
    };
    removed(port.send(1, &local, None));
    removed(port.receive(1, &local));
    removed(port.read(1, &local, at));
    removed(port.write(1, &local, at));
    env.close(target.mr).has(STATUS_SUCCESS);
}
