//! A provider in Rust that can be wrong, and a right consumer over it.

use crate::calls::{GivesUp, Ticket, close_done, create_done, entry};
use ndk_core::abi::*;
use ndk_core::mdl::MdlView;
use ndk_core::verifier::{Policy, Verifier};
use ndk_core::*;
use std::cell::Cell;
use std::collections::VecDeque;
use std::future::{pending, poll_fn};
use std::panic::resume_unwind;
use std::ptr::{addr_of, null_mut};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
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
    /// To a remote one only.
    FastLocalZero,
    /// A registration without tokens, that cannot be taken back.
    LocalZeroForGood,
    /// As before; the taking back pends for ever.
    LocalZeroPending,
    /// Registrations panic.
    Panics,
    /// A request, during whose posting another is posted, finds the queue full.
    Full,
    /// Sends panic.
    SendPanics,
    /// What it says of itself panics.
    NamePanics,
    CapabilitiesPanic,
}

pub(crate) struct Toy(pub(crate) Wrong, pub(crate) Arc<AtomicU32>);

pub(crate) struct ToyMr {
    wrong: Wrong,
    next: Arc<AtomicU32>,
    token: AtomicU32,
    has_local: AtomicBool,
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
        token.filter(|_| self.has_local.load(Ordering::Acquire))
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

pub(crate) struct ToyQp(Wrong, Mutex<VecDeque<WorkCompletion>>);

thread_local! {
    /// What another thread does while a request is posted, once.
    pub(crate) static MEANWHILE: Cell<Option<Box<dyn FnOnce()>>> = const { Cell::new(None) };
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
                Wrong::FastLocalZero => region.has_local.store(false, Ordering::Release),
                _ => (),
            }
        }
        if self.0 == Wrong::SendPanics && request.kind() == WorkKind::Send {
            resume_unwind(Box::new("planted"));
        }
        let meanwhile = MEANWHILE.take();
        let is_full = self.0 == Wrong::Full && meanwhile.is_some();
        let completion = WorkCompletion {
            id,
            kind: request.kind(),
            result: Ok(()),
            bytes: 0,
            invalidated: None,
        };
        let times = match self.0 {
            _ if is_full => 0,
            Wrong::CompletesTwice => 2,
            _ => 1,
        };
        self.1.lock().unwrap().extend(vec![completion; times]);
        if let Some(meanwhile) = meanwhile {
            meanwhile();
        }
        match is_full {
            true => Err(Error::new(ErrorKind::InsufficientResources, "the queue is full")),
            false => Ok(()),
        }
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
        if self.0 == Wrong::NamePanics {
            resume_unwind(Box::new("planted"));
        }
        "toy"
    }

    fn info(&self) -> NDK_ADAPTER_INFO {
        NDK_ADAPTER_INFO {
            MaxRegistrationSize: 1 << 20,
            FRMRPageCount: 1,
            MaxTransferLength: 1 << 20,
            MaxReceiveQueueDepth: 64,
            MaxInitiatorQueueDepth: 64,
            MaxReceiveRequestSge: 4,
            MaxInitiatorRequestSge: 4,
            ..NDK_ADAPTER_INFO::default()
        }
    }

    fn capabilities(&self) -> Capabilities {
        if self.0 == Wrong::CapabilitiesPanic {
            resume_unwind(Box::new("planted"));
        }
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
            has_local: AtomicBool::new(!matches!(
                self.0,
                Wrong::LocalZero | Wrong::LocalZeroForGood | Wrong::LocalZeroPending
            )),
            remote: AtomicBool::new(false),
            cancelled: AtomicBool::new(false),
        })
    }

    async fn create_qp(&self, _: &(), _: QueueDepths) -> Result<ToyQp> {
        Ok(ToyQp(self.0, Mutex::default()))
    }

    fn privileged_token(&self, _: &()) -> Option<LocalToken> {
        LocalToken::new(1)
    }

    async fn build_mapping(&self, _: MdlView<'_>, pages: &mut [u64]) -> Result<Mapping> {
        let number = self.1.fetch_add(1, Ordering::Relaxed);
        let first = u64::from(number) << 32;
        (first..).step_by(PAGE_SIZE).zip(pages).for_each(|(address, page)| *page = address);
        Ok(Mapping(number as usize))
    }

    fn cancel(&self, region: &ToyMr) {
        region.cancelled.store(true, Ordering::Release);
    }
}

/// Runs a right consumer over a provider, and gives the first rules of what was found, all of it the provider's.
pub(crate) fn run(
    wrong: Wrong,
    policy: Policy,
    consumer: impl FnOnce(*mut NDK_PD, &Verifier),
) -> Vec<&'static str> {
    let verifier = run_any(wrong, policy, |_, pd, verifier| consumer(pd, verifier));
    assert_eq!(verifier.counts().consumer, 0, "{:#?}", verifier.findings());
    verifier.findings().iter().map(|finding| finding.rules[0]).collect()
}

/// Runs a consumer, be it right or not, over a provider.
pub(crate) fn run_any(
    wrong: Wrong,
    policy: Policy,
    consumer: impl FnOnce(*mut NDK_ADAPTER, *mut NDK_PD, &Verifier),
) -> Verifier {
    let verifier = match wrong {
        Wrong::Stuck => Verifier::new().limit(Duration::from_millis(20)),
        // What only waits for this machine's other programs is no finding.
        _ => Verifier::new(),
    };
    let verifier = verifier.policy(policy);
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
        consumer(adapter, pd, &verifier);
        let ticket = Ticket::new();
        let status = entry!(pd, NdkClosePd)(pd.cast(), Some(close_done), ticket.context());
        assert_eq!(ticket.wait(status), STATUS_SUCCESS);
    }
    opened.close().unwrap();
    verifier
}
