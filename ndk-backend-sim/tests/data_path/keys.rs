//! The tokens of a region: one for each side, or one key for both (E3), and those that rotate (E4).

use super::LOCAL;
use super::common::{Lam, Memory, Mr, Net, sge};
use ndk_backend_sim::plan::Plan;
use ndk_backend_sim::{Config, Miss, Profile, SimAdapter};
use ndk_core::abi::*;
use ndk_core::{Access, ErrorKind, LocalToken, RemoteToken};
use std::collections::HashSet;
use std::time::Duration;

const ALL: ULONG = NDK_MR_FLAG_ALLOW_REMOTE_READ | NDK_MR_FLAG_ALLOW_REMOTE_WRITE;
const PAGE: u64 = 0x5000_0000_0000;
const REFUSED: Result<u32, ErrorKind> = Err(ErrorKind::AccessViolation);

#[test]
fn e3_each_token_is_for_its_own_side() {
    let mut net = Net::new();
    let (memory, source) = (Memory::new(64), Memory::new(64));
    let before = memory.fill(1);
    let (mr, own) = (net.there.registered(&memory, ALL), net.here.registered(&source, ALL));
    let (local, remote) = (mr.local_value(), mr.remote_value());
    assert_ne!(local, remote, "E3: the simulator makes its own keys");
    let from = sge(own.local(), source.base(), 8);
    let wrong = RemoteToken::new(local).unwrap();
    assert_eq!(net.qp.write_through(from, wrong, memory.base()), REFUSED, "E3");
    assert_eq!(net.b.sim().counters().misses(Miss::Rights), 1, "it is known what was wrong");
    net.reconnect();
    // The other way round: what a peer may know names nothing for the owner's own requests.
    let wrong = sge(LocalToken::new(own.remote_value()).unwrap(), source.base(), 8);
    assert_eq!(net.qp.write_through(wrong, mr.remote(), memory.base()), REFUSED, "E3");
    assert_eq!(net.a.sim().counters().misses(Miss::Rights), 1);
    net.reconnect();
    assert_eq!(memory.bytes(), before);
    assert_eq!(net.qp.write_through(from, mr.remote(), memory.base()), Ok(8));
    net.finish([mr, own]);
}

#[test]
fn e3_one_key_works_on_both_sides() {
    let net = Net::planned_at_both("tokens.keys = 'one'");
    let (memory, source) = (Memory::new(64), Memory::new(64));
    let (mr, own) = (net.there.registered(&memory, ALL), net.here.registered(&source, ALL));
    assert_eq!(mr.local_value(), mr.remote_value());
    let by_remote = sge(LocalToken::new(own.remote_value()).unwrap(), source.base(), 8);
    let by_local = RemoteToken::new(mr.local_value()).unwrap();
    assert_eq!(net.qp.write_through(by_remote, by_local, memory.base()), Ok(8));
    net.finish([mr, own]);
}

/// A region of the first adapter for fast registration, whose tokens rotate, and a peer that writes there.
struct Desk {
    net: Net,
    memory: Memory,
    lam: Lam,
    fast: Mr,
    source: (Memory, Mr),
}

impl Desk {
    fn new(plan: &str) -> Self {
        let net = Net::planned_at_both(&format!("tokens.rotate = true\n{plan}"));
        let (memory, source) = (Memory::new(64), Memory::new(64));
        memory.fill(1);
        source.fill(2);
        let own = net.there.registered(&source, LOCAL);
        let (lam, fast) = (net.a.map(&memory), net.here.fast_mr(1, true));
        Self { net, memory, lam, fast, source: (source, own) }
    }

    fn post(&self) -> ndk_core::Result<()> {
        self.net.qp.fast_register(&self.fast, self.lam.memory(PAGE), Access::REMOTE_WRITE)
    }

    fn register(&self) {
        self.post().unwrap();
        assert_eq!(self.net.qp.outcome(), Ok(0));
    }

    fn invalidate(&self) {
        self.net.qp.invalidate(&self.fast).unwrap();
        assert_eq!(self.net.qp.outcome(), Ok(0));
    }

    /// The peer writes by that token. A refusal costs the connection.
    fn write(&mut self, token: u32) -> Result<u32, ErrorKind> {
        let from = sge(self.source.1.local(), self.source.0.base(), 8);
        let token = RemoteToken::new(token).unwrap();
        let outcome = self.net.peer.write_through(from, token, self.lam.memory(PAGE).base);
        if outcome.is_err() {
            self.net.reconnect();
        }
        outcome
    }

    fn finish(self) {
        self.fast.close();
        self.net.a.release(self.lam);
        self.net.finish([self.source.1]);
    }
}

#[test]
fn e4_each_round_has_another_token_of_the_family() {
    for keys in ["one", "two"] {
        let mut desk = Desk::new(&format!("tokens.keys = '{keys}'"));
        let (local, first) = (desk.fast.local_value(), desk.fast.remote_value());
        let (mut last, mut seen) = (first, HashSet::new());
        // More rounds than a family has tokens.
        for round in 0..600 {
            desk.post().unwrap();
            let token = desk.fast.remote_value();
            assert!(token != last && token >> 8 == first >> 8, "E4: {last:#x}, {token:#x}");
            assert_eq!(desk.net.qp.outcome(), Ok(0));
            assert_eq!(desk.fast.remote_value(), token, "E4: fixed until the Invalidate");
            let its_local = if keys == "one" { token } else { local };
            assert_eq!(desk.fast.local_value(), its_local, "E3: {keys}");
            assert_eq!(desk.write(token), Ok(8));
            if round % 100 == 0 {
                assert_eq!(desk.write(last), REFUSED, "E4: the token of the round before");
            }
            desk.invalidate();
            assert_eq!(desk.fast.remote_value(), token);
            (last, _) = (token, seen.insert(token));
        }
        assert!(seen.len() > 200, "all of the family are used: {}", seen.len());
        assert_eq!(desk.net.a.sim().counters().misses(Miss::Retired), 6);
        desk.finish();
    }
}

#[test]
fn e4_a_token_is_known_when_it_is_posted_and_works_when_it_is_carried_out() {
    for keys in ["one", "two"] {
        let mut desk = Desk::new(&format!(
            "tokens.keys = '{keys}'\nlatency = {{ fast-register = '10us', invalidate = '10us' }}"
        ));
        let clock = desk.net.a.pump.clock();
        let mut tokens = vec![desk.fast.remote_value()];
        for round in 0..4 {
            if round > 0 {
                clock.advance(Duration::from_micros(2));
                desk.net.qp.invalidate(&desk.fast).unwrap();
            }
            desk.post().unwrap();
            tokens.push(desk.fast.remote_value());
        }
        assert_eq!(HashSet::<u32>::from_iter(tokens.clone()).len(), 5, "{tokens:x?}");
        // The write comes when the first round has been carried out and nothing later.
        assert!(desk.net.qp.poll().is_none());
        while desk.net.qp.poll().is_none() {
            clock.advance_to_next();
        }
        assert_eq!(desk.write(tokens[1]), Ok(8));
        let done = std::iter::from_fn(|| {
            while clock.advance_to_next() {}
            desk.net.qp.poll()
        });
        assert!(done.map(|done| done.result).eq([Ok(()); 6]), "G8: in order");
        for &old in &tokens[..4] {
            assert_eq!(desk.write(old), REFUSED, "E4: an earlier round's");
        }
        assert_eq!(desk.write(tokens[4]), Ok(8));
        desk.finish();
    }
}

#[test]
fn e4_what_is_not_posted_leaves_the_token() {
    let fault = "fault = [{ operation = 'fast-register', nth = 2, status = 'timeout' }]";
    let mut desk = Desk::new(fault);
    desk.register();
    let first = desk.fast.remote_value();
    desk.invalidate();
    assert_eq!(desk.post().unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(desk.fast.remote_value(), first);
    desk.register();
    let second = desk.fast.remote_value();
    assert_ne!(second, first);
    assert_eq!((desk.write(second), desk.write(first)), (Ok(8), REFUSED));
    desk.finish();
}

#[test]
fn e4_an_initialisation_or_a_close_ends_the_tokens_of_every_round() {
    for closes in [false, true] {
        let mut desk = Desk::new("latency = { fast-register = '10us' }");
        desk.register();
        let mut tokens = vec![desk.fast.remote_value()];
        desk.net.qp.invalidate(&desk.fast).unwrap();
        desk.post().unwrap();
        tokens.push(desk.fast.remote_value());
        desk.net.qp.flush();
        while desk.net.qp.poll().is_some() {}
        desk.net.reconnect();
        if closes {
            let fresh = desk.net.here.fast_mr(1, true);
            std::mem::replace(&mut desk.fast, fresh).close();
        } else {
            assert_eq!(desk.fast.initialise(1, true), STATUS_SUCCESS, "G10");
        }
        let family = desk.fast.remote_value() >> 8;
        assert!(tokens.iter().all(|token| token >> 8 != family), "a token of its own");
        desk.register();
        for token in tokens {
            assert_eq!(desk.write(token), REFUSED);
        }
        let token = desk.fast.remote_value();
        assert_eq!(desk.write(token), Ok(8));
        assert_eq!(desk.memory.bytes()[..8], desk.source.0.bytes()[..8]);
        desk.finish();
    }
}

#[test]
fn e4_without_remote_access_no_token_changes() {
    for keys in ["one", "two"] {
        let desk = Desk::new(&format!("tokens.keys = '{keys}'"));
        assert_eq!(desk.fast.initialise(1, false), STATUS_SUCCESS);
        let local = desk.fast.local_value();
        for _ in 0..3 {
            let memory = desk.lam.memory(PAGE);
            desk.net.qp.fast_register(&desk.fast, memory, Access::LOCAL_WRITE).unwrap();
            assert_eq!(desk.net.qp.outcome(), Ok(0));
            assert_eq!((desk.fast.local_value(), desk.fast.remote_value()), (local, 0));
            desk.invalidate();
        }
        desk.finish();
    }
}

#[test]
fn k1_the_plan_s_tokens_are_declared() {
    let open = |profile: Profile, plan: &str| {
        let plan: Plan = plan.parse().unwrap();
        SimAdapter::new(Config { profile, plan, ..Config::default() })
    };
    let declared = |profile: Profile, plan: &str| {
        use ndk_core::AdapterProvider;
        let shape = open(profile, plan).unwrap().capabilities();
        (shape.shared_key, shape.fast_registration.is_some_and(|fast| fast.rotating))
    };
    assert_eq!(declared(Profile::default(), ""), (false, false));
    let both = "tokens = { keys = 'one', rotate = true }";
    assert_eq!(declared(Profile::default(), both), (true, true));
    assert_eq!(declared(Profile::rxe(), ""), (true, false));
    assert_eq!(declared(Profile::rxe(), "tokens.keys = 'two'"), (false, false));
    let error = open(Profile::siw(), "tokens.rotate = true").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidParameter);
    assert!(error.detail().contains("no fast registration"), "{error}");
}
