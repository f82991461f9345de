//! Section E: tokens, apart from what they reach (`e_data`) and whether they can be guessed (`e_predict`).

use super::super::case::{Case, fast_registration, ruled_out::PENDING};
use super::super::control::Step;
use super::super::env::Env;
use super::super::route::Change;
use crate::abi::*;
use crate::provider::RegionKind;
use std::collections::HashMap;

pub(super) const CASES: &[Case] = &[
    Case::new("E1", "life_of_a_token", life_of_a_token),
    Case::new("E1", "while_pending", while_pending).own().raw(PENDING),
    Case::new("E1", "without_remote_rights", without_remote_rights),
    Case::new("E1", "initialised", initialised).needs(fast_registration),
    Case::new("E2", "no_two_alike", no_two_alike),
    Case::new("E2", "of_either_kind", of_either_kind).needs(fast_registration),
    Case::new("E4", "stable", stable).needs(fast_registration),
];

const REMOTE: ULONG = NDK_MR_FLAG_ALLOW_REMOTE_READ;

fn life_of_a_token(env: &mut Env) {
    let (mr, page) = (env.region(), env.page());
    assert_eq!(env.tokens(mr), (0, 0), "created");
    env.register(mr, page.all(REMOTE)).success();
    let tokens = env.tokens(mr);
    assert!(tokens.0 != 0 && tokens.1 != 0, "registered: {tokens:x?}");
    for _ in 0..10 {
        assert_eq!(env.tokens(mr), tokens, "the same at every reading");
    }
    env.deregister(mr).success();
    assert_eq!(env.tokens(mr), (0, 0), "deregistered");
}

fn while_pending(env: &mut Env) {
    let (mr, page) = (env.region(), env.page());
    for step in [Step::Register, Step::Deregister] {
        env.control.hold(step);
    }
    let issued = env.start_register(mr, page.all(REMOTE));
    assert_eq!(env.tokens(mr), (0, 0), "E1: before the registration has completed");
    env.control.release(Step::Register);
    env.finish(issued).has(STATUS_SUCCESS);
    assert_ne!(env.tokens(mr).0, 0);
    let issued = env.start_deregister(mr);
    env.run_until_idle();
    env.control.release(Step::Deregister);
    env.finish(issued).has(STATUS_SUCCESS);
    assert_eq!(env.tokens(mr), (0, 0), "E1: after the deregistration has completed");
}

fn without_remote_rights(env: &mut Env) {
    let (mr, page) = (env.region(), env.page());
    for flags in [0, NDK_MR_FLAG_ALLOW_LOCAL_WRITE, NDK_MR_FLAG_RDMA_READ_SINK] {
        env.register(mr, page.all(flags)).success();
        env.has_tokens(mr, false, format_args!("E1: registered with flags {flags:#x}"));
        env.deregister(mr).success();
    }
}

fn initialised(env: &mut Env) {
    let mr = env.fast_region();
    assert_eq!(env.tokens(mr), (0, 0), "created");
    for remote_access in [true, false, true] {
        let pages = env.device.fast_pages(2) as ULONG;
        env.initialise(mr, pages, remote_access).success();
        let when = format_args!("E1: initialised with remote access {remote_access}");
        env.has_tokens(mr, remote_access, when);
    }
}

/// No region before this one has one of its tokens.
#[track_caller]
fn shares_none(owners: &mut HashMap<u32, usize>, index: usize, (local, remote): (u32, u32)) {
    for token in [local, remote] {
        let other = owners.insert(token, index).filter(|&other| other != index);
        assert_eq!(other, None, "E2: region {index} shares {token:#x}");
    }
}

fn no_two_alike(env: &mut Env) {
    const REGIONS: usize = 512;
    let (pds, page) = ([env.pd(), env.pd(), env.pd()], env.page());
    let mut owners = HashMap::new();
    for index in 0..REGIONS {
        let Some(mr) = env.mr_if_room(pds[index % pds.len()], RegionKind::Conventional) else {
            break;
        };
        env.register(mr, page.all(REMOTE)).success();
        shares_none(&mut owners, index, env.tokens(mr));
    }
}

/// Regions for fast registration have tokens from their initialisation on, and conventional ones meanwhile.
fn of_either_kind(env: &mut Env) {
    const REGIONS: usize = 128;
    let (pds, page) = ([env.pd(), env.pd(), env.pd()], env.page());
    let mut owners = HashMap::new();
    for index in 0..REGIONS {
        let pd = pds[index % pds.len()];
        let kind = [RegionKind::Conventional, RegionKind::FastRegister][index % 2];
        let Some(mr) = env.mr_if_room(pd, kind) else { break };
        match kind {
            RegionKind::Conventional => env.register(mr, page.all(REMOTE)).success(),
            RegionKind::FastRegister => env.initialise(mr, 1, true).success(),
        };
        shares_none(&mut owners, index, env.tokens(mr));
    }
}

fn stable(env: &mut Env) {
    let mr = env.fast_region();
    env.initialise(mr, 1, true).success();
    let tokens = env.tokens(mr);
    env.forbidden(mr, Change::Register);
    env.forbidden(mr, Change::Deregister);
    env.initialise(mr, 0, true).refused(STATUS_INVALID_PARAMETER);
    assert_eq!(env.tokens(mr), tokens, "E4: until the next initialisation");
}
