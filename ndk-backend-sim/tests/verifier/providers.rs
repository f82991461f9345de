//! V20 of queue pairs, V24 and V25: providers in Rust that are wrong. What else V20 to V23 speak of the traits rule out; the
//! test of providers in C has it.

use crate::calls::{
    self, GivesUp, Ticket, close_done, create_done, entry, native, request_done, until,
};
use futures_lite::future::block_on;
use ndk_core::abi::*;
use ndk_core::mdl::{Buffer, Mdl, MdlView};
use ndk_core::verifier::{Policy, Verifier};
use ndk_core::*;
use std::cell::Cell;
use std::collections::VecDeque;
use std::future::{pending, poll_fn};
use std::panic::resume_unwind;
use std::ptr::{NonNull, addr_of, null_mut};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

/// What is wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Nothing,
    /// Registrations pend until the region is cancelled.
    Stuck,
    LocalZero,
    RemoteZero,
    RemoteWithoutRight,
    SharedToken,
    /// Each token is the first again.
    TokenTooSoon,
    CompletesTwice,
    /// A fast registration changes the tokens: to those of another region, or to none.
    FastShared,
    FastZero,
    /// A registration without tokens, that cannot be taken back.
    LocalZeroForGood,
    /// As before; the taking back pends for ever.
    LocalZeroPending,
    /// Registrations panic.
    Panics,
}

struct Toy(Wrong, Arc<AtomicU32>);

struct ToyMr {
    wrong: Wrong,
    next: Arc<AtomicU32>,
    token: AtomicU32,
    remote: AtomicBool,
    cancelled: AtomicBool,
}

impl MrProvider for ToyMr {
    async fn register(&self, _: MdlView<'_>, access: Access) -> Result<()> {
        if self.wrong == Wrong::Stuck {
            poll_fn(|cx| match self.cancelled.load(Ordering::Acquire) {
                true => Poll::Ready(()),
                false => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
            })
            .await;
            return Err(Error::new(ErrorKind::Cancelled, "cancelled"));
        }
        let token = match self.wrong {
            Wrong::Panics => resume_unwind(Box::new("planted")),
            Wrong::SharedToken | Wrong::TokenTooSoon => 7,
            _ => self.next.fetch_add(1, Ordering::Relaxed) + 100,
        };
        self.token.store(token, Ordering::Release);
        self.remote.store(access.is_remote(), Ordering::Release);
        Ok(())
    }

    async fn deregister(&self) -> Result<()> {
        match self.wrong {
            Wrong::LocalZeroForGood => Err(Error::new(ErrorKind::DeviceBusy, "for good")),
            Wrong::LocalZeroPending => pending().await,
            _ => Ok(()),
        }
    }

    async fn initialize_fast_register(&self, _: u32, remote: bool) -> Result<()> {
        self.token.store(self.next.fetch_add(1, Ordering::Relaxed) + 100, Ordering::Release);
        self.remote.store(remote, Ordering::Release);
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }

    fn local_token(&self) -> Option<LocalToken> {
        let token = LocalToken::new(self.token.load(Ordering::Acquire));
        let has_none = [Wrong::LocalZero, Wrong::LocalZeroForGood, Wrong::LocalZeroPending];
        token.filter(|_| !has_none.contains(&self.wrong))
    }

    fn remote_token(&self) -> Option<RemoteToken> {
        let has_right = self.remote.load(Ordering::Acquire);
        let gives = match self.wrong {
            Wrong::RemoteZero => false,
            Wrong::RemoteWithoutRight => true,
            _ => has_right,
        };
        RemoteToken::new(self.token.load(Ordering::Acquire)).filter(|_| gives)
    }
}

struct ToyQp(Wrong, Mutex<VecDeque<WorkCompletion>>);

thread_local! {
    /// What another thread does while a request is posted, once.
    static MEANWHILE: Cell<Option<Box<dyn FnOnce()>>> = const { Cell::new(None) };
}

impl QpProvider for ToyQp {
    type Mr = ToyMr;
    type Window = NoWindow;

    fn endpoint(&self) -> Endpoint {
        Endpoint("toy".into())
    }

    async fn connect(&self, _: &Endpoint) -> Result<()> {
        Ok(())
    }

    fn post(&self, id: WorkId, request: WorkRequest<'_, ToyMr, NoWindow>) -> Result<()> {
        if let WorkRequest::FastRegister { region, .. } = &request {
            match self.0 {
                Wrong::FastShared => region.token.store(100, Ordering::Release),
                Wrong::FastZero => region.token.store(0, Ordering::Release),
                _ => (),
            }
        }
        let completion = WorkCompletion {
            id,
            kind: request.kind(),
            result: Ok(()),
            bytes: 0,
            invalidated: None,
        };
        let times = if self.0 == Wrong::CompletesTwice { 2 } else { 1 };
        self.1.lock().unwrap().extend(vec![completion; times]);
        if let Some(meanwhile) = MEANWHILE.take() {
            meanwhile();
        }
        Ok(())
    }

    fn poll_completion(&self, _: &mut Context<'_>) -> Poll<WorkCompletion> {
        self.1.lock().unwrap().pop_front().map_or(Poll::Pending, Poll::Ready)
    }

    fn flush(&self) {}

    async fn close(&self) {}
}

impl AdapterProvider for Toy {
    type Pd = ();
    type Mr = ToyMr;
    type Qp = ToyQp;
    type Window = NoWindow;

    fn name(&self) -> &str {
        "toy"
    }

    fn info(&self) -> NDK_ADAPTER_INFO {
        NDK_ADAPTER_INFO {
            MaxRegistrationSize: 1 << 20,
            FRMRPageCount: 1,
            MaxReceiveQueueDepth: 64,
            MaxInitiatorQueueDepth: 64,
            MaxReceiveRequestSge: 4,
            MaxInitiatorRequestSge: 4,
            ..NDK_ADAPTER_INFO::default()
        }
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            base_address: BaseAddress::Any,
            scattered_pages: true,
            byte_exact: true,
            remote_read_enforced: true,
            read_sink_grants_write: false,
            refusal: Refusal::Completion,
            partial_writes: false,
            token_reuse: TokenReuse::After(65_536),
            tokens_unpredictable: false,
            shared_key: true,
            fast_registration: None,
            windows: false,
        }
    }

    async fn create_pd(&self) -> Result<()> {
        Ok(())
    }

    async fn close_pd(&self, _: &()) {}

    async fn create_mr(&self, _: &(), _: RegionKind) -> Result<ToyMr> {
        Ok(ToyMr {
            wrong: self.0,
            next: self.1.clone(),
            token: AtomicU32::new(0),
            remote: AtomicBool::new(false),
            cancelled: AtomicBool::new(false),
        })
    }

    async fn create_qp(&self, _: &(), _: QueueDepths) -> Result<ToyQp> {
        Ok(ToyQp(self.0, Mutex::default()))
    }

    fn cancel(&self, region: &ToyMr) {
        region.cancelled.store(true, Ordering::Release);
    }
}

/// Runs a right consumer over a provider, and gives the first rules of what was found, all of it the provider's.
fn run(
    wrong: Wrong,
    policy: Policy,
    consumer: impl FnOnce(*mut NDK_PD, &Verifier),
) -> Vec<&'static str> {
    let verifier = Verifier::new().policy(policy).limit(Duration::from_millis(20));
    let toy = BoxedAdapter::new(verifier.verify(Toy(wrong, Arc::default())));
    let executor: Arc<dyn Executor> = match wrong {
        Wrong::LocalZeroPending => Arc::new(GivesUp),
        _ => Arc::new(ThreadPool::new(1).unwrap()),
    };
    let version = NDK_VERSION { Major: 1, Minor: 2 };
    let opened = Opened::<_, Std>::new(toy, executor, version).unwrap();
    let (adapter, mut pd) = (opened.adapter().as_ndk().as_ptr(), null_mut());
    // SAFETY: the adapter is open; then the domain is.
    unsafe {
        entry!(adapter, NdkCreatePd)(adapter, Some(create_done), null_mut(), &mut pd);
        consumer(pd, &verifier);
        let ticket = Ticket::new();
        let status = entry!(pd, NdkClosePd)(pd.cast(), Some(close_done), ticket.context());
        assert_eq!(ticket.wait(status), STATUS_SUCCESS);
    }
    opened.close().unwrap();
    assert_eq!(verifier.counts().consumer, 0, "{:#?}", verifier.findings());
    verifier.findings().iter().map(|finding| finding.rules[0]).collect()
}

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
    for (wrong, expected) in
        [(Wrong::Nothing, &[][..]), (Wrong::FastShared, &["V25"]), (Wrong::FastZero, &["V25"])]
    {
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
        assert_eq!(found, expected);
    }
}

/// Initialises a region for one page.
fn initialise(mr: *mut NDK_MR, remote: BOOLEAN) {
    let context = Ticket::new().context();
    // SAFETY: the region is open.
    let status = unsafe {
        entry!(mr, NdkInitializeFastRegisterMr)(mr, 1, remote, Some(request_done), context)
    };
    assert_eq!(status, STATUS_SUCCESS);
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
            buffer.write(0, &[7; PAGE_SIZE]);
            drop((mdl, buffer));
            // SAFETY: the verifier keeps it for the rest of the program.
            assert!(
                unsafe { pages.cast::<[u8; PAGE_SIZE]>().read() } == [7; PAGE_SIZE],
                "it was freed"
            );
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
    struct Asleep(Mutex<Vec<Task>>);
    impl Executor for Asleep {
        fn spawn(&self, task: Task) {
            self.0.lock().unwrap().push(task);
        }
    }
    let verifier = Verifier::new().limit(Duration::from_millis(1));
    let executor = Arc::new(Asleep(Mutex::default()));
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
