//! V11: tokens before they exist, and after.

use crate::calls::*;
use futures_lite::future::block_on;
use ndk_core::abi::*;
use ndk_core::mdl::Mdl;
use ndk_core::{
    BoxedAdapter, ErrorKind, LocalToken, QueueDepths, QueuePair, RemoteAddress, RemoteToken, Sge,
    Std, WorkCompletion,
};

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

fn read(qp: &Qp, local: Sge, (mdl, token): (&Mdl, u32)) -> Option<WorkCompletion> {
    let token = RemoteToken::new(token).expect("a token");
    let remote = RemoteAddress { address: mdl_address(mdl), token };
    qp.read(1, &[local], remote).ok()?;
    Some(block_on(qp.completion()))
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
        let program = open(&format!("verify(policy={policy})+sim"));
        let pd = program.domain();
        let qps = connected(pd);
        let (sink, source) = (region(pd, false), region(pd, false));
        let (here, there) = (memory(100), memory(100));
        let write = NDK_MR_FLAG_ALLOW_LOCAL_WRITE;
        assert_eq!(register_with(sink, &here, write, Ticket::new()), STATUS_SUCCESS);
        assert_eq!(register(source, &there), STATUS_SUCCESS);
        let (local, remote) = (element(&here, local_token(sink)), remote_token(source));
        let completion = read(&qps.0, local, (&there, remote)).expect("posted");
        assert_eq!(completion.result, Ok(()));
        program.silent();
        assert_eq!(deregister(sink), STATUS_SUCCESS);
        let completion = read(&qps.0, local, (&there, remote));
        assert_eq!(completion.is_some(), policy == "log", "it is posted unless mistakes fail");
        let finding = program.consumer("V11", "/qp");
        assert!(finding.did.contains("the local token"), "{finding}");
        assert_eq!((close(sink), close(source)), (STATUS_SUCCESS, STATUS_SUCCESS));
        end(qps);
        program.end(pd);
    }
}

#[test]
fn v11_a_remote_token_of_an_earlier_registration() {
    let program = open("verify+sim");
    let pd = program.domain();
    let qps = connected(pd);
    let (sink, source) = (region(pd, false), region(pd, false));
    let (here, there) = (memory(100), memory(100));
    assert_eq!(register_with(sink, &here, 1, Ticket::new()), STATUS_SUCCESS);
    assert_eq!(register(source, &there), STATUS_SUCCESS);
    let stale = remote_token(source);
    assert_eq!((deregister(source), register(source, &there)), (STATUS_SUCCESS, STATUS_SUCCESS));
    let local = element(&here, local_token(sink));
    let completion = read(&qps.0, local, (&there, stale)).expect("posted");
    assert_eq!(completion.result, Err(ErrorKind::AccessViolation));
    let finding = program.consumer("V11", "/qp");
    assert!(finding.did.contains("the remote token"), "{finding}");
    assert_eq!((close(sink), close(source)), (STATUS_SUCCESS, STATUS_SUCCESS));
    end(qps);
    program.end(pd);
}

#[test]
fn an_access_that_is_refused_for_another_reason_is_not_the_tokens() {
    let program = open("verify+sim");
    let pd = program.domain();
    let qps = connected(pd);
    let (sink, source) = (region(pd, false), region(pd, false));
    let (here, there) = (memory(100), memory(100));
    assert_eq!(register_with(sink, &here, 1, Ticket::new()), STATUS_SUCCESS);
    assert_eq!(register_with(source, &there, 5, Ticket::new()), STATUS_SUCCESS);
    let local = element(&here, local_token(sink));
    let completion = read(&qps.0, local, (&there, remote_token(source))).expect("posted");
    assert_eq!(completion.result, Err(ErrorKind::AccessViolation), "no right to read");
    program.silent();
    assert_eq!((close(sink), close(source)), (STATUS_SUCCESS, STATUS_SUCCESS));
    end(qps);
    program.end(pd);
}

#[test]
fn an_access_whose_token_was_live_when_it_was_posted_is_no_mistake_whatever_comes_of_it() {
    let program = open("verify+sim");
    let pd = program.domain();
    let qps = connected(pd);
    let (sink, source) = (region(pd, false), region(pd, false));
    let (here, there) = (memory(100), memory(100));
    assert_eq!(register_with(sink, &here, 1, Ticket::new()), STATUS_SUCCESS);
    assert_eq!(register_with(source, &there, 5, Ticket::new()), STATUS_SUCCESS);
    let token = RemoteToken::new(remote_token(source)).expect("a token");
    let remote = RemoteAddress { address: mdl_address(&there), token };
    qps.0.read(1, &[element(&here, local_token(sink))], remote).expect("posted");
    // Its owner ends the registration before its completion is seen.
    assert_eq!(deregister(source), STATUS_SUCCESS);
    let completion = block_on(qps.0.completion());
    assert_eq!(completion.result, Err(ErrorKind::AccessViolation), "no right to read");
    program.silent();
    assert_eq!((close(sink), close(source)), (STATUS_SUCCESS, STATUS_SUCCESS));
    end(qps);
    program.end(pd);
}
