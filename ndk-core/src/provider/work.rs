//! Work requests: what a queue pair and a memory window of a backend do.

use super::MrProvider;
use crate::access::{Access, LocalToken, RemoteToken};
use crate::error::{Error, ErrorKind, Result};
use alloc::string::String;
use core::convert::Infallible;
use core::future::Future;
use core::marker::PhantomData;
use core::task::{Context, Poll};

/// Where a queue pair can be reached: text that the backend makes and reads, to be carried to the peer by any means.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint(pub String);

/// Limits of a queue pair, as `NdkCreateQp` takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueDepths {
    /// Receives that can be posted at a time.
    pub receive: u32,
    /// Other requests that can be posted at a time.
    pub initiator: u32,
}

impl Default for QueueDepths {
    fn default() -> Self {
        Self { receive: 64, initiator: 64 }
    }
}

/// Local memory of a request: an element of `NDK_SGE`'s shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sge {
    /// The address as the region counts it, or a logical address with the privileged token.
    pub address: u64,
    /// Bytes.
    pub length: u32,
    /// The local token of the region, or the domain's privileged token.
    pub token: LocalToken,
}

/// Remote memory of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteAddress {
    /// The address as the region at the peer counts it.
    pub address: u64,
    /// The token that the peer gave.
    pub token: RemoteToken,
}

/// What the framework needs to know again when a request completes. A backend keeps it and hands it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkId {
    /// The consumer's context.
    pub context: u64,
    /// The framework's note.
    pub tag: u64,
}

/// The kind of a request, in the numbers of `NDK_OPERATION_TYPE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum WorkKind {
    /// Filled by a peer's send.
    Receive = 1,
    /// Send, with or without an invalidation at the peer.
    Send = 2,
    /// Fast registration.
    FastRegister = 4,
    /// Bind of a memory window.
    Bind = 8,
    /// Local invalidation.
    Invalidate = 16,
    /// Remote read.
    Read = 32,
    /// Remote write.
    Write = 64,
}

/// A request to a queue pair. The framework has checked what the contract says of arguments and states.
#[derive(Debug)]
pub enum WorkRequest<'a, M, W> {
    /// Takes one message of the peer. The sink needs LOCAL_WRITE (F4).
    Receive {
        /// Where the message goes.
        local: &'a [Sge],
    },
    /// Sends a message; with `invalidate` the peer's token is dead before its receive completion can be read (G9).
    Send {
        /// The message.
        local: &'a [Sge],
        /// The token of the peer to invalidate.
        invalidate: Option<RemoteToken>,
    },
    /// Reads the peer's memory.
    Read {
        /// Where the bytes go; needs LOCAL_WRITE, or RDMA_READ_SINK (F4).
        local: &'a [Sge],
        /// What is read.
        remote: RemoteAddress,
    },
    /// Writes the peer's memory.
    Write {
        /// The bytes.
        local: &'a [Sge],
        /// Where they go.
        remote: RemoteAddress,
    },
    /// Makes a region's token reach the pages.
    FastRegister {
        /// The region, initialised for it.
        region: &'a M,
        /// What it will reach.
        memory: FastMemory<'a>,
        /// With which rights.
        access: Access,
    },
    /// Ends a fast registration.
    InvalidateRegion {
        /// The region.
        region: &'a M,
    },
    /// Binds a window over a part of a region.
    Bind {
        /// The registered region.
        region: &'a M,
        /// The window.
        window: &'a W,
        /// The first address.
        address: u64,
        /// Bytes.
        length: u64,
        /// The window's rights; only the remote ones matter.
        access: Access,
    },
    /// Ends a binding.
    InvalidateWindow {
        /// The window.
        window: &'a W,
    },
}

/// The memory of a fast registration.
#[derive(Clone, Copy, Debug)]
pub struct FastMemory<'a> {
    /// The logical address of each page.
    pub pages: &'a [u64],
    /// The offset of the first byte in the first page.
    pub first_byte: u32,
    /// Bytes.
    pub length: u64,
    /// The address that the region's bytes count from.
    pub base: u64,
}

impl<'a, M, W> WorkRequest<'a, M, W> {
    /// The same request about what `inside` finds in each region: for a layer that wraps regions.
    #[cfg(feature = "std")]
    pub(crate) fn inside<'r, N>(self, inside: impl FnOnce(&'r M) -> &'r N) -> WorkRequest<'r, N, W>
    where
        'a: 'r,
    {
        use WorkRequest as R;
        match self {
            R::Receive { local } => R::Receive { local },
            R::Send { local, invalidate } => R::Send { local, invalidate },
            R::Read { local, remote } => R::Read { local, remote },
            R::Write { local, remote } => R::Write { local, remote },
            R::FastRegister { region, memory, access } => {
                R::FastRegister { region: inside(region), memory, access }
            }
            R::InvalidateRegion { region } => R::InvalidateRegion { region: inside(region) },
            R::Bind { region, window, address, length, access } => {
                R::Bind { region: inside(region), window, address, length, access }
            }
            R::InvalidateWindow { window } => R::InvalidateWindow { window },
        }
    }

    /// The request's kind.
    pub fn kind(&self) -> WorkKind {
        match self {
            Self::Receive { .. } => WorkKind::Receive,
            Self::Send { .. } => WorkKind::Send,
            Self::Read { .. } => WorkKind::Read,
            Self::Write { .. } => WorkKind::Write,
            Self::FastRegister { .. } => WorkKind::FastRegister,
            Self::InvalidateRegion { .. } | Self::InvalidateWindow { .. } => WorkKind::Invalidate,
            Self::Bind { .. } => WorkKind::Bind,
        }
    }
}

/// A finished request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkCompletion {
    /// What was given with the request.
    pub id: WorkId,
    /// The request's kind.
    pub kind: WorkKind,
    /// How it ended. CANCELLED: it was flushed because the queue pair is in error (F6).
    pub result: Result<(), ErrorKind>,
    /// Bytes moved; for a receive, the message's length.
    pub bytes: u32,
    /// For a receive: the token of this side that the peer's send invalidated.
    pub invalidated: Option<RemoteToken>,
}

/// A reliable connected queue pair of a backend, with its completion queue.
///
/// # What an implementor upholds
/// - Requests of one queue pair take effect in the order of their posting, and each completes once.
/// - A refused or failed request moves the queue pairs of both ends to error: what was and is posted there then
///   completes with CANCELLED (F6).
/// - `post` does not block, and what it refuses inline leaves nothing behind.
pub trait QpProvider: Send + Sync + Sized + 'static {
    /// The backend's region.
    type Mr: MrProvider;
    /// The backend's memory window.
    type Window: WindowProvider;

    /// Where a peer reaches this queue pair.
    fn endpoint(&self) -> Endpoint;

    /// Connects to the peer's queue pair, which has to connect to this one too; done when both have.
    ///
    /// # Errors
    /// CONNECTION_REFUSED where there is no such peer, IO_TIMEOUT where it does not answer, CONNECTION_INVALID on a
    /// queue pair that was connected before.
    fn connect(&self, peer: &Endpoint) -> impl Future<Output = Result<()>> + Send;

    /// Posts a request.
    ///
    /// # Errors
    /// CONNECTION_INVALID before the connection (G6; receives may be posted), INSUFFICIENT_RESOURCES on a full
    /// queue, INVALID_PARAMETER for a logical address outside every live mapping (L2), NOT_SUPPORTED.
    fn post(&self, id: WorkId, request: WorkRequest<'_, Self::Mr, Self::Window>) -> Result<()>;

    /// Takes a completion, or has the context woken when there may be one.
    fn poll_completion(&self, cx: &mut Context<'_>) -> Poll<WorkCompletion>;

    /// Carries a write out before it returns, where that can be with success, and where no completion but of receives is
    /// left to be polled, and no such request in flight: so that the completion, which the framework makes, comes in the
    /// order of the posting. False where not; then nothing has happened, and the request is posted.
    fn write_at_once(&self, local: &[Sge], remote: RemoteAddress) -> bool {
        let _ = (local, remote);
        false
    }

    /// As [`write_at_once`](Self::write_at_once), of a read.
    fn read_at_once(&self, local: &[Sge], remote: RemoteAddress) -> bool {
        let _ = (local, remote);
        false
    }

    /// Moves the queue pair to error: what is posted completes with CANCELLED.
    fn flush(&self);

    /// The number by which a watch knows the queue pair ([`Watch`](crate::Watch)); told once, where there is one. A layer
    /// passes it on.
    fn numbered(&self, id: u64) {
        let _ = id;
    }

    /// Gives the queue pair up. Cannot fail.
    fn close(&self) -> impl Future<Output = ()> + Send;
}

/// A type-2 memory window of a backend.
pub trait WindowProvider: Send + Sync + Sized + 'static {
    /// The token of the last binding that was posted, as a peer uses it.
    fn remote_token(&self) -> Option<RemoteToken>;

    /// Ends a binding and gives the window up. Cannot fail.
    fn close(&self) -> impl Future<Output = ()> + Send;
}

/// The window of a backend that has none.
#[derive(Clone, Copy, Debug)]
pub enum NoWindow {}

impl WindowProvider for NoWindow {
    fn remote_token(&self) -> Option<RemoteToken> {
        match *self {}
    }

    async fn close(&self) {
        match *self {}
    }
}

/// The queue pair of a backend that has none.
#[derive(Debug)]
pub struct NoQueuePair<M>(Infallible, PhantomData<fn() -> M>);

impl<M: MrProvider> QpProvider for NoQueuePair<M> {
    type Mr = M;
    type Window = NoWindow;

    fn endpoint(&self) -> Endpoint {
        match self.0 {}
    }

    async fn connect(&self, _peer: &Endpoint) -> Result<()> {
        match self.0 {}
    }

    fn post(&self, _id: WorkId, _request: WorkRequest<'_, M, NoWindow>) -> Result<()> {
        match self.0 {}
    }

    fn poll_completion(&self, _cx: &mut Context<'_>) -> Poll<WorkCompletion> {
        match self.0 {}
    }

    fn flush(&self) {
        match self.0 {}
    }

    async fn close(&self) {
        match self.0 {}
    }
}

pub(super) fn no_queue_pairs() -> Error {
    Error::new(ErrorKind::NotSupported, "this backend has no queue pairs or memory windows")
}
