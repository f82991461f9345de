//! An owner of memory, a peer that reaches for it, and the connection between them: two domains of the adapter under
//! test, or one of it and one of a second adapter.
//!
//! A refused access breaks the connection at both ends (F6), so that whoever expects a refusal here gets a new
//! connection after it.

use super::case::Device;
use super::env::Env;
use super::memory::Memory;
use super::port::Port;
use super::route::{Mr, Pd};
use crate::abi::{NDK_MR_FLAG_ALLOW_LOCAL_WRITE, NDK_MR_FLAG_RDMA_READ_SINK, PAGE_SIZE, ULONG};
use crate::access::{LocalToken, RemoteToken};
use crate::capabilities::Refusal;
use crate::error::{ErrorKind, Result};
use crate::provider::{RemoteAddress, Sge, WorkCompletion, WorkKind};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

/// The most bytes of one access through a [`Net`], where the device has registrations of that length.
const SCRATCH: usize = 16 * PAGE_SIZE;
/// What the peer's scratch memory is filled with before a read.
const BLANK: u8 = 0xb1;

/// Bytes that differ with their place and the seed.
pub(super) fn pattern(length: usize, seed: u8) -> Vec<u8> {
    (0..length).map(|index| (index * 7 + index / 251) as u8 ^ seed).collect()
}

/// A context for a request that no other request has.
pub(super) fn next_context() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A peer's view of a place in memory.
pub(super) fn remote(token: u32, address: u64) -> RemoteAddress {
    RemoteAddress { address, token: RemoteToken::new(token).expect("a token") }
}

/// An element of local memory.
pub(super) fn element(token: u32, address: u64, length: usize) -> Sge {
    Sge { address, length: length as u32, token: LocalToken::new(token).expect("a token") }
}

/// A region with what it is registered over.
#[derive(Clone)]
pub(super) struct Registered {
    pub(super) mr: Mr,
    pub(super) memory: Arc<Memory>,
    pub(super) local: u32,
    pub(super) remote: u32,
}

impl Registered {
    /// The byte at `offset`, which may lie outside, as a peer names it.
    pub(super) fn at(&self, offset: isize) -> RemoteAddress {
        remote(self.remote, self.address(offset))
    }

    /// As `at`, by the local token.
    pub(super) fn at_by_local(&self, offset: isize) -> RemoteAddress {
        remote(self.local, self.address(offset))
    }

    pub(super) fn address(&self, offset: isize) -> u64 {
        self.memory.base().wrapping_add_signed(offset as i64)
    }

    /// The places next to the region that a peer must not reach, before it and behind it: its neighbours, or those of its
    /// pages where the device's bounds are not exact to the byte (K1).
    pub(super) fn outside(&self, device: &Device) -> (isize, isize) {
        self.outside_of(device, self.memory.len())
    }

    /// As `outside`, of a region over the first bytes of its memory.
    pub(super) fn outside_of(&self, device: &Device, length: usize) -> (isize, isize) {
        if device.capabilities.byte_exact {
            return (-1, length as isize);
        }
        let first = self.memory.base() as usize % PAGE_SIZE;
        let end = (first + length).next_multiple_of(PAGE_SIZE) - first;
        (-1 - first as isize, end as isize)
    }

    pub(super) fn element(&self, offset: usize, length: usize) -> Sge {
        element(self.local, self.address(offset as isize), length)
    }
}

/// Two queue pairs that are connected to each other.
pub(super) struct Link {
    /// Of the one who reaches for the memory.
    pub(super) peer: Box<dyn Port>,
    /// Of the one whose memory it is.
    pub(super) owner: Box<dyn Port>,
}

/// The two domains, their connection, and memory of the peer's for reading into and writing from.
pub(super) struct Net {
    pub(super) owner: Pd,
    pub(super) peer: Pd,
    pub(super) link: Link,
    pub(super) scratch: Registered,
    /// Memory that no refused access may change.
    watched: Vec<Arc<Memory>>,
}

impl Env {
    /// Registers all of `memory` in a region of `pd`.
    #[track_caller]
    pub(super) fn register_in(&mut self, pd: Pd, memory: Arc<Memory>, flags: ULONG) -> Registered {
        let mr = self.mr(pd);
        self.register(mr, memory.all(flags)).success();
        self.registered_over(mr, memory)
    }

    /// What a region is now, that was registered over `memory`.
    pub(super) fn registered_over(&self, mr: Mr, memory: Arc<Memory>) -> Registered {
        let (local, remote) = self.tokens(mr);
        Registered { mr, memory, local, remote }
    }

    #[track_caller]
    pub(super) fn port(&self, pd: Pd) -> Box<dyn Port> {
        // SAFETY: the case has a live domain of this adapter.
        let made = self.wait_for("a queue pair", unsafe { self.session().create_port(pd) });
        made.expect("a queue pair")
    }

    /// Connects a queue pair of each domain.
    #[track_caller]
    pub(super) fn link(&self, owner: Pd, peer: Pd) -> Link {
        let link = Link { peer: self.port(peer), owner: self.port(owner) };
        let (to_owner, to_peer) = (link.owner.endpoint(), link.peer.endpoint());
        let mut sides =
            [(link.peer.connect(&to_owner), false), (link.owner.connect(&to_peer), false)];
        self.wait_for(
            "a connection",
            poll_fn(|cx| {
                for (connect, done) in sides.iter_mut().filter(|side| !side.1) {
                    if let Poll::Ready(result) = connect.as_mut().poll(cx) {
                        result.expect("a connection");
                        *done = true;
                    }
                }
                if sides.iter().all(|side| side.1) { Poll::Ready(()) } else { Poll::Pending }
            }),
        );
        drop(sides);
        link
    }

    /// The next completion, which must come.
    #[track_caller]
    pub(super) fn completion(&self, port: &dyn Port) -> WorkCompletion {
        self.wait_for("a completion of work", poll_fn(|cx| port.poll_completion(cx)))
    }

    /// Posts a request and waits for it.
    #[track_caller]
    pub(super) fn carry_out(
        &self,
        port: &dyn Port,
        kind: WorkKind,
        post: impl FnOnce(u64) -> Result<()>,
    ) -> Result<u32, ErrorKind> {
        let context = next_context();
        post(context).expect("the request is posted");
        let completion = self.completion(port);
        assert_eq!((completion.id.context, completion.kind), (context, kind), "whose completion");
        assert_eq!(port.poll(), None, "one completion for one request");
        completion.result.map(|()| completion.bytes)
    }

    /// An empty message from one end to the other.
    #[track_caller]
    fn message(&self, from: &dyn Port, to: &dyn Port) -> Result<(), ErrorKind> {
        let context = next_context();
        to.receive(context, &[]).expect("a receive is posted");
        from.send(next_context(), &[], None).expect("a send is posted");
        self.completion(from);
        let received = self.completion(to);
        assert_eq!(received.id.context, context, "whose completion");
        received.result
    }

    /// Rule F6: the queue pair is in error.
    #[track_caller]
    pub(super) fn is_broken(&self, port: &dyn Port) {
        let context = next_context();
        port.receive(context, &[]).expect("F6: requests are posted also in error");
        loop {
            let completion = self.completion(port);
            if completion.id.context == context {
                return assert_eq!(completion.result, Err(ErrorKind::Cancelled), "F6: in error");
            }
            // Posted before, and ended by whatever broke the queue pair.
            assert!(completion.result.is_err(), "F6: {completion:?}");
        }
    }

    #[track_caller]
    pub(super) fn close_link(&self, link: Link) {
        self.wait_for("the close of a queue pair", link.peer.close());
        self.wait_for("the close of a queue pair", link.owner.close());
    }
}

impl Net {
    pub(super) fn new(env: &mut Env) -> Self {
        let (owner, peer) = (env.pd(), env.peer_pd());
        let flags = NDK_MR_FLAG_ALLOW_LOCAL_WRITE | NDK_MR_FLAG_RDMA_READ_SINK;
        let memory = env.memory(SCRATCH.min(env.device.info.MaxRegistrationSize), 0);
        let scratch = env.register_in(peer, memory, flags);
        Self { owner, peer, link: env.link(owner, peer), scratch, watched: Vec::new() }
    }

    /// The owner's memory, in a region with these rights, filled with a pattern, and watched.
    #[track_caller]
    pub(super) fn target(&mut self, env: &mut Env, memory: Memory, flags: ULONG) -> Registered {
        let memory = env.keep(memory);
        self.watch(&memory);
        memory.fill(self.watched.len() as u8);
        env.register_in(self.owner, memory, flags)
    }

    /// From now on no refused access may change that memory.
    pub(super) fn watch(&mut self, memory: &Arc<Memory>) {
        self.watched.push(memory.clone());
    }

    /// Reads into the scratch memory.
    #[track_caller]
    pub(super) fn read(
        &self,
        env: &Env,
        from: RemoteAddress,
        length: usize,
    ) -> Result<Vec<u8>, ErrorKind> {
        let scratch = &self.scratch.memory.buffer;
        scratch.write(0, &vec![BLANK; scratch.len()]).expect("it fits");
        let into = [self.scratch.element(0, length)];
        let port = &*self.link.peer;
        let result = env.carry_out(port, WorkKind::Read, |context| port.read(context, &into, from));
        let mut bytes = scratch.to_vec();
        let rest = bytes.split_off(if result.is_ok() { length } else { 0 });
        assert!(
            rest.iter().all(|&byte| byte == BLANK),
            "F4: bytes that nobody asked for, or may have"
        );
        result.map(|_| bytes)
    }

    /// Writes from the scratch memory. What has no error is in the owner's memory.
    #[track_caller]
    pub(super) fn write(
        &self,
        env: &Env,
        to: RemoteAddress,
        bytes: &[u8],
    ) -> Result<(), ErrorKind> {
        self.scratch.memory.buffer.write(0, bytes).expect("it fits");
        let from = [self.scratch.element(0, bytes.len())];
        let port = &*self.link.peer;
        env.carry_out(port, WorkKind::Write, |context| port.write(context, &from, to))?;
        match env.device.capabilities.refusal {
            Refusal::Completion => Ok(()),
            // The completion says only that the bytes are on their way: a message behind them tells the rest.
            Refusal::ConnectionLoss => self.message(env),
        }
    }

    /// An empty message from the peer to the owner.
    #[track_caller]
    pub(super) fn message(&self, env: &Env) -> Result<(), ErrorKind> {
        env.message(&*self.link.peer, &*self.link.owner)
    }

    /// An empty message the other way: what the owner has written before is in the peer's memory then.
    #[track_caller]
    pub(super) fn message_to_peer(&self, env: &Env) -> Result<(), ErrorKind> {
        env.message(&*self.link.owner, &*self.link.peer)
    }

    /// A read that succeeds and gives what is in the region's memory.
    #[track_caller]
    pub(super) fn reads(&self, env: &Env, target: &Registered, offset: usize, length: usize) {
        let read = self.read(env, target.at(offset as isize), length);
        let bytes = target.memory.part(offset, length);
        assert!(read.expect("the read succeeds") == bytes, "the bytes read");
    }

    /// A write that succeeds, and changes what it is to change and nothing else.
    #[track_caller]
    pub(super) fn writes(&self, env: &Env, target: &Registered, offset: usize, length: usize) {
        let (all, mut expected) = (target.memory.buffer.to_vec(), target.memory.bytes());
        expected[offset..][..length].iter_mut().for_each(|byte| *byte = !*byte);
        let bytes = &expected[offset..][..length];
        self.write(env, target.at(offset as isize), bytes).expect("the write succeeds");
        assert!(target.memory.bytes() == expected, "the bytes written");
        let now = target.memory.buffer.to_vec();
        let changed = all.iter().zip(&now).filter(|(before, after)| before != after).count();
        assert_eq!(changed, length, "C9: no byte but those written changes");
    }

    /// A read that is refused, which breaks the connection; there is a new one afterwards.
    #[track_caller]
    pub(super) fn read_refused(&mut self, env: &Env, from: RemoteAddress, length: usize) {
        let before = self.snapshot();
        let result = self.read(env, from, length).map(drop);
        self.refused(env, result, &before);
    }

    /// As `read_refused`, a write.
    #[track_caller]
    pub(super) fn write_refused(&mut self, env: &Env, to: RemoteAddress, length: usize) {
        let before = self.snapshot();
        let result = self.write(env, to, &vec![0xd7; length]);
        self.refused(env, result, &before);
    }

    /// The peer's device refuses the peer's own memory; a completion tells of it on every device. There is a new
    /// connection afterwards.
    #[track_caller]
    pub(super) fn refused_locally(
        &mut self,
        env: &Env,
        kind: WorkKind,
        request: impl FnOnce(&dyn Port, u64) -> Result<()>,
    ) {
        let (port, before) = (&*self.link.peer, self.snapshot());
        let result = env.carry_out(port, kind, |context| request(port, context));
        assert_eq!(result, Err(ErrorKind::AccessViolation), "F4: {kind:?} with memory of its own");
        assert!(self.snapshot() == before, "F1: a refused access changed bytes");
        self.broken(env);
        self.reconnect(env);
    }

    /// Memory of the peer's that the owner may reach for.
    #[track_caller]
    pub(super) fn target_of_peer(&self, env: &mut Env) -> Registered {
        let page = env.page();
        env.register_in(self.peer, page, 0x7)
    }

    /// Neither reading nor writing gets there.
    #[track_caller]
    pub(super) fn unreachable(&mut self, env: &Env, place: RemoteAddress) {
        self.read_refused(env, place, 8);
        self.write_refused(env, place, 8);
    }

    /// What all watched memory holds.
    pub(super) fn snapshot(&self) -> Vec<Vec<u8>> {
        self.watched.iter().map(|memory| memory.buffer.to_vec()).collect()
    }

    /// Checks a refusal and what comes with it, and connects anew.
    #[track_caller]
    pub(super) fn refused(&mut self, env: &Env, result: Result<(), ErrorKind>, before: &[Vec<u8>]) {
        match env.device.capabilities.refusal {
            Refusal::Completion => assert_eq!(result, Err(ErrorKind::AccessViolation), "refused"),
            Refusal::ConnectionLoss => assert!(result.is_err(), "not refused"),
        }
        assert!(self.snapshot() == before, "F1: a refused access changed bytes");
        self.broken(env);
        self.reconnect(env);
    }

    /// Rule F6: both ends are in error.
    #[track_caller]
    pub(super) fn broken(&self, env: &Env) {
        env.is_broken(&*self.link.peer);
        env.is_broken(&*self.link.owner);
    }

    /// Other queue pairs in place of those there are.
    #[track_caller]
    pub(super) fn reconnect(&mut self, env: &Env) {
        let link = env.link(self.owner, self.peer);
        env.close_link(std::mem::replace(&mut self.link, link));
    }
}
