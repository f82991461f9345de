//! Section C: registration, apart from the chain itself (`c_chain`).

use super::super::case::{
    Case, Device, fast_registration,
    ruled_out::{PENDING, STATE},
};
use super::super::env::{Env, Issued};
use super::super::outcome::Status;
use super::super::route::Mr;
use super::super::ticket::Done;
use crate::abi::*;
use crate::provider::RegionKind;
use std::sync::Barrier;
use std::thread;

pub(super) const CASES: &[Case] = &[
    Case::new("C1", "legal_flags", legal_flags),
    Case::new("C1", "illegal_flags", illegal_flags),
    Case::new("C8", "largest", largest).needs(within_reach),
    Case::new("C8", "above_largest", above_largest).needs(within_reach),
    Case::new("C10", "read_sink", read_sink),
    Case::new("C11", "fast_region", fast_region).raw(STATE).needs(fast_registration),
    Case::new("C12", "registered", registered).raw(STATE),
    Case::new("C12", "while_pending", while_pending).raw(PENDING).own(),
    Case::new("C12", "two_threads", two_threads).raw(PENDING),
    Case::new("C13", "shared_buffer", shared_buffer),
    Case::new("C14", "region_limit", region_limit).needs(small_adapter),
];

/// Every union of the four flags (C1).
pub(super) fn unions() -> Vec<ULONG> {
    let flags = [
        NDK_MR_FLAG_ALLOW_LOCAL_WRITE,
        NDK_MR_FLAG_ALLOW_REMOTE_READ,
        NDK_MR_FLAG_ALLOW_REMOTE_WRITE,
        NDK_MR_FLAG_RDMA_READ_SINK,
    ];
    let mut unions: Vec<_> = (0..1 << flags.len())
        .map(|set: u32| {
            let chosen = flags.iter().enumerate().filter(|&(bit, _)| set & (1 << bit) != 0);
            chosen.fold(0, |union, (_, flag)| union | flag)
        })
        .collect();
    unions.sort_unstable();
    unions.dedup();
    unions
}

pub(super) fn is_remote(flags: ULONG) -> bool {
    flags & 0x6 != 0
}

fn legal_flags(env: &mut Env) {
    let (mr, page) = (env.region(), env.page());
    assert_eq!(unions(), [0, 1, 2, 3, 5, 7, 8, 9, 10, 11, 13, 15]);
    for flags in unions() {
        env.register(mr, page.all(flags)).success();
        env.has_tokens(mr, is_remote(flags), format_args!("C1, E1: flags {flags:#x}"));
        env.deregister(mr).success();
    }
}

fn illegal_flags(env: &mut Env) {
    let (mr, page) = (env.region(), env.page());
    let lone_write = [0x4, 0x6, 0xc, 0xe];
    let unknown = (4..32).flat_map(|bit| [1 << bit, 1 << bit | 0x5, 1 << bit | 0xf]);
    for flags in lone_write.into_iter().chain(unknown).chain([ULONG::MAX]) {
        env.register(mr, page.all(flags)).refused(STATUS_INVALID_PARAMETER);
        assert_eq!(env.tokens(mr), (0, 0), "B7: flags {flags:#x}");
    }
    env.register(mr, page.all(0)).success();
}

/// The kit shows a backend's limit smaller than it is; that of a table alone it takes as it is.
fn within_reach(device: &Device) -> Option<&'static str> {
    const REACH: usize = 64 << 20;
    let far = device.info.MaxRegistrationSize > REACH;
    far.then_some("the largest registration is of more memory than a test takes")
}

fn largest(env: &mut Env) {
    let most = env.device.info.MaxRegistrationSize;
    let (mr, memory) = (env.region(), env.memory(most, 0));
    env.register(mr, memory.all(NDK_MR_FLAG_ALLOW_REMOTE_READ)).success();
    env.deregister(mr).success();
}

fn above_largest(env: &mut Env) {
    let most = env.device.info.MaxRegistrationSize;
    let (mr, memory) = (env.region(), env.memory(most + 1, 0));
    env.register(mr, memory.all(0)).refused(STATUS_INVALID_PARAMETER);
    env.register(mr, memory.first(most, 0)).success();
}

fn read_sink(env: &mut Env) {
    let (mr, page) = (env.region(), env.page());
    for flags in unions().into_iter().filter(|flags| flags & NDK_MR_FLAG_RDMA_READ_SINK == 0) {
        env.register(mr, page.all(flags | NDK_MR_FLAG_RDMA_READ_SINK)).success();
        if !env.device.capabilities.read_sink_grants_write {
            env.has_tokens(
                mr,
                is_remote(flags),
                format_args!("C10: flags {flags:#x} and the sink"),
            );
        }
        env.deregister(mr).success();
    }
}

fn fast_region(env: &mut Env) {
    let (mr, page) = (env.fast_region(), env.page());
    env.register(mr, page.all(0)).refused(STATUS_INVALID_DEVICE_STATE);
    env.initialise(mr, 1, true).success();
    let tokens = env.tokens(mr);
    env.register(mr, page.all(0)).refused(STATUS_INVALID_DEVICE_STATE);
    assert_eq!(env.tokens(mr), tokens, "C11: state kept");
}

fn registered(env: &mut Env) {
    let mr = env.registered(NDK_MR_FLAG_ALLOW_REMOTE_READ);
    let (tokens, other) = (env.tokens(mr), env.page());
    for flags in [0, NDK_MR_FLAG_ALLOW_REMOTE_READ] {
        env.register(mr, other.all(flags)).refused(STATUS_INVALID_DEVICE_STATE);
        assert_eq!(env.tokens(mr), tokens, "C12: the tokens stay");
    }
    env.deregister(mr).success();
}

fn while_pending(env: &mut Env) {
    let (mr, page) = (env.region(), env.page());
    env.control.set_yields(true);
    let register = env.start_register(mr, page.all(0));
    env.register_while(mr, &register);
    env.finish(register).has(STATUS_SUCCESS);
    let deregister = env.start_deregister(mr);
    env.register_while(mr, &deregister);
    env.finish(deregister).has(STATUS_SUCCESS);
}

impl Env {
    /// Tries to register and to deregister while a request is pending.
    #[track_caller]
    fn register_while(&mut self, mr: Mr, pending: &Issued) {
        assert_eq!(Status(pending.returned), Status(STATUS_PENDING));
        let page = self.page();
        let tries = [self.start_register(mr, page.all(0)), self.start_deregister(mr)];
        for refused in tries {
            assert_eq!(Status(refused.returned), Status(STATUS_INVALID_DEVICE_STATE));
            assert!(!refused.ticket.is_called(), "B1");
        }
    }
}

fn two_threads(env: &mut Env) {
    let (mr, page) = (env.region(), env.page());
    let registration = page.all(NDK_MR_FLAG_ALLOW_REMOTE_WRITE);
    for round in 0..50 {
        let tickets = [env.ticket(), env.ticket()];
        let start = Barrier::new(2);
        let register = |ticket| {
            start.wait();
            // SAFETY: a live region, and memory that is kept.
            unsafe { env.route.register(mr, registration.clone(), Done::of(ticket)) }
        };
        let returned = thread::scope(|scope| {
            let handles = tickets.each_ref().map(|ticket| scope.spawn(move || register(ticket)));
            handles.map(|handle| handle.join().expect("an entry does not panic"))
        });
        let mut statuses = [0, 1].map(|index| {
            let issued = Issued { returned: returned[index], ticket: tickets[index].clone() };
            env.settle(&tickets[index], returned[index]);
            env.finish(issued).status()
        });
        statuses.sort_unstable();
        let one_each = [STATUS_INVALID_DEVICE_STATE, STATUS_SUCCESS];
        assert_eq!(statuses.map(Status), one_each.map(Status), "C12: round {round}");
        env.deregister(mr).success();
    }
}

fn shared_buffer(env: &mut Env) {
    let (pd, other_pd, memory) = (env.pd(), env.pd(), env.memory(3 * PAGE_SIZE, 0));
    let rights = [0, NDK_MR_FLAG_ALLOW_REMOTE_READ, NDK_MR_FLAG_ALLOW_REMOTE_WRITE];
    let regions = [env.mr(pd), env.mr(pd), env.mr(other_pd)];
    for (mr, flags) in regions.into_iter().zip(rights) {
        env.register(mr, memory.all(flags)).success();
    }
    for (mr, flags) in regions.into_iter().zip(rights) {
        env.has_tokens(mr, is_remote(flags), format_args!("C13: flags {flags:#x}"));
    }
    let tokens = regions.map(|mr| env.tokens(mr));
    env.close(regions[1]).success();
    assert_eq!(env.tokens(regions[0]), tokens[0], "C13: the rest stays");
    assert_eq!(env.tokens(regions[2]), tokens[2], "C13: the rest stays");
    env.deregister(regions[0]).success();
    assert_eq!(env.tokens(regions[2]), tokens[2], "C13: the rest stays");
    env.register(regions[0], memory.first(1, rights[1])).success();
}

fn small_adapter(device: &Device) -> Option<&'static str> {
    device.small.is_none().then_some("the kit was given no adapter with a small region limit")
}

fn region_limit(env: &mut Env) {
    let limit = env.open_small();
    let (pd, page) = (env.pd(), env.page());
    let mut live: Vec<_> = (0..limit).map(|_| env.limited_mr(pd).expect("room for it")).collect();
    assert_eq!(env.limited_mr(pd), None, "C14: one past the limit");
    for &mr in &live {
        env.deregister(mr).success();
        env.register(mr, page.all(0)).success();
    }
    assert_eq!(env.limited_mr(pd), None, "C14: still one past the limit");
    let freed = live.pop().expect("a live region");
    env.close(freed).success();
    assert!(env.limited_mr(pd).is_some(), "C14: room again");
    assert_eq!(env.limited_mr(pd), None, "C14: and full again");
}

impl Env {
    /// A registered region, or `None` where the limit is reached, at creation or at registration.
    #[track_caller]
    fn limited_mr(&mut self, pd: super::super::route::Pd) -> Option<Mr> {
        let (outcome, mr) = self.create_mr(pd, RegionKind::Conventional);
        let Some(mr) = mr else {
            outcome.has(STATUS_INSUFFICIENT_RESOURCES);
            return None;
        };
        let page = self.page();
        let outcome = self.register(mr, page.all(0));
        if outcome.status() == STATUS_SUCCESS {
            return Some(mr);
        }
        outcome.has(STATUS_INSUFFICIENT_RESOURCES);
        self.close(mr).success();
        None
    }
}
