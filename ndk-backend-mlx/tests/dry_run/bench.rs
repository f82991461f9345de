//! What a test needs around a fast registration: the adapter with a domain, mapped memory, two queue pairs that are
//! connected.

use crate::fake::{Completion, Fake, SendQueue};
use futures_lite::future::{block_on, zip};
use ndk_backend_mlx::{Config, MlxAdapter, MlxPd, MlxQueuePair, MlxRegion};
use ndk_core::mdl::{Buffer, Mdl, MdlView};
use ndk_core::{
    Access, AdapterProvider, FastMemory, Mapping, MrProvider, QpProvider, QueueDepths, RegionKind,
    RemoteToken, Result, WorkCompletion, WorkId, WorkRequest,
};
use std::task::{Context, Poll, Waker};

pub(crate) const PAGE: u64 = 4096;

/// The adapter, with a domain.
pub(crate) struct Bench {
    pub(crate) fake: Fake,
    pub(crate) adapter: MlxAdapter,
    pub(crate) domain: MlxPd,
}

impl Bench {
    pub(crate) fn open(fake: Fake) -> Self {
        let config = Config { device: Some("mlx5_0".into()), ..Config::default() };
        let adapter = MlxAdapter::open(config).unwrap();
        let domain = block_on(adapter.create_pd()).unwrap();
        Self { fake, adapter, domain }
    }

    /// Mapped memory.
    pub(crate) fn memory(&self, pages: usize) -> Memory {
        let buffer = Buffer::new(pages * PAGE as usize).unwrap();
        let mdl = Mdl::new(&buffer).unwrap();
        let mut logical = vec![0; pages];
        // SAFETY: the chain lives as long as the mapping, and its memory.
        let view = unsafe { MdlView::new(mdl.as_ptr(), buffer.len()) }.unwrap();
        let mapping = block_on(self.adapter.build_mapping(view, &mut logical)).unwrap();
        let begin = buffer.address() as u64;
        let key = self.fake.region_at(begin).expect("the mapping is registered").key;
        Memory { mapping, _buffer: buffer, _mdl: mdl, logical, begin, key }
    }

    /// A region that is initialised for fast registrations.
    pub(crate) fn region(&self, pages: u32) -> MlxRegion {
        let region =
            block_on(self.adapter.create_mr(&self.domain, RegionKind::FastRegister)).unwrap();
        block_on(region.initialize_fast_register(pages, true)).unwrap();
        region
    }

    /// A connected queue pair that holds a few requests.
    pub(crate) fn queue_pair(&self) -> QueuePair {
        self.queue_pair_of(8)
    }

    /// A connected queue pair that holds so many requests.
    pub(crate) fn queue_pair_of(&self, depth: u32) -> QueuePair {
        let depths = QueueDepths { receive: 4, initiator: depth };
        let make = || block_on(self.adapter.create_qp(&self.domain, depths)).unwrap();
        let (queue_pair, peer) = (make(), make());
        let (here, there) = (queue_pair.endpoint(), peer.endpoint());
        let (one, other) = block_on(zip(queue_pair.connect(&there), peer.connect(&here)));
        one.and(other).unwrap();
        let number = here.0.split("qpn=").nth(1).and_then(|rest| rest.split(',').next());
        let number = u32::from_str_radix(number.unwrap(), 16).unwrap();
        let queue = self.fake.send_queue(number);
        QueuePair { queue_pair, _peer: peer, number, queue, fake: self.fake }
    }
}

/// The token of a region, which is its key.
pub(crate) fn key(region: &MlxRegion) -> u32 {
    region.remote_token().map(RemoteToken::get).unwrap()
}

/// Mapped memory.
pub(crate) struct Memory {
    pub(crate) mapping: Mapping,
    _buffer: Buffer,
    _mdl: Mdl,
    logical: Vec<u64>,
    /// The host address.
    pub(crate) begin: u64,
    /// The local key of its registration.
    pub(crate) key: u32,
}

/// A page of mapped memory.
#[derive(Clone, Copy)]
pub(crate) struct Page {
    pub(crate) logical: u64,
    pub(crate) host: u64,
    pub(crate) key: u32,
}

impl Memory {
    pub(crate) fn page(&self, index: usize) -> Page {
        let host = self.begin + index as u64 * PAGE;
        Page { logical: self.logical[index], host, key: self.key }
    }
}

/// A fast registration to be posted.
#[derive(Clone)]
pub(crate) struct Fast {
    pub(crate) pages: Vec<Page>,
    pub(crate) first_byte: u32,
    pub(crate) length: u64,
    pub(crate) base: u64,
    pub(crate) access: Access,
}

/// A connected queue pair.
pub(crate) struct QueuePair {
    queue_pair: MlxQueuePair,
    _peer: MlxQueuePair,
    pub(crate) number: u32,
    queue: SendQueue,
    fake: Fake,
}

impl QueuePair {
    /// Posts a fast registration; where its entry begins.
    pub(crate) fn fast_register(&self, region: &MlxRegion, fast: &Fast) -> Result<u16> {
        let pages: Vec<u64> = fast.pages.iter().map(|page| page.logical).collect();
        let memory = FastMemory {
            pages: &pages,
            first_byte: fast.first_byte,
            length: fast.length,
            base: fast.base,
        };
        self.post(WorkRequest::FastRegister { region, memory, access: fast.access })
    }

    pub(crate) fn invalidate(&self, region: &MlxRegion) -> u16 {
        self.post(WorkRequest::InvalidateRegion { region }).unwrap()
    }

    pub(crate) fn send(&self) -> u16 {
        self.post(WorkRequest::Send { local: &[], invalidate: None }).unwrap()
    }

    pub(crate) fn flush(&self) {
        self.queue_pair.flush();
    }

    pub(crate) fn post(
        &self,
        request: WorkRequest<'_, MlxRegion, <MlxQueuePair as QpProvider>::Window>,
    ) -> Result<u16> {
        let block = self.posted();
        self.queue_pair.post(WorkId { context: 1, tag: 0 }, request)?;
        Ok(block)
    }

    /// Has the adapter complete the entry that begins at this block; what the backend makes of it.
    pub(crate) fn complete(&self, block: u16, syndrome: u8) -> WorkCompletion {
        let opcode = self.queue.opcode(block);
        self.report(Completion { slot: block, opcode, syndrome, ..Completion::default() })
    }

    /// Has the adapter receive a message that ends the registration of a key; what the backend makes of it.
    pub(crate) fn receive(&self, invalidated: u32) -> WorkCompletion {
        self.queue_pair
            .post(WorkId { context: 2, tag: 0 }, WorkRequest::Receive { local: &[] })
            .unwrap();
        self.report(Completion { receive: true, invalidated, ..Completion::default() })
    }

    fn report(&self, completion: Completion) -> WorkCompletion {
        self.fake.complete(self.number, completion);
        self.completion().expect("a completion")
    }

    /// What the backend has of completions.
    pub(crate) fn completion(&self) -> Option<WorkCompletion> {
        match self.queue_pair.poll_completion(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(completion) => Some(completion),
            Poll::Pending => None,
        }
    }

    /// The entry that begins at this block, as the adapter would read it.
    pub(crate) fn entry(&self, block: u16) -> Vec<u8> {
        self.queue.entry(block)
    }

    /// How many blocks were posted.
    pub(crate) fn posted(&self) -> u16 {
        self.queue.posted()
    }
}
