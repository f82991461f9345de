//! Accesses that are refused: with which status, what of the bytes, and what it does to the connection (F1 to F6).

use super::common::{Memory, Mr, Net, privileged, sge};
use super::{BOTH, LOCAL, READ, SINK, WRITE, Way};
use ndk_backend_sim::Miss;
use ndk_core::abi::*;
use ndk_core::{ErrorKind, LocalToken, RemoteAddress, RemoteToken};

const LENGTH: usize = 6000;

/// A region at each end, on a connection of their own.
struct Bench {
    net: Net,
    local: (Memory, Mr),
    remote: (Memory, Mr),
    before: (Vec<u8>, Vec<u8>),
}

impl Bench {
    fn new(local: ULONG, remote: ULONG) -> Self {
        let net = Net::new();
        let memory = || Memory::scattered(LENGTH);
        let (here, there) = (memory(), memory());
        let before = (here.fill(0x31), there.fill(0x32));
        let (a, b) = (net.here.registered(&here, local), net.there.registered(&there, remote));
        Self { net, local: (here, a), remote: (there, b), before }
    }

    fn base(&self) -> u64 {
        self.remote.0.base()
    }

    fn token(&self) -> RemoteToken {
        self.remote.1.remote()
    }

    /// Posts an access of `length` bytes to a remote address.
    fn post(&self, way: Way, (address, length): (u64, u32), token: RemoteToken) {
        let local = sge(self.local.1.local(), self.local.0.base(), length);
        self.post_from(way, &[local], RemoteAddress { address, token });
    }

    fn post_from(&self, way: Way, local: &[ndk_core::Sge], remote: RemoteAddress) {
        let qp = &self.net.qp;
        let posted = match way {
            Way::Write => qp.write(1, local, remote),
            Way::Read => qp.read(1, local, remote),
        };
        posted.expect("posted");
    }

    /// The access was refused for `cause`, at the peer or here, and has moved nothing and broken both ends (F6).
    fn refused(self, what: &str, cause: Miss, at_peer: bool) {
        assert_eq!(self.net.qp.outcome(), Err(ErrorKind::AccessViolation), "{what}");
        let counters = [self.net.b.sim().counters(), self.net.a.sim().counters()];
        let [there, here] = counters.map(|snapshot| snapshot.misses(cause));
        assert_eq!((there, here), if at_peer { (1, 0) } else { (0, 1) }, "{what}: {cause:?}");
        self.untouched(what);
        assert!(self.net.qp.is_broken() && self.net.peer.is_broken(), "F6: {what}");
        self.finish();
    }

    fn untouched(&self, what: &str) {
        assert!(self.local.0.bytes() == self.before.0, "{what}: bytes here changed");
        assert!(self.remote.0.bytes() == self.before.1, "{what}: bytes there changed");
        let around = self.local.0.surroundings_are(0x31) && self.remote.0.surroundings_are(0x32);
        assert!(around, "{what}: bytes around a region changed");
    }

    fn finish(self) {
        self.net.finish([self.local.1, self.remote.1]);
    }
}

#[test]
fn f1_f2_no_access_leaves_the_region() {
    for way in BOTH {
        for (offset, length) in [
            (-1, 1),
            (-1, 2),
            (0, LENGTH as u32 + 1),
            (LENGTH as i64, 1),
            (LENGTH as i64 - 1, 2),
            (1, LENGTH as u32),
            (-4096, 4096),
            (4096, LENGTH as u32),
            (1 << 40, 1),
        ] {
            let bench = Bench::new(LOCAL, READ | WRITE);
            let address = bench.base().wrapping_add_signed(offset);
            // Longer than the region here too: two regions, so that the fault is the remote one's alone.
            let half = length / 2;
            let (token, base) = (bench.local.1.local(), bench.local.0.base());
            let list = [sge(token, base, half), sge(token, base, length - half)];
            bench.post_from(way, &list, RemoteAddress { address, token: bench.token() });
            bench.refused(&format!("{way:?} at {offset:+} of {length}"), Miss::Bounds, true);
        }
        for address in [u64::MAX, u64::MAX - 10, 0] {
            let bench = Bench::new(LOCAL, READ | WRITE);
            bench.post(way, (address, 1 + (u64::MAX - address).min(20) as u32), bench.token());
            bench.refused(&format!("F2: {way:?} at {address:#x}"), Miss::Bounds, true);
        }
    }
}

#[test]
fn f1_the_first_and_the_last_byte_are_inside() {
    for way in BOTH {
        let bench = Bench::new(LOCAL, READ | WRITE);
        for (at, length) in [(0, 1), (LENGTH - 1, 1), (0, LENGTH), (1, LENGTH - 1)] {
            bench.post(way, (bench.base() + at as u64, length as u32), bench.token());
            assert_eq!(bench.net.qp.outcome(), Ok(length as u32), "{way:?} at {at} of {length}");
        }
        bench.finish();
    }
}

#[test]
fn f4_every_right_that_is_needed_must_be_there() {
    for flags in [0, LOCAL, SINK, READ, WRITE, READ | LOCAL, READ | WRITE, WRITE | SINK] {
        for way in BOTH {
            let bench = Bench::new(LOCAL, flags);
            let needed = if way == Way::Write { WRITE } else { READ };
            let token = bench.remote.1.tried();
            let remote = flags & (READ | WRITE & !LOCAL) != 0;
            assert_eq!(bench.remote.1.remote_value() != 0, remote, "E1, E3: {flags:#x}");
            bench.post(way, (bench.base(), 100), token);
            if flags & needed == needed {
                assert_eq!(bench.net.qp.outcome(), Ok(100), "{way:?} with {flags:#x}");
                bench.finish();
            } else {
                bench.refused(&format!("{way:?} with {flags:#x}"), Miss::Rights, true);
            }
        }
    }
}

#[test]
fn f4_the_source_needs_any_token_and_a_sink_the_right_to_be_written() {
    for flags in [0, LOCAL, SINK, READ, WRITE] {
        let bench = Bench::new(flags, READ | WRITE);
        bench.post(Way::Write, (bench.base(), 100), bench.token());
        assert_eq!(bench.net.qp.outcome(), Ok(100), "a source with {flags:#x}");
        bench.finish();
        let bench = Bench::new(flags, READ | WRITE);
        bench.post(Way::Read, (bench.base(), 100), bench.token());
        if flags & (LOCAL | SINK) != 0 {
            assert_eq!(bench.net.qp.outcome(), Ok(100), "the sink of a read with {flags:#x}");
            bench.finish();
        } else {
            bench.refused(&format!("the sink of a read with {flags:#x}"), Miss::Rights, false);
        }
    }
    for flags in [0, LOCAL, SINK, READ, WRITE] {
        let bench = Bench::new(LOCAL, flags);
        let into = sge(LocalToken::new(bench.remote.1.local_value()).unwrap(), bench.base(), 50);
        bench.net.peer.receive(7, &[into]).unwrap();
        let from = sge(bench.local.1.local(), bench.local.0.base(), 50);
        bench.net.qp.send(8, &[from], None).unwrap();
        let expected = if flags & LOCAL != 0 { Ok(50) } else { Err(ErrorKind::AccessViolation) };
        assert_eq!(bench.net.qp.outcome(), expected, "the sink of a receive with {flags:#x}");
        assert_eq!(bench.net.peer.outcome(), expected, "the sink of a receive with {flags:#x}");
        if expected.is_err() {
            bench.untouched("the sink of a receive");
            assert!(bench.net.qp.is_broken() && bench.net.peer.is_broken(), "F6");
        }
        bench.finish();
    }
}

#[test]
fn f1_local_elements_are_checked_before_any_byte_moves() {
    for way in BOTH {
        let bench = Bench::new(LOCAL, READ | WRITE);
        let (token, base) = (bench.local.1.local(), bench.local.0.base());
        let remote = RemoteAddress { address: bench.base(), token: bench.token() };
        // The last of three is refused: the first two moved nothing.
        let list = [sge(token, base, 10), sge(token, base + 20, 10), sge(token, base - 1, 10)];
        bench.post_from(way, &list, remote);
        bench.refused("an element out of bounds here", Miss::Bounds, false);
    }
}

#[test]
fn f3_no_bytes_with_a_live_token_are_a_success_wherever_they_are() {
    for way in BOTH {
        let bench = Bench::new(LOCAL, READ | WRITE);
        for address in [bench.base(), bench.base() + LENGTH as u64, 0, u64::MAX] {
            bench.post(way, (address, 0), bench.token());
            assert_eq!(bench.net.qp.outcome(), Ok(0), "{way:?} of nothing at {address:#x}");
            bench.post_from(way, &[], RemoteAddress { address, token: bench.token() });
            assert_eq!(bench.net.qp.outcome(), Ok(0), "{way:?} of no elements at {address:#x}");
        }
        bench.untouched("nothing");
        let dead = RemoteToken::new(bench.token().get() ^ 0x5555).unwrap();
        bench.post(way, (bench.base(), 0), dead);
        bench.refused("no bytes with a token that nobody has", Miss::Unknown, true);
    }
}

#[test]
fn f5_tokens_of_another_domain_are_refused_at_both_ends() {
    for way in BOTH {
        let bench = Bench::new(LOCAL, READ | WRITE);
        let other = bench.net.b.pd();
        let foreign = other.registered(&bench.remote.0, READ | WRITE);
        bench.post(way, (bench.base(), 10), foreign.remote());
        foreign.close();
        other.close();
        bench.refused("a remote token of another domain", Miss::OtherDomain, true);

        let bench = Bench::new(LOCAL, READ | WRITE);
        let other = bench.net.a.pd();
        let foreign = other.registered(&bench.local.0, LOCAL);
        let remote = RemoteAddress { address: bench.base(), token: bench.token() };
        bench.post_from(way, &[sge(foreign.local(), bench.local.0.base(), 10)], remote);
        foreign.close();
        other.close();
        bench.refused("a local token of another domain", Miss::OtherDomain, false);
    }
}

#[test]
fn d4_stale_tokens_reach_neither_the_old_memory_nor_the_new() {
    for way in BOTH {
        let bench = Bench::new(LOCAL, READ | WRITE);
        let stale = bench.token();
        assert_eq!(bench.remote.1.deregister(), STATUS_SUCCESS);
        assert_eq!(bench.remote.1.register(&bench.remote.0, READ | WRITE), STATUS_SUCCESS);
        assert_ne!(bench.token(), stale);
        bench.post(way, (bench.base(), 10), stale);
        bench.refused("a stale remote token", Miss::Retired, true);

        let bench = Bench::new(LOCAL, READ | WRITE);
        let stale = bench.local.1.local();
        assert_eq!(bench.local.1.deregister(), STATUS_SUCCESS);
        let remote = RemoteAddress { address: bench.base(), token: bench.token() };
        bench.post_from(way, &[sge(stale, bench.local.0.base(), 10)], remote);
        bench.refused("a stale local token", Miss::Retired, false);
    }
}

#[test]
fn e6_l5_the_privileged_token_gives_a_peer_nothing() {
    for way in BOTH {
        for length in [10, 0] {
            let bench = Bench::new(LOCAL, READ | WRITE);
            let lam = bench.net.b.map(&bench.remote.0);
            let token = RemoteToken::new(bench.net.there.privileged_token()).unwrap();
            bench.post(way, (lam.address(0), length), token);
            bench.net.b.release(lam);
            bench.refused("the peer's privileged token", Miss::Rights, true);
        }
        // Another domain's, here, where its own would do.
        let bench = Bench::new(LOCAL, READ | WRITE);
        let (other, lam) = (bench.net.a.pd(), bench.net.a.map(&bench.local.0));
        let foreign = privileged(other.privileged_token());
        let remote = RemoteAddress { address: bench.base(), token: bench.token() };
        bench.post_from(way, &[sge(foreign, lam.address(0), 10)], remote);
        bench.net.a.release(lam);
        other.close();
        bench.refused("another domain's privileged token", Miss::OtherDomain, false);
    }
    // Nor does a peer invalidate it.
    let bench = Bench::new(LOCAL, READ | WRITE);
    let token = RemoteToken::new(bench.net.there.privileged_token()).unwrap();
    bench.net.peer.receive(1, &[]).unwrap();
    bench.net.qp.send(2, &[], Some(token)).unwrap();
    assert_eq!(bench.net.qp.outcome(), Err(ErrorKind::AccessViolation));
    bench.finish();
}

#[test]
fn f6_what_is_posted_after_a_refusal_is_cancelled_at_both_ends_and_a_new_connection_works() {
    let mut bench = Bench::new(LOCAL, READ | WRITE);
    let (token, base) = (bench.local.1.local(), bench.local.0.base());
    for context in 10..13 {
        bench.net.qp.receive(context, &[sge(token, base, 10)]).unwrap();
        bench.net.peer.receive(context, &[]).unwrap();
    }
    bench.post(Way::Write, (bench.base() - 1, 10), bench.token());
    let refusal = loop {
        let completion = bench.net.qp.next();
        match completion.id.context {
            1 => break completion,
            _ => assert_eq!(completion.result, Err(ErrorKind::Cancelled)),
        }
    };
    assert_eq!((refusal.result, refusal.bytes), (Err(ErrorKind::AccessViolation), 0));
    while let Some(completion) = bench.net.qp.poll() {
        assert_eq!(completion.result, Err(ErrorKind::Cancelled));
    }
    for context in 10..13 {
        let completion = bench.net.peer.next();
        assert_eq!(
            (completion.id.context, completion.result),
            (context, Err(ErrorKind::Cancelled))
        );
    }
    let remote = RemoteAddress { address: bench.base(), token: bench.token() };
    for way in BOTH {
        bench.post_from(way, &[sge(token, base, 10)], remote);
        assert_eq!(bench.net.qp.outcome(), Err(ErrorKind::Cancelled), "{way:?}");
    }
    bench.untouched("what was cancelled");
    bench.net.reconnect();
    bench.post(Way::Write, (bench.base(), 10), bench.token());
    assert_eq!(bench.net.qp.outcome(), Ok(10), "the regions outlive the connection");
    bench.finish();
}
