//! The kit calls Run of open adapters only: one that another thread closes may be gone with the last completion.

use c_provider::{kit, provider};
use ndk_core::abi::{NDK_ADAPTER, NDK_VERSION, NTSTATUS, STATUS_SUCCESS};
use ndk_core::conformance::TableProvider;
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// The addresses of those that are open.
static OPEN: Mutex<BTreeSet<usize>> = Mutex::new(BTreeSet::new());
static RUN: AtomicUsize = AtomicUsize::new(0);
static TOO_LATE: AtomicUsize = AtomicUsize::new(0);

fn open_adapters() -> MutexGuard<'static, BTreeSet<usize>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

// SAFETY of each block below: the functions are the provider's, and get what the kit gave.
unsafe extern "system" fn open(version: NDK_VERSION, out: *mut *mut NDK_ADAPTER) -> NTSTATUS {
    // SAFETY: see above.
    let status = unsafe { (provider().open)(version, out) };
    if status == STATUS_SUCCESS {
        // SAFETY: it was written.
        open_adapters().insert(unsafe { *out }.addr());
    }
    status
}

unsafe extern "system" fn close(adapter: *mut NDK_ADAPTER) -> NTSTATUS {
    // SAFETY: see above.
    let status = unsafe { (provider().close)(adapter) };
    if status == STATUS_SUCCESS {
        open_adapters().remove(&adapter.addr());
    }
    status
}

unsafe extern "system" fn run(adapter: *mut NDK_ADAPTER) {
    // A close that need not wait for this has the time to end; it decides nothing of one that must.
    thread::sleep(Duration::from_millis(10));
    let is_open = open_adapters().contains(&adapter.addr());
    if !is_open {
        TOO_LATE.fetch_add(1, Ordering::SeqCst);
        return;
    }
    RUN.fetch_add(1, Ordering::SeqCst);
    // SAFETY: see above; the adapter is open.
    unsafe { provider().run.expect("it has all hooks")(adapter) };
}

fn main() -> ExitCode {
    let slow = TableProvider { open, close, run: Some(run), ..provider() };
    let outcome = kit(&slow).only(&["H5"]).main();
    let [run, too_late] = [&RUN, &TOO_LATE].map(|count| count.load(Ordering::SeqCst));
    println!("Run of open adapters: {run}, of closed ones: {too_late}");
    if run > 0 && too_late == 0 { outcome } else { ExitCode::FAILURE }
}
