//! Section D: what becomes of accesses when a registration ends, by Deregister or by Close (H3).

use super::super::case::{Case, Device};
use super::super::env::Env;
use super::super::memory::Memory;
use super::super::needs::wire;
use super::super::net::{Net, Registered, next_context};
use super::super::outcome::Outcome;
use super::super::port::Port;
use super::super::route::Mr;
use super::f::ALL;
use super::f_rights::lets_read;
use crate::abi::*;
use crate::capabilities::{Refusal, TokenReuse};
use crate::error::ErrorKind;
use crate::provider::{RemoteAddress, Sge, WorkCompletion};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub(super) const CASES: &[Case] = &[
    Case::new("D3", "dead_when_completed", dead_when_completed).between().needs(wire),
    Case::new("D3", "against_a_writer", against_a_writer).between().needs(wire),
    Case::new("D3", "against_a_reader", against_a_reader).between().needs(wire),
    Case::new("D3", "against_a_reader_of_few_bytes", against_a_reader_of_few_bytes)
        .between()
        .needs(wire),
    Case::new("H3", "against_a_writer", close_against_a_writer).between().needs(wire),
    Case::new("D4", "new_memory_and_rights", new_memory_and_rights).needs(wire),
    Case::new("D4", "stale_token", stale_token).needs(never_soon),
    Case::new("D4", "stale_token_of_a_closed_region", stale_token_of_a_closed_region)
        .needs(never_soon),
];

const LENGTH: usize = 4 * PAGE_SIZE;
/// The most requests that a busy peer has posted at a time.
const DEPTH: usize = 16;
/// Ends a hang; no passing case waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

fn never_soon(device: &Device) -> Option<&'static str> {
    let unknown = device.capabilities.token_reuse == TokenReuse::Unknown;
    wire(device).or(unknown.then_some("the device may issue a retired token again at once (K1)"))
}

fn dead_when_completed(env: &mut Env) {
    let mut net = Net::new(env);
    let target = net.target(env, Memory::new(LENGTH, 0), ALL);
    net.writes(env, &target, 0, LENGTH);
    env.deregister(target.mr).success();
    net.unreachable(env, target.at(0));
    net.unreachable(env, target.at_by_local(0));
}

/// A peer that keeps its queue full, until its connection breaks.
struct Busy<'a> {
    port: &'a dyn Port,
    /// One element for each place in the queue.
    elements: Vec<Sge>,
    to: RemoteAddress,
    writes: bool,
    /// How many have succeeded.
    succeeded: AtomicUsize,
    /// How many may.
    most: AtomicUsize,
}

impl<'a> Busy<'a> {
    fn new(port: &'a dyn Port, elements: Vec<Sge>, to: RemoteAddress, writes: bool) -> Self {
        let (succeeded, most) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
        Self { port, elements, to, writes, succeeded, most }
    }

    /// Gives every completion, in their order, and checks that each request has one.
    fn run(&self, mut seen: impl FnMut(&WorkCompletion, usize)) -> Vec<WorkCompletion> {
        let (first, mut posted, mut ended) = (next_context(), 0, Vec::<WorkCompletion>::new());
        let started = Instant::now();
        let mut broken = false;
        loop {
            while !broken && posted - ended.len() < DEPTH {
                let local = [self.elements[posted % DEPTH]];
                let context = first + posted as u64;
                let request = if self.writes { Port::write } else { Port::read };
                request(self.port, context, &local, self.to).expect("posted");
                posted += 1;
            }
            if ended.len() == posted {
                return ended;
            }
            let Some(completion) = self.port.poll() else {
                assert!(started.elapsed() < PATIENCE, "D3: a request does not complete");
                thread::yield_now();
                continue;
            };
            let place = ended.len() % DEPTH;
            let due = first + ended.len() as u64;
            assert_eq!(completion.id.context, due, "D3: each once, in the order of the posting");
            seen(&completion, place);
            broken |= completion.result.is_err();
            self.succeeded.fetch_add(usize::from(completion.result.is_ok()), Ordering::Relaxed);
            let [succeeded, most] =
                [&self.succeeded, &self.most].map(|count| count.load(Ordering::Relaxed));
            assert!(succeeded <= most, "D3: a request that was posted after the completion");
            ended.push(completion);
        }
    }

    /// The deregistration has completed: no request succeeds any more but those that were posted before. A write whose
    /// completion says only that the bytes are on their way may (K1).
    fn is_over(&self, device: &Device) {
        if self.writes && device.capabilities.refusal == Refusal::ConnectionLoss {
            return;
        }
        let succeeded = self.succeeded.load(Ordering::Relaxed);
        self.most.store(succeeded + DEPTH, Ordering::Relaxed);
    }

    /// Waits until some requests have got through, and then for a part of one's time that grows with the rounds: right behind
    /// a completion, a slow device would always be found at the same part of its work.
    fn is_under_way(&self, round: usize, rounds: usize) {
        const MANY: usize = 2 * DEPTH;
        let (before, started) = (self.succeeded.load(Ordering::Relaxed), Instant::now());
        while self.succeeded.load(Ordering::Relaxed) < before + MANY {
            assert!(started.elapsed() < PATIENCE, "D3: the peer's requests do not get through");
            thread::yield_now();
        }
        let each = started.elapsed().div_f64(MANY as f64);
        let until = Instant::now() + each.mul_f64(round as f64 / rounds as f64);
        while Instant::now() < until {
            thread::yield_now();
        }
    }
}

/// What a busy peer's requests may come to: success, then at most one access error, then the flush.
#[track_caller]
fn in_order(device: &Device, ended: &[WorkCompletion]) {
    let rest = ended.iter().skip_while(|completion| completion.result.is_ok());
    for (index, completion) in rest.enumerate() {
        let result = completion.result;
        match (device.capabilities.refusal, index) {
            (Refusal::Completion, 0) => assert_eq!(result, Err(ErrorKind::AccessViolation), "D3"),
            (Refusal::Completion, _) => assert_eq!(result, Err(ErrorKind::Cancelled), "D3"),
            (Refusal::ConnectionLoss, _) => assert!(result.is_err(), "D3: {result:?}"),
        }
    }
}

/// As many rounds as show a race, where a round is short.
fn rounds(env: &Env) -> usize {
    env.sample(20, 4)
}

/// Once the deregistration has completed, no byte changes, whatever was in flight.
fn against_a_writer(env: &mut Env) {
    writer(env, Env::deregister);
}

/// The same of a close.
fn close_against_a_writer(env: &mut Env) {
    writer(env, Env::close);
}

fn writer(env: &mut Env, end: fn(&mut Env, Mr) -> Outcome) {
    let mut net = Net::new(env);
    let memory = env.memory(LENGTH, 0);
    let rounds = rounds(env);
    for round in 0..rounds {
        let target = env.register_in(net.owner, memory.clone(), ALL);
        net.scratch.memory.fill(0x77);
        // Each place in the queue writes other bytes, so that a late write is seen.
        let elements = (0..DEPTH).map(|place| net.scratch.element(place, LENGTH)).collect();
        let port = &*net.link.peer;
        let to = target.at(0);
        let busy = Busy::new(port, elements, to, true);
        thread::scope(|scope| {
            let writer = scope.spawn(|| busy.run(|_, _| {}));
            busy.is_under_way(round, rounds);
            end(env, target.mr).success();
            busy.is_over(&env.device);
            let then = memory.buffer.to_vec();
            let ended = writer.join().expect("the writer");
            assert!(memory.buffer.to_vec() == then, "D3: bytes changed after the completion");
            in_order(&env.device, &ended);
        });
        net.reconnect(env);
        if env.regions.contains(&target.mr) {
            env.close(target.mr).success();
        }
    }
}

/// Reads that no device answers in several packets.
fn against_a_reader_of_few_bytes(env: &mut Env) {
    reader::<128>(env);
}

fn against_a_reader(env: &mut Env) {
    reader::<{ PAGE_SIZE / 2 }>(env);
}

/// What the owner writes into its buffer after the completion is not to be read by the old token.
fn reader<const EACH: usize>(env: &mut Env) {
    const SECRET: u8 = 0xa7;
    const PUBLIC: u8 = 0x11;
    let mut net = Net::new(env);
    let memory = env.memory(EACH, 0);
    let rounds = rounds(env);
    for round in 0..rounds {
        memory.buffer.write(0, &[PUBLIC; EACH]).expect("it fits");
        let target = env.register_in(net.owner, memory.clone(), ALL);
        let part = |place| place * EACH;
        let elements = (0..DEPTH).map(|place| net.scratch.element(part(place), EACH)).collect();
        let (port, scratch) = (&*net.link.peer, &net.scratch.memory.buffer);
        let to = target.at(0);
        let busy = Busy::new(port, elements, to, false);
        thread::scope(|scope| {
            let reader = scope.spawn(|| {
                busy.run(|completion, place| {
                    let mut bytes = [0; EACH];
                    scratch.read(part(place), &mut bytes).expect("it fits");
                    assert!(!bytes.contains(&SECRET), "D3: read after the completion");
                    assert!(completion.result.is_err() || bytes == [PUBLIC; EACH]);
                })
            });
            busy.is_under_way(round, rounds);
            env.deregister(target.mr).success();
            busy.is_over(&env.device);
            memory.buffer.write(0, &[SECRET; EACH]).expect("it fits");
            in_order(&env.device, &reader.join().expect("the reader"));
        });
        let scratch = net.scratch.memory.buffer.to_vec();
        assert!(!scratch.contains(&SECRET), "D3: read after the completion");
        net.reconnect(env);
        env.close(target.mr).success();
    }
}

/// A region that is registered again has the new memory and the new rights, and no more.
fn new_memory_and_rights(env: &mut Env) {
    const READ: ULONG = NDK_MR_FLAG_ALLOW_REMOTE_READ;
    const WRITE: ULONG = NDK_MR_FLAG_ALLOW_REMOTE_WRITE;
    let mut net = Net::new(env);
    let mr = env.mr(net.owner);
    let rounds = [(1, 7, WRITE), (5 * PAGE_SIZE, 100, READ), (PAGE_SIZE, 0, ALL)];
    for (length, offset, flags) in rounds {
        let memory = env.memory(length, offset);
        memory.fill(flags as u8);
        net.watch(&memory);
        env.register(mr, memory.all(flags)).success();
        let target = env.registered_over(mr, memory);
        if lets_read(&env.device, flags) {
            net.reads(env, &target, 0, length);
        } else {
            net.read_refused(env, target.at(0), length);
        }
        if flags & WRITE == WRITE {
            net.writes(env, &target, 0, length);
        } else {
            net.write_refused(env, target.at(0), length);
        }
        let (_, behind) = target.outside(&env.device);
        net.read_refused(env, target.at(behind), 1);
        env.deregister(mr).success();
        net.unreachable(env, target.at(0));
    }
}

/// The same region over the same memory: only the token is another one.
fn stale_token(env: &mut Env) {
    let mut net = Net::new(env);
    let first = net.target(env, Memory::new(100, 0), ALL);
    let mut stale: Vec<Registered> = vec![first];
    for _ in 0..5 {
        let last = stale.last().expect("there is one");
        env.deregister(last.mr).success();
        env.register(last.mr, last.memory.all(ALL)).success();
        let now = env.registered_over(last.mr, last.memory.clone());
        for old in &stale {
            net.unreachable(env, old.at(0));
        }
        net.reads(env, &now, 0, 100);
        stale.push(now);
    }
}

/// A new region, which may well lie where the closed one lay.
fn stale_token_of_a_closed_region(env: &mut Env) {
    let mut net = Net::new(env);
    let mut stale: Vec<Registered> = Vec::new();
    let memory = env.page();
    memory.fill(1);
    net.watch(&memory);
    for _ in 0..5 {
        let now = env.register_in(net.owner, memory.clone(), ALL);
        for old in &stale {
            net.unreachable(env, old.at(0));
        }
        net.reads(env, &now, 0, 100);
        env.close(now.mr).success();
        stale.push(now);
    }
}
