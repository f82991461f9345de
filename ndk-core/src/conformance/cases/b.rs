//! Section B: how requests complete. What B1 and B2 say of every request is checked by `Outcome` and at the end of
//! every case; here are the cases that go looking for it.

use super::super::case::{Case, fast_registration, framework, ruled_out::CONTEXT};
use super::super::control::{Fault, Step};
use super::super::desk::Spawning;
use super::super::env::{Env, Issued};
use super::super::outcome::Status;
use super::super::route::{Change, Mr, Raw, Registration, Route};
use super::super::ticket::{Done, Ticket, lock};
use crate::abi::*;
use crate::error::ErrorKind;
use crate::provider::RegionKind;
use std::ptr::{null_mut, without_provenance_mut};
use std::sync::{Arc, Mutex};

pub(super) const CASES: &[Case] = &[
    Case::new("B1", "refusals", refusals),
    Case::new("B1", "failures", failures),
    Case::new("B1", "success_as_a_failure", success_as_a_failure).needs(framework),
    Case::new("B2", "many_pending", many_pending).called(),
    Case::new("B2", "null_context", null_context).called().raw(CONTEXT),
    Case::new("B3", "callback_before_return", callback_before_return).own(),
    Case::new("B4", "state_is_visible", state_is_visible).inside(),
    Case::new("B4", "close_inside", close_inside).inside(),
    Case::new("B4", "close_inside_deregister", close_inside_deregister).inside(),
    Case::new("B4", "reregister_inside", reregister_inside).inside(),
    Case::new("B4", "initialise_inside", initialise_inside).inside().needs(fast_registration),
    Case::new("B5", "create_domain", create_domain_behind_gate).own(),
    Case::new("B5", "create_region", create_region_behind_gate).own(),
    Case::new("B5", "register", register_behind_gate).own(),
    Case::new("B5", "deregister", deregister_behind_gate).own(),
    Case::new("B5", "initialise", initialise_behind_gate).own().needs(fast_registration),
    Case::new("B5", "close_region", close_region_behind_gate).own(),
    Case::new("B5", "close_domain", close_domain_behind_gate).own(),
    Case::new("B6", "register", register_short),
    Case::new("B6", "deregister", deregister_short),
    Case::new("B6", "initialise", initialise_short).needs(fast_registration),
    Case::new("B7", "failed_register", failed_register),
    Case::new("B7", "failed_deregister", failed_deregister),
    Case::new("B7", "failed_initialise", failed_initialise).needs(fast_registration),
];

const REMOTE: ULONG = NDK_MR_FLAG_ALLOW_REMOTE_READ | NDK_MR_FLAG_ALLOW_REMOTE_WRITE;

fn refusals(env: &mut Env) {
    let (mr, page) = (env.region(), env.page());
    env.register(mr, page.first(0, 0)).refused(STATUS_INVALID_PARAMETER);
    env.register(mr, page.all(1 << 31)).refused(STATUS_INVALID_PARAMETER);
    env.forbidden(mr, Change::Deregister);
    env.forbidden(mr, Change::Initialise);
    env.register(mr, page.all(0)).success();
    env.forbidden(mr, Change::Register);
}

fn failures(env: &mut Env) {
    let (mr, page) = (env.region(), env.page());
    for kind in [ErrorKind::NotSupported, ErrorKind::DeviceBusy, ErrorKind::Other(-1)] {
        for fault in [Fault::Fail(kind), Fault::FailAtOnce(kind)] {
            env.control.plan(Step::Register, fault);
            env.register(mr, page.all(0)).ended(kind.status());
        }
    }
}

/// A provider that gives a success code as its error failed internally.
fn success_as_a_failure(env: &mut Env) {
    let (mr, page) = (env.region(), env.page());
    env.control.plan(Step::Register, Fault::Fail(ErrorKind::Other(STATUS_PENDING)));
    env.register(mr, page.all(0)).ended(STATUS_INTERNAL_ERROR);
}

fn many_pending(env: &mut Env) {
    let (pd, page) = (env.pd(), env.page());
    let regions: Vec<_> = (0..16).map(|_| env.mr(pd)).collect();
    let issued: Vec<_> = regions.iter().map(|&mr| env.start_register(mr, page.all(0))).collect();
    for issued in issued.into_iter().rev() {
        env.finish(issued).success();
    }
    let issued: Vec<_> = regions.iter().map(|&mr| env.start_deregister(mr)).collect();
    for issued in issued {
        env.finish(issued).success();
    }
}

fn null_context(env: &mut Env) {
    /// Only one request at a time can have the context null.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = lock(&ONE);
    let (mr, page) = (env.region(), env.page());
    let request = env.null_ticket();
    // SAFETY: a live region, and memory that is kept.
    let issued = env.issue_with(request.clone(), |route, done| unsafe {
        route.register(mr, page.all(0), done)
    });
    env.finish(issued).success();
    request.withdraw();
    let close = env.null_ticket();
    env.forget_region(mr);
    // SAFETY: as above; the region is not used afterwards.
    let issued = env.issue_with(close.clone(), |route, done| unsafe { route.close_mr(mr, done) });
    env.finish(issued).success();
    close.withdraw();
}

fn callback_before_return(env: &mut Env) {
    env.control.set_yields(true);
    let spawnings = [Spawning::Inside, Spawning::OtherThread];
    // A table alone says only that the callback came before.
    let tried = if env.device.table_alone { &spawnings[..1] } else { &spawnings[..] };
    for &spawning in tried {
        env.desk.set_spawning(spawning);
        let (pd, page) = (env.pd(), env.page());
        let mr = env.mr(pd);
        for issued in [
            env.start_register(mr, page.all(0)),
            env.start_deregister(mr),
            env.start_close(mr),
            env.start_close_pd(pd),
        ] {
            env.is_early(&issued);
            env.finish(issued).has(STATUS_SUCCESS);
        }
    }
}

fn state_is_visible(env: &mut Env) {
    let (mr, page) = (env.region(), env.page());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let look = |ticket: &Ticket, route: Arc<dyn Route>| {
        let seen = seen.clone();
        // SAFETY: the region is alive until the case closes it.
        ticket.on_call(move |_| lock(&seen).push(unsafe { route.tokens(mr) }));
    };
    let ticket = env.ticket();
    look(&ticket, env.route.clone());
    // SAFETY: for each, a live region, and memory that is kept.
    let issued =
        env.issue_with(ticket, |route, done| unsafe { route.register(mr, page.all(REMOTE), done) });
    env.finish(issued).success();
    let tokens = env.tokens(mr);
    let ticket = env.ticket();
    look(&ticket, env.route.clone());
    // SAFETY: as said.
    let issued = env.issue_with(ticket, |route, done| unsafe { route.deregister(mr, done) });
    env.finish(issued).success();
    assert_eq!(*lock(&seen), [tokens, (0, 0)], "B4: the tokens in the two callbacks");
}

/// Closes `mr` inside the callback of `start`'s request.
fn close_inside_of(env: &mut Env, mr: Mr, start: impl FnOnce(&mut Env, Arc<Ticket>) -> Issued) {
    let outer = env.ticket();
    // SAFETY: the region is alive in the callback, and not used afterwards.
    let close = env.nested(&outer, move |route, done| unsafe { route.close_mr(mr, done) });
    env.forget_region(mr);
    let issued = start(env, outer);
    env.finish(issued).success();
    let close = env.finish_nested(close);
    close.has(STATUS_SUCCESS);
    assert_eq!(Status(close.returned), Status(STATUS_PENDING), "H2: inside a callback, always");
}

fn close_inside(env: &mut Env) {
    let (mr, page) = (env.region(), env.page());
    close_inside_of(env, mr, |env, ticket| {
        // SAFETY: a live region, and memory that is kept.
        env.issue_with(ticket, |route, done| unsafe { route.register(mr, page.all(REMOTE), done) })
    });
}

fn close_inside_deregister(env: &mut Env) {
    let mr = env.registered(REMOTE);
    close_inside_of(env, mr, |env, ticket| {
        // SAFETY: a live region.
        env.issue_with(ticket, |route, done| unsafe { route.deregister(mr, done) })
    });
}

/// Deregisters and registers again, each inside the callback of the one before, many times over.
fn reregister_inside(env: &mut Env) {
    const ROUNDS: usize = 20;
    let (mr, page) = (env.region(), env.page());
    let tickets: Vec<_> = (0..=2 * ROUNDS).map(|_| env.ticket()).collect();
    let statuses = Arc::new(Mutex::new(Vec::new()));
    let round = Round { route: env.route.clone(), mr, registration: page.all(REMOTE) };
    for (index, pair) in tickets.windows(2).enumerate() {
        let (round, next, statuses) = (round.clone(), pair[1].clone(), statuses.clone());
        pair[0].on_call(move |_| {
            let status = round.request(index + 1, &next);
            lock(&statuses).push(status);
        });
    }
    let returned = round.request(0, &tickets[0]);
    let first = Issued { returned, ticket: tickets[0].clone() };
    env.finish(first).success();
    for (index, ticket) in tickets.iter().enumerate() {
        env.settle(ticket, STATUS_PENDING);
        let outcome = env.finish(Issued { returned: STATUS_PENDING, ticket: ticket.clone() });
        assert_eq!(Status(outcome.status()), Status(STATUS_SUCCESS), "round {index}");
    }
    assert_eq!(*lock(&statuses), [STATUS_PENDING; 2 * ROUNDS]);
    assert_ne!(env.tokens(mr).0, 0, "the last of them was a registration");
}

#[derive(Clone)]
struct Round {
    route: Arc<dyn Route>,
    mr: Mr,
    registration: Registration,
}

impl Round {
    fn request(&self, index: usize, ticket: &Ticket) -> NTSTATUS {
        // SAFETY: the case keeps region and memory until the last round is over.
        ticket.enter(|| unsafe {
            match index % 2 {
                0 => self.route.register(self.mr, self.registration.clone(), Done::of(ticket)),
                _ => self.route.deregister(self.mr, Done::of(ticket)),
            }
        })
    }
}

fn initialise_inside(env: &mut Env) {
    let (mr, pages) = (env.fast_region(), env.device.fast_pages(2) as ULONG);
    let outer = env.ticket();
    // SAFETY: for each, the case closes the region at its end.
    let inner =
        env.nested(&outer, move |route, done| unsafe { route.initialise(mr, pages, true, done) });
    // SAFETY: as said.
    let issued =
        env.issue_with(outer, |route, done| unsafe { route.initialise(mr, 1, false, done) });
    env.finish(issued).success();
    env.finish_nested(inner).success();
    assert_ne!(env.tokens(mr).1, 0, "the inner one allows remote access");
}

/// The gate opens only after the entry has returned, so an entry that waits for it never returns.
fn open_after(env: &mut Env, step: Step, start: impl FnOnce(&mut Env) -> Issued) {
    env.control.hold(step);
    let issued = env.returns(step, start);
    assert_eq!(Status(issued.returned), Status(STATUS_PENDING), "B5: {step:?} must pend");
    env.run_until_idle();
    assert!(!issued.ticket.is_called(), "{step:?} was over before its gate opened");
    env.control.release(step);
    let outcome = env.finish(issued);
    outcome.has(STATUS_SUCCESS);
    let object = outcome.calls[0].object;
    if step == Step::CreatePd {
        env.adopt_domain(Raw(std::ptr::with_exposed_provenance_mut(object)));
    }
    if step == Step::CreateMr {
        env.adopt_region(Raw(std::ptr::with_exposed_provenance_mut(object)));
    }
}

fn create_domain_behind_gate(env: &mut Env) {
    let adapter = env.adapter();
    let mut out: *mut NDK_PD = null_mut();
    let start = |env: &mut Env| {
        // SAFETY: the adapter is open; `out` need live only until the entry has returned.
        env.issue(|route, done| unsafe { route.create_pd(adapter, done, &raw mut out) })
    };
    open_after(env, Step::CreatePd, start);
    assert!(out.is_null(), "A1: PENDING never touches the out pointer");
}

fn create_region_behind_gate(env: &mut Env) {
    let (pd, kind) = (env.pd(), RegionKind::Conventional);
    let mut out: *mut NDK_MR = without_provenance_mut(0x5a58);
    let start = |env: &mut Env| {
        // SAFETY: as above.
        env.issue(|route, done| unsafe { route.create_mr(pd, kind, done, &raw mut out) })
    };
    open_after(env, Step::CreateMr, start);
    assert_eq!(out.addr(), 0x5a58, "A1: PENDING never touches the out pointer");
}

fn register_behind_gate(env: &mut Env) {
    let (mr, page) = (env.region(), env.page());
    open_after(env, Step::Register, |env| env.start_register(mr, page.all(0)));
}

fn deregister_behind_gate(env: &mut Env) {
    let mr = env.registered(0);
    open_after(env, Step::Deregister, |env| env.start_deregister(mr));
}

fn initialise_behind_gate(env: &mut Env) {
    let mr = env.fast_region();
    open_after(env, Step::Initialise, |env| env.start_initialise(mr, 1, true));
}

fn close_region_behind_gate(env: &mut Env) {
    let mr = env.registered(0);
    open_after(env, Step::CloseMr, |env| env.start_close(mr));
}

fn close_domain_behind_gate(env: &mut Env) {
    let pd = env.pd();
    open_after(env, Step::ClosePd, |env| env.start_close_pd(pd));
}

const SHORT: Fault = Fault::Fail(ErrorKind::InsufficientResources);
/// Short with and without a future, and again.
const SHORT_TWICE: [Fault; 3] = [SHORT, Fault::FailAtOnce(ErrorKind::InsufficientResources), SHORT];

fn register_short(env: &mut Env) {
    let (mr, page) = (env.region(), env.page());
    for short in SHORT_TWICE {
        env.control.plan(Step::Register, short);
        env.register(mr, page.all(REMOTE)).ended(STATUS_INSUFFICIENT_RESOURCES);
    }
    env.register(mr, page.all(REMOTE)).success();
}

fn deregister_short(env: &mut Env) {
    let mr = env.registered(REMOTE);
    for short in SHORT_TWICE {
        env.control.plan(Step::Deregister, short);
        env.deregister(mr).ended(STATUS_INSUFFICIENT_RESOURCES);
    }
    env.deregister(mr).success();
}

fn initialise_short(env: &mut Env) {
    let mr = env.fast_region();
    for short in SHORT_TWICE {
        env.control.plan(Step::Initialise, short);
        env.initialise(mr, 1, true).ended(STATUS_INSUFFICIENT_RESOURCES);
    }
    env.initialise(mr, 1, true).success();
}

fn failed_register(env: &mut Env) {
    let (mr, page) = (env.region(), env.page());
    env.control.plan(Step::Register, SHORT);
    env.register(mr, page.all(REMOTE)).ended(STATUS_INSUFFICIENT_RESOURCES);
    assert_eq!(env.tokens(mr), (0, 0), "B7: a failed registration leaves no token");
    env.forbidden(mr, Change::Deregister);
    env.register(mr, page.first(0, REMOTE)).refused(STATUS_INVALID_PARAMETER);
    assert_eq!(env.tokens(mr), (0, 0), "B7: a refused registration leaves no token");
    env.forbidden(mr, Change::Deregister);
    env.register(mr, page.all(REMOTE)).success();
}

fn failed_deregister(env: &mut Env) {
    let mr = env.registered(REMOTE);
    let tokens = env.tokens(mr);
    env.control.plan(Step::Deregister, Fault::Fail(ErrorKind::DeviceBusy));
    env.deregister(mr).ended(STATUS_DEVICE_BUSY);
    assert_eq!(env.tokens(mr), tokens, "B7: it stays registered");
    env.forbidden(mr, Change::Register);
    env.deregister(mr).success();
}

fn failed_initialise(env: &mut Env) {
    let mr = env.fast_region();
    env.control.plan(Step::Initialise, SHORT);
    env.initialise(mr, 1, true).ended(STATUS_INSUFFICIENT_RESOURCES);
    assert_eq!(env.tokens(mr), (0, 0), "B7: a failed initialisation leaves no token");
    env.initialise(mr, 1, true).success();
    let tokens = env.tokens(mr);
    env.control.plan(Step::Initialise, SHORT);
    env.initialise(mr, 1, false).ended(STATUS_INSUFFICIENT_RESOURCES);
    assert_eq!(env.tokens(mr), tokens, "B7: a failed one leaves what was");
}
