//! The libraries, opened at run time and never closed: what they start (threads, drivers) has no end.

use super::cm::{rdma_cm_event, rdma_cm_id, rdma_conn_param, rdma_event_channel};
use super::device::{ibv_async_event, ibv_device, ibv_device_attr, ibv_gid_entry, ibv_port_attr};
use super::mlx5::{
    ibv_qp_ex, ibv_qp_init_attr_ex, mlx5dv_mkey, mlx5dv_mkey_init_attr, mlx5dv_obj, mlx5dv_qp_ex,
    mlx5dv_qp_init_attr,
};
use super::object::{ibv_comp_channel, ibv_context, ibv_cq, ibv_mr, ibv_pd, ibv_qp};
use super::queue_pair::{ibv_qp_attr, ibv_qp_init_attr};
use libc::{c_char, c_int, c_uint, c_void, sockaddr, ssize_t};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use ndk_core::{Error, ErrorKind, Result};
use std::ffi::OsStr;
use std::sync::OnceLock;

/// Declares a library: its functions by name, and how it is opened. Those after `optional` came later than the oldest
/// library that is served, and are called only where they are there.
macro_rules! library {
    (
        $(#[$doc:meta])* $library:ident = $file:literal, in $packages:literal;
        $($(#[$function_doc:meta])* fn $function:ident($($argument:ty),*) $(-> $result:ty)?;)*
        $(optional $(#[$optional_doc:meta])* fn $optional:ident($($optional_argument:ty),*) $(-> $optional_result:ty)?;)*
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub struct $library {
            $($(#[$function_doc])* pub $function: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
            $($(#[$optional_doc])* pub $optional: Option<unsafe extern "C" fn($($optional_argument),*) $(-> $optional_result)?>,)*
        }

        impl $library {
            /// The name under which the library is opened.
            pub const FILE: &str = $file;

            /// The library, opened the first time.
            ///
            /// # Errors
            /// NOT_SUPPORTED where it is not on this machine, or is older than what is used here.
            pub fn get() -> Result<&'static Self> {
                static OPENED: OnceLock<$library> = OnceLock::new();
                if let Some(opened) = OPENED.get() {
                    return Ok(opened);
                }
                let opened = Self::open($file)?;
                Ok(OPENED.get_or_init(|| opened))
            }

            fn open(file: &str) -> Result<Self> {
                let library = open(file, $packages)?;
                // SAFETY: the types are those of rdma-core's headers.
                let opened = unsafe {
                    Self {
                        $($function: find(&library, file, stringify!($function))?,)*
                        $($optional: find(&library, file, stringify!($optional)).ok(),)*
                    }
                };
                core::mem::forget(library);
                Ok(opened)
            }
        }
    };
}

fn open(file: &str, packages: &str) -> Result<Library> {
    // SAFETY: rdma-core's libraries may be opened at any time; their initializers ask for nothing.
    let opened = unsafe { Library::open(Some(OsStr::new(file)), RTLD_NOW | RTLD_LOCAL) };
    opened.map_err(|error| {
        let cause = format!("{file} cannot be opened ({error}); install {packages}");
        Error::new(ErrorKind::NotSupported, cause)
    })
}

/// # Safety
/// `T` is the type of a pointer to that function.
unsafe fn find<T: Copy>(library: &Library, file: &str, name: &str) -> Result<T> {
    // SAFETY: the caller's promise.
    match unsafe { library.get::<T>(name) } {
        Ok(symbol) => Ok(*symbol),
        Err(_) => {
            let cause = format!("{file} has no {name}: it is older than rdma-core 32, update it");
            Err(Error::new(ErrorKind::NotSupported, cause))
        }
    }
}

library! {
    /// libibverbs.
    Verbs = "libibverbs.so.1", in "rdma-core (Debian: libibverbs1 ibverbs-providers; Fedora: libibverbs)";

    fn ibv_get_device_list(*mut c_int) -> *mut *mut ibv_device;
    fn ibv_free_device_list(*mut *mut ibv_device);
    fn ibv_get_device_name(*mut ibv_device) -> *const c_char;
    fn ibv_open_device(*mut ibv_device) -> *mut ibv_context;
    fn ibv_close_device(*mut ibv_context) -> c_int;
    fn ibv_query_device(*mut ibv_context, *mut ibv_device_attr) -> c_int;
    fn ibv_query_port(*mut ibv_context, u8, *mut ibv_port_attr) -> c_int;
    fn _ibv_query_gid_ex(*mut ibv_context, u32, u32, *mut ibv_gid_entry, u32, usize) -> c_int;
    fn _ibv_query_gid_table(*mut ibv_context, *mut ibv_gid_entry, usize, u32, usize) -> ssize_t;
    fn ibv_get_async_event(*mut ibv_context, *mut ibv_async_event) -> c_int;
    fn ibv_ack_async_event(*mut ibv_async_event);
    fn ibv_event_type_str(c_uint) -> *const c_char;
    fn ibv_wc_status_str(c_uint) -> *const c_char;
    fn ibv_alloc_pd(*mut ibv_context) -> *mut ibv_pd;
    fn ibv_dealloc_pd(*mut ibv_pd) -> c_int;
    /// Domain, memory, length, the address that the region's bytes count from, access.
    fn ibv_reg_mr_iova2(*mut ibv_pd, *mut c_void, usize, u64, c_uint) -> *mut ibv_mr;
    fn ibv_dereg_mr(*mut ibv_mr) -> c_int;
    fn ibv_create_comp_channel(*mut ibv_context) -> *mut ibv_comp_channel;
    fn ibv_destroy_comp_channel(*mut ibv_comp_channel) -> c_int;
    fn ibv_create_cq(*mut ibv_context, c_int, *mut c_void, *mut ibv_comp_channel, c_int) -> *mut ibv_cq;
    fn ibv_destroy_cq(*mut ibv_cq) -> c_int;
    fn ibv_get_cq_event(*mut ibv_comp_channel, *mut *mut ibv_cq, *mut *mut c_void) -> c_int;
    fn ibv_ack_cq_events(*mut ibv_cq, c_uint);
    fn ibv_create_qp(*mut ibv_pd, *mut ibv_qp_init_attr) -> *mut ibv_qp;
    fn ibv_modify_qp(*mut ibv_qp, *mut ibv_qp_attr, c_int) -> c_int;
    fn ibv_query_qp(*mut ibv_qp, *mut ibv_qp_attr, c_int, *mut ibv_qp_init_attr) -> c_int;
    fn ibv_destroy_qp(*mut ibv_qp) -> c_int;
    fn ibv_qp_to_qp_ex(*mut ibv_qp) -> *mut ibv_qp_ex;
    optional fn ibv_is_fork_initialized() -> c_uint;
}

library! {
    /// librdmacm.
    ConnectionManager = "librdmacm.so.1", in "rdma-core (Debian: librdmacm1; Fedora: librdmacm)";

    fn rdma_create_event_channel() -> *mut rdma_event_channel;
    fn rdma_destroy_event_channel(*mut rdma_event_channel);
    fn rdma_create_id(*mut rdma_event_channel, *mut *mut rdma_cm_id, *mut c_void, c_uint) -> c_int;
    fn rdma_destroy_id(*mut rdma_cm_id) -> c_int;
    fn rdma_migrate_id(*mut rdma_cm_id, *mut rdma_event_channel) -> c_int;
    fn rdma_bind_addr(*mut rdma_cm_id, *mut sockaddr) -> c_int;
    fn rdma_resolve_addr(*mut rdma_cm_id, *mut sockaddr, *mut sockaddr, c_int) -> c_int;
    fn rdma_resolve_route(*mut rdma_cm_id, c_int) -> c_int;
    fn rdma_listen(*mut rdma_cm_id, c_int) -> c_int;
    /// What the next state of a queue pair needs, which `ibv_modify_qp` is then given.
    fn rdma_init_qp_attr(*mut rdma_cm_id, *mut ibv_qp_attr, *mut c_int) -> c_int;
    fn rdma_connect(*mut rdma_cm_id, *mut rdma_conn_param) -> c_int;
    fn rdma_accept(*mut rdma_cm_id, *mut rdma_conn_param) -> c_int;
    fn rdma_establish(*mut rdma_cm_id) -> c_int;
    fn rdma_reject(*mut rdma_cm_id, *const c_void, u8) -> c_int;
    fn rdma_get_cm_event(*mut rdma_event_channel, *mut *mut rdma_cm_event) -> c_int;
    fn rdma_ack_cm_event(*mut rdma_cm_event) -> c_int;
    fn rdma_event_str(c_uint) -> *const c_char;
    fn rdma_get_src_port(*mut rdma_cm_id) -> u16;
}

library! {
    /// libmlx5: what is particular to NVIDIA's adapters from ConnectX-4 on. A ConnectX-3 (mlx4) has nothing of it.
    Mlx5 = "libmlx5.so.1", in "rdma-core (Debian: ibverbs-providers; Fedora: libibverbs)";

    fn mlx5dv_is_supported(*mut ibv_device) -> bool;
    fn mlx5dv_create_mkey(*mut mlx5dv_mkey_init_attr) -> *mut mlx5dv_mkey;
    fn mlx5dv_destroy_mkey(*mut mlx5dv_mkey) -> c_int;
    fn mlx5dv_create_qp(*mut ibv_context, *mut ibv_qp_init_attr_ex, *mut mlx5dv_qp_init_attr) -> *mut ibv_qp;
    fn mlx5dv_init_obj(*mut mlx5dv_obj, u64) -> c_int;
    fn mlx5dv_qp_ex_from_ibv_qp_ex(*mut ibv_qp_ex) -> *mut mlx5dv_qp_ex;
    /// A command to the firmware: input and its length, output and its length.
    fn mlx5dv_devx_general_cmd(*mut ibv_context, *const c_void, usize, *mut c_void, usize) -> c_int;
}

#[cfg(test)]
#[allow(unreachable_pub, dead_code)] // these libraries are declared as the others are, and never called
mod tests {
    use super::*;
    use crate::sys::layout::REQUIRED;

    library! {
        /// A library that every machine has, without that function.
        Wrong = "libc.so.6", in "nothing";
        fn ibv_no_such_function() -> c_int;
    }

    library! {
        /// A library that no machine has.
        Missing = "libibverbs-of-no-machine.so.1", in "the package of no machine";
        optional fn nothing();
    }

    #[test]
    fn a_missing_library_is_named_with_what_to_install() {
        let error = Missing::get().err().unwrap();
        assert_eq!(error.kind(), ErrorKind::NotSupported);
        assert!(error.detail().contains(Missing::FILE), "{error}");
        assert!(error.detail().contains("install the package of no machine"), "{error}");
    }

    #[test]
    fn a_library_without_a_function_is_named_with_the_function() {
        let error = Wrong::get().err().unwrap();
        assert_eq!(error.kind(), ErrorKind::NotSupported);
        assert!(error.detail().contains("libc.so.6 has no ibv_no_such_function"), "{error}");
    }

    #[test]
    fn where_rdma_core_is_installed_every_function_is_found() {
        let libraries = [
            (Verbs::FILE, Verbs::get().err()),
            (ConnectionManager::FILE, ConnectionManager::get().err()),
            (Mlx5::FILE, Mlx5::get().err()),
        ];
        for (file, error) in libraries {
            let Some(error) = error else { continue };
            assert!(error.detail().contains("cannot be opened"), "{error}");
            assert!(std::env::var_os(REQUIRED).is_none(), "{REQUIRED} is set, and: {error}");
            eprintln!("NOT CHECKED: {file} is not on this machine");
        }
    }
}
