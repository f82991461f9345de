//! rdma-core's C interface: what this crate uses of libibverbs, libmlx5 and librdmacm.
//!
//! # Why these bindings
//! The libraries are opened at run time ([`load`]), so a program with this backend builds and starts on a machine
//! without any RDMA package, and says then what is missing. Of the crates that bind rdma-core none does that without
//! more tools:
//! - `rdma-mummy-sys` (which `sideway` builds on) opens the libraries at run time, too, but by a C shim that its build
//!   script makes with cmake, and its types come from bindgen, which needs libclang;
//! - `ibverbs-sys` (which `ibverbs` builds on) runs cmake and bindgen, and links libibverbs;
//! - `rdma-sys` runs bindgen and links libibverbs and librdmacm.
//!
//! So the types are written down here, only those in use, and a test compares size, offsets and constants with the
//! headers of the machine ([`layout`]). Much of libibverbs is inline code in its headers, which calls through tables of
//! functions that each object carries; [`inline`] has what is in use of that.
//!
//! Names are those of C, so that they can be found in the manual pages.

#![allow(non_camel_case_types, missing_docs)]

#[macro_use]
pub mod layout;

pub mod cm;
pub mod device;
pub mod inline;
pub mod load;
pub mod mlx5;
pub mod object;
pub mod queue_pair;
pub mod work;
