//! Accesses without a queue pair: everything that holds for those of requests, and nothing of requests.

use super::{BOTH, LOCAL, READ, SINK, WRITE, Way};
use crate::common::{Host, Memory, Mr, Pd, Pump, Shape};
use ndk_backend_sim::{Config, Initiator, Miss, Profile};
use ndk_core::abi::*;
use ndk_core::{Error, ErrorKind, RemoteAddress, RemoteToken};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

const LENGTH: usize = 9000;

fn initiator(pd: &Pd) -> Initiator {
    // SAFETY: the domain is not closed.
    unsafe { pd.domain().provider() }.initiator().expect("an initiator")
}

/// A region whose pages lie anywhere, and who reaches it.
struct Desk {
    host: Host,
    pd: Pd,
    memory: Memory,
    mr: Mr,
    peer: Initiator,
    before: Vec<u8>,
}

impl Desk {
    fn new(flags: ULONG) -> Self {
        Self::of(Host::planned(""), Memory::scattered(LENGTH), flags)
    }

    fn of(host: Host, memory: Memory, flags: ULONG) -> Self {
        let pd = host.pd();
        let before = memory.fill(0x51);
        let (mr, peer) = (pd.registered(&memory, flags), initiator(&pd));
        Self { host, pd, memory, mr, peer, before }
    }

    fn remote(&self, at: i64) -> RemoteAddress {
        let address = self.memory.base().wrapping_add_signed(at);
        RemoteAddress { address, token: self.mr.tried() }
    }

    fn reach(&mut self, way: Way, remote: RemoteAddress, length: usize) -> Result<(), Error> {
        let mut bytes = vec![0xA7; length];
        let result = match way {
            Way::Write => self.peer.write(remote, &bytes),
            Way::Read => self.peer.read(remote, &mut bytes),
        };
        assert!(result.is_ok() || bytes.iter().all(|byte| *byte == 0xA7), "bytes were read");
        result
    }

    /// The access is refused by that rule, counted as that miss, and has moved nothing; the next one is carried out.
    fn refused(&mut self, way: Way, (remote, length): (RemoteAddress, usize), why: (Miss, &str)) {
        let what = format!("{way:?} of {length} at {remote:?}");
        let misses = |desk: &Self| desk.host.sim().counters().misses(why.0);
        let counted = misses(self);
        let error = self.reach(way, remote, length).unwrap_err();
        assert_eq!((error.kind(), error.rule_id()), (ErrorKind::AccessViolation, why.1), "{what}");
        assert_eq!(misses(self), counted + 1, "{what}");
        assert!(self.memory.bytes() == self.before && self.memory.surroundings_are(0x51), "{what}");
    }

    fn finish(self) {
        drop(self.peer);
        self.mr.close();
        self.pd.close();
        self.host.close();
    }
}

#[test]
fn bytes_go_both_ways_to_the_byte_through_any_page_list() {
    let mut desk = Desk::new(READ | WRITE);
    let lengths = [1, 8, 63, 64, 65, 300, 4095, 4096, 4097, 8999];
    for (round, length) in lengths.into_iter().enumerate() {
        for at in [0, 1, 900, LENGTH - length].into_iter().filter(|at| at + length <= LENGTH) {
            let bytes: Vec<u8> = (0..length).map(|n| (n * 7 + at + round) as u8).collect();
            let mut expected = desk.memory.bytes();
            expected[at..at + length].copy_from_slice(&bytes);
            desk.peer.write(desk.remote(at as i64), &bytes).expect("written");
            assert!(desk.memory.bytes() == expected, "{length} at {at}");
            let mut read = vec![0; length];
            desk.peer.read(desk.remote(at as i64), &mut read).expect("read");
            assert!(read == bytes, "{length} at {at}");
        }
    }
    assert!(desk.memory.surroundings_are(0x51));
    desk.finish();
}

#[test]
fn bytes_are_counted_and_no_completion_is() {
    let mut desk = Desk::new(READ | WRITE);
    desk.reach(Way::Write, desk.remote(0), 100).unwrap();
    desk.reach(Way::Read, desk.remote(0), 7000).unwrap();
    let counters = desk.host.sim().counters();
    assert_eq!((counters.bytes_written, counters.bytes_read), (100, 7000));
    assert_eq!(counters.completions_by_name().count(), 0);
    desk.finish();
}

#[test]
fn f1_f2_no_access_leaves_the_region() {
    let mut desk = Desk::new(READ | WRITE);
    let end = LENGTH as i64;
    for way in BOTH {
        for (at, length) in [(-1, 1), (-1, 2), (0, LENGTH + 1), (end, 1), (end - 1, 2), (1, LENGTH)]
        {
            let remote = desk.remote(at);
            desk.refused(way, (remote, length), (Miss::Bounds, "F1"));
        }
        for address in [0, u64::MAX, u64::MAX - 10] {
            let remote = RemoteAddress { address, ..desk.remote(0) };
            desk.refused(way, (remote, 20), (Miss::Bounds, "F1"));
        }
    }
    desk.reach(Way::Write, desk.remote(0), LENGTH).expect("F6: there is no connection to break");
    desk.finish();
}

#[test]
fn f3_no_bytes_with_a_live_token_are_a_success_wherever_they_are() {
    let mut desk = Desk::new(READ | WRITE);
    for way in BOTH {
        for address in [desk.memory.base(), 0, u64::MAX] {
            let remote = RemoteAddress { address, ..desk.remote(0) };
            desk.reach(way, remote, 0).expect("F3");
        }
        let dead = RemoteToken::new(desk.mr.remote_value() ^ 0x5555).unwrap();
        let remote = RemoteAddress { token: dead, ..desk.remote(0) };
        desk.refused(way, (remote, 0), (Miss::Unknown, "E1"));
    }
    desk.finish();
}

#[test]
fn f4_e3_every_right_that_is_needed_must_be_there() {
    for flags in [0, LOCAL, SINK, READ, WRITE, READ | LOCAL, READ | WRITE, WRITE | SINK] {
        for way in BOTH {
            let mut desk = Desk::new(flags);
            let needed = if way == Way::Write { WRITE } else { READ };
            let remote = desk.remote(0);
            if flags & needed == needed {
                desk.reach(way, remote, 100).expect("F4: the right is there");
            } else {
                desk.refused(way, (remote, 100), (Miss::Rights, "F4"));
            }
            desk.finish();
        }
    }
}

#[test]
fn e3_e6_local_tokens_and_the_privileged_one_give_a_peer_nothing() {
    let mut desk = Desk::new(READ | WRITE);
    for token in [desk.mr.local_value(), desk.pd.privileged_token()] {
        let token = RemoteToken::new(token).unwrap();
        for way in BOTH {
            let remote = RemoteAddress { token, ..desk.remote(0) };
            desk.refused(way, (remote, 10), (Miss::Rights, "F4"));
        }
    }
    desk.finish();
}

#[test]
fn f5_tokens_of_another_domain_are_refused() {
    let mut desk = Desk::new(READ | WRITE);
    let other = desk.host.pd();
    let foreign = other.registered(&desk.memory, READ | WRITE);
    for way in BOTH {
        let remote = RemoteAddress { token: foreign.remote(), ..desk.remote(0) };
        desk.refused(way, (remote, 10), (Miss::OtherDomain, "F5"));
    }
    foreign.close();
    other.close();
    desk.finish();
}

#[test]
fn d3_d4_a_token_is_dead_after_its_deregistration_and_reaches_no_later_registration() {
    let mut desk = Desk::new(READ | WRITE);
    for _ in 0..3 {
        let old = desk.remote(0);
        for way in BOTH {
            // Twice: the second finds the hazard of the first.
            desk.reach(way, old, 64).unwrap();
            desk.reach(way, old, 64).unwrap();
        }
        assert_eq!(desk.mr.deregister(), STATUS_SUCCESS);
        desk.before = desk.memory.fill(0x51);
        for way in BOTH {
            desk.refused(way, (old, 64), (Miss::Retired, "D4"));
        }
        assert_eq!(desk.mr.register(&desk.memory, READ | WRITE), STATUS_SUCCESS);
        for way in BOTH {
            desk.refused(way, (old, 64), (Miss::Retired, "D4"));
        }
    }
    desk.finish();
}

#[test]
fn k1_a_device_that_writes_in_part_does_so_up_to_the_bounds() {
    for profile in Profile::names().map(|name| Profile::by_name(name).unwrap()) {
        let name = profile.name();
        let host = Host::new(Config { profile, ..Config::default() }, &Pump::own());
        let memory = Memory::shaped(LENGTH, Shape::default());
        let mut desk = Desk::of(host, memory, READ | WRITE);
        let remote = desk.remote(LENGTH as i64 - 1000);
        let error = desk.reach(Way::Write, remote, 2000).unwrap_err();
        assert_eq!((error.kind(), error.rule_id()), (ErrorKind::AccessViolation, "F1"), "{name}");
        let (before, last) = desk.before.split_at(LENGTH - 1000);
        let partial = matches!(name, "siw" | "iwarp");
        let expected = if partial { vec![0xA7; 1000] } else { last.to_vec() };
        assert!(desk.memory.bytes() == [before, &expected].concat(), "{name}");
        assert!(desk.memory.surroundings_are(0x51), "{name}");
        let written = desk.host.sim().counters().bytes_written;
        assert_eq!(written, if partial { 1000 } else { 0 }, "{name}");
        desk.finish();
    }
}

#[test]
fn the_plans_faults_are_followed_and_its_delays_are_none() {
    let plan = "latency = { write = '1s', read = '1s' }\n\
                [[fault]]\noperation = 'write'\nnth = 2\nstatus = 'cancelled'";
    let memory = Memory::new(LENGTH);
    let mut desk = Desk::of(Host::planned(plan), memory, READ | WRITE);
    let remote = desk.remote(0);
    desk.reach(Way::Write, remote, 10).expect("the first");
    let before = desk.memory.bytes();
    let error = desk.reach(Way::Write, remote, 20).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert!(desk.memory.bytes() == before, "B7");
    desk.reach(Way::Write, remote, 20).expect("the third");
    desk.reach(Way::Read, remote, 20).expect("a read");
    desk.finish();
}

#[test]
fn h8_nobody_answers_at_a_lost_adapter() {
    let mut desk = Desk::new(READ | WRITE);
    desk.host.sim().lose();
    for way in BOTH {
        let error = desk.reach(way, desk.remote(0), 10).unwrap_err();
        assert_eq!((error.kind(), error.rule_id()), (ErrorKind::Timeout, "H8"), "{way:?}");
    }
    assert!(desk.memory.bytes() == desk.before);
    desk.finish();
}

/// What the owner writes to the memory once it is its own again.
const SECRET: u8 = 0xEE;

fn hammer(length: usize, rounds: u32) {
    let host = Host::new(Config::default(), &Pump::threads(1));
    let pd = host.pd();
    let (refused, mut changed) = (AtomicU32::new(0), 0);
    for _ in 0..rounds {
        let memory = Memory::new(length);
        let mr = pd.registered(&memory, READ | WRITE);
        let remote = RemoteAddress { address: memory.base(), token: mr.remote() };
        let (over, started) = (AtomicBool::new(false), AtomicU32::new(0));
        let peers = [initiator(&pd), initiator(&pd)];
        thread::scope(|scope| {
            for mut peer in peers {
                let (over, started, refused) = (&over, &started, &refused);
                scope.spawn(move || {
                    let mut bytes = vec![1; length];
                    for count in 0.. {
                        let late = over.load(Ordering::SeqCst);
                        let result = match count % 2 {
                            0 => peer.write(remote, &vec![1; length]),
                            _ => peer.read(remote, &mut bytes),
                        };
                        assert!(!bytes.contains(&SECRET), "D3: a byte was read");
                        match result {
                            Ok(()) => assert!(!late, "D3: access after the end"),
                            Err(error) => {
                                assert_eq!(error.kind(), ErrorKind::AccessViolation);
                                refused.fetch_add(1, Ordering::Relaxed);
                                break;
                            }
                        }
                        if count == 2 {
                            started.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                });
            }
            host.pump.until("the peers are at work", || started.load(Ordering::SeqCst) == 2);
            assert_eq!(mr.deregister(), STATUS_SUCCESS);
            over.store(true, Ordering::SeqCst);
            changed += u32::from(memory.bytes().iter().any(|byte| *byte != 0));
            memory.write(0, &vec![SECRET; length]);
        });
        assert!(memory.bytes().iter().all(|byte| *byte == SECRET), "D3: a byte changed");
        mr.close();
    }
    assert_eq!((changed, refused.into_inner()), (rounds, 2 * rounds), "each had begun, and ended");
    pd.close();
    host.close();
}

#[test]
fn d3_no_access_is_at_work_after_a_deregistration_of_a_few_bytes() {
    hammer(64, 300);
}

#[test]
fn d3_no_access_is_at_work_after_a_deregistration_of_many_pages() {
    hammer(200_000, 20);
}

#[test]
fn a_device_has_so_many_initiators_and_takes_back_what_is_dropped() {
    let host = Host::planned("");
    let pd = host.pd();
    let mut all: Vec<_> = (0..1 << 16).map(|_| initiator(&pd)).collect();
    // SAFETY: the domain is not closed.
    let domain = unsafe { pd.domain().provider() };
    assert_eq!(domain.initiator().unwrap_err().kind(), ErrorKind::InsufficientResources);
    all.pop();
    all.push(initiator(&pd));
    drop(all);
    pd.close();
    host.close();
}
