//! Rule B8: a panic in a Rust consumer's own callback ends the program, before it unwinds into the framework.
#![cfg(feature = "std")]

mod tiny;

use ndk_core::abi::*;
use ndk_core::mdl::{Buffer, Mdl};
use ndk_core::{Executor, Opened, Std, Task};
use std::env;
use std::future::Future;
use std::pin::pin;
use std::process::{Command, Stdio};
use std::ptr::{addr_of, null_mut};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Waker};
use tiny::Tiny;

/// Set in the program that is to end.
const VICTIM: &str = "NDK_TEST_VICTIM";

struct Inside;

impl Executor for Inside {
    fn spawn(&self, mut task: Task) {
        while pin!(&mut task).poll(&mut Context::from_waker(Waker::noop())).is_pending() {}
    }
}

unsafe extern "system" fn panics(_context: PVOID, _status: NTSTATUS) {
    panic!("a consumer's mistake");
}

unsafe extern "system" fn created(_: PVOID, _: NTSTATUS, _: *mut NDK_OBJECT_HEADER) {}

fn register_with_a_panicking_callback() {
    let tiny = Tiny::new();
    let mood = tiny.mood();
    let version = NDK_VERSION { Major: 2, Minor: 0 };
    let opened = Opened::<_, Std>::new(tiny, Arc::new(Inside), version).expect("it opens");
    let page = Mdl::new(&Buffer::new(PAGE_SIZE).expect("a page")).expect("an MDL");
    let adapter = opened.adapter().as_ndk().as_ptr();
    let (mut pd, mut mr) = (null_mut(), null_mut());
    // SAFETY: live objects, made inline; the page outlives the request.
    unsafe {
        let table = *addr_of!((*adapter).Dispatch).read();
        table.NdkCreatePd.unwrap()(adapter, Some(created), null_mut(), &raw mut pd);
        let table = *addr_of!((*pd).Dispatch).read();
        table.NdkCreateMr.unwrap()(pd, 0, Some(created), null_mut(), &raw mut mr);
        mood.yields.store(true, Ordering::Relaxed);
        let table = *addr_of!((*mr).Dispatch).read();
        table.NdkRegisterMr.unwrap()(mr, page.as_ptr(), 1, 0, Some(panics), null_mut());
    }
}

#[test]
fn a_panicking_callback_ends_the_program() {
    if env::var_os(VICTIM).is_some() {
        register_with_a_panicking_callback();
        return;
    }
    let me = env::current_exe().expect("this program");
    let status = Command::new(me)
        .args(["--exact", "a_panicking_callback_ends_the_program"])
        .env(VICTIM, "1")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("it starts");
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        assert_eq!(status.signal(), Some(6), "SIGABRT: {status}");
    }
    assert!(!status.success());
}
