//! The conformance kit on the devices that there are.

mod common;

use ndk_backend_mlx::{Config, MlxAdapter};
use ndk_core::conformance::{Kit, main as run};
use std::process::ExitCode;

/// Room for the regions of the cases about the limit.
const SMALL: u32 = 5;

fn kit(device: String) -> Kit {
    let config = Config { device: Some(device.clone()), ..Config::default() };
    let small = Config { regions: Some(SMALL), ..config.clone() };
    Kit::new(move || MlxAdapter::open(config.clone()))
        .named(device)
        .region_limit(SMALL as usize, move || MlxAdapter::open(small.clone()))
}

fn main() -> ExitCode {
    let devices = ["NDK_VERBS_DEVICE", "NDK_VERBS_IWARP"].into_iter().filter_map(common::device);
    run(devices.map(kit))
}
