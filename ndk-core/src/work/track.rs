//! What the framework follows of posted requests: which region or window a completion is about, by a note that goes
//! through the backend and names it without keeping it alive.

use super::posted::Posting;
use crate::domain::{Child, Domain};
use crate::error::ErrorKind;
use crate::platform::Platform;
use crate::provider::{AdapterProvider, WorkCompletion, WorkKind};
use crate::region::FastState;

/// The note: the child's place in its domain, and the round of the region or window that the request was about; of a fast
/// registration its own number instead. A place that has another child by now, or one in another round, is not meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tracked {
    pub(crate) child: u32,
    pub(crate) round: u32,
}

impl Tracked {
    pub(crate) fn pack(self) -> u64 {
        u64::from(self.child) << 32 | u64::from(self.round)
    }

    pub(crate) fn unpack(tag: u64) -> Self {
        Self { child: (tag >> 32) as u32, round: tag as u32 }
    }
}

/// Follows a completion: what failed to take effect, and what a peer has invalidated.
#[inline]
pub(super) fn follow<A: AdapterProvider, P: Platform>(
    domain: &Domain<A, P>,
    completion: &WorkCompletion,
    posting: Option<Posting>,
) {
    if let Some(token) = completion.invalidated
        && let Some(note) = domain.forget_token(token.get())
    {
        // A peer's send-and-invalidate counts from this completion on (G8, G9).
        settle(domain, note, Ended::InvalidatedByPeer);
    }
    let note = Tracked::unpack(completion.id.tag);
    match (completion.kind, &completion.result) {
        // Nobody knows whether the window is bound: it counts as bound until it is closed (B8).
        (WorkKind::Bind, Err(ErrorKind::Internal)) => {}
        (WorkKind::FastRegister | WorkKind::Bind, Err(_)) => settle(domain, note, Ended::Refused),
        (WorkKind::FastRegister | WorkKind::Bind, Ok(())) if posting == Some(Posting::Unknown) => {
            settle(domain, note, Ended::Begun);
        }
        (WorkKind::Invalidate, Ok(())) => settle(domain, note, Ended::InvalidatedHere),
        (WorkKind::Invalidate, Err(_)) => settle(domain, note, Ended::Kept),
        _ => {}
    }
}

/// A queue pair is closed, on which an invalidation was posted whose completion nobody polled: it is over, as by a flush.
pub(super) fn give_up<A: AdapterProvider, P: Platform>(domain: &Domain<A, P>, tag: u64) {
    settle(domain, Tracked::unpack(tag), Ended::Kept);
}

/// What became of a registration or binding.
#[derive(Clone, Copy)]
enum Ended {
    /// Not at all: the request that has begun it is done, be its posting over or not.
    Begun,
    /// It never took effect, or nobody knows.
    Refused,
    /// It is over, by a request whose posting has made it the region's state already.
    InvalidatedHere,
    /// It is over, by a peer.
    InvalidatedByPeer,
    /// Its invalidation did not take effect.
    Kept,
}

#[inline(never)]
fn settle<A: AdapterProvider, P: Platform>(domain: &Domain<A, P>, note: Tracked, ended: Ended) {
    let released = domain.with_child(note.child, |child| match child {
        Child::Region(region) => {
            // SAFETY: a region is on the list, whose lock is held, until its close frees it.
            unsafe {
                let is_now = region.round() == note.round;
                match ended {
                    Ended::Begun => region.set_posted(note.round),
                    Ended::Refused => region.end_fast_register(note.round, FastState::Stale),
                    Ended::InvalidatedHere if is_now => region.end_invalidation(None),
                    Ended::InvalidatedByPeer if is_now => region.set_fast_state(FastState::Free),
                    Ended::Kept if is_now => region.end_invalidation(Some(FastState::Stale)),
                    _ => {}
                }
            }
            None
        }
        Child::Window(window) => match ended {
            Ended::Begun => {
                window.set_posted(note.round);
                None
            }
            Ended::Kept => {
                window.stop_invalidation(note.round);
                None
            }
            _ => window.unbind(note.round),
        },
        Child::QueuePair(_) => None,
    });
    if let Some(Some(region)) = released {
        // SAFETY: the binding's reference, which is let go here, outside of the list's lock.
        unsafe { region.unbind() };
    }
}
