//! Bad accesses, and what the device says of them beforehand: devices differ (K1), and a consumer can ask.

use super::{End, Outcome, Queue, Region, connect, failure, finish, name_of};
use common::table;
use ndk_core::{Access, BaseAddress, Capabilities, ErrorKind, Refusal};

/// Where a device is not what the simulator is by default, in words.
pub(crate) fn declared(device: &Capabilities) -> String {
    let words = [
        (device.base_address == BaseAddress::HostOnly, "memory at its host address only"),
        (!device.scattered_pages, "no pages that lie apart"),
        (!device.byte_exact, "access by whole pages"),
        (!device.remote_read_enforced, "that a peer reads without the right"),
        (device.read_sink_grants_write, "that a read's sink lets peers write"),
        (device.refusal == Refusal::ConnectionLoss, "the loss of the connection for a refusal"),
        (device.partial_writes, "that a refused write may have written a part"),
        (!device.tokens_unpredictable, "tokens that can be guessed"),
        (device.shared_key, "one key for both sides"),
        (device.fast_registration.is_some_and(|fast| fast.rotating), "tokens that rotate"),
        (device.fast_registration.is_none(), "no fast registration"),
        (!device.windows, "no memory windows"),
    ];
    let words: Vec<_> = words.into_iter().filter(|word| word.0).map(|word| word.1).collect();
    if words.is_empty() { "nothing that limits a consumer".into() } else { words.join(", ") }
}

/// What a peer does that it should not, and whether the device declares that it refuses it.
struct Bad<'a> {
    what: &'static str,
    refused: bool,
    post: &'a dyn Fn(&Queue) -> ndk_core::Result<()>,
}

/// Three bad accesses. A refusal breaks its connection (F6), so each has one of its own.
pub(crate) fn show(owner: &End, peer: &End, file: &Region, answer: &Region) -> Outcome {
    let scratch = peer.register(&[0; 16], Access::LOCAL_WRITE | Access::READ_SINK)?;
    let stale = owner.register(&[1; 16], Access::REMOTE_READ)?;
    let old = stale.remote(0)?;
    // SAFETY: the region is open.
    unsafe { table::deregister(stale.mr)? };
    let here = scratch.local(0, 16);
    let beyond = file.remote(file.buffer.len() - 15)?;
    let write_only = answer.remote(0)?;
    let device = owner.opened.capabilities();
    let cases = [
        Bad {
            what: "reads with the token of an ended registration",
            refused: true,
            post: &|queue| queue.read(0, &[here], old),
        },
        Bad {
            what: "reads one byte past the end of the file",
            refused: device.byte_exact,
            post: &|queue| queue.read(0, &[here], beyond),
        },
        Bad {
            what: "reads where it may only write",
            refused: device.remote_read_enforced,
            post: &|queue| queue.read(0, &[here], write_only),
        },
    ];
    for Bad { what, refused, post } in cases {
        let (_here, there) = connect(owner, peer)?;
        post(&there)?;
        match (finish(&there).result, refused) {
            (Ok(()), false) => println!("peer : {what}: let through, as declared"),
            (Ok(()), true) => return Err(format!("the peer {what}, and was let through").into()),
            (Err(kind), false) => {
                let status = name_of(kind);
                return Err(format!("the peer {what}: {status}, which is not as declared").into());
            }
            (Err(kind), true) => {
                println!("peer : {what}: {}", name_of(kind));
                check(kind, device.refusal)?;
                there.write(1, &[], old)?;
                println!("peer : its connection is broken: {}", name_of(failure(&there)?));
            }
        }
    }
    // SAFETY: the regions are open, and not used afterwards.
    unsafe {
        table::close_mr(scratch.mr).wait()?;
        table::close_mr(stale.mr).wait()?;
    }
    Ok(())
}

/// The status of a refusal; where it is the loss of the connection, the request comes to whatever that ends it with.
fn check(kind: ErrorKind, refusal: Refusal) -> Outcome {
    match refusal {
        Refusal::Completion if kind != ErrorKind::AccessViolation => {
            Err("that is not the status of a refused access".into())
        }
        _ => Ok(()),
    }
}
