//! Memory windows: what a bound one does to its region (D2, H3), and what it lets a peer reach (F1, F4).

use super::super::case::{Case, Device, framework, ruled_out::CLOSED};
use super::super::env::Env;
use super::super::logs;
use super::super::memory::Memory;
use super::super::needs::{byte_exact, own_window_wire, window_wire};
use super::super::net::{Net, Registered, next_context};
use super::super::outcome::Status;
use super::super::port::{Port, Window};
use super::super::route::Pd;
use super::f::ALL;
use super::fast::read_write;
use crate::abi::*;
use crate::access::Access;
use crate::error::{ErrorKind, Result};
use crate::provider::WorkKind;

pub(super) const CASES: &[Case] = &[
    Case::new("D2", "until_invalidated", until_invalidated).needs(window_wire),
    Case::new("D2", "until_closed", until_closed).needs(window_wire),
    Case::new("D2", "until_the_last_window", until_the_last_window).needs(window_wire),
    Case::new("D2", "until_invalidated_by_peer", until_invalidated_by_peer)
        .between()
        .needs(own_window_wire),
    Case::new("D2", "names_in_the_log", names_in_the_log).needs(log_is_heard),
    Case::new("D2", "flushed_bind", flushed_bind).needs(own_window_wire),
    Case::new("D2", "flushed_invalidation", flushed_invalidation).needs(own_window_wire),
    Case::new("D2", "refused_bind", refused_bind).needs(window_wire),
    Case::new("F1", "bounds_of_a_window", bounds_of_a_window)
        .between()
        .needs(|device| window_wire(device).or_else(|| byte_exact(device))),
    Case::new("F4", "rights_of_a_window", rights_of_a_window).between().needs(window_wire),
    Case::new("G8", "window_not_bound", window_not_bound).needs(window_wire),
    Case::new("H3", "window_invalidated", window_invalidated).needs(window_wire),
    Case::new("H3", "window_closed", window_closed).needs(window_wire),
    Case::new("H7", "bind_while_closing", bind_while_closing).raw(CLOSED).needs(window_wire),
];

fn log_is_heard(device: &Device) -> Option<&'static str> {
    let unheard = (!logs::is_heard()).then_some("the program has a logger of its own");
    // What a table's provider says, it says elsewhere.
    framework(device).or_else(|| window_wire(device)).or(unheard)
}

impl Env {
    #[track_caller]
    pub(super) fn window(&self, pd: Pd) -> Box<dyn Window> {
        // SAFETY: the case has a live domain of this adapter.
        let made = self.wait_for("a window", unsafe { self.session().create_window(pd) });
        made.expect("a window, since the device declares them (K1)")
    }

    #[track_caller]
    pub(super) fn close_window(&self, window: Box<dyn Window>) {
        self.wait_for("the close of a window", window.close());
    }
}

/// Posts a bind over `length` bytes from `offset`.
pub(super) fn post(
    port: &dyn Port,
    context: u64,
    target: &Registered,
    window: &dyn Window,
    (offset, length): (isize, u64),
    access: Access,
) -> Result<()> {
    // SAFETY: the cases' regions are closed after their requests.
    unsafe { port.bind(context, target.mr, window, (target.address(offset), length), access) }
}

#[track_caller]
fn carry_out(
    env: &Env,
    net: &Net,
    target: &Registered,
    window: &dyn Window,
    range: (isize, u64),
    access: Access,
) -> Result<(), ErrorKind> {
    carry_out_on(env, &*net.link.owner, target, window, range, access)
}

#[track_caller]
fn carry_out_on(
    env: &Env,
    port: &dyn Port,
    target: &Registered,
    window: &dyn Window,
    range: (isize, u64),
    access: Access,
) -> Result<(), ErrorKind> {
    let request = |context| post(port, context, target, window, range, access);
    env.carry_out(port, WorkKind::Bind, request).map(drop)
}

/// Binds a window over 200 bytes from the 100th on; what it gives is the region by the window's token.
#[track_caller]
pub(super) fn bind(env: &Env, net: &Net, target: &Registered, window: &dyn Window) -> Registered {
    bind_on(env, &*net.link.owner, target, window)
}

/// As `bind`, on a queue pair of another connection.
#[track_caller]
pub(super) fn bind_on(
    env: &Env,
    port: &dyn Port,
    target: &Registered,
    window: &dyn Window,
) -> Registered {
    let bound = carry_out_on(env, port, target, window, (100, 200), read_write());
    assert_eq!(bound, Ok(()), "a bind");
    let token = window.remote_token().expect("the token of a bound window");
    Registered { remote: token.get(), ..target.clone() }
}

#[track_caller]
fn invalidate(env: &Env, net: &Net, window: &dyn Window) -> Result<(), ErrorKind> {
    let port = &*net.link.owner;
    let request = |context| port.invalidate_window(context, window);
    env.carry_out(port, WorkKind::Invalidate, request).map(drop)
}

/// Deregistration is refused, and nothing changes by it.
#[track_caller]
fn is_busy(env: &mut Env, target: &Registered) {
    env.deregister(target.mr).refused(STATUS_DEVICE_BUSY);
    assert_eq!(env.tokens(target.mr).0, target.local, "D2: the region is as before");
}

fn surroundings(env: &mut Env) -> (Net, Registered, Box<dyn Window>) {
    let mut net = Net::new(env);
    let target = net.target(env, Memory::new(500, 0), ALL);
    let window = env.window(net.owner);
    (net, target, window)
}

fn until_invalidated(env: &mut Env) {
    let (mut net, mut target, window) = surroundings(env);
    for _ in 0..2 {
        let bound = bind(env, &net, &target, &*window);
        is_busy(env, &target);
        net.reads(env, &bound, 100, 200);
        net.reads(env, &target, 0, 500);
        assert_eq!(invalidate(env, &net, &*window), Ok(()));
        env.deregister(target.mr).success();
        net.unreachable(env, bound.at(100));
        env.register(target.mr, target.memory.all(ALL)).success();
        target = env.registered_over(target.mr, target.memory);
    }
    env.close_window(window);
}

fn until_closed(env: &mut Env) {
    let (mut net, target, window) = surroundings(env);
    let bound = bind(env, &net, &target, &*window);
    is_busy(env, &target);
    net.writes(env, &bound, 100, 200);
    env.close_window(window);
    net.unreachable(env, bound.at(100));
    env.deregister(target.mr).success();
}

fn until_the_last_window(env: &mut Env) {
    let (net, target, window) = surroundings(env);
    let (second, third) = (env.window(net.owner), env.window(net.owner));
    for window in [&window, &second, &third] {
        bind(env, &net, &target, &**window);
    }
    is_busy(env, &target);
    env.close_window(second);
    is_busy(env, &target);
    assert_eq!(invalidate(env, &net, &*third), Ok(()));
    is_busy(env, &target);
    assert_eq!(invalidate(env, &net, &*window), Ok(()));
    env.deregister(target.mr).success();
    env.close_window(third);
    env.close_window(window);
}

/// A peer's send-and-invalidate ends a binding, from the receive completion on.
fn until_invalidated_by_peer(env: &mut Env) {
    let (mut net, target, window) = surroundings(env);
    let bound = bind(env, &net, &target, &*window);
    let (owner, peer) = (&*net.link.owner, &*net.link.peer);
    let (receive, token) = (next_context(), window.remote_token());
    owner.receive(receive, &[]).expect("posted");
    let sent = env.carry_out(peer, WorkKind::Send, |context| peer.send(context, &[], token));
    assert!(sent.is_ok(), "{sent:?}");
    is_busy(env, &target);
    let received = env.completion(owner);
    assert_eq!((received.id.context, received.result), (receive, Ok(())));
    assert_eq!(received.invalidated, token, "G9");
    env.deregister(target.mr).success();
    net.unreachable(env, bound.at(100));
    env.close_window(window);
}

fn names_in_the_log(env: &mut Env) {
    let (net, target, window) = surroundings(env);
    let (second, unbound) = (env.window(net.owner), env.window(net.owner));
    bind(env, &net, &target, &*window);
    bind(env, &net, &target, &*second);
    let lines = logs::during(|| is_busy(env, &target));
    let names = |window: &dyn Window| {
        let name = window.name();
        let last = name.rsplit('/').next().expect("a name");
        // Whole names: mw1 is no part of mw12.
        let words = |line: &String| line.split(|c: char| !c.is_alphanumeric()).any(|w| w == last);
        lines.iter().any(words)
    };
    assert!(names(&*window) && names(&*second), "D2: the log names the windows: {lines:?}");
    assert!(!names(&*unbound), "D2: that window is not bound: {lines:?}");
    for window in [window, second, unbound] {
        env.close_window(window);
    }
}

fn flushed_bind(env: &mut Env) {
    let (mut net, target, window) = surroundings(env);
    net.link.owner.flush();
    let bound = carry_out(env, &net, &target, &*window, (0, 100), read_write());
    assert_eq!(bound, Err(ErrorKind::Cancelled), "F6");
    env.deregister(target.mr).success();
    env.register(target.mr, target.memory.all(ALL)).success();
    net.reconnect(env);
    let target = env.registered_over(target.mr, target.memory);
    let bound = bind(env, &net, &target, &*window);
    net.reads(env, &bound, 100, 200);
    env.close_window(window);
}

/// The binding stays, and with it what it keeps busy; a close of the window is left.
fn flushed_invalidation(env: &mut Env) {
    let (mut net, target, window) = surroundings(env);
    let bound = bind(env, &net, &target, &*window);
    net.link.owner.flush();
    assert_eq!(invalidate(env, &net, &*window), Err(ErrorKind::Cancelled), "F6");
    is_busy(env, &target);
    env.close_window(window);
    env.deregister(target.mr).success();
    net.reconnect(env);
    net.unreachable(env, bound.at(100));
}

/// A window reaches no further than its region; a bind that the device refuses binds nothing.
fn refused_bind(env: &mut Env) {
    let (mut net, target, window) = surroundings(env);
    for range in [(0, 501), (-1, 2), (500, 1), (1 << 30, 8)] {
        let bound = carry_out(env, &net, &target, &*window, range, read_write());
        assert_eq!(bound, Err(ErrorKind::AccessViolation), "a window of {range:?}");
        net.broken(env);
        net.reconnect(env);
    }
    // What makes no sense for any region is not posted.
    let port = &*net.link.owner;
    for range in [(0, 0), (0, u64::MAX)] {
        let posted = post(port, 0xdead, &target, &*window, range, read_write());
        assert_eq!(posted.map_err(|error| error.kind()), Err(ErrorKind::InvalidParameter));
    }
    env.deregister(target.mr).success();
    let posted = post(port, 0xdead, &target, &*window, (0, 8), read_write());
    let kind = posted.map_err(|error| error.kind());
    assert_eq!(kind, Err(ErrorKind::InvalidDeviceState), "a region that is not registered");
    assert_eq!(port.poll(), None, "nothing was posted");
    env.close_window(window);
}

/// A window of type 2 works on the queue pair of its bind, so there is a new one after each refusal.
fn bounds_of_a_window(env: &mut Env) {
    let (mut net, target, window) = surroundings(env);
    env.close_window(window);
    for (offset, length) in [(99, 1), (99, 2), (300, 1), (0, 500)] {
        for write in [false, true] {
            let window = env.window(net.owner);
            let bound = bind(env, &net, &target, &*window);
            net.reads(env, &bound, 100, 200);
            net.writes(env, &bound, 100, 200);
            match write {
                true => net.write_refused(env, bound.at(offset), length),
                false => net.read_refused(env, bound.at(offset), length),
            }
            env.close_window(window);
        }
    }
    net.reads(env, &target, 0, 500);
}

/// A window gives what it is bound with, whatever its region gives.
fn rights_of_a_window(env: &mut Env) {
    let (mut net, target, window) = surroundings(env);
    env.close_window(window);
    for access in [Access::REMOTE_READ, Access::REMOTE_WRITE, read_write()] {
        for reads in [true, false] {
            let window = env.window(net.owner);
            let result = carry_out(env, &net, &target, &*window, (100, 200), access);
            assert_eq!(result, Ok(()), "a bind with {access:?}");
            let token = window.remote_token().expect("the token of a bound window").get();
            let bound = Registered { remote: token, ..target.clone() };
            let let_read = super::f_rights::lets_read(&env.device, access.flags());
            match (reads, let_read, access.contains(Access::REMOTE_WRITE)) {
                (true, true, _) => net.reads(env, &bound, 100, 200),
                (true, false, _) => net.read_refused(env, bound.at(100), 200),
                (false, _, true) => net.writes(env, &bound, 100, 200),
                (false, _, false) => net.write_refused(env, bound.at(100), 200),
            }
            env.close_window(window);
        }
    }
}

/// Binding a bound window, and invalidating one that is not bound, are refused inline.
fn window_not_bound(env: &mut Env) {
    let (net, target, window) = surroundings(env);
    let port = &*net.link.owner;
    let state = |posted: Result<()>| {
        let kind = posted.map_err(|error| error.kind());
        assert_eq!(kind, Err(ErrorKind::InvalidDeviceState), "G8: refused inline");
        assert_eq!(port.poll(), None, "nothing was posted");
    };
    state(port.invalidate_window(0xdead, &*window));
    let bound = bind(env, &net, &target, &*window);
    state(post(port, 0xdead, &target, &*window, (0, 8), read_write()));
    net.reads(env, &bound, 100, 200);
    assert_eq!(invalidate(env, &net, &*window), Ok(()));
    state(port.invalidate_window(0xdead, &*window));
    env.deregister(target.mr).success();
    env.close_window(window);
}

/// The close of a region waits for the windows that are bound to it.
#[track_caller]
fn close_waits(env: &mut Env, target: &Registered, free: impl FnOnce(&mut Env)) {
    let close = env.start_close(target.mr);
    assert_eq!(Status(close.returned), Status(STATUS_PENDING), "H3");
    env.run_until_idle();
    assert!(!close.ticket.is_called(), "H3: the close waits for the window");
    free(env);
    env.finish(close).has(STATUS_SUCCESS);
}

fn window_invalidated(env: &mut Env) {
    let (mut net, target, window) = surroundings(env);
    let bound = bind(env, &net, &target, &*window);
    close_waits(env, &target, |env| {
        assert_eq!(invalidate(env, &net, &*window), Ok(()));
    });
    net.unreachable(env, bound.at(100));
    net.unreachable(env, target.at(100));
    env.close_window(window);
}

fn window_closed(env: &mut Env) {
    let (mut net, target, window) = surroundings(env);
    let bound = bind(env, &net, &target, &*window);
    let second = env.window(net.owner);
    bind(env, &net, &target, &*second);
    let close = env.start_close(target.mr);
    env.close_window(window);
    env.run_until_idle();
    assert!(!close.ticket.is_called(), "H3: there is another window");
    env.close_window(second);
    env.finish(close).has(STATUS_SUCCESS);
    net.unreachable(env, bound.at(100));
    net.unreachable(env, target.at(100));
}

fn bind_while_closing(env: &mut Env) {
    let (net, target, window) = surroundings(env);
    bind(env, &net, &target, &*window);
    let late = env.window(net.owner);
    let port = &*net.link.owner;
    close_waits(env, &target, |env| {
        let posted = post(port, 0xdead, &target, &*late, (0, 8), read_write());
        let kind = posted.map_err(|error| error.kind());
        assert_eq!(kind, Err(ErrorKind::InvalidDeviceState), "H7: the region is being closed");
        env.close_window(window);
    });
    env.close_window(late);
}
