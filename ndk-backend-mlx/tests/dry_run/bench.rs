//! What a test needs of verbs around a fast registration: context, domain, queues, registered memory.

use crate::fake::Fake;
use ndk_backend_mlx::mlx5::limits::Limits;
use ndk_backend_mlx::mlx5::queue::RawQueue;
use ndk_backend_mlx::mlx5::runs::Runs;
use ndk_backend_mlx::mlx5::umr::Umr;
use ndk_backend_mlx::sys::inline::ibv_post_send;
use ndk_backend_mlx::sys::layout::Zeroed;
use ndk_backend_mlx::sys::load::{Mlx5, Verbs};
use ndk_backend_mlx::sys::object::{IBV_ACCESS_LOCAL_WRITE, ibv_context, ibv_pd, ibv_qp};
use ndk_backend_mlx::sys::queue_pair::{
    IBV_QP_ACCESS_FLAGS, IBV_QP_PKEY_INDEX, IBV_QP_PORT, IBV_QP_STATE, IBV_QPS_INIT, IBV_QPS_RTR,
    IBV_QPS_RTS, IBV_QPT_RC, ibv_qp_attr, ibv_qp_cap, ibv_qp_init_attr,
};
use ndk_backend_mlx::sys::work::{
    IBV_SEND_FENCE, IBV_SEND_SIGNALED, IBV_WR_LOCAL_INV, IBV_WR_SEND, ibv_send_wr,
};
use ndk_core::{Access, Result};
use std::ptr;

pub(crate) const PAGE: u64 = 4096;
/// How many requests the queue pairs here hold.
pub(crate) const DEPTH: u32 = 8;

/// An open device, and a domain of it.
pub(crate) struct Bench {
    pub(crate) fake: Fake,
    pub(crate) verbs: &'static Verbs,
    pub(crate) mlx5: &'static Mlx5,
    pub(crate) context: *mut ibv_context,
    pub(crate) domain: *mut ibv_pd,
}

impl Bench {
    pub(crate) fn open(fake: Fake) -> Self {
        let (verbs, mlx5) = (Verbs::get().unwrap(), Mlx5::get().unwrap());
        let mut count = 0;
        // SAFETY: an open device is used on one thread, and stays open.
        unsafe {
            let devices = (verbs.ibv_get_device_list)(&raw mut count);
            assert_eq!(count, 1, "libibverbs finds the device");
            let context = (verbs.ibv_open_device)(*devices);
            assert!(!context.is_null(), "{}", std::io::Error::last_os_error());
            let domain = (verbs.ibv_alloc_pd)(context);
            assert!(!domain.is_null(), "{}", std::io::Error::last_os_error());
            Self { fake, verbs, mlx5, context, domain }
        }
    }

    pub(crate) fn limits(&self) -> Result<Limits> {
        // SAFETY: the context is open.
        unsafe { Limits::query(self.mlx5, self.context) }
    }

    /// Registered memory with local rights alone, as a mapping has it.
    pub(crate) fn memory(&self, pages: usize) -> Memory {
        let bytes = vec![0u8; (pages + 1) * PAGE as usize];
        let begin = (bytes.as_ptr() as u64).next_multiple_of(PAGE);
        let length = pages * PAGE as usize;
        // SAFETY: the memory stays as long as the test.
        let region = unsafe {
            let at = ptr::with_exposed_provenance_mut(begin as usize);
            (self.verbs.ibv_reg_mr_iova2)(self.domain, at, length, begin, IBV_ACCESS_LOCAL_WRITE)
        };
        assert!(!region.is_null(), "{}", std::io::Error::last_os_error());
        // SAFETY: the region was made just now.
        let key = unsafe { (*region).lkey };
        Memory { _bytes: bytes, begin, key }
    }

    pub(crate) fn queue_pair(&self, limits: &Limits) -> QueuePair<'_> {
        // SAFETY: the objects stay as long as the test.
        unsafe {
            let completions =
                (self.verbs.ibv_create_cq)(self.context, 64, ptr::null_mut(), ptr::null_mut(), 0);
            assert!(!completions.is_null());
            let mut attributes = ibv_qp_init_attr {
                send_cq: completions,
                recv_cq: completions,
                cap: ibv_qp_cap {
                    max_send_wr: DEPTH,
                    max_recv_wr: 4,
                    max_send_sge: 16,
                    max_recv_sge: 16,
                    max_inline_data: 0,
                },
                qp_type: IBV_QPT_RC,
                ..Zeroed::zeroed()
            };
            let (queue_pair, queue) =
                RawQueue::create(self.verbs, self.mlx5, self.domain, &mut attributes, limits)
                    .unwrap();
            let step = |state, mask| {
                let mut attributes =
                    ibv_qp_attr { qp_state: state, port_num: 1, ..Zeroed::zeroed() };
                let attributes = &raw mut attributes;
                assert_eq!(
                    (self.verbs.ibv_modify_qp)(queue_pair, attributes, IBV_QP_STATE | mask),
                    0
                );
            };
            step(IBV_QPS_INIT, IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS);
            step(IBV_QPS_RTR, 0);
            step(IBV_QPS_RTS, 0);
            QueuePair { bench: self, queue_pair, queue, limits: *limits }
        }
    }
}

/// Memory with its registration.
pub(crate) struct Memory {
    _bytes: Vec<u8>,
    pub(crate) begin: u64,
    pub(crate) key: u32,
}

impl Memory {
    /// A page, as a fast registration is given it.
    pub(crate) fn page(&self, index: usize) -> (u32, u64) {
        (self.key, self.begin + index as u64 * PAGE)
    }
}

/// A fast registration to be posted.
#[derive(Clone)]
pub(crate) struct Fast {
    pub(crate) key: u32,
    pub(crate) pages: Vec<(u32, u64)>,
    pub(crate) first_byte: u64,
    pub(crate) length: u64,
    pub(crate) base: u64,
    pub(crate) access: Access,
}

/// A connected queue pair.
pub(crate) struct QueuePair<'a> {
    pub(crate) bench: &'a Bench,
    pub(crate) queue_pair: *mut ibv_qp,
    pub(crate) queue: RawQueue,
    limits: Limits,
}

impl QueuePair<'_> {
    /// Posts a fast registration; where its entry begins.
    pub(crate) fn fast_register(&self, fast: &Fast) -> Result<u16> {
        let block = self.bench.fake.send_queue(self.queue.number()).posted();
        let pages = fast.pages.iter().copied();
        let runs = Runs::of_pages(pages, fast.first_byte, fast.length, self.limits.runs)?;
        let umr = Umr {
            key: fast.key,
            queue_pair: self.queue.number(),
            base: fast.base,
            runs: runs.as_slice(),
            access: fast.access,
            fence: self.limits.fence,
        };
        let entry = umr.encode(self.limits.runs)?;
        // SAFETY: the queue pair is used on this thread alone, and no test posts more than it holds.
        unsafe { self.queue.post(7, &entry) }?;
        Ok(block)
    }

    pub(crate) fn invalidate(&self, key: u32) -> u16 {
        self.post(IBV_WR_LOCAL_INV, key)
    }

    pub(crate) fn send(&self) -> u16 {
        self.post(IBV_WR_SEND, 0)
    }

    fn post(&self, opcode: u32, key: u32) -> u16 {
        let block = self.bench.fake.send_queue(self.queue.number()).posted();
        let fence = if self.queue.take_fence() { IBV_SEND_FENCE } else { 0 };
        let mut request = ibv_send_wr {
            opcode,
            send_flags: IBV_SEND_SIGNALED | fence,
            invalidate_rkey: key,
            ..Zeroed::zeroed()
        };
        let mut refused = ptr::null_mut();
        // SAFETY: the queue pair is used on this thread alone, and the request is whole.
        let status = unsafe { ibv_post_send(self.queue_pair, &raw mut request, &raw mut refused) };
        assert_eq!(status, 0);
        block
    }

    /// The entry that begins at this block, as the adapter would read it.
    pub(crate) fn entry(&self, block: u16) -> Vec<u8> {
        self.bench.fake.send_queue(self.queue.number()).entry(block)
    }

    /// How many blocks were posted.
    pub(crate) fn posted(&self) -> u16 {
        self.bench.fake.send_queue(self.queue.number()).posted()
    }
}
