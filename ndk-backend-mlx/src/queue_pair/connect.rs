//! Connecting two queue pairs by what their endpoints say: port address, number and first packet number of each.
//!
//! Between two programs that is all: nobody hears whether the peer has connected, or is gone, but by requests that are
//! not answered. Inside one program both ends know each other, so that a connection is done when both have, and an error
//! of one is an error of the other (F6).

use super::{Core, Objects, address};
use crate::device::{Attributes, Device, GidKind};
use crate::errno::Errno;
use crate::sys::device::ibv_gid;
use crate::sys::layout::Zeroed;
use crate::sys::object::{IBV_ACCESS_REMOTE_READ, IBV_ACCESS_REMOTE_WRITE};
use crate::sys::queue_pair::*;
use ndk_core::{Endpoint, Error, ErrorKind, Result};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::future::poll_fn;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock, Weak};
use std::task::{Poll, Waker};

/// How far a connection has come.
pub(super) enum Link {
    Idle,
    /// The device's queue pair is being connected, or is, to a peer that has not done its part yet.
    Half {
        peer: Option<Weak<Core>>,
        waiter: Option<Waker>,
    },
    Whole {
        peer: Option<Weak<Core>>,
    },
}

impl Link {
    pub(super) fn is_idle(&self) -> bool {
        !matches!(self, Self::Whole { .. })
    }

    /// The other end of a connection, where it is in this program.
    pub(super) fn peer(&self) -> Option<Arc<Core>> {
        match self {
            Self::Idle | Self::Half { .. } => None,
            Self::Whole { peer } => peer.as_ref()?.upgrade(),
        }
    }
}

/// The queue pairs of this program by their endpoints.
static ENDPOINTS: LazyLock<Mutex<HashMap<String, Weak<Core>>>> = LazyLock::new(Mutex::default);

/// Makes a queue pair known to this program.
pub(super) fn announce(core: &Arc<Core>) {
    ENDPOINTS.lock().insert(core.endpoint.0.clone(), Arc::downgrade(core));
}

pub(super) fn withdraw(endpoint: &Endpoint) {
    ENDPOINTS.lock().remove(&endpoint.0);
}

/// A first packet number that nobody guesses: who does can send in another's name.
pub(super) fn draw_packet_number() -> u32 {
    RandomState::new().build_hasher().finish() as u32 & 0xff_ffff
}

/// What an endpoint says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    gid: [u8; 16],
    lid: u16,
    qp_number: u32,
    psn: u32,
}

const PREFIX: &str = "verbs:";

impl Place {
    fn to_text(self) -> String {
        let Self { gid, lid, qp_number, psn } = self;
        let mut text = format!("{PREFIX}qpn={qp_number:06x},psn={psn:06x},lid={lid:04x},gid=");
        for byte in gid {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    fn from_text(text: &str) -> Option<Self> {
        let mut fields = text.strip_prefix(PREFIX)?.split(',');
        let mut field = |name: &str| fields.next()?.strip_prefix(name)?.strip_prefix('=');
        let (qp_number, psn) = (field("qpn")?, field("psn")?);
        let (lid, gid) = (field("lid")?, field("gid")?);
        let number = |text: &str| u32::from_str_radix(text, 16).ok();
        if gid.len() != 32 || !gid.is_ascii() {
            return None;
        }
        let mut bytes = [0; 16];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = number(&gid[2 * index..][..2])? as u8;
        }
        Some(Self {
            gid: bytes,
            lid: u16::try_from(number(lid)?).ok()?,
            qp_number: number(qp_number)?,
            psn: number(psn)?,
        })
    }
}

/// The endpoint of a queue pair of this device.
pub(super) fn endpoint(device: &Device, qp_number: u32, psn: u32) -> Endpoint {
    let attributes = &device.attributes;
    let gid = attributes.gid.map_or([0; 16], |gid| gid.bytes);
    let place = Place { gid, lid: attributes.port.lid, qp_number, psn };
    Endpoint(place.to_text())
}

pub(super) fn modify(
    device: &Device,
    objects: &Objects,
    mut to: ibv_qp_attr,
    mask: i32,
) -> Result<()> {
    // SAFETY: whoever has the objects keeps them for the call.
    let modified =
        unsafe { (device.verbs().ibv_modify_qp)(objects.qp.as_ptr(), &raw mut to, mask) };
    Errno::check(modified).map_err(|errno| errno.error("moving a queue pair on"))
}

/// Makes a new queue pair ready for receives. Blocks.
pub(super) fn make_ready(device: &Device, objects: &Objects) -> Result<()> {
    let to = ibv_qp_attr {
        qp_state: IBV_QPS_INIT,
        port_num: device.attributes.port_number,
        qp_access_flags: IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE,
        ..ibv_qp_attr::zeroed()
    };
    let mask = IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS;
    modify(device, objects, to, mask)
}

/// How many times 4.096 us * 2^n a request waits for its answer before it is sent again: 268 ms, six times. Seven would be
/// without end on Soft-RoCE.
const TIMEOUT: u8 = 16;
pub(super) const RETRIES: u8 = 6;
/// A peer without a receive is given this many times 0.64 ms: a message that comes before its receive is posted is late
/// by that, and one whose receive never comes is an error soon.
pub(super) const RECEIVE_RETRIES: u8 = 6;
const RECEIVE_WAIT: u8 = 12;

/// Connects the device's queue pair to a place. Blocks.
fn join(core: &Core, to: Place) -> Result<()> {
    core.with_objects(|objects| join_objects(core, objects, to))
}

fn join_objects(core: &Core, objects: &Objects, to: Place) -> Result<()> {
    let device = core.device();
    let attributes = &device.attributes;
    let limit = |most: i32| u8::try_from(most.clamp(0, 255)).unwrap_or(0);
    let mut receive = ibv_qp_attr {
        qp_state: IBV_QPS_RTR,
        path_mtu: attributes.port.active_mtu,
        dest_qp_num: to.qp_number,
        rq_psn: to.psn,
        max_dest_rd_atomic: limit(attributes.device.max_qp_rd_atom),
        min_rnr_timer: RECEIVE_WAIT,
        ..ibv_qp_attr::zeroed()
    };
    set_route(attributes, to, &mut receive);
    let mask = IBV_QP_STATE
        | IBV_QP_AV
        | IBV_QP_PATH_MTU
        | IBV_QP_DEST_QPN
        | IBV_QP_RQ_PSN
        | IBV_QP_MAX_DEST_RD_ATOMIC
        | IBV_QP_MIN_RNR_TIMER;
    modify(device, objects, receive, mask)?;
    let send = ibv_qp_attr {
        qp_state: IBV_QPS_RTS,
        sq_psn: core.psn,
        timeout: TIMEOUT,
        retry_cnt: RETRIES,
        rnr_retry: RECEIVE_RETRIES,
        max_rd_atomic: limit(attributes.device.max_qp_init_rd_atom),
        ..ibv_qp_attr::zeroed()
    };
    let mask = IBV_QP_STATE
        | IBV_QP_TIMEOUT
        | IBV_QP_RETRY_CNT
        | IBV_QP_RNR_RETRY
        | IBV_QP_SQ_PSN
        | IBV_QP_MAX_QP_RD_ATOMIC;
    modify(device, objects, send, mask)
}

fn set_route(attributes: &Attributes, to: Place, into: &mut ibv_qp_attr) {
    into.ah_attr.dlid = to.lid;
    into.ah_attr.port_num = attributes.port_number;
    // Ethernet has no other address; inside one InfiniBand subnet the short one is enough.
    if let Some(gid) = attributes.gid.filter(|gid| gid.kind != GidKind::InfiniBand) {
        into.ah_attr.is_global = 1;
        into.ah_attr.grh.dgid = ibv_gid::from_bytes(to.gid);
        into.ah_attr.grh.sgid_index = gid.index;
        into.ah_attr.grh.hop_limit = 64;
    }
}

/// Connects to the queue pair of that endpoint.
pub(super) async fn connect(core: &Arc<Core>, to: &Endpoint) -> Result<()> {
    let place = match core.listener {
        Some(_) => Err(address::from_text(&to.0)),
        None => Ok(Place::from_text(&to.0)),
    };
    if let Ok(None) | Err(None) = place {
        let cause = format!("{:?} is no endpoint of a queue pair of this kind", to.0);
        return Err(Error::new(ErrorKind::ConnectionRefused, cause));
    }
    let peer = ENDPOINTS.lock().get(&to.0).cloned();
    {
        core.check_not_ended()?;
        let mut link = core.link.lock();
        if !matches!(*link, Link::Idle) {
            let cause = "the queue pair was connected before";
            return Err(Error::new(ErrorKind::ConnectionInvalid, cause));
        }
        *link = Link::Half { peer: peer.clone(), waiter: None };
    }
    let joining = core.clone();
    let joined = match place {
        Ok(place) => {
            let place = place.ok_or(ErrorKind::Internal)?;
            core.device().pool.run(move || join(&joining, place)).await
        }
        // The peer may take its time, which is not to be that of other kernel calls.
        Err(place) => {
            let place = place.ok_or(ErrorKind::Internal)?;
            core.device().pool.run_apart(move || joining.join_by_address(place)).await
        }
    };
    joined.map_err(|error| core.check_not_ended().err().unwrap_or(error))?;
    match peer.filter(|_| core.listener.is_none()) {
        None => {
            {
                let mut link = core.link.lock();
                let peer = match &*link {
                    Link::Half { peer, .. } => peer.clone(),
                    Link::Idle | Link::Whole { .. } => None,
                };
                *link = Link::Whole { peer };
            }
            core.wake_connects();
        }
        Some(peer) => meet(core, &peer).await?,
    }
    Ok(())
}

/// Waits until the other end, which is in this program, has connected to this one, or never will.
async fn meet(core: &Arc<Core>, peer: &Weak<Core>) -> Result<()> {
    core.joined.store(true, Ordering::Release);
    let refused = |cause: &'static str| Err(Error::new(ErrorKind::ConnectionRefused, cause));
    poll_fn(|cx| {
        let Some(other) = peer.upgrade() else {
            return Poll::Ready(refused("the peer's queue pair is closed"));
        };
        let waker = cx.waker().clone();
        match &mut *core.link.lock() {
            Link::Half { waiter, .. } => *waiter = Some(waker),
            Link::Idle | Link::Whole { .. } => return Poll::Ready(Ok(())),
        }
        other.expect_caller(core);
        // Only now: whoever ends one of them, or connects the peer, finds afterwards whom to wake.
        core.check_not_ended()?;
        if other.is_broken() {
            return Poll::Ready(refused("the peer's queue pair is closed or in error"));
        }
        let this = Arc::as_ptr(core);
        let is_this =
            |end: &Option<Weak<Core>>| end.as_ref().is_some_and(|end| end.as_ptr() == this);
        let expects_this = match &*other.link.lock() {
            Link::Half { peer, .. } => is_this(peer),
            Link::Whole { peer } if !is_this(peer) => {
                return Poll::Ready(refused("the peer's queue pair is connected to another"));
            }
            Link::Idle | Link::Whole { .. } => false,
        };
        if !expects_this || !other.joined.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        for (end, far) in [(core, &other), (&other, core)] {
            let whole = Link::Whole { peer: Some(Arc::downgrade(far)) };
            let before = std::mem::replace(&mut *end.link.lock(), whole);
            if let Link::Half { waiter: Some(waiter), .. } = before {
                waiter.wake();
            }
        }
        for (end, far) in [(core, &other), (&other, core)] {
            end.wake_connects();
            // One that ended meanwhile had no peer yet to tell.
            if far.is_broken() {
                end.fail();
            }
        }
        Poll::Ready(Ok(()))
    })
    .await
}

impl Core {
    /// # Errors
    /// How a connect ends whose queue pair is in error.
    fn check_not_ended(&self) -> Result<()> {
        if !self.is_broken() {
            return Ok(());
        }
        if self.device().is_lost() {
            return Err(Error::new(ErrorKind::DeviceRemoved, "the device is gone").rule("H8"));
        }
        Err(Error::new(ErrorKind::ConnectionInvalid, "the queue pair is in error").rule("F6"))
    }

    /// Another one waits until this one has connected to it.
    fn expect_caller(&self, caller: &Arc<Self>) {
        let mut callers = self.callers.lock();
        callers.retain(|known| known.strong_count() > 0);
        if !callers.iter().any(|known| known.as_ptr() == Arc::as_ptr(caller)) {
            callers.push(Arc::downgrade(caller));
        }
    }

    /// The queue pair has ended, or is connected: its own connect, where it waits, and those of who waits for it look
    /// again.
    pub(super) fn wake_connects(&self) {
        let callers = std::mem::take(&mut *self.callers.lock());
        self.wake_connect();
        callers.iter().filter_map(Weak::upgrade).for_each(|caller| caller.wake_connect());
    }

    fn wake_connect(&self) {
        let waiter = match &mut *self.link.lock() {
            Link::Half { waiter, .. } => waiter.take(),
            Link::Idle | Link::Whole { .. } => None,
        };
        waiter.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_read_as_it_was_written() {
        let place = Place { gid: [7; 16], lid: 0x1234, qp_number: 0x11, psn: 0xabcdef };
        let text = place.to_text();
        assert_eq!(Place::from_text(&text), Some(place), "{text}");
        for wrong in ["", "verbs:", "sim:3", "verbs:qpn=1,psn=2,lid=3,gid=00", "verbs:qpn=1,lid=3"]
        {
            assert_eq!(Place::from_text(wrong), None, "{wrong}");
        }
        let foreign = text.replace("gid=07", "gid=é");
        assert_eq!(Place::from_text(&foreign), None);
    }

    #[test]
    fn first_packet_numbers_are_drawn() {
        let drawn: std::collections::HashSet<u32> = (0..64).map(|_| draw_packet_number()).collect();
        assert!(drawn.len() > 60 && drawn.iter().all(|number| number >> 24 == 0));
    }
}
