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

/// What of a message is being placed goes on being placed.
const SIW_IN_FLIGHT: &str =
    "Soft-iWARP ends a deregistration before the segments that it is at (D3)";

/// Some three of a hundred rounds: the read ends by a time-out, as does everything behind it.
const RXE_SILENT: &str =
    "Soft-RoCE of Linux 6.1 does not always answer the read that meets a deregistration";

fn main() -> ExitCode {
    let first = common::device("NDK_VERBS_DEVICE").map(|name| {
        let is_soft = name.starts_with("rxe");
        let kit = kit(name);
        if is_soft { kit.defect("D3", "against_a_reader", RXE_SILENT) } else { kit }
    });
    let iwarp = common::device("NDK_VERBS_IWARP").map(|name| {
        let is_soft = name.starts_with("siw");
        let kit = kit(name);
        match is_soft {
            true => kit
                .defect("C3", "data_across_joint_inside_page", SIW_ODD_HALVES)
                .defect("D3", "against_a_writer", SIW_IN_FLIGHT)
                .defect("D3", "against_a_reader", SIW_IN_FLIGHT),
            false => kit,
        }
    });
    run(first.into_iter().chain(iwarp))
}
