//! libmlx5's own interface: indirect keys, and queue pairs that take work-queue entries as bytes.

use super::object::{ibv_cq, ibv_pd, ibv_qp};
use super::queue_pair::ibv_qp_cap;
use libc::{c_int, c_uint, c_void, off_t, pthread_cond_t, pthread_mutex_t};

/// A function of a queue pair's table that is not called here.
type Unused = Option<unsafe extern "C" fn()>;

c_structs! {
    /// What an indirect key is made of.
    mlx5dv_mkey_init_attr {
        pd: *mut ibv_pd,
        create_flags: u32,
        max_entries: u16,
    }

    /// An indirect key.
    mlx5dv_mkey, beginning {
        lkey: u32,
        rkey: u32,
    }

    /// What a queue pair is made of, with the kinds of requests that it is to take through `ibv_wr_*`.
    ibv_qp_init_attr_ex {
        qp_context: *mut c_void,
        send_cq: *mut ibv_cq,
        recv_cq: *mut ibv_cq,
        srq: *mut c_void,
        cap: ibv_qp_cap,
        qp_type: c_uint,
        sq_sig_all: c_int,
        comp_mask: u32,
        pd: *mut ibv_pd,
        xrcd: *mut c_void,
        create_flags: u32,
        max_tso_header: u16,
        rwq_ind_tbl: *mut c_void,
        rx_hash_function: u8 as "rx_hash_conf.rx_hash_function",
        rx_hash_key_len: u8 as "rx_hash_conf.rx_hash_key_len",
        rx_hash_key: *mut u8 as "rx_hash_conf.rx_hash_key",
        rx_hash_fields_mask: u64 as "rx_hash_conf.rx_hash_fields_mask",
        source_qpn: u32,
        send_ops_flags: u64,
    }

    /// For a kind of queue pair that is not used here.
    mlx5dv_dc_init_attr {
        dc_type: c_uint,
        dct_access_key: u64,
    }

    /// What a queue pair is made of, for what only mlx5 has.
    mlx5dv_qp_init_attr {
        comp_mask: u64,
        create_flags: u32,
        dc_init_attr: mlx5dv_dc_init_attr,
        send_ops_flags: u64,
    }

    /// A queue pair to its end: what stands before its table of functions.
    whole_ibv_qp as "struct ibv_qp" {
        context: *mut c_void,
        qp_context: *mut c_void,
        pd: *mut ibv_pd,
        send_cq: *mut ibv_cq,
        recv_cq: *mut ibv_cq,
        srq: *mut c_void,
        handle: u32,
        qp_num: u32,
        state: c_uint,
        qp_type: c_uint,
        mutex: pthread_mutex_t,
        cond: pthread_cond_t,
        events_completed: u32,
    }

    /// A queue pair with its functions for posting.
    ibv_qp_ex, beginning {
        qp_base: whole_ibv_qp,
        comp_mask: u64,
        wr_id: u64,
        wr_flags: c_uint,
        wr_atomic_cmp_swp: Unused,
        wr_atomic_fetch_add: Unused,
        wr_bind_mw: Unused,
        wr_local_inv: Option<unsafe extern "C" fn(*mut ibv_qp_ex, u32)>,
        wr_rdma_read: Unused,
        wr_rdma_write: Unused,
        wr_rdma_write_imm: Unused,
        wr_send: Unused,
        wr_send_imm: Unused,
        wr_send_inv: Unused,
        wr_send_tso: Unused,
        wr_set_ud_addr: Unused,
        wr_set_xrc_srqn: Unused,
        wr_set_inline_data: Unused,
        wr_set_inline_data_list: Unused,
        wr_set_sge: Unused,
        wr_set_sge_list: Unused,
        wr_start: Option<unsafe extern "C" fn(*mut ibv_qp_ex)>,
        wr_complete: Option<unsafe extern "C" fn(*mut ibv_qp_ex) -> c_int>,
        wr_abort: Option<unsafe extern "C" fn(*mut ibv_qp_ex)>,
    }

    /// A queue pair's functions for posting what only mlx5 has.
    mlx5dv_qp_ex, beginning {
        comp_mask: u64,
        wr_set_dc_addr: Unused,
        wr_mr_interleaved: Unused,
        wr_mr_list: Unused,
        wr_mkey_configure: Unused,
        wr_set_mkey_access_flags: Unused,
        wr_set_mkey_layout_list: Unused,
        wr_set_mkey_layout_interleaved: Unused,
        wr_set_mkey_sig_block: Unused,
        wr_raw_wqe: Option<unsafe extern "C" fn(*mut mlx5dv_qp_ex, *const c_void)>,
    }

    /// A queue pair's memory, as the adapter sees it.
    mlx5dv_qp {
        dbrec: *mut u32,
        sq_buf: *mut c_void as "sq.buf",
        sq_wqe_cnt: u32 as "sq.wqe_cnt",
        sq_stride: u32 as "sq.stride",
        rq_buf: *mut c_void as "rq.buf",
        rq_wqe_cnt: u32 as "rq.wqe_cnt",
        rq_stride: u32 as "rq.stride",
        bf_reg: *mut c_void as "bf.reg",
        bf_size: u32 as "bf.size",
        comp_mask: u64,
        uar_mmap_offset: off_t,
        tirn: u32,
        tisn: u32,
        rqn: u32,
        sqn: u32,
        tir_icm_addr: u64,
    }

    /// The objects to be described, and where to. More kinds of objects come with newer versions, and are asked for by
    /// flags, so that the beginning is enough.
    mlx5dv_obj, beginning {
        qp_in: *mut ibv_qp as "qp.in",
        qp_out: *mut mlx5dv_qp as "qp.out",
    }
}

c_constants! {
    IBV_QP_INIT_ATTR_PD: u32 = 1;
    IBV_QP_INIT_ATTR_SEND_OPS_FLAGS: u32 = 1 << 6;
    IBV_QP_EX_WITH_RDMA_WRITE: u64 = 1;
    IBV_QP_EX_WITH_SEND: u64 = 1 << 2;
    IBV_QP_EX_WITH_RDMA_READ: u64 = 1 << 4;
    IBV_QP_EX_WITH_LOCAL_INV: u64 = 1 << 7;
    IBV_QP_EX_WITH_BIND_MW: u64 = 1 << 8;
    IBV_QP_EX_WITH_SEND_WITH_INV: u64 = 1 << 9;
    MLX5DV_QP_INIT_ATTR_MASK_SEND_OPS_FLAGS: u64 = 1 << 2;
    MLX5DV_QP_EX_WITH_RAW_WQE: u64 = 1 << 3;
    MLX5DV_MKEY_INIT_ATTR_FLAGS_INDIRECT: u32 = 1;
    /// Since rdma-core 43.
    MLX5DV_MKEY_INIT_ATTR_FLAGS_REMOTE_INVALIDATE: u32 = 1 << 4;
    MLX5DV_OBJ_QP: u64 = 1;
}
