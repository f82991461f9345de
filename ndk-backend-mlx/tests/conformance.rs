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

/// A message or an answer of up to a few dozen bytes is sent from a wrong place where its source crosses a page and the
/// parts before and behind are of different length.
const SIW_ODD_HALVES: &str =
    "Soft-iWARP of Linux 6.1 sends other bytes where a short source crosses a page";

fn main() -> ExitCode {
    let first = common::device("NDK_VERBS_DEVICE").map(kit);
    let iwarp = common::device("NDK_VERBS_IWARP").map(|name| {
        let is_soft = name.starts_with("siw");
        let kit = kit(name);
        match is_soft {
            true => kit.defect("C3", "data_across_joint_inside_page", SIW_ODD_HALVES),
            false => kit,
        }
    });
    run(first.into_iter().chain(iwarp))
}
