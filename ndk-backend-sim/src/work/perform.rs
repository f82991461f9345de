//! Carrying a request out: what moves, and what changes.

use super::local::Local;
use super::{Carried, Step, Waiting};
use crate::access::Need;
use crate::counters::Miss;
use crate::queue_pair::{Peer, Shared};
use ndk_core::{ErrorKind, Refusal, RemoteAddress, RemoteToken, WorkCompletion};

impl Shared {
    #[inline]
    pub(super) fn perform(&self, peer: &Peer, step: &Step<'_>) -> Carried {
        let moved = |local: &Local<'_>, result: Result<(), ErrorKind>| Carried {
            bytes: if result.is_ok() { local.length() as u32 } else { 0 },
            result,
        };
        let done = |well: bool| Carried {
            result: if well { Ok(()) } else { Err(ErrorKind::AccessViolation) },
            bytes: 0,
        };
        match step {
            Step::Read(local, remote) => moved(local, self.read(peer, local, *remote)),
            Step::Write(local, remote) => moved(local, self.write(peer, local, *remote)),
            Step::Send(local, invalidate) => self.send(peer, local, *invalidate),
            Step::FastRegister(core, request) => done(core.register(request.clone(), self.number)),
            Step::Invalidate(core, token) => done(core.invalidate(*token)),
            Step::Bind(core, region, range, access) => done(core.bind(*region, *range, *access)),
            Step::InvalidateWindow(core) => done(core.invalidate()),
            Step::Receive(_) => done(false),
        }
    }

    #[inline]
    fn write(
        &self,
        peer: &Peer,
        local: &Local<'_>,
        remote: RemoteAddress,
    ) -> Result<(), ErrorKind> {
        let (device, asker) = (&*peer.shared.device, peer.asker());
        let here = (&*self.device, self.asker());
        local.check(here.0, here.1, Need::LocalRead).map_err(refused)?;
        let target = (remote.token.get(), remote.address, local.length() as u64);
        match device.begin_access(asker, Need::RemoteWrite, target) {
            Ok(sink) => {
                // SAFETY: the sink's hazard is published; registered memory is what spans are of.
                let result = unsafe { local.exchange(here, Need::LocalRead, 0, sink) };
                device.end_access(asker);
                result.map_err(refused)
            }
            Err((miss, before)) => {
                if before > 0 && device.shape.partial_writes {
                    self.write_part(peer, local, remote, before);
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
    fn write_part(&self, peer: &Peer, local: &Local<'_>, remote: RemoteAddress, bytes: usize) {
        let (device, asker) = (&*peer.shared.device, peer.asker());
        let target = (remote.token.get(), remote.address, bytes as u64);
        if let Ok(sink) = device.begin_access(asker, Need::RemoteWrite, target) {
            // SAFETY: as in `write`. A refusal of the source changes nothing in the outcome, which is one.
            let _ =
                unsafe { local.exchange((&*self.device, self.asker()), Need::LocalRead, 0, sink) };
            device.end_access(asker);
        }
    }

    #[inline]
    fn read(&self, peer: &Peer, local: &Local<'_>, remote: RemoteAddress) -> Result<(), ErrorKind> {
        let (device, asker) = (&*peer.shared.device, peer.asker());
        let here = (&*self.device, self.asker());
        local.check(here.0, here.1, Need::ReadSink).map_err(refused)?;
        let target = (remote.token.get(), remote.address, local.length() as u64);
        let source =
            device.begin_access(asker, Need::RemoteRead, target).map_err(|(miss, _)| {
                match self.device.shape.refusal {
                    Refusal::Completion => refused(miss),
                    // The connection goes down, and the read is flushed with it.
                    Refusal::ConnectionLoss => ErrorKind::Cancelled,
                }
            })?;
        // SAFETY: the source's hazard is published; registered memory is what spans are of.
        let result = unsafe { local.exchange(here, Need::ReadSink, 0, source) };
        device.end_access(asker);
        result.map_err(refused)
    }

    fn send(&self, peer: &Peer, local: &Local<'_>, invalidate: Option<RemoteToken>) -> Carried {
        let failed = |kind| Carried { result: Err(kind), bytes: 0 };
        let Some(Waiting { work: receive, fault }) = peer.shared.receives.lock().pop_front() else {
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
        peer.shared.complete(completion);
        Carried { result: Ok(()), bytes }
    }

    /// Moves a message into the elements of a receive.
    fn deliver(&self, peer: &Peer, local: &Local<'_>, sink: &Local<'_>) -> Result<(), Miss> {
        let (device, asker) = (&*peer.shared.device, peer.asker());
        let here = (&*self.device, self.asker());
        local.check(here.0, here.1, Need::LocalRead)?;
        sink.check(device, asker, Need::LocalWrite)?;
        let (mut done, total) = (0, local.length());
        for index in 0..sink.elements.len() {
            let (span, published) = sink.open(device, asker, Need::LocalWrite, index)?;
            let part = span.part(0, total - done);
            // SAFETY: the sink's hazard is published or its mapping kept.
            let result = unsafe { local.exchange(here, Need::LocalRead, done, part) };
            sink.close(device, asker, published);
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

/// What an initiator is told of a refused access.
fn refused(_: Miss) -> ErrorKind {
    ErrorKind::AccessViolation
}
