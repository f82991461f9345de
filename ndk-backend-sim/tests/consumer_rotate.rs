//! A safe consumer on an adapter whose fast-registration tokens rotate: it goes on by reading the token again (E4).
#[path = "common/mod.rs"]
mod common;

use common::{Over, Tested, Under};
use futures_lite::future::block_on;
use ndk_backend_sim::{Config, SimAdapter};
use ndk_core::abi::NDK_VERSION;
use ndk_core::consumer::Adapter;
use ndk_core::mdl::{Buffer, Mdl};
use ndk_core::{
    Access, DomainRef, ErrorKind, FastMemory, Opened, QueueDepths, QueuePair, RegionRef,
    RemoteAddress, RemoteToken, Sge, Std, ThreadPool,
};
use std::sync::Arc;

type Queue = QueuePair<Tested, Std>;

const REFUSED: Result<(), ErrorKind> = Err(ErrorKind::AccessViolation);

/// Two queue pairs of one domain, connected to each other.
fn connect(domain: DomainRef<Tested, Std>) -> (Queue, Queue) {
    // SAFETY: the domain is not closed before the queue pairs are.
    let make = || block_on(unsafe { domain.create_qp(QueueDepths::default()) }).unwrap();
    let (here, there) = (make(), make());
    let (to_there, to_here) = (there.endpoint(), here.endpoint());
    let both = futures_lite::future::zip(here.connect(&to_there), there.connect(&to_here));
    let (one, other) = block_on(both);
    one.and(other).unwrap();
    (here, there)
}

#[test]
fn e4_the_safe_consumer_survives_rotation_by_reading_the_token_again() {
    let plan = "tokens.rotate = true".parse().unwrap();
    let sim = SimAdapter::new(Config { plan, ..Config::default() }).unwrap();
    let executor = Arc::new(ThreadPool::new(1).unwrap());
    let version = NDK_VERSION { Major: 2, Minor: 0 };
    let under = Under::new();
    let sim = under.over(sim);
    let adapter: Adapter = Opened::<_, Std>::new(sim, executor, version).unwrap().into();
    let declared = adapter.capabilities().unwrap().fast_registration.unwrap();
    assert!(declared.rotating, "K1: a consumer can know");

    let domain = adapter.create_domain_blocking().unwrap();
    // SAFETY: the domain is open, and this framework made it for these types.
    let raw: DomainRef<Tested, Std> = unsafe { DomainRef::from_ndk(domain.as_ndk()) };
    let scratch = Buffer::new(64).unwrap();
    let sink = domain.create_region_blocking().unwrap();
    let sink = sink.register_blocking(Mdl::new(&scratch).unwrap(), Access::LOCAL_WRITE).unwrap();
    let element =
        Sge { address: sink.base_address(), length: 64, token: sink.local_token().unwrap() };

    let buffer = Buffer::copy_of(&[7; 64]).unwrap();
    let mapping = adapter.build_mapping_blocking(Mdl::new(&buffer).unwrap()).unwrap();
    let pages = mapping.pages();
    let fast = domain.create_fast_region_blocking().unwrap();
    let fast = fast.initialize_blocking(1, true).unwrap();
    // SAFETY: the region is open, and this framework made it for these types.
    let region = unsafe { RegionRef::from_ndk(fast.as_ndk()) };
    let read = |queue: &Queue, token: RemoteToken| {
        let from = RemoteAddress { address: buffer.address() as u64, token };
        queue.read(0, &[element], from).unwrap();
        block_on(queue.completion()).result
    };

    let mut kept = fast.remote_token().unwrap();
    for round in 1..=10 {
        let (here, there) = connect(raw);
        let memory = FastMemory {
            pages: &pages,
            first_byte: mapping.first_byte(),
            length: 64,
            base: buffer.address() as u64,
        };
        // SAFETY: the region is open, and the buffer outlives the registration.
        unsafe { here.fast_register(0, region, memory, Access::REMOTE_READ) }.unwrap();
        assert_eq!(block_on(here.completion()).result, Ok(()));
        let token = fast.remote_token().unwrap();
        assert_ne!(token, kept, "E4: round {round}");
        buffer.write(0, &[round; 64]).unwrap();
        assert_eq!(read(&there, token), Ok(()), "round {round}");
        assert_eq!(scratch.to_vec(), [round; 64]);
        // SAFETY: the region is open.
        unsafe { here.invalidate(1, region) }.unwrap();
        assert_eq!(block_on(here.completion()).result, Ok(()));
        assert_eq!(read(&there, token), REFUSED, "G8");
        kept = token;
    }
    // The consumer that reads the token once is the one that does not survive.
    let (here, there) = connect(raw);
    let base = buffer.address() as u64;
    let memory = FastMemory { pages: &pages, first_byte: 0, length: 64, base };
    // SAFETY: as above.
    unsafe { here.fast_register(0, region, memory, Access::REMOTE_READ) }.unwrap();
    assert_eq!(block_on(here.completion()).result, Ok(()));
    assert_eq!(read(&there, kept), REFUSED);

    drop((here, there));
    fast.close_blocking().unwrap();
    sink.close_blocking().unwrap();
    mapping.release();
    domain.close_blocking().unwrap();
    adapter.close().unwrap();
}
