//! The C library `libndkmr`: adapters of every backend, opened by name, and MDLs over a C program's memory.
//!
//! The functions are those of `include/ndk_mr.h`, which says for each what it does, on which threads and inside
//! which callbacks it may be called, and what it refuses; the documentation here adds what matters to Rust only.
//! This is the one place that knows every backend, so Rust programs that want them all use [`backends`], too.
//!
//! No panic crosses into C, and a pointer that this library did not give out is refused, not followed.

#![allow(non_camel_case_types)]

mod adapter;
mod boundary;
mod findings;
mod logger;
mod mdl;
mod status;

pub use adapter::{ndkmr_close, ndkmr_open, ndkmr_options};
pub use boundary::ndkmr_last_error;
pub use findings::{ndkmr_count_findings, ndkmr_get_finding};
pub use logger::{ndkmr_log_callback, ndkmr_set_log};
pub use mdl::{ndkmr_mdl_create, ndkmr_mdl_create_chain, ndkmr_mdl_free, ndkmr_part};
pub use status::ndkmr_status_name;

use ndk_backend_sim::Fabric;
use ndk_core::backend::Registry;

/// Every backend of this project. The simulated adapters of one registry reach each other.
pub fn backends() -> Registry {
    let simulated = Registry::new().with(
        "sim",
        "a simulated adapter, which reaches those of the same program",
        ndk_backend_sim::factory(Fabric::new()),
    );
    with_real(simulated)
}

const REAL: (&str, &str) = ("mlx", "a real adapter, through rdma-core (mlx:NAME for one by name)");

#[cfg(target_os = "linux")]
fn with_real(others: Registry) -> Registry {
    others.with(REAL.0, REAL.1, ndk_backend_mlx::factory)
}

#[cfg(not(target_os = "linux"))]
fn with_real(others: Registry) -> Registry {
    others.without(REAL.0, REAL.1, "rdma-core is for Linux")
}
