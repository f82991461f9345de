//! What a request asks of the device, and giving it to the device.

use super::Objects;
use crate::binder::{Binder, Exact};
use crate::key;
use crate::mlx5::indirect::{FastRequest, Indirect};
use crate::mlx5::queue::RawQueue;
use crate::sys::inline::ibv_post_send;
use crate::sys::layout::Zeroed;
use crate::sys::work::{
    IBV_SEND_FENCE, IBV_SEND_SIGNALED, IBV_WR_BIND_MW, IBV_WR_LOCAL_INV, ibv_mw_bind_info,
    ibv_send_wr, ibv_sge,
};
use ndk_core::ErrorKind;
use smallvec::SmallVec;
use std::sync::Arc;

/// Elements, as many as there mostly are without an allocation.
pub(super) type Elements = SmallVec<[ibv_sge; 4]>;

/// What a request is of the device.
pub(super) enum Step {
    /// Data, or a message: opcode, elements, remote address and key, key to invalidate at the peer.
    Data(Data),
    /// A window over a registration, which a thread makes meanwhile.
    Bind {
        binder: Arc<Binder>,
        rights: u32,
        /// The thread has begun: the memory has to stay until it has made the registration.
        begun: bool,
        made: Option<Result<Bound, ErrorKind>>,
    },
    /// An indirect key that is made to lead somewhere.
    Register(FastRequest),
    /// The end of that.
    Free(Arc<Indirect>),
    /// The end of a binding on the queue pair that it belongs to.
    Invalidate(Arc<Binder>),
    /// The end of a binding that belongs to another queue pair, by a new window, which a thread makes meanwhile.
    Renew { made: Option<Result<(), ErrorKind>> },
    /// Nothing for the device: it ends so when its turn comes.
    End(Result<(), ErrorKind>),
}

impl Step {
    /// Whether a thread has done what the step needs.
    pub(super) fn is_made(&self) -> bool {
        match self {
            Self::Bind { made, .. } => made.is_some(),
            Self::Renew { made } => made.is_some(),
            _ => true,
        }
    }

    /// Whether a thread is at memory for it.
    pub(super) fn is_begun(&self) -> bool {
        matches!(self, Self::Bind { begun: true, made: None, .. })
    }

    /// Whether it is known to end with an error.
    pub(super) fn fails(&self) -> bool {
        match self {
            Self::Bind { made, .. } => matches!(made, Some(Err(_))),
            Self::Renew { made } => matches!(made, Some(Err(_))),
            Self::End(result) => result.is_err(),
            _ => false,
        }
    }
}

/// A request that moves bytes.
pub(super) struct Data {
    pub(super) opcode: u32,
    pub(super) elements: Elements,
    pub(super) remote: (u64, u32),
    pub(super) invalidate: u32,
    /// Elements in fast registrations, whose keys are known when their turn comes.
    pub(super) late: SmallVec<[(usize, Arc<Binder>); 1]>,
}

/// A registration for a binding, and the range that it counts.
pub(super) struct Bound {
    pub(super) exact: Arc<Exact>,
    pub(super) base: u64,
    pub(super) length: u64,
}

/// What the end of a request means for a window, or an indirect key.
#[derive(Clone)]
pub(super) enum Meaning {
    None,
    Bind(Arc<Binder>),
    Invalidate(Arc<Binder>),
    Register(Arc<Indirect>),
    Free(Arc<Indirect>),
}

impl Meaning {
    /// The request has ended so.
    pub(super) fn take_effect(&self, result: Result<(), ErrorKind>) {
        match (self, result) {
            (Self::None, _) | (Self::Bind(_) | Self::Register(_), Ok(())) => {}
            (Self::Bind(binder), Err(_)) => binder.failed(),
            (Self::Invalidate(binder), Ok(())) => binder.ended(),
            (Self::Invalidate(binder), Err(_)) => binder.stays(),
            (Self::Register(indirect), Err(_)) => indirect.failed(),
            (Self::Free(indirect), Ok(())) => indirect.ended(),
            (Self::Free(indirect), Err(_)) => indirect.stays(),
        }
    }
}

/// How far a request has come.
pub(super) enum Progress {
    Waits(Step),
    /// The device has it.
    Posted,
    Ended(Result<(), ErrorKind>),
}

/// Gives a request to the device.
///
/// The queue's lock is held.
pub(super) fn give(objects: &Objects, number: u64, step: Step) -> (Progress, Meaning) {
    let refused = |kind| (Progress::Ended(Err(kind)), Meaning::None);
    match step {
        Step::End(result) => (Progress::Ended(result), Meaning::None),
        Step::Renew { made } => {
            (Progress::Ended(made.unwrap_or(Err(ErrorKind::Internal))), Meaning::None)
        }
        Step::Data(mut data) => {
            for (index, binder) in &data.late {
                data.elements[*index].lkey = binder.local_key().unwrap_or(key::NOWHERE);
            }
            let mut request = ibv_send_wr {
                opcode: data.opcode,
                sg_list: data.elements.as_mut_ptr(),
                num_sge: data.elements.len() as i32,
                remote_addr: data.remote.0,
                rkey: data.remote.1,
                invalidate_rkey: data.invalidate,
                ..ibv_send_wr::zeroed()
            };
            match post(objects, number, &mut request) {
                Ok(()) => (Progress::Posted, Meaning::None),
                Err(kind) => refused(kind),
            }
        }
        Step::Bind { binder, rights, made, .. } => {
            let Bound { exact, base, length } = match made {
                Some(Ok(bound)) => bound,
                Some(Err(kind)) => return refused(kind),
                None => return refused(ErrorKind::Internal),
            };
            let mr = exact.mr().raw();
            let posted = binder.bind(exact, |window, key| {
                let mut request = ibv_send_wr {
                    opcode: IBV_WR_BIND_MW,
                    mw: window,
                    mw_rkey: key,
                    bind_info: ibv_mw_bind_info { mr, addr: base, length, mw_access_flags: rights },
                    ..ibv_send_wr::zeroed()
                };
                post(objects, number, &mut request)
            });
            match posted {
                Ok(()) => (Progress::Posted, Meaning::Bind(binder)),
                Err(kind) => refused(kind),
            }
        }
        Step::Invalidate(binder) => match binder.invalidate(|key| invalidate(objects, number, key))
        {
            Ok(()) => (Progress::Posted, Meaning::Invalidate(binder)),
            Err(kind) => refused(kind),
        },
        Step::Register(request) => {
            let Some(raw) = &objects.raw else { return refused(ErrorKind::Internal) };
            // SAFETY: the queue's lock is held, and it lets in as many requests as the queue pair was made for.
            match unsafe { request.give(raw, number) } {
                Ok(indirect) => (Progress::Posted, Meaning::Register(indirect)),
                Err(kind) => refused(kind),
            }
        }
        Step::Free(indirect) => match indirect.invalidate(|key| invalidate(objects, number, key)) {
            Ok(()) => (Progress::Posted, Meaning::Free(indirect)),
            Err(kind) => refused(kind),
        },
    }
}

fn invalidate(objects: &Objects, number: u64, key: u32) -> Result<(), ErrorKind> {
    let mut request =
        ibv_send_wr { opcode: IBV_WR_LOCAL_INV, invalidate_rkey: key, ..ibv_send_wr::zeroed() };
    post(objects, number, &mut request)
}

/// Whether the device takes a request. A connection that is gone is seen by its other signs.
fn post(objects: &Objects, number: u64, request: &mut ibv_send_wr) -> Result<(), ErrorKind> {
    request.wr_id = number;
    let fenced = objects.raw.as_ref().is_some_and(RawQueue::take_fence);
    request.send_flags = IBV_SEND_SIGNALED | if fenced { IBV_SEND_FENCE } else { 0 };
    let mut refused = std::ptr::null_mut();
    // SAFETY: the queue pair is there; the request, and what it points to, is for the call.
    let posted = unsafe { ibv_post_send(objects.qp.as_ptr(), request, &raw mut refused) };
    match posted.abs() {
        0 => Ok(()),
        libc::ENOMEM => Err(ErrorKind::InsufficientResources),
        libc::ENOTCONN => Err(ErrorKind::Cancelled),
        _ => Err(ErrorKind::AccessViolation),
    }
}
