//! Section C: what a registration takes of an adapter that can pin few pages (C13), and what a failed one leaves (B7).

use super::super::case::{Case, Device};
use super::super::env::Env;
use super::super::route::Mr;
use crate::abi::*;

pub(super) const CASES: &[Case] = &[
    Case::new("B7", "pins_of_refused_registrations", pins_of_refused_registrations)
        .needs(tight_adapter),
    Case::new("C13", "each_region_counts", each_region_counts).needs(tight_adapter),
];

fn tight_adapter(device: &Device) -> Option<&'static str> {
    device.tight.is_none().then_some("the kit was given no adapter that can pin few pages")
}

impl Env {
    /// There is no room for it, nor when it is asked for again.
    #[track_caller]
    fn has_no_room(&mut self, mr: Mr, pages: usize) {
        let memory = self.memory(pages * PAGE_SIZE, 0);
        for _ in 0..2 {
            self.register(mr, memory.all(0)).has(STATUS_INSUFFICIENT_RESOURCES);
        }
    }
}

/// One page in as many regions as there is room for, and in no more; what ends makes room for as much again.
fn each_region_counts(env: &mut Env) {
    let limit = env.open_tight();
    let (pd, page) = (env.pd(), env.page());
    let regions: Vec<Mr> = (0..limit).map(|_| env.mr(pd)).collect();
    let late = env.mr(pd);
    for _ in 0..3 {
        for &mr in &regions {
            env.register(mr, page.all(0)).success();
        }
        env.has_no_room(late, 1);
        env.deregister(regions[0]).success();
        env.register(late, page.all(0)).success();
        env.has_no_room(regions[0], 1);
        env.deregister(late).success();
        for &mr in &regions[1..] {
            env.deregister(mr).success();
        }
    }
    // A close makes room too, and all the pages may be one region's.
    env.register(regions[0], page.all(0)).success();
    env.has_no_room(late, limit);
    env.close(regions[0]).success();
    let memory = env.memory(limit * PAGE_SIZE, 0);
    env.register(late, memory.all(0)).success();
    env.has_no_room(regions[1], 1);
    env.deregister(late).success();
    env.register(regions[1], page.all(0)).success();
}

/// What there is no room for in full takes no part of it: not from other regions, and not from its own.
fn pins_of_refused_registrations(env: &mut Env) {
    let limit = env.open_tight();
    let (pd, other) = (env.pd(), env.page());
    let next = env.mr(pd);
    for used in 0..limit {
        let (mr, page) = (env.mr(pd), env.page());
        env.has_no_room(mr, limit - used + 1);
        assert_eq!(env.tokens(mr), (0, 0), "B7: nothing is registered");
        env.register(next, other.all(0)).success();
        env.deregister(next).success();
        env.register(mr, page.all(0)).success();
    }
}
