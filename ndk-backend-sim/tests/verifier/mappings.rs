//! L4: a mapping that is released while a fast registration or a request in flight uses it; and V12 of what that reaches.

use crate::calls::*;
use crate::tokens::{Qp, connected, end};
use futures_lite::future::block_on;
use ndk_core::abi::*;
use ndk_core::mdl::{Buffer, Mdl};
use ndk_core::{
    Access, BoxedAdapter, ErrorKind, FastMemory, Finding, LocalToken, RegionRef, RemoteToken, Sge,
    Std,
};
use std::mem::offset_of;
use std::ptr::{NonNull, addr_of, null_mut};

const LENGTH: usize = 3 * PAGE_SIZE;

/// A program with a mapping of some memory, and a region that was initialised for fast registration.
struct Desk {
    program: Program,
    pd: *mut NDK_PD,
    mr: *mut NDK_MR,
    qps: (Qp, Qp),
    /// What the table has filled, with room for its alignment.
    lam: Vec<u64>,
    memory: Option<Buffer>,
}

impl Desk {
    fn new() -> Self {
        let program = open("verify+sim");
        let pd = program.domain();
        let (mr, qps) = (region(pd, true), connected(pd));
        let memory = Buffer::new(LENGTH).expect("memory");
        let desk = Self { program, pd, mr, qps, lam: vec![0; 100], memory: Some(memory) };
        desk.initialise();
        desk.mapped()
    }

    fn initialise(&self) {
        let ticket = Ticket::new();
        // SAFETY: the region is open.
        let status = unsafe {
            let initialise = entry!(self.mr, NdkInitializeFastRegisterMr);
            initialise(self.mr, 3, 1, Some(request_done), ticket.context())
        };
        assert_eq!(ticket.wait(status), STATUS_SUCCESS);
    }

    fn mapped(mut self) -> Self {
        let mdl = Mdl::new(self.memory.as_ref().expect("it is there")).expect("an MDL");
        let (adapter, lam) = (self.program.adapter(), self.lam.as_mut_ptr().cast());
        let (mut size, mut first_byte) = (size_of_val(&self.lam[..]) as ULONG, 0);
        // SAFETY: the adapter is open, the buffer as long as is said, and the simulator maps inline (L6).
        let status = unsafe {
            let build = entry!(adapter, NdkBuildLAM);
            let (size, first_byte) = (&mut size, &mut first_byte);
            build(adapter, mdl.as_ptr(), LENGTH, None, null_mut(), lam, size, first_byte)
        };
        assert_eq!((status, first_byte), (STATUS_SUCCESS, 0));
        self
    }

    fn release(&mut self) {
        let adapter = self.program.adapter();
        // SAFETY: the adapter is open, and the mapping released once.
        unsafe { entry!(adapter, NdkReleaseLAM)(adapter, self.lam.as_mut_ptr().cast()) };
    }

    fn region(&self) -> RegionRef<BoxedAdapter, Std> {
        // SAFETY: made by an adapter of that type, and open.
        unsafe { RegionRef::from_ndk(NonNull::new(self.mr).expect("a region")) }
    }

    fn pages(&self) -> &[u64] {
        let first = offset_of!(NDK_LOGICAL_ADDRESS_MAPPING, AdapterPageArray) / size_of::<u64>();
        &self.lam[first..first + 3]
    }

    /// An element of the mapped memory, in its second page.
    fn element(&self) -> Sge {
        let mut token = 0;
        // SAFETY: the domain is open.
        unsafe { entry!(self.pd, NdkGetPrivilegedMemoryRegionToken)(self.pd, &mut token) };
        let token = LocalToken::new(token).expect("a privileged token");
        Sge { address: self.pages()[1] + 100, length: 8, token }
    }

    /// Posts a receive into the mapped memory, which no message has come for.
    fn receive(&self) {
        self.qps.0.receive(5, &[self.element()]).expect("posted");
    }

    /// Sends the message.
    fn send(&self) {
        self.qps.1.send(6, &[], None).expect("posted");
        assert_eq!(block_on(self.qps.1.completion()).result, Ok(()));
    }

    fn post(&self) {
        let pages = self.pages();
        let memory = FastMemory { pages, first_byte: 0, length: LENGTH as u64, base: 0x1000_0000 };
        // SAFETY: the region is open, and the verifier keeps memory that is freed too early.
        unsafe { self.qps.0.fast_register(1, self.region(), memory, Access::REMOTE_READ) }
            .expect("posted");
    }

    fn register(&self) {
        self.post();
        assert_eq!(block_on(self.qps.0.completion()).result, Ok(()));
    }

    fn invalidate(&self) {
        // SAFETY: as above.
        unsafe { self.qps.0.invalidate(2, self.region()) }.expect("posted");
        assert_eq!(block_on(self.qps.0.completion()).result, Ok(()));
    }

    fn invalidate_by_peer(&self) {
        let token = RemoteToken::new(remote_token(self.mr));
        self.qps.0.receive(3, &[]).expect("posted");
        self.qps.1.send(4, &[], token).expect("posted");
        assert_eq!(block_on(self.qps.0.completion()).invalidated, token);
        assert_eq!(block_on(self.qps.1.completion()).result, Ok(()));
    }

    /// Ends all but the adapter, and gives what was found.
    fn finish(self) -> Vec<Finding> {
        assert_eq!(close(self.mr), STATUS_SUCCESS);
        end(self.qps);
        let findings = self.program.verifier.findings();
        self.program.end(self.pd);
        findings
    }
}

#[test]
fn l4_a_mapping_that_is_released_while_a_fast_registration_uses_it() {
    let mut desk = Desk::new();
    desk.register();
    desk.release();
    let finding = desk.program.consumer("L4", "sim0");
    assert!(finding.did.contains("that 1 fast registrations or"), "{finding}");
    desk.invalidate();
    assert_eq!(desk.finish().len(), 1);
}

#[test]
fn l4_a_mapping_that_is_released_when_its_last_use_is_over() {
    let ways: [fn(&Desk); 4] = [
        |_| (),
        |desk| {
            desk.register();
            desk.invalidate();
        },
        |desk| {
            desk.register();
            desk.invalidate_by_peer();
        },
        |desk| {
            // Flushed, it was not carried out.
            desk.qps.0.flush();
            desk.post();
            assert_eq!(block_on(desk.qps.0.completion()).result, Err(ErrorKind::Cancelled));
            desk.initialise();
        },
    ];
    for way in ways {
        let mut desk = Desk::new();
        way(&desk);
        way(&desk);
        desk.release();
        assert_eq!(desk.finish(), []);
    }
    let mut desk = Desk::new();
    desk.register();
    assert_eq!(close(desk.mr), STATUS_SUCCESS);
    desk.release();
    desk.mr = region(desk.pd, true);
    assert_eq!(desk.finish(), [], "a close ends it too");
}

#[test]
fn l4_a_mapping_that_is_released_while_an_element_of_a_request_uses_it() {
    let mut desk = Desk::new();
    desk.receive();
    desk.receive();
    desk.release();
    let finding = desk.program.consumer("L4", "sim0");
    assert!(finding.did.contains("that 2 fast registrations or requests"), "{finding}");
    for _ in 0..2 {
        desk.send();
        assert_eq!(block_on(desk.qps.0.completion()).result, Ok(()));
    }
    assert_eq!(desk.finish().len(), 1);
}

#[test]
fn l4_a_mapping_that_is_released_when_no_request_uses_it_any_more() {
    let ways: [fn(&mut Desk); 4] = [
        |desk| {
            desk.receive();
            desk.send();
            assert_eq!(block_on(desk.qps.0.completion()).result, Ok(()));
        },
        |desk| {
            // Carried out before its posting returns.
            desk.qps.1.receive(7, &[]).expect("posted");
            desk.qps.0.send(8, &[Sge { length: 0, ..desk.element() }], None).expect("posted");
            assert_eq!(block_on(desk.qps.0.completion()).result, Ok(()));
            assert_eq!(block_on(desk.qps.1.completion()).result, Ok(()));
        },
        |desk| {
            desk.receive();
            desk.qps.0.flush();
            assert_eq!(block_on(desk.qps.0.completion()).result, Err(ErrorKind::Cancelled));
            let old = std::mem::replace(&mut desk.qps, connected(desk.pd));
            end(old);
        },
        |desk| {
            // What a queue pair does not complete ends with it.
            desk.receive();
            let old = std::mem::replace(&mut desk.qps, connected(desk.pd));
            end(old);
        },
    ];
    for way in ways {
        let mut desk = Desk::new();
        way(&mut desk);
        desk.release();
        assert_eq!(desk.finish(), []);
    }
    // One that is not posted uses nothing.
    let mut desk = Desk::new();
    let long = Sge { length: u32::MAX, ..desk.element() };
    desk.qps.0.receive(9, &[desk.element(), long]).expect_err("outside of the mapping (L2)");
    desk.release();
    assert_eq!(desk.finish(), []);
}

#[test]
fn l4_a_request_that_is_not_posted_hides_none_that_was() {
    let mut desk = Desk::new();
    desk.receive();
    // With the same context, and in no mapping.
    let nowhere = Sge { address: 1, ..desk.element() };
    desk.qps.0.receive(5, &[nowhere]).expect_err("outside of every mapping (L2)");
    desk.release();
    desk.send();
    assert_eq!(block_on(desk.qps.0.completion()).result, Ok(()));
    let rules: Vec<_> = desk.finish().iter().map(|finding| finding.rules[0]).collect();
    assert_eq!(rules, ["L2", "L4"]);
}

#[test]
fn v12_memory_that_is_freed_while_a_request_uses_a_released_mapping() {
    for is_over in [false, true] {
        let mut desk = Desk::new();
        desk.receive();
        desk.release();
        if is_over {
            desk.send();
            assert_eq!(block_on(desk.qps.0.completion()).result, Ok(()));
        }
        drop(desk.memory.take());
        let rules: Vec<_> = desk.finish().iter().map(|finding| finding.rules[0]).collect();
        assert_eq!(rules, if is_over { &["L4"][..] } else { &["L4", "V12"] });
    }
}

#[test]
fn v12_memory_that_is_freed_while_a_released_mapping_is_used() {
    for is_over in [false, true] {
        let mut desk = Desk::new();
        desk.register();
        desk.release();
        if is_over {
            desk.invalidate();
        }
        drop(desk.memory.take());
        let rules: Vec<_> = desk.finish().iter().map(|finding| finding.rules[0]).collect();
        assert_eq!(rules, if is_over { &["L4"][..] } else { &["L4", "V12"] });
    }
}
