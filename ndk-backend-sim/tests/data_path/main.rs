//! The data path: work requests against regions that were registered through the C table.
#[path = "../common/mod.rs"]
mod common;

mod connections;
mod fast;
mod initiator;
mod keys;
mod moves;
mod profiles;
mod random;
mod receives;
mod refusals;
mod windows;
mod withdrawal;

use ndk_core::abi::*;

const LOCAL: ULONG = NDK_MR_FLAG_ALLOW_LOCAL_WRITE;
const READ: ULONG = NDK_MR_FLAG_ALLOW_REMOTE_READ;
const WRITE: ULONG = NDK_MR_FLAG_ALLOW_REMOTE_WRITE;
const SINK: ULONG = NDK_MR_FLAG_RDMA_READ_SINK;

/// Which way the bytes were to go.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Write,
    Read,
}

const BOTH: [Way; 2] = [Way::Write, Way::Read];
