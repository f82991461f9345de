//! The conformance kit on the provider in C under the verifier, behind the bridge from its tables to the traits: no mistake
//! of the provider is found, and of the consumer only what a case does wrong on purpose.

#[path = "../../../ndk-backend-sim/tests/kits/verified.rs"]
mod verified;

use c_provider::{CAPABILITIES, provider};
use ndk_core::abi::{NDK_VERSION, STATUS_SUCCESS};
use ndk_core::conformance::Kit;
use ndk_core::foreign::ForeignAdapter;
use ndk_core::verifier::Verified;
use ndk_core::{Error, ErrorKind, Result};
use std::process::ExitCode;
use std::ptr::{NonNull, null_mut};

fn open() -> Result<Verified<ForeignAdapter>> {
    let (soft, mut adapter) = (provider(), null_mut());
    // SAFETY: the function is the provider's own, and the pointer may be written.
    let status = unsafe { (soft.open)(NDK_VERSION { Major: 1, Minor: 2 }, &mut adapter) };
    if status != STATUS_SUCCESS {
        let kind = ErrorKind::from_status(status).unwrap_or(ErrorKind::Internal);
        return Err(Error::new(kind, "the provider in C does not open"));
    }
    let adapter = NonNull::new(adapter).expect("A1: an adapter");
    let address = adapter.expose_provenance();
    let close = move || {
        // SAFETY: called once, for the adapter that was opened.
        let status = unsafe { (soft.close)(std::ptr::with_exposed_provenance_mut(address.get())) };
        assert_eq!(status, STATUS_SUCCESS, "H5");
    };
    // SAFETY: nobody else has the adapter, and the provider keeps the contract, as its own kit shows.
    unsafe { ForeignAdapter::from_ndk(adapter, "soft", CAPABILITIES, close) }
        .map(verified::verified)
}

/// Without B8 and B9: where a close panics, or is given up, the framework leaks what the provider has not heard of, and the
/// provider's adapter waits for that for ever, as it must (H5).
const RULES: &[&str] =
    &["A", "B1", "B2", "B3", "B4", "B5", "B6", "B7", "C", "D", "E", "G", "H", "K", "L"];

fn main() -> ExitCode {
    verified::judge(Kit::new(open).named("soft").only(RULES).main())
}
