//! Logical address mappings: building one into a consumer's buffer, and releasing it.

use crate::abi::{
    GUID, MDL, NDK_EXTENSION_INTERFACE, NDK_FN_REQUEST_COMPLETION, NDK_LOGICAL_ADDRESS,
    NDK_LOGICAL_ADDRESS_MAPPING, NDK_VERSION, PVOID, STATUS_SUCCESS, ULONG,
};
use crate::adapter::AdapterRef;
use crate::completion::RequestCompletion;
use crate::contain::{Panicked, contain, panicked};
use crate::error::{Error, ErrorKind, Result};
use crate::extension::{self, NDKMR_CAPABILITIES, NDKMR_CAPABILITIES_GUID};
use crate::job::{self, Dropped, Started};
use crate::mdl::MdlView;
use crate::platform::Platform;
use crate::provider::{AdapterProvider, Event, Mapping};
use crate::region::Progress;
use alloc::vec;
use alloc::vec::Vec;
use core::mem::{offset_of, size_of};
use core::ptr::{addr_of, addr_of_mut};

/// A consumer's `NDK_LOGICAL_ADDRESS_MAPPING`, to be filled when the mapping is built.
#[derive(Clone, Copy)]
struct Target(*mut NDK_LOGICAL_ADDRESS_MAPPING);

// SAFETY: the consumer promises that the buffer may be written until the request has completed, on any thread.
unsafe impl Send for Target {}

impl Target {
    /// # Safety
    /// The buffer has room for that many pages.
    unsafe fn fill(self, mapping: Mapping, pages: &[u64]) {
        // SAFETY: the caller's promise; fields are written one by one, no reference is made.
        unsafe {
            addr_of_mut!((*self.0).AdapterContext).write(mapping.0 as PVOID);
            addr_of_mut!((*self.0).AdapterPageCount).write(pages.len() as ULONG);
            let array =
                self.0.cast::<u8>().add(offset_of!(NDK_LOGICAL_ADDRESS_MAPPING, AdapterPageArray));
            for (index, &page) in pages.iter().enumerate() {
                array
                    .cast::<NDK_LOGICAL_ADDRESS>()
                    .add(index)
                    .write(NDK_LOGICAL_ADDRESS::new(page));
            }
        }
    }
}

fn refuse(rule: &'static str, cause: &'static str) -> Error {
    Error::new(ErrorKind::InvalidParameter, cause).rule(rule)
}

impl<A: AdapterProvider, P: Platform> AdapterRef<A, P> {
    /// Builds a mapping. C entry: `NdkBuildLAM`, whose statuses it gives.
    ///
    /// The page count is that of the pages spanned, and `fbo` gets the offset in the first (L4). The buffer is
    /// filled before the request completes.
    ///
    /// # Errors
    /// BUFFER_TOO_SMALL with the size needed in `lam_size`, where `lam` is null or small (L4). INVALID_PARAMETER for
    /// a null `lam_size` or `fbo`, a broken chain (C3 to C7, C15), or a backend that pends while the completion is
    /// null (A7). DEVICE_REMOVED (H8), INVALID_DEVICE_STATE while the adapter is being closed, and what the backend
    /// gives. A failed build leaves no mapping.
    ///
    /// # Safety
    /// The memory described stays valid until the mapping is released and its last use over. The adapter is open; `mdl`
    /// is null or a chain as [`MdlView::new`] asks; pointers are null or may be written,
    /// `lam` up to the size given; both until the request has completed. The completion may be called once from any
    /// thread.
    pub unsafe fn build_mapping(
        self,
        mdl: *const MDL,
        length: usize,
        completion: (Option<NDK_FN_REQUEST_COMPLETION>, PVOID),
        lam: *mut NDK_LOGICAL_ADDRESS_MAPPING,
        lam_size: *mut ULONG,
        fbo: *mut ULONG,
    ) -> Result<Progress> {
        // SAFETY: the caller's promises.
        let begun = unsafe { self.begin_mapping(mdl, length, completion, lam, lam_size, fbo) };
        begun.unwrap_or_else(|refused| {
            // A buffer that is too small is how its size is asked for.
            if refused.kind() != ErrorKind::BufferTooSmall {
                // SAFETY: what is refused has no reference any more, and the adapter is as open as before.
                unsafe { self.log_refusal("build mapping", &refused) };
            }
            Err(refused)
        })
    }

    /// # Safety
    /// As for `build_mapping`.
    unsafe fn begin_mapping(
        self,
        mdl: *const MDL,
        length: usize,
        (routine, context): (Option<NDK_FN_REQUEST_COMPLETION>, PVOID),
        lam: *mut NDK_LOGICAL_ADDRESS_MAPPING,
        lam_size: *mut ULONG,
        fbo: *mut ULONG,
    ) -> Result<Result<Progress>> {
        // SAFETY: the caller's promises.
        let adapter = unsafe { self.get() };
        adapter.check_device()?;
        if lam_size.is_null() || fbo.is_null() {
            return Err(refuse("L4", "the size or offset pointer is null"));
        }
        // SAFETY: the caller's promise.
        let memory = unsafe { MdlView::new(mdl, length)? };
        let count = memory.page_count();
        let Ok(needed) = ULONG::try_from(
            size_of::<NDK_LOGICAL_ADDRESS_MAPPING>() + (count - 1) * size_of::<u64>(),
        ) else {
            return Err(refuse("L4", "the mapping's size does not fit into 32 bits"));
        };
        // SAFETY: not null, and the caller's promise; the watch reads nothing of the buffer.
        let given = unsafe { lam_size.read() };
        if given > needed && !lam.is_null() {
            let (buffer, length) = (lam.addr(), given as usize);
            adapter.see(
                0,
                &adapter.name(),
                Event::Length { call: "build mapping", buffer, length },
            )?;
        }
        // SAFETY: as above.
        unsafe { lam_size.write(needed) };
        if lam.is_null() || given < needed {
            return Err(Error::new(ErrorKind::BufferTooSmall, "the mapping's buffer is too small")
                .rule("L4"));
        }
        // SAFETY: a null routine is legal here; it is called only where the backend pends.
        let done = unsafe { RequestCompletion::new(routine, context) };
        adapter.enter()?;
        let (provider, target) = (adapter.provider(), Target(lam));
        let build = async move {
            let mut pages = vec![0; count];
            let mapping = provider.build_mapping(memory, &mut pages).await?;
            Ok((mapping, pages))
        };
        let finish = move |result: Result<Result<(Mapping, Vec<u64>)>>| {
            let target = target;
            // SAFETY: the buffer was checked to be large enough.
            result
                .and_then(|built| built)
                .map(|(mapping, pages)| unsafe { target.fill(mapping, &pages) })
        };
        let task_done = done.clone();
        let started = job::start(
            "build mapping",
            Dropped::Cancelled,
            || build,
            move |result| {
                let status =
                    finish(result).as_ref().map_or_else(Error::status, |()| STATUS_SUCCESS);
                if let Ok(done) = task_done {
                    done.call::<P>(self.key(), status);
                }
                // SAFETY: the request's own reference.
                unsafe { self.release() };
            },
        );
        match started {
            Started::Ready(result) => {
                let result = finish(result);
                // SAFETY: the request's own reference; the offset pointer was checked.
                unsafe {
                    match &result {
                        Ok(()) => fbo.write(memory.page_offset() as ULONG),
                        Err(error) => self.log_failure("build mapping", error),
                    }
                    self.release();
                }
                Ok(result.map(|()| Progress::Done))
            }
            Started::Pending(task) => {
                // Without a completion the build is given up: the task is dropped, and calls nothing.
                if let Err(error) = done {
                    drop(task);
                    return Err(error);
                }
                // SAFETY: as above; written before the task can complete, which lets the request's reference go.
                unsafe {
                    fbo.write(memory.page_offset() as ULONG);
                    self.spawn(task);
                }
                Ok(Ok(Progress::Pending))
            }
        }
    }

    /// Releases a mapping; it lives on until its last use is over (L4). C entry: `NdkReleaseLAM`.
    ///
    /// # Errors
    /// INVALID_PARAMETER for a null mapping.
    ///
    /// # Safety
    /// The adapter is open; `lam` is null or was filled by `build_mapping` on it, and is released once.
    pub unsafe fn release_mapping(self, lam: *const NDK_LOGICAL_ADDRESS_MAPPING) -> Result<()> {
        if lam.is_null() {
            let error = refuse("L4", "the mapping is null");
            // SAFETY: the caller's promise.
            let _ = unsafe { self.see(Event::Refused { call: "release mapping", error: &error }) };
            return Err(error);
        }
        // SAFETY: the caller's promises.
        let (adapter, context) = unsafe { (self.get(), addr_of!((*lam).AdapterContext).read()) };
        let release = || adapter.provider().release_mapping(Mapping(context as usize));
        contain("release of a mapping", adapter.name(), release).map_err(|Panicked| panicked())
    }

    /// An extension interface on the adapter: the framework's own ([`NDKMR_CAPABILITIES_GUID`]), or a vendor's. C entry:
    /// `NdkQueryExtension`. Changes nothing.
    ///
    /// # Errors
    /// NOT_SUPPORTED (A5), INTERNAL_ERROR where the backend panics.
    ///
    /// # Safety
    /// The adapter is open.
    pub unsafe fn query_extension(
        self,
        id: &GUID,
        version: NDK_VERSION,
    ) -> Result<NDK_EXTENSION_INTERFACE> {
        // SAFETY: the caller's promise.
        let adapter = unsafe { self.get() };
        if *id == NDKMR_CAPABILITIES_GUID && extension::serves(version) {
            let declared: *const NDKMR_CAPABILITIES = adapter.declared();
            return Ok(NDK_EXTENSION_INTERFACE { Dispatch: declared.cast() });
        }
        contain("query-extension", adapter.name(), || {
            adapter.provider().query_extension(id, version)
        })
        .unwrap_or_else(|Panicked| Err(panicked()))
    }
}
