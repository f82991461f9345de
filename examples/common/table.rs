//! The C tables, called as a C consumer would call them: each function looks its entry up in the object's `Dispatch`,
//! passes a completion routine, and waits for it where the entry returns PENDING.
//!
//! The functions are `unsafe` as the entries are: objects must be alive, and an MDL must describe memory that stays
//! until the registration has ended.

use ndk_core::abi::*;
use ndk_core::{Error, Result};
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// What a completion brings: the status, and the object where one was created.
type Outcome = (NTSTATUS, usize);

/// Completion routine and context for one request.
struct Waiter {
    send: SyncSender<Outcome>,
    receive: Receiver<Outcome>,
}

impl Waiter {
    fn new() -> Self {
        let (send, receive) = sync_channel(1);
        Self { send, receive }
    }

    /// The context is a sender of its own, which the completion routine takes back.
    fn context(&self) -> PVOID {
        Box::into_raw(Box::new(self.send.clone())).cast()
    }

    /// Waits for the completion if the entry said PENDING; else takes the context back, which nobody will use (B1).
    fn wait(self, entry: &'static str, returned: NTSTATUS, context: PVOID) -> Result<usize> {
        let (status, object) = if returned == STATUS_PENDING {
            self.receive.recv().expect("PENDING means one completion (B2)")
        } else {
            // SAFETY: the entry did not pend, so the box is still ours.
            drop(unsafe { Box::from_raw(context.cast::<SyncSender<Outcome>>()) });
            (returned, 0)
        };
        Error::check(status, entry).map(|()| object)
    }
}

/// # Safety
/// `context` is what `Waiter::context` gave, for one completion.
unsafe fn complete(context: *mut c_void, status: NTSTATUS, object: usize) {
    // SAFETY: the caller's promise.
    let send = unsafe { Box::from_raw(context.cast::<SyncSender<Outcome>>()) };
    // The channel has room for the one completion there is.
    let _ = send.send((status, object));
}

unsafe extern "system" fn request_done(context: *mut c_void, status: NTSTATUS) {
    // SAFETY: the provider hands the context back once.
    unsafe { complete(context, status, 0) };
}

unsafe extern "system" fn close_done(context: *mut c_void) {
    // SAFETY: as above.
    unsafe { complete(context, STATUS_SUCCESS, 0) };
}

unsafe extern "system" fn create_done(
    context: *mut c_void,
    status: NTSTATUS,
    object: *mut NDK_OBJECT_HEADER,
) {
    // SAFETY: as above.
    unsafe { complete(context, status, object.expose_provenance()) };
}

/// Creates an object: it comes through `out` or through the completion, never both (A1).
fn created<T>(
    entry: &'static str,
    call: impl FnOnce(Option<NDK_FN_CREATE_COMPLETION>, PVOID, *mut *mut T) -> NTSTATUS,
) -> Result<*mut T> {
    let (waiter, mut out) = (Waiter::new(), null_mut());
    let context = waiter.context();
    let returned = call(Some(create_done), context, &mut out);
    match waiter.wait(entry, returned, context)? {
        0 => Ok(out),
        object => Ok(std::ptr::with_exposed_provenance_mut(object)),
    }
}

fn requested(
    entry: &'static str,
    call: impl FnOnce(Option<NDK_FN_REQUEST_COMPLETION>, PVOID) -> NTSTATUS,
) -> Result<()> {
    let waiter = Waiter::new();
    let context = waiter.context();
    waiter.wait(entry, call(Some(request_done), context), context).map(|_| ())
}

/// A close that may be waited for later.
pub struct Closing {
    entry: &'static str,
    waiter: Waiter,
    context: PVOID,
    returned: NTSTATUS,
}

impl Closing {
    fn start(
        entry: &'static str,
        call: impl FnOnce(Option<NDK_FN_CLOSE_COMPLETION>, PVOID) -> NTSTATUS,
    ) -> Self {
        let waiter = Waiter::new();
        let context = waiter.context();
        let returned = call(Some(close_done), context);
        Self { entry, waiter, context, returned }
    }

    /// Whether the entry returned PENDING.
    pub fn is_pending(&self) -> bool {
        self.returned == STATUS_PENDING
    }

    /// Waits for the close to complete.
    ///
    /// # Errors
    /// The close was refused, which a valid object's never is (H1).
    pub fn wait(self) -> Result<()> {
        self.waiter.wait(self.entry, self.returned, self.context).map(|_| ())
    }
}

pub(crate) const EVERY_TABLE: &str = "every entry of a table is there (A2)";

/// Creates a protection domain.
///
/// # Safety
/// The adapter is open.
pub unsafe fn create_pd(adapter: *mut NDK_ADAPTER) -> Result<*mut NDK_PD> {
    // SAFETY: the caller's promise.
    unsafe {
        let entry = (*(*adapter).Dispatch).NdkCreatePd.expect(EVERY_TABLE);
        created("NdkCreatePd", |done, context, out| entry(adapter, done, context, out))
    }
}

/// Creates a region.
///
/// # Safety
/// The domain is open.
pub unsafe fn create_mr(pd: *mut NDK_PD, fast_register: bool) -> Result<*mut NDK_MR> {
    // SAFETY: the caller's promise.
    unsafe {
        let entry = (*(*pd).Dispatch).NdkCreateMr.expect(EVERY_TABLE);
        created("NdkCreateMr", |done, context, out| {
            entry(pd, fast_register.into(), done, context, out)
        })
    }
}

/// Registers the first `length` bytes of an MDL.
///
/// # Safety
/// The region is open, and the MDL's memory stays until the registration has ended.
pub unsafe fn register(mr: *mut NDK_MR, mdl: *mut MDL, length: usize, flags: ULONG) -> Result<()> {
    // SAFETY: the caller's promise.
    unsafe {
        let entry = (*(*mr).Dispatch).NdkRegisterMr.expect(EVERY_TABLE);
        requested("NdkRegisterMr", |done, context| entry(mr, mdl, length, flags, done, context))
    }
}

/// Ends a registration.
///
/// # Safety
/// The region is open.
pub unsafe fn deregister(mr: *mut NDK_MR) -> Result<()> {
    // SAFETY: the caller's promise.
    unsafe {
        let entry = (*(*mr).Dispatch).NdkDeregisterMr.expect(EVERY_TABLE);
        requested("NdkDeregisterMr", |done, context| entry(mr, done, context))
    }
}

/// Prepares a region for fast registration.
///
/// # Safety
/// The region is open.
pub unsafe fn initialize_fast_register(mr: *mut NDK_MR, pages: ULONG, remote: bool) -> Result<()> {
    // SAFETY: the caller's promise.
    unsafe {
        let entry = (*(*mr).Dispatch).NdkInitializeFastRegisterMr.expect(EVERY_TABLE);
        requested("NdkInitializeFastRegisterMr", |done, context| {
            entry(mr, pages, remote.into(), done, context)
        })
    }
}

/// The local and the remote token; 0 stands for none (E1).
///
/// # Safety
/// The region is open.
pub unsafe fn tokens(mr: *mut NDK_MR) -> (UINT32, UINT32) {
    // SAFETY: the caller's promise.
    unsafe {
        let table = &*(*mr).Dispatch;
        let local = table.NdkGetLocalTokenFromMr.expect(EVERY_TABLE)(mr);
        (local, table.NdkGetRemoteTokenFromMr.expect(EVERY_TABLE)(mr))
    }
}

/// Starts to close a region.
///
/// # Safety
/// The region is open, and not used afterwards.
pub unsafe fn close_mr(mr: *mut NDK_MR) -> Closing {
    // SAFETY: the caller's promise.
    unsafe {
        let entry = (*(*mr).Dispatch).NdkCloseMr.expect(EVERY_TABLE);
        Closing::start("NdkCloseMr", |done, context| entry(mr.cast(), done, context))
    }
}

/// Starts to close a protection domain.
///
/// # Safety
/// The domain is open, and not used afterwards.
pub unsafe fn close_pd(pd: *mut NDK_PD) -> Closing {
    // SAFETY: the caller's promise.
    unsafe {
        let entry = (*(*pd).Dispatch).NdkClosePd.expect(EVERY_TABLE);
        Closing::start("NdkClosePd", |done, context| entry(pd.cast(), done, context))
    }
}

/// A logical address mapping in the buffer that `NdkBuildLAM` fills.
pub struct LogicalMapping {
    buffer: Vec<u64>,
    adapter: *mut NDK_ADAPTER,
    /// The offset of the first byte in the first page.
    pub first_byte: ULONG,
}

impl LogicalMapping {
    /// Builds a mapping: asks for the size first, as a C consumer does (L4).
    ///
    /// # Safety
    /// The adapter is open until the mapping is dropped, and the MDL's memory stays as long.
    pub unsafe fn build(adapter: *mut NDK_ADAPTER, mdl: *mut MDL, length: usize) -> Result<Self> {
        // SAFETY: the caller's promise.
        unsafe {
            let entry = (*(*adapter).Dispatch).NdkBuildLAM.expect(EVERY_TABLE);
            let (mut size, mut first_byte) = (0, 0);
            let ask = requested("NdkBuildLAM", |done, context| {
                entry(adapter, mdl, length, done, context, null_mut(), &mut size, &mut first_byte)
            });
            match ask {
                Err(error) if error.status() == STATUS_BUFFER_TOO_SMALL => {}
                other => other?,
            }
            let mut buffer = vec![0_u64; (size as usize).div_ceil(8)];
            let lam = buffer.as_mut_ptr().cast();
            requested("NdkBuildLAM", |done, context| {
                entry(adapter, mdl, length, done, context, lam, &mut size, &mut first_byte)
            })?;
            Ok(Self { buffer, adapter, first_byte })
        }
    }

    /// The logical address of each page.
    pub fn pages(&self) -> &[u64] {
        let start = std::mem::offset_of!(NDK_LOGICAL_ADDRESS_MAPPING, AdapterPageArray) / 8;
        // SAFETY: the buffer was filled by a successful build.
        let count = unsafe {
            (*self.buffer.as_ptr().cast::<NDK_LOGICAL_ADDRESS_MAPPING>()).AdapterPageCount
        };
        &self.buffer[start..start + count as usize]
    }
}

impl Drop for LogicalMapping {
    fn drop(&mut self) {
        // SAFETY: `build` was promised that the adapter is open.
        unsafe {
            let entry = (*(*self.adapter).Dispatch).NdkReleaseLAM.expect(EVERY_TABLE);
            entry(self.adapter, self.buffer.as_mut_ptr().cast());
        }
    }
}
