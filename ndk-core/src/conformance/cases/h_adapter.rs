//! Rule H5: the close of the adapter blocks until nothing of it is left.

use super::super::case::{
    Case, framework,
    ruled_out::{BORROWED, CLOSED},
};
use super::super::control::Step;
use super::super::env::Env;
use super::super::hooks::leave_out;
use super::super::outcome::Status;
use super::super::route::Raw;
use super::super::session::Session;
use super::super::ticket::{Done, lock};
use crate::abi::*;
use crate::error::ErrorKind;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub(super) const CASES: &[Case] = &[
    Case::new("H5", "nothing_open", nothing_open),
    Case::new("H5", "names_what_is_open", names_what_is_open).own().needs(framework),
    Case::new("H5", "asked_while_domains_close", asked_while_domains_close)
        .raw(CLOSED)
        .needs(framework),
    Case::new("H5", "waits_for_callbacks", waits_for_callbacks),
    Case::new("H5", "waits_for_a_creation", waits_for_a_creation).own().raw(BORROWED),
    Case::new("H5", "refused_inside_a_callback", refused_inside_a_callback).inside(),
];

fn nothing_open(env: &mut Env) {
    let pd = env.pd();
    let mr = env.mr(pd);
    env.close(mr).success();
    env.close_pd(pd).success();
    assert!(env.take_session().close().is_ok(), "H5: nothing is open");
}

fn names_what_is_open(env: &mut Env) {
    let pd = env.pd();
    let mr = env.mr(pd);
    let refused = env.take_session().try_close().expect_err("H5: a region is open");
    env.put_session(refused.session);
    let text = refused.error.to_string();
    assert!(text.contains("/pd") && text.contains("/mr"), "H5: what is open is named: {text}");
    env.close(mr).success();
    let refused = env.take_session().try_close().expect_err("H5: a domain is open");
    env.put_session(refused.session);
    assert_eq!(refused.error.kind(), ErrorKind::DeviceBusy);
    env.close_pd(pd).success();
    assert!(env.take_session().try_close().is_ok(), "H5: nothing is open");
}

/// The names of what is open are read on one thread while domains come and go on another.
fn asked_while_domains_close(env: &mut Env) {
    let (adapter, anchor) = (env.adapter(), env.pd());
    let over = Arc::new(AtomicBool::new(false));
    let (mut session, asked_enough) = (env.take_session(), over.clone());
    let asker = thread::spawn(move || {
        while !asked_enough.load(Ordering::SeqCst) {
            session = session.try_close().expect_err("H5: the anchor is open").session;
        }
        session
    });
    for _ in 0..200 {
        let pd = env.pd_of(adapter);
        let mr = env.mr(pd);
        env.close(mr).success();
        env.close_pd(pd).success();
    }
    over.store(true, Ordering::SeqCst);
    let session = asker.join().expect("the asking thread does not panic");
    env.put_session(session);
    env.close_pd(anchor).success();
}

/// Closes the adapter on a thread; `log` gets "adapter" when that is done.
fn close_on_thread(
    session: Box<dyn Session>,
    log: Arc<Mutex<Vec<&'static str>>>,
) -> JoinHandle<()> {
    thread::spawn(move || {
        assert!(session.close().is_ok(), "H5: on no callback's thread");
        lock(&log).push("adapter");
    })
}

impl Env {
    /// Waits until the close of the adapter has begun, by what it does to a new domain; it must find something open.
    fn until_adapter_closes(&mut self, adapter: Raw<NDK_ADAPTER>) {
        loop {
            let (outcome, made) = self.create_pd_of(adapter);
            let Some(made) = made else {
                outcome.has(STATUS_INVALID_DEVICE_STATE);
                return;
            };
            self.close_pd(made).has(STATUS_SUCCESS);
            thread::yield_now();
        }
    }
}

fn waits_for_callbacks(env: &mut Env) {
    let (adapter, pd) = (env.adapter(), env.pd());
    let mr = env.mr(pd);
    let log = Arc::new(Mutex::new(Vec::new()));
    let closing = close_on_thread(env.take_session(), log.clone());
    if !env.is_safe() && !env.device.table_alone {
        // A safe consumer that closes has nothing left to ask, and a table alone may answer as it likes; what is to come
        // last is seen all the same.
        env.until_adapter_closes(adapter);
    } else {
        // Decides nothing of a close that waits; one that does not has time to return.
        thread::sleep(Duration::from_millis(20));
    }
    env.register_and_note(mr, &log);
    assert!(!lock(&log).contains(&"adapter"), "H5: a region is open");
    env.close_and_note(mr, pd, &log);
    assert!(closing.join().is_ok());
    let log = lock(&log);
    assert_eq!(log.last(), Some(&"adapter"), "H5: after every callback has returned: {log:?}");
}

impl Env {
    /// Work goes on in what is open while the adapter waits.
    fn register_and_note(
        &mut self,
        mr: super::super::route::Mr,
        log: &Arc<Mutex<Vec<&'static str>>>,
    ) {
        let (page, ticket, log) = (self.page(), self.ticket(), log.clone());
        ticket.on_call(move |_| lock(&log).push("register"));
        // SAFETY: a live region, and memory that is kept.
        let issued =
            self.issue_with(ticket, |route, done| unsafe { route.register(mr, page.all(0), done) });
        self.finish(issued).success();
    }

    fn close_and_note(
        &mut self,
        mr: super::super::route::Mr,
        pd: super::super::route::Pd,
        log: &Arc<Mutex<Vec<&'static str>>>,
    ) {
        let tickets = [self.ticket(), self.ticket()];
        for (ticket, what) in tickets.iter().zip(["region", "domain"]) {
            let log = log.clone();
            ticket.on_call(move |_| lock(&log).push(what));
        }
        let [region, domain] = tickets;
        self.forget_region(mr);
        self.forget_domain(pd);
        // SAFETY: for both, alive, and not used afterwards.
        let domain = self.issue_with(domain, |route, done| unsafe { route.close_pd(pd, done) });
        // SAFETY: as said.
        let region = self.issue_with(region, |route, done| unsafe { route.close_mr(mr, done) });
        self.finish(region).success();
        self.finish(domain).has(STATUS_SUCCESS);
    }
}

/// A domain that is being created keeps the adapter, though nothing has a name yet.
fn waits_for_a_creation(env: &mut Env) {
    let (adapter, log) = (env.adapter(), Arc::new(Mutex::new(Vec::new())));
    env.control.hold(Step::CreatePd);
    let mut out: *mut NDK_PD = null_mut();
    // SAFETY: the adapter is open; `out` need live only until the entry has returned.
    let create = env.issue(|route, done| unsafe { route.create_pd(adapter, done, &raw mut out) });
    assert_eq!(Status(create.returned), Status(STATUS_PENDING));
    let closing = close_on_thread(env.take_session(), log.clone());
    env.control.release(Step::CreatePd);
    let created = env.finish(create);
    created.has(STATUS_SUCCESS);
    let pd = Raw(std::ptr::with_exposed_provenance_mut(created.calls[0].object));
    assert!(lock(&log).is_empty(), "H5: a domain is open");
    env.close_pd(pd).has(STATUS_SUCCESS);
    assert!(closing.join().is_ok());
    assert_eq!(*lock(&log), ["adapter"]);
}

/// Both the blocking close and, where it finds something open, the trying one.
fn refused_inside_a_callback(env: &mut Env) {
    let asks_twice = !env.device.table_alone;
    if env.is_safe() && env.device.table_alone {
        leave_out(
            "to a consumer, the close of an adapter from a pointer is a function that cannot fail",
        );
    }
    let (mr, page, ticket) = (env.region(), env.page(), env.ticket());
    let session = Arc::new(Mutex::new(Some(env.take_session())));
    let (inside, refused) = (session.clone(), Arc::new(AtomicBool::new(false)));
    let seen = refused.clone();
    ticket.on_call(move |_| {
        let session = lock(&inside).take().expect("the adapter is open");
        let mut back = session.close().expect_err("H5: refused inside a callback");
        assert_eq!(back.error.kind(), ErrorKind::InvalidDeviceState);
        if asks_twice {
            back = back.session.try_close().expect_err("H5: a region is open");
        }
        *lock(&inside) = Some(back.session);
        seen.store(true, Ordering::SeqCst);
    });
    let returned = {
        let (route, done) = (env.route.clone(), Done::of(&ticket));
        // SAFETY: a live region, and memory that is kept.
        ticket.enter(|| unsafe { route.register(mr, page.all(0), done) })
    };
    env.settle(&ticket, returned);
    env.finish(super::super::env::Issued { returned, ticket }).success();
    assert!(refused.load(Ordering::SeqCst));
    let session = lock(&session).take().expect("the adapter is still open");
    env.put_session(session);
}
