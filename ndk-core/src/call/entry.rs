//! The entries of tables, each read from the object's `Dispatch` at the time of the call, so that whoever has replaced
//! it is called. An entry that is not there answers NOT_SUPPORTED.

use super::Entry;
use crate::abi::*;
use crate::access::{LocalToken, RemoteToken};
use crate::error::{Error, ErrorKind, Result};
use core::mem::size_of;
use core::ptr::{NonNull, addr_of, null};

type RequestDone = Option<NDK_FN_REQUEST_COMPLETION>;
type CreateDone = Option<NDK_FN_CREATE_COMPLETION>;
type CloseDone = Option<NDK_FN_CLOSE_COMPLETION>;

/// Reads an entry of an object's table. The fields are read raw: the consumer's side may write them.
macro_rules! entry {
    ($object:expr, $name:ident) => {{
        // SAFETY: the object is alive, which every function here has its caller promise, and its table is null or
        // a table.
        unsafe {
            let dispatch = addr_of!((*$object.as_ptr()).Dispatch).read();
            if dispatch.is_null() { None } else { addr_of!((*dispatch).$name).read() }
        }
    }};
}

/// Calls an entry, if it is there.
macro_rules! call {
    ($object:expr, $name:ident($($argument:expr),*)) => {
        match entry!($object, $name) {
            // SAFETY: the caller's promises are those of the entry.
            Some(entry) => unsafe { entry($object.as_ptr().cast(), $($argument),*) },
            None => STATUS_NOT_SUPPORTED,
        }
    };
}

/// An object with the two entries that all have. Its first field is the header.
pub(crate) trait Object: 'static {
    /// # Safety
    /// The object is alive.
    unsafe fn close_entry(object: NonNull<Self>) -> Option<NDK_FN_CLOSE_OBJECT>;
}

impl Object for NDK_MR {
    unsafe fn close_entry(object: NonNull<Self>) -> Option<NDK_FN_CLOSE_OBJECT> {
        entry!(object, NdkCloseMr)
    }
}

impl Object for NDK_PD {
    unsafe fn close_entry(object: NonNull<Self>) -> Option<NDK_FN_CLOSE_OBJECT> {
        entry!(object, NdkClosePd)
    }
}

/// # Safety
/// The object is not closed; the completion may be called once with the context.
pub(crate) unsafe fn close<T: Object>(
    object: NonNull<T>,
    done: CloseDone,
    context: PVOID,
) -> NTSTATUS {
    // SAFETY: the caller's promises.
    unsafe {
        T::close_entry(object)
            .map_or(STATUS_NOT_SUPPORTED, |entry| entry(object.as_ptr().cast(), done, context))
    }
}

/// # Safety
/// As for `close`; the chain stays as it is until the request is over, its memory until the region is deregistered.
pub(crate) unsafe fn register(
    mr: NonNull<NDK_MR>,
    memory: (*mut MDL, usize),
    flags: ULONG,
    done: RequestDone,
    context: PVOID,
) -> NTSTATUS {
    call!(mr, NdkRegisterMr(memory.0, memory.1, flags, done, context))
}

/// # Safety
/// As for `close`.
pub(crate) unsafe fn deregister(
    mr: NonNull<NDK_MR>,
    done: RequestDone,
    context: PVOID,
) -> NTSTATUS {
    call!(mr, NdkDeregisterMr(done, context))
}

/// # Safety
/// As for `close`.
pub(crate) unsafe fn initialize_fast_register(
    mr: NonNull<NDK_MR>,
    pages: ULONG,
    remote: bool,
    done: RequestDone,
    context: PVOID,
) -> NTSTATUS {
    call!(mr, NdkInitializeFastRegisterMr(pages, BOOLEAN::from(remote), done, context))
}

/// # Safety
/// The region is not closed.
pub(crate) unsafe fn local_token(mr: NonNull<NDK_MR>) -> Option<LocalToken> {
    let entry = entry!(mr, NdkGetLocalTokenFromMr)?;
    // SAFETY: the caller's promise.
    LocalToken::new(unsafe { entry(mr.as_ptr()) })
}

/// # Safety
/// The region is not closed.
pub(crate) unsafe fn remote_token(mr: NonNull<NDK_MR>) -> Option<RemoteToken> {
    let entry = entry!(mr, NdkGetRemoteTokenFromMr)?;
    // SAFETY: the caller's promise.
    RemoteToken::new(unsafe { entry(mr.as_ptr()) })
}

/// # Safety
/// As for `close`; `out` may be written until the entry returns.
pub(crate) unsafe fn create_mr(
    pd: NonNull<NDK_PD>,
    fast: bool,
    done: CreateDone,
    context: PVOID,
    out: *mut *mut NDK_OBJECT_HEADER,
) -> NTSTATUS {
    call!(pd, NdkCreateMr(BOOLEAN::from(fast), done, context, out.cast()))
}

/// # Safety
/// The domain is not closed.
pub(crate) unsafe fn privileged_token(pd: NonNull<NDK_PD>) -> Option<LocalToken> {
    let entry = entry!(pd, NdkGetPrivilegedMemoryRegionToken)?;
    let mut token = 0;
    // SAFETY: the caller's promise.
    unsafe { entry(pd.as_ptr(), &raw mut token) };
    LocalToken::new(token)
}

/// # Safety
/// As for `create_mr`.
pub(crate) unsafe fn create_pd(
    adapter: NonNull<NDK_ADAPTER>,
    done: CreateDone,
    context: PVOID,
    out: *mut *mut NDK_OBJECT_HEADER,
) -> NTSTATUS {
    call!(adapter, NdkCreatePd(done, context, out.cast()))
}

/// # Safety
/// The adapter is open.
pub(crate) unsafe fn info(adapter: NonNull<NDK_ADAPTER>) -> Result<NDK_ADAPTER_INFO> {
    let mut info = NDK_ADAPTER_INFO::default();
    let mut size = size_of::<NDK_ADAPTER_INFO>() as ULONG;
    let status = call!(adapter, NdkQueryAdapterInfo(&raw mut info, &raw mut size));
    Entry::QueryAdapterInfo.check(status).map(|()| info)
}

/// # Safety
/// As for `close`; the chain and what the pointers name stay until the request is over.
pub(crate) unsafe fn build_lam(
    adapter: NonNull<NDK_ADAPTER>,
    memory: (*mut MDL, usize),
    lam: (*mut NDK_LOGICAL_ADDRESS_MAPPING, *mut ULONG, *mut ULONG),
    done: RequestDone,
    context: PVOID,
) -> NTSTATUS {
    call!(adapter, NdkBuildLAM(memory.0, memory.1, done, context, lam.0, lam.1, lam.2))
}

/// # Safety
/// The adapter is open; the mapping was built on it, and is released once.
pub(crate) unsafe fn release_lam(
    adapter: NonNull<NDK_ADAPTER>,
    lam: *mut NDK_LOGICAL_ADDRESS_MAPPING,
) {
    match entry!(adapter, NdkReleaseLAM) {
        // SAFETY: the caller's promise.
        Some(entry) => unsafe { entry(adapter.as_ptr(), lam) },
        None => log::error!("a logical address mapping stays: the table has no NdkReleaseLAM"),
    }
}

/// Asks an object for an extension.
///
/// # Safety
/// `entry` is the object's, which is not closed.
unsafe fn query(
    entry: Option<NDK_FN_QUERY_EXTENSION_INTERFACE>,
    object: *mut NDK_OBJECT_HEADER,
    id: &GUID,
    version: NDK_VERSION,
) -> Result<NDK_EXTENSION_INTERFACE> {
    let mut id = *id;
    let mut found = NDK_EXTENSION_INTERFACE { Dispatch: null() };
    let status = entry.map_or(STATUS_NOT_SUPPORTED, |entry| {
        // SAFETY: the caller's promise; the pointers are to locals.
        unsafe { entry(object, &raw mut id, version, &raw mut found) }
    });
    Entry::QueryExtension.check(status)?;
    if found.Dispatch.is_null() {
        return Err(Error::new(ErrorKind::Internal, "the extension that was found is null"));
    }
    Ok(found)
}

/// # Safety
/// The region is not closed.
pub(crate) unsafe fn query_region(
    mr: NonNull<NDK_MR>,
    id: &GUID,
    version: NDK_VERSION,
) -> Result<NDK_EXTENSION_INTERFACE> {
    let entry = entry!(mr, NdkQueryExtension);
    // SAFETY: the caller's promise.
    unsafe { query(entry, mr.as_ptr().cast(), id, version) }
}

/// # Safety
/// The adapter is open.
pub(crate) unsafe fn query_adapter(
    adapter: NonNull<NDK_ADAPTER>,
    id: &GUID,
    version: NDK_VERSION,
) -> Result<NDK_EXTENSION_INTERFACE> {
    let entry = entry!(adapter, NdkQueryExtension);
    // SAFETY: the caller's promise.
    unsafe { query(entry, adapter.as_ptr().cast(), id, version) }
}
