//! V10: lengths that cannot be true. Only Linux tells where a program's memory ends.
#![cfg(target_os = "linux")]

use crate::calls::*;
use ndk_core::abi::*;
use std::ptr::{addr_of, null_mut};

#[test]
fn v10_a_length_that_was_not_set_before_the_call() {
    for (policy, garbage) in [("log", STATUS_SUCCESS), ("fail", STATUS_INVALID_PARAMETER)] {
        let program = open(&format!("verify(policy={policy})+sim"));
        let adapter = program.adapter();
        let mut info = NDK_ADAPTER_INFO::default();
        let mut query = |mut size: ULONG| {
            // SAFETY: the adapter is open; the buffer is as large as is written.
            unsafe { entry!(adapter, NdkQueryAdapterInfo)(adapter, &mut info, &mut size) }
        };
        assert_eq!(query(size_of::<NDK_ADAPTER_INFO>() as ULONG), STATUS_SUCCESS);
        assert_eq!(query(3), STATUS_BUFFER_TOO_SMALL);
        program.silent();
        // More than the stack that is above the buffer.
        assert_eq!(query(0xCCCC_CCCC), garbage);
        program.consumer("V10", "sim0");
        program.opened.close().unwrap();
    }
}

#[test]
fn v10_a_length_without_a_buffer_may_be_anything() {
    let program = open("verify(policy=fail)+sim");
    let (adapter, mut size) = (program.adapter(), ULONG::MAX);
    // SAFETY: the adapter is open; only the size is asked for.
    let status = unsafe { entry!(adapter, NdkQueryAdapterInfo)(adapter, null_mut(), &mut size) };
    assert_eq!(status, STATUS_BUFFER_TOO_SMALL);
    assert_eq!(size as usize, size_of::<NDK_ADAPTER_INFO>());
    program.silent();
    program.opened.close().unwrap();
}

#[test]
fn v10_of_a_mapping() {
    let program = open("verify+sim");
    let (adapter, mdl) = (program.adapter(), memory(3 * PAGE_SIZE));
    let mut lam = vec![0_u64; 512];
    let mut build = |mut size: ULONG| {
        let (lam, mut fbo) = (lam.as_mut_ptr().cast::<NDK_LOGICAL_ADDRESS_MAPPING>(), 0);
        // SAFETY: the adapter is open, and the buffer larger than what is written.
        unsafe {
            let (build, release) = (entry!(adapter, NdkBuildLAM), entry!(adapter, NdkReleaseLAM));
            let (head, length) = (mdl.as_ptr(), mdl.len());
            let status = build(adapter, head, length, None, null_mut(), lam, &mut size, &mut fbo);
            assert_eq!(status, STATUS_SUCCESS);
            release(adapter, lam);
        }
    };
    build(512 * 8);
    program.silent();
    build(u32::MAX);
    program.consumer("V10", "sim0");
    program.opened.close().unwrap();
}
