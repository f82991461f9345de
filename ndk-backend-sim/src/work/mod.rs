//! Work requests as the simulator carries them out: what one is made of.

mod at_once;
mod local;
mod perform;
mod queue;

pub(crate) use queue::{Queue, Waiting};

use crate::plan::Operation;
use crate::queue_pair::Shared;
use crate::region::{FastCore, FastRequest, SimRegion};
use crate::window::{SimWindow, WindowCore};
use local::Local;
use ndk_core::{
    Access, Error, ErrorKind, FastMemory, RemoteAddress, RemoteToken, Result, WorkCompletion,
    WorkId, WorkKind, WorkRequest,
};
use std::sync::Arc;

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
                let pages = shared.device.mappings.resolve(memory.pages);
                let pages = pages.ok_or_else(outside_mapping)?;
                let (base, length, keys) = (memory.base, memory.length, region.keys());
                let request = FastRequest { keys, pages, base, length, access };
                Step::FastRegister(core, request)
            }
            WorkRequest::InvalidateRegion { region } => {
                Step::Invalidate(region.fast.clone().ok_or_else(wrong_kind)?, region.local_key())
            }
            WorkRequest::Bind { region, window, address, length, access } => {
                let region = (region.index, region.local_key());
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
