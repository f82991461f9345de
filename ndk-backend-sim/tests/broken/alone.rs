//! A provider that the kit has by its tables alone, since what is broken is none of their entries: the close of its
//! adapter.

use crate::table::lock;
use ndk_backend_sim::{Config, SimAdapter};
use ndk_core::abi::{NDK_ADAPTER, NDK_VERSION, NTSTATUS, STATUS_INVALID_PARAMETER, STATUS_SUCCESS};
use ndk_core::conformance::{Kit, TableProvider};
use ndk_core::{AdapterProvider, Opened, Result, Std, ThreadPool};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::thread;

/// A provider whose adapter closes before what was made from it.
pub(crate) fn kit() -> Result<Kit> {
    let provider = TableProvider::new(open, close_early);
    let declared = SimAdapter::new(Config::default())?.capabilities();
    // SAFETY: the functions are of those types, and the tables are the framework's.
    Ok(unsafe { Kit::table(&provider, declared) })
}

static OPEN: Mutex<Option<HashMap<usize, Opened<SimAdapter, Std>>>> = Mutex::new(None);

fn opened(version: NDK_VERSION) -> Result<Opened<SimAdapter, Std>> {
    let pool = ThreadPool::new(1).expect("a thread can be started");
    Opened::new(SimAdapter::new(Config::default())?, Arc::new(pool), version)
}

unsafe extern "system" fn open(version: NDK_VERSION, out: *mut *mut NDK_ADAPTER) -> NTSTATUS {
    match opened(version) {
        Ok(opened) => {
            let adapter = opened.adapter().as_ndk().as_ptr();
            lock(&OPEN).get_or_insert_default().insert(adapter.addr(), opened);
            // SAFETY: the kit's pointer may be written.
            unsafe { out.write(adapter) };
            STATUS_SUCCESS
        }
        Err(error) => error.status(),
    }
}

/// Goes on closing on a thread of its own.
unsafe extern "system" fn close_early(adapter: *mut NDK_ADAPTER) -> NTSTATUS {
    let opened = lock(&OPEN).get_or_insert_default().remove(&adapter.addr());
    let Some(opened) = opened else { return STATUS_INVALID_PARAMETER };
    thread::spawn(move || opened.close().map_err(|refused| refused.error.to_string()));
    STATUS_SUCCESS
}
