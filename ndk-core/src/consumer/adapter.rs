//! Adapters.

use super::domain::object;
use super::{Failed, LogicalMapping, ProtectionDomain};
use crate::abi::{GUID, NDK_ADAPTER, NDK_ADAPTER_INFO, NDK_EXTENSION_INTERFACE, NDK_VERSION};
use crate::adapter::Opened;
use crate::call::{
    Created, Entry, Opener, OpenerFn, Request, Running, close_later, entry, start_create,
};
use crate::capabilities::Capabilities;
use crate::error::{Error, ErrorKind, Result};
use crate::mdl::Mdl;
use crate::platform::{Std, Waits};
use crate::provider::AdapterProvider;
use crate::sync::Mutex;
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::ptr::NonNull;
use futures_lite::future::block_on;

/// An opened adapter, whoever provides it. Made [from an opener](Opened) of this crate, or [from a
/// pointer](Self::from_ndk).
///
/// [`close`](Self::close) is how it ends. Dropped, it closes itself once no domain and mapping keeps it open: at once,
/// or on a thread that waits for what C still works on.
pub struct Adapter(Arc<Open>);

/// The adapter, for whoever keeps it open.
pub(super) struct Open {
    adapter: NonNull<NDK_ADAPTER>,
    capabilities: Option<Capabilities>,
    state: Mutex<Std, State>,
}

struct State {
    /// There until the close.
    opener: Option<Box<dyn Opener>>,
    /// Mappings that are still to be released.
    mappings: usize,
}

// SAFETY: an NDK object may be used from any thread, and the rest is behind a lock or never changed.
unsafe impl Send for Open {}
// SAFETY: as for Send.
unsafe impl Sync for Open {}

impl<A: AdapterProvider, P: Waits> From<Opened<A, P>> for Adapter {
    fn from(opened: Opened<A, P>) -> Self {
        Self::new(opened.adapter().as_ndk(), Box::new(opened))
    }
}

impl Adapter {
    fn new(adapter: NonNull<NDK_ADAPTER>, opener: Box<dyn Opener>) -> Self {
        let capabilities = opener.capabilities();
        let state = Mutex::new(State { opener: Some(opener), mappings: 0 });
        Self(Arc::new(Open { adapter, capabilities, state }))
    }

    /// Takes over an adapter of any provider. `close` closes it, and returns when that is over (H5); it is called
    /// once, on any thread.
    ///
    /// # Safety
    /// - The adapter is open until `close` is called, nobody else closes it or what is made of it here, and it may be
    ///   used from any thread.
    /// - Its tables, and those of the objects made of it, keep the contract.
    pub unsafe fn from_ndk(
        adapter: NonNull<NDK_ADAPTER>,
        close: impl FnOnce() + Send + 'static,
    ) -> Self {
        Self::new(adapter, Box::new(OpenerFn(close)))
    }

    /// The device's attributes and limits, with the version that was opened. C entry: `NdkQueryAdapterInfo`.
    ///
    /// # Errors
    /// What the provider gives; DEVICE_REMOVED for instance (H8).
    pub fn info(&self) -> Result<NDK_ADAPTER_INFO> {
        // SAFETY: the adapter is open until this is closed.
        unsafe { entry::info(self.as_ndk()) }
    }

    /// What the device can do, for an adapter of this crate (K1).
    pub fn capabilities(&self) -> Option<Capabilities> {
        self.0.capabilities
    }

    /// Asks for an extension interface of the provider's. C entry: `NdkQueryExtension`. Changes nothing.
    ///
    /// # Errors
    /// NOT_SUPPORTED for one that it does not have in that version (A5).
    pub fn query_extension(
        &self,
        id: &GUID,
        version: NDK_VERSION,
    ) -> Result<NDK_EXTENSION_INTERFACE> {
        // SAFETY: the adapter is open until this is closed.
        unsafe { entry::query_adapter(self.as_ndk(), id, version) }
    }

    /// The C object. It is this adapter's to close.
    pub fn as_ndk(&self) -> NonNull<NDK_ADAPTER> {
        self.0.adapter
    }

    /// Makes a protection domain. C entry: `NdkCreatePd`.
    ///
    /// # Errors
    /// INSUFFICIENT_RESOURCES, CANCELLED (B9), DEVICE_REMOVED (H8), INTERNAL_ERROR (B8).
    pub async fn create_domain(&self) -> Result<ProtectionDomain> {
        let (request, output) = self.start_create_domain().await;
        request.adopt(&output)
    }

    /// As [`create_domain`](Self::create_domain), and waits.
    ///
    /// # Errors
    /// As for `create_domain`.
    pub fn create_domain_blocking(&self) -> Result<ProtectionDomain> {
        block_on(self.create_domain())
    }

    fn start_create_domain(&self) -> Running<CreatingDomain> {
        let adapter = self.as_ndk();
        // SAFETY: the adapter is open, and its table keeps the contract.
        unsafe {
            start_create(CreatingDomain(self.0.clone()), |done, context, out| {
                entry::create_pd(adapter, done, context, out)
            })
        }
    }

    /// Gives each page of `memory` a logical address, for fast registration and privileged requests. C entry:
    /// `NdkBuildLAM`. The mapping owns the memory until it is released.
    ///
    /// # Errors
    /// With the memory: INVALID_PARAMETER for an empty one (C6), INSUFFICIENT_RESOURCES, NOT_SUPPORTED where the
    /// provider has no mappings, CANCELLED (B9), DEVICE_REMOVED (H8), INTERNAL_ERROR (B8).
    pub async fn build_mapping(&self, memory: Mdl) -> Result<LogicalMapping, Failed<Mdl>> {
        LogicalMapping::build(&self.0, memory).await
    }

    /// As [`build_mapping`](Self::build_mapping), and waits.
    ///
    /// # Errors
    /// As for `build_mapping`.
    pub fn build_mapping_blocking(&self, memory: Mdl) -> Result<LogicalMapping, Failed<Mdl>> {
        block_on(self.build_mapping(memory))
    }

    /// Closes the adapter, and blocks until everything made of it is closed and every callback has returned (H5). With
    /// domains or regions that are never closed it waits for ever; a provider of this crate logs their names.
    ///
    /// # Errors
    /// With the adapter still open: DEVICE_BUSY while a [`LogicalMapping`] is not released; INVALID_DEVICE_STATE
    /// inside a callback of the provider's, which it would wait for.
    pub fn close(self) -> Result<(), Failed<Self>> {
        self.close_by(|opener| opener.close())
    }

    /// Closes the adapter if nothing of it is open, and does not wait.
    ///
    /// # Errors
    /// With the adapter still open: DEVICE_BUSY while something of it is open, which a provider of this crate names, or
    /// a thread is still on its way out of the last close; always for an adapter [from a pointer](Self::from_ndk), of
    /// which that is not known.
    pub fn try_close(self) -> Result<(), Failed<Self>> {
        self.close_by(|opener| opener.try_close())
    }

    fn close_by(
        self,
        close: impl FnOnce(Box<dyn Opener>) -> Result<(), (Box<dyn Opener>, Error)>,
    ) -> Result<(), Failed<Self>> {
        let opener = {
            let mut state = self.0.state.lock();
            if state.mappings == 0 { state.opener.take() } else { None }
        };
        let Some(opener) = opener else {
            let error = Error::new(ErrorKind::DeviceBusy, "a logical address mapping is in use");
            return Err(Failed { object: self, error });
        };
        close(opener).map_err(|(opener, error)| {
            self.0.state.lock().opener = Some(opener);
            Failed { object: self, error }
        })
    }
}

impl fmt::Debug for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NDK_ADAPTER").field(&self.0.adapter).finish()
    }
}

impl Open {
    pub(super) fn as_ndk(&self) -> NonNull<NDK_ADAPTER> {
        self.adapter
    }

    pub(super) fn add_mapping(&self) {
        self.state.lock().mappings += 1;
    }

    pub(super) fn remove_mapping(&self) {
        self.state.lock().mappings -= 1;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let opener = self.state.lock().opener.take();
        if let Some(opener) = opener {
            close_later(opener);
        }
    }
}

/// A domain that nobody waits for is closed.
struct CreatingDomain(Arc<Open>);

impl CreatingDomain {
    fn adopt(self, output: &Created) -> Result<ProtectionDomain> {
        let pd = object(Entry::CreatePd, output)?;
        // SAFETY: fresh from its creation, and nobody else has it.
        Ok(unsafe { ProtectionDomain::new(pd, self.0) })
    }
}

impl Request for CreatingDomain {
    type Output = Created;

    fn unclaimed(self, output: Created) {
        drop(self.adopt(&output));
    }
}
