//! Fast registration: a mapping built through the C table, registered and invalidated by work requests (G, L).

use super::LOCAL;
use super::common::{Host, Lam, Memory, Mr, Net, Shape, connect, privileged, sge};
use ndk_backend_sim::Miss;
use ndk_core::abi::*;
use ndk_core::{Access, ErrorKind, RemoteAddress, RemoteToken};

const LENGTH: usize = 9000;
/// Where fast registrations count from: a page that no memory of a test is at.
const PAGE: u64 = 0x5000_0000_0000;

fn all() -> Access {
    Access::REMOTE_READ | Access::REMOTE_WRITE
}

/// A fast registration at the peer, and a plain region here to reach it from.
struct Fast {
    net: Net,
    memory: Memory,
    lam: Option<Lam>,
    mr: Mr,
    source: (Memory, Mr),
}

impl Fast {
    fn new() -> Self {
        let net = Net::new();
        let (memory, source) = (Memory::scattered(LENGTH), Memory::new(LENGTH));
        memory.fill(0x41);
        source.fill(0x42);
        let lam = Some(net.b.map(&memory));
        let mr = net.there.fast_mr(3, true);
        let region = net.here.registered(&source, LOCAL);
        Self { net, memory, lam, mr, source: (source, region) }
    }

    /// Posts the registration at the owner's end; its completion is left to the caller.
    fn post(&self, access: Access) -> ndk_core::Result<()> {
        self.net.peer.fast_register(&self.mr, self.lam.as_ref().unwrap().memory(PAGE), access)
    }

    fn register(&self, access: Access) {
        self.post(access).expect("posted");
        assert_eq!(self.net.peer.outcome(), Ok(0));
    }

    fn invalidate(&self) {
        self.net.peer.invalidate(&self.mr).expect("posted");
        assert_eq!(self.net.peer.outcome(), Ok(0));
    }

    fn base(&self) -> u64 {
        PAGE + u64::from(self.lam.as_ref().unwrap().first_byte)
    }

    /// Writes `length` bytes to the registration's byte `at`.
    fn write(&self, at: i64, length: u32) -> Result<u32, ErrorKind> {
        let from = sge(self.source.1.local(), self.source.0.base(), length);
        self.net.qp.write_through(from, self.mr.remote(), self.base().wrapping_add_signed(at))
    }

    fn finish(mut self) {
        self.mr.close();
        if let Some(lam) = self.lam.take() {
            self.net.b.release(lam);
        }
        self.net.finish([self.source.1]);
    }
}

#[test]
fn l1_l4_a_mapping_is_of_the_pages_spanned_and_says_nothing_of_the_host() {
    let net = Net::new();
    for (length, offset, pages) in
        [(1, 0, 1), (1, 4095, 1), (2, 4095, 2), (4096, 1, 2), (9000, 7, 3)]
    {
        let memory = Memory::shaped(length, Shape { offset, ..Shape::default() });
        let lam = net.b.map(&memory);
        assert_eq!((lam.pages.len(), lam.first_byte as usize), (pages, offset));
        assert!(lam.pages.windows(2).all(|pair| pair[1] == pair[0] + 4096), "L1: contiguous");
        assert!(lam.pages.iter().all(|page| page % 4096 == 0 && *page != memory.base() & !4095));
        net.b.release(lam);
    }
    net.finish([]);
}

#[test]
fn a_fast_registration_is_reached_to_the_byte_by_its_own_addresses() {
    let mut fast = Fast::new();
    let token = fast.mr.remote_value();
    fast.register(all());
    assert_eq!(fast.mr.remote_value(), token, "E4: fixed from the initialisation on");
    assert_eq!(fast.write(0, LENGTH as u32), Ok(LENGTH as u32));
    assert!(fast.memory.bytes() == fast.source.0.bytes() && fast.memory.surroundings_are(0x41));
    let into = sge(fast.source.1.local(), fast.source.0.base() + 1, 4097);
    let read = fast.net.qp.read_through(into, fast.mr.remote(), fast.base() + 4000);
    assert_eq!(read, Ok(4097));
    assert_eq!(fast.source.0.bytes()[1..4098], fast.memory.bytes()[4000..8097]);
    // L3: narrowed to bytes, in pages that are mapped whole.
    for (at, length) in [(-1, 1), (LENGTH as i64, 1), (0, LENGTH as u32 + 1)] {
        let token = fast.source.1.local();
        let (half, base) = (length / 2, fast.source.0.base());
        let list = [sge(token, base, half), sge(token, base, length - half)];
        let address = fast.base().wrapping_add_signed(at);
        let remote = RemoteAddress { address, token: fast.mr.remote() };
        fast.net.qp.write(1, &list, remote).unwrap();
        assert_eq!(fast.net.qp.outcome(), Err(ErrorKind::AccessViolation), "{at} {length}");
        assert!(fast.memory.surroundings_are(0x41));
        fast.net.reconnect();
    }
    fast.finish();
}

#[test]
fn registrations_are_counted_from_begin_to_end_however_they_end() {
    let fast = Fast::new();
    let live = |expected: (u64, u64), what: &str| {
        let counters = fast.net.b.sim().counters();
        assert_eq!((counters.live(), counters.registrations), expected, "{what}");
    };
    live((0, 0), "initialised");
    fast.register(all());
    live((1, 1), "registered");
    fast.invalidate();
    live((0, 1), "invalidated");
    fast.register(all());
    live((1, 2), "registered again");
    fast.net.peer.receive(1, &[]).unwrap();
    fast.net.qp.send(2, &[], Some(fast.mr.remote())).unwrap();
    assert_eq!((fast.net.qp.outcome(), fast.net.peer.outcome()), (Ok(0), Ok(0)));
    live((0, 2), "invalidated by the peer");
    fast.register(all());
    live((1, 3), "closed below, as every region that is left");
    fast.finish();
}

#[test]
fn g8_g7_after_an_invalidation_the_token_reaches_nothing_until_the_next_registration() {
    let mut fast = Fast::new();
    fast.register(all());
    assert_eq!(fast.post(all()).unwrap_err().rule_id(), "G7");
    fast.invalidate();
    let twice = fast.net.peer.invalidate(&fast.mr).unwrap_err();
    assert_eq!((twice.kind(), twice.rule_id()), (ErrorKind::InvalidDeviceState, "G8"));
    assert!(!fast.net.peer.is_broken(), "refused inline: nothing was posted");
    let before = fast.memory.bytes();
    assert_eq!(fast.write(0, 1), Err(ErrorKind::AccessViolation));
    assert_eq!(fast.memory.bytes(), before);
    fast.net.reconnect();
    fast.register(Access::REMOTE_READ);
    assert_eq!(fast.write(0, 1), Err(ErrorKind::AccessViolation), "F4: the rights of this round");
    fast.net.reconnect();
    fast.invalidate();
    fast.register(all());
    assert_eq!(fast.write(0, 1), Ok(1), "G11: on every queue pair of the domain");
    fast.finish();
}

#[test]
fn g9_a_send_and_invalidate_kills_the_token_before_the_receive_completes() {
    let mut fast = Fast::new();
    for round in 0..3 {
        fast.register(all());
        assert_eq!(fast.write(5, 10), Ok(10), "round {round}");
        let into = Memory::new(64);
        let sink = fast.net.there.registered(&into, LOCAL);
        fast.net.peer.receive(1, &[sge(sink.local(), into.base(), 64)]).unwrap();
        let message = sge(fast.source.1.local(), fast.source.0.base(), 20);
        fast.net.qp.send(2, &[message], Some(fast.mr.remote())).unwrap();
        assert_eq!(fast.net.qp.outcome(), Ok(20));
        // Dead before the owner has looked at its completion, and registered anew only after it has.
        assert_eq!(fast.post(all()).unwrap_err().rule_id(), "G7", "G8: counts from the completion");
        let received = fast.net.peer.next();
        assert_eq!((received.result, received.bytes), (Ok(()), 20));
        assert_eq!(received.invalidated, Some(fast.mr.remote()));
        assert_eq!(fast.net.peer.invalidate(&fast.mr).unwrap_err().rule_id(), "G8");
        sink.close();
        let before = fast.memory.bytes();
        assert_eq!(fast.write(0, 1), Err(ErrorKind::AccessViolation));
        assert_eq!(fast.memory.bytes(), before);
        assert_eq!(fast.net.b.sim().counters().misses(Miss::Unknown), 0, "its token is known");
        fast.net.reconnect();
    }
    fast.finish();
}

#[test]
fn a_peer_invalidates_only_what_is_registered_fast_in_the_domain_it_is_connected_to() {
    let mut fast = Fast::new();
    let conventional = fast.net.there.registered(&fast.memory, NDK_MR_FLAG_ALLOW_REMOTE_WRITE);
    let other = fast.net.b.pd();
    let (elsewhere, owner) = connect(&fast.net.here, &other);
    fast.register(all());
    let tokens = [
        ("a conventional region", conventional.remote(), &fast.net.qp, &fast.net.peer),
        ("another domain's", fast.mr.remote(), &elsewhere, &owner),
    ];
    for (what, token, qp, peer) in tokens {
        peer.receive(1, &[]).unwrap();
        qp.send(2, &[], Some(token)).unwrap();
        assert_eq!(qp.outcome(), Err(ErrorKind::AccessViolation), "{what}");
        let received = peer.next();
        assert_eq!(received.result, Err(ErrorKind::AccessViolation), "{what}");
        assert_eq!(received.invalidated, None, "{what}");
    }
    elsewhere.close();
    owner.close();
    other.close();
    fast.net.reconnect();
    assert_ne!(fast.mr.local_value(), fast.mr.remote_value());
    for (what, token) in [
        ("nobody's", !fast.mr.remote_value()),
        ("E3: the owner's own, which a peer has no use for", fast.mr.local_value()),
    ] {
        let token = RemoteToken::new(token).unwrap();
        fast.net.peer.receive(1, &[]).unwrap();
        fast.net.qp.send(2, &[], Some(token)).unwrap();
        assert_eq!(fast.net.qp.outcome(), Err(ErrorKind::AccessViolation), "{what}");
        fast.net.reconnect();
    }
    assert_eq!(fast.write(0, 10), Ok(10), "still registered");
    conventional.close();
    fast.finish();
}

#[test]
fn g6_g10_a_flush_leaves_a_registration_that_can_be_initialised_again() {
    let mut fast = Fast::new();
    fast.net.peer.flush();
    fast.post(all()).unwrap();
    assert_eq!(fast.net.peer.outcome(), Err(ErrorKind::Cancelled));
    fast.net.reconnect();
    assert_eq!(fast.post(all()).unwrap_err().rule_id(), "G10");
    assert_eq!(fast.mr.initialise(3, true), STATUS_SUCCESS);
    fast.register(all());
    // F6: a flushed invalidation leaves the token live, until the region is initialised again.
    fast.net.peer.flush();
    fast.net.peer.invalidate(&fast.mr).unwrap();
    assert_eq!(fast.net.peer.outcome(), Err(ErrorKind::Cancelled));
    fast.net.reconnect();
    assert_eq!(fast.write(0, 10), Ok(10), "F6: still live");
    let old = fast.mr.remote();
    assert_eq!(fast.mr.initialise(3, true), STATUS_SUCCESS);
    let from = sge(fast.source.1.local(), fast.source.0.base(), 1);
    let refused = fast.net.qp.write_through(from, old, fast.base());
    assert_eq!(refused, Err(ErrorKind::AccessViolation), "the initialisation made it dead");
    fast.net.reconnect();
    fast.register(all());
    assert_eq!(fast.write(0, 1), Ok(1));
    fast.finish();
}

#[test]
fn l2_a_page_outside_of_every_mapping_is_refused_when_posted() {
    let mut fast = Fast::new();
    let lam = fast.lam.as_ref().unwrap();
    let beyond = lam.pages[2] + 4096;
    for pages in [
        vec![beyond],
        vec![lam.pages[0], lam.pages[1], beyond],
        vec![0],
        vec![fast.memory.base() & !4095],
    ] {
        let memory = ndk_core::FastMemory { pages: &pages, first_byte: 0, length: 1, base: PAGE };
        let error = fast.net.peer.fast_register(&fast.mr, memory, all()).unwrap_err();
        assert_eq!((error.kind(), error.rule_id()), (ErrorKind::InvalidParameter, "L2"));
    }
    // L4: a released mapping is unknown to new requests, and what was registered through it lives on.
    fast.register(all());
    let lam = fast.lam.take().unwrap();
    let pages = lam.pages.clone();
    let base = PAGE + u64::from(lam.first_byte);
    fast.net.b.release(lam);
    let from = sge(fast.source.1.local(), fast.source.0.base(), 8000);
    assert_eq!(fast.net.qp.write_through(from, fast.mr.remote(), base), Ok(8000), "L4");
    fast.invalidate();
    let memory = ndk_core::FastMemory { pages: &pages, first_byte: 0, length: 1, base: PAGE };
    let error = fast.net.peer.fast_register(&fast.mr, memory, all()).unwrap_err();
    assert_eq!(error.rule_id(), "L2");
    fast.finish();
}

#[test]
fn l3_l5_elements_with_the_privileged_token_reach_whole_pages_of_one_mapping() {
    let fast = Fast::new();
    let (here, lam) = (Memory::scattered(LENGTH), fast.lam.as_ref().unwrap());
    let sent = here.fill(0x43);
    let own = fast.net.a.map(&here);
    let token = privileged(fast.net.here.privileged_token());
    fast.register(all());
    let list = [sge(token, own.address(10), 5000), sge(token, own.address(0), 10)];
    let remote = RemoteAddress { address: fast.base(), token: fast.mr.remote() };
    fast.net.qp.write(1, &list, remote).unwrap();
    assert_eq!(fast.net.qp.outcome(), Ok(5010));
    assert!(fast.memory.bytes()[..5010] == [&sent[10..5010], &sent[..10]].concat());
    // As a sink too, of a read and of a receive, and up to the edges of the pages.
    let read = fast.net.qp.read_through(sge(token, own.pages[0], 1), fast.mr.remote(), fast.base());
    assert_eq!(read, Ok(1));
    assert!(!here.surroundings_are(0x43), "L3: page-granular");
    let message = sge(token, own.address(0), 100);
    let into = privileged(fast.net.there.privileged_token());
    fast.net.peer.receive(3, &[sge(into, lam.address(200), 100)]).unwrap();
    fast.net.qp.send(4, &[message], None).unwrap();
    assert_eq!((fast.net.qp.outcome(), fast.net.peer.outcome()), (Ok(100), Ok(100)));
    assert_eq!(fast.memory.bytes()[200..300], sent[..100]);
    // L2: not wholly inside, or not a logical address of this adapter.
    for (address, length) in [
        (own.pages[2] + 4095, 2),
        (own.pages[0] - 1, 1),
        (own.pages[2] + 4096, 0),
        (here.base(), 1),
        (own.pages[0], u32::MAX >> 3),
    ] {
        let refused = fast.net.qp.write(5, &[message, sge(token, address, length)], remote);
        assert_eq!(refused.unwrap_err().rule_id(), "L2", "{address:#x} {length}");
    }
    assert!(!fast.net.qp.is_broken(), "L2: nothing was posted");
    fast.net.a.release(own);
    fast.finish();
}

#[test]
fn g6_nothing_is_posted_before_the_connection() {
    let fast = Fast::new();
    let idle = super::common::Qp::new(&fast.net.there);
    let lam = fast.lam.as_ref().unwrap();
    let error = idle.fast_register(&fast.mr, lam.memory(PAGE), all()).unwrap_err();
    assert_eq!((error.kind(), error.rule_id()), (ErrorKind::ConnectionInvalid, "G6"));
    fast.register(all());
    let error = idle.invalidate(&fast.mr).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionInvalid);
    assert_eq!(fast.write(0, 1), Ok(1), "still registered");
    fast.invalidate();
    idle.close();
    fast.finish();
}

#[test]
fn g5_remote_rights_need_an_initialisation_with_remote_access() {
    let net = Net::new();
    let memory = Memory::new(100);
    let (lam, mr) = (net.b.map(&memory), net.there.fast_mr(1, false));
    for access in [Access::REMOTE_READ, Access::REMOTE_WRITE] {
        let error = net.peer.fast_register(&mr, lam.memory(PAGE), access).unwrap_err();
        assert_eq!((error.kind(), error.rule_id()), (ErrorKind::AccessViolation, "G5"));
    }
    net.peer.fast_register(&mr, lam.memory(PAGE), Access::LOCAL_WRITE).unwrap();
    assert_eq!(net.peer.outcome(), Ok(0));
    assert_eq!(mr.remote_value(), 0, "E1");
    let token = RemoteToken::new(mr.local_value()).unwrap();
    net.qp.read(1, &[], RemoteAddress { address: 0, token }).unwrap();
    assert_eq!(net.qp.outcome(), Err(ErrorKind::AccessViolation), "E3: not even no bytes");
    mr.close();
    net.b.release(lam);
    net.finish([]);
}

/// The two ends need not be two adapters' for this.
#[test]
fn the_same_pages_are_registered_fast_and_conventionally_with_rights_of_their_own() {
    let (a, b) = Host::pair(&ndk_backend_sim::Profile::default());
    let pd = a.pd();
    let qp = super::common::loopback(&pd);
    let memory = Memory::scattered(LENGTH);
    let bytes = memory.fill(0x44);
    let (lam, fast) = (a.map(&memory), pd.fast_mr(3, true));
    let plain = pd.registered(&memory, NDK_MR_FLAG_ALLOW_REMOTE_READ);
    qp.fast_register(&fast, lam.memory(PAGE), Access::REMOTE_WRITE).unwrap();
    assert_eq!(qp.outcome(), Ok(0));
    // C13: from the first half to the second, through one name each.
    let from = sge(plain.local(), memory.base(), 4000);
    let base = PAGE + u64::from(lam.first_byte);
    assert_eq!(qp.write_through(from, fast.remote(), base + 4500), Ok(4000));
    assert_eq!(memory.bytes()[4500..8500], bytes[..4000]);
    assert_eq!(
        qp.write_through(from, plain.remote(), memory.base()),
        Err(ErrorKind::AccessViolation)
    );
    qp.close();
    fast.close();
    a.release(lam);
    plain.close();
    pd.close();
    a.close();
    b.close();
}
