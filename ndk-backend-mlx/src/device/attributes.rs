//! What a device says of itself, and what becomes of it in `NDK_ADAPTER_INFO`.

use super::driver_table::{FAST_PAGES, Facts};
use crate::errno::Errno;
use crate::sys::device::{
    IBV_DEVICE_MEM_WINDOW_TYPE_2A, IBV_DEVICE_MEM_WINDOW_TYPE_2B, IBV_GID_TYPE_ROCE_V1,
    IBV_GID_TYPE_ROCE_V2, IBV_LINK_LAYER_ETHERNET, IBV_PORT_ACTIVE, IBV_TRANSPORT_IWARP,
    ibv_device_attr, ibv_gid_entry, ibv_port_attr,
};
use crate::sys::layout::Zeroed;
use crate::sys::load::Verbs;
use crate::sys::object::ibv_context;
use ndk_core::abi::{
    NDK_ADAPTER_FLAG_IN_ORDER_DMA_SUPPORTED, NDK_ADAPTER_FLAG_LOOPBACK_CONNECTIONS_SUPPORTED,
    NDK_ADAPTER_FLAG_RDMA_READ_SINK_NOT_REQUIRED, NDK_ADAPTER_INFO, NDK_RDMA_TECHNOLOGY,
    NdkInfiniBand, NdkRoCE, NdkRoCEv2, NdkiWarp,
};

/// The kind of a port's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GidKind {
    InfiniBand,
    RoceV1,
    RoceV2,
}

/// A port's address and its place in the port's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gid {
    pub(crate) bytes: [u8; 16],
    pub(crate) index: u8,
    pub(crate) kind: GidKind,
}

/// A device's attributes, and those of the port in use.
#[derive(Clone, Copy)]
pub(crate) struct Attributes {
    pub(crate) device: ibv_device_attr,
    pub(crate) port: ibv_port_attr,
    pub(crate) port_number: u8,
    pub(crate) gid: Option<Gid>,
    pub(crate) iwarp: bool,
}

/// What InfiniBand's connection manager leaves to the caller of a request that carries IP addresses: 92 - 36 bytes.
const CM_CALLER_DATA: u32 = 56;
/// What it leaves in the answer: that of a refusal, the smaller of the two answers.
const CM_CALLEE_DATA: u32 = 148;
/// What iWARP's leaves, both ways.
const IWARP_DATA: u32 = 512;
/// From here on reads and writes are meant to serve better than sends. No driver reports such a figure.
const LARGE_REQUEST: u32 = 4096;

impl Attributes {
    /// Asks the device; the reason where it cannot be used.
    ///
    /// # Safety
    /// The context is open.
    pub(crate) unsafe fn query(
        verbs: &Verbs,
        context: *mut ibv_context,
        transport: i32,
    ) -> Result<Self, String> {
        let mut device = ibv_device_attr::zeroed();
        // SAFETY: the caller's promise.
        Errno::check(unsafe { (verbs.ibv_query_device)(context, &raw mut device) })
            .map_err(|errno| errno.error("asking for its attributes").to_string())?;
        let mut inactive = Vec::new();
        for port_number in 1..=device.phys_port_cnt {
            let mut port = ibv_port_attr::zeroed();
            // SAFETY: as above.
            Errno::check(unsafe { (verbs.ibv_query_port)(context, port_number, &raw mut port) })
                .map_err(|errno| errno.error("asking for a port").to_string())?;
            if port.state != IBV_PORT_ACTIVE {
                inactive.push(format!("port {port_number} is {}", state_name(port.state)));
                continue;
            }
            let iwarp = transport == IBV_TRANSPORT_IWARP;
            // SAFETY: as above.
            let entries = unsafe { addresses(verbs, context, &port) };
            let gid = best_address(&entries, u32::from(port_number));
            if port.link_layer == IBV_LINK_LAYER_ETHERNET && !iwarp && gid.is_none() {
                inactive.push(format!("port {port_number} has no address: give its interface one"));
                continue;
            }
            return Ok(Self { device, port, port_number, gid, iwarp });
        }
        match inactive.is_empty() {
            true => Err("it has no port".into()),
            false => Err(inactive.join(", ")),
        }
    }

    /// The most regions that the device says it has.
    pub(crate) fn most_regions(&self) -> u32 {
        u32::try_from(self.device.max_mr).unwrap_or(u32::MAX)
    }

    /// Whether windows of type 2 can be made.
    pub(crate) fn windows(&self) -> bool {
        let either = IBV_DEVICE_MEM_WINDOW_TYPE_2A | IBV_DEVICE_MEM_WINDOW_TYPE_2B;
        self.device.device_cap_flags & either != 0
    }

    fn technology(&self) -> NDK_RDMA_TECHNOLOGY {
        match (self.iwarp, self.gid.map(|gid| gid.kind)) {
            (true, _) => NdkiWarp,
            (false, Some(GidKind::RoceV2)) => NdkRoCEv2,
            (false, Some(GidKind::RoceV1)) => NdkRoCE,
            (false, _) => NdkInfiniBand,
        }
    }

    /// The attributes as `NDK_ADAPTER_INFO` has them.
    pub(crate) fn info(&self, facts: &Facts) -> NDK_ADAPTER_INFO {
        let (device, windows) = (&self.device, facts.windows && self.windows());
        let largest = usize::try_from(device.max_mr_size).unwrap_or(usize::MAX);
        let elements = count(device.max_sge);
        let read_elements = if device.max_sge_rd > 0 { count(device.max_sge_rd) } else { elements };
        let in_order = if facts.in_order { NDK_ADAPTER_FLAG_IN_ORDER_DMA_SUPPORTED } else { 0 };
        let (caller, callee) = match self.iwarp {
            true => (IWARP_DATA, IWARP_DATA),
            false => (CM_CALLER_DATA, CM_CALLEE_DATA),
        };
        NDK_ADAPTER_INFO {
            VendorId: device.vendor_id,
            DeviceId: device.vendor_part_id,
            MaxRegistrationSize: largest,
            MaxWindowSize: if windows { largest } else { 0 },
            FRMRPageCount: if windows { FAST_PAGES } else { 0 },
            MaxInitiatorRequestSge: elements,
            MaxReceiveRequestSge: elements,
            MaxReadRequestSge: read_elements.min(elements),
            MaxTransferLength: self.port.max_msg_sz,
            MaxInlineDataSize: 0,
            MaxInboundReadLimit: count(device.max_qp_rd_atom),
            MaxOutboundReadLimit: count(device.max_qp_init_rd_atom),
            MaxReceiveQueueDepth: count(device.max_qp_wr),
            MaxInitiatorQueueDepth: count(device.max_qp_wr),
            MaxSrqDepth: count(device.max_srq_wr),
            MaxCqDepth: count(device.max_cqe),
            LargeRequestThreshold: LARGE_REQUEST,
            MaxCallerData: caller,
            MaxCalleeData: callee,
            AdapterFlags: in_order
                | NDK_ADAPTER_FLAG_RDMA_READ_SINK_NOT_REQUIRED
                | NDK_ADAPTER_FLAG_LOOPBACK_CONNECTIONS_SUPPORTED,
            RdmaTechnology: self.technology(),
            ..NDK_ADAPTER_INFO::default()
        }
    }
}

fn count(figure: i32) -> u32 {
    u32::try_from(figure).unwrap_or(0)
}

fn state_name(state: u32) -> &'static str {
    match state {
        1 => "down: bring its interface or cable up",
        2 => "initialising: no subnet manager has answered",
        3 => "armed, not active yet",
        _ => "not active",
    }
}

/// # Safety
/// The context is open.
unsafe fn addresses(
    verbs: &Verbs,
    context: *mut ibv_context,
    port: &ibv_port_attr,
) -> Vec<ibv_gid_entry> {
    let room = usize::try_from(port.gid_tbl_len).unwrap_or(0).max(1);
    let mut entries = vec![ibv_gid_entry::zeroed(); room];
    let size = size_of::<ibv_gid_entry>();
    // SAFETY: the caller's promise; the list has room for as many entries.
    let filled = unsafe {
        (verbs._ibv_query_gid_table)(context, entries.as_mut_ptr(), entries.len(), 0, size)
    };
    entries.truncate(usize::try_from(filled).unwrap_or(0));
    entries
}

/// The address to be reached by: the newest kind that crosses routers, an IPv4 one before others.
fn best_address(entries: &[ibv_gid_entry], port: u32) -> Option<Gid> {
    let rank = |entry: &ibv_gid_entry| {
        let is_v4 = entry.gid.bytes()[..12] == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
        (entry.gid_type, is_v4)
    };
    let usable = |entry: &&ibv_gid_entry| entry.port_num == port && entry.gid_index <= 0xff;
    // Of equals the first.
    let best = entries.iter().filter(usable).rev().max_by_key(|entry| rank(entry))?;
    let kind = match best.gid_type {
        IBV_GID_TYPE_ROCE_V2 => GidKind::RoceV2,
        IBV_GID_TYPE_ROCE_V1 => GidKind::RoceV1,
        _ => GidKind::InfiniBand,
    };
    Some(Gid { bytes: best.gid.bytes(), index: best.gid_index as u8, kind })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::device::ibv_gid;

    fn entry(gid_type: u32, index: u32, port: u32, v4: bool) -> ibv_gid_entry {
        let mut bytes = [0xfe; 16];
        if v4 {
            bytes = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 9, 0, 1];
        }
        let gid = ibv_gid::from_bytes(bytes);
        ibv_gid_entry { gid, gid_index: index, port_num: port, gid_type, ndev_ifindex: 0 }
    }

    #[test]
    fn the_address_is_the_one_that_reaches_furthest() {
        let table = [entry(1, 0, 1, false), entry(2, 1, 1, false), entry(2, 2, 1, true)];
        assert_eq!(best_address(&table, 1).unwrap().index, 2);
        assert_eq!(best_address(&table[..2], 1).unwrap().kind, GidKind::RoceV2);
        let table = [entry(0, 0, 1, false), entry(0, 1, 1, false), entry(0, 0, 2, false)];
        let first = best_address(&table, 1).unwrap();
        assert_eq!((first.index, first.kind), (0, GidKind::InfiniBand));
        assert_eq!(best_address(&table, 3), None);
    }
}
