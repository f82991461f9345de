//! What the verifier has found.

use crate::adapter::with_open;
use crate::boundary::{guard, write_text};
use ndk_core::abi::{NDK_ADAPTER, NTSTATUS};
use ndk_core::{Finding, Party, Result};
use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What was found on the adapter at this address, read outside of the lock: the names of functions are looked up for it.
fn findings(adapter: *mut NDK_ADAPTER) -> Result<Vec<Finding>> {
    let watch = with_open(adapter.addr(), |opened| opened.watch())?;
    Ok(watch.map_or_else(Vec::new, |watch| watch.findings()))
}

/// Counts what was found on an adapter.
///
/// # Safety
/// `consumer` and `provider` are null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ndkmr_count_findings(
    adapter: *mut NDK_ADAPTER,
    consumer: *mut usize,
    provider: *mut usize,
) -> NTSTATUS {
    guard("ndkmr_count_findings", || {
        let findings = findings(adapter)?;
        for (out, party) in [(consumer, Party::Consumer), (provider, Party::Provider)] {
            if !out.is_null() {
                let count = findings.iter().filter(|finding| finding.party == party).count();
                // SAFETY: not null, and the caller's promise.
                unsafe { out.write(count) };
            }
        }
        Ok(())
    })
}

/// Writes one finding.
///
/// # Safety
/// `buffer` can be written up to `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ndkmr_get_finding(
    adapter: *mut NDK_ADAPTER,
    number: usize,
    buffer: *mut c_char,
    size: usize,
) -> usize {
    let find = || Some(findings(adapter).ok()?.get(number)?.to_string());
    // Nothing is left half done by a panic in what is only read.
    let text = catch_unwind(AssertUnwindSafe(find)).ok().flatten().unwrap_or_default();
    // SAFETY: the caller's promise.
    unsafe { write_text(&text, buffer, size) }
}
