//! Memory windows: rights over a part of a region, for as long as they are bound (D2, H3).

use super::LOCAL;
use super::common::{Memory, Mr, Net, Window, sge, window};
use ndk_core::abi::*;
use ndk_core::{Access, ErrorKind, RemoteToken};

const LENGTH: usize = 12_000;

/// A region at the peer that gives nobody anything, a window of its domain, and memory here to reach it from.
struct Bound {
    net: Net,
    memory: Memory,
    mr: Mr,
    window: Window,
    source: (Memory, Mr),
}

impl Bound {
    fn new() -> Self {
        let net = Net::new();
        let (memory, source) = (Memory::scattered(LENGTH), Memory::new(LENGTH));
        memory.fill(0x61);
        source.fill(0x62);
        let mr = net.there.registered(&memory, LOCAL);
        let region = net.here.registered(&source, LOCAL);
        let window = window(&net.there).unwrap();
        Self { net, memory, mr, window, source: (source, region) }
    }

    fn bind(&self, at: usize, length: u64, access: Access) -> Result<u32, ErrorKind> {
        let range = (self.memory.base() + at as u64, length);
        self.net.peer.bind(&self.mr, &self.window, range, access).expect("posted");
        self.net.peer.outcome()
    }

    fn token(&self) -> RemoteToken {
        self.window.remote_token().unwrap()
    }

    fn write(&self, at: usize, length: u32) -> Result<u32, ErrorKind> {
        let from = sge(self.source.1.local(), self.source.0.base(), length);
        self.net.qp.write_through(from, self.token(), self.memory.base() + at as u64)
    }

    fn invalidate(&self) -> Result<u32, ErrorKind> {
        self.net.peer.invalidate_window(5, &self.window).expect("posted");
        self.net.peer.outcome()
    }

    fn finish(self) {
        let pump = &self.net.a.pump;
        pump.block_on("the close of a window", self.window.close());
        self.net.finish([self.mr, self.source.1]);
    }
}

#[test]
fn a_window_reaches_its_part_of_the_region_and_no_byte_more() {
    let mut bound = Bound::new();
    let (at, length) = (4500, 4000);
    assert_eq!(bound.bind(at, length, Access::REMOTE_WRITE), Ok(0));
    assert_eq!(bound.write(at, length as u32), Ok(length as u32));
    let (bytes, sent) = (bound.memory.bytes(), bound.source.0.bytes());
    assert_eq!(bytes[at..at + 4000], sent[..4000]);
    let before = bytes;
    for (at, length) in [(at - 1, 1), (at + 4000, 1), (at, 4001), (0, 1)] {
        assert_eq!(bound.write(at, length), Err(ErrorKind::AccessViolation), "{at} {length}");
        bound.net.reconnect();
    }
    let into = sge(bound.source.1.local(), bound.source.0.base(), 10);
    let address = bound.memory.base() + at as u64;
    let read = bound.net.qp.read_through(into, bound.token(), address);
    assert_eq!(read, Err(ErrorKind::AccessViolation), "F4: the window's rights");
    assert!(bound.memory.bytes() == before);
    bound.finish();
}

#[test]
fn d2_a_bound_window_keeps_its_region_registered_until_it_is_gone() {
    let mut bound = Bound::new();
    assert_eq!(bound.bind(0, 100, Access::REMOTE_READ | Access::REMOTE_WRITE), Ok(0));
    assert_eq!(bound.mr.deregister(), STATUS_DEVICE_BUSY, "D2");
    assert_eq!(bound.write(0, 100), Ok(100), "D2: as before");
    assert_eq!(bound.invalidate(), Ok(0));
    assert_eq!(bound.write(0, 1), Err(ErrorKind::AccessViolation));
    bound.net.reconnect();
    let twice = bound.net.peer.invalidate_window(6, &bound.window).unwrap_err();
    assert_eq!((twice.kind(), twice.rule_id()), (ErrorKind::InvalidDeviceState, "G8"));
    assert_eq!(bound.mr.deregister(), STATUS_SUCCESS, "D2");
    assert_eq!(bound.mr.register(&bound.memory, LOCAL), STATUS_SUCCESS);
    assert_eq!(bound.bind(7, 100, Access::REMOTE_WRITE), Ok(0), "a window is bound again");
    assert_eq!(bound.write(7, 100), Ok(100));
    bound.finish();
}

#[test]
fn d2_a_peer_ends_a_binding_by_send_and_invalidate() {
    let bound = Bound::new();
    assert_eq!(bound.bind(0, 100, Access::REMOTE_WRITE), Ok(0));
    bound.net.peer.receive(1, &[]).unwrap();
    bound.net.qp.send(2, &[], Some(bound.token())).unwrap();
    assert_eq!(bound.net.qp.outcome(), Ok(0));
    assert_eq!(bound.mr.deregister(), STATUS_DEVICE_BUSY, "D2: it counts from the completion on");
    let received = bound.net.peer.next();
    assert_eq!(received.invalidated, Some(bound.token()));
    assert_eq!(bound.mr.deregister(), STATUS_SUCCESS, "D2");
    assert_eq!(bound.net.b.sim().counters().live(), 0, "a window is no registration");
    assert_eq!(bound.mr.register(&bound.memory, LOCAL), STATUS_SUCCESS);
    bound.finish();
}

#[test]
fn h3_close_of_a_region_waits_for_its_window() {
    for by_close in [false, true] {
        let bound = Bound::new();
        assert_eq!(bound.bind(0, 100, Access::REMOTE_WRITE), Ok(0));
        let Bound { net, memory, mr, window, source } = bound;
        let closing = mr.begin_close();
        assert_eq!(closing.inline, STATUS_PENDING);
        while net.a.pump.turn() {}
        assert!(!closing.is_over(), "H3: the window is still there");
        let from = sge(source.1.local(), source.0.base(), 100);
        let token = window.remote_token().unwrap();
        assert_eq!(net.qp.write_through(from, token, memory.base()), Ok(100), "and works");
        if !by_close {
            net.peer.invalidate_window(1, &window).unwrap();
            assert_eq!(net.peer.outcome(), Ok(0));
            assert_eq!(closing.finish(&net.a.pump), STATUS_SUCCESS);
            net.a.pump.block_on("the close of a window", window.close());
        } else {
            net.a.pump.block_on("the close of a window", window.close());
            assert_eq!(closing.finish(&net.a.pump), STATUS_SUCCESS);
        }
        let refused = net.qp.write_through(from, token, memory.base());
        assert_eq!(refused, Err(ErrorKind::AccessViolation));
        net.finish([source.1]);
    }
}

#[test]
fn a_window_is_refused_what_its_region_is_not() {
    for (at, length) in [(0, LENGTH as u64 + 1), (LENGTH, 1), (LENGTH - 1, 2)] {
        let bound = Bound::new();
        let outcome = bound.bind(at, length, Access::REMOTE_WRITE);
        assert_eq!(outcome, Err(ErrorKind::AccessViolation), "{at} {length}");
        assert!(bound.net.qp.is_broken() && bound.net.peer.is_broken(), "F6");
        assert_eq!(bound.mr.deregister(), STATUS_SUCCESS, "a bind that was refused binds nothing");
        bound.finish();
    }
    let mut bound = Bound::new();
    let readable = bound.net.there.registered(&bound.memory, 0);
    let range = (bound.memory.base(), 10);
    bound.net.peer.bind(&readable, &bound.window, range, Access::REMOTE_WRITE).unwrap();
    let outcome = bound.net.peer.outcome();
    assert_eq!(outcome, Err(ErrorKind::AccessViolation), "no write to what is not writable here");
    bound.net.reconnect();
    bound.net.peer.bind(&readable, &bound.window, range, Access::REMOTE_READ).unwrap();
    assert_eq!(bound.net.peer.outcome(), Ok(0));
    let again = bound.net.peer.bind(&bound.mr, &bound.window, range, Access::REMOTE_READ);
    assert_eq!(again.unwrap_err().kind(), ErrorKind::InvalidDeviceState, "bound already");
    assert_eq!(bound.invalidate(), Ok(0));
    readable.close();
    let empty = bound.net.peer.bind(&bound.mr, &bound.window, (range.0, 0), Access::REMOTE_READ);
    assert_eq!(empty.unwrap_err().kind(), ErrorKind::InvalidParameter);
    let fresh = bound.net.there.mr();
    let unregistered = bound.net.peer.bind(&fresh, &bound.window, range, Access::REMOTE_READ);
    assert_eq!(unregistered.unwrap_err().kind(), ErrorKind::InvalidDeviceState);
    fresh.close();
    bound.finish();
}

#[test]
fn several_windows_over_one_region_end_one_by_one() {
    let bound = Bound::new();
    let more: Vec<_> = (0..4).map(|_| window(&bound.net.there).unwrap()).collect();
    for (index, window) in more.iter().enumerate() {
        let range = (bound.memory.base() + 1000 * index as u64, 1500);
        bound.net.peer.bind(&bound.mr, window, range, Access::REMOTE_WRITE).unwrap();
        assert_eq!(bound.net.peer.outcome(), Ok(0));
    }
    let from = sge(bound.source.1.local(), bound.source.0.base(), 1500);
    for (index, window) in more.into_iter().enumerate() {
        assert_eq!(bound.mr.deregister(), STATUS_DEVICE_BUSY);
        let (token, at) =
            (window.remote_token().unwrap(), bound.memory.base() + 1000 * index as u64);
        assert_eq!(bound.net.qp.write_through(from, token, at), Ok(1500));
        // Dropped rather than closed: that happens in the executor.
        drop(window);
        bound.net.a.pump.run_ready();
    }
    assert_eq!(bound.mr.deregister(), STATUS_SUCCESS);
    bound.finish();
}
