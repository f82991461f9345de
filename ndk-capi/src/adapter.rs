//! Adapters: opened by name, closed by pointer.

use crate::boundary::{guard, invalid, out};
use crate::{backends, logger};
use ndk_core::abi::{NDK_ADAPTER, NDK_VERSION, NTSTATUS};
use ndk_core::backend::Registry;
use ndk_core::{BoxedAdapter, CloseRefused, Error, ErrorKind, Opened, Result, Std, ThreadPool};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::ffi::{CStr, c_char};
use std::mem::size_of;
use std::sync::{Arc, LazyLock};

/// How to open an adapter.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ndkmr_options {
    /// The size of the structure that the caller was compiled with.
    pub size: usize,
    /// How many threads finish pending requests; 0 for the default.
    pub executor_threads: u32,
    /// Must be zero.
    pub reserved: u32,
}

const DEFAULT_THREADS: u32 = 2;
const MOST_THREADS: u32 = 1024;
/// No version of the structure is larger: a size above it is no size.
const MOST_OPTIONS: usize = 4096;

/// The backends of every adapter that C opens.
static BACKENDS: LazyLock<Registry> = LazyLock::new(backends);

/// What this library has opened, by the address of the C object: a pointer is looked up, never followed.
static ADAPTERS: Mutex<BTreeMap<usize, Adapter>> = Mutex::new(BTreeMap::new());

enum Adapter {
    Open(Opened<BoxedAdapter, Std>),
    /// A thread is closing it. The mark may outlive the object for a moment; a new adapter at that address, which
    /// can come only after the close, takes its place.
    Closing,
}

/// Opens an adapter of the backend with this name.
///
/// # Safety
/// `backend` is null or ends with a zero byte; `options` is null or can be read up to the size it says; `adapter`
/// is null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ndkmr_open(
    backend: *const c_char,
    version: NDK_VERSION,
    options: *const ndkmr_options,
    adapter: *mut *mut NDK_ADAPTER,
) -> NTSTATUS {
    guard("ndkmr_open", || {
        let adapter = out(adapter)?;
        // SAFETY: the caller's promises.
        let (name, threads) = unsafe { (read_name(backend)?, read_threads(options)?) };
        let provider = BACKENDS.adapter(name)?;
        let executor = ThreadPool::new(threads as usize).map_err(|cause| {
            let detail = format!("{threads} threads could not be started: {cause}");
            Error::new(ErrorKind::InsufficientResources, detail)
        })?;
        let opened = Opened::new(provider, Arc::new(executor), version)?;
        let object = opened.adapter().as_ndk().as_ptr();
        ADAPTERS.lock().insert(object.addr(), Adapter::Open(opened));
        // SAFETY: not null, and the caller's promise.
        unsafe { adapter.write(object) };
        Ok(())
    })
}

/// Closes an adapter; blocks until all that was made from it is closed and every callback has returned.
///
/// # Safety
/// Nothing uses the adapter any more once this gives a success.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ndkmr_close(adapter: *mut NDK_ADAPTER) -> NTSTATUS {
    guard("ndkmr_close", || {
        let key = adapter.addr();
        let opened = claim(key)?;
        match opened.close() {
            Ok(()) => {
                let mut adapters = ADAPTERS.lock();
                // Another adapter may be there by now.
                if let Some(Adapter::Closing) = adapters.get(&key) {
                    adapters.remove(&key);
                }
                Ok(())
            }
            Err(CloseRefused { adapter, error }) => {
                ADAPTERS.lock().insert(key, Adapter::Open(adapter));
                Err(error)
            }
        }
    })
}

/// Looks at the adapter at this address, which nobody closes meanwhile.
pub(crate) fn with_open<R>(
    key: usize,
    look: impl FnOnce(&Opened<BoxedAdapter, Std>) -> R,
) -> Result<R> {
    match ADAPTERS.lock().get(&key) {
        Some(Adapter::Open(opened)) => Ok(look(opened)),
        Some(Adapter::Closing) => {
            let cause = "another thread is closing the adapter";
            Err(Error::new(ErrorKind::InvalidDeviceState, cause).rule("H7"))
        }
        None => Err(not_open(key)),
    }
}

fn not_open(key: usize) -> Error {
    invalid(if key == 0 {
        "the adapter is null"
    } else {
        "this is no adapter that ndkmr_open gave and that is still open"
    })
}

/// Takes the adapter at this address for a close.
fn claim(key: usize) -> Result<Opened<BoxedAdapter, Std>> {
    let state = |cause: &'static str| Error::new(ErrorKind::InvalidDeviceState, cause);
    if logger::is_inside_callback() {
        return Err(state("called inside a log callback, for which the adapter may be waiting"));
    }
    let mut adapters = ADAPTERS.lock();
    let Some(adapter) = adapters.get_mut(&key) else { return Err(not_open(key)) };
    match std::mem::replace(adapter, Adapter::Closing) {
        Adapter::Open(opened) => Ok(opened),
        Adapter::Closing => Err(state("another thread is closing the adapter already").rule("H7")),
    }
}

/// # Safety
/// `name` is null or ends with a zero byte, and does not change while the result is used.
unsafe fn read_name<'a>(name: *const c_char) -> Result<&'a str> {
    if name.is_null() {
        return Err(invalid("the name of the backend is null"));
    }
    // SAFETY: not null, and the caller's promise.
    let name = unsafe { CStr::from_ptr(name) };
    name.to_str().map_err(|_| invalid("the name of the backend is not UTF-8"))
}

/// The number of threads that the options ask for.
///
/// # Safety
/// `options` is null or can be read up to the size it says.
unsafe fn read_threads(options: *const ndkmr_options) -> Result<u32> {
    if options.is_null() {
        return Ok(DEFAULT_THREADS);
    }
    // SAFETY: not null, and the caller's promise; every version of the structure starts with its size.
    let size = unsafe { (&raw const (*options).size).read() };
    if !(size_of::<ndkmr_options>()..=MOST_OPTIONS).contains(&size) {
        return Err(invalid("the size in the options is not that of the structure"));
    }
    // SAFETY: it has at least that size, and the caller's promise.
    let known = unsafe { options.read() };
    // SAFETY: the rest of what the caller lets be read.
    let rest = unsafe {
        std::slice::from_raw_parts(options.add(1).cast::<u8>(), size - size_of::<ndkmr_options>())
    };
    if known.reserved != 0 || rest.iter().any(|&byte| byte != 0) {
        let cause = "the options set something that this version of the library does not know";
        return Err(Error::new(ErrorKind::NotSupported, cause));
    }
    match known.executor_threads {
        0 => Ok(DEFAULT_THREADS),
        threads if threads <= MOST_THREADS => Ok(threads),
        threads => Err(invalid(format!("{threads} executor threads are more than {MOST_THREADS}"))),
    }
}
