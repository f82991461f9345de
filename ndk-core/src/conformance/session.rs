//! An opened adapter under test, with the type of its backend forgotten.

use super::case::RouteKind;
use super::control::Control;
use super::desk::Desk;
use super::native::Native;
use super::paced::PacedAdapter;
use super::port::{Port, Waiting, Window};
use super::route::{Adapter, Pd, Raw, Route};
use super::table::Table;
use crate::abi::{NDK_ADAPTER_INFO, NDK_VERSION};
use crate::adapter::{CloseRefused, Opened};
use crate::capabilities::Capabilities;
use crate::domain::DomainRef;
use crate::error::{Error, Result};
use crate::platform::Std;
use crate::provider::{AdapterProvider, QueueDepths};
use std::ptr::NonNull;
use std::sync::Arc;

/// How an adapter is to be opened.
pub(super) struct Setup {
    pub(super) version: NDK_VERSION,
    pub(super) desk: Arc<Desk>,
    pub(super) control: Arc<Control>,
}

/// What opens the adapter under test.
pub(super) trait Opener: Send + Sync {
    fn open(&self, setup: Setup) -> Result<Box<dyn Session>>;
    fn route(&self, kind: RouteKind) -> Arc<dyn Route>;
}

/// A close that was refused, with the session as it was.
pub(super) struct Refused {
    pub(super) session: Box<dyn Session>,
    pub(super) error: Error,
}

/// An opened adapter.
pub(super) trait Session: Send {
    fn adapter(&self) -> Adapter;
    fn info(&self) -> NDK_ADAPTER_INFO;
    fn capabilities(&self) -> Capabilities;
    /// # Safety
    /// The domain is of this adapter, and not closed; likewise below.
    unsafe fn create_port(&self, pd: Pd) -> Waiting<'static, Result<Box<dyn Port>>>;
    /// # Safety
    /// As above.
    unsafe fn create_window(&self, pd: Pd) -> Waiting<'static, Result<Box<dyn Window>>>;
    fn try_close(self: Box<Self>) -> Result<(), Refused>;
    fn close(self: Box<Self>) -> Result<(), Refused>;
}

/// # Safety
/// The domain is of an adapter of this type, and not closed.
unsafe fn domain<A: AdapterProvider>(pd: Pd) -> DomainRef<PacedAdapter<A>, Std> {
    // SAFETY: the caller's promise.
    unsafe { DomainRef::from_ndk(NonNull::new(pd.0).expect("a domain")) }
}

type Under<A> = Opened<PacedAdapter<A>, Std>;

impl<A: AdapterProvider> Session for Under<A> {
    fn adapter(&self) -> Adapter {
        Raw(Opened::adapter(self).as_ndk().as_ptr())
    }

    fn info(&self) -> NDK_ADAPTER_INFO {
        // SAFETY: the adapter is open while this is there.
        unsafe { Opened::adapter(self).info() }
    }

    fn capabilities(&self) -> Capabilities {
        Opened::capabilities(self)
    }

    unsafe fn create_port(&self, pd: Pd) -> Waiting<'static, Result<Box<dyn Port>>> {
        // SAFETY: the caller's promise; the case closes no domain before this is done.
        let made = unsafe { domain::<A>(pd).create_qp(QueueDepths::default()) };
        Box::pin(async { Ok(Box::new(made.await?) as Box<dyn Port>) })
    }

    unsafe fn create_window(&self, pd: Pd) -> Waiting<'static, Result<Box<dyn Window>>> {
        // SAFETY: as above.
        let made = unsafe { domain::<A>(pd).create_window() };
        Box::pin(async { Ok(Box::new(made.await?) as Box<dyn Window>) })
    }

    fn try_close(self: Box<Self>) -> Result<(), Refused> {
        Opened::try_close(*self).map_err(refused)
    }

    fn close(self: Box<Self>) -> Result<(), Refused> {
        Opened::close(*self).map_err(refused)
    }
}

fn refused<A: AdapterProvider>(
    CloseRefused { adapter, error }: CloseRefused<PacedAdapter<A>, Std>,
) -> Refused {
    Refused { session: Box::new(adapter), error }
}

/// Opens what a vendor's function makes.
pub(super) struct Factory<F>(pub(super) F);

impl<A: AdapterProvider, F: Fn() -> Result<A> + Send + Sync> Opener for Factory<F> {
    fn open(&self, setup: Setup) -> Result<Box<dyn Session>> {
        let adapter = PacedAdapter::new((self.0)()?, setup.control);
        let opened: Under<A> = Opened::new(adapter, setup.desk, setup.version)?;
        Ok(Box::new(opened))
    }

    fn route(&self, kind: RouteKind) -> Arc<dyn Route> {
        match kind {
            RouteKind::Native => Arc::new(Native::<PacedAdapter<A>>::new()),
            RouteKind::Table => Arc::new(Table),
        }
    }
}
