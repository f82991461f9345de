//! The kits of the devices that there are.

use crate::common;
use ndk_backend_mlx::{Config, MlxAdapter};
use ndk_core::conformance::Kit;
use ndk_core::{AdapterProvider, Result};
use std::env;

/// Room for the regions of the cases about the limit.
const SMALL: u32 = 5;

fn config(device: &str) -> Config {
    Config { device: Some(device.into()), ..Config::default() }
}

/// What is put over each adapter before the kit has it.
type Layer<A> = fn(MlxAdapter) -> A;

fn opener<A>(config: Config, layer: Layer<A>) -> impl Fn() -> Result<A> {
    move || MlxAdapter::open(config.clone()).map(layer)
}

fn kit<A: AdapterProvider>(device: &str, layer: Layer<A>) -> Kit {
    complete(Kit::new(opener(config(device), layer)), device, layer)
}

fn kit_of_two<A: AdapterProvider>(device: &str, peer: &str, layer: Layer<A>) -> Kit {
    let [one, other] = [device, peer].map(|device| opener(config(device), layer));
    complete(Kit::pair(one, other), device, layer)
}

/// What every kit has.
fn complete<A: AdapterProvider>(kit: Kit, device: &str, layer: Layer<A>) -> Kit {
    let small = Config { regions: Some(SMALL), ..config(device) };
    let kit = kit.named(device).region_limit(SMALL as usize, opener(small, layer));
    known_defects(device).iter().fold(kit, |kit, &(rule, case, why)| kit.defect(rule, case, why))
}

/// A message or an answer of up to a few dozen bytes is sent from a wrong place where its source crosses a page and the
/// parts before and behind are of different length.
const SIW_ODD_HALVES: &str =
    "Soft-iWARP of Linux 6.1 sends other bytes where a short source crosses a page";

/// What of a message is being placed goes on being placed.
const SIW_IN_FLIGHT: &str =
    "Soft-iWARP ends a deregistration before the segments that it is at (D3)";

/// The sum of address and length wraps, and is inside: what then fails is the search for the page.
const SIW_WRAPS: &str =
    "Soft-iWARP of Linux 6.1 lets local addresses that wrap pass its check, and fails behind it";

/// A read of several packets whose registration ends between two of its answers: it ends by a time-out.
const RXE_SILENT: &str =
    "Soft-RoCE of Linux 6.1 does not always answer the read that meets a deregistration";

/// Rule, case, and why a device of that name is known to fail it.
fn known_defects(device: &str) -> &'static [(&'static str, &'static str, &'static str)] {
    if device.starts_with("rxe") {
        &[("D3", "against_a_reader", RXE_SILENT)]
    } else if device.starts_with("siw") {
        &[
            ("C3", "data_across_joint_inside_page", SIW_ODD_HALVES),
            ("D3", "against_a_writer", SIW_IN_FLIGHT),
            ("D3", "against_a_reader", SIW_IN_FLIGHT),
            ("D3", "against_a_reader_of_few_bytes", SIW_IN_FLIGHT),
            ("F2", "element_that_wraps", SIW_WRAPS),
            ("H3", "against_a_writer", SIW_IN_FLIGHT),
        ]
    } else {
        &[]
    }
}

/// Each kit, on adapters under a layer.
pub(crate) fn all<A: AdapterProvider>(layer: Layer<A>) -> impl Iterator<Item = Kit> {
    // Two devices, if they are there, are tried between each other too.
    let pair = env::var("NDK_VERBS_PAIR").unwrap_or_default();
    let first = match pair.split_once(' ') {
        Some((device, peer)) => Some(kit_of_two(device, peer, layer)),
        None => common::device("NDK_VERBS_DEVICE").map(|device| kit(&device, layer)),
    };
    let iwarp = common::device("NDK_VERBS_IWARP").map(|device| kit(&device, layer));
    first.into_iter().chain(iwarp)
}
