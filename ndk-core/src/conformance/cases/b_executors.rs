//! Rule B9: PENDING is kept whatever the executor does.

use super::super::case::{
    Case, Device, executor, fast_registration, inline,
    ruled_out::{INSIDE, PENDING},
};
use super::super::control::Step;
use super::super::desk::Spawning;
use super::super::env::{Env, Issued};
use super::super::outcome::{Outcome, Status};
use crate::abi::*;
use crate::provider::RegionKind;

pub(super) const CASES: &[Case] = &[
    Case::new("B9", "register", register).own().needs(executor),
    Case::new("B9", "deregister", deregister).own().needs(executor),
    Case::new("B9", "initialise", initialise).own().needs(fast),
    Case::new("B9", "create", create).own().needs(executor),
    Case::new("B9", "close_region", close_region).own().needs(executor),
    Case::new("B9", "close_domain", close_domain).own().needs(executor),
    Case::new("B9", "close_inside_of_dropped", close_inside_of_dropped)
        .own()
        .raw(INSIDE)
        .needs(prompt),
    Case::new("B9", "close_pending_of_dropped", close_pending_of_dropped)
        .own()
        .raw(PENDING)
        .needs(prompt),
    Case::new("B9", "domain_behind_region", domain_behind_region).own().needs(prompt),
    Case::new("B9", "dropped_later", dropped_later).own().needs(executor),
];

fn fast(device: &Device) -> Option<&'static str> {
    executor(device).or_else(|| fast_registration(device))
}

fn prompt(device: &Device) -> Option<&'static str> {
    executor(device).or_else(|| inline(device))
}

/// Lets the operations wait once, under an executor that does this with their tasks.
fn unruly(env: &mut Env, spawning: Spawning) {
    env.control.set_yields(true);
    env.desk.set_spawning(spawning);
}

fn calm(env: &mut Env) {
    env.control.set_yields(false);
    env.desk.set_spawning(Spawning::Queue);
}

/// What a request comes to that the executor took or gave up.
#[track_caller]
fn ends(env: &Env, spawning: Spawning, issued: Issued) -> Outcome {
    env.is_early(&issued);
    let outcome = env.finish(issued);
    let status = if spawning.gives_up() { STATUS_CANCELLED } else { STATUS_SUCCESS };
    assert_eq!(Status(outcome.status()), Status(status), "B9: under {spawning:?}");
    outcome
}

fn register(env: &mut Env) {
    for spawning in Spawning::UNRULY {
        let (mr, page) = (env.region(), env.page());
        unruly(env, spawning);
        let issued = env.start_register(mr, page.all(0));
        ends(env, spawning, issued);
        calm(env);
        if spawning.gives_up() {
            assert_eq!(env.tokens(mr), (0, 0), "B7: as before");
            env.register(mr, page.all(0)).success();
        }
        env.deregister(mr).success();
    }
}

fn deregister(env: &mut Env) {
    for spawning in Spawning::UNRULY {
        let mr = env.registered(0);
        let tokens = env.tokens(mr);
        unruly(env, spawning);
        let issued = env.start_deregister(mr);
        ends(env, spawning, issued);
        calm(env);
        if spawning.gives_up() {
            assert_eq!(env.tokens(mr), tokens, "B7: as before");
            env.deregister(mr).success();
        }
    }
}

fn initialise(env: &mut Env) {
    for spawning in Spawning::UNRULY {
        let mr = env.fast_region();
        unruly(env, spawning);
        let issued = env.start_initialise(mr, 1, true);
        ends(env, spawning, issued);
        calm(env);
        env.initialise(mr, 1, true).success();
    }
}

fn create(env: &mut Env) {
    for spawning in Spawning::UNRULY {
        let pd = env.pd();
        unruly(env, spawning);
        let status = if spawning.gives_up() { STATUS_CANCELLED } else { STATUS_SUCCESS };
        let (outcome, made) = env.create_mr(pd, RegionKind::Conventional);
        outcome.has(status);
        let called = !env.is_safe();
        assert_eq!((outcome.is_called(), made.is_none()), (called, spawning.gives_up()));
        let (outcome, made) = env.create_pd();
        outcome.has(status);
        assert_eq!((outcome.is_called(), made.is_none()), (called, spawning.gives_up()));
        calm(env);
        env.mr(pd);
    }
}

/// A close that was begun and given up completes; what the backend had not closed stays leaked.
fn close_region(env: &mut Env) {
    for spawning in Spawning::UNRULY {
        let mr = env.registered(0);
        unruly(env, spawning);
        if spawning.gives_up() {
            env.control.hold(Step::CloseMr);
            env.expect_leak(mr);
        }
        let issued = env.start_close(mr);
        env.is_early(&issued);
        let status = if spawning.gives_up() { env.status_of_leak() } else { STATUS_SUCCESS };
        env.finish(issued).has(status);
        env.control.release(Step::CloseMr);
        calm(env);
    }
}

fn close_domain(env: &mut Env) {
    for spawning in Spawning::UNRULY {
        let pd = env.pd();
        unruly(env, spawning);
        if spawning.gives_up() {
            env.control.hold(Step::ClosePd);
            env.expect_leak(pd);
        }
        let issued = env.start_close_pd(pd);
        env.is_early(&issued);
        env.finish(issued);
        env.control.release(Step::ClosePd);
        calm(env);
    }
}

/// The consumer closes in the callback that says CANCELLED. The backend's close need not wait, so nothing leaks.
fn close_inside_of_dropped(env: &mut Env) {
    for spawning in Spawning::UNRULY {
        let (mr, page) = (env.region(), env.page());
        let outer = env.ticket();
        // SAFETY: the region is alive in the callback, and not used afterwards.
        let close = env.nested(&outer, move |route, done| unsafe { route.close_mr(mr, done) });
        env.forget_region(mr);
        env.control.hold(Step::Register);
        env.desk.set_spawning(spawning);
        if !spawning.gives_up() {
            // The operation must be over before `spawn` returns.
            env.control.release(Step::Register);
            env.control.set_yields(true);
        }
        // SAFETY: a live region, and memory that is kept.
        let issued =
            env.issue_with(outer, |route, done| unsafe { route.register(mr, page.all(0), done) });
        env.control.release(Step::Register);
        ends(env, spawning, issued);
        let close = env.finish_nested(close);
        assert_eq!(Status(close.returned), Status(STATUS_PENDING));
        calm(env);
        assert_eq!(env.control.objects(), 1, "H6: the domain is left, under {spawning:?}");
        let pd = env.only_domain();
        env.close_pd(pd).success();
    }
}

/// The executor first keeps the request; the close that waits for it finds an executor that does not.
fn close_pending_of_dropped(env: &mut Env) {
    for spawning in Spawning::UNRULY {
        let (mr, page) = (env.region(), env.page());
        env.control.hold(Step::Register);
        let request = env.start_register(mr, page.all(0));
        env.desk.set_spawning(spawning);
        let close = env.start_close(mr);
        assert_eq!(Status(close.returned), Status(STATUS_PENDING));
        env.control.release(Step::Register);
        env.finish(request);
        env.finish(close);
        calm(env);
        let pd = env.only_domain();
        env.close_pd(pd).success();
        assert_eq!(env.control.objects(), 0, "H6: under {spawning:?}");
    }
}

/// The domain's close becomes due in the region's Close (H4), and its task meets the executor.
fn domain_behind_region(env: &mut Env) {
    for spawning in Spawning::UNRULY {
        let pd = env.pd();
        let mr = env.mr(pd);
        let domain = env.start_close_pd(pd);
        assert_eq!(Status(domain.returned), Status(STATUS_PENDING));
        env.desk.set_spawning(spawning);
        env.close(mr).has(STATUS_SUCCESS);
        env.finish(domain).has(STATUS_SUCCESS);
        calm(env);
        assert_eq!(env.control.objects(), 0, "H6: under {spawning:?}");
    }
}

/// The executor takes the task, polls it, and gives it up later.
fn dropped_later(env: &mut Env) {
    let (mr, page) = (env.region(), env.page());
    env.control.hold(Step::Register);
    let issued = env.start_register(mr, page.all(0));
    env.run_until_idle();
    assert!(!issued.ticket.is_called());
    env.desk.drop_tasks();
    assert!(issued.ticket.is_called(), "B9: dropped, and not completed");
    env.finish(issued).has(STATUS_CANCELLED);
    env.control.release(Step::Register);
    env.register(mr, page.all(0)).success();
}
