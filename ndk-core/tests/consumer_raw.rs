//! The safe consumer over tables that were written by hand: early callbacks, hooks, and broken promises.
#![cfg(feature = "std")]

use ndk_core::abi::*;
use ndk_core::consumer::{Failed, FastRegion, ProtectionDomain, Region};
use ndk_core::mdl::{Buffer, Mdl};
use ndk_core::{Access, ErrorKind};
use std::ptr::{NonNull, null, null_mut};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

/// An `NDK_MR` with a few facts behind it.
#[repr(C)]
struct Raw {
    mr: NDK_MR,
    /// What requests end with.
    status: AtomicI32,
    calls: AtomicU32,
    hooked: AtomicU32,
    closed: AtomicU32,
}

fn header(kind: NDK_OBJECT_TYPE) -> NDK_OBJECT_HEADER {
    NDK_OBJECT_HEADER {
        Version: NDK_VERSION { Major: 1, Minor: 2 },
        ObjectType: kind,
        NdkReserved: NDK_OBJECT_HEADER_RESERVED_BLOCK::ZEROED,
    }
}

impl Raw {
    fn new(table: *const NDK_MR_DISPATCH) -> NonNull<Self> {
        NonNull::from(Box::leak(Box::new(Self {
            mr: NDK_MR { Header: header(NdkObjectTypeMr), Dispatch: table },
            status: AtomicI32::new(STATUS_SUCCESS),
            calls: AtomicU32::new(0),
            hooked: AtomicU32::new(0),
            closed: AtomicU32::new(0),
        })))
    }

    /// # Safety
    /// Made by `new`, and not freed.
    unsafe fn get<'a>(raw: NonNull<NDK_MR>) -> &'a Self {
        // SAFETY: the MR is the first field.
        unsafe { raw.cast::<Self>().as_ref() }
    }

    fn free(raw: NonNull<Self>) -> u32 {
        // SAFETY: the test is over, and nobody else has it.
        let raw = unsafe { Box::from_raw(raw.as_ptr()) };
        raw.closed.into_inner()
    }
}

/// Calls back from another thread, before the entry returns.
fn call_back(done: Option<NDK_FN_REQUEST_COMPLETION>, context: PVOID, status: NTSTATUS) {
    let (done, context) = (done.unwrap(), context as usize);
    std::thread::scope(|scope| {
        // SAFETY: once, as the request allows.
        scope.spawn(move || unsafe { done(context as PVOID, status) });
    });
}

unsafe extern "system" fn register_early(
    mr: *mut NDK_MR,
    mdl: *mut MDL,
    length: SIZE_T,
    _flags: ULONG,
    done: Option<NDK_FN_REQUEST_COMPLETION>,
    context: PVOID,
) -> NTSTATUS {
    // SAFETY: the tests call it on a `Raw`, with a chain.
    let raw = unsafe {
        assert_eq!((*mdl).ByteCount as usize, length);
        Raw::get(NonNull::new(mr).unwrap())
    };
    raw.calls.fetch_add(1, Ordering::Relaxed);
    call_back(done, context, raw.status.load(Ordering::Relaxed));
    STATUS_PENDING
}

unsafe extern "system" fn register_hooked(
    mr: *mut NDK_MR,
    mdl: *mut MDL,
    length: SIZE_T,
    flags: ULONG,
    done: Option<NDK_FN_REQUEST_COMPLETION>,
    context: PVOID,
) -> NTSTATUS {
    // SAFETY: as above.
    unsafe {
        Raw::get(NonNull::new(mr).unwrap()).hooked.fetch_add(1, Ordering::Relaxed);
        register_early(mr, mdl, length, flags, done, context)
    }
}

unsafe extern "system" fn deregister_inline(
    mr: *mut NDK_MR,
    _done: Option<NDK_FN_REQUEST_COMPLETION>,
    _context: PVOID,
) -> NTSTATUS {
    // SAFETY: as above.
    unsafe { Raw::get(NonNull::new(mr).unwrap()) }.status.load(Ordering::Relaxed)
}

unsafe extern "system" fn token(_mr: *mut NDK_MR) -> UINT32 {
    7
}

unsafe extern "system" fn close_early(
    object: *mut NDK_OBJECT_HEADER,
    done: Option<NDK_FN_CLOSE_COMPLETION>,
    context: PVOID,
) -> NTSTATUS {
    // SAFETY: as above; the completion is called once.
    unsafe {
        Raw::get(NonNull::new(object.cast()).unwrap()).closed.fetch_add(1, Ordering::Relaxed);
        done.unwrap()(context);
    }
    STATUS_PENDING
}

unsafe extern "system" fn close_refusing(
    _object: *mut NDK_OBJECT_HEADER,
    _done: Option<NDK_FN_CLOSE_COMPLETION>,
    _context: PVOID,
) -> NTSTATUS {
    STATUS_INVALID_DEVICE_STATE
}

static TABLE: NDK_MR_DISPATCH = NDK_MR_DISPATCH {
    NdkCloseMr: Some(close_early),
    NdkQueryExtension: None,
    NdkRegisterMr: Some(register_early),
    NdkDeregisterMr: Some(deregister_inline),
    NdkInitializeFastRegisterMr: None,
    NdkGetRemoteTokenFromMr: Some(token),
    NdkGetLocalTokenFromMr: None,
};

fn mdl() -> Mdl {
    Mdl::new(&Buffer::new(64).unwrap()).unwrap()
}

fn region(raw: NonNull<Raw>) -> Region {
    // SAFETY: alive until the test frees it, after the region.
    unsafe { Region::from_ndk(raw.cast()) }
}

#[test]
fn b3_a_callback_before_the_entry_returns_counts() {
    let raw = Raw::new(&TABLE);
    let region = region(raw).register_blocking(mdl(), Access::REMOTE_READ).unwrap();
    assert_eq!((region.remote_token().unwrap().get(), region.local_token()), (7, None));
    let (region, _) = region.deregister_blocking().unwrap();
    region.close_blocking().unwrap();
    assert_eq!(Raw::free(raw), 1);
}

#[test]
fn a4_the_table_is_read_at_each_call() {
    static HOOK: NDK_MR_DISPATCH =
        NDK_MR_DISPATCH { NdkRegisterMr: Some(register_hooked), ..TABLE_COPY };
    const TABLE_COPY: NDK_MR_DISPATCH = NDK_MR_DISPATCH {
        NdkCloseMr: Some(close_early),
        NdkQueryExtension: None,
        NdkRegisterMr: None,
        NdkDeregisterMr: Some(deregister_inline),
        NdkInitializeFastRegisterMr: None,
        NdkGetRemoteTokenFromMr: None,
        NdkGetLocalTokenFromMr: None,
    };
    let raw = Raw::new(&TABLE);
    let region = region(raw);
    // SAFETY: nothing is in progress.
    let facts = unsafe {
        (*raw.as_ptr()).mr.Dispatch = &HOOK;
        Raw::get(raw.cast())
    };
    let region = region.register_blocking(mdl(), Access::LOCAL_READ).unwrap();
    assert_eq!(facts.hooked.load(Ordering::Relaxed), 1);
    assert_eq!(region.remote_token(), None);
    drop(region);
    assert_eq!(Raw::free(raw), 1);
}

#[test]
fn b2_statuses_of_others_are_kept_and_pending_is_none() {
    let raw = Raw::new(&TABLE);
    let mut region = region(raw);
    let mut memory = mdl();
    for (status, kind) in [
        (0xC000_0001_u32 as i32, ErrorKind::Other(0xC000_0001_u32 as i32)),
        (STATUS_PENDING, ErrorKind::Internal),
        (STATUS_CANCELLED, ErrorKind::Cancelled),
    ] {
        // SAFETY: alive.
        unsafe { Raw::get(raw.cast()) }.status.store(status, Ordering::Relaxed);
        let Failed { object, error } =
            region.register_blocking(memory, Access::LOCAL_READ).unwrap_err();
        assert_eq!(error.kind(), kind);
        (region, memory) = object;
    }
    drop(region);
    assert_eq!(Raw::free(raw), 1);
}

#[test]
fn an_entry_that_is_not_there_is_not_supported() {
    let raw = Raw::new(&TABLE);
    // SAFETY: as in `region`.
    let fast = unsafe { FastRegion::from_ndk(raw.cast()) };
    let Failed { object: fast, error } = fast.initialize_blocking(1, false).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotSupported);
    let asked = fast.query_extension(&GUID::default(), NDK_VERSION::default());
    assert_eq!(asked.unwrap_err().kind(), ErrorKind::NotSupported);
    fast.close_blocking().unwrap();
    assert_eq!(Raw::free(raw), 1);

    let bare = Raw::new(null());
    let Failed { object: (region, _), error } =
        region(bare).register_blocking(mdl(), Access::LOCAL_READ).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotSupported);
    assert_eq!(region.close_blocking().unwrap_err().kind(), ErrorKind::NotSupported);
    assert_eq!(Raw::free(bare), 0);
}

#[test]
fn h1_a_provider_that_refuses_to_close_is_reported() {
    static REFUSING: NDK_MR_DISPATCH = NDK_MR_DISPATCH {
        NdkCloseMr: Some(close_refusing),
        NdkQueryExtension: None,
        NdkRegisterMr: Some(register_early),
        NdkDeregisterMr: None,
        NdkInitializeFastRegisterMr: None,
        NdkGetRemoteTokenFromMr: None,
        NdkGetLocalTokenFromMr: None,
    };
    let raw = Raw::new(&REFUSING);
    let error = region(raw).close_blocking().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidDeviceState);
    drop(region(raw));
    assert_eq!(Raw::free(raw), 0);
}

unsafe extern "system" fn create_nothing(
    _pd: *mut NDK_PD,
    fast: BOOLEAN,
    done: Option<NDK_FN_CREATE_COMPLETION>,
    context: PVOID,
    out: *mut *mut NDK_MR,
) -> NTSTATUS {
    // SAFETY: the out pointer is good, and the completion is called once.
    unsafe {
        if fast == 0 {
            out.write(null_mut());
            return STATUS_SUCCESS;
        }
        done.unwrap()(context, STATUS_SUCCESS, null_mut());
    }
    STATUS_PENDING
}

unsafe extern "system" fn close_pd(
    _object: *mut NDK_OBJECT_HEADER,
    _done: Option<NDK_FN_CLOSE_COMPLETION>,
    _context: PVOID,
) -> NTSTATUS {
    STATUS_SUCCESS
}

#[test]
fn a1_a_creation_of_nothing_is_an_error() {
    let table = NDK_PD_DISPATCH {
        NdkCreateMr: Some(create_nothing),
        NdkClosePd: Some(close_pd),
        ..Default::default()
    };
    let mut pd = NDK_PD { Header: header(NdkObjectTypePd), Dispatch: &table };
    // SAFETY: alive until the end of the test, after the domain.
    let domain = unsafe { ProtectionDomain::from_ndk(NonNull::from(&mut pd)) };
    assert_eq!(domain.create_region_blocking().unwrap_err().kind(), ErrorKind::Internal);
    assert_eq!(domain.create_fast_region_blocking().unwrap_err().kind(), ErrorKind::Internal);
    assert_eq!(domain.privileged_token(), None);
    domain.close_blocking().unwrap();
}
