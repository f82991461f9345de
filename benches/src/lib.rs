//! What the framework costs: beside a hand-written table in C, libfabric, and a plain copy.
//!
//! One file for each question in [`questions`]; the contenders of a question are run against each other by the method of
//! [`rounds`], and their instructions counted by that of [`instructions`]. The program `ndk-bench` runs them and writes
//! `docs/performance.md`.

#[cfg(libfabric)]
pub mod bars;
#[cfg(libfabric)]
pub mod fabric;
pub mod instructions;
pub mod layer;
pub mod machine;
pub mod objects;
pub mod page;
pub mod providers;
pub mod questions;
pub mod rounds;
pub mod run;
pub mod twin;
pub mod wire;
