//! The hooks of a provider without a defect: each access by two queue pairs of the framework's that are made for it.

use crate::common::{Memory, Pd, Pump, Qp, connect, sge};
use ndk_core::abi::*;
use ndk_core::{ErrorKind, LocalToken, RemoteAddress, RemoteToken, Result};
use std::ptr::NonNull;
use std::slice;

/// The values of `NDK_CONFORMANCE_READ` and so on.
const READ: ULONG = 0;
const WRITE: ULONG = 1;
const INVALIDATE: ULONG = 2;
const SOURCE: ULONG = 3;
const READ_SINK: ULONG = 4;

pub(super) fn domain(pd: *mut NDK_PD) -> Pd {
    Pd { raw: NonNull::new(pd).expect("a domain"), pump: Pump::own() }
}

/// Two queue pairs of a domain, for one use.
pub(super) fn connected<T>(pd: *mut NDK_PD, use_of: impl FnOnce(&Qp, &Qp) -> T) -> T {
    let pd = domain(pd);
    let (own, peer) = connect(&pd, &pd);
    let result = use_of(&own, &peer);
    own.close();
    peer.close();
    result
}

pub(super) fn status(result: Result<()>) -> NTSTATUS {
    result.map_or_else(|error| error.status(), |()| STATUS_SUCCESS)
}

/// What a request comes to that was posted or not.
pub(super) fn outcome(port: &Qp, posted: Result<()>) -> NTSTATUS {
    match posted {
        Ok(()) => port.next().result.map_or_else(ErrorKind::status, |()| STATUS_SUCCESS),
        refused => status(refused),
    }
}

pub(super) unsafe extern "system" fn access(
    pd: *mut NDK_PD,
    access: ULONG,
    token: UINT32,
    address: UINT64,
    length: ULONG,
    bytes: PVOID,
) -> NTSTATUS {
    let bytes = match length {
        0 => &mut [][..],
        // SAFETY: the kit's memory, of that length, which nobody else uses.
        _ => unsafe { slice::from_raw_parts_mut(bytes.cast::<u8>(), length as usize) },
    };
    let (Some(local), Some(remote)) = (LocalToken::new(token), RemoteToken::new(token)) else {
        return STATUS_ACCESS_VIOLATION;
    };
    let scratch = Memory::new(bytes.len().max(1));
    let flags = NDK_MR_FLAG_ALLOW_REMOTE_READ | NDK_MR_FLAG_ALLOW_REMOTE_WRITE;
    let mr = domain(pd).registered(&scratch, flags);
    if !matches!(access, READ | SOURCE) {
        scratch.write(0, bytes);
    }
    let own = [sge(local, address, length)];
    let far = RemoteAddress { address, token: remote };
    let place = [sge(mr.local(), scratch.base(), length)];
    let back = RemoteAddress { address: scratch.base(), token: mr.remote() };
    let status = connected(pd, |port, peer| match access {
        READ => outcome(peer, peer.read(1, &place, far)),
        WRITE => outcome(peer, peer.write(1, &place, far)),
        INVALIDATE => {
            port.receive(1, &[]).expect("posted");
            let sent = outcome(peer, peer.send(1, &[], Some(remote)));
            let received = port.next().result;
            if sent == STATUS_SUCCESS && received.is_err() { STATUS_ACCESS_VIOLATION } else { sent }
        }
        SOURCE => outcome(port, port.write(1, &own, back)),
        READ_SINK => outcome(port, port.read(1, &own, back)),
        _ => match port.receive(1, &own) {
            Ok(()) => outcome(peer, peer.send(1, &place, None)),
            refused => self::status(refused),
        },
    });
    if matches!(access, READ | SOURCE) && status == STATUS_SUCCESS {
        bytes.copy_from_slice(&scratch.bytes()[..bytes.len()]);
    }
    mr.close();
    status
}
