//! Section D: deregistration.

use super::super::case::{Case, Device, fast_registration, ruled_out::STATE};
use super::super::env::Env;
use crate::abi::*;
use crate::capabilities::TokenReuse;
use std::collections::HashMap;

pub(super) const CASES: &[Case] = &[
    Case::new("D1", "never_registered", never_registered).raw(STATE),
    Case::new("D1", "twice", twice).raw(STATE),
    Case::new("D1", "fast_region", fast_region).raw(STATE).needs(fast_registration),
    Case::new("D4", "again_with_other_memory", again_with_other_memory),
    Case::new("D4", "token_distance", token_distance).own().needs(token_distance_declared),
    Case::new("D5", "bytes_stay", bytes_stay),
    Case::new("D5", "owner_writes_stay", owner_writes_stay),
];

const REMOTE: ULONG = NDK_MR_FLAG_ALLOW_REMOTE_WRITE;

fn never_registered(env: &mut Env) {
    let mr = env.region();
    env.deregister(mr).refused(STATUS_INVALID_DEVICE_STATE);
    let page = env.page();
    env.register(mr, page.first(0, 0)).refused(STATUS_INVALID_PARAMETER);
    env.deregister(mr).refused(STATUS_INVALID_DEVICE_STATE);
}

fn twice(env: &mut Env) {
    let (mr, page) = (env.registered(REMOTE), env.page());
    for _ in 0..2 {
        env.deregister(mr).success();
        env.deregister(mr).refused(STATUS_INVALID_DEVICE_STATE);
        env.register(mr, page.all(REMOTE)).success();
    }
}

fn fast_region(env: &mut Env) {
    let mr = env.fast_region();
    env.deregister(mr).refused(STATUS_INVALID_DEVICE_STATE);
    env.initialise(mr, 1, true).success();
    let tokens = env.tokens(mr);
    env.deregister(mr).refused(STATUS_INVALID_DEVICE_STATE);
    assert_eq!(env.tokens(mr), tokens, "D1: nothing changed");
}

fn again_with_other_memory(env: &mut Env) {
    let mr = env.region();
    let memories = [env.memory(1, 7), env.memory(5 * PAGE_SIZE, 100), env.memory(PAGE_SIZE, 0)];
    let mut old = Vec::new();
    for (memory, flags) in memories.iter().zip([REMOTE, 0, NDK_MR_FLAG_ALLOW_REMOTE_READ]) {
        env.register(mr, memory.all(flags)).success();
        let (local, remote) = env.tokens(mr);
        assert_eq!(remote != 0, flags != 0, "the rights are the new ones");
        if env.device.capabilities.token_reuse != TokenReuse::Unknown {
            assert!(!old.contains(&local), "D4: {local:#x} is a token of an earlier registration");
            old.push(local);
        }
        env.deregister(mr).success();
        assert_eq!(env.tokens(mr), (0, 0));
    }
}

fn token_distance_declared(device: &Device) -> Option<&'static str> {
    let unknown = device.capabilities.token_reuse == TokenReuse::Unknown;
    unknown.then_some("the device declares no distance between two uses of a token (K1)")
}

fn token_distance(env: &mut Env) {
    let TokenReuse::After(distance) = env.device.capabilities.token_reuse else {
        unreachable!("checked before");
    };
    let distance = distance.min(65_536) as usize;
    let rounds = env.sample(distance + 1000, 2000);
    let (mr, page) = (env.region(), env.page());
    let mut retired: HashMap<u32, usize> = HashMap::new();
    for round in 0..rounds {
        env.register(mr, page.all(REMOTE)).success();
        let (local, remote) = env.tokens(mr);
        for token in [local, remote] {
            if let Some(before) = retired.get(&token) {
                let since = round - before;
                assert!(since > distance, "D4: {token:#x} came back after {since} deregistrations");
            }
        }
        env.deregister(mr).success();
        retired.insert(local, round);
        retired.insert(remote, round);
    }
}

fn bytes_stay(env: &mut Env) {
    let (mr, memory) = (env.region(), env.memory(2 * PAGE_SIZE, 77));
    let bytes: Vec<u8> = (0..memory.len()).map(|index| (index * 7 + index / 251) as u8).collect();
    memory.buffer.write(0, &bytes).expect("it fits");
    for flags in [0, REMOTE, NDK_MR_FLAG_ALLOW_REMOTE_READ | NDK_MR_FLAG_RDMA_READ_SINK] {
        env.register(mr, memory.all(flags)).success();
        assert!(memory.buffer.to_vec() == bytes, "D5: registering changed bytes");
        env.deregister(mr).success();
        assert!(memory.buffer.to_vec() == bytes, "D5: deregistering changed bytes");
    }
    env.register(mr, memory.all(REMOTE)).success();
    env.close(mr).success();
    assert!(memory.buffer.to_vec() == bytes, "D5: closing changed bytes");
}

/// What the owner writes while the memory is registered is not undone when that ends, as by a copy that goes back.
fn owner_writes_stay(env: &mut Env) {
    let (mr, memory) = (env.region(), env.memory(2 * PAGE_SIZE, 77));
    for flags in [0, REMOTE, NDK_MR_FLAG_ALLOW_REMOTE_READ] {
        memory.fill(1);
        env.register(mr, memory.all(flags)).success();
        memory.fill(2);
        let bytes = memory.buffer.to_vec();
        env.deregister(mr).success();
        assert!(memory.buffer.to_vec() == bytes, "D5: deregistering undid the owner's writes");
    }
    memory.fill(1);
    env.register(mr, memory.all(REMOTE)).success();
    memory.fill(2);
    let bytes = memory.buffer.to_vec();
    env.close(mr).success();
    assert!(memory.buffer.to_vec() == bytes, "D5: closing undid the owner's writes");
}
