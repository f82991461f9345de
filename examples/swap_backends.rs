//! The same consumer on any backend: the name on the command line is all that changes.
//!
//! `cargo run --example swap_backends -- "sim?latency=1ms"`

use common::table;
use ndk_core::ThreadPool;
use ndk_core::abi::{NDK_MR_FLAG_ALLOW_REMOTE_READ, NDK_VERSION};
use ndk_core::mdl::{Buffer, Mdl};
use std::sync::Arc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = std::env::args().nth(1).unwrap_or_else(|| "sim".into());
    let version = NDK_VERSION { Major: 1, Minor: 2 };
    let opened = common::backends().open(&name, Arc::new(ThreadPool::new(1)?), version)?;
    let buffer = Buffer::copy_of(b"the same bytes on every backend")?;
    let mdl = Mdl::new(&buffer)?;
    // SAFETY: every object is used between its creation and its close, and the buffer outlives the registration.
    unsafe {
        let pd = table::create_pd(opened.adapter().as_ndk().as_ptr())?;
        let mr = table::create_mr(pd, false)?;
        table::register(mr, mdl.as_ptr(), mdl.len(), NDK_MR_FLAG_ALLOW_REMOTE_READ)?;
        println!("{name}: registered {} bytes, tokens {:x?}", mdl.len(), table::tokens(mr));
        table::deregister(mr)?;
        table::close_mr(mr).wait()?;
        table::close_pd(pd).wait()?;
    }
    opened.close().map_err(|refused| refused.error)?;
    Ok(())
}
