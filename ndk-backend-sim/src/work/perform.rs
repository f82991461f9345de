//! Carrying a request out: what moves, and what changes.

use super::local::Local;
use super::{Carried, Step, Waiting};
use crate::access::{Need, Target};
use crate::counters::Miss;
use crate::queue_pair::{Peer, Shared};
use ndk_core::{ErrorKind, Refusal, RemoteAddress, RemoteToken, WorkCompletion};

impl Shared {
    #[inline]
    pub(super) fn perform(&self, peer: &Peer, step: Step<'_>) -> Carried {
        let moved = |local: &Local<'_>, result: Result<(), ErrorKind>| Carried {
            bytes: if result.is_ok() { local.length() as u32 } else { 0 },
            result,
        };
        let done = |well: bool| Carried {
            result: if well { Ok(()) } else { Err(ErrorKind::AccessViolation) },
            bytes: 0,
        };
        match step {
            Step::Read(local, remote) => moved(&local, self.read(peer, &local, remote)),
            Step::Write(local, remote) => moved(&local, self.write(peer, &local, remote)),
            Step::Send(local, invalidate) => self.send(peer, &local, invalidate),
            Step::FastRegister(core, request) => done(core.register(request, self.number)),
            Step::Invalidate(core, token) => done(core.invalidate(token)),
            Step::Bind(core, region, range, access) => done(core.bind(region, range, access)),
            Step::InvalidateWindow(core) => done(core.invalidate()),
            Step::Receive(_) => done(false),
        }
    }

    fn write(
        &self,
        peer: &Peer,
        local: &Local<'_>,
        remote: RemoteAddress,
    ) -> Result<(), ErrorKind> {
        let (here, there) = (self.asker(), peer.asker());
        local.check(here, Need::LocalRead).map_err(refused)?;
        let target = target(remote, local.length());
        match there.begin(Need::RemoteWrite, target) {
            Ok(sink) => {
                // SAFETY: the sink's hazard is published; registered memory is what spans are of.
                let result = unsafe { local.exchange(here, Need::LocalRead, 0, sink) };
                there.end();
                result.map(|()| peer.place.tally.written(target.length)).map_err(refused)
            }
            Err((miss, before)) => {
                if before > 0 && there.device.shape.partial_writes {
                    self.write_part(peer, local, Target { length: before as u64, ..target });
                }
                if self.device.shape.refusal == Refusal::ConnectionLoss {
                    // The initiator hears of the peer's refusal only by the loss of the connection.
                    self.break_connection(peer);
                    return Ok(());
                }
                Err(refused(miss))
            }
        }
    }

    /// What a device that checks each segment has written before it comes to the bounds (K1).
    #[cold]
    fn write_part(&self, peer: &Peer, local: &Local<'_>, target: Target) {
        let there = peer.asker();
        if let Ok(sink) = there.begin(Need::RemoteWrite, target) {
            // SAFETY: as in `write`. A refusal of the source changes nothing in the outcome, which is one.
            let result = unsafe { local.exchange(self.asker(), Need::LocalRead, 0, sink) };
            there.end();
            if result.is_ok() {
                peer.place.tally.written(target.length);
            }
        }
    }

    fn read(&self, peer: &Peer, local: &Local<'_>, remote: RemoteAddress) -> Result<(), ErrorKind> {
        let (here, there) = (self.asker(), peer.asker());
        local.check(here, Need::ReadSink).map_err(refused)?;
        let target = target(remote, local.length());
        let source = there.begin(Need::RemoteRead, target).map_err(|(miss, _)| {
            match self.device.shape.refusal {
                Refusal::Completion => refused(miss),
                // The connection goes down, and the read is flushed with it.
                Refusal::ConnectionLoss => ErrorKind::Cancelled,
            }
        })?;
        // SAFETY: the source's hazard is published; registered memory is what spans are of.
        let result = unsafe { local.exchange(here, Need::ReadSink, 0, source) };
        there.end();
        result.map(|()| peer.place.tally.read(target.length)).map_err(refused)
    }

    fn send(&self, peer: &Peer, local: &Local<'_>, invalidate: Option<RemoteToken>) -> Carried {
        let failed = |kind| Carried { result: Err(kind), bytes: 0 };
        // Locked until the receive has completed, so that no later one does before it.
        let mut receives = peer.shared.receives.lock();
        let Some(Waiting { work: receive, fault }) = receives.pop_front() else {
            return failed(ErrorKind::RemoteResources);
        };
        let Step::Receive(sink) = &receive.step else { return failed(ErrorKind::Internal) };
        let refuse = |kind: ErrorKind| {
            peer.shared.complete(receive.completed(Err(kind), 0));
            failed(kind)
        };
        if let Some(kind) = fault {
            return refuse(kind);
        }
        if sink.length() < local.length() {
            return refuse(ErrorKind::BufferTooSmall);
        }
        if let Err(miss) = self.deliver(peer, local, sink) {
            return refuse(refused(miss));
        }
        if let Some(token) = invalidate
            && !peer.shared.invalidate(token.get())
        {
            return refuse(ErrorKind::AccessViolation);
        }
        let bytes = local.length() as u32;
        let completion =
            WorkCompletion { invalidated: invalidate, ..receive.completed(Ok(()), bytes) };
        peer.place.tally.succeeded();
        peer.shared.complete(completion);
        Carried { result: Ok(()), bytes }
    }

    /// Moves a message into the elements of a receive.
    fn deliver(&self, peer: &Peer, local: &Local<'_>, sink: &Local<'_>) -> Result<(), Miss> {
        let (here, there) = (self.asker(), peer.asker());
        local.check(here, Need::LocalRead)?;
        sink.check(there, Need::LocalWrite)?;
        let (mut done, total) = (0, local.length());
        for index in 0..sink.elements.len() {
            let (span, published) = sink.open(there, Need::LocalWrite, index)?;
            let part = span.part(0, total - done);
            // SAFETY: the sink's hazard is published or its mapping kept.
            let result = unsafe { local.exchange(here, Need::LocalRead, done, part) };
            sink.close(there, published);
            result?;
            done += part.length;
        }
        Ok(())
    }

    /// A peer invalidates a token of this end.
    fn invalidate(&self, token: u32) -> bool {
        let index = self.device.find(token);
        let by_peer = Some(self.number);
        index.is_some_and(|index| self.device.invalidate(index, token, self.domain, by_peer))
    }
}

#[inline]
fn target(RemoteAddress { address, token }: RemoteAddress, length: usize) -> Target {
    Target { token: token.get(), address, length: length as u64 }
}

/// What an initiator is told of a refused access.
fn refused(_: Miss) -> ErrorKind {
    ErrorKind::AccessViolation
}
