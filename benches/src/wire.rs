//! Two simulated adapters of one fabric, each with a registered buffer, and queue pairs between them.

use crate::objects::{Adapter, Domain, Region};
use crate::providers::{Queue, VERSION};
use futures_lite::future::{block_on, zip};
use ndk_backend_sim::{Config, Fabric, Initiator, SimAdapter};
use ndk_core::mdl::{Buffer, Mdl};
use ndk_core::{
    AdapterProvider, DomainRef, LocalToken, Opened, QueueDepths, QueuePair, RemoteAddress,
    RemoteToken, Sge, Std,
};
use std::ops::Deref;
use std::sync::Arc;

/// A queue pair of the simulator.
pub type Qp = QueuePair<SimAdapter, Std>;

/// A queue pair that is closed, not handed to the executor, when it is dropped.
pub struct OwnedQp(Option<Qp>);

impl Deref for OwnedQp {
    type Target = Qp;

    #[inline]
    fn deref(&self) -> &Qp {
        self.0.as_ref().expect("there until it is dropped")
    }
}

impl Drop for OwnedQp {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(|qp| block_on(qp.close()));
    }
}

/// One end. The fields are closed in their order.
pub struct End {
    /// The queue pair.
    pub qp: OwnedQp,
    /// A region over `memory`.
    pub region: Region,
    /// What is registered.
    pub memory: Buffer,
    _mdl: Mdl,
    /// The domain of both.
    pub domain: Arc<Domain>,
    /// The adapter, for its provider's own calls.
    pub opened: Arc<Opened<SimAdapter, Std>>,
}

impl End {
    /// An end with a buffer of `length` bytes.
    pub fn new(fabric: &Fabric, length: usize) -> Self {
        let config = Config { fabric: fabric.clone(), ..Config::default() };
        let provider = SimAdapter::new(config).expect("the system has entropy");
        let queue = Arc::<Queue>::default();
        let opened =
            Arc::new(Opened::new(provider, queue, VERSION).expect("the version is served"));
        let adapter = Adapter::new(opened.adapter().as_ndk(), opened.clone());
        let domain = adapter.domain();
        let region = domain.region(false);
        let memory = filled(length);
        let mdl = Mdl::new(&memory).expect("an MDL");
        region.register(&mdl);
        // SAFETY: the domain is of these types, and open.
        let qp = unsafe { DomainRef::from_ndk(domain.as_ndk()).create_qp(QueueDepths::default()) };
        let qp = OwnedQp(Some(block_on(qp).expect("a queue pair")));
        Self { qp, region, memory, _mdl: mdl, domain, opened }
    }

    /// Two ends that are connected.
    pub fn pair(length: usize) -> (Self, Self) {
        let fabric = Fabric::new();
        let (a, b) = (Self::new(&fabric, length), Self::new(&fabric, length));
        let (to_b, to_a) = (b.qp.endpoint(), a.qp.endpoint());
        let (here, there) = block_on(zip(a.qp.connect(&to_b), b.qp.connect(&to_a)));
        here.and(there).expect("connected");
        (a, b)
    }

    /// An end that is connected to itself.
    pub fn loopback(length: usize) -> Self {
        let end = Self::new(&Fabric::new(), length);
        block_on(end.qp.connect(&end.qp.endpoint())).expect("connected");
        end
    }

    /// `length` bytes of the buffer, for the end's own requests.
    pub fn local(&self, length: usize) -> Sge {
        let token = LocalToken::new(self.region.local_token()).expect("it is registered");
        Sge { address: self.memory.address() as u64, length: length as u32, token }
    }

    /// The start of the buffer, for the peer.
    pub fn remote(&self) -> RemoteAddress {
        let token = RemoteToken::new(self.region.remote_token()).expect("it has remote rights");
        RemoteAddress { address: self.memory.address() as u64, token }
    }

    /// The next completion, which is there and a success.
    #[inline]
    pub fn finish(&self) {
        let completion = self.qp.poll().expect("the simulator completes while it posts");
        assert!(completion.result.is_ok());
    }

    /// A peer of the domain without a queue pair.
    pub fn initiator(&self) -> Initiator {
        // SAFETY: the domain is of these types, and open.
        let domain = unsafe { DomainRef::<SimAdapter, Std>::from_ndk(self.domain.as_ndk()) };
        // SAFETY: as above.
        unsafe { domain.provider() }.initiator().expect("an initiator")
    }

    /// The backend.
    pub fn provider(&self) -> &impl AdapterProvider {
        self.opened.provider()
    }
}

/// Memory that was written: what never was, the system may have one page for.
pub fn filled(length: usize) -> Buffer {
    Buffer::copy_of(&vec![1; length]).expect("memory")
}
