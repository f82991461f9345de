//! A backend without a device: it does what a test tells it to, and calls the test in the middle of its operations.

use crate::operation::{End, Hook, Operation};
use ndk_core::abi::{GUID, NDK_ADAPTER_INFO, NDK_EXTENSION_INTERFACE, NDK_VERSION};
use ndk_core::mdl::MdlView;
use ndk_core::{
    Access, AdapterProvider, BaseAddress, Capabilities, Endpoint, Error, ErrorKind, Event, Finding,
    LocalToken, Mapping, MrProvider, Named, QpProvider, QueueDepths, Refusal, RegionKind,
    RemoteAddress, RemoteToken, Result, Sge, TokenReuse, Watch, WindowProvider, WorkCompletion,
    WorkId, WorkKind, WorkRequest,
};
use std::collections::VecDeque;
use std::future::Future;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll};

/// The one key of this device. All its regions get it, one after the other.
pub(crate) const KEY: u32 = 7;

/// What the test and everything of the adapter share.
#[derive(Default)]
pub(crate) struct Control {
    /// What registrations and deregistrations answer at once; `None` where they have no answer.
    pub(crate) at_once: Mutex<Option<End>>,
    /// What creations of regions answer at once.
    pub(crate) create_at_once: Mutex<Option<End>>,
    /// Called where an answer at once is asked for.
    pub(crate) at_once_hook: Hook,
    /// How often one was asked for without an answer at once.
    pub(crate) waited: AtomicUsize,
    /// Of registrations and deregistrations that have no answer at once.
    pub(crate) register: Operation,
    pub(crate) initialise: Operation,
    pub(crate) create_domain: Operation,
    pub(crate) create_region: Operation,
    pub(crate) close_region: Operation,
    pub(crate) close_domain: Operation,
    /// Of queue pairs and windows.
    pub(crate) close: Operation,
    pub(crate) post: Operation,
    /// Called where the device has a request, and its posting has not returned.
    pub(crate) posted_hook: Hook,
    /// Of reads and writes that are carried out while they are posted, where `carries_out` says so.
    pub(crate) now: Operation,
    pub(crate) carries_out: AtomicBool,
    /// Whether the device is gone, and what is called where that is asked.
    pub(crate) lost: AtomicBool,
    pub(crate) lost_hook: Hook,
    /// Whether the adapter opens without queue pairs.
    pub(crate) no_queues: AtomicBool,
    /// How often what is pending on a region was to be cancelled.
    pub(crate) cancelled: AtomicUsize,
    /// How many regions, queue pairs and windows were dropped.
    pub(crate) dropped: AtomicUsize,
    /// Whether a watch is told what happens; asked at the opening.
    pub(crate) watch: OnceLock<Arc<dyn Watch>>,
    /// The method that panics from now on.
    pub(crate) trap: Mutex<Option<Trap>>,
    posted: Mutex<VecDeque<(WorkId, WorkKind)>>,
    completions: Mutex<VecDeque<WorkCompletion>>,
}

/// A method without an operation of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trap {
    Name,
    Info,
    Capabilities,
    HighestMinor,
    IsLost,
    ShutDown,
    QueryExtension,
    ReleaseMapping,
    /// Before there is a future.
    InitialiseRegion,
    CloseRegion,
    CreateQp,
    CreateWindow,
    WindowToken,
    Endpoint,
    Connect,
    PollCompletion,
    Flush,
    /// Of a region, and of a queue pair.
    Numbered,
}

/// A watch that objects to nothing.
pub(crate) struct Onlooker;

impl Watch for Onlooker {
    fn creating(&self) -> u64 {
        0
    }

    fn see(&self, _object: &Named<'_>, _event: Event<'_>) -> Result<()> {
        Ok(())
    }

    fn broken(&self, rules: &'static [&'static str], _id: u64, did: String) {
        panic!("{rules:?}: {did}");
    }

    fn findings(&self) -> Vec<Finding> {
        Vec::new()
    }
}

impl Control {
    pub(crate) fn set_trap(&self, trap: Trap) {
        *self.trap.lock().unwrap() = Some(trap);
    }

    /// The answer at once, given without the lock, which a panic would poison.
    fn answer(&self) -> Option<Result<()>> {
        self.at_once_hook.call();
        let end = *self.at_once.lock().unwrap();
        end.and_then(End::at_once)
    }

    fn pass(&self, trap: Trap) {
        if *self.trap.lock().unwrap() == Some(trap) {
            resume_unwind(Box::new("planted"));
        }
    }

    /// The oldest request that was posted completes.
    pub(crate) fn complete(&self, result: std::result::Result<(), ErrorKind>) {
        assert!(self.complete_next(result), "a posted request");
    }

    /// The completion that is next is there twice, as no device may have it.
    pub(crate) fn repeat(&self) {
        let mut completions = self.completions.lock().unwrap();
        let next = completions.front().expect("a completion").clone();
        completions.push_front(next);
    }

    pub(crate) fn complete_all(&self) {
        while self.complete_next(Ok(())) {}
    }

    fn complete_next(&self, result: std::result::Result<(), ErrorKind>) -> bool {
        let Some((id, kind)) = self.posted.lock().unwrap().pop_front() else { return false };
        let completion = WorkCompletion { id, kind, result, bytes: 0, invalidated: None };
        self.completions.lock().unwrap().push_back(completion);
        true
    }

    /// How many requests that were posted have not completed.
    pub(crate) fn in_flight(&self) -> usize {
        self.posted.lock().unwrap().len()
    }

    fn carry_out_now(&self) -> bool {
        let may = self.carries_out.load(Ordering::Relaxed) && self.in_flight() == 0;
        if !may || !self.completions.lock().unwrap().is_empty() {
            return false;
        }
        match self.now.call() {
            End::Panic => resume_unwind(Box::new("planted")),
            end => end == End::Succeed,
        }
    }

    /// A peer's send arrives that invalidates the regions' key.
    pub(crate) fn peer_invalidates(&self) {
        self.peer_sends(KEY);
    }

    /// As `peer_invalidates`, with the windows' key.
    pub(crate) fn peer_invalidates_window(&self) {
        self.peer_sends(KEY + 1);
    }

    fn peer_sends(&self, key: u32) {
        self.completions.lock().unwrap().push_back(WorkCompletion {
            id: WorkId { context: 1, tag: 0 },
            kind: WorkKind::Receive,
            result: Ok(()),
            bytes: 0,
            invalidated: RemoteToken::new(key),
        });
    }
}

pub(crate) struct Hooked(pub(crate) Arc<Control>);

/// A region, queue pair or window.
pub(crate) struct Part(Arc<Control>);

impl Drop for Part {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

impl MrProvider for Part {
    async fn register(&self, _memory: MdlView<'_>, _access: Access) -> Result<()> {
        self.0.waited.fetch_add(1, Ordering::Relaxed);
        self.0.register.run().await
    }

    async fn deregister(&self) -> Result<()> {
        self.0.waited.fetch_add(1, Ordering::Relaxed);
        self.0.register.run().await
    }

    fn register_at_once(&self, _memory: MdlView<'_>, _access: Access) -> Option<Result<()>> {
        self.0.answer()
    }

    fn deregister_at_once(&self) -> Option<Result<()>> {
        self.0.answer()
    }

    fn initialize_fast_register(
        &self,
        _pages: u32,
        _remote: bool,
    ) -> impl Future<Output = Result<()>> + Send {
        self.0.pass(Trap::InitialiseRegion);
        self.0.initialise.run()
    }

    fn close(&self) -> impl Future<Output = Result<()>> + Send {
        self.0.pass(Trap::CloseRegion);
        self.0.close_region.run()
    }

    fn numbered(&self, _id: u64) {
        self.0.pass(Trap::Numbered);
    }

    fn local_token(&self) -> Option<LocalToken> {
        LocalToken::new(KEY)
    }

    fn remote_token(&self) -> Option<RemoteToken> {
        RemoteToken::new(KEY)
    }
}

impl QpProvider for Part {
    type Mr = Self;
    type Window = Self;

    fn endpoint(&self) -> Endpoint {
        self.0.pass(Trap::Endpoint);
        Endpoint("nowhere".into())
    }

    async fn connect(&self, _peer: &Endpoint) -> Result<()> {
        self.0.pass(Trap::Connect);
        Ok(())
    }

    fn post(&self, id: WorkId, request: WorkRequest<'_, Self, Self>) -> Result<()> {
        match self.0.post.call() {
            End::Panic => resume_unwind(Box::new("planted")),
            End::Fail => return Err(Error::new(ErrorKind::InsufficientResources, "planted")),
            _ => self.0.posted.lock().unwrap().push_back((id, request.kind())),
        }
        self.0.posted_hook.call();
        Ok(())
    }

    fn poll_completion(&self, _cx: &mut Context<'_>) -> Poll<WorkCompletion> {
        self.0.pass(Trap::PollCompletion);
        self.0.completions.lock().unwrap().pop_front().map_or(Poll::Pending, Poll::Ready)
    }

    fn write_at_once(&self, _local: &[Sge], _remote: RemoteAddress) -> bool {
        self.0.carry_out_now()
    }

    fn read_at_once(&self, _local: &[Sge], _remote: RemoteAddress) -> bool {
        self.0.carry_out_now()
    }

    fn flush(&self) {
        self.0.pass(Trap::Flush);
    }

    fn numbered(&self, _id: u64) {
        self.0.pass(Trap::Numbered);
    }

    async fn close(&self) {
        self.0.close.run().await.expect("a close cannot fail");
    }
}

impl WindowProvider for Part {
    fn remote_token(&self) -> Option<RemoteToken> {
        self.0.pass(Trap::WindowToken);
        RemoteToken::new(KEY + 1)
    }

    async fn close(&self) {
        QpProvider::close(self).await;
    }
}

impl AdapterProvider for Hooked {
    type Pd = ();
    type Mr = Part;
    type Qp = Part;
    type Window = Part;

    fn name(&self) -> &str {
        self.0.pass(Trap::Name);
        "hooked"
    }

    fn highest_minor(&self, major: u16) -> Option<u16> {
        self.0.pass(Trap::HighestMinor);
        (major == 2).then_some(0)
    }

    fn is_lost(&self) -> bool {
        self.0.pass(Trap::IsLost);
        self.0.lost_hook.call();
        self.0.lost.load(Ordering::Relaxed)
    }

    fn cancel(&self, _region: &Part) {
        self.0.cancelled.fetch_add(1, Ordering::Relaxed);
    }

    fn release_mapping(&self, _mapping: Mapping) {
        self.0.pass(Trap::ReleaseMapping);
    }

    fn query_extension(
        &self,
        _id: &GUID,
        _version: NDK_VERSION,
    ) -> Result<NDK_EXTENSION_INTERFACE> {
        self.0.pass(Trap::QueryExtension);
        Err(ErrorKind::NotSupported.into())
    }

    fn shut_down(&self) {
        self.0.pass(Trap::ShutDown);
    }

    fn watch(&self) -> Option<&Arc<dyn Watch>> {
        self.0.watch.get()
    }

    fn info(&self) -> NDK_ADAPTER_INFO {
        self.0.pass(Trap::Info);
        let depth = if self.0.no_queues.load(Ordering::Relaxed) { 0 } else { 64 };
        NDK_ADAPTER_INFO {
            MaxRegistrationSize: 1 << 20,
            FRMRPageCount: 16,
            MaxReceiveQueueDepth: depth,
            MaxInitiatorQueueDepth: depth,
            MaxTransferLength: 1 << 20,
            MaxInitiatorRequestSge: 1,
            MaxReadRequestSge: 1,
            ..NDK_ADAPTER_INFO::default()
        }
    }

    fn capabilities(&self) -> Capabilities {
        self.0.pass(Trap::Capabilities);
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
            windows: true,
        }
    }

    async fn create_pd(&self) -> Result<()> {
        self.0.create_domain.run().await
    }

    async fn close_pd(&self, (): &()) {
        self.0.close_domain.run().await.expect("a close cannot fail");
    }

    async fn create_mr(&self, (): &(), _kind: RegionKind) -> Result<Part> {
        self.0.create_region.run().await?;
        Ok(Part(self.0.clone()))
    }

    fn create_mr_at_once(&self, (): &(), _kind: RegionKind) -> Option<Result<Part>> {
        let end = *self.0.create_at_once.lock().unwrap();
        end.and_then(End::at_once).map(|made| made.map(|()| Part(self.0.clone())))
    }

    async fn create_qp(&self, (): &(), _depths: QueueDepths) -> Result<Part> {
        self.0.pass(Trap::CreateQp);
        Ok(Part(self.0.clone()))
    }

    async fn create_window(&self, (): &()) -> Result<Part> {
        self.0.pass(Trap::CreateWindow);
        Ok(Part(self.0.clone()))
    }
}
