//! Work requests as the simulator carries them out.

use crate::access::{Asker, Need, Span, transfer};
use crate::counters::Miss;
use crate::device::Device;
use crate::mapping::Mapped;
use crate::plan::{Decision, Operation};
use crate::queue_pair::{Peer, Shared};
use crate::region::{FastCore, FastRequest, SimRegion};
use crate::window::{SimWindow, WindowCore};
use ndk_core::{
    Access, Error, ErrorKind, FastMemory, Refusal, RemoteAddress, RemoteToken, Result, Sge,
    WorkCompletion, WorkId, WorkKind, WorkRequest,
};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// What has to be kept in order: the requests that wait, and the connection.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    pub(crate) peer: Option<Peer>,
    waiting: VecDeque<Waiting>,
    /// When the last of them is due.
    last_due: Duration,
}

impl Queue {
    /// The queue pair is closed: what waits never happens.
    pub(crate) fn give_up(&mut self) {
        self.waiting.clear();
    }
}

/// A request that the plan delays, or a receive that waits for its message; and what it then fails with.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) work: Work<'static>,
    fault: Option<ErrorKind>,
}

/// Local memory of a request; its logical addresses were resolved when it was posted (L2), and keep their mappings.
#[derive(Clone, Debug)]
pub(crate) struct Local<'a> {
    elements: Cow<'a, [Sge]>,
    mapped: Vec<(usize, Arc<Mapped>, u64)>,
}

/// A request on its way.
#[derive(Debug)]
pub(crate) struct Work<'a> {
    id: WorkId,
    kind: WorkKind,
    step: Step<'a>,
}

#[derive(Debug)]
enum Step<'a> {
    Receive(Local<'a>),
    Send(Local<'a>, Option<RemoteToken>),
    Read(Local<'a>, RemoteAddress),
    Write(Local<'a>, RemoteAddress),
    FastRegister(Arc<FastCore>, FastRequest),
    Invalidate(Arc<FastCore>, u32),
    Bind(Arc<WindowCore>, (u32, u32), (u64, u64), Access),
    InvalidateWindow(Arc<WindowCore>),
}

/// How a request went that was carried out.
struct Carried {
    result: Result<(), ErrorKind>,
    bytes: u32,
}

impl<'a> Local<'a> {
    fn new(elements: &'a [Sge], shared: &Shared) -> Result<Self> {
        let mut mapped = Vec::new();
        for (index, element) in elements.iter().enumerate() {
            if element.token.get() == shared.privileged {
                let length = u64::from(element.length);
                let (mapping, offset) = shared
                    .device
                    .mappings
                    .find(element.address, length)
                    .ok_or_else(outside_mapping)?;
                mapped.push((index, mapping, offset));
            }
        }
        Ok(Self { elements: Cow::Borrowed(elements), mapped })
    }

    fn into_owned(self) -> Local<'static> {
        Local { elements: Cow::Owned(self.elements.into_owned()), mapped: self.mapped }
    }

    fn length(&self) -> usize {
        self.elements.iter().map(|element| element.length as usize).sum()
    }

    /// Checks every element before any byte is moved: what one refuses, another must not have changed. One alone is
    /// checked where it is used.
    #[inline]
    fn check(&self, device: &Device, asker: Asker, need: Need) -> Result<(), Miss> {
        if self.elements.len() < 2 {
            return Ok(());
        }
        (0..self.elements.len()).try_for_each(|index| {
            let opened = self.open(device, asker, need, index)?;
            self.close(device, asker, opened.1);
            Ok(())
        })
    }

    /// Lets the access to an element through; what is given with the span goes to `close`.
    #[inline]
    fn open(
        &self,
        device: &Device,
        asker: Asker,
        need: Need,
        index: usize,
    ) -> Result<(Span, bool), Miss> {
        let element = &self.elements[index];
        if let Some((_, mapping, offset)) = self.mapped.iter().find(|(at, ..)| *at == index) {
            let length = element.length as usize;
            // SAFETY: the mapping was checked to have the element's bytes, and is kept by the request.
            let span = unsafe { Span::new(&mapping.frames, *offset as usize, length) };
            return Ok((span, false));
        }
        let target = (element.token.get(), element.address, u64::from(element.length));
        let span = device.begin_access(asker, need, target).map_err(|(miss, _)| miss)?;
        Ok((span, true))
    }

    #[inline]
    fn close(&self, device: &Device, asker: Asker, published: bool) {
        if published {
            device.end_access(asker);
        }
    }

    /// Moves bytes between this memory, from `start` on, and `other`.
    ///
    /// # Safety
    /// As for [`transfer`], of `other`.
    #[inline]
    unsafe fn exchange(
        &self,
        (device, asker): (&Device, Asker),
        need: Need,
        start: usize,
        other: Span,
    ) -> Result<(), Miss> {
        let (mut skip, mut done) = (start, 0);
        for index in 0..self.elements.len() {
            let (span, published) = self.open(device, asker, need, index)?;
            let here = skip.min(span.length);
            let part = span.part(here, other.length - done);
            // SAFETY: the span's hazard is published or its mapping kept; `other` as the caller promised.
            unsafe {
                match need {
                    Need::LocalRead => transfer(other.part(done, part.length), part),
                    _ => transfer(part, other.part(done, part.length)),
                }
            }
            self.close(device, asker, published);
            skip -= here;
            done += part.length;
        }
        Ok(())
    }
}

/// The framework checks more (G4); this much keeps an access on the list of pages, whoever posts.
fn check_fast_memory(memory: &FastMemory<'_>) -> Result<()> {
    let room = (memory.pages.len() as u64 * 4096).checked_sub(memory.base & 0xfff);
    let wraps = memory.base.checked_add(memory.length).is_none();
    if memory.length == 0 || wraps || room.is_none_or(|room| memory.length > room) {
        let cause = "the fast registration is larger than its pages";
        return Err(Error::new(ErrorKind::InvalidParameter, cause).rule("G4"));
    }
    Ok(())
}

fn outside_mapping() -> Error {
    let cause = "a logical address is not wholly inside one live mapping";
    Error::new(ErrorKind::InvalidParameter, cause).rule("L2")
}

impl<'a> Work<'a> {
    /// Takes a request over: what may change or end after the posting is resolved or kept now.
    pub(crate) fn new(
        id: WorkId,
        request: WorkRequest<'a, SimRegion, SimWindow>,
        shared: &Shared,
    ) -> Result<Self> {
        let kind = request.kind();
        let wrong_kind =
            || Error::new(ErrorKind::InvalidDeviceState, "the region is of another kind");
        let step = match request {
            WorkRequest::Receive { local } => Step::Receive(Local::new(local, shared)?),
            WorkRequest::Send { local, invalidate } => {
                Step::Send(Local::new(local, shared)?, invalidate)
            }
            WorkRequest::Read { local, remote } => Step::Read(Local::new(local, shared)?, remote),
            WorkRequest::Write { local, remote } => Step::Write(Local::new(local, shared)?, remote),
            WorkRequest::FastRegister { region, memory, access } => {
                let core = region.fast.clone().ok_or_else(wrong_kind)?;
                check_fast_memory(&memory)?;
                let mut pages = Vec::with_capacity(memory.pages.len());
                let mut mappings: Vec<Arc<Mapped>> = Vec::new();
                for &address in memory.pages {
                    let found = shared.device.mappings.find(address, 4096);
                    let (mapping, offset) = found.ok_or_else(outside_mapping)?;
                    pages.push(mapping.frames[(offset >> 12) as usize]);
                    if !mappings.last().is_some_and(|last| Arc::ptr_eq(last, &mapping)) {
                        mappings.push(mapping);
                    }
                }
                let (base, length, token) = (memory.base, memory.length, region.key());
                let request = FastRequest { token, pages, mappings, base, length, access };
                Step::FastRegister(core, request)
            }
            WorkRequest::InvalidateRegion { region } => {
                Step::Invalidate(region.fast.clone().ok_or_else(wrong_kind)?, region.key())
            }
            WorkRequest::Bind { region, window, address, length, access } => {
                let region = (region.index, region.key());
                Step::Bind(window.core.clone(), region, (address, length), access)
            }
            WorkRequest::InvalidateWindow { window } => Step::InvalidateWindow(window.core.clone()),
        };
        Ok(Self { id, kind, step })
    }

    fn into_owned(self) -> Work<'static> {
        let step = match self.step {
            Step::Receive(local) => Step::Receive(local.into_owned()),
            Step::Send(local, invalidate) => Step::Send(local.into_owned(), invalidate),
            Step::Read(local, remote) => Step::Read(local.into_owned(), remote),
            Step::Write(local, remote) => Step::Write(local.into_owned(), remote),
            Step::FastRegister(core, request) => Step::FastRegister(core, request),
            Step::Invalidate(core, token) => Step::Invalidate(core, token),
            Step::Bind(core, region, range, access) => Step::Bind(core, region, range, access),
            Step::InvalidateWindow(core) => Step::InvalidateWindow(core),
        };
        Work { id: self.id, kind: self.kind, step }
    }

    fn operation(&self) -> Operation {
        match self.kind {
            WorkKind::Receive => Operation::Receive,
            WorkKind::Send => Operation::Send,
            WorkKind::FastRegister => Operation::FastRegister,
            WorkKind::Bind => Operation::Bind,
            WorkKind::Invalidate => Operation::Invalidate,
            WorkKind::Read => Operation::Read,
            WorkKind::Write => Operation::Write,
        }
    }

    /// Whether the peer has a part in it.
    fn goes_out(&self) -> bool {
        matches!(self.kind, WorkKind::Send | WorkKind::Read | WorkKind::Write)
    }

    fn completed(&self, result: Result<(), ErrorKind>, bytes: u32) -> WorkCompletion {
        WorkCompletion { id: self.id, kind: self.kind, result, bytes, invalidated: None }
    }

    /// The completion of a request that is not carried out (F6).
    pub(crate) fn flushed(&self) -> WorkCompletion {
        self.completed(Err(ErrorKind::Cancelled), 0)
    }
}

impl Shared {
    /// A receive takes the time of its message: a delay of its own means nothing.
    pub(crate) fn post_receive(&self, work: Work<'_>) -> Result<()> {
        let Decision { fault, .. } = self.device.decide_work(work.operation())?;
        let mut receives = self.receives.lock();
        if self.is_broken() {
            drop(receives);
            self.complete(work.flushed());
            self.ring();
            return Ok(());
        }
        if receives.len() >= self.depths.receive as usize {
            return Err(queue_full());
        }
        receives.push_back(Waiting { work: work.into_owned(), fault });
        Ok(())
    }

    /// Carries the request out, in its turn and when the plan has it.
    #[inline]
    pub(crate) fn post(self: &Arc<Self>, work: Work<'_>) -> Result<()> {
        let Decision { delay, fault, .. } = self.device.decide_work(work.operation())?;
        let mut queue = self.queue.lock();
        if delay.is_none() && queue.waiting.is_empty() {
            let peer = self.carry_out(&mut queue, work, None);
            drop(queue);
            self.ring_both(peer);
            return Ok(());
        }
        if queue.waiting.len() >= self.depths.initiator as usize {
            return Err(queue_full());
        }
        let due = self.device.clock.now().saturating_add(delay.unwrap_or_default());
        queue.last_due = due.max(queue.last_due);
        queue.waiting.push_back(Waiting { work: work.into_owned(), fault });
        let shared = Arc::downgrade(self);
        let next = move || {
            if let Some(shared) = shared.upgrade() {
                shared.carry_out_next();
            }
        };
        // Each request in the queue has one call, and calls come in the order of their deadlines.
        self.device.clock.schedule_at(queue.last_due, Box::new(next));
        Ok(())
    }

    fn carry_out_next(&self) {
        let mut queue = self.queue.lock();
        let Some(Waiting { work, fault }) = queue.waiting.pop_front() else { return };
        let peer = self.carry_out(&mut queue, work, fault);
        drop(queue);
        self.ring_both(peer);
    }

    #[inline]
    fn ring_both(&self, peer: Option<Arc<Self>>) {
        self.ring();
        if let Some(peer) = peer {
            peer.ring();
        }
    }

    /// Carries a request out, and completes it. Whoever calls it rings here, and at the peer where one is given, once
    /// it has let the queue go.
    #[inline]
    fn carry_out(
        &self,
        queue: &mut Queue,
        work: Work<'_>,
        fault: Option<ErrorKind>,
    ) -> Option<Arc<Self>> {
        let peer = match &queue.peer {
            Some(peer) if !self.is_broken() => peer,
            _ => {
                self.complete(work.flushed());
                return None;
            }
        };
        let Carried { result, bytes } = match fault {
            None if self.device.is_lost() => {
                Carried { result: Err(ErrorKind::DeviceRemoved), bytes: 0 }
            }
            // Nobody answers.
            None if peer.shared.device.is_lost() && work.goes_out() => {
                Carried { result: Err(ErrorKind::Timeout), bytes: 0 }
            }
            None => self.perform(peer, &work.step),
            Some(kind) => Carried { result: Err(kind), bytes: 0 },
        };
        if result.is_ok() {
            self.count(work.kind, peer, bytes);
        }
        self.complete(work.completed(result, bytes));
        if result.is_err() {
            self.break_connection(peer);
        }
        let touched = work.kind == WorkKind::Send || self.is_broken();
        touched.then(|| peer.shared.clone())
    }

    #[inline]
    fn count(&self, kind: WorkKind, peer: &Peer, bytes: u32) {
        let (counters, shard) = (&peer.shared.device.counters, peer.shared.domain as usize);
        match kind {
            WorkKind::Read => counters.read(shard, bytes.into()),
            WorkKind::Write => counters.written(shard, bytes.into()),
            _ => {}
        }
    }

    /// A refused access moves both ends to error (F6).
    fn break_connection(&self, peer: &Peer) {
        self.fail();
        peer.shared.fail();
    }

    #[inline]
    fn perform(&self, peer: &Peer, step: &Step<'_>) -> Carried {
        let moved = |local: &Local<'_>, result: Result<(), Miss>| Carried {
            bytes: if result.is_ok() { local.length() as u32 } else { 0 },
            result: result.map_err(refused),
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
    fn write(&self, peer: &Peer, local: &Local<'_>, remote: RemoteAddress) -> Result<(), Miss> {
        let (device, asker) = (&*peer.shared.device, peer.asker());
        let here = (&*self.device, self.asker());
        local.check(here.0, here.1, Need::LocalRead)?;
        let target = (remote.token.get(), remote.address, local.length() as u64);
        match device.begin_access(asker, Need::RemoteWrite, target) {
            Ok(sink) => {
                // SAFETY: the sink's hazard is published; registered memory is what spans are of.
                let result = unsafe { local.exchange(here, Need::LocalRead, 0, sink) };
                device.end_access(asker);
                result
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
                Err(miss)
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
    fn read(&self, peer: &Peer, local: &Local<'_>, remote: RemoteAddress) -> Result<(), Miss> {
        let (device, asker) = (&*peer.shared.device, peer.asker());
        let here = (&*self.device, self.asker());
        local.check(here.0, here.1, Need::ReadSink)?;
        let target = (remote.token.get(), remote.address, local.length() as u64);
        let source =
            device.begin_access(asker, Need::RemoteRead, target).map_err(|(miss, _)| miss)?;
        // SAFETY: the source's hazard is published; registered memory is what spans are of.
        let result = unsafe { local.exchange(here, Need::ReadSink, 0, source) };
        device.end_access(asker);
        result
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

fn queue_full() -> Error {
    Error::new(ErrorKind::InsufficientResources, "the queue is full")
}
