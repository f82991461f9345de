//! The declared shapes of other devices, seen in what their data path does (K1, K2).

use super::common::{Memory, Mr, Net, Qp, Shape, connect, loopback, sge, window};
use super::{LOCAL, READ, SINK, WRITE};
use ndk_backend_sim::Profile;
use ndk_core::abi::*;
use ndk_core::{Access, ErrorKind, Refusal, RemoteToken};

const PAGE: u64 = 0x5000_0000_0000;

fn every_profile() -> impl Iterator<Item = Profile> {
    Profile::names().map(|name| Profile::by_name(name).unwrap())
}

/// A region at each end, over memory as it lies: every device registers that.
struct Plain {
    net: Net,
    here: (Memory, Mr),
    there: (Memory, Mr),
}

impl Plain {
    fn new(profile: &Profile, local: ULONG, remote: ULONG) -> Self {
        let net = Net::of(profile);
        let (here, there) = (Memory::new(8000), Memory::new(8000));
        here.fill(0x71);
        there.fill(0x72);
        let (a, b) = (net.here.registered(&here, local), net.there.registered(&there, remote));
        Self { net, here: (here, a), there: (there, b) }
    }

    fn from(&self, length: u32) -> ndk_core::Sge {
        sge(self.here.1.local(), self.here.0.base(), length)
    }

    fn address(&self, at: i64) -> u64 {
        self.there.0.base().wrapping_add_signed(at)
    }

    /// The key at the peer, whatever rights it stands for.
    fn key(&self) -> RemoteToken {
        self.there.1.tried()
    }

    fn finish(self) {
        self.net.finish([self.here.1, self.there.1]);
    }
}

#[test]
fn every_device_moves_bytes_with_all_the_rights() {
    for profile in every_profile() {
        let plain = Plain::new(&profile, LOCAL | SINK, READ | WRITE);
        let token = plain.there.1.remote();
        assert_eq!(plain.net.qp.write_through(plain.from(5000), token, plain.address(1)), Ok(5000));
        assert_eq!(plain.there.0.bytes()[1..5001], plain.here.0.bytes()[..5000]);
        let read = plain.net.qp.read_through(plain.from(3000), token, plain.address(5000));
        assert_eq!(read, Ok(3000), "{}", profile.name());
        assert_eq!(plain.here.0.bytes()[..3000], plain.there.0.bytes()[5000..]);
        plain.finish();
    }
}

#[test]
fn k1_how_a_refused_write_reaches_its_initiator() {
    for profile in every_profile() {
        let plain = Plain::new(&profile, LOCAL, READ | WRITE);
        let (qp, name) = (&plain.net.qp, profile.name());
        let before = plain.there.0.bytes();
        let outcome =
            qp.write_through(plain.from(4000), plain.there.1.remote(), plain.address(7000));
        let (status, partial) = match name {
            "siw" | "iwarp" => (Ok(4000), true),
            _ => (Err(ErrorKind::AccessViolation), false),
        };
        assert_eq!(outcome, status, "{name}");
        assert!(qp.is_broken() && plain.net.peer.is_broken(), "F6: {name}");
        let after = plain.there.0.bytes();
        assert_eq!(after[..7000], before[..7000], "F1: {name}");
        let written = after[7000..] == plain.here.0.bytes()[..1000];
        assert_eq!(written, partial, "F1, K1: partial writes of {name}");
        assert!(written || after == before);
        assert!(plain.there.0.surroundings_are(0x72), "F1: {name}");
        let refusal = plain.net.b.sim().counters();
        assert_eq!(refusal.misses(ndk_backend_sim::Miss::Bounds), 1, "{name}");
        assert_eq!(refusal.bytes_written, if partial { 1000 } else { 0 }, "{name}");
        plain.finish();
    }
}

#[test]
fn k1_a_refused_read_is_heard_of_everywhere() {
    for profile in every_profile() {
        let plain = Plain::new(&profile, LOCAL | SINK, READ);
        let before = plain.here.0.bytes();
        let token = plain.there.1.remote();
        let outcome = plain.net.qp.read_through(plain.from(10), token, plain.address(7991));
        // Where it is heard of by the loss of the connection, the read is flushed.
        let status = match profile.capabilities().refusal {
            Refusal::Completion => ErrorKind::AccessViolation,
            Refusal::ConnectionLoss => ErrorKind::Cancelled,
        };
        assert_eq!(outcome, Err(status), "{}", profile.name());
        assert!(plain.net.qp.is_broken() && plain.net.peer.is_broken(), "F6: {}", profile.name());
        assert_eq!(plain.here.0.bytes(), before);
        plain.finish();
    }
}

#[test]
fn k1_whether_a_read_needs_its_right_and_a_sink_its_flag() {
    for profile in every_profile() {
        let name = profile.name();
        let enforced = profile.capabilities().remote_read_enforced;
        assert_eq!(enforced, name != "siw");
        let plain = Plain::new(&profile, LOCAL | SINK, WRITE);
        let read = plain.net.qp.read_through(plain.from(10), plain.key(), plain.address(0));
        assert_eq!(read.is_ok(), !enforced, "{name}");
        plain.finish();
        // F4: LOCAL_WRITE alone is enough only where the adapter says that the flag is not required.
        let flags = profile.info().AdapterFlags;
        let needs_flag = flags & NDK_ADAPTER_FLAG_RDMA_READ_SINK_NOT_REQUIRED == 0;
        let plain = Plain::new(&profile, LOCAL, READ);
        let token = plain.there.1.remote();
        let read = plain.net.qp.read_through(plain.from(10), token, plain.address(0));
        assert_eq!(read.is_err(), needs_flag, "{name}");
        assert_eq!(needs_flag, name == "iwarp");
        plain.finish();
        // C10: elsewhere the flag gives a peer the right to write.
        let plain = Plain::new(&profile, LOCAL, SINK);
        let write = plain.net.qp.write_through(plain.from(10), plain.key(), plain.address(0));
        let allowed = plain.there.0.bytes()[..10] == plain.here.0.bytes()[..10];
        assert_eq!(allowed, profile.capabilities().read_sink_grants_write, "{name}: {write:?}");
        plain.finish();
    }
}

/// What was seen of the drivers, or is published, and nothing else in this crate would notice.
#[test]
fn k1_the_declared_shapes_are_those_that_were_seen() {
    let shape = |profile: &Profile| {
        let capabilities = profile.capabilities();
        let in_order = profile.info().AdapterFlags & NDK_ADAPTER_FLAG_IN_ORDER_DMA_SUPPORTED != 0;
        let fast = capabilities.fast_registration.map(|fast| (fast.emulated, fast.rotating));
        (capabilities.shared_key, capabilities.windows, fast, in_order)
    };
    assert_eq!(shape(&Profile::connectx3()), (false, true, Some((false, false)), true));
    assert_eq!(shape(&Profile::rxe()), (true, true, Some((true, false)), true));
    assert_eq!(shape(&Profile::siw()), (true, false, None, true));
    assert_eq!(shape(&Profile::mlx5()), (true, true, Some((false, false)), false));
    assert_eq!(shape(&Profile::iwarp()), (true, true, Some((false, false)), false));
}

#[test]
fn k2_c2_what_a_device_cannot_express_is_not_supported_and_changes_nothing() {
    let order = vec![1, 0];
    let apart = Memory::shaped(8192, Shape { order, address: Some(0x9_0000), ..Shape::default() });
    for profile in every_profile() {
        let (net, name) = (Net::of(&profile), profile.name());
        let shape = profile.capabilities();
        let moved = Memory::shaped(100, Shape { address: Some(0x1_0000), ..Shape::default() });
        let mr = net.here.mr();
        let any = shape.base_address == ndk_core::BaseAddress::Any;
        let expected = |can: bool| if can { STATUS_SUCCESS } else { STATUS_NOT_SUPPORTED };
        assert_eq!(mr.register(&moved, WRITE), expected(any), "C2: {name}");
        assert_eq!(net.a.sim().counters().live(), u64::from(any), "{name}");
        if any {
            assert_eq!(mr.deregister(), STATUS_SUCCESS);
        }
        assert_eq!(
            mr.register(&apart, WRITE),
            expected(any && shape.scattered_pages),
            "K2: {name}"
        );
        if shape.scattered_pages {
            assert_eq!(mr.deregister(), STATUS_SUCCESS);
        }
        let whole = Memory::new(8192);
        assert_eq!(mr.register(&whole, WRITE), STATUS_SUCCESS, "{name}: as before");
        assert_eq!(mr.deregister(), STATUS_SUCCESS);
        let inside = Memory::shaped(8000, Shape { offset: 0x123, ..Shape::default() });
        assert_eq!(mr.register(&inside, WRITE), STATUS_SUCCESS, "{name}: from inside of a page");
        net.finish([mr]);
    }
}

/// As where a region is registered conventionally.
#[test]
fn k1_what_a_sinks_flag_gives_a_peer_by_a_fast_registration_without_remote_access() {
    for profile in every_profile() {
        let (name, shape) = (profile.name(), profile.capabilities());
        if shape.fast_registration.is_none() || !shape.shared_key {
            continue;
        }
        let net = Net::of(&profile);
        let (source, sink) = (Memory::new(100), Memory::new(100));
        let from = net.here.registered(&source, LOCAL);
        let (before, bytes) = (sink.fill(0x73), source.fill(0x74));
        let (lam, mr) = (net.b.map(&sink), net.there.fast_mr(1, false));
        net.peer.fast_register(&mr, lam.memory(PAGE), Access::READ_SINK).unwrap();
        assert_eq!(net.peer.outcome(), Ok(0));
        let key = RemoteToken::new(mr.local_value()).unwrap();
        let element = sge(from.local(), source.base(), 100);
        let written = net.qp.write_through(element, key, lam.memory(PAGE).base);
        let allowed = shape.read_sink_grants_write;
        assert_eq!(sink.bytes(), if allowed { bytes } else { before }, "{name}: {written:?}");
        mr.close();
        net.b.release(lam);
        net.finish([from]);
    }
}

#[test]
fn g11_the_scope_of_a_fast_registration_s_token() {
    for profile in every_profile() {
        let mut net = Net::of(&profile);
        let name = profile.name();
        let Some(fast) = profile.capabilities().fast_registration else {
            assert_eq!(net.there.try_mr(true).err(), Some(STATUS_NOT_SUPPORTED), "{name}");
            net.finish([]);
            continue;
        };
        let (source, sink) = (Memory::new(100), Memory::new(100));
        let from = net.here.registered(&source, LOCAL);
        let (lam, mr) = (net.b.map(&sink), net.there.fast_mr(1, true));
        let (other, other_peer) = connect(&net.here, &net.there);
        let register = |net: &Net| {
            let posted = net.peer.fast_register(&mr, lam.memory(PAGE), Access::REMOTE_WRITE);
            posted.unwrap();
            assert_eq!(net.peer.outcome(), Ok(0));
        };
        register(&net);
        let (element, base) = (sge(from.local(), source.base(), 100), lam.memory(PAGE).base);
        assert_eq!(net.qp.write_through(element, mr.remote(), base), Ok(100), "{name}");
        let elsewhere = other.write_through(element, mr.remote(), base);
        let domain = fast.scope == ndk_core::TokenScope::ProtectionDomain;
        assert_eq!(elsewhere.is_ok(), domain, "{name}");
        // In the next round it is the other one's.
        net.peer.invalidate(&mr).unwrap();
        assert_eq!(net.peer.outcome(), Ok(0));
        net.reconnect();
        register(&net);
        assert_eq!(net.qp.write_through(element, mr.remote(), base), Ok(100), "{name}");
        other.close();
        other_peer.close();
        mr.close();
        net.b.release(lam);
        net.finish([from]);
    }
}

#[test]
fn g11_a_peer_invalidates_where_the_token_works() {
    for profile in every_profile() {
        let name = profile.name();
        let Some(fast) = profile.capabilities().fast_registration else { continue };
        let net = Net::of(&profile);
        let (source, sink) = (Memory::new(100), Memory::new(100));
        let from = net.here.registered(&source, LOCAL);
        let (lam, mr) = (net.b.map(&sink), net.there.fast_mr(1, true));
        let (other, other_peer) = connect(&net.here, &net.there);
        net.peer.fast_register(&mr, lam.memory(PAGE), Access::REMOTE_WRITE).unwrap();
        assert_eq!(net.peer.outcome(), Ok(0));
        let token = mr.remote();
        let invalidate = |qp: &Qp, peer: &Qp| {
            peer.receive(1, &[]).unwrap();
            qp.send(2, &[], Some(token)).unwrap();
            let received = peer.next();
            (qp.outcome().is_ok(), received.result.is_ok(), received.invalidated)
        };
        let domain = fast.scope == ndk_core::TokenScope::ProtectionDomain;
        let elsewhere = invalidate(&other, &other_peer);
        assert_eq!(elsewhere, (domain, domain, domain.then_some(token)), "{name}");
        if !domain {
            let (element, base) = (sge(from.local(), source.base(), 100), lam.memory(PAGE).base);
            let written = net.qp.write_through(element, token, base);
            assert_eq!(written, Ok(100), "{name}: it is as before");
            assert_eq!(invalidate(&net.qp, &net.peer), (true, true, Some(token)), "{name}");
        }
        net.peer.fast_register(&mr, lam.memory(PAGE), Access::REMOTE_WRITE).unwrap();
        assert_eq!(net.peer.outcome(), Ok(0), "G7: {name}");
        other.close();
        other_peer.close();
        mr.close();
        net.b.release(lam);
        net.finish([from]);
    }
}

#[test]
fn g11_what_a_record_was_used_for_before_limits_nobody_later() {
    let net = Net::of(&Profile::rxe());
    let (source, sink) = (Memory::new(100), Memory::new(100));
    let from = net.here.registered(&source, LOCAL);
    let (lam, fast) = (net.b.map(&sink), net.there.fast_mr(1, true));
    net.peer.fast_register(&fast, lam.memory(PAGE), Access::REMOTE_WRITE).unwrap();
    assert_eq!(net.peer.outcome(), Ok(0));
    fast.close();
    net.b.release(lam);
    // The next region takes the place of the last one that was closed; it is no queue pair's own.
    let plain = net.there.registered(&sink, WRITE);
    let (other, other_peer) = connect(&net.here, &net.there);
    let element = sge(from.local(), source.base(), 100);
    let written = other.write_through(element, plain.remote(), sink.base());
    assert_eq!(written, Ok(100));
    other.close();
    other_peer.close();
    net.finish([plain, from]);
}

#[test]
fn k1_where_there_are_no_windows_none_is_made() {
    for profile in every_profile() {
        let net = Net::of(&profile);
        match window(&net.here) {
            Ok(window) => {
                assert!(profile.capabilities().windows);
                net.a.pump.block_on("the close of a window", window.close());
            }
            Err(error) => {
                assert!(!profile.capabilities().windows, "{}", profile.name());
                assert_eq!(error.kind(), ErrorKind::NotSupported);
            }
        }
        net.finish([]);
    }
}

#[test]
fn every_device_keeps_to_its_limits_of_elements_and_depth() {
    for profile in every_profile() {
        let net = Net::of(&profile);
        let (info, pd) = (profile.info(), &net.here);
        let qp = loopback(pd);
        let memory = Memory::new(100);
        let mr = pd.registered(&memory, LOCAL);
        let element = sge(mr.local(), memory.base(), 1);
        let of = |count: u32| vec![element; count as usize];
        let remote = ndk_core::RemoteAddress { address: 0, token: RemoteToken::new(7).unwrap() };
        let too_many = [
            qp.receive(1, &of(info.MaxReceiveRequestSge + 1)),
            qp.send(1, &of(info.MaxInitiatorRequestSge + 1), None),
            qp.write(1, &of(info.MaxInitiatorRequestSge + 1), remote),
            qp.read(1, &of(info.MaxReadRequestSge + 1), remote),
        ];
        for refused in too_many {
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidParameter);
        }
        qp.receive(2, &of(info.MaxReceiveRequestSge)).unwrap();
        qp.send(3, &of(info.MaxInitiatorRequestSge), None).unwrap();
        assert_eq!([qp.next().id.context, qp.next().id.context], [2, 3], "{}", profile.name());
        qp.close();
        net.finish([mr]);
    }
}
