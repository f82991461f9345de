//! Queue pairs that take entries of our own.

use super::limits::{KEPT_BY_LIBMLX5, Limits};
use super::umr::Entry;
use crate::errno::Errno;
use crate::sys::layout::Zeroed;
use crate::sys::load::{Mlx5, Verbs};
use crate::sys::mlx5::{
    IBV_QP_EX_WITH_BIND_MW, IBV_QP_EX_WITH_LOCAL_INV, IBV_QP_EX_WITH_RDMA_READ,
    IBV_QP_EX_WITH_RDMA_WRITE, IBV_QP_EX_WITH_SEND, IBV_QP_EX_WITH_SEND_WITH_INV,
    IBV_QP_INIT_ATTR_PD, IBV_QP_INIT_ATTR_SEND_OPS_FLAGS, MLX5DV_OBJ_QP, MLX5DV_QP_EX_WITH_RAW_WQE,
    MLX5DV_QP_INIT_ATTR_MASK_SEND_OPS_FLAGS, ibv_qp_ex, ibv_qp_init_attr_ex, mlx5dv_obj, mlx5dv_qp,
    mlx5dv_qp_ex, mlx5dv_qp_init_attr,
};
use crate::sys::object::{ibv_pd, ibv_qp};
use crate::sys::queue_pair::ibv_qp_init_attr;
use ndk_core::{Error, ErrorKind, Result};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};

/// The length that stands before data in an entry.
const LENGTH_OF_INLINE_DATA: usize = 4;

/// A queue pair's send queue, for entries that are given as bytes.
#[derive(Debug)]
pub(crate) struct RawQueue {
    queue: NonNull<ibv_qp_ex>,
    raw: NonNull<mlx5dv_qp_ex>,
    number: u32,
    fence_next: AtomicBool,
}

// SAFETY: `post` asks its caller to be alone.
unsafe impl Send for RawQueue {}
// SAFETY: as above.
unsafe impl Sync for RawQueue {}

impl RawQueue {
    /// Makes a queue pair each of whose requests may be a fast registration, and otherwise as `ibv_create_qp` does with
    /// these attributes, which it updates as that does.
    ///
    /// # Errors
    /// NOT_SUPPORTED where libmlx5 (before rdma-core 36) takes no entries as bytes; INSUFFICIENT_RESOURCES.
    ///
    /// # Safety
    /// The domain is allocated, of an mlx5 device; it and the attributes' completion queues outlive the queue pair.
    pub(crate) unsafe fn create(
        verbs: &Verbs,
        domain: *mut ibv_pd,
        attributes: &mut ibv_qp_init_attr,
        limits: &Limits,
    ) -> Result<(NonNull<ibv_qp>, Self)> {
        let library = Mlx5::get()?;
        let depth = attributes.cap.max_send_wr as usize;
        let mut cap = attributes.cap;
        // libmlx5 makes room for each request by the inline data that it may have.
        let list = limits.entry_size().saturating_sub(KEPT_BY_LIBMLX5 + LENGTH_OF_INLINE_DATA);
        cap.max_inline_data = cap.max_inline_data.max(list as u32);
        cap.max_send_sge = limits.elements(cap.max_send_sge);
        let mut extended = ibv_qp_init_attr_ex {
            qp_context: attributes.qp_context,
            send_cq: attributes.send_cq,
            recv_cq: attributes.recv_cq,
            srq: attributes.srq,
            cap,
            qp_type: attributes.qp_type,
            sq_sig_all: attributes.sq_sig_all,
            comp_mask: IBV_QP_INIT_ATTR_PD | IBV_QP_INIT_ATTR_SEND_OPS_FLAGS,
            pd: domain,
            send_ops_flags: IBV_QP_EX_WITH_SEND
                | IBV_QP_EX_WITH_SEND_WITH_INV
                | IBV_QP_EX_WITH_RDMA_READ
                | IBV_QP_EX_WITH_RDMA_WRITE
                | IBV_QP_EX_WITH_LOCAL_INV
                | IBV_QP_EX_WITH_BIND_MW,
            ..Zeroed::zeroed()
        };
        let mut particular = mlx5dv_qp_init_attr {
            comp_mask: MLX5DV_QP_INIT_ATTR_MASK_SEND_OPS_FLAGS,
            send_ops_flags: MLX5DV_QP_EX_WITH_RAW_WQE,
            ..Zeroed::zeroed()
        };
        // SAFETY: the domain is allocated, and so its context open.
        let context = unsafe { (*domain).context };
        // SAFETY: context, domain and completion queues are alive; the attributes are whole.
        let made =
            unsafe { (library.mlx5dv_create_qp)(context, &raw mut extended, &raw mut particular) };
        let refused = || Errno::last().error("making a queue pair that takes entries as bytes");
        let made = NonNull::new(made).ok_or_else(refused)?;
        // SAFETY: the queue pair was made just now.
        let queue = unsafe { Self::of(verbs, library, made.as_ptr(), depth, limits) };
        let queue = queue.inspect_err(|_| {
            // SAFETY: nobody else knows of the queue pair.
            unsafe { (verbs.ibv_destroy_qp)(made.as_ptr()) };
        })?;
        attributes.cap = extended.cap;
        Ok((made, queue))
    }

    /// # Safety
    /// The queue pair is one that `mlx5dv_create_qp` made, with requests of its own kinds.
    unsafe fn of(
        verbs: &Verbs,
        library: &Mlx5,
        made: *mut ibv_qp,
        depth: usize,
        limits: &Limits,
    ) -> Result<Self> {
        let mut memory = mlx5dv_qp::zeroed();
        let mut object = mlx5dv_obj { qp_in: made, qp_out: &raw mut memory };
        // SAFETY: queue pair and description are there, and only those are asked for.
        let status = unsafe { (library.mlx5dv_init_obj)(&raw mut object, MLX5DV_OBJ_QP) };
        Errno::check(status).map_err(|errno| errno.error("asking for a queue pair's memory"))?;
        // libmlx5 counts requests, not bytes: were the queue shorter, entries would overwrite one another.
        let room = memory.sq_wqe_cnt as usize * memory.sq_stride as usize;
        let needed = depth * limits.entry_size();
        if room < needed {
            let cause = format!(
                "libmlx5 made a send queue of {room} bytes, where {depth} fast registrations take {needed}"
            );
            return Err(Error::new(ErrorKind::Internal, cause));
        }
        // SAFETY: the queue pair was made with requests of its own kinds, so it has both tables.
        let queue = unsafe { (verbs.ibv_qp_to_qp_ex)(made) };
        let raw = match NonNull::new(queue) {
            // SAFETY: as above.
            Some(queue) => unsafe { (library.mlx5dv_qp_ex_from_ibv_qp_ex)(queue.as_ptr()) },
            None => std::ptr::null_mut(),
        };
        let (Some(queue), Some(raw)) = (NonNull::new(queue), NonNull::new(raw)) else {
            let cause = "libmlx5 made a queue pair without its functions for posting";
            return Err(Error::new(ErrorKind::Internal, cause));
        };
        // SAFETY: the queue pair was made just now.
        let number = unsafe { (*made).qp_num };
        Ok(Self { queue, raw, number, fence_next: AtomicBool::new(false) })
    }

    /// The queue pair's number, which its entries name.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// Whether the next request has to be fenced (`IBV_SEND_FENCE`): the one after a UMR entry must wait for it, and
    /// libmlx5 sees to that only for entries that it wrote itself. The answer is given once.
    pub(crate) fn take_fence(&self) -> bool {
        self.fence_next.swap(false, Ordering::Relaxed)
    }

    /// Puts an entry into the queue and rings the doorbell.
    ///
    /// # Errors
    /// INSUFFICIENT_RESOURCES, with nothing posted, where the adapter's driver refuses it.
    ///
    /// # Safety
    /// The queue pair is alive and nobody else posts to it meanwhile. It has room: fewer requests are outstanding than
    /// it was made for. (libmlx5 notices a full queue, but writes the entry over another one all the same.)
    pub(crate) unsafe fn post(&self, id: u64, entry: &Entry) -> Result<()> {
        let (queue, raw) = (self.queue.as_ptr(), self.raw.as_ptr());
        // SAFETY: the queue pair is alive, and the tables were filled when it was made.
        let functions = unsafe { ((*queue).wr_start, (*raw).wr_raw_wqe, (*queue).wr_complete) };
        let (Some(start), Some(put), Some(complete)) = functions else {
            let cause = "libmlx5 takes no entries as bytes: rdma-core 36 or newer does";
            return Err(Error::new(ErrorKind::NotSupported, cause));
        };
        // SAFETY: the caller is alone with the queue; the entry is as long as it says itself, and is copied.
        let status = unsafe {
            start(queue);
            (*queue).wr_id = id;
            put(raw, entry.bytes().as_ptr().cast());
            complete(queue)
        };
        Errno::check(status).map_err(|errno| errno.error("posting a fast registration"))?;
        self.fence_next.store(true, Ordering::Relaxed);
        Ok(())
    }
}
