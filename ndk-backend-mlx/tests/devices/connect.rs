//! Two devices, and connections by address.

use crate::common::device;
use crate::world::*;
use futures_lite::future::block_on;
use ndk_backend_mlx::{Config, MlxAdapter};
use ndk_core::{
    Access, AdapterProvider, BaseAddress, ErrorKind, QpProvider, Refusal, WorkRequest as R,
};
use std::env;
use std::net::IpAddr;

/// The address of a device, where the environment says it.
fn address(device: &str) -> Option<IpAddr> {
    let addresses = env::var("NDK_VERBS_ADDRESSES").ok()?;
    let of = addresses.split_whitespace().find_map(|entry| {
        entry.split_once('=').filter(|(name, _)| *name == device).map(|(_, address)| address)
    });
    Some(of?.parse().expect("an address"))
}

/// Moves bytes from one adapter to the other and back, and has a bad access refused.
fn exchange(left: &MlxAdapter, right: &MlxAdapter) {
    let (here, there) = (pd(left), pd(right));
    let ports = [queue_pair(left, &here), queue_pair(right, &there)];
    connect(&ports[0], &ports[1]);
    let own = Registered::new(left, &here, 9000, ALL | Access::READ_SINK);
    let far = Registered::new(right, &there, 9000, ALL | Access::REMOTE_READ);
    own.buffer.write(0, &[0x5a; 9000]).unwrap();
    let local = [own.element(9000)];
    let write = R::Write { local: &local, remote: far.at(0) };
    assert_eq!(carry_out(&ports[0], write), Ok(9000));
    let read = R::Read { local: &local, remote: far.at(0) };
    assert_eq!(carry_out(&ports[0], read), Ok(9000));
    assert_eq!(far.buffer.to_vec(), [0x5a; 9000]);
    let beyond = R::Read { local: &local, remote: far.at(1) };
    assert!(carry_out(&ports[0], beyond).is_err(), "one byte past the end");
    let far_port = &ports[1];
    post(far_port, 9, R::Receive { local: &[] }).unwrap();
    assert_eq!(completion(far_port).result, Err(ErrorKind::Cancelled), "F6: the other end too");
    close(ports);
    own.close();
    far.close();
    close_pd(left, &here);
    close_pd(right, &there);
}

fn pair() -> Option<[String; 2]> {
    let pair = device("NDK_VERBS_PAIR")?;
    let mut names = pair.split_whitespace().map(String::from);
    Some([names.next()?, names.next().expect("two devices")])
}

#[test]
fn two_devices_reach_each_other() {
    let Some([left, right]) = pair() else { return };
    exchange(&open(&left), &open(&right));
}

#[test]
fn queue_pairs_connect_by_address() {
    let Some(names) = pair() else { return };
    let [left, right] = names.map(|name| {
        let address = address(&name);
        assert!(address.is_some(), "NDK_VERBS_ADDRESSES has the address of {name}");
        open_with(Config { device: Some(name), address, ..Config::default() })
    });
    exchange(&left, &right);
}

#[test]
fn iwarp_connects_by_address() {
    let Some(name) = device("NDK_VERBS_IWARP") else { return };
    exchange(&open(&name), &open(&name));
}

#[test]
fn an_address_of_nobody_is_refused() {
    let Some(name) = device("NDK_VERBS_DEVICE") else { return };
    let address = address(&name);
    let adapter = open_with(Config { device: Some(name), address, ..Config::default() });
    let domain = pd(&adapter);
    let port = queue_pair(&adapter, &domain);
    // Smaller than any endpoint, so that nobody calls, and larger, so that nobody answers.
    for nobody in ["verbs:no", "cm:zzz"] {
        let refusal = block_on(port.connect(&ndk_core::Endpoint(nobody.into()))).unwrap_err();
        assert_eq!(refusal.kind(), ErrorKind::ConnectionRefused, "{refusal}");
    }
    close([port]);
    close_pd(&adapter, &domain);
}

#[test]
fn k1_a_try_finds_what_is_declared() {
    for variable in ["NDK_VERBS_DEVICE", "NDK_VERBS_IWARP"] {
        let Some(name) = device(variable) else { continue };
        let found = MlxAdapter::try_out(&name).expect("a try");
        let declared = open(&name).capabilities();
        assert_eq!(found.any_base_address, declared.base_address == BaseAddress::Any, "{name}");
        assert_eq!(found.remote_read_enforced, declared.remote_read_enforced, "{name}");
        if declared.refusal == Refusal::Completion {
            assert!(found.bounds_enforced, "{name}");
        }
    }
}
