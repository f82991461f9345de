//! The consumer's side: a safe, typed interface over any provider's `NDK_ADAPTER`, async and blocking.
//!
//! - A region's type says what it is: [`Region<Created>`](Region) becomes a [`Region<Registered>`](Region) by
//!   `register`, and comes back by `deregister`; a [`FastRegion<Created>`](FastRegion) becomes a
//!   [`FastRegion<Ready>`](FastRegion) by `initialize`. What fails gives everything back as it was, in [`Failed`].
//! - Memory is a [`Buffer`](crate::mdl::Buffer), described by an [`Mdl`](crate::mdl::Mdl) that the region owns while it
//!   is registered. Its bytes are copied, never lent, since a peer may write them.
//! - Every request has two forms. The async one may be awaited on any executor; dropped before its end it gives up the
//!   waiting only: the request goes on, and context, chain and memory are kept until its callback. Then what came of
//!   it is closed. The blocking one parks the thread, and must not be called from a thread that the provider needs to
//!   complete the request.
//! - `close` is how an object ends. A drop is the backstop: it starts the close, waits for nothing, and everything is
//!   freed all the same when the close completes (H6).
//! - Objects may be closed in any order: a domain's close waits for its regions (H4), an adapter's for everything (H5).
//!
//! ```
//! use ndk_core::consumer::Adapter;
//! use ndk_core::mdl::{Buffer, Mdl};
//! use ndk_core::{Access, Result};
//!
//! async fn life_of_a_region(adapter: &Adapter) -> Result<()> {
//!     let domain = adapter.create_domain().await?;
//!     let region = domain.create_region().await?;
//!
//!     let buffer = Buffer::copy_of(b"for the peer to read")?;
//!     let region = region.register(Mdl::new(&buffer)?, Access::REMOTE_READ).await?;
//!     println!("a peer reads {} bytes at {:#x}", region.len(), region.base_address());
//!     println!("with {:?}", region.remote_token());
//!
//!     let (region, _mdl) = region.deregister().await?;
//!     region.close().await?;
//!     domain.close().await
//! }
//! ```

mod adapter;
mod domain;
mod fast;
mod mapping;
mod object;
mod region;

pub use adapter::Adapter;
pub use domain::ProtectionDomain;
pub use fast::{FastRegion, Ready};
pub use mapping::LogicalMapping;
pub use region::{Created, Region, Registered};

use crate::error::Error;
use core::fmt;

/// A step that failed, and what it was tried with, in the state that it had before.
#[derive(Debug)]
pub struct Failed<T> {
    /// What was consumed: use it again, or close it.
    pub object: T,
    /// Why.
    pub error: Error,
}

/// Drops the object, which closes it.
impl<T> From<Failed<T>> for Error {
    fn from(failed: Failed<T>) -> Self {
        failed.error
    }
}

impl<T> fmt::Display for Failed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<T: fmt::Debug> core::error::Error for Failed<T> {}
