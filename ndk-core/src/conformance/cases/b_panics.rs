//! Rule B8: a provider that panics costs the one region, and nothing else.

use super::super::case::{Case, Device, fast_registration, panics, ruled_out::PENDING};
use super::super::control::{Fault, Step, Trap};
use super::super::env::Env;
use super::super::outcome::Status;
use super::super::route::{Change, Mr};
use crate::abi::*;
use crate::provider::RegionKind;
use std::ptr::null;

pub(super) const CASES: &[Case] = &[
    Case::new("B8", "register", register).needs(panics),
    Case::new("B8", "deregister", deregister).needs(panics),
    Case::new("B8", "initialise", initialise).needs(fast),
    Case::new("B8", "queued_initialise", queued_initialise).own().raw(PENDING).needs(fast),
    Case::new("B8", "token_getters", token_getters).needs(panics),
    Case::new("B8", "query_extension", query_extension).needs(panics),
    Case::new("B8", "cancel", cancel).own().raw(PENDING).needs(panics),
    Case::new("B8", "device_state", device_state).needs(panics),
    Case::new("B8", "close", close).needs(panics),
    Case::new("B8", "close_of_poisoned", close_of_poisoned).needs(panics),
    Case::new("B8", "drop_of_region", drop_of_region).needs(panics),
    Case::new("B8", "creation", creation).needs(panics),
    Case::new("B8", "domain", domain).needs(panics),
];

fn fast(device: &Device) -> Option<&'static str> {
    panics(device).or_else(|| fast_registration(device))
}

const REMOTE: ULONG = NDK_MR_FLAG_ALLOW_REMOTE_WRITE;

/// Whether `mr` is poisoned, by what every entry says.
#[track_caller]
fn is_poisoned(env: &mut Env, mr: Mr) {
    for change in Change::ALL {
        if env.route.has(mr, change) {
            env.ask(mr, change).refused(STATUS_INTERNAL_ERROR);
        }
    }
    assert_eq!(env.tokens(mr), (0, 0), "B8: the getters of a poisoned region");
    let (id, mut out) = (GUID::default(), NDK_EXTENSION_INTERFACE { Dispatch: null() });
    // SAFETY: the region is alive.
    let status =
        unsafe { env.route.query_extension(mr, &id, NDK_VERSION { Major: 1, Minor: 0 }, &mut out) };
    assert_eq!(Status(status), Status(STATUS_INTERNAL_ERROR), "B8: QueryExtension too");
}

/// The life of a region beside the poisoned one.
#[track_caller]
fn is_well(env: &mut Env, other: Mr) {
    let page = env.page();
    env.register(other, page.all(REMOTE)).success();
    assert_ne!(env.tokens(other).1, 0);
    env.deregister(other).success();
}

fn register(env: &mut Env) {
    let (pd, page) = (env.pd(), env.page());
    let other = env.mr(pd);
    for fault in Fault::PANICS {
        let mr = env.mr(pd);
        env.control.plan(Step::Register, fault);
        env.register(mr, page.all(REMOTE)).has(STATUS_INTERNAL_ERROR);
        is_poisoned(env, mr);
        is_well(env, other);
        env.close(mr).success();
    }
}

fn deregister(env: &mut Env) {
    let (pd, page) = (env.pd(), env.page());
    let other = env.mr(pd);
    for fault in Fault::PANICS {
        let mr = env.mr(pd);
        env.register(mr, page.all(REMOTE)).success();
        env.control.plan(Step::Deregister, fault);
        env.deregister(mr).has(STATUS_INTERNAL_ERROR);
        is_poisoned(env, mr);
        is_well(env, other);
        env.close(mr).success();
    }
}

fn initialise(env: &mut Env) {
    let pd = env.pd();
    let other = env.mr(pd);
    for fault in Fault::PANICS {
        let mr = env.mr_of(pd, RegionKind::FastRegister);
        env.initialise(mr, 1, true).success();
        env.control.plan(Step::Initialise, fault);
        env.initialise(mr, 1, true).has(STATUS_INTERNAL_ERROR);
        is_poisoned(env, mr);
        is_well(env, other);
        env.close(mr).success();
    }
}

/// A panic while other initialisations wait behind: each of them completes too.
fn queued_initialise(env: &mut Env) {
    for fault in [Fault::PanicAtLaterPoll, Fault::PanicInDrop] {
        let mr = env.fast_region();
        env.control.hold(Step::Initialise);
        env.control.plan(Step::Initialise, fault);
        let issued: Vec<_> = (0..3).map(|_| env.start_initialise(mr, 1, true)).collect();
        env.control.release(Step::Initialise);
        for issued in issued {
            assert_eq!(Status(issued.returned), Status(STATUS_PENDING));
            env.finish(issued).has(STATUS_INTERNAL_ERROR);
        }
        is_poisoned(env, mr);
    }
}

fn token_getters(env: &mut Env) {
    let other = env.region();
    for trap in [Trap::LocalToken, Trap::RemoteToken] {
        let mr = env.registered(REMOTE);
        env.control.trap(trap);
        let (local, remote) = env.tokens(mr);
        let asked = if trap == Trap::LocalToken { local } else { remote };
        assert_eq!(asked, 0, "B8: {trap:?}");
        is_poisoned(env, mr);
        is_well(env, other);
    }
}

fn query_extension(env: &mut Env) {
    let (mr, other) = (env.registered(REMOTE), env.region());
    env.control.trap(Trap::QueryExtension);
    is_poisoned_by_query(env, mr);
    is_poisoned(env, mr);
    is_well(env, other);
}

#[track_caller]
fn is_poisoned_by_query(env: &Env, mr: Mr) {
    let (id, mut out) = (GUID::default(), NDK_EXTENSION_INTERFACE { Dispatch: null() });
    // SAFETY: the region is alive.
    let status =
        unsafe { env.route.query_extension(mr, &id, NDK_VERSION { Major: 1, Minor: 0 }, &mut out) };
    assert_eq!(Status(status), Status(STATUS_INTERNAL_ERROR));
}

/// A close that asks for cancellation, and gets a panic, goes on all the same.
fn cancel(env: &mut Env) {
    let (mr, page) = (env.region(), env.page());
    env.control.hold(Step::Register);
    let request = env.start_register(mr, page.all(0));
    env.control.trap(Trap::Cancel);
    let close = env.start_close(mr);
    assert_eq!(Status(close.returned), Status(STATUS_PENDING));
    env.control.release(Step::Register);
    env.finish(request);
    env.finish(close).has(STATUS_SUCCESS);
}

/// The question whether the device is there is asked for the request's sake.
fn device_state(env: &mut Env) {
    let (mr, other, page) = (env.region(), env.region(), env.page());
    env.control.trap(Trap::IsLost);
    env.register(mr, page.all(0)).has(STATUS_INTERNAL_ERROR);
    is_poisoned(env, mr);
    is_well(env, other);
}

fn close(env: &mut Env) {
    let (pd, page) = (env.pd(), env.page());
    let other = env.mr(pd);
    for fault in Fault::PANICS {
        let mr = env.mr(pd);
        env.register(mr, page.all(REMOTE)).success();
        env.control.plan(Step::CloseMr, fault);
        env.close(mr).has(env.status_of_leak());
        env.expect_leak(mr);
        is_well(env, other);
    }
}

fn close_of_poisoned(env: &mut Env) {
    let (mr, page) = (env.region(), env.page());
    env.control.plan(Step::Register, Fault::PanicAtFirstPoll);
    env.register(mr, page.all(0)).has(STATUS_INTERNAL_ERROR);
    env.control.plan(Step::CloseMr, Fault::PanicAtFirstPoll);
    env.close(mr).has(env.status_of_leak());
    env.expect_leak(mr);
}

fn drop_of_region(env: &mut Env) {
    let (pd, page) = (env.pd(), env.page());
    let (mr, other) = (env.mr(pd), env.mr(pd));
    env.register(mr, page.all(0)).success();
    env.control.trap(Trap::DropMr);
    env.close(mr).success();
    is_well(env, other);
}

fn creation(env: &mut Env) {
    let pd = env.pd();
    for fault in Fault::PANICS {
        env.control.plan(Step::CreateMr, fault);
        let (outcome, mr) = env.create_mr(pd, RegionKind::Conventional);
        outcome.has(if mr.is_some() { STATUS_SUCCESS } else { STATUS_INTERNAL_ERROR });
        env.control.plan(Step::CreatePd, fault);
        let (outcome, pd) = env.create_pd();
        outcome.has(if pd.is_some() { STATUS_SUCCESS } else { STATUS_INTERNAL_ERROR });
        if fault != Fault::PanicInDrop {
            assert_eq!((pd, mr), (None, None), "B8: an object in spite of {fault:?}");
        }
    }
    let other = env.mr(pd);
    is_well(env, other);
}

fn domain(env: &mut Env) {
    for fault in Fault::PANICS {
        let pd = env.pd();
        env.control.plan(Step::ClosePd, fault);
        env.close_pd(pd).has(STATUS_SUCCESS);
        // A future that panics when it is dropped had done its work before.
        if fault != Fault::PanicInDrop {
            env.expect_leak(pd);
        }
    }
    let pd = env.pd();
    env.control.trap(Trap::DropPd);
    env.close_pd(pd).success();
    let pd = env.pd();
    env.control.trap(Trap::PrivilegedToken);
    // SAFETY: the domain is open.
    assert_eq!(unsafe { env.route.privileged_token(pd) }, 0, "B8: a panicking getter");
    let other = env.mr(pd);
    is_well(env, other);
}
