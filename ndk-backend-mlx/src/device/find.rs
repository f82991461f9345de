//! Finding a device by its name, or the first that can be used; and saying what was found where there is none.

use super::attributes::Attributes;
use super::driver_table::Facts;
use crate::errno::Errno;
use crate::sys::device::{IBV_NODE_CA, IBV_NODE_RNIC, ibv_device};
use crate::sys::load::Verbs;
use crate::sys::object::ibv_context;
use ndk_core::{Error, ErrorKind, Result};
use std::ffi::CStr;
use std::ptr::NonNull;

/// A device that was found and opened.
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) verbs: &'static Verbs,
    pub(crate) context: NonNull<ibv_context>,
    pub(crate) attributes: Attributes,
    pub(crate) facts: Facts,
}

/// The devices of this machine.
struct List {
    verbs: &'static Verbs,
    devices: *mut *mut ibv_device,
    count: usize,
}

impl List {
    fn new(verbs: &'static Verbs) -> Result<Self> {
        let mut count = 0;
        // SAFETY: the count is there to be written.
        let devices = unsafe { (verbs.ibv_get_device_list)(&raw mut count) };
        if devices.is_null() {
            let errno = Errno::last();
            return Err(match errno.0 {
                // What libibverbs says where the kernel's module is not loaded.
                libc::ENOSYS => Error::new(
                    ErrorKind::NotSupported,
                    "the kernel has no verbs: load ib_uverbs and the device's driver (modprobe ib_uverbs)",
                ),
                _ => errno.error("looking for RDMA devices"),
            });
        }
        Ok(Self { verbs, devices, count: usize::try_from(count).unwrap_or(0) })
    }

    fn iter(&self) -> impl Iterator<Item = *mut ibv_device> {
        // SAFETY: the array has as many elements, and lives as long as this.
        (0..self.count).map(|index| unsafe { *self.devices.add(index) })
    }
}

impl Drop for List {
    fn drop(&mut self) {
        // SAFETY: opened devices keep what they need.
        unsafe { (self.verbs.ibv_free_device_list)(self.devices) };
    }
}

/// The device of that name, or the first that can be used.
///
/// # Errors
/// NOT_SUPPORTED, with what was found and why it was refused, and what to do.
pub(crate) fn find(wanted: Option<&str>) -> Result<Found> {
    let verbs = Verbs::get()?;
    let list = List::new(verbs)?;
    let mut refused = Vec::new();
    for device in list.iter() {
        // SAFETY: the device is on the list.
        let name = unsafe { CStr::from_ptr((verbs.ibv_get_device_name)(device)) };
        let name = name.to_string_lossy().into_owned();
        if wanted.is_some_and(|wanted| wanted != name) {
            refused.push(format!("{name}: not the one that was asked for"));
            continue;
        }
        // SAFETY: as above.
        match unsafe { open(verbs, device) } {
            Ok((context, attributes)) => {
                let facts = Facts::of(&attributes);
                return Ok(Found { name, verbs, context, attributes, facts });
            }
            Err(reason) => refused.push(format!("{name}: {reason}")),
        }
    }
    Err(Error::new(ErrorKind::NotSupported, nothing_found(wanted, &refused)))
}

/// # Safety
/// The device is on a list that is alive.
unsafe fn open(
    verbs: &'static Verbs,
    device: *mut ibv_device,
) -> Result<(NonNull<ibv_context>, Attributes), String> {
    // SAFETY: the caller's promise.
    let (kind, transport) = unsafe { ((*device).node_type, (*device).transport_type) };
    if ![IBV_NODE_CA, IBV_NODE_RNIC].contains(&kind) {
        return Err(format!("it has no reliable connections (node type {kind})"));
    }
    // SAFETY: as above.
    let context = NonNull::new(unsafe { (verbs.ibv_open_device)(device) })
        .ok_or_else(|| Errno::last().error("opening it").detail().to_owned())?;
    // SAFETY: the context was opened just now.
    match unsafe { Attributes::query(verbs, context.as_ptr(), transport) } {
        Ok(attributes) => Ok((context, attributes)),
        Err(reason) => {
            // SAFETY: as above, and nobody else has it.
            unsafe { (verbs.ibv_close_device)(context.as_ptr()) };
            Err(reason)
        }
    }
}

/// What is said where no device can be used.
fn nothing_found(wanted: Option<&str>, refused: &[String]) -> String {
    let missing = match wanted {
        Some(name) => format!("no RDMA device {name:?} can be used"),
        None => "no RDMA device can be used".into(),
    };
    if refused.is_empty() {
        return format!(
            "{missing}: this machine has none; without an adapter, `rdma link add rxe0 type rxe netdev INTERFACE` \
             makes one in software"
        );
    }
    format!("{missing}; found were:\n  {}", refused.join("\n  "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_is_listed_with_the_reasons() {
        let refused = ["rxe0: port 1 is down".to_owned(), "mlx5_0: not the one".to_owned()];
        let text = nothing_found(Some("rxe0"), &refused);
        assert!(text.contains("no RDMA device \"rxe0\" can be used"), "{text}");
        assert!(text.contains("\n  rxe0: port 1 is down\n  mlx5_0: not the one"), "{text}");
        assert!(nothing_found(None, &[]).contains("this machine has none"));
    }

    #[test]
    fn a_device_of_no_machine_is_refused_in_words() {
        let error = find(Some("no-such-device")).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::NotSupported);
        let known = ["libibverbs", "no-such-device", "the kernel has no verbs"];
        assert!(known.iter().any(|part| error.detail().contains(part)), "{error}");
    }
}
