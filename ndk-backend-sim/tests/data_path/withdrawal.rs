//! What ends a registration while peers hammer it from other threads (D3): from its completion on no byte changes and
//! none is read, and each request completes once.

use super::LOCAL;
use super::common::{Host, Lam, Memory, Mr, Pd, Pump, Qp, Window, connect, sge, window};
use ndk_backend_sim::{Config, Fabric};
use ndk_core::abi::*;
use ndk_core::{Access, ErrorKind, QueuePair, RemoteAddress, RemoteToken, Sge, WorkCompletion};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

const REMOTE: ULONG = NDK_MR_FLAG_ALLOW_REMOTE_READ | NDK_MR_FLAG_ALLOW_REMOTE_WRITE;
const PAGE: u64 = 0x5000_0000_0000;
const PEERS: u8 = 3;
/// What the owner writes to the memory once it is its own again.
const SECRET: u8 = 0xEE;

/// How the registration ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Deregister,
    Close,
    Invalidate,
    CloseFast,
    InvalidateWindow,
    CloseWindow,
}

/// The owner's side of a round: what peers reach, and how that ends.
struct Owner<'a> {
    host: &'a Host,
    pd: &'a Pd,
    qp: Qp,
    end: End,
    mr: Option<Mr>,
    lam: Option<Lam>,
    window: Option<Window>,
}

impl<'a> Owner<'a> {
    fn new(host: &'a Host, pd: &'a Pd, end: End, memory: &Memory) -> (Self, RemoteAddress) {
        let qp = super::common::loopback(pd);
        let mut owner = Self { host, pd, qp, end, mr: None, lam: None, window: None };
        let (token, address) = match end {
            End::Deregister | End::Close => {
                let mr = owner.mr.insert(pd.registered(memory, REMOTE));
                (mr.remote(), memory.base())
            }
            End::Invalidate | End::CloseFast => owner.register_fast(memory),
            End::InvalidateWindow | End::CloseWindow => owner.bind(memory),
        };
        (owner, RemoteAddress { address, token })
    }

    fn register_fast(&mut self, memory: &Memory) -> (RemoteToken, u64) {
        let lam = self.lam.insert(self.host.map(memory));
        let mr = self.mr.insert(self.pd.fast_mr(lam.pages.len() as u32, true));
        let described = lam.memory(PAGE);
        let access = Access::REMOTE_READ | Access::REMOTE_WRITE;
        self.qp.fast_register(mr, described, access).expect("posted");
        assert_eq!(self.qp.outcome(), Ok(0));
        (mr.remote(), described.base)
    }

    fn bind(&mut self, memory: &Memory) -> (RemoteToken, u64) {
        let mr = self.mr.insert(self.pd.registered(memory, LOCAL));
        let window = self.window.insert(window(self.pd).expect("a window"));
        let range = (memory.base(), memory.len() as u64);
        self.qp
            .bind(mr, window, range, Access::REMOTE_READ | Access::REMOTE_WRITE)
            .expect("posted");
        assert_eq!(self.qp.outcome(), Ok(0));
        (window.remote_token().expect("a token"), memory.base())
    }

    /// Ends the registration; it is over when this returns.
    fn end(&mut self) {
        let mr = self.mr.as_ref().expect("a region");
        match self.end {
            End::Deregister => assert_eq!(mr.deregister(), STATUS_SUCCESS),
            End::Close | End::CloseFast => self.mr.take().expect("a region").close(),
            End::Invalidate => {
                self.qp.invalidate(mr).expect("posted");
                assert_eq!(self.qp.outcome(), Ok(0));
            }
            End::InvalidateWindow => {
                self.qp.invalidate_window(1, self.window.as_ref().expect("a window")).unwrap();
                assert_eq!(self.qp.outcome(), Ok(0));
                assert_eq!(mr.deregister(), STATUS_SUCCESS);
            }
            End::CloseWindow => {
                let close = self.window.take().expect("a window").close();
                self.host.pump.block_on("the close of a window", close);
                assert_eq!(mr.deregister(), STATUS_SUCCESS);
            }
        }
    }

    fn finish(self) {
        if let Some(lam) = self.lam {
            self.host.release(lam);
        }
        if let Some(window) = self.window {
            self.host.pump.block_on("the close of a window", window.close());
        }
        self.qp.close();
        self.mr.into_iter().for_each(Mr::close);
    }
}

#[derive(Default)]
struct Tally {
    done: AtomicU32,
    refused: AtomicU32,
    cancelled: AtomicU32,
}

/// One peer's requests, of which up to `depth` are in progress at a time.
struct Hammer<'a> {
    qp: &'a Qp,
    element: Sge,
    target: RemoteAddress,
    over: &'a AtomicBool,
    tally: &'a Tally,
    /// Which of the requests in progress were posted when the registration was over already.
    open: Vec<(u64, bool)>,
}

impl Hammer<'_> {
    /// Writes and reads until the connection is broken, and then until each request has completed.
    fn run(&mut self, depth: usize, sink: &Memory, started: &AtomicU32) {
        let (mut context, mut broken) = (0, false);
        while !broken || !self.open.is_empty() {
            while !broken && self.open.len() < depth {
                let late = self.over.load(Ordering::SeqCst);
                self.open.push((context, late));
                let posted = match context % 2 {
                    0 => self.qp.write(context, &[self.element], self.target),
                    _ => self.qp.read(context, &[self.element], self.target),
                };
                posted.expect("posted");
                context += 1;
            }
            let completion = match self.qp.poll() {
                Some(completion) => completion,
                None => {
                    thread::yield_now();
                    continue;
                }
            };
            broken |= self.settle(&completion);
            assert!(!sink.bytes().contains(&SECRET), "D3: a byte was read");
            if context == depth as u64 * 2 {
                started.fetch_add(1, Ordering::SeqCst);
            }
        }
        assert!(self.qp.poll().is_none(), "each request completes once");
    }

    /// Notes a completion; true where the connection is broken.
    fn settle(&mut self, completion: &WorkCompletion) -> bool {
        let place = self.open.iter().position(|(context, _)| *context == completion.id.context);
        let (_, late) = self.open.swap_remove(place.expect("D3: each request completes once"));
        let (count, broken) = match completion.result {
            Ok(()) => (&self.tally.done, false),
            Err(ErrorKind::AccessViolation) => (&self.tally.refused, true),
            Err(ErrorKind::Cancelled) => (&self.tally.cancelled, true),
            Err(other) => panic!("D3: {other:?}"),
        };
        assert!(!late || completion.result.is_err(), "D3: access after the end");
        count.fetch_add(1, Ordering::Relaxed);
        broken
    }
}

fn hammer(end: End, latency: &str, length: usize, depth: usize, rounds: u32) {
    let (pump, fabric) = (Pump::threads(1), Fabric::new());
    let host = |plan: &str| {
        let plan = plan.parse().expect("a plan");
        Host::new(Config { plan, fabric: fabric.clone(), ..Config::default() }, &pump)
    };
    let (a, b) = (host(&format!("latency = {{ {latency} }}")), host(""));
    let (here, there) = (a.pd(), b.pd());
    let (tally, mut changed) = (Tally::default(), 0);
    for _ in 0..rounds {
        let memory = Memory::new(length);
        let (mut owner, target) = Owner::new(&b, &there, end, &memory);
        let (over, started) = (AtomicBool::new(false), AtomicU32::new(0));
        let pairs: Vec<_> = (0..PEERS).map(|_| connect(&here, &there)).collect();
        let sources: Vec<_> = (0..PEERS)
            .map(|peer| {
                let memory = Memory::new(length);
                memory.write(0, &vec![peer + 1; length]);
                let region = here.registered(&memory, LOCAL);
                (memory, region)
            })
            .collect();
        thread::scope(|scope| {
            for ((qp, _), (sink, region)) in pairs.iter().zip(&sources) {
                let element = sge(region.local(), sink.base(), length as u32);
                let (over, tally, started) = (&over, &tally, &started);
                scope.spawn(move || {
                    let open = Vec::new();
                    Hammer { qp, element, target, over, tally, open }.run(depth, sink, started);
                });
            }
            pump.until("every peer is at work", || {
                started.load(Ordering::SeqCst) == u32::from(PEERS)
            });
            owner.end();
            over.store(true, Ordering::SeqCst);
            changed += u32::from(memory.bytes().iter().any(|byte| *byte != 0));
            memory.write(0, &vec![SECRET; length]);
        });
        let untouched = memory.bytes().iter().all(|byte| *byte == SECRET);
        assert!(untouched, "D3: a byte changed after the end");
        for ((qp, peer), (_, region)) in pairs.into_iter().zip(sources) {
            qp.close();
            peer.close();
            region.close();
        }
        owner.finish();
    }
    let [done, refused, cancelled] =
        [&tally.done, &tally.refused, &tally.cancelled].map(|count| count.load(Ordering::Relaxed));
    println!(
        "{end:?}, {length} bytes, latency {latency:?}, {rounds} rounds of {PEERS} peers: {done} done, \
         {refused} refused, {cancelled} cancelled; bytes had changed in {changed} rounds"
    );
    assert!(changed > 0 && refused > 0, "there was something to be ended");
    here.close();
    there.close();
    a.close();
    b.close();
}

#[test]
fn d3_deregistration_of_a_few_bytes() {
    hammer(End::Deregister, "", 64, 1, 40);
}

#[test]
fn d3_deregistration_of_many_pages() {
    hammer(End::Deregister, "", 100_000, 1, 12);
}

#[test]
fn d3_deregistration_with_requests_on_their_way() {
    let latency = "read = '~20us..200us', write = '~20us..200us'";
    hammer(End::Deregister, latency, 5000, 8, 15);
}

#[test]
fn d3_close_of_a_registered_region() {
    hammer(End::Close, "", 5000, 1, 30);
}

#[test]
fn d3_invalidation_of_a_fast_registration() {
    hammer(End::Invalidate, "", 5000, 1, 30);
}

#[test]
fn d3_close_of_a_fast_registered_region() {
    hammer(End::CloseFast, "read = '~20us..200us', write = '~20us..200us'", 5000, 4, 15);
}

#[test]
fn d3_invalidation_of_a_window() {
    hammer(End::InvalidateWindow, "", 5000, 1, 30);
}

#[test]
fn d3_close_of_a_window() {
    hammer(End::CloseWindow, "", 5000, 1, 30);
}

#[test]
fn d3_the_queue_pair_that_ends_a_registration_may_be_the_last_that_used_it() {
    let ends = [
        End::Deregister,
        End::Close,
        End::Invalidate,
        End::CloseFast,
        End::InvalidateWindow,
        End::CloseWindow,
    ];
    for end in ends {
        let (pump, memory, source) = (Pump::threads(1), Memory::new(64), Memory::new(64));
        let host = Host::new(Config::default(), &pump);
        let pd = host.pd();
        let (mut owner, target) = Owner::new(&host, &pd, end, &memory);
        let region = pd.registered(&source, LOCAL);
        let element = sge(region.local(), source.base(), 64);
        for _ in 0..2 {
            owner.qp.write(1, &[element], target).expect("posted");
            assert_eq!(owner.qp.outcome(), Ok(64));
        }
        owner.end();
        owner.qp.write(2, &[element], target).expect("posted");
        assert_eq!(owner.qp.outcome(), Err(ErrorKind::AccessViolation), "D3: {end:?}");
        owner.finish();
        region.close();
        pd.close();
        host.close();
    }
}

#[test]
fn d3_two_queue_pairs_that_used_each_others_registrations_invalidate_them_at_once() {
    const ROUNDS: usize = 300;
    let pump = Pump::threads(1);
    let host = Host::new(Config::default(), &pump);
    let (pd, source) = (host.pd(), Memory::new(64));
    let source_mr = pd.registered(&source, LOCAL);
    let element = sge(source_mr.local(), source.base(), 64);
    let memories = [Memory::new(64), Memory::new(64)];
    let owners = [0, 1].map(|at: usize| Owner::new(&host, &pd, End::Invalidate, &memories[at]));
    let targets = [owners[0].1, owners[1].1];
    let together = Barrier::new(2);
    thread::scope(|scope| {
        for (owner, _) in &owners {
            let (qp, together) = (&owner.qp, &together);
            let region = owner.mr.as_ref().expect("a region").region();
            let memory = owner.lam.as_ref().expect("mapped").memory(PAGE);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    for target in targets.iter().chain(&targets) {
                        qp.write(1, &[element], *target).expect("posted");
                        assert_eq!(qp.outcome(), Ok(64));
                    }
                    together.wait();
                    // SAFETY: the region is closed after the threads.
                    unsafe { QueuePair::invalidate(qp, 2, region) }.expect("posted");
                    assert_eq!(qp.outcome(), Ok(0));
                    if round + 1 < ROUNDS {
                        let access = Access::REMOTE_READ | Access::REMOTE_WRITE;
                        // SAFETY: as above, and the memory is kept for longer.
                        unsafe { QueuePair::fast_register(qp, 3, region, memory, access) }
                            .expect("posted");
                        assert_eq!(qp.outcome(), Ok(0));
                    }
                    together.wait();
                }
            });
        }
    });
    owners.into_iter().for_each(|(owner, _)| owner.finish());
    source_mr.close();
    pd.close();
    host.close();
}
