//! A registration and its deregistration: what each way to the simulator costs, beside the hand-written table.

use super::{Group, Question, size};
use crate::objects::{Adapter, Pending, Region};
use crate::providers::{
    boxed_adapter, layered_adapter, open, pending_adapter, sim, static_adapter, twin_adapter,
    verified_adapter, verified_by_name,
};
use crate::rounds::{Batch, Contender, repeat};
use futures_lite::future::block_on;
use ndk_core::abi::PAGE_SIZE;
use ndk_core::consumer;
use ndk_core::mdl::{Buffer, Mdl};
use ndk_core::{Access, AdapterProvider, MrProvider, RegionKind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

pub(super) const QUESTION: Question = Question { name: "pair", groups, group };

/// The names that tables and bars know the contenders by.
pub const TWIN: &str = "C twin";
/// The provider traits, without a table.
pub const NATIVE: &str = "native trait";
/// The framework's table over the simulator.
pub const STATIC: &str = "static adapter";
/// The same with the backend boxed.
pub const BOXED: &str = "dyn adapter";
/// The same with a layer of the traits between.
pub const LAYERED: &str = "static adapter, forwarding layer";
/// The same under the verifier.
pub const VERIFIED: &str = "static adapter, with the verifier";
/// The boxed one under the verifier, as a name with `verify+` opens it.
pub const VERIFIED_BOXED: &str = "dyn adapter, with the verifier";
/// The safe consumer.
pub const CONSUMER: &str = "safe consumer";
/// Requests that pend.
pub const PENDING: &str = "static adapter, pending";
/// libfabric's providers.
pub const SHM: &str = "libfabric shm";
/// As above.
pub const TCP: &str = "libfabric tcp";

/// The sizes, in pages.
pub const PAGES: [usize; 4] = [1, 16, 256, 511];

fn groups() -> Vec<String> {
    PAGES.iter().map(|pages| format!("pair/{pages}")).collect()
}

fn group(id: &str) -> Group {
    let pages = size(id);
    let mut contenders = vec![
        Contender::new(TWIN, move || through_table(twin_adapter(64), pages)),
        Contender::new(NATIVE, move || native(pages)),
        Contender::new(STATIC, move || through_table(static_adapter(), pages)),
        Contender::new(BOXED, move || through_table(boxed_adapter(), pages)),
        Contender::new(LAYERED, move || through_table(layered_adapter(), pages)),
        Contender::new(VERIFIED, move || through_table(verified_adapter(), pages)),
        Contender::new(VERIFIED_BOXED, move || through_table(verified_by_name(), pages)),
        Contender::new(CONSUMER, move || through_consumer(pages)),
        Contender::new(PENDING, move || pending(pages)),
    ];
    contenders.extend(libfabric(pages));
    Group::new(id, contenders)
}

#[cfg(libfabric)]
fn libfabric(pages: usize) -> Vec<Contender> {
    let contender = |name, provider| {
        Contender::new(name, move || {
            let fabric = crate::fabric::Fabric::open(provider);
            let memory = memory(pages).0;
            repeat(move || drop(fabric.register(memory.as_ptr(), memory.len())))
        })
    };
    vec![contender(SHM, c"shm"), contender(TCP, c"tcp")]
}

#[cfg(not(libfabric))]
fn libfabric(_: usize) -> Vec<Contender> {
    Vec::new()
}

/// Memory of so many pages, and its MDL.
pub(super) fn memory(pages: usize) -> (Buffer, Mdl) {
    let buffer = Buffer::new(pages * PAGE_SIZE).expect("memory");
    let mdl = Mdl::new(&buffer).expect("an MDL");
    (buffer, mdl)
}

pub(super) fn through_table(adapter: Arc<Adapter>, pages: usize) -> Batch {
    pairs_of(adapter.domain().region(false), pages)
}

fn pairs_of(region: Region, pages: usize) -> Batch {
    let mdl = memory(pages).1;
    repeat(move || {
        region.register(&mdl);
        region.deregister();
    })
}

fn pending(pages: usize) -> Batch {
    let (adapter, queue) = pending_adapter();
    let region = Pending::new(adapter.domain().region(false), queue);
    let mdl = memory(pages).1;
    repeat(move || region.pair(&mdl))
}

fn native(pages: usize) -> Batch {
    let provider = sim();
    let pd = block_on(provider.create_pd()).expect("a domain");
    let region = block_on(provider.create_mr(&pd, RegionKind::Conventional)).expect("a region");
    let mdl = memory(pages).1;
    let kept = Box::new((region, pd, provider));
    repeat(move || {
        // SAFETY: the MDL is kept for longer than the registration.
        let view = unsafe { mdl.view(mdl.len()) }.expect("a chain");
        let access = Access::REMOTE_READ | Access::REMOTE_WRITE;
        let region = &kept.0;
        let registered = region.register_at_once(view, access);
        registered.unwrap_or_else(|| inline(region.register(view, access))).expect("registered");
        let ended = region.deregister_at_once();
        ended.unwrap_or_else(|| inline(region.deregister())).expect("deregistered");
    })
}

/// Polls once, what completes inline.
fn inline<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the simulator completes inline"),
    }
}

fn through_consumer(pages: usize) -> Batch {
    let adapter = consumer::Adapter::from(open(sim(), Arc::default()));
    let domain = adapter.create_domain_blocking().expect("a domain");
    let region = domain.create_region_blocking().expect("a region");
    let mut state = Some((region, memory(pages).1));
    repeat(move || {
        let (region, mdl) = state.take().expect("put back below");
        let access = Access::REMOTE_READ | Access::REMOTE_WRITE;
        let registered = region.register_blocking(mdl, access).expect("registered");
        state = Some(registered.deregister_blocking().expect("deregistered"));
        let _kept = (&adapter, &domain);
    })
}
