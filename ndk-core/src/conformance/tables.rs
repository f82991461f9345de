//! A provider that has tables and nothing of this crate: what it hands to the kit, and how the kit opens it.
//!
//! Two routes lead there: the entries themselves, with nothing of the framework between, and the safe consumer over them.
//! What the kit does to a backend through the traits it asks of the provider here, by hooks; a provider may have any of
//! them or none.

use super::case::RouteKind;
use super::consumer::Consumer;
use super::hooks::Hooks;
use super::port::{Port, Waiting, Window};
use super::route::{Adapter, Pd, Raw, Route};
use super::session::{Opener, Path, Refused, Session, Setup};
use super::stand_in::StandIn;
use super::table::{Table, entry};
use super::table_window;
use crate::abi::{
    BOOLEAN, NDK_ADAPTER, NDK_ADAPTER_INFO, NDK_LOGICAL_ADDRESS, NDK_MR, NDK_MW, NDK_OBJECT_HEADER,
    NDK_PD, NDK_VERSION, NTSTATUS, PVOID, SIZE_T, STATUS_SUCCESS, UINT32, UINT64, ULONG,
};
use crate::capabilities::Capabilities;
use crate::consumer;
use crate::error::{Error, ErrorKind, Result};
use std::future::ready;
use std::mem::MaybeUninit;
use std::ptr::{NonNull, addr_of, null_mut};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

/// What a provider's author gives the kit, in C `NDK_CONFORMANCE_PROVIDER` of `ndk_conformance.h`, which says what each
/// member is to do.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct TableProvider {
    /// Opens an adapter.
    pub open: unsafe extern "system" fn(NDK_VERSION, *mut *mut NDK_ADAPTER) -> NTSTATUS,
    /// Closes it, and blocks until nothing of it is left.
    pub close: unsafe extern "system" fn(*mut NDK_ADAPTER) -> NTSTATUS,
    /// Makes requests pend.
    pub pace: Option<unsafe extern "system" fn(*mut NDK_ADAPTER, ULONG)>,
    /// Finishes what pends.
    pub run: Option<unsafe extern "system" fn(*mut NDK_ADAPTER)>,
    /// Holds operations.
    pub hold: Option<unsafe extern "system" fn(*mut NDK_ADAPTER, ULONG, BOOLEAN)>,
    /// Makes an operation fail.
    pub fail: Option<unsafe extern "system" fn(*mut NDK_ADAPTER, ULONG, NTSTATUS)>,
    /// Takes the device away.
    pub lose: Option<unsafe extern "system" fn(*mut NDK_ADAPTER)>,
    /// Sets the most regions.
    pub limit_regions: Option<unsafe extern "system" fn(*mut NDK_ADAPTER, ULONG)>,
    /// Counts domains and regions.
    pub objects: Option<unsafe extern "system" fn(*mut NDK_ADAPTER) -> ULONG>,
    /// Carries out an access.
    pub access: Option<AccessHook>,
    /// Fast-registers a region.
    pub fast_register: Option<FastRegisterHook>,
    /// Ends a fast registration.
    pub invalidate:
        Option<unsafe extern "system" fn(*mut NDK_PD, *mut NDK_OBJECT_HEADER) -> NTSTATUS>,
    /// Binds a window.
    pub bind: Option<BindHook>,
}

/// The type of [`TableProvider::access`]: domain, `NDK_CONFORMANCE_READ` and so on, token, address, length, bytes.
pub type AccessHook =
    unsafe extern "system" fn(*mut NDK_PD, ULONG, UINT32, UINT64, ULONG, PVOID) -> NTSTATUS;

/// The type of [`TableProvider::fast_register`]: domain, region, and the arguments of `NdkFastRegister`.
pub type FastRegisterHook = unsafe extern "system" fn(
    *mut NDK_PD,
    *mut NDK_MR,
    ULONG,
    *const NDK_LOGICAL_ADDRESS,
    ULONG,
    SIZE_T,
    PVOID,
    ULONG,
) -> NTSTATUS;

/// The type of [`TableProvider::bind`]: domain, region, window, and the arguments of `NdkBind`.
pub type BindHook = unsafe extern "system" fn(
    *mut NDK_PD,
    *mut NDK_MR,
    *mut NDK_MW,
    PVOID,
    SIZE_T,
    ULONG,
) -> NTSTATUS;

impl TableProvider {
    /// A provider without hooks.
    pub const fn new(
        open: unsafe extern "system" fn(NDK_VERSION, *mut *mut NDK_ADAPTER) -> NTSTATUS,
        close: unsafe extern "system" fn(*mut NDK_ADAPTER) -> NTSTATUS,
    ) -> Self {
        Self {
            open,
            close,
            pace: None,
            run: None,
            hold: None,
            fail: None,
            lose: None,
            limit_regions: None,
            objects: None,
            access: None,
            fast_register: None,
            invalidate: None,
            bind: None,
        }
    }
}

/// The longest that a close may take of an adapter with nothing open. It ends a hang; no passing case waits for a time.
const LIMIT: Duration = Duration::from_secs(30);

/// Opens a provider's adapters.
pub(super) struct Tables {
    pub(super) provider: TableProvider,
    pub(super) capabilities: Capabilities,
    /// The most regions of an adapter (C14).
    pub(super) limit: Option<ULONG>,
}

/// An opened adapter of a provider's.
struct Bare {
    adapter: Adapter,
    provider: TableProvider,
    capabilities: Capabilities,
    hooks: Arc<Hooks>,
}

fn failed(what: &str, status: NTSTATUS) -> Error {
    let kind = ErrorKind::from_status(status).unwrap_or(ErrorKind::Internal);
    Error::new(kind, format!("{what} of the provider"))
}

impl Opener for Tables {
    fn open(&self, setup: Setup) -> Result<Box<dyn Session>> {
        let mut adapter = null_mut();
        // SAFETY: whoever made the kit vouches for the provider's functions; likewise below.
        let status = unsafe { (self.provider.open)(setup.version, &raw mut adapter) };
        if status != STATUS_SUCCESS {
            return Err(failed("Open", status));
        }
        if adapter.is_null() {
            return Err(Error::new(ErrorKind::Internal, "Open of the provider gave no adapter"));
        }
        if let (Some(limit), Some(set)) = (self.limit, self.provider.limit_regions) {
            // SAFETY: as above; the adapter is open.
            unsafe { set(adapter, limit) };
        }
        let hooks = setup.control.attach(self.provider);
        hooks.opened(Raw(adapter));
        let (provider, capabilities) = (self.provider, self.capabilities);
        let bare = Bare { adapter: Raw(adapter), provider, capabilities, hooks };
        let Path::Consumer(consumer) = setup.path else { return Ok(Box::new(bare)) };
        Ok(Box::new(Safe::new(consumer, bare)))
    }

    fn route(&self, path: &Path) -> Arc<dyn Route> {
        match path {
            Path::Consumer(consumer) => Arc::new(consumer.clone()),
            Path::Native | Path::Table => Arc::new(Table),
        }
    }

    /// There is no other object than that of the tables.
    fn routes(&self) -> &'static [RouteKind] {
        &[RouteKind::Table, RouteKind::Consumer]
    }

    fn is_table_alone(&self) -> bool {
        true
    }

    fn paces(&self) -> bool {
        self.provider.pace.is_some() && self.provider.run.is_some()
    }

    fn fast_registers(&self) -> bool {
        self.provider.fast_register.is_some() && self.provider.invalidate.is_some()
    }

    fn binds(&self) -> bool {
        self.provider.bind.is_some() && self.provider.invalidate.is_some()
    }
}

/// A queue pair that stands in for the provider's.
///
/// # Safety
/// The domain is the provider's, and not closed while a case uses the queue pair.
unsafe fn port(provider: TableProvider, pd: Pd) -> Waiting<'static, Result<Box<dyn Port>>> {
    let without = || Error::new(ErrorKind::NotSupported, "the provider has no hook Access");
    // SAFETY: the caller's promise.
    let stand_in = || unsafe { Box::new(StandIn::new(provider, pd)) as Box<dyn Port> };
    Box::pin(ready(provider.access.map(|_| stand_in()).ok_or_else(without)))
}

/// Closes an adapter with nothing open, which is not to wait.
fn close_soon(close: impl FnOnce() -> Result<(), Refused> + Send + 'static) -> Result<(), Refused> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(close()));
    receiver.recv_timeout(LIMIT).expect("H5: all is closed, and yet the adapter's close hangs")
}

impl Bare {
    fn close_here(&self) -> NTSTATUS {
        // SAFETY: the provider's own function and open adapter, closed once unless it refuses.
        let status = unsafe { (self.provider.close)(self.adapter.0) };
        if status == STATUS_SUCCESS {
            self.hooks.closed(self.adapter);
        }
        status
    }
}

impl Session for Bare {
    fn adapter(&self) -> Adapter {
        self.adapter
    }

    fn info(&self) -> NDK_ADAPTER_INFO {
        let mut info = MaybeUninit::<NDK_ADAPTER_INFO>::zeroed();
        let mut size = size_of::<NDK_ADAPTER_INFO>() as ULONG;
        let adapter = self.adapter.0;
        // SAFETY: the adapter is open, and the buffer as large as it says.
        let status = unsafe {
            let table = *addr_of!((*adapter).Dispatch).read();
            entry!(table, NdkQueryAdapterInfo(adapter, info.as_mut_ptr(), &raw mut size))
        };
        assert_eq!(status, STATUS_SUCCESS, "the adapter's attributes");
        // SAFETY: zeroes are a value of every field, and the provider has written more.
        unsafe { info.assume_init() }
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    unsafe fn create_port(&self, pd: Pd) -> Waiting<'static, Result<Box<dyn Port>>> {
        // SAFETY: the caller's promise.
        unsafe { port(self.provider, pd) }
    }

    unsafe fn create_window(&self, pd: Pd) -> Waiting<'static, Result<Box<dyn Window>>> {
        // SAFETY: the caller's promise.
        unsafe { table_window::create(pd) }
    }

    fn try_close(self: Box<Self>) -> Result<(), Refused> {
        close_soon(|| self.close())
    }

    fn close(self: Box<Self>) -> Result<(), Refused> {
        match self.close_here() {
            STATUS_SUCCESS => Ok(()),
            status => Err(Refused { session: self, error: failed("Close", status) }),
        }
    }
}

/// An adapter of a provider's that the safe consumer has.
struct Safe {
    consumer: Consumer,
    adapter: Adapter,
    provider: TableProvider,
    capabilities: Capabilities,
}

impl Safe {
    fn new(consumer: Consumer, bare: Bare) -> Self {
        let (adapter, provider, capabilities) = (bare.adapter, bare.provider, bare.capabilities);
        let ndk = NonNull::new(adapter.0).expect("checked when it was opened");
        let close = move || {
            let status = bare.close_here();
            assert_eq!(status, STATUS_SUCCESS, "H5: the adapter's close");
        };
        // SAFETY: the adapter is open, and its owner is moved into what closes it; whether it keeps the contract is what
        // is tried, on the promise of whoever made the kit.
        consumer.0.put_adapter(unsafe { consumer::Adapter::from_ndk(ndk, close) });
        Self { consumer, adapter, provider, capabilities }
    }
}

impl Session for Safe {
    fn adapter(&self) -> Adapter {
        self.adapter
    }

    fn info(&self) -> NDK_ADAPTER_INFO {
        self.consumer.0.adapter(self.adapter).info().expect("the adapter's attributes")
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    unsafe fn create_port(&self, pd: Pd) -> Waiting<'static, Result<Box<dyn Port>>> {
        // SAFETY: the caller's promise.
        unsafe { port(self.provider, pd) }
    }

    unsafe fn create_window(&self, pd: Pd) -> Waiting<'static, Result<Box<dyn Window>>> {
        // SAFETY: the caller's promise.
        unsafe { table_window::create(pd) }
    }

    fn try_close(self: Box<Self>) -> Result<(), Refused> {
        close_soon(|| self.close())
    }

    fn close(self: Box<Self>) -> Result<(), Refused> {
        let closed = self.consumer.0.close_adapter(self.adapter, consumer::Adapter::close);
        closed.map_err(|error| Refused { session: self, error })
    }
}
