//! The short way of the common case: a read or a write of one element of registered memory that may be carried out now,
//! and whose accesses are let through. All others go the long way, from its start.

use super::Queue;
use super::local::target;
use crate::access::{Asker, Need, Span, Target, begin_both, transfer};
use crate::plan::Operation;
use crate::queue_pair::{Peer, Shared};
use ndk_core::{RemoteAddress, Sge, WorkCompletion, WorkId, WorkKind};
use parking_lot::MutexGuard;

impl Shared {
    /// Carries a write, or else a read, out and completes it. False where it has to go the long way: then nothing was
    /// changed, and nobody was told.
    #[inline]
    pub(crate) fn post_at_once<const WRITE: bool>(
        &self,
        id: WorkId,
        local: &[Sge],
        remote: RemoteAddress,
    ) -> bool {
        let Some(queue) = self.move_at_once::<WRITE>(local, remote, || true) else { return false };
        let kind = if WRITE { WorkKind::Write } else { WorkKind::Read };
        let (result, bytes) = (Ok(()), local[0].length);
        self.complete(WorkCompletion { id, kind, result, bytes, invalidated: None });
        drop(queue);
        self.ring();
        true
    }

    /// As `post_at_once`, without the completion, and only where no other one that is to come before it waits here.
    #[inline]
    pub(crate) fn carry_out_at_once<const WRITE: bool>(
        &self,
        local: &[Sge],
        remote: RemoteAddress,
    ) -> bool {
        self.move_at_once::<WRITE>(local, remote, || self.has_no_completion()).is_some()
    }

    /// Moves the bytes, if all is well and `may` says so under the queue's lock; with the lock, for what is to be done in
    /// the request's turn.
    #[inline(always)]
    fn move_at_once<const WRITE: bool>(
        &self,
        local: &[Sge],
        remote: RemoteAddress,
        may: impl FnOnce() -> bool,
    ) -> Option<MutexGuard<'_, Queue>> {
        let [local] = local else { return None };
        if self.device.plans(if WRITE { Operation::Write } else { Operation::Read }) {
            return None;
        }
        let queue = self.queue.lock();
        let peer = self.free_peer(&queue)?;
        (may() && self.move_one::<WRITE>(peer, local, remote)).then_some(queue)
    }

    /// The peer, where a request to it may be carried out at once.
    #[inline(always)]
    fn free_peer<'a>(&self, queue: &'a Queue) -> Option<&'a Peer> {
        let peer = queue.peer.as_ref()?;
        let is_free =
            queue.waiting.is_empty() && self.is_connected() && !peer.shared.device.is_lost();
        is_free.then_some(peer)
    }

    #[inline(always)]
    fn move_one<const WRITE: bool>(&self, peer: &Peer, local: &Sge, remote: RemoteAddress) -> bool {
        let [here, there] = self.accesses::<WRITE>(peer, local, remote);
        // Without a fence, where the last request here was of the same regions.
        if let Some(span_here) = here.0.look_again(here.1, here.2)
            && let Some(span_there) = there.0.look_again(there.1, there.2)
        {
            self.move_between::<WRITE>(peer, span_here, span_there);
            return true;
        }
        self.move_one_anew::<WRITE>(peer, local, remote)
    }

    #[inline(never)]
    fn move_one_anew<const WRITE: bool>(
        &self,
        peer: &Peer,
        local: &Sge,
        remote: RemoteAddress,
    ) -> bool {
        let [here, there] = self.accesses::<WRITE>(peer, local, remote);
        let Some((span_here, span_there)) = begin_both(here, there) else { return false };
        self.move_between::<WRITE>(peer, span_here, span_there);
        true
    }

    /// What is asked for at either end.
    #[inline(always)]
    fn accesses<'a, const WRITE: bool>(
        &'a self,
        peer: &'a Peer,
        local: &Sge,
        remote: RemoteAddress,
    ) -> [(Asker<'a>, Need, Target); 2] {
        let (need_here, need_there) = match WRITE {
            true => (Need::LocalRead, Need::RemoteWrite),
            false => (Need::ReadSink, Need::RemoteRead),
        };
        let RemoteAddress { address, token } = remote;
        let there = Target { token: token.get(), address, length: local.length.into() };
        [(self.asker(), need_here, target(local)), (peer.asker(), need_there, there)]
    }

    /// Moves the bytes. The hazards of both spans stand, and stay so.
    #[inline(always)]
    fn move_between<const WRITE: bool>(&self, peer: &Peer, here: Span, there: Span) {
        // SAFETY: both hazards stand; registered memory is what spans are of.
        unsafe {
            match WRITE {
                true => transfer(there, here),
                false => transfer(here, there),
            }
        }
        let bytes = here.length as u64;
        match WRITE {
            true => peer.place.tally.written(bytes),
            false => peer.place.tally.read(bytes),
        }
        self.asker().place.tally.succeeded();
    }
}
