//! The provider: tokens from a counter, memory reached by page-frame numbers.

use ndk_core::abi::{NDK_ADAPTER_FLAG_RDMA_READ_SINK_NOT_REQUIRED, NDK_ADAPTER_INFO, PAGE_SIZE};
use ndk_core::mdl::MdlView;
use ndk_core::{
    Access, AdapterProvider, BaseAddress, Capabilities, Error, ErrorKind, LocalToken, Mapping,
    MrProvider, NoQueuePair, NoWindow, Refusal, RegionKind, RemoteToken, Result, TokenReuse,
};
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::Poll;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Everything is done at once.
    Inline,
    /// Everything waits once.
    Pending,
    /// Registrations wait until they are cancelled.
    Stuck,
    /// Closes of regions wait for ever.
    Hung,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    CreatePd,
    CreateMr,
    Register,
    Deregister,
    Initialize,
    Close,
    Map,
}

struct Registration {
    base: u64,
    length: u64,
    access: Access,
    frames: Vec<usize>,
}

/// The device, as the test sees it.
pub struct World {
    pub mode: Mutex<Mode>,
    failures: Mutex<VecDeque<(Op, ErrorKind)>>,
    panics: AtomicBool,
    counts: Mutex<HashMap<&'static str, usize>>,
    live: Mutex<HashMap<&'static str, usize>>,
    registrations: Mutex<HashMap<u32, Registration>>,
    next_token: AtomicU32,
    shut_down: (Mutex<bool>, Condvar),
}

impl World {
    pub fn new(mode: Mode) -> Arc<Self> {
        Arc::new(Self {
            mode: Mutex::new(mode),
            failures: Mutex::default(),
            panics: AtomicBool::new(false),
            counts: Mutex::default(),
            live: Mutex::default(),
            registrations: Mutex::default(),
            next_token: AtomicU32::new(0x100),
            shut_down: Default::default(),
        })
    }

    /// Makes the next operation of that kind fail.
    pub fn fail_next(&self, op: Op, kind: ErrorKind) {
        self.failures.lock().unwrap().push_back((op, kind));
    }

    /// Makes the next registration panic when the device has it.
    pub fn panic_once_registered(&self) {
        self.panics.store(true, Ordering::Release);
    }

    pub fn set_mode(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    /// How often an operation has come to its end with success.
    pub fn count(&self, what: &'static str) -> usize {
        self.counts.lock().unwrap().get(what).copied().unwrap_or(0)
    }

    /// How many objects of a kind there are.
    pub fn live(&self, what: &'static str) -> usize {
        self.live.lock().unwrap().get(what).copied().unwrap_or(0)
    }

    pub fn assert_nothing_left(&self) {
        assert_eq!((self.live("pd"), self.live("mr"), self.live("mapping")), (0, 0, 0));
        assert_eq!(self.registered(), 0);
    }

    pub fn registered(&self) -> usize {
        self.registrations.lock().unwrap().len()
    }

    pub fn wait_for_shut_down(&self) {
        let (done, changed) = &self.shut_down;
        drop(changed.wait_while(done.lock().unwrap(), |done| !*done).unwrap());
    }

    pub fn is_shut_down(&self) -> bool {
        *self.shut_down.0.lock().unwrap()
    }

    /// A peer's write: false where it is refused.
    pub fn peer_write(&self, token: Option<RemoteToken>, address: u64, bytes: &[u8]) -> bool {
        self.access(token, address, bytes.len(), Access::REMOTE_WRITE, |index, cell| {
            cell.store(bytes[index], Ordering::Relaxed);
        })
    }

    /// A peer's read: nothing where it is refused.
    pub fn peer_read(&self, token: Option<RemoteToken>, address: u64, n: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; n];
        self.access(token, address, n, Access::REMOTE_READ, |index, cell| {
            bytes[index] = cell.load(Ordering::Relaxed);
        })
        .then_some(bytes)
    }

    /// Touches every byte of every registration, whoever still knows of it: for the address sanitizer.
    pub fn touch_everything(&self) -> usize {
        let registrations = self.registrations.lock().unwrap();
        for registration in registrations.values() {
            for index in 0..registration.length {
                registration.cell(index).fetch_add(1, Ordering::Relaxed);
            }
        }
        registrations.len()
    }

    fn access(
        &self,
        token: Option<RemoteToken>,
        address: u64,
        length: usize,
        right: Access,
        mut each: impl FnMut(usize, &AtomicU8),
    ) -> bool {
        let registrations = self.registrations.lock().unwrap();
        let found = token.and_then(|token| registrations.get(&token.get()));
        let Some(found) = found.filter(|found| found.access.contains(right)) else { return false };
        let Some(start) = address.checked_sub(found.base) else { return false };
        if start + length as u64 > found.length {
            return false;
        }
        (0..length).for_each(|index| each(index, found.cell(start + index as u64)));
        true
    }

    fn note(&self, what: &'static str) {
        *self.counts.lock().unwrap().entry(what).or_default() += 1;
    }

    fn change(&self, what: &'static str, by: isize) {
        let mut live = self.live.lock().unwrap();
        let count = live.entry(what).or_default();
        *count = count.checked_add_signed(by).expect("more gone than made");
    }

    async fn step(&self, op: Op, cancelled: Option<&AtomicBool>) -> Result<()> {
        let mode = *self.mode.lock().unwrap();
        let mut waits = usize::from(mode != Mode::Inline);
        let stuck =
            (mode, op) == (Mode::Stuck, Op::Register) || (mode, op) == (Mode::Hung, Op::Close);
        let is_cancelled = || cancelled.is_some_and(|flag| flag.load(Ordering::Acquire));
        poll_fn(|cx| {
            if waits == 0 || is_cancelled() {
                return Poll::Ready(());
            }
            waits -= usize::from(!stuck);
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        if is_cancelled() {
            return Err(Error::new(ErrorKind::Cancelled, "cancelled"));
        }
        let mut failures = self.failures.lock().unwrap();
        match failures.iter().position(|(fails, _)| *fails == op) {
            Some(at) => Err(failures.remove(at).unwrap().1.into()),
            None => Ok(()),
        }
    }
}

impl Registration {
    fn cell(&self, index: u64) -> &AtomicU8 {
        let at = self.base as usize % PAGE_SIZE + index as usize;
        let address = (self.frames[at / PAGE_SIZE] << 12) + at % PAGE_SIZE;
        // SAFETY: registered memory is kept by its owner, who accesses it atomically too.
        unsafe { AtomicU8::from_ptr(std::ptr::with_exposed_provenance_mut(address)) }
    }
}

pub struct Soft(pub Arc<World>);

pub struct SoftPd(Arc<World>);

impl Drop for SoftPd {
    fn drop(&mut self) {
        self.0.change("pd", -1);
    }
}

pub struct SoftMr {
    world: Arc<World>,
    token: AtomicU32,
    remote: AtomicBool,
    cancelled: AtomicBool,
}

impl Drop for SoftMr {
    fn drop(&mut self) {
        self.world.change("mr", -1);
    }
}

impl SoftMr {
    fn new_token(&self) -> u32 {
        let token = self.world.next_token.fetch_add(1, Ordering::Relaxed);
        self.token.store(token, Ordering::Release);
        token
    }

    fn end(&self) {
        self.world.registrations.lock().unwrap().remove(&self.token.swap(0, Ordering::AcqRel));
    }
}

impl MrProvider for SoftMr {
    async fn register(&self, memory: MdlView<'_>, access: Access) -> Result<()> {
        self.world.step(Op::Register, Some(&self.cancelled)).await?;
        let registration = Registration {
            base: memory.base(),
            length: memory.len() as u64,
            access,
            frames: memory.frames().collect(),
        };
        self.remote.store(access.is_remote(), Ordering::Release);
        self.world.registrations.lock().unwrap().insert(self.new_token(), registration);
        assert!(!self.world.panics.swap(false, Ordering::AcqRel), "a backend's own trouble");
        self.world.note("register");
        Ok(())
    }

    async fn deregister(&self) -> Result<()> {
        self.world.step(Op::Deregister, None).await?;
        self.end();
        self.world.note("deregister");
        Ok(())
    }

    async fn initialize_fast_register(&self, _pages: u32, remote: bool) -> Result<()> {
        self.world.step(Op::Initialize, Some(&self.cancelled)).await?;
        self.remote.store(remote, Ordering::Release);
        self.new_token();
        self.world.note("initialize");
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        self.world.step(Op::Close, None).await?;
        self.end();
        self.world.note("close");
        Ok(())
    }

    fn local_token(&self) -> Option<LocalToken> {
        LocalToken::new(self.token.load(Ordering::Acquire))
    }

    fn remote_token(&self) -> Option<RemoteToken> {
        let token = RemoteToken::new(self.token.load(Ordering::Acquire));
        token.filter(|_| self.remote.load(Ordering::Acquire))
    }
}

impl AdapterProvider for Soft {
    type Pd = SoftPd;
    type Mr = SoftMr;
    type Qp = NoQueuePair<SoftMr>;
    type Window = NoWindow;

    fn name(&self) -> &str {
        "soft"
    }

    fn info(&self) -> NDK_ADAPTER_INFO {
        NDK_ADAPTER_INFO {
            MaxRegistrationSize: 1 << 24,
            FRMRPageCount: 16,
            AdapterFlags: NDK_ADAPTER_FLAG_RDMA_READ_SINK_NOT_REQUIRED,
            ..Default::default()
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

    async fn create_pd(&self) -> Result<SoftPd> {
        self.0.step(Op::CreatePd, None).await?;
        self.0.change("pd", 1);
        Ok(SoftPd(self.0.clone()))
    }

    async fn close_pd(&self, _pd: &SoftPd) {
        let _ = self.0.step(Op::CreatePd, None).await;
        self.0.note("close pd");
    }

    async fn create_mr(&self, _pd: &SoftPd, _kind: RegionKind) -> Result<SoftMr> {
        self.0.step(Op::CreateMr, None).await?;
        self.0.change("mr", 1);
        Ok(SoftMr {
            world: self.0.clone(),
            token: AtomicU32::new(0),
            remote: AtomicBool::new(false),
            cancelled: AtomicBool::new(false),
        })
    }

    fn cancel(&self, region: &SoftMr) {
        region.cancelled.store(true, Ordering::Release);
    }

    fn privileged_token(&self, _pd: &SoftPd) -> Option<LocalToken> {
        LocalToken::new(0x77)
    }

    async fn build_mapping(&self, memory: MdlView<'_>, pages: &mut [u64]) -> Result<Mapping> {
        self.0.step(Op::Map, None).await?;
        for (page, frame) in pages.iter_mut().zip(memory.frames()) {
            *page = (frame as u64) << 12 | 1 << 60;
        }
        self.0.change("mapping", 1);
        Ok(Mapping(42))
    }

    fn release_mapping(&self, mapping: Mapping) {
        assert_eq!(mapping, Mapping(42));
        self.0.change("mapping", -1);
    }

    fn shut_down(&self) {
        *self.0.shut_down.0.lock().unwrap() = true;
        self.0.shut_down.1.notify_all();
    }
}
