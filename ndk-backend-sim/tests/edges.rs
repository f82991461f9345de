//! The simulator at its edges: wakers that post, a device without the framework, peers that may not or that leave.
#[path = "common/mod.rs"]
mod common;

use common::{Host, Memory, Net, Pump, Qp, sge};
use ndk_backend_sim::{Config, Profile, SimAdapter};
use ndk_core::abi::*;
use ndk_core::mdl::MdlView;
use ndk_core::{
    Access, AdapterProvider, ErrorKind, FastMemory, MrProvider, QpProvider, QueueDepths,
    RegionKind, RemoteToken, WorkId, WorkRequest,
};
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

/// A waker that posts another send on the queue pair that woke it, once.
struct Poster(Mutex<Option<Arc<Qp>>>);

impl Wake for Poster {
    fn wake(self: Arc<Self>) {
        let qp = self.0.lock().unwrap().take();
        if let Some(qp) = qp {
            qp.send(2, &[], None).expect("posted");
        }
    }
}

fn a_waker_posts() {
    let Net { a, b, here, there, qp, peer } = Net::new();
    let qp = Arc::new(qp);
    let waker = Waker::from(Arc::new(Poster(Mutex::new(Some(qp.clone())))));
    assert!(qp.poll_completion(&mut Context::from_waker(&waker)).is_pending());
    drop(waker);
    for context in [1, 2] {
        peer.receive(context, &[]).expect("posted");
    }
    qp.send(1, &[], None).expect("posted");
    for end in [&*qp, &peer] {
        for context in [1, 2] {
            let completion = end.next();
            assert_eq!((completion.id.context, completion.result), (context, Ok(())));
        }
    }
    let qp = Arc::into_inner(qp).expect("the waker has let go");
    Net { a, b, here, there, qp, peer }.finish([]);
}

#[test]
fn b5_a_waker_may_post_on_the_queue_pair_that_wakes_it() {
    let (done, ended) = channel();
    let thread = thread::spawn(move || {
        a_waker_posts();
        done.send(()).expect("somebody waits");
    });
    // A thread that never ends is left behind: this says so instead of hanging with it.
    let waited = ended.recv_timeout(Duration::from_secs(60));
    assert_ne!(waited, Err(RecvTimeoutError::Timeout), "a waker was called with a lock held");
    thread.join().expect("the waker posts");
}

/// The framework refuses these before the device sees them, so the device is asked without it.
#[test]
fn g4_the_device_itself_refuses_a_fast_registration_longer_than_its_pages() {
    let pump = Pump::own();
    let adapter = SimAdapter::new(Config::default()).expect("an adapter");
    let pd = pump.block_on("a domain", adapter.create_pd()).expect("a domain");
    let depths = QueueDepths::default();
    let qp = pump.block_on("a queue pair", adapter.create_qp(&pd, depths)).expect("a queue pair");
    let own = qp.endpoint();
    pump.block_on("the connection", qp.connect(&own)).expect("connected");
    let memory = Memory::new(2 * PAGE_SIZE);
    // SAFETY: the chain lives until the test is over.
    let view = unsafe { MdlView::new(memory.mdl().as_ptr(), memory.len()) }.expect("a chain");
    let mut pages = [0; 2];
    let building = adapter.build_mapping(view, &mut pages);
    let mapping = pump.block_on("a mapping", building).expect("a mapping");
    let creating = adapter.create_mr(&pd, RegionKind::FastRegister);
    let region = pump.block_on("a region", creating).expect("a region");
    let initialising = region.initialize_fast_register(1, true);
    pump.block_on("an initialisation", initialising).expect("initialised");

    let post = |base: u64, length: u64| {
        let first_byte = (base % PAGE_SIZE as u64) as u32;
        let memory = FastMemory { pages: &pages[..1], first_byte, length, base };
        let access = Access::REMOTE_WRITE;
        let request = WorkRequest::FastRegister { region: &region, memory, access };
        qp.post(WorkId { context: 1, tag: 0 }, request)
    };
    let poll = || qp.poll_completion(&mut Context::from_waker(Waker::noop()));
    let page = PAGE_SIZE as u64;
    for (base, length) in [
        (0, page + 1),
        (0, 1 << 20),
        (0, u64::MAX),
        (0x10_0001, page),
        (page - 1, 2),
        (0, 0),
        (u64::MAX, 2),
    ] {
        let refused = post(base, length).expect_err("G4");
        assert_eq!(refused.kind(), ErrorKind::InvalidParameter, "{length} bytes at {base:#x}");
        assert!(poll().is_pending(), "what is refused has no completion");
    }
    post(page - 1, 1).expect("G4: exactly as long as its pages");
    let Poll::Ready(completion) = poll() else { panic!("a completion") };
    assert_eq!(completion.result, Ok(()));

    pump.block_on("the close of a queue pair", qp.close());
    pump.block_on("the close of a region", region.close()).unwrap();
    drop((region, mapping));
    pump.block_on("the close of a domain", adapter.close_pd(&pd));
}

#[test]
fn e3_a_peer_cannot_invalidate_a_fast_registration_without_remote_rights() {
    let mut net = Net::new();
    let (memory, target) = (Memory::new(2 * PAGE_SIZE), Memory::new(PAGE_SIZE));
    let expected = memory.fill(0x51);
    target.fill(0x52);
    let lam = net.b.map(&memory);
    let base = memory.base();
    // Initialised without remote access: its token is a local one only.
    let region = net.there.fast_mr(2, false);
    net.peer.fast_register(&region, lam.memory(base), Access::LOCAL_WRITE).expect("posted");
    assert_eq!(net.peer.outcome(), Ok(0));
    assert_eq!(region.remote_value(), 0, "E1");
    let guessed = RemoteToken::new(region.local_value()).expect("a token");

    net.peer.receive(1, &[]).expect("posted");
    net.qp.send(2, &[], Some(guessed)).expect("posted");
    assert!(net.qp.outcome().is_err(), "E3: it is no token for a peer");
    // The refusal has broken the connection (F6), and left the registration alone.
    net.reconnect();
    let sink = net.here.registered(&target, NDK_MR_FLAG_ALLOW_REMOTE_WRITE);
    let from = sge(region.local(), base, PAGE_SIZE as u32);
    let written = net.peer.write_through(from, sink.remote(), target.base());
    assert_eq!(written, Ok(PAGE_SIZE as u32), "E3: the registration is as valid as before");
    assert!(target.bytes() == expected[..PAGE_SIZE]);
    net.peer.invalidate(&region).expect("G8: its owner can invalidate it");
    assert_eq!(net.peer.outcome(), Ok(0));
    region.close();
    sink.close();
    net.b.release(lam);
    net.finish([]);
}

/// Counts how often it is woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_connection_to_a_queue_pair_that_closes_is_refused() {
    let (a, b) = Host::pair(&Profile::default());
    let (here, there) = (a.pd(), b.pd());
    let (qp, peer) = (Qp::new(&here), Qp::new(&there));
    let to = peer.endpoint();
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(wakes.clone());
    let mut cx = Context::from_waker(&waker);
    {
        let mut connecting = pin!(qp.connect(&to));
        assert!(connecting.as_mut().poll(&mut cx).is_pending(), "the peer has not asked yet");
        peer.close();
        assert!(wakes.0.load(Ordering::Relaxed) > 0, "it is never polled again: it hangs");
        let Poll::Ready(Err(refused)) = connecting.as_mut().poll(&mut cx) else {
            panic!("there is nobody left to connect to");
        };
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    }
    qp.close();
    here.close();
    there.close();
    a.close();
    b.close();
}
