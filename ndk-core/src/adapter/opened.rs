//! Opening an adapter, and closing it.

use super::{Adapter, AdapterRef, Left};
use crate::abi::{
    NDK_ADAPTER, NDK_ADAPTER_INFO, NDK_OBJECT_HEADER, NDK_OBJECT_HEADER_RESERVED_BLOCK,
    NDK_VERSION, NdkObjectTypeAdapter,
};
use crate::capabilities::Capabilities;
use crate::contain::{Panicked, contain, panicked};
use crate::dispatch;
use crate::error::{Error, ErrorKind, Result};
use crate::executor::Executor;
use crate::extension::NDKMR_CAPABILITIES;
use crate::platform::{Platform, Waits};
use crate::provider::{AdapterProvider, Event, Finding, Watch};
use crate::sync::{AtomicU64, CShared, Mutex, Refs};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ptr::NonNull;
use core::time::Duration;
use slab::Slab;

/// An adapter's opener: owns the adapter, and closes it.
///
/// Dropped without a close, it frees the adapter where nothing of it is left open, and else leaks it with a log line
/// that names what is open: a drop cannot wait.
pub struct Opened<A: AdapterProvider, P: Platform> {
    adapter: AdapterRef<A, P>,
}

/// A close that was refused, with the adapter still open.
pub struct CloseRefused<A: AdapterProvider, P: Platform> {
    /// The adapter, as it was.
    pub adapter: Opened<A, P>,
    /// Why.
    pub error: Error,
}

impl<A: AdapterProvider, P: Platform> Opened<A, P> {
    /// Opens a backend's device for a version of NDK: the same major with a minor up to the backend's highest gives
    /// that highest minor (A8). `executor` runs what pends.
    ///
    /// # Errors
    /// NDIS_STATUS_BAD_VERSION for another version; DEVICE_REMOVED where the device is gone already; INTERNAL_ERROR
    /// where the backend panics while it describes itself (B8).
    pub fn new(provider: A, executor: Arc<dyn Executor>, version: NDK_VERSION) -> Result<Self> {
        let asked =
            contain("its description", "an adapter", || Description::of(&provider, version));
        let (name, asked) = match asked {
            Ok((name, asked)) => (name, asked),
            Err(Panicked) => (String::from("an adapter"), Err(panicked())),
        };
        let Description { version, info, capabilities, watched } = match asked {
            Ok(description) => description,
            Err(error) => {
                log::warn!("{name}: open refused: {error}");
                end(&name, provider, executor);
                return Err(error);
            }
        };
        let header = NDK_OBJECT_HEADER {
            Version: version,
            ObjectType: NdkObjectTypeAdapter,
            NdkReserved: NDK_OBJECT_HEADER_RESERVED_BLOCK::ZEROED,
        };
        let adapter = Box::new(Adapter {
            ndk: CShared::new(NDK_ADAPTER {
                Header: header,
                Dispatch: dispatch::adapter::table::<A, P>(),
            }),
            refs: Refs::new(0),
            ids: AtomicU64::new(1),
            version,
            info,
            capabilities,
            declared: NDKMR_CAPABILITIES::from(&capabilities),
            name,
            domains: Mutex::new(Slab::new()),
            watched,
            closed: Mutex::new(Default::default()),
            executor,
            provider,
        });
        if let Err(error) = adapter.check_device() {
            adapter.shut_down();
            return Err(error);
        }
        // SAFETY: a box is not null.
        Ok(Self { adapter: AdapterRef(unsafe { NonNull::new_unchecked(Box::into_raw(adapter)) }) })
    }

    /// The adapter, to use; valid until the close.
    pub fn adapter(&self) -> AdapterRef<A, P> {
        self.adapter
    }

    /// What the device can do, as it said when it was opened.
    pub fn capabilities(&self) -> Capabilities {
        self.shared().capabilities
    }

    /// The backend.
    pub fn provider(&self) -> &A {
        &self.shared().provider
    }

    /// Who watches the adapter, such as the verifier; whoever keeps this can read what it finds after the close too.
    pub fn watch(&self) -> Option<Arc<dyn Watch>> {
        self.shared().watch().cloned()
    }

    /// What a watch of the adapter has found; nothing where it has none.
    pub fn findings(&self) -> Vec<Finding> {
        self.watch().map_or_else(Vec::new, |watch| watch.findings())
    }

    fn shared(&self) -> &Adapter<A, P> {
        // SAFETY: the opener owns the adapter; it is open until the close takes the opener.
        unsafe { self.adapter.get() }
    }

    /// Closes the adapter where nothing of it is open any more, without waiting.
    ///
    /// # Errors
    /// DEVICE_BUSY with the adapter, where something is.
    pub fn try_close(self) -> core::result::Result<(), CloseRefused<A, P>> {
        let shared = self.shared();
        if !shared.refs.close_if_unused() {
            let open = format!("still open: {}", shared.live_children().join(", "));
            let error = Error::new(ErrorKind::DeviceBusy, open).rule("H5");
            return Err(CloseRefused { adapter: self, error });
        }
        self.free();
        Ok(())
    }

    /// Closes the adapter: blocks until every callback of every descendant has returned and nothing holds the
    /// adapter any more (H5). Children that are never closed make it wait for ever; their names are logged.
    ///
    /// # Errors
    /// INVALID_DEVICE_STATE with the adapter, where it is called inside a callback of one of its descendants. Where a
    /// watch refuses to wait any longer, what it gives; nothing can be made of the adapter then, and it can be closed
    /// again.
    pub fn close(self) -> core::result::Result<(), CloseRefused<A, P>>
    where
        P: Waits,
    {
        let shared = self.shared();
        if P::in_callback(shared.key()) {
            let cause = "the adapter's close was called inside a callback of its own, and would wait for itself";
            let error = Error::new(ErrorKind::InvalidDeviceState, cause).rule("H5");
            log::error!("{}: close refused: {error}", shared.name());
            let _ = shared.see(0, &shared.name(), Event::Refused { call: "close", error: &error });
            return Err(CloseRefused { adapter: self, error });
        }
        shared.refs.start_close();
        let mut waits = 0_u32;
        while shared.refs.count() > 0 {
            P::wait(shared.key(), &|| shared.refs.count() > 0);
            // A wait that was not cut short took about a second: say so after 1, 2, 4, ... of them.
            waits += 1;
            if let Err(error) = shared.tell_left_open(Some(Duration::from_secs(waits.into()))) {
                return Err(CloseRefused { adapter: self, error });
            }
            if shared.refs.count() > 0 && waits.is_power_of_two() {
                let open = shared.live_children();
                log::warn!(
                    "{}: close waits for what is still open: {}; close it, or use try_close [H5]",
                    shared.name(),
                    open.join(", ")
                );
            }
        }
        self.free();
        Ok(())
    }

    /// Frees the adapter. Nothing holds it, and the closing flag keeps it so.
    fn free(self) {
        let adapter = self.adapter.0;
        core::mem::forget(self);
        // SAFETY: no reference is left and the opener is consumed, so the box is this call's.
        let adapter = unsafe { Box::from_raw(adapter.as_ptr()) };
        adapter.shut_down();
    }
}

impl<A: AdapterProvider, P: Platform> Drop for Opened<A, P> {
    fn drop(&mut self) {
        let shared = self.shared();
        if shared.refs.close_if_unused() {
            Self { adapter: self.adapter }.free();
        } else {
            let open = shared.live_children();
            let _ = shared.tell_left_open(None);
            log::error!(
                "{}: dropped while open, and leaked: {} [H5]",
                shared.name(),
                open.join(", ")
            );
        }
    }
}

impl<A: AdapterProvider, P: Platform> Adapter<A, P> {
    /// Tells the watch what the close waits for, or gives up on.
    ///
    /// # Errors
    /// The first of what the watch refuses the close with.
    #[cold]
    fn tell_left_open(&self, waited: Option<Duration>) -> Result<()> {
        if self.watch().is_none() {
            return Ok(());
        }
        let left = self.left_open().into_iter().map(|Left { id, name, closing }| {
            self.see(id, &name, Event::LeftOpen { waited, closing })
        });
        left.fold(Ok(()), Result::and)
    }

    /// Ends the adapter, which nothing holds any more.
    fn shut_down(self) {
        let Adapter { name, provider, executor, .. } = self;
        end(&name, provider, executor);
    }
}

/// Ends a backend and its executor. What a panic leaves of them stays leaked: a device may still use it (B8).
fn end<A: AdapterProvider>(name: &str, provider: A, executor: Arc<dyn Executor>) {
    match contain("shut-down", name, || provider.shut_down()) {
        Ok(()) => {
            let _ = contain("dropping the backend", name, || drop(provider));
        }
        Err(Panicked) => {
            log::error!(
                "{name}: the backend's shut-down did not end; what it holds stays leaked [B8]"
            );
            core::mem::forget(provider);
        }
    }
    let _ = contain("dropping the executor", name, || drop(executor));
}

/// What a backend says of itself when it is opened.
struct Description {
    version: NDK_VERSION,
    info: NDK_ADAPTER_INFO,
    capabilities: Capabilities,
    watched: bool,
}

impl Description {
    /// The backend's name, and the rest where the version is served.
    fn of(provider: &impl AdapterProvider, version: NDK_VERSION) -> (String, Result<Self>) {
        (String::from(provider.name()), Self::of_version(provider, version))
    }

    fn of_version(provider: &impl AdapterProvider, asked: NDK_VERSION) -> Result<Self> {
        let Some(minor) =
            provider.highest_minor(asked.Major).filter(|&highest| asked.Minor <= highest)
        else {
            let cause = format!("NDK {}.{} is not served", asked.Major, asked.Minor);
            return Err(Error::new(ErrorKind::BadVersion, cause).rule("A8"));
        };
        let version = NDK_VERSION { Major: asked.Major, Minor: minor };
        let info = NDK_ADAPTER_INFO { Version: version, ..provider.info() };
        let watched = provider.watch().is_some();
        Ok(Self { version, info, capabilities: provider.capabilities(), watched })
    }
}

impl<A: AdapterProvider, P: Platform> core::fmt::Debug for Opened<A, P> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Opened").field("name", &self.shared().name).finish_non_exhaustive()
    }
}

// What `unwrap` and a program's `main` print is the reason, in one line as in the log.
impl<A: AdapterProvider, P: Platform> core::fmt::Debug for CloseRefused<A, P> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}

impl<A: AdapterProvider, P: Platform> core::fmt::Display for CloseRefused<A, P> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}: close refused: {}", self.adapter.shared().name, self.error)
    }
}

impl<A: AdapterProvider, P: Platform> core::error::Error for CloseRefused<A, P> {}
