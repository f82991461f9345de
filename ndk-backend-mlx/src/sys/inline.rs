//! What is inline code in rdma-core's headers: calls through the table of functions of an object's device.
//!
//! Each function needs its object alive, and what C asks of the arguments.

#![allow(clippy::missing_safety_doc)] // said once, above

use super::object::{ibv_cq, ibv_mw, ibv_pd, ibv_qp};
use super::work::{ibv_recv_wr, ibv_send_wr, ibv_wc};
use libc::{EOPNOTSUPP, c_int, c_uint};

/// Calls a function of the table, or gives an error where the device's driver has none.
macro_rules! through_table {
    ($context:expr, $function:ident($($argument:expr),*), $without:expr) => {
        // SAFETY: the object is alive, and so is its context.
        match unsafe { (*$context).ops.$function } {
            // SAFETY: the caller's promise.
            Some(function) => unsafe { function($($argument),*) },
            None => $without,
        }
    };
}

/// Makes a window; null with `errno` where that fails, and null without it where the driver has no windows.
pub unsafe fn ibv_alloc_mw(pd: *mut ibv_pd, kind: c_uint) -> *mut ibv_mw {
    // SAFETY: the domain is alive.
    let context = unsafe { (*pd).context };
    through_table!(context, alloc_mw(pd, kind), core::ptr::null_mut())
}

/// Gives a window up; an `errno` value, or 0.
pub unsafe fn ibv_dealloc_mw(mw: *mut ibv_mw) -> c_int {
    // SAFETY: the window is alive.
    let context = unsafe { (*mw).context };
    through_table!(context, dealloc_mw(mw), EOPNOTSUPP)
}

/// Takes completions; how many, or a negative number.
#[inline]
pub unsafe fn ibv_poll_cq(cq: *mut ibv_cq, room: c_int, into: *mut ibv_wc) -> c_int {
    // SAFETY: the queue is alive.
    let context = unsafe { (*cq).context };
    through_table!(context, poll_cq(cq, room, into), -1)
}

/// Asks for an event on the queue's channel at the next completion; an `errno` value, or 0.
pub unsafe fn ibv_req_notify_cq(cq: *mut ibv_cq, solicited_only: c_int) -> c_int {
    // SAFETY: the queue is alive.
    let context = unsafe { (*cq).context };
    through_table!(context, req_notify_cq(cq, solicited_only), EOPNOTSUPP)
}

/// Posts requests; an `errno` value, or 0.
#[inline]
pub unsafe fn ibv_post_send(
    qp: *mut ibv_qp,
    requests: *mut ibv_send_wr,
    refused: *mut *mut ibv_send_wr,
) -> c_int {
    // SAFETY: the queue pair is alive.
    let context = unsafe { (*qp).context };
    through_table!(context, post_send(qp, requests, refused), EOPNOTSUPP)
}

/// Posts receives; an `errno` value, or 0.
#[inline]
pub unsafe fn ibv_post_recv(
    qp: *mut ibv_qp,
    receives: *mut ibv_recv_wr,
    refused: *mut *mut ibv_recv_wr,
) -> c_int {
    // SAFETY: the queue pair is alive.
    let context = unsafe { (*qp).context };
    through_table!(context, post_recv(qp, receives, refused), EOPNOTSUPP)
}
