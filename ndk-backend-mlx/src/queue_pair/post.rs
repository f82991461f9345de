//! Posting: from the framework's requests to the device's.

use super::Core;
use super::queue::Entry;
use super::step::{Bound, Data, Elements, Step};
use crate::access;
use crate::binder::{Binder, Exact};
use crate::fast::Fast;
use crate::key;
use crate::mapping::{Keyed, Mapped, PAGE};
use crate::memory::{HostRange, scattered};
use crate::mlx5::indirect::FastRequest;
use crate::region::MlxRegion;
use crate::sys::work::{
    IBV_WR_RDMA_READ, IBV_WR_RDMA_WRITE, IBV_WR_SEND, IBV_WR_SEND_WITH_INV, ibv_sge,
};
use crate::window::MlxWindow;
use ndk_core::{
    Access, Error, ErrorKind, FastMemory, RemoteAddress, RemoteToken, Result, Sge, WorkId,
    WorkKind, WorkRequest,
};
use smallvec::SmallVec;
use std::sync::Arc;

/// Work for a thread, given out once the request is in the queue.
enum Errand {
    /// Registers a range for a binding.
    Register { range: HostRange, access: Access, mappings: Vec<Arc<Mapped>> },
    /// Makes a new window.
    Renew(Arc<Binder>),
}

/// Local memory as the device knows it.
#[derive(Default)]
struct Resolved {
    elements: Elements,
    /// Mappings that are used.
    keeps: SmallVec<[Arc<Keyed>; 2]>,
    /// Elements in fast registrations.
    late: SmallVec<[(usize, Arc<Binder>); 1]>,
    bytes: u32,
}

/// A request that was checked, with what it needs.
struct Prepared {
    kind: WorkKind,
    bytes: u32,
    keeps: SmallVec<[Arc<Keyed>; 2]>,
    step: Step,
    errand: Option<Errand>,
}

impl Prepared {
    fn new(kind: WorkKind, step: Step) -> Self {
        Self { kind, bytes: 0, keeps: SmallVec::new(), step, errand: None }
    }
}

impl Core {
    pub(super) fn post(
        &self,
        id: WorkId,
        request: WorkRequest<'_, MlxRegion, MlxWindow>,
    ) -> Result<()> {
        if let WorkRequest::Receive { local } = request {
            return self.post_receive(id, local);
        }
        if self.link.lock().is_idle() {
            let cause = "the queue pair is not connected";
            return Err(Error::new(ErrorKind::ConnectionInvalid, cause).rule("G6"));
        }
        let (number, errand, went) = {
            let mut queue = self.queue.lock();
            if queue.sends() >= self.depths.initiator as usize {
                return Err(queue_full());
            }
            let Prepared { kind, bytes, keeps, step, errand } = self.prepare(request)?;
            let number = queue.push_send(Entry::new(id, kind, bytes, keeps, step));
            (number, errand, queue.pump(self.is_broken()))
        };
        if let Some(errand) = errand {
            self.send_out(number, errand);
        }
        if went.wrong {
            self.fail();
        } else if self.is_broken() {
            self.ring();
        }
        Ok(())
    }

    fn post_receive(&self, id: WorkId, local: &[Sge]) -> Result<()> {
        let Resolved { mut elements, keeps, late, .. } = self.resolve(local)?;
        for (index, binder) in late {
            elements[index].lkey = binder.receive_key().unwrap_or(key::NOWHERE);
        }
        for element in &mut elements {
            if self.domain.is_read_sink(element.lkey) {
                // To the device a sink of reads is as good as one of receives: it is to refuse this one (F4).
                element.lkey = key::NOWHERE;
            }
        }
        if elements.is_empty() && !self.device().facts.takes_empty_receives {
            elements.push(ibv_sge { addr: 0, length: 0, lkey: 0 });
        }
        let broken = self.is_broken();
        {
            let mut queue = self.queue.lock();
            if queue.receives() >= self.depths.receive as usize {
                return Err(queue_full());
            }
            let entry = Entry::new(id, WorkKind::Receive, 0, keeps, Step::End(Ok(())));
            queue
                .push_receive(entry, elements, broken)
                .map_err(|kind| Error::new(kind, "the device does not take the receive"))?;
        }
        // Where it has ended already, whoever waits has to be told.
        self.ring();
        Ok(())
    }

    /// The elements as the device knows them.
    fn resolve(&self, local: &[Sge]) -> Result<Resolved> {
        let mut resolved = Resolved::default();
        for (index, &Sge { address, length, token }) in local.iter().enumerate() {
            resolved.bytes = resolved.bytes.saturating_add(length);
            let mut element = ibv_sge { addr: address, length, lkey: token.get() };
            if element.lkey == self.domain.privileged {
                let (keyed, host) = self.domain.find_mapped(address, length.into())?;
                (element.addr, element.lkey) = (host as u64, keyed.key);
                resolved.keeps.push(keyed);
            } else if let Some(binder) = self.domain.binder(element.lkey) {
                resolved.late.push((index, binder));
            }
            resolved.elements.push(element);
        }
        Ok(resolved)
    }

    fn prepare(&self, request: WorkRequest<'_, MlxRegion, MlxWindow>) -> Result<Prepared> {
        let kind = request.kind();
        match request {
            WorkRequest::Receive { .. } => Err(ErrorKind::Internal.into()),
            WorkRequest::Send { local, invalidate } => {
                let (opcode, key) = match invalidate {
                    None => (IBV_WR_SEND, 0),
                    Some(token) => (IBV_WR_SEND_WITH_INV, self.checked_for_peer(token)),
                };
                self.data(kind, opcode, local, (0, 0), key)
            }
            WorkRequest::Read { local, remote: RemoteAddress { address, token } } => {
                self.data(kind, IBV_WR_RDMA_READ, local, (address, token.get()), 0)
            }
            WorkRequest::Write { local, remote: RemoteAddress { address, token } } => {
                self.data(kind, IBV_WR_RDMA_WRITE, local, (address, token.get()), 0)
            }
            WorkRequest::FastRegister { region, memory, access } => {
                match region.0.fast.as_ref().ok_or_else(not_fast)? {
                    Fast::Indirect(indirect) => {
                        let request = FastRequest::new(indirect, &memory, access)?;
                        Ok(Prepared::new(kind, Step::Register(request)))
                    }
                    Fast::Window(binder) => {
                        let (range, mappings) = self.pages(&memory)?;
                        let errand = Errand::Register { range, access, mappings };
                        Ok(self.bind(kind, binder, access, errand))
                    }
                }
            }
            WorkRequest::InvalidateRegion { region } => {
                match region.0.fast.as_ref().ok_or_else(not_fast)? {
                    Fast::Indirect(indirect) => {
                        Ok(Prepared::new(kind, Step::Free(indirect.clone())))
                    }
                    Fast::Window(binder) => Ok(self.invalidate(kind, binder)),
                }
            }
            WorkRequest::Bind { region, window, address, length, access } => {
                let binder = &window.binder;
                match region.0.part(address, length, access) {
                    Ok(range) => {
                        let errand = Errand::Register { range, access, mappings: Vec::new() };
                        Ok(self.bind(kind, binder, access, errand))
                    }
                    Err(refusal) => Ok(Prepared::new(kind, Step::End(Err(refusal)))),
                }
            }
            WorkRequest::InvalidateWindow { window } => Ok(self.invalidate(kind, &window.binder)),
        }
    }

    fn data(
        &self,
        kind: WorkKind,
        opcode: u32,
        local: &[Sge],
        remote: (u64, u32),
        invalidate: u32,
    ) -> Result<Prepared> {
        let Resolved { elements, keeps, late, bytes } = self.resolve(local)?;
        let step = Step::Data(Data { opcode, elements, remote, invalidate, late });
        Ok(Prepared { bytes, keeps, ..Prepared::new(kind, step) })
    }

    fn bind(
        &self,
        kind: WorkKind,
        binder: &Arc<Binder>,
        access: Access,
        errand: Errand,
    ) -> Prepared {
        binder.claim(self.number);
        let rights = access::of_window(access);
        let step = Step::Bind { binder: binder.clone(), rights, begun: false, made: None };
        Prepared { errand: Some(errand), ..Prepared::new(kind, step) }
    }

    fn invalidate(&self, kind: WorkKind, binder: &Arc<Binder>) -> Prepared {
        if binder.is_of(self.number) {
            return Prepared::new(kind, Step::Invalidate(binder.clone()));
        }
        // The window belongs to another queue pair, which may be broken or gone: this one cannot end its binding, so
        // that the window goes with it.
        let errand = Some(Errand::Renew(binder.clone()));
        Prepared { errand, ..Prepared::new(kind, Step::Renew { made: None }) }
    }

    /// The host range of a fast registration, and the mappings that it is of (L2, K2).
    fn pages(&self, memory: &FastMemory<'_>) -> Result<(HostRange, Vec<Arc<Mapped>>)> {
        let mut mappings: Vec<Arc<Mapped>> = Vec::new();
        let mut hosts = Vec::with_capacity(memory.pages.len());
        for &page in memory.pages {
            let (keyed, host) = self.domain.find_mapped(page, PAGE as u64)?;
            hosts.push(host);
            if mappings.last().is_none_or(|last| !Arc::ptr_eq(last, &keyed.mapped)) {
                mappings.push(keyed.mapped.clone());
            }
        }
        if hosts.windows(2).any(|pair| pair[1] != pair[0] + PAGE) {
            return Err(scattered());
        }
        let first = hosts.first().ok_or_else(scattered)?;
        let address = first + memory.first_byte as usize;
        Ok((HostRange { address, length: memory.length as usize, base: memory.base }, mappings))
    }

    /// The key for a message that invalidates a token of the peer's. Where the peer is in this program, what is not
    /// bound there is known here, and is replaced by a key that the peer's device refuses without harm.
    fn checked_for_peer(&self, token: RemoteToken) -> u32 {
        let Some(peer) = self.link.lock().peer() else { return token.get() };
        if !peer.device().facts.guards_invalidation {
            return token.get();
        }
        let bound = peer
            .domain
            .binder(token.get())
            .is_some_and(|binder| binder.invalidate(|_| Ok(())).is_ok());
        if bound { token.get() } else { key::NOWHERE }
    }

    /// Gives a thread the work that a request waits for.
    fn send_out(&self, number: u64, errand: Errand) {
        let Some(core) = self.me.upgrade() else { return };
        self.device().pool.spawn(move || {
            match errand {
                Errand::Register { range, access, mappings } => {
                    if !core.queue.lock().begin(number) {
                        // Flushed: its memory may be gone by now.
                        return;
                    }
                    let bound = core.register(range, access, mappings);
                    core.queue.lock().provide_bound(number, bound);
                }
                Errand::Renew(binder) => {
                    let renewed = binder.renew().map_err(|error| core.log(&error));
                    core.queue.lock().provide_renewed(number, renewed);
                }
            }
            let went = core.queue.lock().pump(core.is_broken());
            if went.wrong {
                core.fail();
            }
            core.ring();
        });
    }

    /// Blocks.
    fn register(
        &self,
        range: HostRange,
        access: Access,
        mappings: Vec<Arc<Mapped>>,
    ) -> Result<Bound, ErrorKind> {
        let mr = self.domain.pd.register(range, access::under_window(access));
        let mr = mr.map_err(|error| self.log(&error))?;
        let exact = Arc::new(Exact::new(mr, self.device(), mappings, access));
        Ok(Bound { exact, base: range.base, length: range.length as u64 })
    }

    fn log(&self, error: &Error) -> ErrorKind {
        log::warn!("{}: a request of queue pair {}: {error}", self.device().name(), self.qp_number);
        error.kind()
    }
}

#[cold]
fn not_fast() -> Error {
    let cause = "the region was not made for fast registration";
    Error::new(ErrorKind::InvalidDeviceState, cause).rule("G7")
}

#[cold]
fn queue_full() -> Error {
    Error::new(ErrorKind::InsufficientResources, "the queue is full")
}
