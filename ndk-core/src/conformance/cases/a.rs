//! Section A: the object and its table.

use super::super::case::{
    Case, fast_registration,
    ruled_out::{NULL, PENDING},
};
use super::super::control::{Fault, Step};
use super::super::env::Env;
use super::super::outcome::Status;
use super::super::route::{Mr, Raw, head};
use super::super::table::{entry, mr_table, pd_table};
use super::super::ticket::Done;
use crate::abi::*;
use crate::error::ErrorKind;
use crate::provider::RegionKind;
use std::ptr::{addr_of, addr_of_mut, null, null_mut};

pub(super) const CASES: &[Case] = &[
    Case::new("A1", "creation", creation),
    Case::new("A1", "failed_creation", failed_creation),
    Case::new("A1", "null_out", null_out).raw(NULL),
    Case::new("A2", "fresh_header", fresh_header),
    Case::new("A2", "full_table", full_table).table().own(),
    Case::new("A4", "dispatch_replaced", dispatch_replaced).table(),
    Case::new("A4", "dispatch_replaced_by_another", dispatch_replaced_by_another).table(),
    Case::new("A5", "unknown_extension", unknown_extension),
    Case::new("A5", "unknown_extension_fast", unknown_extension_fast).needs(fast_registration),
    Case::new("A5", "while_pending", while_pending).raw(PENDING),
    Case::new("A5", "while_pending_fast", while_pending_fast).raw(PENDING).needs(fast_registration),
    Case::new("A5", "domain_and_adapter", domain_and_adapter).table().own(),
    Case::new("A8", "versions", versions).own(),
];

// What A1 says of out pointers is checked by the environment, on every creation of every case.

fn creation(env: &mut Env) {
    let pd = env.pd();
    let (first, second) = (env.mr(pd), env.mr(pd));
    assert_ne!(first, second, "two regions are two objects");
}

fn failed_creation(env: &mut Env) {
    env.control.plan(Step::CreatePd, Fault::Fail(ErrorKind::InsufficientResources));
    let (outcome, pd) = env.create_pd();
    outcome.ended(STATUS_INSUFFICIENT_RESOURCES);
    assert_eq!(pd, None);
    let pd = env.pd();
    env.control.plan(Step::CreateMr, Fault::Fail(ErrorKind::InsufficientResources));
    let (outcome, mr) = env.create_mr(pd, RegionKind::Conventional);
    outcome.ended(STATUS_INSUFFICIENT_RESOURCES);
    assert_eq!(mr, None);
    env.mr(pd);
}

fn null_out(env: &mut Env) {
    let (adapter, pd) = (env.adapter(), env.pd());
    // SAFETY: adapter and domain are open; null is what is tried.
    let issued = env.issue(|route, done| unsafe { route.create_pd(adapter, done, null_mut()) });
    env.finish(issued).refused(STATUS_INVALID_PARAMETER);
    let kind = RegionKind::Conventional;
    // SAFETY: as above.
    let issued = env.issue(|route, done| unsafe { route.create_mr(pd, kind, done, null_mut()) });
    env.finish(issued).refused(STATUS_INVALID_PARAMETER);
}

/// The object's header.
///
/// # Safety
/// `object` points to a live NDK object.
unsafe fn header<T>(object: Raw<T>) -> NDK_OBJECT_HEADER {
    // SAFETY: the caller's promise; every object starts with its header.
    unsafe { object.0.cast::<NDK_OBJECT_HEADER>().read() }
}

fn fresh_header(env: &mut Env) {
    let adapter = env.adapter();
    // SAFETY: the adapter is open; likewise what is created below.
    let of_adapter = unsafe { header(adapter) };
    let pd = env.pd();
    // SAFETY: as above.
    let of_pd = unsafe { header(pd) };
    let mr = env.mr(pd);
    // SAFETY: as above.
    let headers = [of_adapter, of_pd, unsafe { header(mr) }];
    let types = [NdkObjectTypeAdapter, NdkObjectTypePd, NdkObjectTypeMr];
    assert_eq!(headers.map(|header| header.ObjectType), types);
    for header in headers {
        assert_eq!(header.Version, env.version(), "the version that the adapter was opened with");
        assert!(header.NdkReserved.rf.iter().all(|word| word.is_null()), "a zeroed block");
    }
}

fn full_table(env: &mut Env) {
    let (pd, mr) = (env.pd(), env.region());
    // SAFETY: the objects are alive, their tables as the provider set them.
    let (adapter, pd, mr) = unsafe {
        let adapter = env.adapter();
        (*addr_of!((*adapter.0).Dispatch).read(), pd_table(pd), mr_table(mr))
    };
    assert!(
        mr.NdkCloseMr.is_some()
            && mr.NdkQueryExtension.is_some()
            && mr.NdkRegisterMr.is_some()
            && mr.NdkDeregisterMr.is_some()
            && mr.NdkInitializeFastRegisterMr.is_some()
            && mr.NdkGetRemoteTokenFromMr.is_some()
            && mr.NdkGetLocalTokenFromMr.is_some(),
        "seven entries: {mr:?}"
    );
    assert!(
        pd.NdkClosePd.is_some()
            && pd.NdkQueryExtension.is_some()
            && pd.NdkCreateMr.is_some()
            && pd.NdkCreateMw.is_some()
            && pd.NdkCreateSrq.is_some()
            && pd.NdkCreateQp.is_some()
            && pd.NdkCreateQpWithSrq.is_some()
            && pd.NdkGetPrivilegedMemoryRegionToken.is_some(),
        "a domain's entries: {pd:?}"
    );
    assert!(
        adapter.NdkQueryExtension.is_some()
            && adapter.NdkQueryAdapterInfo.is_some()
            && adapter.NdkCreateCq.is_some()
            && adapter.NdkCreatePd.is_some()
            && adapter.NdkCreateSharedEndpoint.is_some()
            && adapter.NdkCreateConnector.is_some()
            && adapter.NdkCreateListener.is_some()
            && adapter.NdkBuildLAM.is_some()
            && adapter.NdkReleaseLAM.is_some(),
        "an adapter's entries: {adapter:?}"
    );
}

fn dispatch_replaced(env: &mut Env) {
    saved_entries_work(env, null());
}

fn dispatch_replaced_by_another(env: &mut Env) {
    static EMPTY: NDK_MR_DISPATCH = NDK_MR_DISPATCH {
        NdkCloseMr: None,
        NdkQueryExtension: None,
        NdkRegisterMr: None,
        NdkDeregisterMr: None,
        NdkInitializeFastRegisterMr: None,
        NdkGetRemoteTokenFromMr: None,
        NdkGetLocalTokenFromMr: None,
    };
    saved_entries_work(env, &EMPTY);
}

/// Puts `other` into the region, and lives its life by the entries saved before.
fn saved_entries_work(env: &mut Env, other: *const NDK_MR_DISPATCH) {
    let (mr, page) = (env.region(), env.page());
    let r = page.all(NDK_MR_FLAG_ALLOW_REMOTE_READ);
    // SAFETY: the region is alive; its `Dispatch` member is the consumer's to replace (A4).
    let table = unsafe {
        let table = mr_table(mr);
        addr_of_mut!((*mr.0).Dispatch).write(other);
        table
    };
    // SAFETY: for every entry below, a live region, and memory that is kept.
    let issued = env.issue(|_, Done { routine, context }| unsafe {
        entry!(table, NdkRegisterMr(mr.0, head(&r.chain), r.length, r.flags, routine, context))
    });
    env.finish(issued).success();
    // SAFETY: as said.
    let tokens = unsafe {
        (entry!(table, NdkGetLocalTokenFromMr(mr.0)), entry!(table, NdkGetRemoteTokenFromMr(mr.0)))
    };
    assert!(tokens.0 != 0 && tokens.1 != 0, "a registered region has tokens: {tokens:x?}");
    let (mut id, mut out) = (UNKNOWN, NDK_EXTENSION_INTERFACE { Dispatch: null() });
    // SAFETY: as said.
    let status =
        unsafe { entry!(table, NdkQueryExtension(mr.0.cast(), &raw mut id, V1, &raw mut out)) };
    assert_eq!(Status(status), Status(STATUS_NOT_SUPPORTED));
    // SAFETY: as said.
    let issued = env.issue(|_, Done { routine, context }| unsafe {
        entry!(table, NdkInitializeFastRegisterMr(mr.0, 1, 0, routine, context))
    });
    env.finish(issued).refused(STATUS_INVALID_DEVICE_STATE);
    // SAFETY: as said.
    let issued = env.issue(|_, Done { routine, context }| unsafe {
        entry!(table, NdkDeregisterMr(mr.0, routine, context))
    });
    env.finish(issued).success();
    env.forget_region(mr);
    // SAFETY: as said, and the region is not used afterwards.
    let issued = env.issue(|_, Done { routine, context }| unsafe {
        entry!(table, NdkCloseMr(mr.0.cast(), routine, context))
    });
    env.finish(issued).success();
}

/// Nobody's extension.
pub(super) const UNKNOWN: GUID = GUID { Data1: 0xdead_beef, Data2: 1, Data3: 2, Data4: [3; 8] };
pub(super) const V1: NDK_VERSION = NDK_VERSION { Major: 1, Minor: 0 };

/// Asks for nobody's extension, and sees that nothing is stored.
#[track_caller]
fn ask(env: &Env, mr: Mr) -> Status {
    let untouched = null::<u8>().wrapping_add(0x5a58).cast();
    let mut out = NDK_EXTENSION_INTERFACE { Dispatch: untouched };
    // SAFETY: the region is alive.
    let status = unsafe { env.route.query_extension(mr, &UNKNOWN, V1, &mut out) };
    assert_eq!(out.Dispatch, untouched, "A5: stored something without a success");
    Status(status)
}

const NOT_SUPPORTED: Status = Status(STATUS_NOT_SUPPORTED);

fn unknown_extension(env: &mut Env) {
    let (mr, page) = (env.region(), env.page());
    assert_eq!(ask(env, mr), NOT_SUPPORTED, "created");
    env.register(mr, page.all(0)).success();
    let tokens = env.tokens(mr);
    assert_eq!(ask(env, mr), NOT_SUPPORTED, "registered");
    assert_eq!(env.tokens(mr), tokens, "A5: the question changes nothing");
    env.deregister(mr).success();
    assert_eq!(ask(env, mr), NOT_SUPPORTED, "deregistered");
}

fn unknown_extension_fast(env: &mut Env) {
    let mr = env.fast_region();
    assert_eq!(ask(env, mr), NOT_SUPPORTED, "created");
    env.initialise(mr, 1, true).success();
    assert_eq!(ask(env, mr), NOT_SUPPORTED, "initialised");
}

fn while_pending(env: &mut Env) {
    let (mr, page) = (env.region(), env.page());
    let issued = env.start_register(mr, page.all(0));
    assert_eq!(ask(env, mr), NOT_SUPPORTED, "registering");
    env.finish(issued).success();
    let issued = env.start_deregister(mr);
    assert_eq!(ask(env, mr), NOT_SUPPORTED, "deregistering");
    env.finish(issued).success();
    env.control.hold(Step::CloseMr);
    let issued = env.start_close(mr);
    assert_eq!(ask(env, mr), Status(STATUS_INVALID_DEVICE_STATE), "closing");
    env.control.release(Step::CloseMr);
    env.finish(issued).has(STATUS_SUCCESS);
}

fn while_pending_fast(env: &mut Env) {
    let mr = env.fast_region();
    let issued = env.start_initialise(mr, 1, true);
    assert_eq!(ask(env, mr), NOT_SUPPORTED, "initialising");
    env.finish(issued).success();
}

fn domain_and_adapter(env: &mut Env) {
    let (adapter, pd) = (env.adapter(), env.pd());
    let mut id = UNKNOWN;
    let untouched = null::<u8>().wrapping_add(0x5a58).cast();
    let mut out = NDK_EXTENSION_INTERFACE { Dispatch: untouched };
    // SAFETY: adapter and domain are open.
    let statuses = unsafe {
        let table = *addr_of!((*adapter.0).Dispatch).read();
        let (id, out) = (&raw mut id, &raw mut out);
        [
            entry!(table, NdkQueryExtension(adapter.0.cast(), id, V1, out)),
            entry!(pd_table(pd), NdkQueryExtension(pd.0.cast(), id, V1, out)),
            entry!(pd_table(pd), NdkQueryExtension(pd.0.cast(), null_mut(), V1, out)),
            entry!(pd_table(pd), NdkQueryExtension(pd.0.cast(), id, V1, null_mut())),
        ]
    };
    assert_eq!(statuses[..2], [STATUS_NOT_SUPPORTED; 2]);
    assert_eq!(statuses[2..], [STATUS_INVALID_PARAMETER; 2]);
    assert_eq!(out.Dispatch, untouched);
}

fn versions(env: &mut Env) {
    let open = |major, minor| {
        let version = NDK_VERSION { Major: major, Minor: minor };
        let session = match env.open(version) {
            Ok(session) => session,
            Err(error) => return Err(Status(error.status())),
        };
        let got = session.info().Version;
        // SAFETY: the adapter is open.
        let header = unsafe { header(session.adapter()) };
        assert_eq!(header.Version, got, "header and info agree");
        assert!(session.try_close().is_ok(), "a fresh adapter closes");
        Ok((got.Major, got.Minor))
    };
    let bad = Err(Status(NDIS_STATUS_BAD_VERSION));
    let highest = open(1, 0).expect("every backend serves NDK 1.x");
    assert!(highest == (1, 1) || highest == (1, 2), "the highest minor of 1: {highest:?}");
    assert_eq!(open(1, 1), Ok(highest));
    assert_eq!(open(1, 2), if highest.1 == 2 { Ok(highest) } else { bad });
    let two = open(2, 0);
    assert!(two == Ok((2, 0)) || two == bad, "NDK 2.0: {two:?}");
    for (major, minor) in [(1, 3), (1, u16::MAX), (2, 1), (0, 0), (0, 9), (3, 0), (u16::MAX, 0)] {
        assert_eq!(open(major, minor), bad, "{major}.{minor}");
    }
}
