//! What can be said of a request from its arguments alone.

use crate::abi::{NDK_ADAPTER_INFO, PAGE_SIZE};
use crate::error::{Error, ErrorKind, Result};
use crate::provider::{FastMemory, Sge};

#[cold]
fn refuse(rule: &'static str, cause: &'static str) -> Error {
    Error::new(ErrorKind::InvalidParameter, cause).rule(rule)
}

/// Checks a fast registration over a region that was initialised for `pages` pages (G4).
pub(super) fn fast_memory(memory: &FastMemory<'_>, pages: u32) -> Result<()> {
    let page = PAGE_SIZE as u64;
    let room = memory.pages.len() as u64 * page;
    let first = u64::from(memory.first_byte);
    let cause = if memory.pages.is_empty() {
        "there are no pages"
    } else if memory.pages.len() > pages as usize {
        "there are more pages than the region was initialised for"
    } else if first >= page {
        "the first-byte offset is not inside a page"
    } else if memory.base % page != first {
        "the base address and the first-byte offset differ in their page offset"
    } else if memory.length == 0 {
        "the length is 0"
    } else if memory.length > room - first {
        "the length is larger than the pages"
    } else if memory.base.checked_add(memory.length).is_none() {
        "base address plus length wraps"
    } else if memory.pages.iter().fold(0, |bits, address| bits | address) % page != 0 {
        "a page's logical address is not page-aligned"
    } else {
        return Ok(());
    };
    Err(refuse("G4", cause))
}

/// Which of the adapter's limits the elements of a request keep to.
#[derive(Clone, Copy)]
pub(super) enum Elements {
    Initiator,
    Receive,
    Read,
}

/// Checks the number of elements and their sum, which it gives, against the adapter's limits.
#[inline]
pub(super) fn elements(local: &[Sge], kind: Elements, info: &NDK_ADAPTER_INFO) -> Result<u32> {
    let limit = match kind {
        Elements::Initiator => info.MaxInitiatorRequestSge,
        Elements::Receive => info.MaxReceiveRequestSge,
        Elements::Read => info.MaxReadRequestSge,
    };
    if local.len() > limit as usize {
        return Err(refuse("", "there are more elements than the adapter takes"));
    }
    let total = match local {
        // What is most often is not worth a loop.
        [one] => one.length.into(),
        all => all.iter().map(|element| u64::from(element.length)).sum::<u64>(),
    };
    if total > u64::from(info.MaxTransferLength) {
        return Err(refuse("", "the request is longer than the adapter's MaxTransferLength"));
    }
    Ok(total as u32)
}
