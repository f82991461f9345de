//! Every verified adapter of the program, for what is found elsewhere: memory and MDLs that are freed, requests that
//! pend for too long, tokens that a peer in the same program has given.

use super::desk::Desk;
use crate::platform::Std;
use crate::sync::Mutex;
use alloc::sync::{Arc, Weak};
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::sync::LazyLock;

static DESKS: LazyLock<Mutex<Std, Vec<Weak<Desk>>>> = LazyLock::new(|| Mutex::new(Vec::new()));
/// How many there may be, so that a program without any looks no further.
static ADDED: AtomicUsize = AtomicUsize::new(0);
/// How many chains are watched.
static CHAINS: AtomicUsize = AtomicUsize::new(0);

/// What was freed too early. It stays reachable, so that a leak checker reports other leaks only.
static KEPT: LazyLock<Mutex<Std, Vec<Early>>> = LazyLock::new(|| Mutex::new(Vec::new()));

struct Early(#[expect(dead_code, reason = "keeps the memory reachable")] NonNull<u8>);

// SAFETY: memory that nobody frees, and nothing here reads.
unsafe impl Send for Early {}

pub(super) fn add(desk: &Arc<Desk>) {
    let mut desks = DESKS.lock();
    desks.retain(|desk| desk.strong_count() > 0);
    desks.push(Arc::downgrade(desk));
    ADDED.store(desks.len(), Ordering::Release);
}

/// Those that are there. Their last handle may be dropped by the caller, outside of the lock.
pub(super) fn all() -> Vec<Arc<Desk>> {
    match ADDED.load(Ordering::Acquire) {
        0 => Vec::new(),
        _ => DESKS.lock().iter().filter_map(Weak::upgrade).collect(),
    }
}

/// A chain is watched from now on, or no longer.
pub(super) fn watch_chain(begins: bool) {
    match begins {
        true => CHAINS.fetch_add(1, Ordering::AcqRel),
        false => CHAINS.fetch_sub(1, Ordering::AcqRel),
    };
}

/// A hosted MDL is about to be freed; true where it must not be, since a registration over it is pending (V8).
pub(crate) fn frees_chain(mdl: NonNull<u8>) -> bool {
    if CHAINS.load(Ordering::Acquire) == 0 {
        return false;
    }
    let mut is_in_use = false;
    for desk in all() {
        let shadows: Vec<_> =
            desk.shadows.lock().iter().filter_map(|(_, shadow)| shadow.upgrade()).collect();
        for shadow in shadows.into_iter().filter(|shadow| shadow.has_chain(mdl.as_ptr().addr())) {
            is_in_use = true;
            let did = "an MDL of its chain was freed while its registration was pending";
            desk.consumer(vec!["V8", "C15"], shadow.id(), did.into());
        }
    }
    if is_in_use {
        KEPT.lock().push(Early(mdl));
    }
    is_in_use
}

/// A hosted buffer's pages are about to be freed; true where they must not be, since a device may reach them (V12).
pub(crate) fn frees_memory(pages: NonNull<u8>, frames: Range<usize>) -> bool {
    let mut is_in_use = false;
    for desk in all() {
        let shadows: Vec<_> =
            desk.shadows.lock().iter().filter_map(|(_, shadow)| shadow.upgrade()).collect();
        for shadow in shadows.into_iter().filter(|shadow| shadow.holds(&frames)) {
            is_in_use = true;
            if !shadow.is_leaked() {
                let did = "its memory was freed while it was registered";
                desk.consumer(vec!["V12"], shadow.id(), did.into());
            }
        }
        if desk.mappings.lock().hold(&frames) {
            is_in_use = true;
            let did = "memory was freed that a logical address mapping leads to";
            desk.consumer(vec!["V12"], 0, did.into());
        }
    }
    if is_in_use {
        KEPT.lock().push(Early(pages));
    }
    is_in_use
}

pub(super) fn overlap(one: &Range<usize>, other: &Range<usize>) -> bool {
    one.start < other.end && other.start < one.end
}

/// Whose earlier registration a token named, on any adapter, where it is live on none.
pub(super) fn retired_token(token: u32) -> Option<alloc::string::String> {
    let desks = all();
    if desks.iter().any(|desk| desk.tokens.is_live(token)) {
        return None;
    }
    desks.iter().find_map(|desk| desk.tokens.retired_of(token).map(|id| desk.name_of(id)))
}
