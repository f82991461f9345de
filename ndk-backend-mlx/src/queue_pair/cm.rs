//! Connections by address, which librdmacm makes: between hosts, and on iWARP, which has no others.
//!
//! A queue pair listens at a port of its own, which is its endpoint. Of two that connect to each other the one whose
//! endpoint is the smaller text calls, and the other waits for that call and no other. The device's queue pair is made
//! and moved on by this backend; librdmacm is told its number.

use super::address::{Address, from_text, local_addresses, to_text};
use super::connect::{RECEIVE_RETRIES, RETRIES, modify};
use super::{Core, Objects};
use crate::device::Device;
use crate::errno::Errno;
use crate::sys::cm::*;
use crate::sys::layout::Zeroed;
use crate::sys::load::ConnectionManager;
use crate::sys::queue_pair::{IBV_QPS_RTR, IBV_QPS_RTS, ibv_qp_attr};
use libc::{POLLIN, c_int, pollfd};
use ndk_core::{Error, ErrorKind, Result};
use std::ffi::CStr;
use std::net::{IpAddr, SocketAddr};
use std::ptr::NonNull;
use std::time::{Duration, Instant};

/// How long a peer may take to connect, or an address to be found.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long one question for an address may take.
const QUESTION: Duration = Duration::from_secs(1);

/// A channel of events. They are waited for with a limit.
struct Channel {
    cm: &'static ConnectionManager,
    raw: NonNull<rdma_event_channel>,
}

// SAFETY: librdmacm takes calls about a channel on any thread.
unsafe impl Send for Channel {}
// SAFETY: as above.
unsafe impl Sync for Channel {}

/// A connection or a listener, with a channel of its own.
pub(crate) struct Call {
    id: NonNull<rdma_cm_id>,
    channel: Channel,
    /// The process that made it: a forked child shares the kernel's connection, and must not end it.
    process: u32,
}

// SAFETY: as for `Channel`.
unsafe impl Send for Call {}
// SAFETY: as above.
unsafe impl Sync for Call {}

/// What came over a channel.
struct Event {
    kind: u32,
    status: i32,
    id: *mut rdma_cm_id,
    private_data: Vec<u8>,
}

impl Channel {
    fn new() -> Result<Self> {
        let cm = ConnectionManager::get()?;
        // SAFETY: makes a channel.
        let raw = unsafe { (cm.rdma_create_event_channel)() };
        let raw = NonNull::new(raw).ok_or_else(|| {
            Errno::last().error("opening /dev/infiniband/rdma_cm (is the module rdma_ucm loaded?)")
        })?;
        Ok(Self { cm, raw })
    }

    fn fd(&self) -> c_int {
        // SAFETY: the channel is there.
        unsafe { self.raw.as_ref() }.fd
    }

    /// The next event; `None` where none comes in time.
    fn next(&self, until: Instant) -> Result<Option<Event>> {
        let left = until.saturating_duration_since(Instant::now());
        let mut fd = pollfd { fd: self.fd(), events: POLLIN, revents: 0 };
        let wait = c_int::try_from(left.as_millis()).unwrap_or(c_int::MAX);
        // SAFETY: one descriptor, there to be written.
        if unsafe { libc::poll(&raw mut fd, 1, wait) } <= 0 {
            return Ok(None);
        }
        let mut event = std::ptr::null_mut();
        // SAFETY: the channel is there; an event that was got is read before it is acknowledged, once.
        unsafe {
            Errno::check((self.cm.rdma_get_cm_event)(self.raw.as_ptr(), &raw mut event))
                .map_err(|errno| errno.error("waiting for a connection"))?;
            let rdma_cm_event { id, event: kind, status, conn, .. } = *event;
            let private_data = match kind {
                RDMA_CM_EVENT_CONNECT_REQUEST if !conn.private_data.is_null() => {
                    let length = usize::from(conn.private_data_len);
                    std::slice::from_raw_parts(conn.private_data.cast::<u8>(), length).to_vec()
                }
                _ => Vec::new(),
            };
            (self.cm.rdma_ack_cm_event)(event);
            Ok(Some(Event { kind, status, id, private_data }))
        }
    }

    fn name(&self, kind: u32) -> String {
        // SAFETY: the text is a constant of the library.
        let name = unsafe { CStr::from_ptr((self.cm.rdma_event_str)(kind)) };
        name.to_string_lossy().into_owned()
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        // SAFETY: whatever reported here is gone.
        unsafe { (self.cm.rdma_destroy_event_channel)(self.raw.as_ptr()) };
    }
}

impl Call {
    fn new() -> Result<Self> {
        let channel = Channel::new()?;
        let mut id = std::ptr::null_mut();
        // SAFETY: the channel is there, and the place to be written.
        let made = unsafe {
            let create = channel.cm.rdma_create_id;
            create(channel.raw.as_ptr(), &raw mut id, std::ptr::null_mut(), RDMA_PS_TCP)
        };
        Errno::check(made).map_err(|errno| errno.error("making a connection"))?;
        let id = NonNull::new(id).ok_or(ErrorKind::Internal)?;
        Ok(Self { id, channel, process: std::process::id() })
    }

    fn cm(&self) -> &'static ConnectionManager {
        self.channel.cm
    }

    fn bind(&self, place: SocketAddr) -> Result<(), Errno> {
        let mut address = Address::new(place);
        // SAFETY: the connection is there; the address is for the call.
        Errno::check(unsafe { (self.cm().rdma_bind_addr)(self.id.as_ptr(), address.as_mut()) })
    }

    /// The name of the device that it is bound to.
    fn device_name(&self) -> Option<String> {
        // SAFETY: the connection is there; what it is bound to is not given up by librdmacm.
        unsafe {
            let verbs = self.id.as_ref().verbs;
            let device = verbs.as_ref()?.device.as_ref()?;
            Some(CStr::from_ptr(device.name.as_ptr()).to_string_lossy().into_owned())
        }
    }

    /// Waits for an event of that kind.
    fn expect(&self, kind: u32, until: Instant, what: &str) -> Result<Event> {
        let Some(event) = self.channel.next(until)? else {
            let cause = format!("{what}: the peer does not answer");
            return Err(Error::new(ErrorKind::Timeout, cause));
        };
        if event.kind == kind {
            return Ok(event);
        }
        let refusal = match event.kind {
            RDMA_CM_EVENT_UNREACHABLE if event.status == -libc::ETIMEDOUT => ErrorKind::Timeout,
            RDMA_CM_EVENT_DEVICE_REMOVAL => ErrorKind::DeviceRemoved,
            _ => ErrorKind::ConnectionRefused,
        };
        let (name, status) = (self.channel.name(event.kind), event.status);
        Err(Error::new(refusal, format!("{what}: {name}, status {status}")))
    }

    /// Finds the way to an address. It is asked for again and again: the kernel may not notice at once that the first
    /// question to the network was answered.
    fn find(&self, from: SocketAddr, to: SocketAddr, until: Instant) -> Result<()> {
        const WHAT: &str = "finding the peer's address";
        let (mut from, mut to) = (Address::new(from), Address::new(to));
        loop {
            let milliseconds = QUESTION.as_millis() as c_int;
            // SAFETY: the connection is there, and the addresses are for the call.
            let asked = unsafe {
                let resolve = self.cm().rdma_resolve_addr;
                resolve(self.id.as_ptr(), from.as_mut(), to.as_mut(), milliseconds)
            };
            Errno::check(asked).map_err(|errno| errno.error(WHAT))?;
            let Some(event) = self.channel.next(until)? else {
                return Err(Error::new(ErrorKind::Timeout, WHAT));
            };
            match (event.kind, -event.status) {
                (RDMA_CM_EVENT_ADDR_RESOLVED, _) => return Ok(()),
                (RDMA_CM_EVENT_ADDR_ERROR, libc::ETIMEDOUT) if Instant::now() < until => {}
                (RDMA_CM_EVENT_ADDR_ERROR, errno) => return Err(Errno(errno).error(WHAT)),
                (kind, status) => {
                    let cause = format!("{WHAT}: {}, status {status}", self.channel.name(kind));
                    return Err(Error::new(ErrorKind::ConnectionRefused, cause));
                }
            }
        }
    }

    /// Moves the device's queue pair on, as the connection says.
    fn move_on(&self, device: &Device, objects: &Objects) -> Result<()> {
        for state in [IBV_QPS_RTR, IBV_QPS_RTS] {
            let mut to = ibv_qp_attr { qp_state: state, ..ibv_qp_attr::zeroed() };
            let mut mask = 0;
            // SAFETY: the connection is there, and the two places to be written.
            let filled = unsafe {
                (self.cm().rdma_init_qp_attr)(self.id.as_ptr(), &raw mut to, &raw mut mask)
            };
            Errno::check(filled).map_err(|errno| errno.error("asking for a connection's route"))?;
            modify(device, objects, to, mask)?;
        }
        Ok(())
    }

    /// What has come over the connection; true where it is lost.
    pub(super) fn is_lost(&self) -> bool {
        let mut lost = false;
        while let Ok(Some(event)) = self.channel.next(Instant::now()) {
            lost |= matches!(event.kind, RDMA_CM_EVENT_DISCONNECTED | RDMA_CM_EVENT_DEVICE_REMOVAL);
        }
        lost
    }

    /// What becomes readable when something comes.
    pub(super) fn fd(&self) -> c_int {
        self.channel.fd()
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if std::process::id() != self.process {
            return;
        }
        // SAFETY: the queue pair that it connected is gone, and so are its events: each was acknowledged.
        unsafe { (self.cm().rdma_destroy_id)(self.id.as_ptr()) };
    }
}

/// The address of a device: that of the interface under it.
///
/// # Errors
/// NOT_SUPPORTED where no address leads to the device.
pub(crate) fn address_of(device: &str) -> Result<IpAddr> {
    let addresses = local_addresses()?;
    for &address in &addresses {
        let call = Call::new()?;
        if call.bind(SocketAddr::new(address, 0)).is_ok()
            && call.device_name().is_some_and(|name| name == device)
        {
            return Ok(address);
        }
    }
    let cause = format!(
        "no address of this machine leads to {device}: give its interface one (there are {addresses:?})"
    );
    Err(Error::new(ErrorKind::NotSupported, cause))
}

/// Listens at a port of its own, and gives the endpoint. Blocks.
pub(super) fn listen(address: IpAddr) -> Result<(Call, SocketAddr)> {
    let call = Call::new()?;
    call.bind(SocketAddr::new(address, 0)).map_err(|errno| errno.error("taking a port"))?;
    // SAFETY: the listener is there.
    let port = unsafe {
        Errno::check((call.cm().rdma_listen)(call.id.as_ptr(), 8))
            .map_err(|errno| errno.error("listening at a port"))?;
        u16::from_be((call.cm().rdma_get_src_port)(call.id.as_ptr()))
    };
    Ok((call, SocketAddr::new(address, port)))
}

impl Core {
    fn parameters(&self, private_data: &[u8]) -> rdma_conn_param {
        let attributes = &self.device().attributes.device;
        let limit = |most: i32| u8::try_from(most.clamp(0, 255)).unwrap_or(0);
        rdma_conn_param {
            private_data: private_data.as_ptr().cast(),
            private_data_len: private_data.len() as u8,
            responder_resources: limit(attributes.max_qp_rd_atom),
            initiator_depth: limit(attributes.max_qp_init_rd_atom),
            retry_count: RETRIES,
            rnr_retry_count: RECEIVE_RETRIES,
            qp_num: self.qp_number,
            ..rdma_conn_param::zeroed()
        }
    }

    /// Connects to the queue pair that listens there. Blocks, as long as the peer takes.
    pub(super) fn call_or_answer(&self, listener: &Call, to: SocketAddr) -> Result<Call> {
        let (own, theirs) = (&self.endpoint.0, to_text(to));
        match *own < theirs {
            true => self.call(own, to),
            false => self.answer(listener, &theirs),
        }
    }

    fn call(&self, own: &str, to: SocketAddr) -> Result<Call> {
        let (call, until) = (Call::new()?, Instant::now() + PATIENCE);
        let (cm, id) = (call.cm(), call.id.as_ptr());
        let from = from_text(own).ok_or(ErrorKind::Internal)?;
        let (from, failed) =
            (SocketAddr::new(from.ip(), 0), |errno: Errno| errno.error("calling the peer"));
        call.find(from, to, until)?;
        let milliseconds = PATIENCE.as_millis() as c_int;
        // SAFETY: here and below the connection is there, and what is pointed to is for the call.
        Errno::check(unsafe { (cm.rdma_resolve_route)(id, milliseconds) }).map_err(failed)?;
        call.expect(RDMA_CM_EVENT_ROUTE_RESOLVED, until, "finding a way to the peer")?;
        let mut parameters = self.parameters(own.as_bytes());
        // SAFETY: as said.
        Errno::check(unsafe { (cm.rdma_connect)(id, &raw mut parameters) }).map_err(failed)?;
        if self.device().attributes.iwarp {
            call.expect(RDMA_CM_EVENT_ESTABLISHED, until, "calling the peer")?;
            return Ok(call);
        }
        call.expect(RDMA_CM_EVENT_CONNECT_RESPONSE, until, "calling the peer")?;
        self.with_objects(|objects| call.move_on(self.device(), objects))?;
        // SAFETY: as said.
        Errno::check(unsafe { (cm.rdma_establish)(id) }).map_err(failed)?;
        Ok(call)
    }

    fn answer(&self, listener: &Call, theirs: &str) -> Result<Call> {
        let until = Instant::now() + PATIENCE;
        loop {
            let event =
                listener.expect(RDMA_CM_EVENT_CONNECT_REQUEST, until, "waiting for the peer")?;
            let id = NonNull::new(event.id).ok_or(ErrorKind::Internal)?;
            // A channel of its own, so that its end is told apart from the listener's calls.
            let call = Call { id, channel: Channel::new()?, process: std::process::id() };
            let cm = call.cm();
            // InfiniBand pads what comes with a call.
            let caller = event.private_data.split(|&byte| byte == 0).next().unwrap_or_default();
            if caller != theirs.as_bytes() {
                log::warn!("{}: a call by another than the peer is refused", self.device().name());
                // SAFETY: the call is there.
                unsafe { (cm.rdma_reject)(id.as_ptr(), std::ptr::null(), 0) };
                continue;
            }
            let failed = |errno: Errno| errno.error("answering the peer's call");
            // SAFETY: both are there; what came with the call was acknowledged.
            let moved = unsafe { (cm.rdma_migrate_id)(id.as_ptr(), call.channel.raw.as_ptr()) };
            Errno::check(moved).map_err(failed)?;
            if !self.device().attributes.iwarp {
                self.with_objects(|objects| call.move_on(self.device(), objects))?;
            }
            let mut parameters = self.parameters(&[]);
            // SAFETY: the call is there; the parameters are for this.
            let accepted = unsafe { (cm.rdma_accept)(id.as_ptr(), &raw mut parameters) };
            Errno::check(accepted).map_err(failed)?;
            call.expect(RDMA_CM_EVENT_ESTABLISHED, until, "answering the peer's call")?;
            return Ok(call);
        }
    }
}
