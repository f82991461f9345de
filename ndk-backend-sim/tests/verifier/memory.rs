//! V8 and V12: the chain and the memory of a registration.

use crate::calls::*;
use ndk_core::abi::*;
use ndk_core::mdl::{Buffer, Mdl};
use std::ptr::{addr_of, null_mut};

/// A region whose registration pends until it is closed.
fn pending(mdl: &Mdl) -> (Program, *mut NDK_PD, *mut NDK_MR) {
    let program = open("verify+sim?latency=register:3600s");
    let pd = program.domain();
    let mr = region(pd, false);
    assert_eq!(register_with(mr, mdl, 0, Ticket::new()), STATUS_PENDING);
    (program, pd, mr)
}

#[test]
fn v8_a_chain_that_is_changed_while_its_registration_is_pending() {
    for (spoil, said) in [
        (|mdl: &mut MDL| mdl.ByteCount -= 1, "changed"),
        (|mdl| mdl.StartVa = mdl.StartVa.wrapping_byte_add(PAGE_SIZE), "changed"),
        (|mdl| mdl.Next = mdl, "changed"),
        (|mdl| mdl.MdlFlags = 0, "unlocked"),
    ] as [(fn(&mut MDL), &str); 4]
    {
        let mdl = memory(3 * PAGE_SIZE);
        let (program, pd, mr) = pending(&mdl);
        // SAFETY: the simulator has read the chain when it waits; that it may be read is what is tested.
        spoil(unsafe { &mut *mdl.as_ptr() });
        assert_eq!(close(mr), STATUS_SUCCESS);
        let finding = program.consumer("V8", "/mr");
        assert!(finding.did.contains(said), "{finding}");
        program.end(pd);
    }
}

#[test]
fn v8_a_page_frame_number_that_is_changed() {
    let mdl = memory(3 * PAGE_SIZE);
    let (program, pd, mr) = pending(&mdl);
    // SAFETY: the last of the numbers behind the structure.
    unsafe { *mdl.as_ptr().add(1).cast::<usize>().add(2) += 1 };
    assert_eq!(close(mr), STATUS_SUCCESS);
    program.consumer("V8", "/mr");
    program.end(pd);
}

#[test]
fn v8_a_chain_that_is_freed_while_its_registration_is_pending() {
    let mdl = memory(3 * PAGE_SIZE);
    let (program, pd, mr) = pending(&mdl);
    drop(mdl);
    let finding = program.verifier.findings().remove(0);
    assert!(finding.rules[0] == "V8" && finding.did.contains("freed"), "{finding}");
    assert_eq!(close(mr), STATUS_SUCCESS);
    program.end(pd);
}

#[test]
fn v8_a_chain_is_the_consumers_again_after_the_completion() {
    let program = open("verify+sim?latency=register:1ms");
    let pd = program.domain();
    let (mr, buffer) = (region(pd, false), Buffer::new(3 * PAGE_SIZE).unwrap());
    let mdl = Mdl::new(&buffer).unwrap();
    assert_eq!(register(mr, &mdl), STATUS_SUCCESS);
    // SAFETY: nobody else reads the chain any more.
    unsafe { (*mdl.as_ptr()).MdlFlags = 0 };
    drop(mdl);
    assert_eq!((deregister(mr), close(mr)), (STATUS_SUCCESS, STATUS_SUCCESS));
    program.silent();
    program.end(pd);
}

#[test]
fn v12_memory_that_is_freed_while_it_is_registered() {
    let program = open("verify+sim");
    let pd = program.domain();
    let (mr, mdl) = (region(pd, false), memory(3 * PAGE_SIZE));
    assert_eq!(register(mr, &mdl), STATUS_SUCCESS);
    drop(mdl);
    program.consumer("V12", "/mr");
    assert_eq!((deregister(mr), close(mr)), (STATUS_SUCCESS, STATUS_SUCCESS));
    program.end(pd);
}

#[test]
fn v12_memory_that_is_freed_after_the_deregistration_or_the_close() {
    let program = open("verify+sim");
    let pd = program.domain();
    let mr = region(pd, false);
    let first = memory(PAGE_SIZE);
    assert_eq!((register(mr, &first), deregister(mr)), (STATUS_SUCCESS, STATUS_SUCCESS));
    drop(first);
    let second = memory(PAGE_SIZE);
    assert_eq!((register(mr, &second), close(mr)), (STATUS_SUCCESS, STATUS_SUCCESS));
    drop(second);
    program.silent();
    program.end(pd);
}

#[test]
fn v12_memory_that_is_freed_while_it_is_mapped() {
    let program = open("verify+sim");
    let adapter = program.adapter();
    let mut lam = [0_u64; 16];
    let lam = lam.as_mut_ptr().cast::<NDK_LOGICAL_ADDRESS_MAPPING>();
    for is_freed_early in [false, true] {
        let mdl = memory(3 * PAGE_SIZE);
        let (mut size, mut first_byte) = (16 * 8, 0);
        // SAFETY: the adapter is open, and the buffer larger than what is written.
        let status = unsafe {
            let build = entry!(adapter, NdkBuildLAM);
            let (head, length) = (mdl.as_ptr(), mdl.len());
            build(adapter, head, length, None, null_mut(), lam, &mut size, &mut first_byte)
        };
        assert_eq!(status, STATUS_SUCCESS);
        program.silent();
        let mut mdl = Some(mdl);
        if is_freed_early {
            drop(mdl.take());
            let finding = program.consumer("V12", "sim0");
            assert!(finding.did.contains("logical address mapping"), "{finding}");
        }
        // SAFETY: built just now, and released once.
        unsafe { entry!(adapter, NdkReleaseLAM)(adapter, lam) };
    }
    program.consumer("V12", "sim0");
    program.opened.close().unwrap();
}

#[test]
fn v12_memory_of_a_mapping_that_was_never_released_is_free_once_the_adapter_is_closed() {
    let program = open("verify+sim");
    let mdl = memory(100);
    let _never_released = map(program.adapter(), &mdl);
    // Whoever reads findings after the close keeps what the verifier knows.
    let watch = program.opened.watch().expect("a watch");
    program.opened.close().unwrap();
    drop(mdl);
    assert_eq!(watch.findings(), []);
}
