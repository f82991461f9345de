//! The thread that waits for what a device has to tell: completions, and events about it and its objects.

use crate::device::Device;
use crate::errno::Errno;
use crate::sys::device::{
    IBV_EVENT_CQ_ERR, IBV_EVENT_DEVICE_FATAL, IBV_EVENT_PORT_ACTIVE, IBV_EVENT_PORT_ERR,
    IBV_EVENT_QP_ACCESS_ERR, IBV_EVENT_QP_FATAL, IBV_EVENT_QP_LAST_WQE_REACHED,
    IBV_EVENT_QP_REQ_ERR, ibv_async_event,
};
use crate::sys::layout::Zeroed;
use libc::{EFD_CLOEXEC, EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLLIN, epoll_event};
use ndk_core::Result;
use std::ffi::CStr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;

/// What the thread waits for.
pub(crate) struct Watched {
    epoll: OwnedFd,
    stop: OwnedFd,
}

/// What a descriptor that is ready is of; any other number is that of a queue pair, whose connection it is.
const STOP: u64 = u64::MAX;
const EVENTS: u64 = u64::MAX - 1;
const COMPLETIONS: u64 = u64::MAX - 2;

impl Watched {
    pub(crate) fn new() -> Result<Self> {
        let owned = |fd: i32| match fd {
            ..0 => Err(Errno::last().error("making an event")),
            // SAFETY: the descriptor was made just now, and has no other owner.
            _ => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        };
        // SAFETY: each makes a descriptor.
        let (epoll, stop) = unsafe {
            (owned(libc::epoll_create1(EPOLL_CLOEXEC))?, owned(libc::eventfd(0, EFD_CLOEXEC))?)
        };
        let watched = Self { epoll, stop };
        watched.add(watched.stop.as_raw_fd(), STOP)?;
        Ok(watched)
    }

    /// Adds a descriptor. It is no longer waited for once it is closed.
    pub(crate) fn add(&self, fd: i32, what: u64) -> Result<()> {
        let mut event = epoll_event { events: EPOLLIN as u32, u64: what };
        // SAFETY: both are open, and the event is for the call.
        let added =
            unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), EPOLL_CTL_ADD, fd, &raw mut event) };
        Errno::check(added).map_err(|errno| errno.error("waiting for a descriptor"))
    }

    fn remove(&self, fd: i32) {
        // SAFETY: both are open.
        unsafe {
            libc::epoll_ctl(self.epoll.as_raw_fd(), EPOLL_CTL_DEL, fd, std::ptr::null_mut());
        }
    }

    /// What is ready next, and in which way.
    fn next(&self) -> Result<(u64, u32), Errno> {
        let mut event = epoll_event { events: 0, u64: 0 };
        loop {
            // SAFETY: the event is there to be written.
            let ready = unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), &raw mut event, 1, -1) };
            match ready {
                1.. => return Ok((event.u64, event.events)),
                _ if Errno::last().0 == libc::EINTR => {}
                _ => return Err(Errno::last()),
            }
        }
    }
}

/// The thread, while it runs.
pub(crate) struct Watch(JoinHandle<()>);

impl Watch {
    /// Starts the thread.
    pub(crate) fn new(device: &Arc<Device>) -> Result<Self> {
        // SAFETY: context and channel are open.
        let (events, completions) =
            unsafe { ((*device.context()).async_fd, (*device.channel()).fd) };
        for (fd, what) in [(events, EVENTS), (completions, COMPLETIONS)] {
            set_nonblocking(fd)?;
            device.watched.add(fd, what)?;
        }
        let device = device.clone();
        let named = std::thread::Builder::new().name("ndk-mlx-watch".into());
        let thread = named.spawn(move || {
            loop {
                match device.watched.next() {
                    Ok((STOP, _)) => return,
                    Ok((EVENTS, how)) if how & EPOLLIN as u32 != 0 => device_events(&device),
                    // Nothing but an event can be read there, so that anything else is the end of the device.
                    Ok((EVENTS, _)) => {
                        device.watched.remove(events);
                        device.lose("its events have ended");
                    }
                    Ok((COMPLETIONS, how)) => {
                        completion_events(&device);
                        if how & EPOLLIN as u32 == 0 {
                            device.watched.remove(completions);
                        }
                    }
                    Ok((number, _)) => {
                        if let Some(port) = device.ports.get(number) {
                            port.hear();
                        }
                    }
                    Err(errno) => {
                        return log::error!("{}: {}", device.name(), errno.error("waiting"));
                    }
                }
            }
        });
        let refused = |error: std::io::Error| {
            Errno(error.raw_os_error().unwrap_or(0)).error("starting a thread")
        };
        thread.map(Self).map_err(refused)
    }

    /// Ends the thread.
    pub(crate) fn end(self, device: &Device) {
        let one = 1u64;
        let stop = device.watched.stop.as_raw_fd();
        // SAFETY: the descriptor is open, and eight bytes are read. It is never so full that this blocks.
        unsafe { libc::write(stop, (&raw const one).cast(), size_of::<u64>()) };
        let _ = self.0.join();
    }
}

fn set_nonblocking(fd: i32) -> Result<()> {
    // SAFETY: calls about an open descriptor.
    let set = unsafe {
        let flags = libc::fcntl(fd, libc::F_GETFL);
        libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK)
    };
    if set < 0 { Err(Errno::last().error("setting a descriptor up")) } else { Ok(()) }
}

fn completion_events(device: &Device) {
    let verbs = device.verbs();
    loop {
        let (mut cq, mut context) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: the channel is there, and the two places to be written.
        let got =
            unsafe { (verbs.ibv_get_cq_event)(device.channel(), &raw mut cq, &raw mut context) };
        if got != 0 {
            return;
        }
        let port = device.ports.get(context.addr() as u64);
        // SAFETY: a completion queue is not destroyed before its events were acknowledged, so it is there.
        unsafe { (verbs.ibv_ack_cq_events)(cq, 1) };
        if let Some(port) = port {
            port.rang();
        }
    }
}

fn device_events(device: &Device) {
    let verbs = device.verbs();
    loop {
        let mut event = ibv_async_event::zeroed();
        // SAFETY: the context is open, and the event there to be written.
        if unsafe { (verbs.ibv_get_async_event)(device.context(), &raw mut event) } != 0 {
            return;
        }
        // SAFETY: the text is a constant of the library.
        let what = unsafe { CStr::from_ptr((verbs.ibv_event_type_str)(event.event_type)) };
        let what = what.to_string_lossy();
        let kind = event.event_type;
        // SAFETY: the event was filled in, and is not acknowledged yet.
        let number = unsafe { number_of(&event) };
        // SAFETY: the event that was got.
        unsafe { (verbs.ibv_ack_async_event)(&raw mut event) };
        if let Some(port) = device.ports.get(number as u64) {
            log::debug!("{}: a queue pair: {what}", device.name());
            port.fail();
        }
        match kind {
            IBV_EVENT_DEVICE_FATAL => device.lose(&what),
            IBV_EVENT_PORT_ERR | IBV_EVENT_PORT_ACTIVE => {
                log::warn!("{}: {what}", device.name());
            }
            _ => {}
        }
    }
}

/// The number of the queue pair that an event is about; 0 for none.
///
/// # Safety
/// The event is one that was not acknowledged yet, so that its object is there.
unsafe fn number_of(event: &ibv_async_event) -> usize {
    // SAFETY: the type says what it is about, and the object is there.
    unsafe {
        match event.event_type {
            IBV_EVENT_QP_FATAL
            | IBV_EVENT_QP_REQ_ERR
            | IBV_EVENT_QP_ACCESS_ERR
            | IBV_EVENT_QP_LAST_WQE_REACHED => (*event.element.qp).qp_context.addr(),
            IBV_EVENT_CQ_ERR => (*event.element.cq).cq_context.addr(),
            _ => 0,
        }
    }
}
