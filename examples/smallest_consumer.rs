//! The smallest consumer: an adapter by name, a domain, a region, and back, all safe.
//!
//! `cargo run --example smallest_consumer`

use futures_lite::future::block_on;
use ndk_core::abi::NDK_VERSION;
use ndk_core::consumer::Adapter;
use ndk_core::mdl::{Buffer, Mdl};
use ndk_core::{Access, ThreadPool};
use std::sync::Arc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let version = NDK_VERSION { Major: 1, Minor: 2 };
    let executor = Arc::new(ThreadPool::new(1)?);
    let adapter: Adapter = common::backends().open("sim", executor, version)?.into();
    block_on(async {
        let domain = adapter.create_domain().await?;
        let region = domain.create_region().await?;
        let buffer = Buffer::copy_of(b"for a peer to read")?;
        let region = region.register(Mdl::new(&buffer)?, Access::REMOTE_READ).await?;
        println!("{} bytes at {:#x}", region.len(), region.base_address());
        println!("a peer reaches them by {:?}", region.remote_token());
        let (region, _mdl) = region.deregister().await?;
        region.close().await?;
        domain.close().await
    })?;
    adapter.close()?;
    Ok(())
}
