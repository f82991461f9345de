//! The thread that waits for what a device has to tell: completions, and events about it and its objects.

use crate::device::Device;
use crate::errno::Errno;
use crate::sys::device::{
    IBV_EVENT_CQ_ERR, IBV_EVENT_DEVICE_FATAL, IBV_EVENT_PORT_ACTIVE, IBV_EVENT_PORT_ERR,
    IBV_EVENT_QP_ACCESS_ERR, IBV_EVENT_QP_FATAL, IBV_EVENT_QP_LAST_WQE_REACHED,
    IBV_EVENT_QP_REQ_ERR, ibv_async_event,
};
use crate::sys::layout::Zeroed;
use libc::{EFD_CLOEXEC, POLLIN, pollfd};
use ndk_core::Result;
use std::ffi::CStr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;

/// The thread, while it runs.
pub(crate) struct Watch {
    thread: JoinHandle<()>,
    stop: Arc<OwnedFd>,
}

impl Watch {
    /// Starts the thread.
    pub(crate) fn new(device: &Arc<Device>) -> Result<Self> {
        // SAFETY: makes a file descriptor, which is owned from here on.
        let stop = unsafe {
            let fd = libc::eventfd(0, EFD_CLOEXEC);
            if fd < 0 {
                return Err(Errno::last().error("making an event"));
            }
            Arc::new(OwnedFd::from_raw_fd(fd))
        };
        // SAFETY: context and channel are open.
        let (events, completions) =
            unsafe { ((*device.context()).async_fd, (*device.channel()).fd) };
        for fd in [events, completions] {
            set_nonblocking(fd)?;
        }
        let (device, until) = (device.clone(), stop.clone());
        let named = std::thread::Builder::new().name("ndk-mlx-watch".into());
        let thread = named.spawn(move || {
            let mut fds = [until.as_raw_fd(), events, completions].map(|fd| pollfd {
                fd,
                events: POLLIN,
                revents: 0,
            });
            loop {
                // SAFETY: the array is there to be written.
                let ready = unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, -1) };
                if ready < 0 && Errno::last().0 != libc::EINTR {
                    return log::error!("{}: {}", device.name(), Errno::last().error("waiting"));
                }
                if ready <= 0 {
                    continue;
                }
                if fds[0].revents != 0 {
                    return;
                }
                if fds[2].revents != 0 {
                    completion_events(&device);
                }
                // Nothing but an event can be read there, so that anything else is the end of the device.
                if fds[1].revents & POLLIN != 0 {
                    device_events(&device);
                } else if fds[1].revents != 0 {
                    device.lose("its events have ended");
                    fds[1].fd = -1;
                }
                if fds[2].revents & !POLLIN != 0 {
                    fds[2].fd = -1;
                }
            }
        });
        let thread = thread
            .map_err(|error| Errno(error.raw_os_error().unwrap_or(0)))
            .map_err(|errno| errno.error("starting a thread"))?;
        Ok(Self { thread, stop })
    }

    /// Ends the thread.
    pub(crate) fn end(self) {
        let one = 1u64;
        // SAFETY: the descriptor is open, and eight bytes are read. What is written is never so much that it blocks.
        unsafe { libc::write(self.stop.as_raw_fd(), (&raw const one).cast(), size_of::<u64>()) };
        let _ = self.thread.join();
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
