//! Section H: the close of regions and domains, and what waits for what. That of the adapter is in `h_adapter`.

use super::super::case::{
    Case, fast_registration,
    ruled_out::{BORROWED, PENDING},
};
use super::super::control::{Fault, Step};
use super::super::env::{Env, Issued};
use super::super::outcome::Status;
use super::super::route::{Mr, Raw};
use super::super::ticket::lock;
use crate::abi::*;
use crate::error::ErrorKind;
use crate::provider::RegionKind;
use std::ptr::null_mut;
use std::sync::{Arc, Mutex};
use std::thread;

pub(super) const CASES: &[Case] = &[
    Case::new("H1", "every_state", every_state),
    Case::new("H1", "fast_region", fast_region).needs(fast_registration),
    Case::new("H2", "register_pending", register_pending).own().raw(PENDING),
    Case::new("H2", "deregister_pending", deregister_pending).own().raw(PENDING),
    Case::new("H2", "initialise_pending", initialise_pending)
        .own()
        .raw(PENDING)
        .needs(fast_registration),
    Case::new("H2", "initialisations_queued", initialisations_queued)
        .own()
        .raw(PENDING)
        .needs(fast_registration),
    Case::new("H2", "cannot_be_cancelled", cannot_be_cancelled).own().raw(PENDING),
    Case::new("H2", "finished_but_pending", finished_but_pending).own().raw(PENDING),
    Case::new("H2", "creation_pending", creation_pending).own().raw(BORROWED),
    Case::new("H3", "registered", registered),
    Case::new("H4", "domain_waits", domain_waits),
    Case::new("H4", "not_in_a_childs_close", not_in_a_childs_close).own(),
    Case::new("H4", "after_the_childs_callback", after_the_childs_callback).inside(),
    Case::new("H4", "domain_closed_inside", domain_closed_inside).inside(),
];

pub(super) const REMOTE: ULONG = NDK_MR_FLAG_ALLOW_REMOTE_WRITE;

#[track_caller]
pub(super) fn pends(issued: &Issued) {
    assert_eq!(Status(issued.returned), Status(STATUS_PENDING));
}

fn every_state(env: &mut Env) {
    let (pd, page) = (env.pd(), env.page());
    let [created, registered, deregistered, failed] = std::array::from_fn(|_| env.mr(pd));
    for mr in [registered, deregistered] {
        env.register(mr, page.all(REMOTE)).success();
    }
    env.deregister(deregistered).success();
    env.control.plan(Step::Register, Fault::Fail(ErrorKind::InsufficientResources));
    env.register(failed, page.all(REMOTE)).ended(STATUS_INSUFFICIENT_RESOURCES);
    for mr in [created, registered, deregistered, failed] {
        env.close(mr).success();
    }
    env.close_pd(pd).success();
    assert_eq!(env.control.objects(), 0, "H6: everything is freed");
}

fn fast_region(env: &mut Env) {
    let pd = env.pd();
    for initialisations in 0..3 {
        let mr = env.mr_of(pd, RegionKind::FastRegister);
        for _ in 0..initialisations {
            env.initialise(mr, 1, true).success();
        }
        env.close(mr).success();
    }
}

/// Requests that wait at the gate of `step`, then a close: the requests complete first, each once.
fn close_while(env: &mut Env, mr: Mr, step: Step, start: &[fn(&mut Env, Mr) -> Issued]) {
    env.control.hold(step);
    let requests: Vec<_> = start.iter().map(|start| start(env, mr)).collect();
    requests.iter().for_each(pends);
    env.run_until_idle();
    let close = env.start_close(mr);
    pends(&close);
    assert!(!close.ticket.is_called(), "H2: the close is over, the requests are not");
    let log = Arc::new(Mutex::new(Vec::new()));
    for (ticket, what) in
        requests.iter().map(|r| (&r.ticket, "request")).chain([(&close.ticket, "close")])
    {
        let log = log.clone();
        // A request that cancellation ended at once is over already, and so before the close.
        if !ticket.is_called() {
            ticket.on_call(move |_| lock(&log).push(what));
        }
    }
    let close = env.finish(close);
    close.has(STATUS_SUCCESS);
    for request in requests {
        env.finish(request).has(STATUS_CANCELLED);
    }
    assert_eq!(lock(&log).last(), Some(&"close"), "H2: the close completion is the last call");
    assert!(env.control.was_asked_to_cancel(), "H2: Close asks for cancellation");
    env.control.release(step);
}

fn register_pending(env: &mut Env) {
    let mr = env.region();
    close_while(
        env,
        mr,
        Step::Register,
        &[|env, mr| {
            let page = env.page();
            env.start_register(mr, page.all(REMOTE))
        }],
    );
}

fn deregister_pending(env: &mut Env) {
    let mr = env.registered(REMOTE);
    close_while(env, mr, Step::Deregister, &[|env, mr| env.start_deregister(mr)]);
}

fn initialise_pending(env: &mut Env) {
    let mr = env.fast_region();
    close_while(env, mr, Step::Initialise, &[|env, mr| env.start_initialise(mr, 1, true)]);
}

fn initialisations_queued(env: &mut Env) {
    let mr = env.fast_region();
    let start: fn(&mut Env, Mr) -> Issued = |env, mr| env.start_initialise(mr, 1, true);
    close_while(env, mr, Step::Initialise, &[start; 4]);
}

/// A kernel call that cannot be cancelled is waited for (H3).
fn cannot_be_cancelled(env: &mut Env) {
    let (mr, page) = (env.region(), env.page());
    env.control.set_deaf(true);
    env.control.hold(Step::Register);
    let request = env.start_register(mr, page.all(REMOTE));
    let close = env.start_close(mr);
    pends(&close);
    env.run_until_idle();
    assert!(!request.ticket.is_called() && !close.ticket.is_called(), "H2: the close waits");
    env.control.release(Step::Register);
    // Behind the gate the backend may have heard of the cancellation, or not.
    env.finish(request);
    env.finish(close).has(STATUS_SUCCESS);
}

/// The operation is over, its callback is not: the close waits for that too.
fn finished_but_pending(env: &mut Env) {
    let (mr, page) = (env.region(), env.page());
    env.control.set_yields(true);
    let request = env.start_register(mr, page.all(REMOTE));
    let close = env.start_close(mr);
    pends(&close);
    let (closed, seen) = (close.ticket.clone(), Arc::new(Mutex::new(None)));
    let early = seen.clone();
    request.ticket.on_call(move |_| *lock(&early) = Some(closed.is_called()));
    env.finish(request);
    env.finish(close).has(STATUS_SUCCESS);
    assert_eq!(*lock(&seen), Some(false), "H2: request completions return first");
}

/// A region that is being created keeps its domain; the consumer gets it, or the creation's failure.
fn creation_pending(env: &mut Env) {
    let pd = env.pd();
    env.control.hold(Step::CreateMr);
    let mut out = null_mut();
    let kind = RegionKind::Conventional;
    let create =
        // SAFETY: the domain is open; `out` need live only until the entry has returned.
        env.issue(|route, done| unsafe { route.create_mr(pd, kind, done, &raw mut out) });
    pends(&create);
    let close = env.start_close_pd(pd);
    pends(&close);
    env.run_until_idle();
    assert!(!close.ticket.is_called(), "H4: a creation is pending");
    env.control.release(Step::CreateMr);
    let create = env.finish(create);
    if create.status() == STATUS_SUCCESS {
        assert!(!close.ticket.is_called(), "H4: a region is alive");
        let object = std::ptr::with_exposed_provenance_mut(create.calls[0].object);
        env.close(Raw(object)).has(STATUS_SUCCESS);
    }
    env.finish(close).has(STATUS_SUCCESS);
}

fn registered(env: &mut Env) {
    let mr = env.registered(REMOTE);
    env.close(mr).success();
}

fn domain_waits(env: &mut Env) {
    let pd = env.pd();
    let regions = [env.mr(pd), env.mr(pd)];
    let domain = env.start_close_pd(pd);
    pends(&domain);
    for mr in regions {
        env.run_until_idle();
        assert!(!domain.ticket.is_called(), "H4: a region is alive");
        env.close(mr).success();
    }
    env.finish(domain).has(STATUS_SUCCESS);
}

/// The region's Close makes the domain's close due, and yet that completes only when the entry has returned.
fn not_in_a_childs_close(env: &mut Env) {
    for yields in [false, true] {
        env.control.set_yields(yields);
        let pd = env.pd();
        let mr = env.mr(pd);
        let domain = env.start_close_pd(pd);
        pends(&domain);
        let region = env.start_close(mr);
        let here = thread::current().id();
        let calls = domain.ticket.calls();
        assert!(
            calls.iter().all(|call| call.thread != here),
            "H4: on the stack of the region's Close"
        );
        env.finish(region).has(STATUS_SUCCESS);
        env.finish(domain).has(STATUS_SUCCESS);
    }
}

fn after_the_childs_callback(env: &mut Env) {
    let pd = env.pd();
    let mr = env.mr(pd);
    let domain = env.start_close_pd(pd);
    let ticket = env.ticket();
    let (closed, seen) = (domain.ticket.clone(), Arc::new(Mutex::new(None)));
    let early = seen.clone();
    ticket.on_call(move |_| *lock(&early) = Some(closed.is_called()));
    env.forget_region(mr);
    // SAFETY: a live region, not used afterwards.
    let region = env.issue_with(ticket, |route, done| unsafe { route.close_mr(mr, done) });
    env.finish(region).success();
    env.finish(domain).has(STATUS_SUCCESS);
    assert_eq!(*lock(&seen), Some(false), "H4: before the region's callback has returned");
}

/// The domain is closed inside the close callback of its last region.
fn domain_closed_inside(env: &mut Env) {
    let pd = env.pd();
    let (mr, outer) = (env.mr(pd), env.ticket());
    // SAFETY: the domain is alive in the callback, since a region of it is, and not used afterwards.
    let domain = env.nested(&outer, move |route, done| unsafe { route.close_pd(pd, done) });
    env.forget_region(mr);
    env.forget_domain(pd);
    // SAFETY: a live region, not used afterwards.
    let region = env.issue_with(outer, |route, done| unsafe { route.close_mr(mr, done) });
    env.finish(region).success();
    let domain = env.finish_nested(domain);
    assert_eq!(Status(domain.returned), Status(STATUS_PENDING), "H4: its region is there yet");
    domain.has(STATUS_SUCCESS);
}
