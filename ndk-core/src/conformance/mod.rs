//! The conformance kit: the contract's rules as tests that any backend can be put through.
//!
//! A vendor's whole test file names a factory; with `harness = false` for it in `Cargo.toml`, every case is a test of
//! its own in the output of `cargo test`, named by the rule's ID, what is tried, the route and the way of completing:
//!
//! ```text
//! test C6::length_zero/native/inline   ... ok
//! test C6::length_zero/table/pending   ... ok
//! test L4::page_count/consumer/early   ... ignored, the backend has no logical address mappings
//! ```
//!
//! - The *routes*: natively, through the framework's own objects; through the C tables; and through the safe
//!   [consumer](crate::consumer), for all that its types let a case ask.
//! - The *ways of completing*: inline (as the backend does it by itself); pending; and with the callback before the
//!   entry has returned, after which a future of the consumer's is ready at its first poll. The kit makes them, by a
//!   wrapper around the adapter under test and an executor of its own.
//! - A case about access to the bytes connects two queue pairs of the adapter under test, in two domains, and reaches
//!   from one for the other's memory. A kit with a [pair](Kit::pair) tries what may be reached between two adapters too
//!   (`F1::bounds/pair`); without one, an adapter that cannot be connected to itself leaves these cases out.
//! - A case that needs what a device does not have is left out, with the reason. Where a device declares that it does
//!   something in another way (section K), the case expects that.
//!
//! A provider that has tables and nothing of this crate, in C for example, has a kit of its own ([`Kit::table`]), whose
//! cases call its entries, directly and through the safe consumer. Accesses go through its hooks, where it has them.
//!
//! A case that hangs, because a call of the provider's does not return, fails after a minute or two (see
//! [`Kit::patience`]), and the others go on. A device that hangs, or breaks a rule, when the kit first looks at what it has
//! fails the run, with the other kits' cases run all the same.
//! At its end a run says how many tests were left out for which reason. `--junit FILE` writes it for CI systems too:
//! every test with its rule, route, way, time, and message or reason.
//!
//! [`rules`] lists every rule with what the kit does about it.

mod case;
mod cases;
mod consumer;
mod contained;
mod control;
mod current;
mod desk;
mod ending;
mod env;
mod flight;
mod held;
mod hooks;
mod kit;
mod lam;
mod logs;
mod memory;
mod native;
mod needs;
mod net;
mod outcome;
mod paced;
mod plan;
mod port;
pub mod predict;
mod report;
mod requests;
mod returns;
mod route;
mod rules;
mod run;
mod session;
mod stand_in;
mod table;
mod table_window;
mod tables;
mod ticket;
mod watch;

pub use current::case_in_progress;
pub use kit::{Kit, main};
pub use plan::Planned;
pub use rules::{Coverage, Rule, rules};
pub use tables::{AccessHook, BindHook, FastRegisterHook, TableProvider};
