//! The way back: tables of anybody's as the provider traits.
//!
//! A [`ForeignAdapter`] over an `NDK_ADAPTER` is an [`AdapterProvider`](crate::AdapterProvider) whose domains and
//! regions are objects behind C tables. Opened again, it gives the same device through two layers of tables, so that
//! one test runs natively and through C, and a Rust program can stack on whatever provider is there.
//!
//! Every call reads the object's `Dispatch` anew. What C still works on is kept when a future of the traits is
//! dropped (B9): the chain, the context, the object.

mod adapter;
mod domain;
mod gate;
mod handle;
mod region;
mod reserved;

pub use adapter::ForeignAdapter;
pub use domain::ForeignPd;
pub use region::ForeignRegion;
