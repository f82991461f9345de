//! A device that is removed under its users, and a limit of locked memory.

use crate::common::device;
use crate::world::*;
use futures_lite::future::block_on;
use ndk_backend_mlx::{Config, MlxAdapter};
use ndk_core::mdl::{Buffer, Mdl};
use ndk_core::{AdapterProvider, ErrorKind, MrProvider, WorkRequest as R};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn rdma(arguments: &str) {
    let status = Command::new("rdma").args(arguments.split_whitespace()).status();
    assert!(status.expect("the program rdma").success(), "rdma {arguments}");
}

/// Ends a hang; no passing test waits for it.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn h8_a_removed_device_ends_what_is_pending_and_everything_can_be_closed() {
    let Some(name) = device("NDK_VERBS_DEVICE") else { return };
    if std::env::var_os("NDK_VERBS_REMOVABLE").is_none() {
        eprintln!("NOT RUN: the device cannot be removed under a program; see docs/verbs-vm.md");
        return;
    }
    let adapter = open(&name);
    let domains = [pd(&adapter), pd(&adapter)];
    let ports = [queue_pair(&adapter, &domains[0]), queue_pair(&adapter, &domains[1])];
    connect(&ports[0], &ports[1]);
    let target = Registered::new(&adapter, &domains[0], 4096, ALL);
    let idle = region(&adapter, &domains[0]);
    for context in 0..3 {
        post(&ports[0], context, R::Receive { local: &[] }).unwrap();
    }
    rdma(&format!("link delete {name}"));
    let removed = Instant::now();
    while !adapter.is_lost() {
        assert!(removed.elapsed() < PATIENCE, "H8: nobody noticed");
        std::thread::sleep(Duration::from_millis(5));
    }
    for context in 0..3 {
        let done = completion(&ports[0]);
        assert_eq!((done.id.context, done.result), (context, Err(ErrorKind::Cancelled)), "H8");
    }
    let refusal = register(&idle, &target.mdl, ALL).unwrap_err();
    assert_eq!(refusal.kind(), ErrorKind::DeviceRemoved, "{refusal}");
    assert_eq!(block_on(target.region.deregister()), Ok(()), "it is gone, which is done");
    target.close();
    block_on(idle.close()).unwrap();
    close(ports);
    domains.iter().for_each(|domain| close_pd(&adapter, domain));
    drop(adapter);
    let gone = MlxAdapter::open(Config { device: Some(name.clone()), ..Config::default() });
    let gone = gone.err().expect("there is no such device now");
    assert!(gone.detail().contains(&name), "{gone}");
    rdma(&format!("link add {name} type rxe netdev dummy0"));
    drop(open(&name));
}

/// Set for the process that runs under the limit.
const LIMITED: &str = "NDK_TEST_LIMITED";

#[test]
fn c14_a_limit_of_locked_memory_is_told_with_its_figure() {
    let Some(name) = device("NDK_VERBS_DEVICE") else { return };
    if std::env::var_os(LIMITED).is_some() {
        return under_the_limit(&name);
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.ci/vm/memlock");
    let output = Command::new(script)
        .arg("64")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "faults::c14_a_limit_of_locked_memory_is_told_with_its_figure"])
        .env(LIMITED, "1")
        .output()
        .expect("a process under the limit");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn under_the_limit(name: &str) {
    let adapter = open(name);
    let domain = pd(&adapter);
    let small = Registered::new(&adapter, &domain, 4096, ALL);
    let large = Buffer::new(1 << 20).unwrap();
    let mdl = Mdl::builder().buffer(&large).build().unwrap();
    let region = region(&adapter, &domain);
    let refusal = register(&region, &mdl, ALL).unwrap_err();
    assert_eq!(refusal.kind(), ErrorKind::InsufficientResources, "{refusal}");
    assert!(refusal.detail().contains("64 KiB"), "the figure: {refusal}");
    assert_eq!(region.local_token(), None, "B7");
    // What fits goes on, again and again.
    for _ in 0..100 {
        register(&region, &small.mdl, ALL).unwrap();
        block_on(region.deregister()).unwrap();
    }
    block_on(region.close()).unwrap();
    small.close();
    close_pd(&adapter, &domain);
}

/// Set for the process that is killed.
const KILLED: &str = "NDK_TEST_KILLED";

#[test]
fn a_killed_program_leaves_the_device_to_the_next() {
    let Some(name) = device("NDK_VERBS_DEVICE") else { return };
    let (adapter, domains, ports) = two_domains(&name);
    let target = Registered::new(&adapter, &domains[0], 1 << 20, ALL);
    if std::env::var_os(KILLED).is_some() {
        println!("registered");
        std::thread::sleep(PATIENCE);
        return;
    }
    for _ in 0..3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "faults::a_killed_program_leaves_the_device_to_the_next",
                "--nocapture",
            ])
            .env(KILLED, "1")
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process to be killed");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = lines.map_while(Result::ok).any(|line| line.contains("registered"));
        assert!(said, "it has registered memory and connected queue pairs");
        child.kill().unwrap();
        child.wait().unwrap();
        block_on(target.region.deregister()).unwrap();
        register(&target.region, &target.mdl, ALL).unwrap();
    }
    close(ports);
    target.close();
    domains.iter().for_each(|domain| close_pd(&adapter, domain));
}
