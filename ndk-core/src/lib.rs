//! NDK memory regions: the provider trait, the adapter that turns an implementation into a real `NDK_MR_DISPATCH`,
//! and the contract, enforced once.
//!
//! - A vendor implements [`MrProvider`] and [`AdapterProvider`], and opens it with [`Opened`].
//! - A consumer uses the C tables of [`abi`] or, with `std`, the safe `consumer` module over any of them.
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod abi;
mod access;
mod adapter;
#[cfg(feature = "std")]
pub mod backend;
#[cfg(feature = "std")]
mod call;
mod capabilities;
mod completion;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "std")]
pub mod consumer;
mod contain;
mod dispatch;
mod domain;
mod error;
mod executor;
mod extension;
#[cfg(feature = "std")]
pub mod foreign;
mod job;
#[cfg(feature = "std")]
mod leaked;
mod mapping;
pub mod mdl;
mod platform;
mod prefetch;
mod provider;
mod region;
mod sync;
#[cfg(feature = "std")]
pub mod verifier;
mod work;

pub use access::{Access, LocalToken, RemoteToken};
pub use adapter::{AdapterRef, CloseRefused, Opened};
pub use capabilities::{
    BaseAddress, Capabilities, FastRegistration, Refusal, TokenReuse, TokenScope,
};
pub use domain::DomainRef;
pub use error::{Error, ErrorKind, Result, status_name};
#[cfg(all(feature = "std", not(loom)))]
pub use executor::ThreadPool;
pub use executor::{Executor, Task};
pub use extension::{NDKMR_CAPABILITIES, NDKMR_CAPABILITIES_GUID, NDKMR_CAPABILITIES_VERSION};
#[cfg(feature = "std")]
pub use platform::Std;
pub use platform::{Platform, Waits};
pub use provider::{
    AdapterProvider, BoxedAdapter, BoxedPd, BoxedQueuePair, BoxedRegion, BoxedWindow,
    DynAdapterProvider, DynMrProvider, Endpoint, Event, FastMemory, Finding, Mapping, MrProvider,
    Named, NoQueuePair, NoWindow, Party, QpProvider, QueueDepths, RegionKind, RemoteAddress, Sge,
    Watch, WindowProvider, WorkCompletion, WorkId, WorkKind, WorkRequest,
};
pub use region::{Progress, RegionRef};
pub use work::{MemoryWindow, QueuePair};
