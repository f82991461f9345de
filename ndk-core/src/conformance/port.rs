//! Queue pairs and memory windows of the adapter under test, with their types forgotten.

use super::route::Mr;
use crate::access::Access;
use crate::access::RemoteToken;
use crate::error::Result;
use crate::platform::Std;
use crate::provider::{AdapterProvider, Endpoint, FastMemory, RemoteAddress, Sge, WorkCompletion};
use crate::region::RegionRef;
use crate::work::{MemoryWindow, QueuePair};
use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll};

/// Something to be waited for by the case.
pub(super) type Waiting<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// A queue pair.
///
/// # Safety
/// Of the methods that take a region: it is not closed, it and the window are of the same adapter, and what a fast
/// registration names stays valid until it is invalidated or its region closed.
#[allow(clippy::missing_safety_doc)] // said once, above
pub(super) trait Port: Send + Sync {
    fn endpoint(&self) -> Endpoint;
    fn connect<'a>(&'a self, peer: &'a Endpoint) -> Waiting<'a, Result<()>>;
    fn receive(&self, context: u64, local: &[Sge]) -> Result<()>;
    fn send(&self, context: u64, local: &[Sge], invalidate: Option<RemoteToken>) -> Result<()>;
    fn read(&self, context: u64, local: &[Sge], remote: RemoteAddress) -> Result<()>;
    fn write(&self, context: u64, local: &[Sge], remote: RemoteAddress) -> Result<()>;
    unsafe fn fast_register(
        &self,
        context: u64,
        mr: Mr,
        memory: FastMemory<'_>,
        access: Access,
    ) -> Result<()>;
    unsafe fn invalidate(&self, context: u64, mr: Mr) -> Result<()>;
    unsafe fn bind(
        &self,
        context: u64,
        mr: Mr,
        window: &dyn Window,
        range: (u64, u64),
        access: Access,
    ) -> Result<()>;
    fn invalidate_window(&self, context: u64, window: &dyn Window) -> Result<()>;
    fn poll_completion(&self, cx: &mut Context<'_>) -> Poll<WorkCompletion>;
    /// Takes a completion if there is one.
    fn poll(&self) -> Option<WorkCompletion>;
    fn flush(&self);
    fn close(self: Box<Self>) -> Waiting<'static, ()>;
}

/// A memory window.
pub(super) trait Window {
    fn as_any(&self) -> &dyn Any;
    /// The token of the last binding.
    fn remote_token(&self) -> Option<RemoteToken>;
    /// The name in log lines.
    fn name(&self) -> String;
    fn close(self: Box<Self>) -> Waiting<'static, ()>;
}

/// # Safety
/// The region is of an adapter of type `A`, and not closed.
unsafe fn region<A: AdapterProvider>(mr: Mr) -> RegionRef<A, Std> {
    // SAFETY: the caller's promise.
    unsafe { RegionRef::from_ndk(NonNull::new(mr.0).expect("a region")) }
}

fn concrete<A: AdapterProvider>(window: &dyn Window) -> &MemoryWindow<A, Std> {
    window.as_any().downcast_ref().expect("a window of the same adapter")
}

// SAFETY of each block below: the trait's conditions are those of the framework's methods, and the adapter's type is
// that of the queue pair.
#[allow(clippy::undocumented_unsafe_blocks)] // said once, above
impl<A: AdapterProvider> Port for QueuePair<A, Std> {
    fn endpoint(&self) -> Endpoint {
        QueuePair::endpoint(self)
    }

    fn connect<'a>(&'a self, peer: &'a Endpoint) -> Waiting<'a, Result<()>> {
        Box::pin(QueuePair::connect(self, peer))
    }

    fn receive(&self, context: u64, local: &[Sge]) -> Result<()> {
        QueuePair::receive(self, context, local)
    }

    fn send(&self, context: u64, local: &[Sge], invalidate: Option<RemoteToken>) -> Result<()> {
        QueuePair::send(self, context, local, invalidate)
    }

    fn read(&self, context: u64, local: &[Sge], remote: RemoteAddress) -> Result<()> {
        QueuePair::read(self, context, local, remote)
    }

    fn write(&self, context: u64, local: &[Sge], remote: RemoteAddress) -> Result<()> {
        QueuePair::write(self, context, local, remote)
    }

    unsafe fn fast_register(
        &self,
        context: u64,
        mr: Mr,
        memory: FastMemory<'_>,
        access: Access,
    ) -> Result<()> {
        unsafe { QueuePair::fast_register(self, context, region(mr), memory, access) }
    }

    unsafe fn invalidate(&self, context: u64, mr: Mr) -> Result<()> {
        unsafe { QueuePair::invalidate(self, context, region(mr)) }
    }

    unsafe fn bind(
        &self,
        context: u64,
        mr: Mr,
        window: &dyn Window,
        range: (u64, u64),
        access: Access,
    ) -> Result<()> {
        unsafe { QueuePair::bind(self, context, region(mr), concrete(window), range, access) }
    }

    fn invalidate_window(&self, context: u64, window: &dyn Window) -> Result<()> {
        QueuePair::invalidate_window(self, context, concrete(window))
    }

    fn poll_completion(&self, cx: &mut Context<'_>) -> Poll<WorkCompletion> {
        QueuePair::poll_completion(self, cx)
    }

    fn poll(&self) -> Option<WorkCompletion> {
        QueuePair::poll(self)
    }

    fn flush(&self) {
        QueuePair::flush(self);
    }

    fn close(self: Box<Self>) -> Waiting<'static, ()> {
        Box::pin(QueuePair::close(*self))
    }
}

impl<A: AdapterProvider> Window for MemoryWindow<A, Std> {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn remote_token(&self) -> Option<RemoteToken> {
        MemoryWindow::remote_token(self)
    }

    fn name(&self) -> String {
        MemoryWindow::name(self).to_string()
    }

    fn close(self: Box<Self>) -> Waiting<'static, ()> {
        Box::pin(MemoryWindow::close(*self))
    }
}
