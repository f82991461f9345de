//! What is done about a mistake, and who can read of it.

use crate::calls::*;
use ndk_backend_sim::{Fabric, factory};
use ndk_core::abi::*;
use ndk_core::backend::Registry;
use ndk_core::consumer::Adapter;
use ndk_core::mdl::{Buffer, Mdl};
use ndk_core::verifier::{Policy, Verifier};
use ndk_core::{Access, ErrorKind, Opened, Std, ThreadPool};
use std::sync::{Arc, Mutex};

/// What the log of this process got from the verifier.
static LINES: Mutex<Vec<(log::Level, String)>> = Mutex::new(Vec::new());

struct Listener;

impl log::Log for Listener {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.target().contains("verifier") {
            LINES.lock().unwrap().push((record.level(), record.args().to_string()));
        }
    }

    fn flush(&self) {}
}

/// Lines of a mistake on the adapter of that name.
fn lines(adapter: &str) -> Vec<(log::Level, String)> {
    let lines = LINES.lock().unwrap();
    lines.iter().filter(|(_, line)| line.contains(adapter)).cloned().collect()
}

#[test]
fn a_mistake_is_logged_once_or_only_counted() {
    log::set_logger(&Listener).expect("no logger before");
    log::set_max_level(log::LevelFilter::Warn);
    for (policy, logged) in [("log", 1), ("fail", 1), ("count", 0)] {
        let program = open(&format!("verify(policy={policy})+sim:{policy}ging"));
        let pd = program.domain();
        let mr = region(pd, false);
        assert_eq!(close(mr), STATUS_SUCCESS);
        (0..3).for_each(|_| assert_eq!(deregister(mr), STATUS_INVALID_DEVICE_STATE));
        assert_eq!(program.consumer("V3", "/mr").times, 3);
        let lines = lines(&format!("{policy}ging"));
        assert_eq!(lines.len(), logged, "{lines:#?}");
        if let Some((level, line)) = lines.first() {
            assert_eq!(*level, log::Level::Warn);
            assert!(line.starts_with("consumer mistake [V3, H7]: "), "{line}");
            assert!(line.contains("  right: ") && line.contains("  created:\n    "), "{line}");
        }
        program.end(pd);
    }
}

#[test]
fn a_mistake_that_the_framework_lets_pass_fails_where_mistakes_fail() {
    let program = open("verify(policy=fail)+sim?latency=register:3600s");
    let pd = program.domain();
    let (first, second, mdl) = (region(pd, false), region(pd, false), memory(100));
    let ticket = Ticket::new();
    assert_eq!(register_with(first, &mdl, 0, ticket), STATUS_PENDING);
    assert_eq!(register_with(second, &mdl, 0, ticket), STATUS_INVALID_PARAMETER);
    program.consumer("V7", "/mr3");
    // The region is as it was.
    assert_eq!(register_with(second, &mdl, 0, Ticket::new()), STATUS_PENDING);
    assert_eq!((close(first), close(second)), (STATUS_SUCCESS, STATUS_SUCCESS));
    program.end(pd);
}

#[test]
fn a_registration_over_a_chain_that_was_changed_is_taken_back_where_mistakes_fail() {
    let program = open("verify(policy=fail)+sim?latency=register:1s");
    let pd = program.domain();
    let (mr, mdl, ticket) = (region(pd, false), memory(100), Ticket::new());
    let status = register_with(mr, &mdl, 0, ticket);
    assert_eq!(status, STATUS_PENDING);
    // SAFETY: the simulator has read the chain when it waits.
    unsafe { (*mdl.as_ptr()).ByteCount -= 1 };
    // The executor's thread takes this one first, and so reads what was written before it.
    let (other, chain, after) = (region(pd, false), memory(100), Ticket::new());
    let pending = register_with(other, &chain, 0, after);
    assert_eq!(ticket.wait(status), STATUS_INVALID_PARAMETER);
    assert_eq!(after.wait(pending), STATUS_SUCCESS);
    assert_eq!(close(other), STATUS_SUCCESS);
    program.consumer("V8", "/mr");
    assert_eq!(deregister(mr), STATUS_INVALID_DEVICE_STATE, "it is not registered");
    assert_eq!(close(mr), STATUS_SUCCESS);
    program.end(pd);
}

#[test]
fn findings_are_read_from_the_adapter_the_verifier_or_not_at_all() {
    let verifier = Verifier::new().policy(Policy::Count).backtraces(false);
    let backends = Registry::new()
        .with("sim", "a simulated adapter", factory(Fabric::new()))
        .verifier(verifier.clone());
    let pool = || Arc::new(ThreadPool::new(1).unwrap());
    let version = NDK_VERSION { Major: 1, Minor: 2 };
    let open = |name| backends.open(name, pool(), version).unwrap();
    let (one, other, plain) = (open("verify+sim:one"), open("verify+sim:other"), open("sim:plain"));
    let close_early = |opened: &Opened<_, Std>| {
        let mut pd = std::ptr::null_mut();
        // SAFETY: the adapter is open; a null completion is refused.
        let refused = unsafe { opened.adapter().create_pd(None, std::ptr::null_mut(), &mut pd) };
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidParameter);
    };
    [&one, &plain].into_iter().for_each(close_early);
    assert_eq!((one.findings().len(), other.findings().len()), (1, 0));
    assert!(plain.findings().is_empty() && one.findings()[0].created.is_empty());
    close_early(&other);
    assert_eq!((verifier.findings().len(), verifier.counts().consumer), (2, 2));
    assert_eq!(verifier.findings()[1].object, "other");
    for opened in [one, other, plain] {
        opened.close().unwrap();
    }
}

#[test]
fn the_safe_consumer_is_verified_too() {
    let program = open("verify+sim");
    let adapter = Adapter::from(program.opened);
    let domain = adapter.create_domain_blocking().unwrap();
    let region = domain.create_region_blocking().unwrap();
    let mdl = Mdl::new(&Buffer::new(100).unwrap()).unwrap();
    let region = region.register_blocking(mdl, Access::REMOTE_READ).map_err(|f| f.error).unwrap();
    assert!(region.remote_token().is_some());
    let (region, _memory) = region.deregister_blocking().map_err(|f| f.error).unwrap();
    region.close_blocking().unwrap();
    domain.close_blocking().unwrap();
    adapter.close().map_err(|f| f.error).unwrap();
    assert_eq!(program.verifier.findings(), []);
}
