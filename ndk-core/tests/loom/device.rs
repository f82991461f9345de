//! A backend whose regions note, in a cell that loom watches, that the framework runs one operation at a time.

use core::future::poll_fn;
use core::task::{Context, Poll};
use loom::cell::UnsafeCell;
use loom::future::AtomicWaker;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::sync::{Arc, Mutex};
use ndk_core::abi::NDK_ADAPTER_INFO;
use ndk_core::mdl::MdlView;
use ndk_core::{
    Access, AdapterProvider, BaseAddress, Capabilities, Endpoint, Error, ErrorKind, LocalToken,
    MrProvider, NoWindow, Platform, QpProvider, QueueDepths, Refusal, RegionKind, RemoteToken,
    Result, TokenReuse, Waits, WorkCompletion, WorkId, WorkRequest,
};
use std::collections::VecDeque;

/// How an operation ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// At once, without a future.
    AtOnce,
    /// In the entry.
    Inline,
    /// At its second poll, by which an executor runs it.
    Later,
    /// With CANCELLED, once the framework asks for that.
    Cancelled,
}

/// The device; each kind of operation has its pace.
#[derive(Clone, Copy)]
pub(crate) struct Device {
    pub(crate) requests: Pace,
    /// Of regions.
    pub(crate) closes: Pace,
    /// Of domains.
    pub(crate) domain_closes: Pace,
    /// Of regions.
    pub(crate) creations: Pace,
}

impl Device {
    /// Everything but requests is inline.
    pub(crate) fn with(requests: Pace) -> Self {
        Self {
            requests,
            closes: Pace::Inline,
            domain_closes: Pace::Inline,
            creations: Pace::Inline,
        }
    }
}

pub(crate) struct Region {
    device: Device,
    hardware: Hardware,
    /// A leaked region is a leaked `Arc`, which loom reports.
    cancel: Arc<Cancel>,
    /// Its invalidations whose completions nobody has polled: none while it is initialised (G3), or fast-registered on
    /// another queue pair (G8).
    invalidations: Plain,
    /// How often it was fast-registered and not invalidated: each comes to the device after the other (G7, G8).
    registrations: Plain,
}

/// A count that loom does not see: it is right in each execution by itself.
type Plain = std::sync::Arc<std::sync::atomic::AtomicUsize>;

loom::lazy_static! {
    /// A region is at work on a request, at once.
    static ref AT_WORK: AtomicBool = AtomicBool::new(false);
}

/// Waits until the execution's first request that ends at once is at work.
pub(crate) fn wait_for_work() {
    while !AT_WORK.load(Ordering::Acquire) {
        loom::thread::yield_now();
    }
}

/// What one operation at a time may change.
struct Hardware(UnsafeCell<()>);

// SAFETY: that only one thread at a time gets in is the framework's promise, and what loom checks here.
unsafe impl Sync for Hardware {}

impl Hardware {
    fn change(&self) {
        self.0.with_mut(|_| ());
    }
}

#[derive(Default)]
struct Cancel {
    asked: AtomicBool,
    waker: AtomicWaker,
}

impl Cancel {
    fn ask(&self) {
        self.asked.store(true, Ordering::Release);
        self.waker.wake();
    }

    async fn wait(&self) {
        poll_fn(|cx| {
            self.waker.register_by_ref(cx.waker());
            if self.asked.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

async fn later() {
    let mut polled = false;
    poll_fn(|cx| {
        if core::mem::replace(&mut polled, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl Region {
    async fn operate(&self, pace: Pace) -> Result<()> {
        self.hardware.change();
        match pace {
            Pace::AtOnce | Pace::Inline => {}
            Pace::Later => later().await,
            Pace::Cancelled => {
                self.cancel.wait().await;
                return Err(Error::new(ErrorKind::Cancelled, "cancelled by the model"));
            }
        }
        self.hardware.change();
        Ok(())
    }

    fn operate_at_once(&self) -> Option<Result<()>> {
        let Pace::AtOnce = self.device.requests else { return None };
        self.hardware.change();
        AT_WORK.store(true, Ordering::Release);
        self.hardware.change();
        Some(Ok(()))
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.hardware.change();
        }
    }
}

impl MrProvider for Region {
    async fn register(&self, _memory: MdlView<'_>, _access: Access) -> Result<()> {
        self.operate(self.device.requests).await
    }

    async fn deregister(&self) -> Result<()> {
        self.operate(self.device.requests).await
    }

    fn register_at_once(&self, _memory: MdlView<'_>, _access: Access) -> Option<Result<()>> {
        self.operate_at_once()
    }

    fn deregister_at_once(&self) -> Option<Result<()>> {
        self.operate_at_once()
    }

    async fn initialize_fast_register(&self, _pages: u32, _remote: bool) -> Result<()> {
        assert_eq!(self.invalidations.load(Ordering::SeqCst), 0, "G3");
        assert_eq!(self.registrations.load(Ordering::SeqCst), 0, "G3");
        self.operate(self.device.requests).await
    }

    async fn close(&self) -> Result<()> {
        let _ = self.operate(self.device.closes).await;
        Ok(())
    }

    /// Asked only while no operation is in progress that the models run beside it, so what it reads stands still.
    fn local_token(&self) -> Option<LocalToken> {
        self.hardware.0.with(|_| ());
        LocalToken::new(1)
    }

    fn remote_token(&self) -> Option<RemoteToken> {
        None
    }
}

impl AdapterProvider for Device {
    type Pd = ();
    type Mr = Region;
    type Qp = Queue;
    type Window = NoWindow;

    fn name(&self) -> &str {
        "model"
    }

    fn info(&self) -> NDK_ADAPTER_INFO {
        NDK_ADAPTER_INFO {
            MaxRegistrationSize: 1 << 20,
            FRMRPageCount: 16,
            MaxReceiveQueueDepth: 4,
            MaxInitiatorQueueDepth: 4,
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
            token_reuse: TokenReuse::Unknown,
            tokens_unpredictable: false,
            shared_key: true,
            fast_registration: None,
            windows: false,
        }
    }

    async fn create_pd(&self) -> Result<()> {
        Ok(())
    }

    async fn close_pd(&self, _pd: &()) {
        if let Pace::Later = self.domain_closes {
            later().await;
        }
    }

    async fn create_mr(&self, _pd: &(), _kind: RegionKind) -> Result<Region> {
        if let Pace::Later = self.creations {
            later().await;
        }
        Ok(Region {
            device: *self,
            hardware: Hardware(UnsafeCell::new(())),
            cancel: Arc::default(),
            invalidations: Plain::default(),
            registrations: Plain::default(),
        })
    }

    async fn create_qp(&self, _pd: &(), _depths: QueueDepths) -> Result<Queue> {
        Ok(Queue::default())
    }

    fn cancel(&self, region: &Region) {
        region.cancel.ask();
    }
}

/// A queue pair that carries requests out where they are posted, as operations of their regions.
#[derive(Default)]
pub(crate) struct Queue {
    completions: Mutex<VecDeque<(WorkCompletion, Option<Plain>)>>,
    /// Of the one region that a model invalidates, those that were posted here and whose completions nobody has polled.
    invalidations: Plain,
    /// Counted at each call. Loom goes by what threads write in turns: with this, whoever asks for the endpoint is tried
    /// before and after each step of the others.
    steps: AtomicUsize,
}

impl Queue {
    fn step(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }
}

impl QpProvider for Queue {
    type Mr = Region;
    type Window = NoWindow;

    fn endpoint(&self) -> Endpoint {
        self.step();
        Endpoint(String::new())
    }

    async fn connect(&self, _peer: &Endpoint) -> Result<()> {
        Ok(())
    }

    fn post(&self, id: WorkId, request: WorkRequest<'_, Region, NoWindow>) -> Result<()> {
        self.step();
        let kind = request.kind();
        let invalidation = match request {
            WorkRequest::FastRegister { region, .. } => {
                let here = self.invalidations.load(Ordering::SeqCst);
                assert_eq!(region.invalidations.load(Ordering::SeqCst), here, "G8");
                assert_eq!(region.registrations.fetch_add(1, Ordering::SeqCst), 0, "G7, G8");
                region.hardware.change();
                None
            }
            WorkRequest::InvalidateRegion { region } => {
                assert_eq!(region.registrations.fetch_sub(1, Ordering::SeqCst), 1, "G8");
                region.invalidations.fetch_add(1, Ordering::SeqCst);
                self.invalidations.fetch_add(1, Ordering::SeqCst);
                region.hardware.change();
                Some(region.invalidations.clone())
            }
            _ => None,
        };
        let completion = WorkCompletion { id, kind, result: Ok(()), bytes: 0, invalidated: None };
        self.completions.lock().unwrap().push_back((completion, invalidation));
        self.step();
        Ok(())
    }

    fn poll_completion(&self, _cx: &mut Context<'_>) -> Poll<WorkCompletion> {
        self.step();
        let next = self.completions.lock().unwrap().pop_front();
        let Some((completion, invalidation)) = next else { return Poll::Pending };
        if let Some(count) = invalidation {
            count.fetch_sub(1, Ordering::SeqCst);
            self.invalidations.fetch_sub(1, Ordering::SeqCst);
        }
        Poll::Ready(completion)
    }

    fn flush(&self) {}

    async fn close(&self) {}
}

/// Loom's locks replace the platform's, so the one named here is never used.
pub(crate) struct Modelled;

pub(crate) struct NoLock;

// SAFETY: it is never locked, since every method panics.
unsafe impl lock_api::RawMutex for NoLock {
    const INIT: Self = Self;
    type Guard = ();

    fn lock(&self) {
        unreachable!()
    }

    fn try_lock(&self) -> Option<()> {
        unreachable!()
    }

    unsafe fn unlock(&self, _guard: ()) {
        unreachable!()
    }

    fn is_locked(&self) -> bool {
        unreachable!()
    }
}

impl Platform for Modelled {
    type RawMutex = NoLock;
}

impl Waits for Modelled {
    fn wait(_key: usize, still: &dyn Fn() -> bool) {
        if still() {
            loom::thread::yield_now();
        }
    }
}
