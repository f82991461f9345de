//! Real adapters through rdma-core, as a backend of `ndk-core`.
//!
//! The backend is named `mlx`, and drives any device that libibverbs does: ConnectX (mlx5), Soft-RoCE (rxe), Soft-iWARP
//! (siw), irdma and others. What is particular to mlx5 needs a ConnectX-4 or later: a ConnectX-3 (mlx4) has no mlx5dv.
//!
//! # What it is made of
//! - A region is a registration of the kernel's. Its pages have to be adjacent in the program's memory, since a user
//!   program registers ranges of its address space: other chains are NOT_SUPPORTED (K2). Kernel calls that block run on
//!   a bounded pool of threads, and requests pend meanwhile (B5).
//! - A window of the framework, and a fast registration, is a memory window of type 2 over a registration of exactly its
//!   bytes, which a thread makes while the request waits in the queue pair, and with it every later one.
//! - On mlx5 a fast registration is an indirect memory key instead, which one entry of the send queue makes lead to the
//!   pages, scattered or not, without a kernel call. `docs/mlx5.md` says how, what is checked of it, and what is not.
//! - A mapping is registered for local use in every domain; posting replaces logical addresses and the privileged token.
//!
//! # What devices cannot promise
//! - Tokens are the kernel's keys: one for both sides of a region, in an order that can be guessed, and perhaps given out
//!   again at once (E5, D4). The privileged token is not a device's key.
//! - The token of a fast registration by a window works on the queue pair that it was posted on (G11). It stays the same
//!   until that queue pair is closed, or an invalidation comes by another one: the next token is another.
//! - Soft-RoCE of Linux 6.1 does not survive the invalidation of what is not bound. This backend posts none, and keeps
//!   messages of this program from it, but a peer elsewhere can send one, which ends the machine. It does not always
//!   answer a read of several packets whose registration ends meanwhile (D3): the reader has a time-out.
//! - Soft-iWARP does not ask for the right to be read, reports no refused write, and reaches memory at its host address
//!   only. On Linux 6.1 it goes on with the segment it is at when a registration ends (D3), and sends other bytes where a
//!   short source crosses a page into parts of different length.
//! - Queue pairs of two programs that are connected by endpoint hear of each other's errors only by requests that are not
//!   answered.
//!
//! `docs/verbs-devices.md` says how each of these was measured. No network adapter has ever run this code: it was tried
//! on Soft-RoCE and Soft-iWARP.

mod access;
mod adapter;
mod binder;
mod device;
mod domain;
mod errno;
mod extension;
mod fast;
mod handle;
mod key;
mod mapping;
mod memory;
mod mlx5;
mod name;
mod pool;
mod queue_pair;
mod region;
mod rounds;
mod self_test;
#[doc(hidden)]
pub mod sys;
mod watch;
mod window;

pub use adapter::{Config, MlxAdapter};
pub use domain::MlxPd;
pub use extension::{NDKMR_VERBS_REGION, NDKMR_VERBS_REGION_GUID, NDKMR_VERBS_REGION_VERSION};
pub use name::factory;
pub use queue_pair::MlxQueuePair;
pub use region::MlxRegion;
#[doc(hidden)]
pub use self_test::Findings;
pub use window::MlxWindow;
