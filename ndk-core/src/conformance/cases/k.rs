//! Section K: declarations that can be compared with what is there. The others are tried by the cases that need them.

use super::super::case::Case;
use super::super::env::Env;
use super::super::net::queue_pairs;
use crate::error::ErrorKind;

pub(super) const CASES: &[Case] = &[
    Case::new("K1", "fast_registration", fast_registration).own(),
    Case::new("K1", "windows", windows).own().needs(queue_pairs),
];

/// Declared where such regions can be created, with the page count that the adapter's attributes say.
fn fast_registration(env: &mut Env) {
    let declared = env.device.capabilities.fast_registration;
    assert_eq!(declared.is_some(), env.device.fast_registration, "K1: declared, and found");
    let pages = declared.map_or(0, |declared| declared.pages);
    assert_eq!(pages, env.device.info.FRMRPageCount, "K1: the attribute FRMRPageCount");
}

/// Where windows are declared they can be made, and else making one says that they cannot.
fn windows(env: &mut Env) {
    let pd = env.pd();
    // SAFETY: the case has a live domain of this adapter.
    let made = env.wait_for("a window", unsafe { env.session().create_window(pd) });
    let kind = made.map_or_else(|error| Some(error.kind()), |_| None);
    let declared = env.device.capabilities.windows;
    let expected = (!declared).then_some(ErrorKind::NotSupported);
    assert_eq!(kind, expected, "K1: declared: {declared}");
}
