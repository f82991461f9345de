//! Requests of a region that an executor gives up, and ends that the device refuses (B7, B9).

use crate::bench::Bench;
use crate::fake::Fake;
use crate::harness::dry_run;
use crate::rounds::eventually;
use futures_lite::future::block_on;
use ndk_backend_mlx::{MlxRegion, MlxWindow};
use ndk_core::mdl::{Buffer, Mdl, MdlView};
use ndk_core::{Access, AdapterProvider, ErrorKind, MrProvider, RegionKind, Result, WorkRequest};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Waker};

/// As many threads as the backend has for kernel calls.
const THREADS: u32 = 4;

/// A region for conventional registration, and memory for it, which lives longer than what is registered.
struct Conventional {
    region: MlxRegion,
    buffer: Buffer,
    mdl: Mdl,
    fake: Fake,
}

impl Conventional {
    fn new(bench: &Bench) -> Self {
        let buffer = Buffer::new(4096).unwrap();
        let mdl = Mdl::new(&buffer).unwrap();
        let made = bench.adapter.create_mr(&bench.domain, RegionKind::Conventional);
        Self { region: block_on(made).unwrap(), buffer, mdl, fake: bench.fake }
    }

    fn register(&self) -> Pin<Box<impl Future<Output = Result<()>>>> {
        // SAFETY: chain and memory stay until the fake device is gone, which does not touch them.
        let view = unsafe { MdlView::new(self.mdl.as_ptr(), self.buffer.len()) }.unwrap();
        Box::pin(self.region.register(view, Access::REMOTE_WRITE))
    }

    fn bind<'a>(&'a self, window: &'a MlxWindow) -> WorkRequest<'a, MlxRegion, MlxWindow> {
        let (address, length) = (self.buffer.address() as u64, 100);
        let access = Access::REMOTE_READ;
        WorkRequest::Bind { region: &self.region, window, address, length, access }
    }

    fn is_registered(&self) -> bool {
        self.fake.region_at(self.buffer.address() as u64).is_some()
    }
}

/// Begins an operation; whether it waits for a thread.
fn waits<T>(operation: &mut Pin<Box<impl Future<Output = T>>>) -> bool {
    operation.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

/// Begins an operation, which has to wait for a thread.
fn begin<T>(operation: &mut Pin<Box<impl Future<Output = T>>>) {
    assert!(waits(operation), "it does not wait");
}

/// Begins an operation and gives it up.
fn give_up<T>(operation: impl Future<Output = T>) {
    begin(&mut Box::pin(operation));
}

#[test]
fn b9_a_registration_that_was_given_up_before_its_call_makes_none() {
    dry_run(
        "given_up::b9_a_registration_that_was_given_up_before_its_call_makes_none",
        &[],
        |fake| {
            let bench = Bench::open(fake);
            let memory = Conventional::new(&bench);
            let before = fake.requests();
            fake.hold_registrations(true);
            let mut first = memory.register();
            begin(&mut first);
            eventually("the call has begun", || fake.waiting() == 1);
            drop(first);
            // These wait for the one that is in its call.
            give_up(memory.register());
            give_up(memory.register());
            let mut close = Box::pin(memory.region.close());
            begin(&mut close);
            fake.hold_registrations(false);
            block_on(close).unwrap();
            assert!(!memory.is_registered());
            // Waits for what is left to do on the threads.
            bench.adapter.shut_down();
            assert_eq!(fake.requests() - before, 2, "the registration of the first, and its end");
            assert!(!memory.is_registered());
        },
    );
}

#[test]
fn b7_a_registration_that_was_given_up_and_does_not_end_is_told_of() {
    dry_run(
        "given_up::b7_a_registration_that_was_given_up_and_does_not_end_is_told_of",
        &[],
        |fake| {
            let bench = Bench::open(fake);
            let memory = Conventional::new(&bench);
            fake.hold_registrations(true);
            let mut first = memory.register();
            begin(&mut first);
            eventually("the call has begun", || fake.waiting() == 1);
            drop(first);
            fake.refuse_ends(true);
            fake.hold_registrations(false);
            eventually("the call is over", || memory.is_registered());
            // Another one beside it would hide it.
            block_on(memory.register()).unwrap_err();
            block_on(memory.region.close()).unwrap_err();
            assert!(memory.is_registered());
            fake.refuse_ends(false);
            block_on(memory.region.close()).unwrap();
            assert!(!memory.is_registered());
        },
    );
}

#[test]
fn b9_a_registration_after_one_that_was_given_up_stays() {
    dry_run("given_up::b9_a_registration_after_one_that_was_given_up_stays", &[], |fake| {
        let bench = Bench::open(fake);
        let memory = Conventional::new(&bench);
        let before = fake.objects();
        for _ in 0..500 {
            if waits(&mut memory.register()) {
                // Given up.
                block_on(memory.register()).unwrap();
            }
            assert!(memory.is_registered());
            block_on(memory.region.deregister()).unwrap();
            assert_eq!(fake.objects(), before, "one was registered, and it has ended");
        }
        block_on(memory.region.close()).unwrap();
    });
}

#[test]
fn b7_a_deregistration_that_was_given_up_before_its_call_leaves_all_as_it_was() {
    let name =
        "given_up::b7_a_deregistration_that_was_given_up_before_its_call_leaves_all_as_it_was";
    dry_run(name, &[], |fake| {
        let bench = Bench::open(fake);
        let memory = Conventional::new(&bench);
        block_on(memory.register()).unwrap();
        let tokens = (memory.region.local_token(), memory.region.remote_token());
        let others: Vec<_> = (0..THREADS).map(|_| Conventional::new(&bench)).collect();
        fake.hold_registrations(true);
        let mut registering: Vec<_> = others.iter().map(Conventional::register).collect();
        registering.iter_mut().for_each(begin);
        eventually("every thread is in a call", || fake.waiting() == THREADS);
        give_up(memory.region.deregister());
        fake.hold_registrations(false);
        // Waits for what is left to do on the threads.
        bench.adapter.shut_down();
        assert_eq!((memory.region.local_token(), memory.region.remote_token()), tokens);
        assert!(memory.is_registered());
        block_on(memory.region.close()).unwrap();
        assert!(!memory.is_registered());
        registering.into_iter().for_each(|registering| block_on(registering).unwrap());
        others.iter().for_each(|other| block_on(other.region.close()).unwrap());
    });
}

/// Windows, by which the device makes bindings.
const WINDOWS: [(&str, &str); 1] = [("FAKE_MLX5_NO_DEVX", "1")];

#[test]
fn f6_a_bind_that_is_flushed_before_its_call_makes_none() {
    let name = "given_up::f6_a_bind_that_is_flushed_before_its_call_makes_none";
    dry_run(name, &WINDOWS, |fake| {
        let bench = Bench::open(fake);
        let memory = Conventional::new(&bench);
        block_on(memory.register()).unwrap();
        let queue_pair = bench.queue_pair();
        let window = block_on(bench.adapter.create_window(&bench.domain)).unwrap();
        let others: Vec<_> = (0..THREADS).map(|_| Conventional::new(&bench)).collect();
        fake.hold_registrations(true);
        let mut registering: Vec<_> = others.iter().map(Conventional::register).collect();
        registering.iter_mut().for_each(begin);
        eventually("every thread is in a call", || fake.waiting() == THREADS);
        let objects = fake.objects();
        queue_pair.post(memory.bind(&window)).unwrap();
        queue_pair.flush();
        let flushed = queue_pair.completion();
        let before = fake.requests();
        fake.hold_registrations(false);
        assert_eq!(flushed.unwrap().result, Err(ErrorKind::Cancelled));
        registering.into_iter().for_each(|registering| block_on(registering).unwrap());
        bench.adapter.shut_down();
        assert_eq!(fake.objects(), objects + u64::from(THREADS), "those of the others");
        assert_eq!(fake.requests() - before, 2, "both ends are moved to error, and that is all");
    });
}

#[test]
fn f6_a_bind_that_is_flushed_in_its_call_ends_after_it() {
    dry_run("given_up::f6_a_bind_that_is_flushed_in_its_call_ends_after_it", &WINDOWS, |fake| {
        let bench = Bench::open(fake);
        let memory = Conventional::new(&bench);
        block_on(memory.register()).unwrap();
        let queue_pair = bench.queue_pair();
        let window = block_on(bench.adapter.create_window(&bench.domain)).unwrap();
        fake.hold_registrations(true);
        queue_pair.post(memory.bind(&window)).unwrap();
        eventually("the call has begun", || fake.waiting() == 1);
        queue_pair.flush();
        let early = queue_pair.completion();
        fake.hold_registrations(false);
        assert!(early.is_none(), "the kernel is at its memory");
        // Waits for what is left to do on the threads.
        bench.adapter.shut_down();
        assert_eq!(queue_pair.completion().unwrap().result, Err(ErrorKind::Cancelled));
        assert!(queue_pair.completion().is_none(), "once");
    });
}
