//! A device with a domain, memory registered in it, and two queue pairs that are connected; driven as the framework
//! drives a backend.

use futures_lite::future::{block_on, zip};
use ndk_backend_mlx::{Config, MlxAdapter, MlxPd, MlxQueuePair, MlxRegion, MlxWindow};
use ndk_core::mdl::{Buffer, Mdl, MdlView};
use ndk_core::{
    Access, AdapterProvider, ErrorKind, Mapping, MrProvider, QpProvider, QueueDepths, RegionKind,
    RemoteAddress, Result, Sge, WorkCompletion, WorkId, WorkRequest,
};
use std::future::poll_fn;

pub(crate) const ALL: Access = Access::REMOTE_WRITE;

pub(crate) type Request<'a> = WorkRequest<'a, MlxRegion, MlxWindow>;

pub(crate) fn open(device: &str) -> MlxAdapter {
    open_with(Config { device: Some(device.into()), ..Config::default() })
}

pub(crate) fn open_with(config: Config) -> MlxAdapter {
    MlxAdapter::open(config).expect("the device opens")
}

/// A region over a buffer, which lives longer.
pub(crate) struct Registered {
    pub(crate) region: MlxRegion,
    pub(crate) buffer: Buffer,
    pub(crate) mdl: Mdl,
}

pub(crate) fn pd(adapter: &MlxAdapter) -> MlxPd {
    block_on(adapter.create_pd()).expect("a domain")
}

pub(crate) fn region(adapter: &MlxAdapter, pd: &MlxPd) -> MlxRegion {
    block_on(adapter.create_mr(pd, RegionKind::Conventional)).expect("a region")
}

/// Registers the memory of an MDL, which is kept until the region is closed.
pub(crate) fn register(region: &MlxRegion, mdl: &Mdl, access: Access) -> Result<()> {
    // SAFETY: the tests keep MDL and buffer longer than the registration.
    let view = unsafe { MdlView::new(mdl.as_ptr(), mdl.len()) }.expect("a chain");
    block_on(region.register(view, access))
}

impl Registered {
    pub(crate) fn new(adapter: &MlxAdapter, pd: &MlxPd, length: usize, access: Access) -> Self {
        let buffer = Buffer::new(length).expect("memory");
        let mdl = Mdl::builder().buffer(&buffer).build().expect("an MDL");
        let region = region(adapter, pd);
        register(&region, &mdl, access).expect("a registration");
        Self { region, buffer, mdl }
    }

    pub(crate) fn at(&self, offset: u64) -> RemoteAddress {
        let token = self.region.remote_token().expect("a remote token");
        RemoteAddress { address: self.buffer.address() as u64 + offset, token }
    }

    pub(crate) fn element(&self, length: u32) -> Sge {
        let token = self.region.local_token().expect("a local token");
        Sge { address: self.buffer.address() as u64, length, token }
    }

    pub(crate) fn close(self) {
        block_on(self.region.close()).unwrap();
    }
}

pub(crate) fn queue_pair(adapter: &MlxAdapter, pd: &MlxPd) -> MlxQueuePair {
    block_on(adapter.create_qp(pd, QueueDepths::default())).expect("a queue pair")
}

pub(crate) fn connect(left: &MlxQueuePair, right: &MlxQueuePair) {
    let (to_right, to_left) = (right.endpoint(), left.endpoint());
    let (one, other) = block_on(zip(left.connect(&to_right), right.connect(&to_left)));
    one.and(other).expect("a connection");
}

pub(crate) fn post(port: &MlxQueuePair, context: u64, request: Request<'_>) -> Result<()> {
    port.post(WorkId { context, tag: 0 }, request)
}

pub(crate) fn completion(port: &MlxQueuePair) -> WorkCompletion {
    block_on(poll_fn(|cx| port.poll_completion(cx)))
}

/// Posts a request and waits for it, which is the only one.
pub(crate) fn carry_out(port: &MlxQueuePair, request: Request<'_>) -> Result<u32, ErrorKind> {
    post(port, 7, request).expect("posted");
    let done = completion(port);
    assert_eq!(done.id.context, 7);
    done.result.map(|()| done.bytes)
}

pub(crate) fn close(ports: impl IntoIterator<Item = MlxQueuePair>) {
    ports.into_iter().for_each(|port| block_on(port.close()));
}

pub(crate) fn close_pd(adapter: &MlxAdapter, pd: &MlxPd) {
    block_on(adapter.close_pd(pd));
}

/// A mapping over `buffer`, by its pages.
pub(crate) fn map(adapter: &MlxAdapter, mdl: &Mdl) -> (Mapping, Vec<u64>) {
    // SAFETY: the tests keep MDL and buffer until the mapping is released.
    let view = unsafe { MdlView::new(mdl.as_ptr(), mdl.len()) }.unwrap();
    let mut pages = vec![0; view.page_count()];
    let mapping = block_on(adapter.build_mapping(view, &mut pages)).unwrap();
    (mapping, pages)
}

/// An adapter, two domains, and a connection between them.
pub(crate) fn two_domains(name: &str) -> (MlxAdapter, [MlxPd; 2], [MlxQueuePair; 2]) {
    let adapter = open(name);
    let domains = [pd(&adapter), pd(&adapter)];
    let ports = [queue_pair(&adapter, &domains[0]), queue_pair(&adapter, &domains[1])];
    connect(&ports[0], &ports[1]);
    (adapter, domains, ports)
}
