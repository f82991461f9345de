//! An opened adapter under test, with the type of its backend forgotten.

use super::case::RouteKind;
use super::consumer::Consumer;
use super::control::Control;
use super::desk::Desk;
use super::native::Native;
use super::paced::PacedAdapter;
use super::port::{Port, Waiting, Window};
use super::route::{Adapter, Pd, Raw, Route};
use super::table::Table;
use crate::abi::{NDK_ADAPTER, NDK_ADAPTER_INFO, NDK_VERSION};
use crate::adapter::{CloseRefused, Opened};
use crate::capabilities::Capabilities;
use crate::consumer;
use crate::domain::DomainRef;
use crate::error::{Error, Result};
use crate::platform::Std;
use crate::provider::{AdapterProvider, QueueDepths};
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::Arc;

/// A route by its kind, with what it keeps of a case.
#[derive(Clone)]
pub(super) enum Path {
    Native,
    Table,
    Consumer(Consumer),
}

impl Path {
    pub(super) fn new(kind: RouteKind) -> Self {
        match kind {
            RouteKind::Native => Self::Native,
            RouteKind::Table => Self::Table,
            RouteKind::Consumer => Self::Consumer(Consumer::default()),
        }
    }
}

/// How an adapter is to be opened.
pub(super) struct Setup {
    pub(super) version: NDK_VERSION,
    pub(super) desk: Arc<Desk>,
    pub(super) control: Arc<Control>,
    pub(super) path: Path,
}

/// What opens the adapter under test.
pub(super) trait Opener: Send + Sync {
    fn open(&self, setup: Setup) -> Result<Box<dyn Session>>;
    fn route(&self, path: &Path) -> Arc<dyn Route>;
    /// The routes that lead to it.
    fn routes(&self) -> &'static [RouteKind] {
        &RouteKind::ALL
    }
    /// Whether nothing of the framework is between its tables and the device.
    fn is_table_alone(&self) -> bool {
        false
    }
    /// Whether its requests can be made to pend.
    fn paces(&self) -> bool {
        true
    }
    /// Whether its queue pairs, if it has any, take fast registrations.
    fn fast_registers(&self) -> bool {
        true
    }
    /// Whether they bind windows.
    fn binds(&self) -> bool {
        true
    }
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

/// # Safety
/// As for [`domain`]; the case closes no domain before this is done.
unsafe fn port<A: AdapterProvider>(pd: Pd) -> Waiting<'static, Result<Box<dyn Port>>> {
    // SAFETY: the caller's promise.
    let made = unsafe { domain::<A>(pd).create_qp(QueueDepths::default()) };
    Box::pin(async { Ok(Box::new(made.await?) as Box<dyn Port>) })
}

/// # Safety
/// As for [`port`].
unsafe fn window<A: AdapterProvider>(pd: Pd) -> Waiting<'static, Result<Box<dyn Window>>> {
    // SAFETY: the caller's promise.
    let made = unsafe { domain::<A>(pd).create_window() };
    Box::pin(async { Ok(Box::new(made.await?) as Box<dyn Window>) })
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
        // SAFETY: the caller's promise.
        unsafe { port::<A>(pd) }
    }

    unsafe fn create_window(&self, pd: Pd) -> Waiting<'static, Result<Box<dyn Window>>> {
        // SAFETY: the caller's promise.
        unsafe { window::<A>(pd) }
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

/// An adapter that the safe consumer has. Queue pairs and windows are the framework's here too: no table has them.
struct Safe<A> {
    consumer: Consumer,
    adapter: Adapter,
    backend: PhantomData<fn() -> A>,
}

impl<A: AdapterProvider> Safe<A> {
    fn close_by(
        self: Box<Self>,
        close: impl FnOnce(consumer::Adapter) -> Result<(), consumer::Failed<consumer::Adapter>>,
    ) -> Result<(), Refused> {
        let closed = self.consumer.0.close_adapter(self.adapter, close);
        closed.map_err(|error| Refused { session: self, error })
    }
}

impl<A: AdapterProvider> Session for Safe<A> {
    fn adapter(&self) -> Adapter {
        self.adapter
    }

    fn info(&self) -> NDK_ADAPTER_INFO {
        self.consumer.0.adapter(self.adapter).info().expect("the adapter's attributes")
    }

    fn capabilities(&self) -> Capabilities {
        let adapter = self.consumer.0.adapter(self.adapter);
        adapter.capabilities().expect("known, of an adapter of this crate")
    }

    unsafe fn create_port(&self, pd: Pd) -> Waiting<'static, Result<Box<dyn Port>>> {
        // SAFETY: the caller's promise.
        unsafe { port::<A>(pd) }
    }

    unsafe fn create_window(&self, pd: Pd) -> Waiting<'static, Result<Box<dyn Window>>> {
        // SAFETY: the caller's promise.
        unsafe { window::<A>(pd) }
    }

    fn try_close(self: Box<Self>) -> Result<(), Refused> {
        self.close_by(consumer::Adapter::try_close)
    }

    fn close(self: Box<Self>) -> Result<(), Refused> {
        self.close_by(consumer::Adapter::close)
    }
}

/// Opens what a vendor's function makes.
pub(super) struct Factory<F>(pub(super) F);

impl<A: AdapterProvider, F: Fn() -> Result<A> + Send + Sync> Opener for Factory<F> {
    fn open(&self, setup: Setup) -> Result<Box<dyn Session>> {
        let adapter = PacedAdapter::new((self.0)()?, setup.control);
        let opened: Under<A> = Opened::new(adapter, setup.desk, setup.version)?;
        let Path::Consumer(consumer) = setup.path else { return Ok(Box::new(opened)) };
        let adapter = consumer.0.put_adapter(opened.into());
        Ok(Box::new(Safe::<A> { consumer, adapter, backend: PhantomData }))
    }

    fn route(&self, path: &Path) -> Arc<dyn Route> {
        match path {
            Path::Native => Arc::new(Native::<PacedAdapter<A>>::new()),
            Path::Table => Arc::new(Table),
            Path::Consumer(consumer) => Arc::new(consumer.clone()),
        }
    }
}

/// Opens what another opener does, and shows it to a layer over the tables before anybody uses it.
pub(super) struct Layered {
    pub(super) opener: Arc<dyn Opener>,
    pub(super) layer: Arc<dyn Fn(*mut NDK_ADAPTER) + Send + Sync>,
}

impl Opener for Layered {
    fn open(&self, setup: Setup) -> Result<Box<dyn Session>> {
        let session = self.opener.open(setup)?;
        (self.layer)(session.adapter().0);
        Ok(session)
    }

    fn route(&self, path: &Path) -> Arc<dyn Route> {
        self.opener.route(path)
    }

    fn routes(&self) -> &'static [RouteKind] {
        self.opener.routes()
    }

    fn is_table_alone(&self) -> bool {
        self.opener.is_table_alone()
    }

    fn paces(&self) -> bool {
        self.opener.paces()
    }

    fn fast_registers(&self) -> bool {
        self.opener.fast_registers()
    }

    fn binds(&self) -> bool {
        self.opener.binds()
    }
}
