//! Section H: consumers that do not wait (H6), entries of what is being closed (H7), and a lost device (H8).

use super::super::case::{
    Case,
    ruled_out::{CLOSED, PENDING},
};
use super::super::control::Step;
use super::super::env::Env;
use super::super::lam::Lam;
use super::super::outcome::Status;
use super::super::route::{Mr, Pd, Raw};
use super::super::table::{entry, pd_table};
use super::h::{REMOTE, pends};
use crate::abi::*;
use crate::provider::RegionKind;
use std::ptr::{null, null_mut};

pub(super) const CASES: &[Case] = &[
    Case::new("H6", "nobody_waits", nobody_waits),
    Case::new("H6", "nobody_waits_for_requests", nobody_waits_for_requests).own(),
    Case::new("H7", "region_closing", region_closing).own().raw(CLOSED),
    Case::new("H7", "region_closing_with_request", region_closing_with_request).own().raw(PENDING),
    Case::new("H7", "domain_closing", domain_closing).own().raw(CLOSED),
    Case::new("H7", "domain_entries", domain_entries).own().table(),
    Case::new("H8", "new_requests", new_requests),
    Case::new("H8", "pending_requests", pending_requests).own(),
];

/// Closes everything, parents first, and looks at no result. The end of the case sees that all is freed.
fn nobody_waits(env: &mut Env) {
    let (pd, page) = (env.pd(), env.page());
    let regions: Vec<_> = (0..4).map(|_| env.mr(pd)).collect();
    for &mr in &regions[1..] {
        env.register(mr, page.all(REMOTE)).success();
    }
    env.abandon_pd(pd);
    for mr in regions {
        env.abandon(mr, None);
    }
}

fn nobody_waits_for_requests(env: &mut Env) {
    let (pd, page) = (env.pd(), env.page());
    env.control.set_yields(true);
    let mut out = null_mut();
    let kind = RegionKind::Conventional;
    // SAFETY: the domain is open; `out` need live only until the entry has returned.
    let create = env.issue(|route, done| unsafe { route.create_mr(pd, kind, done, &raw mut out) });
    let created = env.finish(create).calls[0].object;
    let mr = Raw(std::ptr::with_exposed_provenance_mut(created));
    let request = env.start_register(mr, page.all(REMOTE));
    env.abandon(mr, Some(request));
    env.abandon_pd(pd);
}

/// Every entry of a region that is being closed.
#[track_caller]
fn is_closing(env: &mut Env, mr: Mr) {
    let (page, state) = (env.page(), STATUS_INVALID_DEVICE_STATE);
    env.register(mr, page.all(0)).refused(state);
    env.register(mr, page.first(0, 0xffff)).refused(state);
    env.deregister(mr).refused(state);
    env.initialise(mr, 1, true).refused(state);
    env.initialise(mr, 0, true).refused(state);
    assert_eq!(env.tokens(mr), (0, 0), "H7: the getters");
    let (id, mut out) = (GUID::default(), NDK_EXTENSION_INTERFACE { Dispatch: null() });
    // SAFETY: the region is there until its close has completed.
    let status =
        unsafe { env.route.query_extension(mr, &id, NDK_VERSION { Major: 1, Minor: 0 }, &mut out) };
    assert_eq!(Status(status), Status(state));
    let second = env.start_close(mr);
    env.finish(second).refused(state);
}

fn region_closing(env: &mut Env) {
    let mr = env.registered(REMOTE);
    env.control.hold(Step::CloseMr);
    let close = env.start_close(mr);
    pends(&close);
    is_closing(env, mr);
    env.run_until_idle();
    is_closing(env, mr);
    env.control.release(Step::CloseMr);
    env.finish(close).has(STATUS_SUCCESS);
}

fn region_closing_with_request(env: &mut Env) {
    let (mr, page) = (env.region(), env.page());
    env.control.set_deaf(true);
    env.control.hold(Step::Register);
    let request = env.start_register(mr, page.all(0));
    let close = env.start_close(mr);
    is_closing(env, mr);
    env.control.release(Step::Register);
    // Behind the gate the backend may have heard of the cancellation, or not.
    env.finish(request);
    env.finish(close).has(STATUS_SUCCESS);
}

#[track_caller]
fn domain_is_closing(env: &mut Env, pd: Pd) {
    let (outcome, mr) = env.create_mr(pd, RegionKind::Conventional);
    outcome.refused(STATUS_INVALID_DEVICE_STATE);
    assert_eq!(mr, None);
    let second = env.start_close_pd(pd);
    env.finish(second).refused(STATUS_INVALID_DEVICE_STATE);
    // SAFETY: the domain is there until its close has completed.
    assert_eq!(unsafe { env.route.privileged_token(pd) }, 0, "H7: the getter");
}

fn domain_closing(env: &mut Env) {
    let pd = env.pd();
    let mr = env.mr(pd);
    let domain = env.start_close_pd(pd);
    domain_is_closing(env, pd);
    env.control.hold(Step::ClosePd);
    env.close(mr).success();
    env.run_until_idle();
    assert!(!domain.ticket.is_called());
    domain_is_closing(env, pd);
    env.control.release(Step::ClosePd);
    env.finish(domain).has(STATUS_SUCCESS);
}

fn domain_entries(env: &mut Env) {
    let pd = env.pd();
    let mr = env.mr(pd);
    let domain = env.start_close_pd(pd);
    let (mut id, mut out) = (GUID::default(), NDK_EXTENSION_INTERFACE { Dispatch: null() });
    let version = NDK_VERSION { Major: 1, Minor: 0 };
    // SAFETY: the domain is there until its close has completed.
    let status = unsafe {
        entry!(pd_table(pd), NdkQueryExtension(pd.0.cast(), &raw mut id, version, &raw mut out))
    };
    assert_eq!(Status(status), Status(STATUS_INVALID_DEVICE_STATE), "H7: QueryExtension");
    let mut window = null_mut();
    // SAFETY: as above.
    let create = env.issue(|_, done| unsafe {
        entry!(pd_table(pd), NdkCreateMw(pd.0, done.routine, done.context, &raw mut window))
    });
    env.finish(create).refused(STATUS_INVALID_DEVICE_STATE);
    env.close(mr).success();
    env.finish(domain).has(STATUS_SUCCESS);
}

/// Regions for fast registration, where there are any: one that was initialised, and one that was not.
fn fast_regions(env: &mut Env, pd: Pd) -> Vec<Mr> {
    let count = if env.device.fast_registration { 2 } else { 0 };
    let regions: Vec<_> = (0..count).map(|_| env.mr_of(pd, RegionKind::FastRegister)).collect();
    if let Some(&mr) = regions.first() {
        env.initialise(mr, 1, true).success();
    }
    regions
}

fn new_requests(env: &mut Env) {
    let (pd, page) = (env.pd(), env.page());
    let (mr, registered, fast) = (env.mr(pd), env.registered(REMOTE), fast_regions(env, pd));
    env.control.lose();
    let (outcome, made) = env.create_pd();
    outcome.refused(STATUS_DEVICE_REMOVED);
    assert_eq!(made, None);
    let (outcome, made) = env.create_mr(pd, RegionKind::Conventional);
    outcome.refused(STATUS_DEVICE_REMOVED);
    assert_eq!(made, None);
    env.register(mr, page.all(0)).refused(STATUS_DEVICE_REMOVED);
    env.deregister(registered).refused(STATUS_DEVICE_REMOVED);
    for &mr in &fast {
        env.initialise(mr, 1, true).refused(STATUS_DEVICE_REMOVED);
    }
    if env.device.mappings {
        let mut lam = Lam::for_pages(1);
        let build = env.start_build(lam.arguments(&page, page.len()));
        env.finish(build).refused(STATUS_DEVICE_REMOVED);
        assert!(lam.is_untouched(), "L4: a failed build leaves no mapping");
    }
    for mr in [registered, mr].into_iter().chain(fast) {
        env.close(mr).success();
    }
    env.close_pd(pd).success();
}

/// Each kind of request waits when the device goes.
fn pending_requests(env: &mut Env) {
    let (pd, page) = (env.pd(), env.page());
    let (mr, other, fast) = (env.mr(pd), env.registered(REMOTE), fast_regions(env, pd));
    let (mut lam, adapter) = (Lam::for_pages(1), env.adapter());
    for step in [
        Step::CreatePd,
        Step::CreateMr,
        Step::Register,
        Step::Deregister,
        Step::Initialise,
        Step::BuildMapping,
    ] {
        env.control.hold(step);
    }
    let mut requests = vec![env.start_register(mr, page.all(0)), env.start_deregister(other)];
    for &mr in &fast {
        requests.push(env.start_initialise(mr, 1, true));
    }
    if env.device.mappings {
        requests.push(env.start_build(lam.arguments(&page, page.len())));
    }
    let domain = env.start_create_pd_of(adapter);
    let region = env.start_create_mr(pd, RegionKind::Conventional);
    env.run_until_idle();
    requests.iter().chain([&domain.issued, &region.issued]).for_each(pends);
    env.control.lose();
    for request in requests {
        env.finish(request).has(STATUS_DEVICE_REMOVED);
    }
    env.finish_pd(domain).0.has(STATUS_DEVICE_REMOVED);
    env.finish_mr(region).0.has(STATUS_DEVICE_REMOVED);
    assert!(lam.is_untouched(), "L4: a failed build leaves no mapping");
    for mr in [mr, other].into_iter().chain(fast) {
        env.close(mr).has(STATUS_SUCCESS);
    }
}
