//! Rule B5, of the backend itself: no entry puts the thread that calls it to sleep. The system counts how often a thread
//! gave up its processor to wait for something; no time is measured.

use super::super::case::{Case, fast_registration, mappings};
use super::super::env::Env;
use super::super::hooks::leave_out;
use super::super::lam::Lam;
use super::super::route::{Mr, Pd};
use crate::abi::{NDK_MR_FLAG_ALLOW_REMOTE_WRITE, STATUS_SUCCESS};
use crate::provider::RegionKind;
use std::fs;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

pub(super) const CASES: &[Case] = &[
    Case::new("B5", "no_thread_waits", no_thread_waits).own(),
    Case::new("B5", "no_thread_waits_fast", no_thread_waits_fast).own().needs(fast_registration),
    Case::new("B5", "no_thread_waits_mapping", no_thread_waits_mapping).own().needs(mappings),
];

/// A lock that another thread has may make a caller wait now and then, but not each time.
const TRIES: usize = 20;

/// How often this thread has waited; `None` where the system does not tell.
fn waits() -> Option<u64> {
    // Windows' programs find the file under Wine, but wait for another process that reads it.
    if !cfg!(target_os = "linux") {
        return None;
    }
    let status = fs::read_to_string("/proc/thread-self/status").ok()?;
    let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
    count.trim().parse().ok()
}

/// Leaves the case out where a wait is not to be seen.
fn must_be_told() {
    static TOLD: OnceLock<bool> = OnceLock::new();
    // A sleep that is over before it has begun, on a slow machine, is no wait.
    let told = TOLD.get_or_init(|| {
        (0..20).any(|_| {
            let before = waits();
            thread::sleep(Duration::from_millis(20));
            waits() > before
        })
    });
    if !told {
        leave_out("the system does not tell whether a thread has waited");
    }
}

/// The fewest waits of any try of each entry.
#[derive(Default)]
struct Fewest(Vec<(&'static str, u64)>);

impl Fewest {
    fn of<R>(&mut self, entry: &'static str, call: impl FnOnce() -> R) -> R {
        let before = waits().unwrap_or_default();
        let result = call();
        let count = waits().unwrap_or_default() - before;
        match self.0.iter_mut().find(|(known, _)| *known == entry) {
            Some((_, fewest)) => *fewest = count.min(*fewest),
            None => self.0.push((entry, count)),
        }
        result
    }

    #[track_caller]
    fn none_waited(&self) {
        let waited: Vec<_> = self.0.iter().filter(|(_, fewest)| *fewest > 0).collect();
        assert!(waited.is_empty(), "B5: entries that put their caller to sleep: {waited:?}");
    }
}

impl Env {
    #[track_caller]
    fn watched_pd(&mut self, fewest: &mut Fewest) -> Pd {
        let adapter = self.adapter();
        let creation = fewest.of("CreatePd", || self.start_create_pd_of(adapter));
        let (outcome, pd) = self.finish_pd(creation);
        outcome.success();
        pd.expect("a domain")
    }

    #[track_caller]
    fn watched_mr(&mut self, fewest: &mut Fewest, pd: Pd, kind: RegionKind) -> Mr {
        let creation = fewest.of("CreateMr", || self.start_create_mr(pd, kind));
        let (outcome, mr) = self.finish_mr(creation);
        outcome.success();
        mr.expect("a region")
    }
}

fn no_thread_waits(env: &mut Env) {
    must_be_told();
    let (mut fewest, page) = (Fewest::default(), env.page());
    for _ in 0..TRIES {
        let pd = env.watched_pd(&mut fewest);
        let mr = env.watched_mr(&mut fewest, pd, RegionKind::Conventional);
        let all = page.all(NDK_MR_FLAG_ALLOW_REMOTE_WRITE);
        let register = fewest.of("Register", || env.start_register(mr, all));
        env.finish(register).success();
        fewest.of("the token getters", || env.tokens(mr));
        let deregister = fewest.of("Deregister", || env.start_deregister(mr));
        env.finish(deregister).success();
        let close = fewest.of("Close of a region", || env.start_close(mr));
        env.finish(close).success();
        let close = fewest.of("Close of a domain", || env.start_close_pd(pd));
        env.finish(close).success();
    }
    fewest.none_waited();
}

fn no_thread_waits_fast(env: &mut Env) {
    must_be_told();
    let (mut fewest, pd) = (Fewest::default(), env.pd());
    for _ in 0..TRIES {
        let mr = env.watched_mr(&mut fewest, pd, RegionKind::FastRegister);
        let initialise = fewest.of("Initialise", || env.start_initialise(mr, 1, true));
        env.finish(initialise).success();
        let close = fewest.of("Close of a region", || env.start_close(mr));
        env.finish(close).success();
    }
    fewest.none_waited();
}

fn no_thread_waits_mapping(env: &mut Env) {
    must_be_told();
    let (mut fewest, page) = (Fewest::default(), env.page());
    for _ in 0..TRIES {
        let mut lam = Lam::for_pages(1);
        let arguments = lam.arguments(&page, page.len());
        let build = fewest.of("BuildLAM", || env.start_build(arguments));
        env.finish(build).has(STATUS_SUCCESS);
        fewest.of("ReleaseLAM", || env.release(&mut lam));
    }
    fewest.none_waited();
}
