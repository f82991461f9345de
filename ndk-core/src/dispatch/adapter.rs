//! `NDK_ADAPTER_DISPATCH`.

use super::{BAD_OBJECT, check, not_built, query_extension, to_status};
use crate::abi::*;
use crate::adapter::AdapterRef;
use crate::error::Error;
use crate::platform::Platform;
use crate::provider::{AdapterProvider, Event};
use core::marker::PhantomData;

/// The table for adapters of `A`.
pub(crate) fn table<A: AdapterProvider, P: Platform>() -> &'static NDK_ADAPTER_DISPATCH {
    &Table::<A, P>::TABLE
}

struct Table<A, P>(PhantomData<(A, P)>);

/// The entries.
///
/// # Safety
/// For each of them, as the C interface has it:
/// - the object is null, or an adapter opened by this framework for these types that is not closed;
/// - pointers are null, or valid for what the function does with them, an MDL chain until the request has completed;
/// - the completion may be called once, with the context, from any thread.
impl<A: AdapterProvider, P: Platform> Table<A, P> {
    const TABLE: NDK_ADAPTER_DISPATCH = NDK_ADAPTER_DISPATCH {
        NdkQueryExtension: Some(Self::query_extension),
        NdkQueryAdapterInfo: Some(Self::query_info),
        NdkCreateCq: Some(Self::create_cq),
        NdkCreatePd: Some(Self::create_pd),
        NdkCreateSharedEndpoint: Some(Self::create_shared_endpoint),
        NdkCreateConnector: Some(Self::create_connector),
        NdkCreateListener: Some(Self::create_listener),
        NdkBuildLAM: Some(Self::build_lam),
        NdkReleaseLAM: Some(Self::release_lam),
    };

    unsafe fn adapter(adapter: *mut NDK_ADAPTER, entry: &'static str) -> Option<AdapterRef<A, P>> {
        // SAFETY: the first of the impl's conditions.
        unsafe { Some(AdapterRef::from_ndk(check(adapter, NdkObjectTypeAdapter, entry)?)) }
    }

    /// What the creation of an object that the framework does not build answers.
    fn not_built(
        adapter: Option<AdapterRef<A, P>>,
        entry: &'static str,
        completion: Option<NDK_FN_CREATE_COMPLETION>,
    ) -> NTSTATUS {
        let Some(adapter) = adapter else { return BAD_OBJECT };
        // SAFETY: the first of the impl's conditions.
        not_built(entry, completion, Ok(()), |refused| unsafe { adapter.see(refused) })
    }

    unsafe extern "system" fn query_extension(
        object: *mut NDK_OBJECT_HEADER,
        id: *mut GUID,
        version: NDK_VERSION,
        out: *mut NDK_EXTENSION_INTERFACE,
    ) -> NTSTATUS {
        // SAFETY: the impl's conditions are those of the called functions.
        unsafe {
            let Some(adapter) = Self::adapter(object.cast(), "NdkQueryExtension") else {
                return BAD_OBJECT;
            };
            query_extension(id, out, |id| adapter.query_extension(id, version))
        }
    }

    unsafe extern "system" fn query_info(
        adapter: *mut NDK_ADAPTER,
        info: *mut NDK_ADAPTER_INFO,
        size: *mut ULONG,
    ) -> NTSTATUS {
        // SAFETY: as above.
        unsafe {
            let Some(adapter) = Self::adapter(adapter, "NdkQueryAdapterInfo") else {
                return BAD_OBJECT;
            };
            if size.is_null() {
                log::warn!("NdkQueryAdapterInfo refused: the size pointer is null");
                return STATUS_INVALID_PARAMETER;
            }
            let needed = size_of::<NDK_ADAPTER_INFO>() as ULONG;
            let given = size.read();
            if given > needed && !info.is_null() {
                let (buffer, length) = (info.addr(), given as usize);
                let call = "query adapter info";
                if let Err(error) = adapter.see(Event::Length { call, buffer, length }) {
                    return error.status();
                }
            }
            size.write(needed);
            if info.is_null() || given < needed {
                return STATUS_BUFFER_TOO_SMALL;
            }
            info.write(adapter.info());
            STATUS_SUCCESS
        }
    }

    unsafe extern "system" fn create_cq(
        adapter: *mut NDK_ADAPTER,
        _depth: ULONG,
        _notification: Option<NDK_FN_CQ_NOTIFICATION_CALLBACK>,
        _notification_context: PVOID,
        _affinity: *mut GROUP_AFFINITY,
        completion: Option<NDK_FN_CREATE_COMPLETION>,
        _context: PVOID,
        _out: *mut *mut NDK_CQ,
    ) -> NTSTATUS {
        // SAFETY: as above.
        let known = unsafe { Self::adapter(adapter, "NdkCreateCq") };
        Self::not_built(known, "NdkCreateCq", completion)
    }

    unsafe extern "system" fn create_pd(
        adapter: *mut NDK_ADAPTER,
        completion: Option<NDK_FN_CREATE_COMPLETION>,
        context: PVOID,
        out: *mut *mut NDK_PD,
    ) -> NTSTATUS {
        // SAFETY: as above.
        unsafe {
            let Some(adapter) = Self::adapter(adapter, "NdkCreatePd") else { return BAD_OBJECT };
            to_status(adapter.create_pd(completion, context, out))
        }
    }

    unsafe extern "system" fn create_shared_endpoint(
        adapter: *mut NDK_ADAPTER,
        _address: PSOCKADDR,
        _length: ULONG,
        completion: Option<NDK_FN_CREATE_COMPLETION>,
        _context: PVOID,
        _out: *mut *mut NDK_SHARED_ENDPOINT,
    ) -> NTSTATUS {
        // SAFETY: as above.
        let known = unsafe { Self::adapter(adapter, "NdkCreateSharedEndpoint") };
        Self::not_built(known, "NdkCreateSharedEndpoint", completion)
    }

    unsafe extern "system" fn create_connector(
        adapter: *mut NDK_ADAPTER,
        completion: Option<NDK_FN_CREATE_COMPLETION>,
        _context: PVOID,
        _out: *mut *mut NDK_CONNECTOR,
    ) -> NTSTATUS {
        // SAFETY: as above.
        let known = unsafe { Self::adapter(adapter, "NdkCreateConnector") };
        Self::not_built(known, "NdkCreateConnector", completion)
    }

    unsafe extern "system" fn create_listener(
        adapter: *mut NDK_ADAPTER,
        _event: Option<NDK_FN_CONNECT_EVENT_CALLBACK>,
        _event_context: PVOID,
        completion: Option<NDK_FN_CREATE_COMPLETION>,
        _context: PVOID,
        _out: *mut *mut NDK_LISTENER,
    ) -> NTSTATUS {
        // SAFETY: as above.
        let known = unsafe { Self::adapter(adapter, "NdkCreateListener") };
        Self::not_built(known, "NdkCreateListener", completion)
    }

    unsafe extern "system" fn build_lam(
        adapter: *mut NDK_ADAPTER,
        mdl: *mut MDL,
        length: SIZE_T,
        completion: Option<NDK_FN_REQUEST_COMPLETION>,
        context: PVOID,
        lam: *mut NDK_LOGICAL_ADDRESS_MAPPING,
        lam_size: *mut ULONG,
        fbo: *mut ULONG,
    ) -> NTSTATUS {
        // SAFETY: as above.
        unsafe {
            let Some(adapter) = Self::adapter(adapter, "NdkBuildLAM") else { return BAD_OBJECT };
            to_status(adapter.build_mapping(mdl, length, (completion, context), lam, lam_size, fbo))
        }
    }

    unsafe extern "system" fn release_lam(
        adapter: *mut NDK_ADAPTER,
        lam: *mut NDK_LOGICAL_ADDRESS_MAPPING,
    ) {
        // SAFETY: as above.
        unsafe {
            if let Some(adapter) = Self::adapter(adapter, "NdkReleaseLAM")
                && let Err(error) = adapter.release_mapping(lam)
            {
                log_refused_release(adapter.get().name(), &error);
            }
        }
    }
}

#[cold]
fn log_refused_release(adapter: &str, error: &Error) {
    log::warn!("{adapter}: NdkReleaseLAM refused: {error}");
}
