//! librdmacm: connections by address.

use super::object::ibv_context;
use super::queue_pair::ibv_qp;
use libc::{c_int, c_uint, c_void};

c_structs! {
    /// Where events of connections are read.
    rdma_event_channel {
        fd: c_int,
    }

    /// A connection, or a listener.
    rdma_cm_id, beginning {
        verbs: *mut ibv_context,
        channel: *mut rdma_event_channel,
        context: *mut c_void,
        qp: *mut ibv_qp,
    }

    /// What both ends agree on when they connect.
    rdma_conn_param {
        private_data: *const c_void,
        private_data_len: u8,
        responder_resources: u8,
        initiator_depth: u8,
        flow_control: u8,
        retry_count: u8,
        rnr_retry_count: u8,
        srq: u8,
        qp_num: u32,
    }

    /// A step of a connection. In C the parameters stand in a union with those of datagrams.
    rdma_cm_event, beginning {
        id: *mut rdma_cm_id,
        listen_id: *mut rdma_cm_id,
        event: c_uint,
        status: c_int,
        conn: rdma_conn_param as "param.conn",
    }
}

c_constants! {
    RDMA_PS_TCP: c_uint = 0x0106;
    RDMA_CM_EVENT_ADDR_RESOLVED: c_uint = 0;
    RDMA_CM_EVENT_ADDR_ERROR: c_uint = 1;
    RDMA_CM_EVENT_ROUTE_RESOLVED: c_uint = 2;
    RDMA_CM_EVENT_ROUTE_ERROR: c_uint = 3;
    RDMA_CM_EVENT_CONNECT_REQUEST: c_uint = 4;
    RDMA_CM_EVENT_CONNECT_RESPONSE: c_uint = 5;
    RDMA_CM_EVENT_CONNECT_ERROR: c_uint = 6;
    RDMA_CM_EVENT_UNREACHABLE: c_uint = 7;
    RDMA_CM_EVENT_REJECTED: c_uint = 8;
    RDMA_CM_EVENT_ESTABLISHED: c_uint = 9;
    RDMA_CM_EVENT_DISCONNECTED: c_uint = 10;
    RDMA_CM_EVENT_DEVICE_REMOVAL: c_uint = 11;
    RDMA_CM_EVENT_ADDR_CHANGE: c_uint = 14;
    RDMA_CM_EVENT_TIMEWAIT_EXIT: c_uint = 15;
}
