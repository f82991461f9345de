//! The smallest consumer: an adapter, a domain, a region, and back, through the C tables.
//!
//! `cargo run --example smallest_consumer`

use common::table;
use ndk_core::ThreadPool;
use ndk_core::abi::{NDK_MR_FLAG_ALLOW_REMOTE_WRITE, NDK_VERSION};
use ndk_core::mdl::{Buffer, Mdl};
use std::sync::Arc;

fn main() {}
