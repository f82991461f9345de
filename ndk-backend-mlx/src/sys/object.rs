//! Contexts, domains, regions, windows, completion queues and channels.

use super::device::ibv_device;
use super::work::{ibv_recv_wr, ibv_send_wr, ibv_wc};
use libc::{c_int, c_uint, c_void};

pub use super::queue_pair::ibv_qp;

/// A function of an object's table that is not called here.
type Unused = Option<unsafe extern "C" fn()>;

c_structs! {
    /// An opened device.
    ibv_context, beginning {
        device: *mut ibv_device,
        ops: ibv_context_ops,
        cmd_fd: c_int,
        async_fd: c_int,
        num_comp_vectors: c_int,
    }

    /// The functions of a device's driver.
    ibv_context_ops {
        query_device: Unused as "_compat_query_device",
        query_port: Unused as "_compat_query_port",
        alloc_pd: Unused as "_compat_alloc_pd",
        dealloc_pd: Unused as "_compat_dealloc_pd",
        reg_mr: Unused as "_compat_reg_mr",
        rereg_mr: Unused as "_compat_rereg_mr",
        dereg_mr: Unused as "_compat_dereg_mr",
        alloc_mw: Option<unsafe extern "C" fn(*mut ibv_pd, c_uint) -> *mut ibv_mw>,
        bind_mw: Unused,
        dealloc_mw: Option<unsafe extern "C" fn(*mut ibv_mw) -> c_int>,
        create_cq: Unused as "_compat_create_cq",
        poll_cq: Option<unsafe extern "C" fn(*mut ibv_cq, c_int, *mut ibv_wc) -> c_int>,
        req_notify_cq: Option<unsafe extern "C" fn(*mut ibv_cq, c_int) -> c_int>,
        cq_event: Unused as "_compat_cq_event",
        resize_cq: Unused as "_compat_resize_cq",
        destroy_cq: Unused as "_compat_destroy_cq",
        create_srq: Unused as "_compat_create_srq",
        modify_srq: Unused as "_compat_modify_srq",
        query_srq: Unused as "_compat_query_srq",
        destroy_srq: Unused as "_compat_destroy_srq",
        post_srq_recv: Unused,
        create_qp: Unused as "_compat_create_qp",
        query_qp: Unused as "_compat_query_qp",
        modify_qp: Unused as "_compat_modify_qp",
        destroy_qp: Unused as "_compat_destroy_qp",
        post_send: Option<
            unsafe extern "C" fn(*mut ibv_qp, *mut ibv_send_wr, *mut *mut ibv_send_wr) -> c_int,
        >,
        post_recv: Option<
            unsafe extern "C" fn(*mut ibv_qp, *mut ibv_recv_wr, *mut *mut ibv_recv_wr) -> c_int,
        >,
        create_ah: Unused as "_compat_create_ah",
        destroy_ah: Unused as "_compat_destroy_ah",
        attach_mcast: Unused as "_compat_attach_mcast",
        detach_mcast: Unused as "_compat_detach_mcast",
        async_event: Unused as "_compat_async_event",
    }

    /// A protection domain.
    ibv_pd {
        context: *mut ibv_context,
        handle: u32,
    }

    /// A memory region.
    ibv_mr {
        context: *mut ibv_context,
        pd: *mut ibv_pd,
        addr: *mut c_void,
        length: usize,
        handle: u32,
        lkey: u32,
        rkey: u32,
    }

    /// A memory window.
    ibv_mw {
        context: *mut ibv_context,
        pd: *mut ibv_pd,
        rkey: u32,
        handle: u32,
        kind: c_uint as "type",
    }

    /// A completion channel: what a thread can wait on.
    ibv_comp_channel {
        context: *mut ibv_context,
        fd: c_int,
        refcnt: c_int,
    }

    /// A completion queue.
    ibv_cq, beginning {
        context: *mut ibv_context,
        channel: *mut ibv_comp_channel,
        cq_context: *mut c_void,
        handle: u32,
        cqe: c_int,
    }
}

c_constants! {
    IBV_MW_TYPE_1: c_uint = 1;
    IBV_MW_TYPE_2: c_uint = 2;
    IBV_ACCESS_LOCAL_WRITE: c_uint = 1;
    IBV_ACCESS_REMOTE_WRITE: c_uint = 1 << 1;
    IBV_ACCESS_REMOTE_READ: c_uint = 1 << 2;
    IBV_ACCESS_MW_BIND: c_uint = 1 << 4;
    IBV_ACCESS_RELAXED_ORDERING: c_uint = 1 << 20;
}
