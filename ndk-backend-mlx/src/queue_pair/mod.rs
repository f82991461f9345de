//! A reliable connected queue pair.
//!
//! The device's send queue is behind one of this backend's: a request that needs a kernel call first, as a binding does,
//! waits there, and with it every later one. Requests that do not wait go to the device at once. What ends in this
//! queue, and what the device completes, is given to the consumer in the order of the posting.

mod address;
mod cm;
mod connect;
mod poll;
mod ports;
mod post;
mod queue;
mod status;
mod step;

pub(crate) use cm::address_of;
pub(crate) use ports::Ports;

use crate::device::Device;
use crate::domain::Domain;
use crate::errno::Errno;
use crate::mlx5::queue::RawQueue;
use crate::region::MlxRegion;
use crate::sys::layout::Zeroed;
use crate::sys::object::{ibv_cq, ibv_qp};
use crate::sys::queue_pair::{
    IBV_QP_STATE, IBV_QPS_ERR, IBV_QPS_RESET, IBV_QPT_RC, ibv_qp_attr, ibv_qp_cap, ibv_qp_init_attr,
};
use crate::window::MlxWindow;
use connect::Link;
use ndk_core::{
    Endpoint, Error, ErrorKind, QpProvider, QueueDepths, Result, WorkCompletion, WorkId,
    WorkRequest,
};
use parking_lot::Mutex;
use queue::Queue;
use std::net::SocketAddr;
use std::ptr::{NonNull, without_provenance_mut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// The last wait for a device to flush, of twice as many altogether; the first are short.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// A queue pair.
pub struct MlxQueuePair(Arc<Core>);

/// The state that posting, polling, the pool's threads and the peer's end work on.
pub(crate) struct Core {
    pub(crate) domain: Arc<Domain>,
    /// The number by which the adapter finds it.
    pub(crate) number: u64,
    depths: QueueDepths,
    queue: Mutex<Queue>,
    /// Who waits for a completion.
    waiter: Mutex<Option<Waker>>,
    /// In error, for good (F6).
    broken: AtomicBool,
    /// The device's queue pair is connected.
    joined: AtomicBool,
    link: Mutex<Link>,
    /// Who waits until this end has connected to it.
    callers: Mutex<Vec<Weak<Core>>>,
    /// There where connections are made by address.
    listener: Option<cm::Call>,
    call: Mutex<Option<cm::Call>>,
    endpoint: Endpoint,
    psn: u32,
    qp_number: u32,
    me: Weak<Core>,
}

/// The device's objects, which the queue's lock guards.
pub(crate) struct Objects {
    qp: NonNull<ibv_qp>,
    cq: NonNull<ibv_cq>,
    /// For entries of our own, where the device takes them.
    raw: Option<RawQueue>,
}

// SAFETY: libibverbs takes calls about its objects on any thread.
unsafe impl Send for Objects {}

impl Core {
    /// Blocks.
    pub(crate) fn new(domain: &Arc<Domain>, depths: QueueDepths) -> Result<Arc<Self>> {
        let device = domain.device();
        let number = device.ports.next_number();
        let objects = Objects::new(domain, depths, number)?;
        let listening = device.address.map(cm::listen).transpose();
        let listening = match listening {
            Ok(listening) => listening,
            Err(error) => {
                objects.destroy(device);
                return Err(error);
            }
        };
        let psn = connect::draw_packet_number();
        // SAFETY: the queue pair was made just now.
        let qp_number = unsafe { objects.qp.as_ref() }.qp_num;
        let (listener, endpoint) = match listening {
            Some((listener, place)) => (Some(listener), Endpoint(address::to_text(place))),
            None => (None, connect::endpoint(device, qp_number, psn)),
        };
        let core = Arc::new_cyclic(|me| Self {
            domain: domain.clone(),
            number,
            depths,
            queue: Mutex::new(Queue::new(objects, &device.facts)),
            waiter: Mutex::new(None),
            broken: AtomicBool::new(false),
            joined: AtomicBool::new(false),
            link: Mutex::new(Link::Idle),
            callers: Mutex::default(),
            listener,
            call: Mutex::new(None),
            endpoint,
            psn,
            qp_number,
            me: me.clone(),
        });
        device.ports.enter(&core);
        connect::announce(&core);
        Ok(core)
    }

    pub(crate) fn device(&self) -> &Arc<Device> {
        self.domain.device()
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// Moves this end to error, and the peer's where it is in this program: what is posted completes with CANCELLED
    /// (F6).
    pub(crate) fn fail(&self) {
        if self.broken.swap(true, Ordering::AcqRel) {
            return;
        }
        self.queue.lock().give_up_waiting();
        if self.device().is_lost() {
            self.give_up_posted();
        } else if let Some(core) = self.me.upgrade() {
            self.device().pool.spawn(move || core.move_to_error());
        }
        self.ring();
        self.wake_connects();
        let peer = self.link.lock().peer();
        if let Some(peer) = peer {
            peer.fail();
        }
    }

    /// What is done with the device's objects, while they are there.
    fn with_objects<R>(&self, function: impl FnOnce(&Objects) -> Result<R>) -> Result<R> {
        let queue = self.queue.lock();
        let Some(objects) = queue.objects() else {
            let cause = "the queue pair is being closed";
            return Err(Error::new(ErrorKind::ConnectionInvalid, cause));
        };
        function(objects)
    }

    /// Connects by address. Blocks, as long as the peer takes.
    fn join_by_address(&self, to: SocketAddr) -> Result<()> {
        let listener = self.listener.as_ref().ok_or(ErrorKind::Internal)?;
        let call = self.call_or_answer(listener, to)?;
        let mut place = self.call.lock();
        self.device().watched.add(call.fd(), self.number)?;
        *place = Some(call);
        Ok(())
    }

    /// Something has come over the connection.
    pub(crate) fn hear(&self) {
        let lost = self.call.lock().as_ref().is_some_and(cm::Call::is_lost);
        if lost {
            log::debug!("{}: a connection is lost", self.device().name());
            self.fail();
        }
    }

    /// Has the device flush what it was given. Blocks.
    ///
    /// A device that has not flushed everything after a while has lost sight of it, as Soft-RoCE sometimes does. It is
    /// then made to forget: what is reset uses no memory any more.
    fn move_to_error(&self) {
        self.move_to(IBV_QPS_ERR);
        if self.device().facts.flushes_at_once {
            self.give_up_posted();
        }
        self.ring();
        let mut wait = Duration::from_millis(1);
        while wait < FLUSH_LIMIT {
            if !self.is_flushing() {
                return;
            }
            std::thread::sleep(wait);
            wait *= 2;
        }
        if self.is_flushing() {
            log::warn!("{}: a queue pair is reset, since it is not flushed", self.device().name());
            self.move_to(IBV_QPS_RESET);
            self.give_up_posted();
            self.ring();
        }
    }

    /// Whether the device has requests to flush; those that it has flushed are taken.
    fn is_flushing(&self) -> bool {
        let mut queue = self.queue.lock();
        // The queue pair is in error already.
        let _ = queue.drain(|key| self.is_invalidated(key));
        let flushing = queue.objects().is_some() && queue.has_posted();
        drop(queue);
        self.ring();
        flushing
    }

    fn move_to(&self, state: u32) {
        let queue = self.queue.lock();
        let Some(objects) = queue.objects() else { return };
        let mut attributes = ibv_qp_attr { qp_state: state, ..ibv_qp_attr::zeroed() };
        // SAFETY: the queue pair is there as long as the lock is held.
        let moved = unsafe {
            let modify = self.device().verbs().ibv_modify_qp;
            Errno::check(modify(objects.qp.as_ptr(), &raw mut attributes, IBV_QP_STATE))
        };
        drop(queue);
        match moved {
            Ok(()) => {}
            Err(errno) if errno.is_loss() => self.device().lose("a queue pair found it gone"),
            Err(errno) => {
                let error = errno.error("moving a queue pair to error");
                log::error!("{}: {error}", self.device().name());
            }
        }
    }

    /// The device is lost: what it was given ends here (H8).
    pub(crate) fn abandon(&self) {
        self.fail();
        self.give_up_posted();
        self.ring();
    }

    /// The device will complete nothing any more but what it has.
    fn give_up_posted(&self) {
        self.queue.lock().give_up_posted(|key| self.is_invalidated(key));
    }

    /// A peer's message has invalidated that key.
    fn is_invalidated(&self, key: u32) {
        if let Some(binder) = self.domain.binder(key) {
            binder.ended_by_peer();
        } else if let Some(indirect) = self.domain.indirect(key) {
            indirect.ended_by_peer();
        }
    }

    /// Wakes who waits for a completion.
    pub(crate) fn ring(&self) {
        let waiter = self.waiter.lock().take();
        waiter.into_iter().for_each(Waker::wake);
    }

    /// There is something in the device's completion queue.
    pub(crate) fn rang(&self) {
        self.queue.lock().disarm();
        self.ring();
    }

    /// Gives the device's objects up. Blocks.
    fn close(&self) {
        self.device().ports.forget(self.number);
        connect::withdraw(&self.endpoint);
        self.fail();
        // What a thread of the pool is at ends by itself.
        while self.queue.lock().has_begun() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let (objects, binders, given_up) = self.queue.lock().close();
        // A window that is bound on it would keep the queue pair.
        binders.iter().filter_map(Weak::upgrade).for_each(|binder| binder.leave(self.number));
        if let Some(objects) = objects {
            objects.destroy(self.device());
        }
        drop(self.call.lock().take());
        // What requests held goes only now that the device has none of them.
        drop(given_up);
    }
}

/// A queue pair that nobody closed: its creation was given up (B9).
impl Drop for Core {
    fn drop(&mut self) {
        if self.queue.get_mut().objects().is_some() && !self.device().is_inherited() {
            self.close();
        }
    }
}

impl Objects {
    fn new(domain: &Arc<Domain>, depths: QueueDepths, number: u64) -> Result<Self> {
        let (device, attributes) = (domain.device(), &domain.device().attributes);
        let verbs = device.verbs();
        let entries = depths.receive.saturating_add(depths.initiator).saturating_add(1);
        let entries = i32::try_from(entries).unwrap_or(i32::MAX);
        // The number is what events carry.
        let context = without_provenance_mut(number as usize);
        // SAFETY: context and channel live as long as the device.
        let cq = unsafe {
            (verbs.ibv_create_cq)(device.context(), entries, context, device.channel(), 0)
        };
        let refused = |what: &str| Errno::last().error(what);
        let cq = NonNull::new(cq).ok_or_else(|| refused("making a completion queue"))?;
        let elements = u32::try_from(attributes.device.max_sge).unwrap_or(1);
        let mut attributes = ibv_qp_init_attr {
            qp_context: context,
            send_cq: cq.as_ptr(),
            recv_cq: cq.as_ptr(),
            cap: ibv_qp_cap {
                max_send_wr: depths.initiator.max(1),
                max_recv_wr: depths.receive.max(1),
                max_send_sge: elements,
                max_recv_sge: elements,
                max_inline_data: 0,
            },
            qp_type: IBV_QPT_RC,
            sq_sig_all: 1,
            ..ibv_qp_init_attr::zeroed()
        };
        // SAFETY: the domain and the completion queue are alive.
        let made = unsafe {
            let pd = domain.pd.raw();
            match device.umr {
                Some(limits) => RawQueue::create(verbs, pd, &mut attributes, &limits)
                    .map(|(qp, raw)| (qp, Some(raw))),
                None => NonNull::new((verbs.ibv_create_qp)(pd, &raw mut attributes))
                    .map(|qp| (qp, None))
                    .ok_or_else(|| refused("making a queue pair")),
            }
        };
        let (qp, raw) = made.inspect_err(|_| {
            // SAFETY: nothing uses the completion queue.
            unsafe { (verbs.ibv_destroy_cq)(cq.as_ptr()) };
        })?;
        let objects = Self { qp, cq, raw };
        if let Err(error) = connect::make_ready(device, &objects) {
            objects.destroy(device);
            return Err(error);
        }
        Ok(objects)
    }

    /// Blocks.
    fn destroy(self, device: &Device) {
        if device.is_inherited() {
            return;
        }
        // SAFETY: these are the objects' last uses; the completion queue goes after the queue pair that uses it.
        let results = unsafe {
            let verbs = device.verbs();
            [(verbs.ibv_destroy_qp)(self.qp.as_ptr()), (verbs.ibv_destroy_cq)(self.cq.as_ptr())]
        };
        for errno in results.map(Errno::check).into_iter().filter_map(Result::err) {
            if !errno.is_loss() {
                let error = errno.error("giving up a queue pair");
                log::error!("{}: {error}; it stays leaked", device.name());
            }
        }
    }
}

impl MlxQueuePair {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self(core)
    }
}

impl QpProvider for MlxQueuePair {
    type Mr = MlxRegion;
    type Window = MlxWindow;

    fn endpoint(&self) -> Endpoint {
        self.0.endpoint.clone()
    }

    async fn connect(&self, peer: &Endpoint) -> Result<()> {
        connect::connect(&self.0, peer).await
    }

    fn post(&self, id: WorkId, request: WorkRequest<'_, MlxRegion, MlxWindow>) -> Result<()> {
        self.0.post(id, request)
    }

    fn poll_completion(&self, cx: &mut Context<'_>) -> Poll<WorkCompletion> {
        self.0.poll_completion(cx)
    }

    fn flush(&self) {
        self.0.fail();
    }

    async fn close(&self) {
        let core = self.0.clone();
        self.0.device().pool.run(move || core.close()).await;
    }
}
