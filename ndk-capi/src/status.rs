//! Statuses by name.

use ndk_core::abi::{NTSTATUS, STATUS_PENDING, STATUS_SUCCESS};
use ndk_core::{ErrorKind, status_name};
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char};
use std::sync::LazyLock;

/// The names that the core has, each with the zero byte that C needs.
static NAMES: LazyLock<BTreeMap<NTSTATUS, CString>> = LazyLock::new(|| {
    let statuses = ErrorKind::ALL.iter().map(|kind| kind.status());
    let named = [STATUS_SUCCESS, STATUS_PENDING].into_iter().chain(statuses);
    named.filter_map(|status| Some((status, CString::new(status_name(status)?).ok()?))).collect()
});

const UNKNOWN: &CStr = c"(unknown status)";

/// The name of a status: a constant, never null.
#[unsafe(no_mangle)]
pub extern "C" fn ndkmr_status_name(status: NTSTATUS) -> *const c_char {
    let name = || NAMES.get(&status).map_or(UNKNOWN, CString::as_c_str);
    std::panic::catch_unwind(name).unwrap_or(UNKNOWN).as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndk_core::abi::{NDIS_STATUS_BAD_VERSION, STATUS_DEVICE_BUSY};

    fn name(status: NTSTATUS) -> &'static str {
        // SAFETY: the names are constants that end with a zero byte.
        unsafe { CStr::from_ptr(ndkmr_status_name(status)) }.to_str().unwrap()
    }

    #[test]
    fn every_status_of_the_contract_has_its_name() {
        assert_eq!(name(0), "STATUS_SUCCESS");
        assert_eq!(name(0x103), "STATUS_PENDING");
        assert_eq!(name(STATUS_DEVICE_BUSY), "STATUS_DEVICE_BUSY");
        assert_eq!(name(NDIS_STATUS_BAD_VERSION), "NDIS_STATUS_BAD_VERSION");
        for kind in ErrorKind::ALL {
            assert_eq!(Some(name(kind.status())), status_name(kind.status()));
        }
        assert_eq!(name(-1), "(unknown status)");
    }
}
