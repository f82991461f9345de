//! Fast registration beyond what the conformance kit asks.

use crate::common::device;
use crate::world::*;
use futures_lite::future::block_on;
use ndk_backend_mlx::{MlxAdapter, MlxPd, MlxRegion};
use ndk_core::mdl::{Buffer, Mdl};
use ndk_core::{
    Access, AdapterProvider, ErrorKind, FastMemory, Mapping, MrProvider, QpProvider, QueueDepths,
    RegionKind, Sge, WorkRequest as R,
};
use std::hash::{BuildHasher, RandomState};
use std::iter;

fn all_of<'a>(buffer: &Buffer, pages: &'a [u64]) -> FastMemory<'a> {
    let base = buffer.address() as u64;
    FastMemory { pages, first_byte: (base % 4096) as u32, length: buffer.len() as u64, base }
}

/// A fast-registered region of `port`'s domain, with all remote rights.
pub(crate) struct Fast {
    region: MlxRegion,
    buffer: Buffer,
    pages: Vec<u64>,
    mapping: Mapping,
}

impl Fast {
    pub(crate) fn new(adapter: &MlxAdapter, domain: &MlxPd) -> Self {
        let buffer = Buffer::new(3 * 4096).unwrap();
        let mdl = Mdl::builder().buffer(&buffer).build().unwrap();
        let (mapping, pages) = map(adapter, &mdl);
        let region = block_on(adapter.create_mr(domain, RegionKind::FastRegister)).unwrap();
        block_on(region.initialize_fast_register(3, true)).unwrap();
        Self { region, buffer, pages, mapping }
    }

    pub(crate) fn register(&self, base: u64) -> Request<'_> {
        let memory = FastMemory { base, ..all_of(&self.buffer, &self.pages) };
        R::FastRegister { region: &self.region, memory, access: ALL | Access::REMOTE_READ }
    }

    pub(crate) fn close(self, adapter: &MlxAdapter) {
        block_on(self.region.close()).unwrap();
        adapter.release_mapping(self.mapping);
    }
}

/// The start of a page, another one in each run.
fn random_base() -> u64 {
    let base = RandomState::new().hash_one("base") & 0x7fff_ffff_f000;
    // A test that fails shows what it has printed.
    println!("base {base:#x}");
    base
}

#[test]
fn g8_rounds_are_posted_without_waiting_for_each_other_at_any_base() {
    let Some(name) = device("NDK_VERBS_DEVICE") else { return };
    let (adapter, domains, [owner, peer]) = two_domains(&name);
    let fast = Fast::new(&adapter, &domains[0]);
    let token = fast.region.remote_token().unwrap();
    let own = Registered::new(&adapter, &domains[1], 4096, ALL);
    for base in [random_base(), random_base()] {
        for round in 0..3 {
            post(&peer, 100, R::Receive { local: &[] }).unwrap();
            if round > 0 {
                post(&owner, 1, R::InvalidateRegion { region: &fast.region }).unwrap();
            }
            post(&owner, 2, fast.register(base)).unwrap();
            // The message says that the token is good: it comes after the registration.
            post(&owner, 3, R::Send { local: &[], invalidate: None }).unwrap();
            assert_eq!(completion(&peer).result, Ok(()));
            assert_eq!(fast.region.remote_token(), Some(token), "E4");
            own.buffer.write(0, &[round as u8 + 1; 10]).unwrap();
            let local = [own.element(10)];
            let remote = ndk_core::RemoteAddress { address: base + 8190, token };
            assert_eq!(carry_out(&peer, R::Write { local: &local, remote }), Ok(10));
            assert_eq!(fast.buffer.to_vec()[8190..8200], [round as u8 + 1; 10]);
            let expected = if round > 0 { vec![1, 2, 3] } else { vec![2, 3] };
            for context in expected {
                let done = completion(&owner);
                assert_eq!((done.id.context, done.result), (context, Ok(())));
            }
        }
        assert_eq!(carry_out(&owner, R::InvalidateRegion { region: &fast.region }), Ok(0));
    }
    close([owner, peer]);
    fast.close(&adapter);
    own.close();
    domains.iter().for_each(|domain| close_pd(&adapter, domain));
}

#[test]
fn the_send_queue_is_as_deep_as_it_says_while_a_registration_waits() {
    let Some(name) = device("NDK_VERBS_DEVICE") else { return };
    let adapter = open(&name);
    let domain = pd(&adapter);
    let depths = QueueDepths { receive: 8, initiator: 4 };
    let ports = [depths, QueueDepths::default()]
        .map(|depths| block_on(adapter.create_qp(&domain, depths)).unwrap());
    connect(&ports[0], &ports[1]);
    let fast = Fast::new(&adapter, &domain);
    post(&ports[0], 0, fast.register(0x1000)).unwrap();
    for context in 1..4 {
        post(&ports[1], context, R::Receive { local: &[] }).unwrap();
        post(&ports[0], context, R::Send { local: &[], invalidate: None }).unwrap();
    }
    let full = post(&ports[0], 4, R::Send { local: &[], invalidate: None }).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::InsufficientResources, "{full}");
    for context in 0..4 {
        let done = completion(&ports[0]);
        assert_eq!((done.id.context, done.result), (context, Ok(())), "in order");
    }
    close(ports);
    fast.close(&adapter);
    close_pd(&adapter, &domain);
}

#[test]
fn many_queue_pairs_use_one_region_by_turns() {
    let Some(name) = device("NDK_VERBS_DEVICE") else { return };
    let (adapter, domains, [owner, peer]) = two_domains(&name);
    close([owner, peer]);
    let fast = Fast::new(&adapter, &domains[0]);
    for round in 0..20 {
        let ports = [queue_pair(&adapter, &domains[0]), queue_pair(&adapter, &domains[1])];
        connect(&ports[0], &ports[1]);
        assert_eq!(carry_out(&ports[0], fast.register(0x7000)), Ok(0), "{round}");
        if round % 2 == 0 {
            let invalidate = R::InvalidateRegion { region: &fast.region };
            assert_eq!(carry_out(&ports[0], invalidate), Ok(0), "{round}");
            close(ports);
        } else {
            // The queue pair goes first, and the token with it; another one ends the registration.
            close(ports);
            let ports = [queue_pair(&adapter, &domains[0]), queue_pair(&adapter, &domains[1])];
            connect(&ports[0], &ports[1]);
            let invalidate = R::InvalidateRegion { region: &fast.region };
            assert_eq!(carry_out(&ports[0], invalidate), Ok(0), "{round}");
            close(ports);
        }
    }
    fast.close(&adapter);
    domains.iter().for_each(|domain| close_pd(&adapter, domain));
}

#[test]
fn a_connection_that_ends_while_registrations_wait_ends_each_once() {
    let Some(name) = device("NDK_VERBS_DEVICE") else { return };
    for round in 0..10 {
        let (adapter, domains, [owner, peer]) = two_domains(&name);
        let fast: Vec<Fast> = (0..8).map(|_| Fast::new(&adapter, &domains[0])).collect();
        for (context, fast) in fast.iter().enumerate() {
            post(&owner, context as u64, fast.register(0x1000)).unwrap();
        }
        let peer = if round % 2 == 0 {
            owner.flush();
            Some(peer)
        } else {
            close([peer]);
            None
        };
        let mut flushed = false;
        for context in 0..8 {
            let done = completion(&owner);
            assert_eq!(done.id.context, context, "each once, in order");
            flushed |= done.result.is_err();
            let expected = if flushed { Err(ErrorKind::Cancelled) } else { Ok(()) };
            assert_eq!(done.result, expected);
        }
        close(iter::once(owner).chain(peer));
        fast.into_iter().for_each(|fast| fast.close(&adapter));
        domains.iter().for_each(|domain| close_pd(&adapter, domain));
    }
}

#[test]
fn f4_the_local_token_of_a_fast_registration_is_good_as_soon_as_it_is_posted() {
    let Some(name) = device("NDK_VERBS_DEVICE") else { return };
    let (adapter, domains, [owner, peer]) = two_domains(&name);
    let fast = Fast::new(&adapter, &domains[0]);
    fast.buffer.write(100, &[0x3c; 50]).unwrap();
    let target = Registered::new(&adapter, &domains[1], 4096, ALL);
    let token = fast.region.local_token().unwrap();
    let local = [Sge { address: 0x7000_0000 + 100, length: 50, token }];
    post(&owner, 1, fast.register(0x7000_0000)).unwrap();
    post(&owner, 2, R::Write { local: &local, remote: target.at(0) }).unwrap();
    for context in [1, 2] {
        let done = completion(&owner);
        assert_eq!((done.id.context, done.result), (context, Ok(())));
    }
    post(&peer, 3, R::Receive { local: &[] }).unwrap();
    assert_eq!(carry_out(&owner, R::Send { local: &[], invalidate: None }), Ok(0));
    assert_eq!(completion(&peer).result, Ok(()));
    assert_eq!(target.buffer.to_vec()[..50], [0x3c; 50]);
    assert_eq!(carry_out(&owner, R::InvalidateRegion { region: &fast.region }), Ok(0));
    let late = carry_out(&owner, R::Write { local: &local, remote: target.at(0) });
    assert_eq!(late, Err(ErrorKind::AccessViolation), "G8: it reaches nothing any more");
    close([owner, peer]);
    fast.close(&adapter);
    target.close();
    domains.iter().for_each(|domain| close_pd(&adapter, domain));
}
