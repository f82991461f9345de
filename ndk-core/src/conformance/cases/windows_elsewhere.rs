//! Memory windows of another protection domain than the queue pair that meets them (F5), and accesses of no length by a
//! window's token (F3).

use super::super::case::Case;
use super::super::env::Env;
use super::super::memory::Memory;
use super::super::needs::window_wire;
use super::super::net::{Link, Net, Registered, element};
use super::super::port::Window;
use super::super::route::Pd;
use super::f::ALL;
use super::f_zero::nothing_anywhere;
use super::fast::read_write;
use super::windows::{bind, bind_on, post};
use crate::error::{ErrorKind, Result};

pub(super) const CASES: &[Case] = &[
    Case::new("F3", "zero_length_by_a_window", zero_length_by_a_window)
        .between()
        .needs(window_wire),
    Case::new("F5", "window_of_other_domain", window_of_other_domain).between().needs(window_wire),
    Case::new("F5", "windows_on_other_domain", windows_on_other_domain).needs(window_wire),
    Case::new("G9", "window_of_other_domain", invalidated_from_other_domain)
        .between()
        .needs(window_wire),
];

fn zero_length_by_a_window(env: &mut Env) {
    let mut net = Net::new(env);
    let target = net.target(env, Memory::new(500, 0), ALL);
    let window = env.window(net.owner);
    let bound = bind(env, &net, &target, &*window);
    nothing_anywhere(env, &net, &bound, (100, 200));
    env.close_window(window);
}

/// Another domain, whose window is bound over a region of its own.
struct Other {
    domain: Pd,
    target: Registered,
    window: Box<dyn Window>,
    /// The region by the window's token.
    bound: Registered,
}

/// The binding is posted on a queue pair of that domain, whose connection to the peer is the net's from then on; with the
/// net's own.
fn elsewhere(env: &mut Env, net: &mut Net) -> (Other, Link) {
    let domain = env.pd();
    let link = std::mem::replace(&mut net.link, env.link(domain, net.peer));
    let memory = env.memory(500, 0);
    memory.fill(0x6b);
    net.watch(&memory);
    let target = env.register_in(domain, memory, ALL);
    let window = env.window(domain);
    let bound = bind_on(env, &*net.link.owner, &target, &*window);
    net.reads(env, &bound, 100, 200);
    (Other { domain, target, window, bound }, link)
}

/// Where it belongs the window is as it was.
fn is_well(env: &mut Env, net: &mut Net, other: Other, its: Link) {
    let link = std::mem::replace(&mut net.link, its);
    net.reads(env, &other.bound, 100, 200);
    net.writes(env, &other.bound, 100, 200);
    env.close_window(other.window);
    env.close_link(link);
}

/// No peer gets there through queue pairs of another domain, and as local memory it is refused there too.
fn window_of_other_domain(env: &mut Env) {
    let mut net = Net::new(env);
    let (other, link) = elsewhere(env, &mut net);
    let its = std::mem::replace(&mut net.link, link);
    net.unreachable(env, other.bound.at(100));
    let target = net.target(env, Memory::new(100, 0), ALL);
    let local = element(other.bound.remote, other.bound.address(100), 8);
    net.names_nothing(env, local, &target);
    is_well(env, &mut net, other, its);
}

/// A window is bound and invalidated on queue pairs of its own domain only, and over regions of it.
fn windows_on_other_domain(env: &mut Env) {
    let mut net = Net::new(env);
    let (other, link) = elsewhere(env, &mut net);
    let target = net.target(env, Memory::new(500, 0), ALL);
    let [own, their] = [net.owner, other.domain].map(|domain| env.window(domain));
    let its = std::mem::replace(&mut net.link, link);
    for port in [&*net.link.owner, &*net.link.peer] {
        let refused = |posted: Result<()>| {
            let kind = posted.map_err(|error| error.kind());
            assert_eq!(kind, Err(ErrorKind::InvalidParameter), "F5");
            assert_eq!(port.poll(), None, "F5: nothing is posted");
        };
        refused(port.invalidate_window(0xdead, &*other.window));
        refused(post(port, 0xdead, &other.target, &*their, (0, 8), read_write()));
        refused(post(port, 0xdead, &other.target, &*own, (0, 8), read_write()));
        refused(post(port, 0xdead, &target, &*their, (0, 8), read_write()));
    }
    env.close_window(own);
    env.close_window(their);
    // Nothing was bound to it by all that.
    env.deregister(target.mr).success();
    is_well(env, &mut net, other, its);
}

/// A peer that is connected to another domain cannot invalidate it.
fn invalidated_from_other_domain(env: &mut Env) {
    let mut net = Net::new(env);
    // Two domains more, so that none of these is an adapter's third: that is for the cases of F5.
    env.pd();
    env.pd();
    let (other, link) = elsewhere(env, &mut net);
    let its = std::mem::replace(&mut net.link, link);
    net.cannot_invalidate(env, other.bound.remote);
    is_well(env, &mut net, other, its);
}
