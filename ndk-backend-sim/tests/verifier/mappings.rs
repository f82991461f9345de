//! L4: a mapping that is released while a fast registration or a request in flight uses it; and V12 of what that reaches.

use crate::calls::*;
use crate::tokens::{Qp, connected, end};
use crate::toy::{MEANWHILE, Wrong, run_any};
use futures_lite::future::block_on;
use ndk_core::abi::*;
use ndk_core::mdl::{Buffer, Mdl};
use ndk_core::verifier::Policy;
use ndk_core::{
    Access, BoxedAdapter, ErrorKind, FastMemory, Finding, LocalToken, QueueDepths, RegionRef,
    RemoteToken, Sge, Std,
};
use std::mem::offset_of;
use std::ptr::{NonNull, addr_of};
use std::sync::Arc;

const LENGTH: usize = 3 * PAGE_SIZE;

/// A program with a mapping of some memory, and a region that was initialised for fast registration.
struct Desk {
    program: Program,
    pd: *mut NDK_PD,
    mr: *mut NDK_MR,
    qps: (Qp, Qp),
    /// What the table has filled.
    lam: Vec<u64>,
    memory: Option<Buffer>,
}

impl Desk {
    fn new() -> Self {
        let program = open("verify+sim");
        let pd = program.domain();
        let (mr, qps) = (region(pd, true), connected(pd));
        let memory = Buffer::new(LENGTH).expect("memory");
        let desk = Self { program, pd, mr, qps, lam: Vec::new(), memory: Some(memory) };
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
        self.lam = map(self.program.adapter(), &mdl);
        self
    }

    fn release(&mut self) {
        release(self.program.adapter(), &mut self.lam);
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

/// Two mappings, and an element of each, on a toy.
fn two_mappings(adapter: *mut NDK_ADAPTER, mdl: &Mdl) -> [(Vec<u64>, Sge); 2] {
    [(), ()].map(|()| {
        let lam = map(adapter, mdl);
        let token = LocalToken::new(1).expect("its privileged token");
        let element = Sge { address: first_page(&lam), length: 8, token };
        (lam, element)
    })
}

#[test]
fn l4_a_request_that_is_not_posted_ends_its_own_use_and_not_that_of_another_thread() {
    for releases_early in [false, true] {
        let verifier = run_any(Wrong::Full, Policy::Log, |adapter, pd, _| {
            // SAFETY: the domain is open.
            let qp = block_on(unsafe { native(pd).create_qp(QueueDepths::default()) });
            let qp = Arc::new(qp.expect("a queue pair"));
            let mdl = memory(100);
            let mappings = two_mappings(adapter, &mdl);
            let [(mut refused_lam, refused), (mut posted_lam, posted)] = mappings;
            let other = qp.clone();
            MEANWHILE.set(Some(Box::new(move || other.receive(5, &[posted]).expect("posted"))));
            let error = qp.receive(5, &[refused]).expect_err("the other has taken the last slot");
            assert_eq!(error.kind(), ErrorKind::InsufficientResources);
            release(adapter, &mut refused_lam);
            if !releases_early {
                assert!(qp.poll().is_some());
            }
            release(adapter, &mut posted_lam);
            block_on(Arc::into_inner(qp).expect("the last").close());
            drop(mdl);
        });
        let found: Vec<_> = verifier.findings().iter().map(|finding| finding.rules[0]).collect();
        assert_eq!(found, if releases_early { &["L4"][..] } else { &[] });
    }
}

#[test]
fn l4_a_request_that_completes_with_the_poisoning_of_its_queue_pair_uses_nothing_any_more() {
    let found = run_any(Wrong::SendPanics, Policy::Log, |adapter, pd, _| {
        // SAFETY: the domain is open.
        let qp = block_on(unsafe { native(pd).create_qp(QueueDepths::default()) });
        let qp = qp.expect("a queue pair");
        let mdl = memory(100);
        let [(mut lam, element), (mut unused, _)] = two_mappings(adapter, &mdl);
        release(adapter, &mut unused);
        qp.receive(5, &[element]).expect("posted");
        assert_eq!(qp.send(6, &[], None).expect_err("B8").kind(), ErrorKind::Internal);
        let completion = qp.poll().expect("it completes with the poisoning");
        assert_eq!((completion.id.context, completion.result), (5, Err(ErrorKind::Internal)));
        release(adapter, &mut lam);
        drop(mdl);
        block_on(qp.close());
    });
    assert_eq!(found.findings(), []);
}
