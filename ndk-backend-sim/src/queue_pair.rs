//! A queue pair of the simulator: what it shares with its peer, and the provider's side.

use crate::access::Asker;
use crate::device::Device;
use crate::fabric::Fabric;
use crate::hazard::{Owner, Place, Taken};
use crate::pace::device_gone;
use crate::region::SimRegion;
use crate::window::SimWindow;
use crate::work::{Queue, Waiting, Work};
use ndk_core::{
    Endpoint, Error, ErrorKind, QpProvider, QueueDepths, RemoteAddress, Result, Sge,
    WorkCompletion, WorkId, WorkKind, WorkRequest,
};
use parking_lot::{Mutex, MutexGuard};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

const IDLE: u8 = 0;
const CONNECTED: u8 = 1;
const ERROR: u8 = 2;

/// The state that both ends of a connection, and whoever carries out a delayed request, work on.
///
/// Locks are taken in this order: the fabric's, `queue`, then the peer's `receives`, then anybody's `done`; never two of
/// one kind, but that who waits for accesses may try another one's `queue`.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) device: Arc<Device>,
    pub(crate) fabric: Fabric,
    pub(crate) number: u64,
    pub(crate) domain: u32,
    /// The domain's privileged token (L5).
    pub(crate) privileged: u32,
    /// This queue pair's place on its own device.
    place: Taken,
    pub(crate) depths: QueueDepths,
    status: AtomicU8,
    /// Held while a request is carried out, so that requests keep their order. To be locked by `lock_queue`, but on the
    /// short way.
    pub(crate) queue: Mutex<Queue>,
    pub(crate) receives: Mutex<VecDeque<Waiting>>,
    done: Mutex<Done>,
    /// How many there are in `done` of other requests than receives; written under its lock.
    completions: AtomicUsize,
    /// Whether somebody waits for a completion; written under the lock of `done`.
    awaited: AtomicBool,
}

/// Completions, and who waits for one.
#[derive(Debug, Default)]
struct Done {
    completions: VecDeque<WorkCompletion>,
    waiter: Option<Waker>,
}

/// The other end of a connection, and this end's place on its device.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) place: Taken,
}

impl Peer {
    /// This end's accesses at the peer's device are those of the peer's queue pair there.
    #[inline(always)]
    pub(crate) fn asker(&self) -> Asker<'_> {
        self.shared.asker_at(&self.place)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.shared.device.hazards.give_place_back(&self.place);
    }
}

impl Shared {
    #[inline(always)]
    pub(crate) fn asker(&self) -> Asker<'_> {
        self.asker_at(&self.place)
    }

    #[inline(always)]
    fn asker_at<'a>(&'a self, place: &'a Place) -> Asker<'a> {
        Asker { device: &self.device, domain: self.domain, queue_pair: self.number, place }
    }

    /// Locks the queue for whatever is not of the short way: no hazard stands any more.
    #[inline]
    pub(crate) fn lock_queue(&self) -> MutexGuard<'_, Queue> {
        let queue = self.queue.lock();
        self.withdraw(&queue);
        queue
    }

    fn withdraw(&self, queue: &Queue) {
        self.place.withdraw();
        if let Some(peer) = &queue.peer {
            peer.place.withdraw();
        }
    }

    /// Makes each the other's peer.
    pub(crate) fn link(here: &Arc<Self>, there: &Arc<Self>) -> Result<()> {
        let peer = |of: &Arc<Self>, by: &Arc<Self>| {
            let place = of.device.hazards.take_place()?;
            place.set_owner(Arc::downgrade(by) as _);
            Ok::<_, Error>(Peer { shared: of.clone(), place })
        };
        let (to_there, to_here) = (peer(there, here)?, peer(here, there)?);
        here.lock_queue().peer = Some(to_there);
        here.set_connected();
        if !Arc::ptr_eq(here, there) {
            there.lock_queue().peer = Some(to_here);
            there.set_connected();
        }
        Ok(())
    }

    fn set_connected(&self) {
        // A flush before the connection counts: error is final.
        let _ = self.status.compare_exchange(IDLE, CONNECTED, Ordering::AcqRel, Ordering::Relaxed);
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.status.load(Ordering::Acquire) == ERROR
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.status.load(Ordering::Acquire) == CONNECTED
    }

    fn is_idle(&self) -> bool {
        self.status.load(Ordering::Acquire) == IDLE
    }

    /// Whether a queue pair that was not connected can be.
    pub(crate) fn check_connectable(&self) -> Result<()> {
        if !self.is_broken() {
            return Ok(());
        }
        if self.device.is_lost() {
            return Err(device_gone());
        }
        Err(Error::new(ErrorKind::ConnectionInvalid, "the queue pair is in error").rule("F6"))
    }

    /// Moves this end to error: receives complete with CANCELLED, and no request is carried out any more (F6). Those
    /// that wait in the queue complete where somebody has its lock: see `settle`.
    pub(crate) fn fail(&self) {
        // All of it in one step for who posts a receive, fills one, or does the same: they come before it or find it done.
        let mut receives = self.receives.lock();
        if self.status.swap(ERROR, Ordering::AcqRel) == ERROR {
            return;
        }
        for receive in receives.drain(..) {
            self.complete(receive.work.flushed());
        }
    }

    /// Adds a completion. Whoever does so calls `ring` once it holds no lock: a waker is foreign code. A success is
    /// counted by whoever holds the place it is counted in.
    #[inline]
    pub(crate) fn complete(&self, completion: WorkCompletion) {
        if let Err(kind) = completion.result {
            self.device.counters.failed(self.domain as usize, kind);
        }
        let mut done = self.done.lock();
        if completion.kind != WorkKind::Receive {
            self.completions.store(self.completions.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
        done.completions.push_back(completion);
    }

    /// Takes a completion; `done` is locked.
    fn next_completion(&self, done: &mut Done) -> Option<WorkCompletion> {
        let completion = done.completions.pop_front()?;
        if completion.kind != WorkKind::Receive {
            self.completions.store(self.completions.load(Ordering::Relaxed) - 1, Ordering::Relaxed);
        }
        Some(completion)
    }

    /// Whether each completion but those of receives was taken; asked with the queue locked, so that none is added.
    pub(crate) fn has_no_completion(&self) -> bool {
        self.completions.load(Ordering::Relaxed) == 0
    }

    /// Wakes who waits for a completion. Whoever began to wait before the completion was added was there to see under the
    /// lock that it was added with; whoever began later has found it.
    #[inline]
    pub(crate) fn ring(&self) {
        if self.awaited.load(Ordering::Relaxed) {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        let mut done = self.done.lock();
        self.awaited.store(false, Ordering::Relaxed);
        let waiter = done.waiter.take();
        drop(done);
        if let Some(waiter) = waiter {
            waiter.wake();
        }
    }
}

/// The queue pairs of a device: what its loss ends (H8).
#[derive(Debug, Default)]
pub(crate) struct QueuePairs(Mutex<HashMap<u64, Weak<Shared>>>);

impl QueuePairs {
    fn add(&self, queue_pair: &Arc<Shared>) {
        self.0.lock().insert(queue_pair.number, Arc::downgrade(queue_pair));
    }

    fn remove(&self, number: u64) {
        self.0.lock().remove(&number);
    }

    /// Ends each of them, in the order of their making.
    pub(crate) fn end(&self) {
        let mut all: Vec<_> = self.0.lock().values().filter_map(Weak::upgrade).collect();
        all.sort_by_key(|queue_pair| queue_pair.number);
        all.iter().for_each(|queue_pair| queue_pair.end());
    }
}

/// A queue pair.
#[derive(Debug)]
pub struct SimQueuePair {
    shared: Arc<Shared>,
}

impl SimQueuePair {
    pub(crate) fn new(
        device: Arc<Device>,
        fabric: Fabric,
        (domain, privileged): (u32, u32),
        depths: QueueDepths,
    ) -> Result<Self> {
        let place = device.hazards.take_place()?;
        let number = fabric.next_number();
        let shared = Arc::new(Shared {
            device,
            fabric,
            number,
            domain,
            privileged,
            place,
            depths,
            status: AtomicU8::new(IDLE),
            queue: Mutex::default(),
            receives: Mutex::default(),
            done: Mutex::default(),
            completions: AtomicUsize::new(0),
            awaited: AtomicBool::new(false),
        });
        shared.place.set_owner(Arc::downgrade(&shared) as _);
        shared.fabric.attach(number, Arc::downgrade(&shared));
        shared.device.queue_pairs.add(&shared);
        let queue_pair = Self { shared };
        if queue_pair.shared.device.is_lost() {
            // Perhaps too late to be on the list that the loss went through.
            return Err(device_gone());
        }
        Ok(queue_pair)
    }

    fn leave(&self) {
        self.shared.fabric.detach(self.shared.number);
        self.shared.end();
        // The peer finds the connection lost; each end holds the other until it is closed itself.
        let peer = self.shared.lock_queue().peer.take();
        if let Some(peer) = peer {
            peer.shared.end();
        }
    }
}

impl QpProvider for SimQueuePair {
    type Mr = SimRegion;
    type Window = SimWindow;

    fn endpoint(&self) -> Endpoint {
        self.shared.fabric.endpoint(self.shared.number)
    }

    async fn connect(&self, peer: &Endpoint) -> Result<()> {
        let Shared { fabric, number, .. } = &*self.shared;
        if fabric.is_connected(*number) {
            let cause = "the queue pair was connected before";
            return Err(Error::new(ErrorKind::ConnectionInvalid, cause));
        }
        fabric.connect(*number, peer).await
    }

    fn post(&self, id: WorkId, request: WorkRequest<'_, SimRegion, SimWindow>) -> Result<()> {
        let shared = &self.shared;
        let is_done = match &request {
            WorkRequest::Write { local, remote } => shared.post_at_once::<true>(id, local, *remote),
            WorkRequest::Read { local, remote } => shared.post_at_once::<false>(id, local, *remote),
            _ => false,
        };
        if is_done {
            return Ok(());
        }
        if let WorkRequest::Receive { .. } = request {
            return shared.post_receive(Work::new(id, request, shared)?);
        }
        if shared.is_idle() {
            let cause = "the queue pair is not connected";
            return Err(Error::new(ErrorKind::ConnectionInvalid, cause).rule("G6"));
        }
        if let WorkRequest::FastRegister { region, .. } = request {
            return region.post_fast_register(|| shared.post(Work::new(id, request, shared)?));
        }
        shared.post(Work::new(id, request, shared)?)
    }

    fn write_at_once(&self, local: &[Sge], remote: RemoteAddress) -> bool {
        self.shared.carry_out_at_once::<true>(local, remote)
    }

    fn read_at_once(&self, local: &[Sge], remote: RemoteAddress) -> bool {
        self.shared.carry_out_at_once::<false>(local, remote)
    }

    fn poll_completion(&self, cx: &mut Context<'_>) -> Poll<WorkCompletion> {
        let first = self.shared.next_completion(&mut self.shared.done.lock());
        if let Some(completion) = first {
            return Poll::Ready(completion);
        }
        // Wakers are foreign code: they are cloned and dropped without the lock.
        let waker = cx.waker().clone();
        let mut done = self.shared.done.lock();
        match self.shared.next_completion(&mut done) {
            Some(completion) => {
                drop(done);
                Poll::Ready(completion)
            }
            None => {
                let before = done.waiter.replace(waker);
                self.shared.awaited.store(true, Ordering::Relaxed);
                drop(done);
                drop(before);
                Poll::Pending
            }
        }
    }

    fn flush(&self) {
        self.shared.end();
        // Only now: who connects this one meanwhile finds it in error, or has given it a peer.
        let peer = self.shared.lock_queue().peer.as_ref().map(|peer| peer.shared.clone());
        if let Some(peer) = peer {
            peer.end();
        }
    }

    async fn close(&self) {
        self.leave();
    }
}

impl Drop for SimQueuePair {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Owner for Shared {
    fn lower(&self) {
        // Whoever has the queue is at work, or has lowered them.
        if let Some(queue) = self.queue.try_lock() {
            self.withdraw(&queue);
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.device.queue_pairs.remove(self.number);
        self.device.hazards.give_place_back(&self.place);
    }
}
