//! Rule A3: the reserved block in the header of each object is the consumer's, and the provider never writes it.

use super::super::case::{Case, fast_registration};
use super::super::control::{Fault, Step};
use super::super::env::Env;
use super::super::route::Raw;
use crate::abi::*;
use crate::error::ErrorKind;
use crate::provider::RegionKind;
use std::ptr::{addr_of_mut, without_provenance_mut};

pub(super) const CASES: &[Case] = &[
    Case::new("A3", "reserved_block", reserved_block),
    Case::new("A3", "reserved_block_fast", reserved_block_fast).needs(fast_registration),
    Case::new("A3", "reserved_block_of_failures", reserved_block_of_failures),
];

/// Objects of whose blocks the case has made use, each in its own way.
#[derive(Default)]
struct Used(Vec<(&'static str, *mut [PVOID; 4], [PVOID; 4])>);

impl Used {
    /// Writes the block of an object of the case's, which is not closed before it was looked at.
    fn write<T>(&mut self, name: &'static str, object: Raw<T>) {
        let first = 4 * self.0.len() + 1;
        let words = [0, 1, 2, 3].map(|n| without_provenance_mut(0x0101_0101 * (first + n)));
        let header = object.0.cast::<NDK_OBJECT_HEADER>();
        // SAFETY: the object is alive and starts with its header; the block in it is the consumer's.
        let block = unsafe { addr_of_mut!((*header).NdkReserved.rf) };
        // SAFETY: as above.
        unsafe { block.write(words) };
        self.0.push((name, block, words));
    }

    #[track_caller]
    fn are_as_written(&self) {
        for &(name, block, words) in &self.0 {
            // SAFETY: as above.
            let found = unsafe { block.read() };
            assert_eq!(found, words, "A3: the block of {name} was written by the provider");
        }
    }
}

fn reserved_block(env: &mut Env) {
    let (adapter, pd, page, mut used) = (env.adapter(), env.pd(), env.page(), Used::default());
    let mr = env.mr(pd);
    used.write("the adapter", adapter);
    used.write("a domain", pd);
    used.write("a region", mr);
    for _ in 0..2 {
        let (other_pd, other_mr) = (env.pd(), env.mr(pd));
        env.register(mr, page.all(NDK_MR_FLAG_ALLOW_REMOTE_WRITE)).success();
        env.tokens(mr);
        // SAFETY: the domain is open.
        unsafe { env.route.privileged_token(pd) };
        env.deregister(mr).success();
        env.register(mr, page.first(0, 0)).refused(STATUS_INVALID_PARAMETER);
        if env.device.mappings {
            let mapped = env.map(page.clone());
            env.unmap(mapped);
        }
        env.close(other_mr).success();
        env.close_pd(other_pd).success();
    }
    used.are_as_written();
}

fn reserved_block_fast(env: &mut Env) {
    let (pd, mut used) = (env.pd(), Used::default());
    let mr = env.mr_of(pd, RegionKind::FastRegister);
    used.write("a domain", pd);
    used.write("a region for fast registration", mr);
    for is_remote in [true, false] {
        let other = env.mr_of(pd, RegionKind::FastRegister);
        env.initialise(mr, 1, is_remote).success();
        env.tokens(mr);
        env.initialise(mr, 0, is_remote).refused(STATUS_INVALID_PARAMETER);
        env.close(other).success();
    }
    used.are_as_written();
}

/// What fails in the backend writes no block either. How a creation fails is for A1 to see.
fn reserved_block_of_failures(env: &mut Env) {
    let (adapter, pd, page, mut used) = (env.adapter(), env.pd(), env.page(), Used::default());
    let mr = env.mr(pd);
    used.write("the adapter", adapter);
    used.write("a domain", pd);
    used.write("a region", mr);
    let short = Fault::Fail(ErrorKind::InsufficientResources);
    env.control.plan(Step::Register, short);
    env.register(mr, page.all(0)).ended(STATUS_INSUFFICIENT_RESOURCES);
    env.register(mr, page.all(0)).success();
    env.control.plan(Step::Deregister, short);
    env.deregister(mr).ended(STATUS_INSUFFICIENT_RESOURCES);
    used.are_as_written();
}
