//! V20 of queue pairs, V24 and V25: providers in Rust that are wrong. What else V20 to V23 speak of the traits rule out; the
//! test of providers in C has it.

use crate::calls::{
    self, Asleep, Ticket, close_done, create_done, entry, initialise, native, request_done, until,
};
use crate::toy::{MEANWHILE, Toy, Wrong, run};
use futures_lite::future::block_on;
use ndk_core::abi::*;
use ndk_core::mdl::{Buffer, Mdl};
use ndk_core::verifier::{Policy, Verifier};
use ndk_core::*;
use std::ptr::{NonNull, addr_of, null_mut};
use std::sync::Arc;
use std::time::Duration;

/// One region, registered and deregistered twice.
fn one_region(flags: ULONG) -> impl FnOnce(*mut NDK_PD, &Verifier) {
    move |pd, verifier| {
        let (mr, mdl) = (calls::region(pd, false), Buffer::new(100).unwrap());
        let mdl = Mdl::new(&mdl).unwrap();
        for _ in 0..2 {
            let status = calls::register_with(mr, &mdl, flags, Ticket::new());
            match status {
                STATUS_SUCCESS => assert_eq!(calls::deregister(mr), STATUS_SUCCESS),
                STATUS_INTERNAL_ERROR => assert!(verifier.counts().provider > 0),
                other => panic!("{other:#x}"),
            }
        }
        calls::close(mr);
    }
}

#[test]
fn v25_tokens_that_cannot_be_right() {
    use NDK_MR_FLAG_ALLOW_LOCAL_WRITE as LOCAL;
    use NDK_MR_FLAG_ALLOW_REMOTE_READ as REMOTE;
    for policy in [Policy::Log, Policy::Fail] {
        assert!(run(Wrong::Nothing, policy, one_region(REMOTE)).is_empty());
        assert_eq!(run(Wrong::LocalZero, policy, one_region(LOCAL)), ["V25"]);
        assert_eq!(run(Wrong::RemoteZero, policy, one_region(REMOTE)), ["V25"]);
        assert!(run(Wrong::RemoteZero, policy, one_region(LOCAL)).is_empty());
        let extra = run(Wrong::RemoteWithoutRight, policy, one_region(LOCAL));
        assert!(extra.iter().all(|&rule| rule == "E3") && !extra.is_empty(), "{extra:?}");
        let shared = run(Wrong::SharedToken, policy, |pd, _| {
            let mdl = Mdl::new(&Buffer::new(100).unwrap()).unwrap();
            let regions = [calls::region(pd, false), calls::region(pd, false)];
            calls::register_with(regions[0], &mdl, LOCAL, Ticket::new());
            calls::register_with(regions[1], &mdl, LOCAL, Ticket::new());
            regions.into_iter().for_each(|mr| assert_eq!(calls::close(mr), STATUS_SUCCESS));
        });
        assert_eq!(shared, ["V25"]);
        let soon = run(Wrong::TokenTooSoon, policy, one_region(LOCAL));
        assert_eq!(soon, ["D4"]);
    }
}

#[test]
fn v11_a_region_that_the_provider_broke_may_be_asked_for_its_tokens() {
    let found = run(Wrong::Panics, Policy::Log, |pd, _| {
        let mr = calls::region(pd, false);
        let mdl = calls::memory(100);
        let status = calls::register_with(mr, &mdl, NDK_MR_FLAG_ALLOW_LOCAL_WRITE, Ticket::new());
        assert_eq!(status, STATUS_INTERNAL_ERROR, "B8");
        let tokens = (calls::local_token(mr), calls::remote_token(mr));
        assert_eq!(tokens, (0, 0), "B8");
        assert_eq!(calls::close(mr), STATUS_SUCCESS);
    });
    assert!(found.is_empty(), "the consumer, too, has done nothing wrong: {found:?}");
}

#[test]
fn v25_tokens_that_a_fast_registration_changes_to_what_they_cannot_be() {
    for (wrong, expected) in [
        (Wrong::Nothing, &[][..]),
        (Wrong::FastShared, &["V25"]),
        (Wrong::FastZero, &["V25", "V25"]),
        (Wrong::FastLocalZero, &["V25"]),
    ] {
        let found = run(wrong, Policy::Log, |pd, _| {
            let regions = [calls::region(pd, true), calls::region(pd, true)];
            regions.into_iter().for_each(|mr| initialise(mr, TRUE));
            // SAFETY: domain and region are open, and no device reaches the memory.
            unsafe {
                let qp = block_on(native(pd).create_qp(QueueDepths::default())).unwrap();
                let memory = FastMemory { pages: &[0], first_byte: 0, length: 4096, base: 0 };
                let second = RegionRef::from_ndk(NonNull::new(regions[1]).unwrap());
                qp.fast_register(1, second, memory, Access::REMOTE_READ).unwrap();
                assert!(qp.poll().is_some());
                block_on(qp.close());
            }
            regions.into_iter().for_each(|mr| assert_eq!(calls::close(mr), STATUS_SUCCESS));
        });
        assert_eq!(found, expected, "{wrong:?}");
    }
}

#[test]
fn v25_a_region_that_is_initialised_anew_before_the_posting_returns_has_the_tokens_of_that() {
    let found = run(Wrong::Nothing, Policy::Log, |pd, _| {
        let mr = calls::region(pd, true);
        initialise(mr, TRUE);
        // SAFETY: domain and region are open, and no device reaches the memory.
        unsafe {
            let qp = Arc::new(block_on(native(pd).create_qp(QueueDepths::default())).unwrap());
            let region = RegionRef::from_ndk(NonNull::new(mr).unwrap());
            let inner = qp.clone();
            MEANWHILE.set(Some(Box::new(move || {
                assert!(inner.poll().is_some());
                inner.invalidate(2, region).unwrap();
                assert!(inner.poll().is_some());
                initialise(mr, FALSE);
            })));
            let memory = FastMemory { pages: &[0], first_byte: 0, length: 4096, base: 0 };
            qp.fast_register(1, region, memory, Access::REMOTE_READ).unwrap();
            block_on(Arc::into_inner(qp).unwrap().close());
        }
        assert_eq!(calls::close(mr), STATUS_SUCCESS);
    });
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn v25_a_registration_that_cannot_be_taken_back_is_closed_with_its_region() {
    for (wrong, refused) in [
        (Wrong::LocalZeroForGood, STATUS_INTERNAL_ERROR),
        (Wrong::LocalZeroPending, STATUS_CANCELLED),
    ] {
        let found = run(wrong, Policy::Fail, |pd, verifier| {
            let (mr, buffer) = (calls::region(pd, false), Buffer::new(PAGE_SIZE).unwrap());
            let (pages, mdl) = (buffer.as_ptr(), Mdl::new(&buffer).unwrap());
            let register = |mdl| {
                let ticket = Ticket::new();
                ticket.wait(calls::register_with(mr, mdl, 0, ticket))
            };
            assert_eq!((register(&mdl), verifier.counts().provider), (refused, 1));
            // The backend, which has it still, is not asked for another.
            assert_eq!(register(&calls::memory(100)), STATUS_INTERNAL_ERROR);
            assert_eq!(verifier.findings()[0].times, 1);
            // The device reaches the memory, of which the consumer need not know: it is kept.
            buffer.write(0, &[7; PAGE_SIZE]).unwrap();
            drop((mdl, buffer));
            // SAFETY: the verifier keeps it for the rest of the program.
            let bytes = unsafe { pages.cast::<[u8; PAGE_SIZE]>().read() };
            assert!(bytes == [7; PAGE_SIZE], "it was freed");
            assert_eq!(calls::close(mr), STATUS_SUCCESS);
        });
        assert_eq!(found, ["V25"]);
    }
}

#[test]
fn v24_a_request_that_pends_for_ever() {
    let found = run(Wrong::Stuck, Policy::Log, |pd, verifier| {
        let mdl = Mdl::new(&Buffer::new(100).unwrap()).unwrap();
        let (mr, pending) = (calls::region(pd, false), Ticket::new());
        let status = calls::register_with(mr, &mdl, 0, pending);
        assert_eq!(status, STATUS_PENDING);
        until("the finding", || verifier.counts().provider == 1);
        assert!(verifier.findings()[0].did.starts_with("register pends"));
        assert_eq!(calls::close(mr), STATUS_SUCCESS);
        assert_eq!(pending.wait(status), STATUS_CANCELLED);
    });
    assert_eq!(found, ["V24"]);
}

#[test]
fn v24_a_request_whose_executor_never_runs_is_not_the_providers() {
    let verifier = Verifier::new().limit(Duration::from_millis(1));
    let executor = Arc::new(Asleep::default());
    let toy = verifier.verify(Toy(Wrong::Stuck, Arc::default()));
    let version = NDK_VERSION { Major: 1, Minor: 2 };
    let opened = Opened::<_, Std>::new(toy, executor.clone(), version).unwrap();
    let (adapter, mut pd) = (opened.adapter().as_ndk().as_ptr(), null_mut());
    let mdl = Mdl::new(&Buffer::new(100).unwrap()).unwrap();
    let pending = Ticket::new();
    // SAFETY: the objects are open until they are closed.
    unsafe {
        entry!(adapter, NdkCreatePd)(adapter, Some(create_done), null_mut(), &mut pd);
        let mr = calls::region(pd, false);
        let register = entry!(mr, NdkRegisterMr);
        let status = register(mr, mdl.as_ptr(), 100, 0, Some(request_done), pending.context());
        assert_eq!(status, STATUS_PENDING);
        std::thread::sleep(Duration::from_millis(30));
        let closing = Ticket::new();
        let status = calls::start_close(mr, closing);
        // Dropped, the tasks give up what they were to do (B9).
        while let Some(task) = { executor.0.lock().unwrap().pop() } {
            drop(task);
        }
        assert_eq!(closing.wait(status), STATUS_SUCCESS);
        let ticket = Ticket::new();
        let status = entry!(pd, NdkClosePd)(pd.cast(), Some(close_done), ticket.context());
        assert_eq!(ticket.wait(status), STATUS_SUCCESS);
    }
    opened.close().unwrap();
    assert_eq!(verifier.findings(), []);
}

#[test]
fn v20_a_work_request_that_completes_twice_is_given_on_once() {
    for (wrong, rules) in [(Wrong::Nothing, &[][..]), (Wrong::CompletesTwice, &["V20"])] {
        let found = run(wrong, Policy::Log, |pd, _| {
            // SAFETY: the domain is open.
            let qp = block_on(unsafe { native(pd).create_qp(QueueDepths::default()) }).unwrap();
            qp.receive(5, &[]).unwrap();
            assert_eq!(qp.poll().map(|completion| completion.id.context), Some(5));
            assert!(qp.poll().is_none());
            block_on(qp.close());
        });
        assert_eq!(found, rules);
    }
}

#[test]
fn a_backend_that_panics_while_it_describes_itself_is_refused_as_without_the_verifier() {
    for wrong in [Wrong::NamePanics, Wrong::CapabilitiesPanic] {
        let toy = Verifier::new().verify(Toy(wrong, Arc::default()));
        let version = NDK_VERSION { Major: 1, Minor: 2 };
        let opened = Opened::<_, Std>::new(toy, Arc::new(calls::GivesUp), version);
        assert_eq!(opened.err().map(|error| error.kind()), Some(ErrorKind::Internal), "B8");
    }
}
