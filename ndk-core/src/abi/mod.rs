//! The C side of NDK: the types of `ndkpi.h` and `ndkinfo.h`, with the names and the layout that C
//! has.
//!
//! This module holds declarations only. A provider fills the dispatch tables found here, a consumer
//! calls through them; neither needs more than this module to speak NDKPI 1.2 or 2.0.
//!
//! How C is written down in Rust:
//!
//! - Names are those of the C headers, so that they can be searched for in Microsoft's reference.
//!   Types name their page there: `nc-ndkpi-...` is a function type, `ns-ndkpi-...` a structure,
//!   `ne-ndkpi-...` an enumeration. Flags are on the pages of the functions that take them.
//! - Function types are `unsafe extern "system" fn`. A member of a dispatch table and a callback
//!   parameter is an `Option` of it, since C may pass null there; `None` is C's null pointer.
//! - Enumerations are integers in a newtype: C may store any value in them, a Rust `enum` may not.
//! - A pointer is `*const` where C's pointee is `const` and `*mut` elsewhere, also where the callee
//!   only reads.
//! - Anonymous members of C get a name: [`NDK_SGE`]'s union is `Address`, [`PHYSICAL_ADDRESS`]'s
//!   parts are `u`.
//!
//! Unless its own text says otherwise, a function may be called at any IRQL up to `DISPATCH_LEVEL`,
//! so it never blocks.

#![allow(non_camel_case_types, non_snake_case, non_upper_case_globals)]

mod adapter;
mod basic;
mod callback;
mod connector;
mod cq;
mod info;
mod layout;
mod listener;
mod mdl;
mod mr;
mod mw;
mod object;
mod pd;
mod qp;
mod srq;
mod status;
mod work;

pub use adapter::*;
pub use basic::*;
pub use callback::*;
pub use connector::*;
pub use cq::*;
pub use info::*;
pub use listener::*;
pub use mdl::*;
pub use mr::*;
pub use mw::*;
pub use object::*;
pub use pd::*;
pub use qp::*;
pub use srq::*;
pub use status::*;
pub use work::*;
