//! Section A: objects and completions that are none (A6, A7).

use super::super::case::{Case, fast_registration, ruled_out::NULL};
use super::super::env::Env;
use super::super::outcome::Status;
use super::super::route::{BAD_OBJECT, Raw, head};
use super::super::table::{entry, mr_table, pd_table};
use super::super::ticket::Done;
use super::a::{UNKNOWN, V1};
use crate::abi::*;
use crate::provider::RegionKind;
use std::ptr::{addr_of, null, null_mut, without_provenance_mut};

pub(super) const CASES: &[Case] = &[
    Case::new("A6", "region_entries", region_entries).table().own(),
    Case::new("A6", "domain_entries", domain_entries).table().own(),
    Case::new("A6", "adapter_entries", adapter_entries).table().own(),
    Case::new("A7", "null_completion", null_completion).raw(NULL),
    Case::new("A7", "null_completion_fast", null_completion_fast)
        .raw(NULL)
        .needs(fast_registration),
    Case::new("A7", "null_completion_of_creation", null_completion_of_creation).raw(NULL),
];

fn region_entries(env: &mut Env) {
    let (pd, page) = (env.pd(), env.page());
    let mr = env.mr(pd);
    let r = page.all(0);
    // SAFETY: the region is alive.
    let table = unsafe { mr_table(mr) };
    for wrong in [null_mut(), pd.0.cast::<NDK_MR>(), env.adapter().0.cast()] {
        // SAFETY: for each, null, or a live object of another type, is what is tried.
        let issued = env.issue(|_, done| unsafe {
            entry!(
                table,
                NdkRegisterMr(wrong, head(&r.chain), r.length, r.flags, done.routine, done.context)
            )
        });
        env.finish(issued).refused(BAD_OBJECT);
        // SAFETY: as said.
        let issued = env.issue(|_, done| unsafe {
            entry!(table, NdkDeregisterMr(wrong, done.routine, done.context))
        });
        env.finish(issued).refused(BAD_OBJECT);
        // SAFETY: as said.
        let issued = env.issue(|_, done| unsafe {
            entry!(table, NdkInitializeFastRegisterMr(wrong, 1, 1, done.routine, done.context))
        });
        env.finish(issued).refused(BAD_OBJECT);
        // SAFETY: as said.
        let issued = env.issue(|_, done| unsafe {
            entry!(table, NdkCloseMr(wrong.cast(), done.routine, done.context))
        });
        env.finish(issued).refused(BAD_OBJECT);
        let (mut id, mut out) = (UNKNOWN, NDK_EXTENSION_INTERFACE { Dispatch: null() });
        // SAFETY: as said.
        let others = unsafe {
            (
                entry!(table, NdkQueryExtension(wrong.cast(), &raw mut id, V1, &raw mut out)),
                entry!(table, NdkGetLocalTokenFromMr(wrong)),
                entry!(table, NdkGetRemoteTokenFromMr(wrong)),
            )
        };
        assert_eq!(others, (BAD_OBJECT, 0, 0));
    }
    env.register(mr, r).success();
}

fn domain_entries(env: &mut Env) {
    let pd = env.pd();
    let mr = env.mr(pd);
    // SAFETY: the domain is alive.
    let table = unsafe { pd_table(pd) };
    for wrong in [null_mut(), mr.0.cast::<NDK_PD>(), env.adapter().0.cast()] {
        let mut out: *mut NDK_MR = null_mut();
        // SAFETY: for each, null, or a live object of another type, is what is tried.
        let issued = env.issue(|_, done| unsafe {
            entry!(table, NdkCreateMr(wrong, 0, done.routine, done.context, &raw mut out))
        });
        env.finish(issued).refused(BAD_OBJECT);
        // SAFETY: as said.
        let issued = env.issue(|_, done| unsafe {
            entry!(table, NdkClosePd(wrong.cast(), done.routine, done.context))
        });
        env.finish(issued).refused(BAD_OBJECT);
        let (mut id, mut out) = (UNKNOWN, NDK_EXTENSION_INTERFACE { Dispatch: null() });
        let mut token = 1;
        // SAFETY: as said.
        let status = unsafe {
            entry!(table, NdkGetPrivilegedMemoryRegionToken(wrong, &raw mut token));
            entry!(table, NdkQueryExtension(wrong.cast(), &raw mut id, V1, &raw mut out))
        };
        assert_eq!((status, token), (BAD_OBJECT, 0));
    }
    // SAFETY: a null out pointer for the token is what is tried.
    unsafe { entry!(table, NdkGetPrivilegedMemoryRegionToken(pd.0, null_mut())) };
    env.mr(pd);
}

fn adapter_entries(env: &mut Env) {
    let pd = env.pd();
    let adapter = env.adapter();
    // SAFETY: the adapter is open.
    let table = unsafe { *addr_of!((*adapter.0).Dispatch).read() };
    for wrong in [null_mut(), pd.0.cast::<NDK_ADAPTER>()] {
        let mut out: *mut NDK_PD = null_mut();
        // SAFETY: for each, null, or a live object of another type, is what is tried.
        let issued = env.issue(|_, done| unsafe {
            entry!(table, NdkCreatePd(wrong, done.routine, done.context, &raw mut out))
        });
        env.finish(issued).refused(BAD_OBJECT);
        let (mut info, mut size) = (NDK_ADAPTER_INFO::default(), 1000);
        // SAFETY: as said.
        let status = unsafe {
            entry!(table, NdkReleaseLAM(wrong, null_mut()));
            entry!(table, NdkQueryAdapterInfo(wrong, &raw mut info, &raw mut size))
        };
        assert_eq!((status, info), (BAD_OBJECT, NDK_ADAPTER_INFO::default()));
    }
}

fn null_completion(env: &mut Env) {
    let (pd, page) = (env.pd(), env.page());
    let (mr, r) = (env.mr(pd), page.all(0));
    let (null_request, null_close) = (env.ticket(), env.ticket());
    let refused = STATUS_INVALID_PARAMETER;
    let route = env.route.clone();
    // SAFETY: for each, live objects; the null routine is what is tried.
    let status = unsafe { route.register(mr, r.clone(), Done::null(&null_request)) };
    assert_eq!(Status(status), Status(refused));
    assert_eq!(env.tokens(mr), (0, 0), "A7: nothing was started");
    env.register(mr, r.clone()).success();
    // SAFETY: as said.
    let status = unsafe { route.deregister(mr, Done::null(&null_request)) };
    assert_eq!(Status(status), Status(refused));
    assert_ne!(env.tokens(mr).0, 0, "A7: nothing was started");
    env.deregister(mr).success();
    // SAFETY: as said.
    let status = unsafe { route.close_mr(mr, Done::null(&null_close)) };
    assert_eq!(Status(status), Status(refused));
    env.register(mr, r).success();
    // SAFETY: as said.
    let status = unsafe { route.close_pd(pd, Done::null(&null_close)) };
    assert_eq!(Status(status), Status(refused));
    env.mr(pd);
    env.settle(&null_request, refused);
    env.settle(&null_close, refused);
}

fn null_completion_fast(env: &mut Env) {
    let mr = env.fast_region();
    let ticket = env.ticket();
    // SAFETY: a live region; the null routine is what is tried.
    let status = unsafe { env.route.initialise(mr, 1, true, Done::null(&ticket)) };
    assert_eq!(Status(status), Status(STATUS_INVALID_PARAMETER));
    assert_eq!(env.tokens(mr), (0, 0), "A7: nothing was started");
    env.settle(&ticket, status);
    env.initialise(mr, 1, true).success();
}

fn null_completion_of_creation(env: &mut Env) {
    let (adapter, pd, ticket) = (env.adapter(), env.pd(), env.ticket());
    let untouched = without_provenance_mut(0x5a58);
    let (mut made_pd, mut made_mr): (*mut NDK_PD, *mut NDK_MR) =
        (without_provenance_mut(0x5a58), untouched);
    let kind = RegionKind::Conventional;
    // SAFETY: live objects and out pointers; the null routine is what is tried.
    let statuses = unsafe {
        [
            env.route.create_pd(adapter, Done::null(&ticket), &raw mut made_pd),
            env.route.create_mr(pd, kind, Done::null(&ticket), &raw mut made_mr),
        ]
    };
    assert_eq!(statuses, [STATUS_INVALID_PARAMETER; 2]);
    assert_eq!((Raw(made_pd.cast()), made_mr), (Raw(untouched), untouched), "nothing is stored");
    env.settle(&ticket, STATUS_INVALID_PARAMETER);
}
