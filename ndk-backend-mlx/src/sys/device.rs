//! Devices, their attributes and events.

use super::object::{ibv_cq, ibv_qp};
use libc::{c_char, c_int, c_uint, c_void};

c_structs! {
    /// A device that was found.
    ibv_device {
        ops: [*const c_void; 2] as "_ops",
        node_type: c_int,
        transport_type: c_int,
        name: [c_char; 64],
        dev_name: [c_char; 64],
        dev_path: [c_char; 256],
        ibdev_path: [c_char; 256],
    }

    /// What a device says of itself.
    ibv_device_attr {
        fw_ver: [c_char; 64],
        node_guid: u64,
        sys_image_guid: u64,
        max_mr_size: u64,
        page_size_cap: u64,
        vendor_id: u32,
        vendor_part_id: u32,
        hw_ver: u32,
        max_qp: c_int,
        max_qp_wr: c_int,
        device_cap_flags: c_uint,
        max_sge: c_int,
        max_sge_rd: c_int,
        max_cq: c_int,
        max_cqe: c_int,
        max_mr: c_int,
        max_pd: c_int,
        max_qp_rd_atom: c_int,
        max_ee_rd_atom: c_int,
        max_res_rd_atom: c_int,
        max_qp_init_rd_atom: c_int,
        max_ee_init_rd_atom: c_int,
        atomic_cap: c_uint,
        max_ee: c_int,
        max_rdd: c_int,
        max_mw: c_int,
        max_raw_ipv6_qp: c_int,
        max_raw_ethy_qp: c_int,
        max_mcast_grp: c_int,
        max_mcast_qp_attach: c_int,
        max_total_mcast_qp_attach: c_int,
        max_ah: c_int,
        max_fmr: c_int,
        max_map_per_fmr: c_int,
        max_srq: c_int,
        max_srq_wr: c_int,
        max_srq_sge: c_int,
        max_pkeys: u16,
        local_ca_ack_delay: u8,
        phys_port_cnt: u8,
    }

    /// A port. `ibv_query_port` fills it up to `link_layer`.
    ibv_port_attr {
        state: c_uint,
        max_mtu: c_uint,
        active_mtu: c_uint,
        gid_tbl_len: c_int,
        port_cap_flags: u32,
        max_msg_sz: u32,
        bad_pkey_cntr: u32,
        qkey_viol_cntr: u32,
        pkey_tbl_len: u16,
        lid: u16,
        sm_lid: u16,
        lmc: u8,
        max_vl_num: u8,
        sm_sl: u8,
        subnet_timeout: u8,
        init_type_reply: u8,
        active_width: u8,
        active_speed: u8,
        phys_state: u8,
        link_layer: u8,
        flags: u8,
        port_cap_flags2: u16,
    }

    /// A port's address; in C a union of bytes and two big-endian halves.
    ibv_gid as "union ibv_gid" {
        halves: [u64; 2] as "global",
    }

    /// A line of a port's address table.
    ibv_gid_entry {
        gid: ibv_gid,
        gid_index: u32,
        port_num: u32,
        gid_type: u32,
        ndev_ifindex: u32,
    }

    /// Something that happened to the device or to one of its objects; `element` is the object, or the port's number.
    ibv_async_event {
        element: ibv_async_element,
        event_type: c_uint,
    }
}

/// What an event is about; its type says which.
#[repr(C)]
#[derive(Clone, Copy)]
pub union ibv_async_element {
    pub cq: *mut ibv_cq,
    pub qp: *mut ibv_qp,
    pub port_num: c_int,
}

impl ibv_gid {
    /// The address as bytes, in the order of the wire.
    pub fn bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.halves[0].to_ne_bytes());
        bytes[8..].copy_from_slice(&self.halves[1].to_ne_bytes());
        bytes
    }

    /// The address of these bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let half = |from: usize| {
            let mut half = [0; 8];
            half.copy_from_slice(&bytes[from..from + 8]);
            u64::from_ne_bytes(half)
        };
        Self { halves: [half(0), half(8)] }
    }
}

c_constants! {
    IBV_NODE_CA: c_int = 1;
    IBV_NODE_RNIC: c_int = 4;
    IBV_TRANSPORT_IB: c_int = 0;
    IBV_TRANSPORT_IWARP: c_int = 1;
    IBV_DEVICE_MEM_WINDOW: c_uint = 1 << 17;
    IBV_DEVICE_MEM_MGT_EXTENSIONS: c_uint = 1 << 21;
    IBV_DEVICE_MEM_WINDOW_TYPE_2A: c_uint = 1 << 23;
    IBV_DEVICE_MEM_WINDOW_TYPE_2B: c_uint = 1 << 24;
    IBV_PORT_DOWN: c_uint = 1;
    IBV_PORT_INIT: c_uint = 2;
    IBV_PORT_ARMED: c_uint = 3;
    IBV_PORT_ACTIVE: c_uint = 4;
    IBV_LINK_LAYER_UNSPECIFIED: u8 = 0;
    IBV_LINK_LAYER_INFINIBAND: u8 = 1;
    IBV_LINK_LAYER_ETHERNET: u8 = 2;
    IBV_GID_TYPE_IB: u32 = 0;
    IBV_GID_TYPE_ROCE_V1: u32 = 1;
    IBV_GID_TYPE_ROCE_V2: u32 = 2;
    IBV_FORK_DISABLED: c_uint = 0;
    IBV_FORK_ENABLED: c_uint = 1;
    IBV_FORK_UNNEEDED: c_uint = 2;
    IBV_EVENT_CQ_ERR: c_uint = 0;
    IBV_EVENT_QP_FATAL: c_uint = 1;
    IBV_EVENT_QP_REQ_ERR: c_uint = 2;
    IBV_EVENT_QP_ACCESS_ERR: c_uint = 3;
    IBV_EVENT_COMM_EST: c_uint = 4;
    IBV_EVENT_SQ_DRAINED: c_uint = 5;
    IBV_EVENT_PATH_MIG: c_uint = 6;
    IBV_EVENT_PATH_MIG_ERR: c_uint = 7;
    IBV_EVENT_DEVICE_FATAL: c_uint = 8;
    IBV_EVENT_PORT_ACTIVE: c_uint = 9;
    IBV_EVENT_PORT_ERR: c_uint = 10;
    IBV_EVENT_QP_LAST_WQE_REACHED: c_uint = 16;
}
