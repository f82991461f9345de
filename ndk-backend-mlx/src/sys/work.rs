//! Work requests and completions.

use super::object::{ibv_mr, ibv_mw};
use libc::{c_int, c_uint};

c_structs! {
    /// An element of local memory.
    ibv_sge {
        addr: u64,
        length: u32,
        lkey: u32,
    }

    /// What a window is bound over.
    ibv_mw_bind_info {
        mr: *mut ibv_mr,
        addr: u64,
        length: u64,
        mw_access_flags: c_uint,
    }

    /// A request to the send queue. In C remote memory and window stand in unions, whose other members are for other
    /// kinds of queue pairs.
    ibv_send_wr {
        wr_id: u64,
        next: *mut ibv_send_wr,
        sg_list: *mut ibv_sge,
        num_sge: c_int,
        opcode: c_uint,
        send_flags: c_uint,
        invalidate_rkey: u32,
        remote_addr: u64 as "wr.rdma.remote_addr",
        rkey: u32 as "wr.rdma.rkey",
        rest_of_union: [u32; 5] as "",
        remote_srqn: u32 as "qp_type.xrc.remote_srqn",
        mw: *mut ibv_mw as "bind_mw.mw",
        mw_rkey: u32 as "bind_mw.rkey",
        bind_info: ibv_mw_bind_info as "bind_mw.bind_info",
    }

    /// A receive.
    ibv_recv_wr {
        wr_id: u64,
        next: *mut ibv_recv_wr,
        sg_list: *mut ibv_sge,
        num_sge: c_int,
    }

    /// A completion. After one with an error only `wr_id`, `status`, `qp_num` and `vendor_err` count.
    ibv_wc {
        wr_id: u64,
        status: c_uint,
        opcode: c_uint,
        vendor_err: u32,
        byte_len: u32,
        invalidated_rkey: u32,
        qp_num: u32,
        src_qp: u32,
        wc_flags: c_uint,
        pkey_index: u16,
        slid: u16,
        sl: u8,
        dlid_path_bits: u8,
    }
}

c_constants! {
    IBV_WR_RDMA_WRITE: c_uint = 0;
    IBV_WR_SEND: c_uint = 2;
    IBV_WR_RDMA_READ: c_uint = 4;
    IBV_WR_LOCAL_INV: c_uint = 7;
    IBV_WR_BIND_MW: c_uint = 8;
    IBV_WR_SEND_WITH_INV: c_uint = 9;
    IBV_SEND_FENCE: c_uint = 1;
    IBV_SEND_SIGNALED: c_uint = 1 << 1;
    IBV_SEND_SOLICITED: c_uint = 1 << 2;
    IBV_SEND_INLINE: c_uint = 1 << 3;
    IBV_WC_WITH_INV: c_uint = 1 << 3;
    IBV_WC_SUCCESS: c_uint = 0;
    IBV_WC_LOC_LEN_ERR: c_uint = 1;
    IBV_WC_LOC_QP_OP_ERR: c_uint = 2;
    IBV_WC_LOC_EEC_OP_ERR: c_uint = 3;
    IBV_WC_LOC_PROT_ERR: c_uint = 4;
    IBV_WC_WR_FLUSH_ERR: c_uint = 5;
    IBV_WC_MW_BIND_ERR: c_uint = 6;
    IBV_WC_BAD_RESP_ERR: c_uint = 7;
    IBV_WC_LOC_ACCESS_ERR: c_uint = 8;
    IBV_WC_REM_INV_REQ_ERR: c_uint = 9;
    IBV_WC_REM_ACCESS_ERR: c_uint = 10;
    IBV_WC_REM_OP_ERR: c_uint = 11;
    IBV_WC_RETRY_EXC_ERR: c_uint = 12;
    IBV_WC_RNR_RETRY_EXC_ERR: c_uint = 13;
    IBV_WC_LOC_RDD_VIOL_ERR: c_uint = 14;
    IBV_WC_REM_INV_RD_REQ_ERR: c_uint = 15;
    IBV_WC_REM_ABORT_ERR: c_uint = 16;
    IBV_WC_INV_EECN_ERR: c_uint = 17;
    IBV_WC_INV_EEC_STATE_ERR: c_uint = 18;
    IBV_WC_FATAL_ERR: c_uint = 19;
    IBV_WC_RESP_TIMEOUT_ERR: c_uint = 20;
    IBV_WC_GENERAL_ERR: c_uint = 21;
}
