//! What the framework follows of posted requests: which region or window a completion is about, by a note that goes
//! through the backend and names it without keeping it alive.

use crate::domain::{Child, Domain};
use crate::error::ErrorKind;
use crate::platform::Platform;
use crate::provider::{AdapterProvider, WorkCompletion, WorkKind};
use crate::region::RegionRef;

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

/// Follows a completion: what failed to take effect, and what a peer has invalidated. Calls nothing foreign: a region that
/// a window is no longer bound to is given back, for `let_go`.
#[inline]
pub(super) fn follow<A: AdapterProvider, P: Platform>(
    domain: &Domain<A, P>,
    completion: &WorkCompletion,
) -> Option<RegionRef<A, P>> {
    if let Some(token) = completion.invalidated {
        // A peer's send-and-invalidate counts from this completion on (G8, G9).
        let note = domain.forget_token(token.get())?;
        return settle(domain, note, Ended::InvalidatedByPeer);
    }
    let note = Tracked::unpack(completion.id.tag);
    let ended = match (completion.kind, &completion.result) {
        (WorkKind::FastRegister | WorkKind::Bind, Ok(())) => Ended::Completed,
        // Nobody knows whether the window is bound: it counts as bound until it is closed (B8).
        (WorkKind::Bind, Err(ErrorKind::Internal)) => return None,
        (WorkKind::FastRegister | WorkKind::Bind, Err(_)) => Ended::Refused,
        (WorkKind::Invalidate, Ok(())) => Ended::InvalidatedHere,
        (WorkKind::Invalidate, Err(_)) => Ended::Kept,
        _ => return None,
    };
    settle(domain, note, ended)
}

/// A queue pair is closed, on which a request was posted whose completion nobody polled: it is over, as by a flush. A window
/// may be bound all the same, and counts as bound.
pub(super) fn give_up<A: AdapterProvider, P: Platform>(
    domain: &Domain<A, P>,
    kind: WorkKind,
    tag: u64,
) {
    let ended = match kind {
        WorkKind::Invalidate => Ended::Kept,
        WorkKind::FastRegister => Ended::Refused,
        WorkKind::Bind => Ended::Completed,
        _ => return,
    };
    let_go(settle(domain, Tracked::unpack(tag), ended));
}

/// A window is no longer bound to the region, which may be gone afterwards.
pub(super) fn let_go<A: AdapterProvider, P: Platform>(unbound: Option<RegionRef<A, P>>) {
    if let Some(region) = unbound {
        // SAFETY: the binding's reference, which is let go here, without a lock.
        unsafe { region.unbind() };
    }
}

/// What became of a registration or binding.
#[derive(Clone, Copy)]
enum Ended {
    /// Nothing, but that its request is over.
    Completed,
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
fn settle<A: AdapterProvider, P: Platform>(
    domain: &Domain<A, P>,
    note: Tracked,
    ended: Ended,
) -> Option<RegionRef<A, P>> {
    let unbound = domain.with_child(note.child, |child| match child {
        Child::Region(region) => {
            // SAFETY: a region is on the list, whose lock is held, until its close frees it.
            unsafe {
                match ended {
                    Ended::Completed => region.complete_fast_register(note.round),
                    Ended::Refused => region.fail_fast_register(note.round),
                    Ended::InvalidatedByPeer => region.end_by_peer(note.round),
                    Ended::InvalidatedHere => region.end_invalidation(note.round),
                    Ended::Kept => region.fail_invalidation(note.round),
                }
            }
            None
        }
        Child::Window { state: window, .. } => match ended {
            Ended::Completed => {
                window.complete_bind(note.round);
                None
            }
            Ended::Kept => window.stop_invalidation(note.round),
            Ended::InvalidatedByPeer => window.end_by_peer(note.round),
            Ended::Refused | Ended::InvalidatedHere => window.unbind(note.round),
        },
        Child::QueuePair { .. } => None,
    });
    unbound.flatten()
}
