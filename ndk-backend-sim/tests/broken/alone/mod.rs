//! Providers that the kit has by their tables and hooks alone, since what is broken is behind none of the entries: the
//! close of an adapter, and work requests that are refused when they are posted.

mod fast;
mod wire;

use crate::table::lock;
use ndk_backend_sim::{Config, SimAdapter};
use ndk_core::abi::{NDK_ADAPTER, NDK_VERSION, NTSTATUS, STATUS_INVALID_PARAMETER, STATUS_SUCCESS};
use ndk_core::conformance::{Kit, TableProvider};
use ndk_core::{AdapterProvider, Capabilities, Opened, Result, Std, ThreadPool};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::thread;

/// The kit on the provider of that name.
pub(crate) fn kit(name: &str) -> Result<Kit> {
    let provider = match name {
        "adapter_closes_early" => TableProvider::new(open, close_early),
        _ => {
            fast::install(name);
            TableProvider {
                access: Some(wire::access),
                fast_register: Some(fast::fast_register),
                invalidate: Some(fast::invalidate),
                ..TableProvider::new(open, close)
            }
        }
    };
    // In the framework's tables nothing makes windows.
    let device = SimAdapter::new(Config::default())?;
    let declared = Capabilities { windows: false, ..device.capabilities() };
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

unsafe extern "system" fn close(adapter: *mut NDK_ADAPTER) -> NTSTATUS {
    let opened = lock(&OPEN).get_or_insert_default().remove(&adapter.addr());
    let Some(opened) = opened else { return STATUS_INVALID_PARAMETER };
    match opened.close() {
        Ok(()) => STATUS_SUCCESS,
        Err(refused) => {
            let status = refused.error.status();
            lock(&OPEN).get_or_insert_default().insert(adapter.addr(), refused.adapter);
            status
        }
    }
}

/// Goes on closing on a thread of its own.
unsafe extern "system" fn close_early(adapter: *mut NDK_ADAPTER) -> NTSTATUS {
    let opened = lock(&OPEN).get_or_insert_default().remove(&adapter.addr());
    let Some(opened) = opened else { return STATUS_INVALID_PARAMETER };
    thread::spawn(move || opened.close().map_err(|refused| refused.error.to_string()));
    STATUS_SUCCESS
}
