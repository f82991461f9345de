//! V11: tokens before they exist, and after.

use crate::calls::*;
use futures_lite::future::block_on;
use ndk_core::abi::*;
use ndk_core::mdl::Mdl;
use ndk_core::{
    BoxedAdapter, ErrorKind, LocalToken, QueueDepths, QueuePair, RemoteAddress, RemoteToken, Sge,
    Std, WorkCompletion,
};
use std::sync::Arc;

pub(crate) type Qp = QueuePair<BoxedAdapter, Std>;

/// Two queue pairs that are connected.
pub(crate) fn connected(pd: *mut NDK_PD) -> (Qp, Qp) {
    // SAFETY: the domain is open.
    let make = || block_on(unsafe { native(pd).create_qp(QueueDepths::default()) });
    let (one, other) = (make().expect("a queue pair"), make().expect("a queue pair"));
    let (here, there) = (one.endpoint(), other.endpoint());
    let both = futures_lite::future::zip(one.connect(&there), other.connect(&here));
    let (first, second) = block_on(both);
    first.and(second).expect("connected");
    (one, other)
}

pub(crate) fn end(qps: (Qp, Qp)) {
    block_on(qps.0.close());
    block_on(qps.1.close());
}

fn element(mdl: &Mdl, token: u32) -> Sge {
    let address = mdl_address(mdl);
    Sge { address, length: 8, token: LocalToken::new(token).expect("a token") }
}

fn mdl_address(mdl: &Mdl) -> u64 {
    // SAFETY: the chain is only looked at.
    unsafe { mdl.view(mdl.len()) }.expect("a chain").base()
}

/// A region to read from, not registered yet, and one to read into, on two queue pairs that are connected.
struct Reading {
    program: Program,
    pd: *mut NDK_PD,
    qps: (Qp, Qp),
    sink: (*mut NDK_MR, Mdl),
    source: (*mut NDK_MR, Mdl),
}

impl Reading {
    fn new(name: &str) -> Self {
        Self::of(open(name))
    }

    fn of(program: Program) -> Self {
        let pd = program.domain();
        let (sink, source) = ((region(pd, false), memory(100)), (region(pd, false), memory(100)));
        let write = NDK_MR_FLAG_ALLOW_LOCAL_WRITE;
        assert_eq!(register_with(sink.0, &sink.1, write, Ticket::new()), STATUS_SUCCESS);
        Self { program, pd, qps: connected(pd), sink, source }
    }

    /// Where to read into.
    fn local(&self) -> Sge {
        element(&self.sink.1, local_token(self.sink.0))
    }

    /// Reads by a token of the source's; `None` where that is not posted.
    fn read(&self, local: Sge, token: u32) -> Option<WorkCompletion> {
        self.qps.0.read(1, &[local], self.remote(token)).ok()?;
        Some(block_on(self.qps.0.completion()))
    }

    fn remote(&self, token: u32) -> RemoteAddress {
        let token = RemoteToken::new(token).expect("a token");
        RemoteAddress { address: mdl_address(&self.source.1), token }
    }

    fn end(self) {
        assert_eq!((close(self.sink.0), close(self.source.0)), (STATUS_SUCCESS, STATUS_SUCCESS));
        end(self.qps);
        self.program.end(self.pd);
    }
}

#[test]
fn v11_a_token_that_is_read_before_there_is_one() {
    let program = open("verify+sim");
    let pd = program.domain();
    let (mr, mdl) = (region(pd, false), memory(100));
    assert_eq!(local_token(mr), 0);
    let finding = program.consumer("V11", "/mr");
    assert!(finding.did.contains("while it has none"), "{finding}");
    assert_eq!(register(mr, &mdl), STATUS_SUCCESS);
    assert!(local_token(mr) != 0 && remote_token(mr) != 0);
    assert_eq!(deregister(mr), STATUS_SUCCESS);
    // A region without remote rights has no remote token, which is no mistake to ask.
    assert_eq!(register_with(mr, &mdl, 0, Ticket::new()), STATUS_SUCCESS);
    assert_eq!(remote_token(mr), 0);
    assert_eq!(close(mr), STATUS_SUCCESS);
    assert_eq!(program.consumer("V11", "/mr").times, 1);
    program.end(pd);
}

#[test]
fn v11_a_local_token_of_an_earlier_registration() {
    for policy in ["log", "fail"] {
        let reading = Reading::new(&format!("verify(policy={policy})+sim"));
        let (source, memory) = &reading.source;
        assert_eq!(register(*source, memory), STATUS_SUCCESS);
        let (local, remote) = (reading.local(), remote_token(*source));
        assert_eq!(reading.read(local, remote).expect("posted").result, Ok(()));
        reading.program.silent();
        assert_eq!(deregister(reading.sink.0), STATUS_SUCCESS);
        let completion = reading.read(local, remote);
        assert_eq!(completion.is_some(), policy == "log", "it is posted unless mistakes fail");
        let finding = reading.program.consumer("V11", "/qp");
        assert!(finding.did.contains("the local token"), "{finding}");
        reading.end();
    }
}

#[test]
fn tokens_whose_deregistration_was_given_up_are_live_as_before() {
    for policy in ["log", "fail"] {
        let name = format!("verify(policy={policy})+sim?latency=deregister:3600s");
        let reading = Reading::of(open_on(&name, Arc::new(GivesUp)));
        let (source, memory) = &reading.source;
        // Without a right to read, so that a refusal asks whose the token is.
        assert_eq!(register_with(*source, memory, 5, Ticket::new()), STATUS_SUCCESS);
        for mr in [reading.sink.0, *source] {
            assert_eq!(deregister(mr), STATUS_CANCELLED, "B9");
        }
        let completion = reading.read(reading.local(), remote_token(*source)).expect("posted");
        assert_eq!(completion.result, Err(ErrorKind::AccessViolation), "no right to read");
        reading.program.silent();
        reading.end();
    }
}

#[test]
fn v11_a_remote_token_of_an_earlier_registration() {
    let reading = Reading::new("verify+sim");
    let (source, memory) = &reading.source;
    assert_eq!(register(*source, memory), STATUS_SUCCESS);
    let stale = remote_token(*source);
    assert_eq!((deregister(*source), register(*source, memory)), (STATUS_SUCCESS, STATUS_SUCCESS));
    let completion = reading.read(reading.local(), stale).expect("posted");
    assert_eq!(completion.result, Err(ErrorKind::AccessViolation));
    let finding = reading.program.consumer("V11", "/qp");
    assert!(finding.did.contains("the remote token"), "{finding}");
    reading.end();
}

#[test]
fn v11_tokens_of_an_earlier_initialisation_and_of_a_closed_region() {
    let reading = Reading::new("verify+sim");
    let (source, memory) = &reading.source;
    assert_eq!(register(*source, memory), STATUS_SUCCESS);
    let (live, fast) = (remote_token(*source), region(reading.pd, true));
    let element = |token| element(&reading.sink.1, token);
    let found = |did: &str, object: &str| {
        let findings = reading.program.verifier.findings();
        let finding = findings.last().expect("a finding");
        assert_eq!((finding.rules[0], finding.times), ("V11", 1), "{finding}");
        assert!(finding.did.contains(did) && finding.did.contains(object), "{finding}");
        findings.len()
    };
    initialise(fast, TRUE);
    let first = local_token(fast);
    initialise(fast, TRUE);
    let (local, remote) = (local_token(fast), remote_token(fast));
    assert_ne!(first, local, "two keys, new ones each time");
    reading.program.silent();
    // Each on a connection of its own, which the refusal ends.
    let read = |local, remote| {
        let qps = connected(reading.pd);
        qps.0.read(1, &[local], remote).expect("posted");
        let completion = block_on(qps.0.completion());
        end(qps);
        completion.result
    };
    let _ = read(element(first), reading.remote(live));
    assert_eq!(found("the local token", "/mr"), 1);
    assert_eq!(close(fast), STATUS_SUCCESS);
    let _ = read(element(local), reading.remote(live));
    assert_eq!(found("the local token", "/mr"), 2);
    let refused = read(reading.local(), reading.remote(remote));
    assert_eq!(refused, Err(ErrorKind::AccessViolation));
    assert_eq!(found("the remote token", "/mr"), 3);
    reading.end();
}

#[test]
fn an_access_that_is_refused_for_another_reason_is_not_the_tokens() {
    let reading = Reading::new("verify+sim");
    let (source, memory) = &reading.source;
    assert_eq!(register_with(*source, memory, 5, Ticket::new()), STATUS_SUCCESS);
    let completion = reading.read(reading.local(), remote_token(*source)).expect("posted");
    assert_eq!(completion.result, Err(ErrorKind::AccessViolation), "no right to read");
    reading.program.silent();
    reading.end();
}

#[test]
fn an_access_whose_token_was_live_when_it_was_posted_is_no_mistake_whatever_comes_of_it() {
    let reading = Reading::new("verify+sim");
    let (source, memory) = &reading.source;
    assert_eq!(register_with(*source, memory, 5, Ticket::new()), STATUS_SUCCESS);
    let remote = reading.remote(remote_token(*source));
    reading.qps.0.read(1, &[reading.local()], remote).expect("posted");
    // Its owner ends the registration before its completion is seen.
    assert_eq!(deregister(*source), STATUS_SUCCESS);
    let completion = block_on(reading.qps.0.completion());
    assert_eq!(completion.result, Err(ErrorKind::AccessViolation), "no right to read");
    reading.program.silent();
    reading.end();
}
