//! Section G: initialisation for fast registration. Arguments and rounds of it are in `g_arguments` and `g_work`.

use super::super::case::{
    Case, fast_registration,
    ruled_out::{PENDING, STATE},
};
use super::super::control::{Fault, Step};
use super::super::env::{Env, Issued};
use super::super::outcome::Status;
use super::super::ticket::{Done, lock};
use crate::abi::*;
use crate::error::ErrorKind;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

pub(super) const CASES: &[Case] = &[
    Case::new("G1", "conventional_region", conventional_region).raw(STATE),
    Case::new("G2", "page_counts", page_counts).needs(fast_registration),
    Case::new("G3", "one_after_another", one_after_another).needs(fast_registration),
    Case::new("G3", "in_parallel", in_parallel).own().raw(PENDING).needs(fast_registration),
    Case::new("G3", "last_one_fails", last_one_fails).own().raw(PENDING).needs(fast_registration),
    Case::new("G3", "by_many_threads", by_many_threads).raw(PENDING).needs(fast_registration),
];

fn conventional_region(env: &mut Env) {
    let (mr, page) = (env.region(), env.page());
    env.initialise(mr, 1, true).refused(STATUS_INVALID_DEVICE_STATE);
    env.register(mr, page.all(0)).success();
    let tokens = env.tokens(mr);
    env.initialise(mr, 1, true).refused(STATUS_INVALID_DEVICE_STATE);
    assert_eq!(env.tokens(mr), tokens, "G1: state kept");
    env.deregister(mr).success();
}

/// Up to so many pages a fast registration must find memory, 64 MiB of it.
pub(super) const MANY_PAGES: ULONG = 1 << 14;

fn page_counts(env: &mut Env) {
    let (mr, most) = (env.fast_region(), env.device.info.FRMRPageCount);
    let too_many = most.checked_add(1).map(|more| [more, ULONG::MAX]);
    env.initialise(mr, 0, true).refused(STATUS_INVALID_PARAMETER);
    for pages in too_many.into_iter().flatten() {
        env.initialise(mr, pages, true).refused(STATUS_IMPLEMENTATION_LIMIT);
    }
    assert_eq!(env.tokens(mr), (0, 0), "B7: nothing was initialised");
    env.initialise(mr, most.min(MANY_PAGES), true).success();
    let tokens = env.tokens(mr);
    for pages in too_many.into_iter().flatten() {
        env.initialise(mr, pages, false).refused(STATUS_IMPLEMENTATION_LIMIT);
    }
    assert_eq!(env.tokens(mr), tokens, "B7: as before");
    env.initialise(mr, 1, true).success();
}

fn one_after_another(env: &mut Env) {
    let mr = env.fast_region();
    for round in 0..10 {
        let remote = round % 3 == 0;
        env.initialise(mr, 1, remote).success();
        env.has_tokens(mr, remote, format_args!("G3: the last one decides (round {round})"));
    }
}

/// The first waits at the gate, the others behind it. Each completes once, and the last to complete decides.
fn in_parallel(env: &mut Env) {
    for remote in [[true, false, true, false], [false, true, false, true]] {
        let mr = env.fast_region();
        env.control.hold(Step::Initialise);
        let order = Arc::new(Mutex::new(Vec::new()));
        let issued = remote.map(|remote| {
            let (ticket, order) = (env.ticket(), order.clone());
            ticket.on_call(move |_| lock(&order).push(remote));
            // SAFETY: a live region.
            env.issue_with(ticket, |route, done| unsafe { route.initialise(mr, 1, remote, done) })
        });
        env.run_until_idle();
        env.control.release(Step::Initialise);
        for issued in issued {
            assert_eq!(Status(issued.returned), Status(STATUS_PENDING));
            env.finish(issued).has(STATUS_SUCCESS);
        }
        let last = *lock(&order).last().expect("four callbacks");
        env.has_tokens(mr, last, "G3: the last one committed decides");
    }
}

/// One that fails decides nothing: the region stays as the one before made it.
fn last_one_fails(env: &mut Env) {
    let mr = env.fast_region();
    env.control.hold(Step::Initialise);
    let first = env.start_initialise(mr, 1, true);
    env.control.plan(Step::Initialise, Fault::Fail(ErrorKind::InsufficientResources));
    let last = env.start_initialise(mr, 1, false);
    env.control.release(Step::Initialise);
    env.finish(first).has(STATUS_SUCCESS);
    env.finish(last).has(STATUS_INSUFFICIENT_RESOURCES);
    let (local, remote) = env.tokens(mr);
    assert!(local != 0 && remote != 0, "G3: initialised by the first: {local:#x}, {remote:#x}");
}

fn by_many_threads(env: &mut Env) {
    const THREADS: usize = 4;
    let mr = env.fast_region();
    for _ in 0..20 {
        let tickets: [_; THREADS] = std::array::from_fn(|_| env.ticket());
        let start = Barrier::new(THREADS);
        let initialise = |ticket| {
            start.wait();
            // SAFETY: a live region.
            unsafe { env.route.initialise(mr, 1, true, Done::of(ticket)) }
        };
        let returned = thread::scope(|scope| {
            let handles = tickets.each_ref().map(|ticket| scope.spawn(move || initialise(ticket)));
            handles.map(|handle| handle.join().expect("an entry does not panic"))
        });
        for (ticket, returned) in tickets.into_iter().zip(returned) {
            env.settle(&ticket, returned);
            env.finish(Issued { returned, ticket }).has(STATUS_SUCCESS);
        }
        assert_ne!(env.tokens(mr).1, 0);
    }
}
