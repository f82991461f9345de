//! `NDK_MR_DISPATCH`.

use super::{BAD_OBJECT, check, query_extension, to_status};
use crate::abi::*;
use crate::access::{LocalToken, RemoteToken};
use crate::platform::Platform;
use crate::provider::AdapterProvider;
use crate::region::RegionRef;
use core::marker::PhantomData;

/// The table for regions of `A`; the same for every region of an adapter. The requests of watched ones start another way.
pub(crate) fn table<A: AdapterProvider, P: Platform>(
    are_watched: bool,
) -> &'static NDK_MR_DISPATCH {
    match are_watched {
        false => &Table::<A, P>::TABLE,
        true => &Table::<A, P>::WATCHED,
    }
}

struct Table<A, P>(PhantomData<(A, P)>);

/// The entries.
///
/// # Safety
/// For each of them, as the C interface has it:
/// - the object is null, or a region made by this framework for these types that is not closed;
/// - pointers are null, or valid for what the function does with them, an MDL chain until the request has completed;
/// - the completion may be called once, with the context, from any thread.
impl<A: AdapterProvider, P: Platform> Table<A, P> {
    const TABLE: NDK_MR_DISPATCH = NDK_MR_DISPATCH {
        NdkCloseMr: Some(Self::close),
        NdkQueryExtension: Some(Self::query_extension),
        NdkRegisterMr: Some(Self::register::<false>),
        NdkDeregisterMr: Some(Self::deregister::<false>),
        NdkInitializeFastRegisterMr: Some(Self::initialize_fast_register),
        NdkGetRemoteTokenFromMr: Some(Self::remote_token),
        NdkGetLocalTokenFromMr: Some(Self::local_token),
    };

    const WATCHED: NDK_MR_DISPATCH = NDK_MR_DISPATCH {
        NdkRegisterMr: Some(Self::register::<true>),
        NdkDeregisterMr: Some(Self::deregister::<true>),
        ..Self::TABLE
    };

    #[inline]
    unsafe fn region(mr: *mut NDK_MR, entry: &'static str) -> Option<RegionRef<A, P>> {
        // SAFETY: the first of the impl's conditions.
        unsafe { Some(RegionRef::from_ndk(check(mr, NdkObjectTypeMr, entry)?)) }
    }

    unsafe extern "system" fn close(
        object: *mut NDK_OBJECT_HEADER,
        completion: Option<NDK_FN_CLOSE_COMPLETION>,
        context: PVOID,
    ) -> NTSTATUS {
        // SAFETY: the impl's conditions are those of the called functions.
        unsafe {
            let Some(region) = Self::region(object.cast(), "NdkCloseMr") else { return BAD_OBJECT };
            to_status(region.close(completion, context))
        }
    }

    unsafe extern "system" fn query_extension(
        object: *mut NDK_OBJECT_HEADER,
        id: *mut GUID,
        version: NDK_VERSION,
        out: *mut NDK_EXTENSION_INTERFACE,
    ) -> NTSTATUS {
        // SAFETY: as above.
        unsafe {
            let Some(region) = Self::region(object.cast(), "NdkQueryExtension") else {
                return BAD_OBJECT;
            };
            query_extension(id, out, |id| region.query_extension(id, version))
        }
    }

    unsafe extern "system" fn register<const WATCHED: bool>(
        mr: *mut NDK_MR,
        mdl: *mut MDL,
        length: SIZE_T,
        flags: ULONG,
        completion: Option<NDK_FN_REQUEST_COMPLETION>,
        context: PVOID,
    ) -> NTSTATUS {
        // SAFETY: as above.
        unsafe {
            RegionRef::<A, P>::prefetch_at(mr);
            let Some(region) = Self::region(mr, "NdkRegisterMr") else { return BAD_OBJECT };
            let request = (completion, context);
            region.register_and::<WATCHED, _>(mdl, length, flags, request, to_status)
        }
    }

    unsafe extern "system" fn deregister<const WATCHED: bool>(
        mr: *mut NDK_MR,
        completion: Option<NDK_FN_REQUEST_COMPLETION>,
        context: PVOID,
    ) -> NTSTATUS {
        // SAFETY: as above.
        unsafe {
            RegionRef::<A, P>::prefetch_at(mr);
            let Some(region) = Self::region(mr, "NdkDeregisterMr") else { return BAD_OBJECT };
            region.deregister_and::<WATCHED, _>(completion, context, to_status)
        }
    }

    unsafe extern "system" fn initialize_fast_register(
        mr: *mut NDK_MR,
        pages: ULONG,
        remote_access: BOOLEAN,
        completion: Option<NDK_FN_REQUEST_COMPLETION>,
        context: PVOID,
    ) -> NTSTATUS {
        // SAFETY: as above.
        unsafe {
            let Some(region) = Self::region(mr, "NdkInitializeFastRegisterMr") else {
                return BAD_OBJECT;
            };
            to_status(region.initialize_fast_register(
                pages,
                remote_access != 0,
                completion,
                context,
            ))
        }
    }

    unsafe extern "system" fn remote_token(mr: *mut NDK_MR) -> UINT32 {
        // SAFETY: as above.
        unsafe {
            let region = Self::region(mr, "NdkGetRemoteTokenFromMr");
            region.and_then(|region| region.remote_token()).map_or(0, RemoteToken::get)
        }
    }

    unsafe extern "system" fn local_token(mr: *mut NDK_MR) -> UINT32 {
        // SAFETY: as above.
        unsafe {
            let region = Self::region(mr, "NdkGetLocalTokenFromMr");
            region.and_then(|region| region.local_token()).map_or(0, LocalToken::get)
        }
    }
}
