//! What cases about access need of a device: work requests of one kind or another, by queue pairs of its own or by what
//! stands in for them.

use super::case::{Device, fast_registration, mappings};
use super::hooks::{NO_ACCESS, NO_BIND, NO_FAST_REGISTRATION};

/// Needs queue pairs of the device's own: what is tried is what they do, or the kit has no hook for it.
pub(super) fn queue_pairs(device: &Device) -> Option<&'static str> {
    match (device.table_alone, device.queue_pairs) {
        (true, _) => Some("on a table alone the kit's own queue pairs stand in"),
        (false, false) => Some("the backend has no queue pairs"),
        (false, true) => None,
    }
}

/// Needs accesses: queue pairs, of which two can be connected, or what stands in for them.
pub(super) fn wire(device: &Device) -> Option<&'static str> {
    if device.table_alone {
        return (!device.queue_pairs).then_some(NO_ACCESS);
    }
    let alone = !device.loops_back() && !device.peer;
    queue_pairs(device).or_else(|| {
        alone.then_some("the adapter cannot be connected to itself, and the kit has no other")
    })
}

/// As [`wire`], by queue pairs of the device's own.
pub(super) fn own_wire(device: &Device) -> Option<&'static str> {
    queue_pairs(device).or_else(|| wire(device))
}

/// Needs bounds that are exact to the byte.
pub(super) fn byte_exact(device: &Device) -> Option<&'static str> {
    let inexact = !device.capabilities.byte_exact;
    inexact.then_some("the device's bounds are not exact to the byte (K1)")
}

/// Needs fast registration, and what its work requests take.
pub(super) fn fast_wire(device: &Device) -> Option<&'static str> {
    let unasked = (!device.fast_requests).then_some(NO_FAST_REGISTRATION);
    wire(device).or_else(|| fast_registration(device)).or_else(|| mappings(device)).or(unasked)
}

/// As [`fast_wire`], by queue pairs of the device's own.
pub(super) fn own_fast_wire(device: &Device) -> Option<&'static str> {
    queue_pairs(device).or_else(|| fast_wire(device))
}

/// Needs memory windows.
pub(super) fn window_wire(device: &Device) -> Option<&'static str> {
    let none = (!device.capabilities.windows).then_some("the device has no memory windows (K1)");
    wire(device).or(none).or_else(|| (!device.binds).then_some(NO_BIND))
}

/// As [`window_wire`], by queue pairs of the device's own.
pub(super) fn own_window_wire(device: &Device) -> Option<&'static str> {
    queue_pairs(device).or_else(|| window_wire(device))
}
