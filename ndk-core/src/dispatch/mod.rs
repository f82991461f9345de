//! The C tables: thin shells over the framework's objects. Each entry checks the pointer it is given, calls the
//! object's method and turns the result into an NTSTATUS; everything else is the object's.

pub(crate) mod adapter;
pub(crate) mod mr;
pub(crate) mod pd;

use crate::abi::{
    GUID, NDK_EXTENSION_INTERFACE, NDK_FN_CREATE_COMPLETION, NDK_OBJECT_HEADER, NDK_OBJECT_TYPE,
    NTSTATUS, STATUS_PENDING, STATUS_SUCCESS,
};
use crate::error::{Error, ErrorKind, Result};
use crate::provider::Event;
use crate::region::Progress;
use core::ptr::{NonNull, addr_of};

/// Checks an object pointer as far as that goes without reading memory that may not be an object's (A6).
///
/// # Safety
/// `object` is null or points to a live NDK object, which starts with its header.
#[inline]
unsafe fn check<T>(
    object: *mut T,
    kind: NDK_OBJECT_TYPE,
    entry: &'static str,
) -> Option<NonNull<T>> {
    let Some(object) = NonNull::new(object) else {
        refuse_object(entry, "null");
        return None;
    };
    // SAFETY: the caller's promise; a field is read, no reference made, since the consumer may write to the header.
    let found =
        unsafe { addr_of!((*object.as_ptr().cast::<NDK_OBJECT_HEADER>()).ObjectType).read() };
    if found != kind {
        refuse_object(entry, "of another type");
        return None;
    }
    Some(object)
}

#[cold]
#[inline(never)]
fn refuse_object(entry: &'static str, what: &'static str) {
    log::warn!("{entry} refused: the object is {what} [A6]");
}

/// What an entry returns for a bad object.
const BAD_OBJECT: NTSTATUS = crate::abi::STATUS_INVALID_PARAMETER;

#[inline]
pub(crate) fn to_status(result: Result<Progress>) -> NTSTATUS {
    match result {
        Ok(Progress::Done) => STATUS_SUCCESS,
        Ok(Progress::Pending) => STATUS_PENDING,
        Err(error) => status_of(error),
    }
}

#[cold]
#[inline(never)]
fn status_of(error: Error) -> NTSTATUS {
    error.status()
}

/// The common part of every QueryExtension entry: the out parameter is written only on success.
///
/// # Safety
/// `id` is null or readable, `out` is null or writable.
unsafe fn query_extension(
    id: *mut GUID,
    out: *mut NDK_EXTENSION_INTERFACE,
    query: impl FnOnce(&GUID) -> Result<NDK_EXTENSION_INTERFACE>,
) -> NTSTATUS {
    if id.is_null() || out.is_null() {
        log::warn!("NdkQueryExtension refused: a null argument [A5]");
        return crate::abi::STATUS_INVALID_PARAMETER;
    }
    // SAFETY: checked for null, and the caller's promise.
    let id = unsafe { id.read() };
    match query(&id) {
        Ok(interface) => {
            // SAFETY: as above.
            unsafe { out.write(interface) };
            STATUS_SUCCESS
        }
        Err(error) => error.status(),
    }
}

/// What the creation of an object that the framework does not build answers: the completion (A7) and the parent's
/// state (H7) are checked all the same, so that a consumer finds its mistake.
fn not_built(
    entry: &'static str,
    completion: Option<NDK_FN_CREATE_COMPLETION>,
    parent: Result<()>,
    tell: impl FnOnce(Event<'_>) -> Result<()>,
) -> NTSTATUS {
    let error = match (completion, parent) {
        (None, _) => {
            Error::new(ErrorKind::InvalidParameter, "the completion routine is null").rule("A7")
        }
        (_, Err(error)) => error,
        _ => Error::new(ErrorKind::NotSupported, "the framework does not build this object"),
    };
    log::warn!("{entry} refused: {error}");
    let _ = tell(Event::Refused { call: entry, error: &error });
    error.status()
}
