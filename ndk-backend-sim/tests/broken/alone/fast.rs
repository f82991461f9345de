//! Fast registrations and invalidations that are answered wrongly when they are posted.

use super::wire::{connected, outcome};
use crate::common::{Mr, Pump, Qp};
use crate::table::lock;
use ndk_core::abi::*;
use ndk_core::{Access, Error, FastMemory, Result};
use std::collections::HashMap;
use std::ptr::NonNull;
use std::slice;
use std::sync::{Mutex, OnceLock};

/// What is asked of a queue pair of a domain.
struct Asked<'a> {
    pd: *mut NDK_PD,
    mr: *mut NDK_MR,
    memory: FastMemory<'a>,
    flags: ULONG,
}

/// How the hooks answer: what a defect does not change is the framework's.
struct Answers {
    fast_register: fn(&Asked<'_>) -> NTSTATUS,
    invalidate: fn(*mut NDK_PD, *mut NDK_MR) -> NTSTATUS,
}

static ANSWERS: OnceLock<Answers> = OnceLock::new();

/// Has the hooks answer as the provider of that name.
pub(super) fn install(name: &str) {
    let sound = Answers { fast_register: register, invalidate: end };
    let answers = match name {
        "unaligned_page_is_rounded" => {
            Answers { fast_register: unaligned_page_is_rounded, ..sound }
        }
        "long_registration_is_cut" => Answers { fast_register: long_registration_is_cut, ..sound },
        "remote_read_is_dropped" => Answers { fast_register: remote_read_is_dropped, ..sound },
        "local_region_is_a_parameter" => {
            Answers { fast_register: local_region_is_a_parameter, ..sound }
        }
        "other_domain_is_a_state" => Answers {
            fast_register: other_domain_is_a_state,
            invalidate: other_domain_is_a_state_to_end,
        },
        "valid_region_is_registered_anew" => {
            Answers { fast_register: valid_region_is_registered_anew, ..sound }
        }
        "other_region_is_unsupported" => {
            Answers { fast_register: other_region_is_unsupported, ..sound }
        }
        "second_invalidation_succeeds" => {
            Answers { invalidate: second_invalidation_succeeds, ..sound }
        }
        "unregistered_region_is_invalidated" => {
            Answers { invalidate: unregistered_region_is_invalidated, ..sound }
        }
        "missing_page_is_a_violation" => {
            Answers { fast_register: missing_page_is_a_violation, ..sound }
        }
        _ => panic!("there is no provider {name} by its hooks"),
    };
    assert!(ANSWERS.set(answers).is_ok(), "one provider to a process");
}

pub(super) unsafe extern "system" fn fast_register(
    pd: *mut NDK_PD,
    mr: *mut NDK_MR,
    pages: ULONG,
    addresses: *const NDK_LOGICAL_ADDRESS,
    first_byte: ULONG,
    length: SIZE_T,
    base: PVOID,
    flags: ULONG,
) -> NTSTATUS {
    let pages = match pages {
        0 => Vec::new(),
        // SAFETY: the kit's array, of that length.
        _ => unsafe { slice::from_raw_parts(addresses, pages as usize) }.to_vec(),
    };
    let pages: Vec<u64> = pages.into_iter().map(|page| page.quad()).collect();
    let (length, base) = (length as u64, base.addr() as u64);
    let memory = FastMemory { pages: &pages, first_byte, length, base };
    (ANSWERS.get().expect("installed").fast_register)(&Asked { pd, mr, memory, flags })
}

pub(super) unsafe extern "system" fn invalidate(
    pd: *mut NDK_PD,
    mr: *mut NDK_OBJECT_HEADER,
) -> NTSTATUS {
    (ANSWERS.get().expect("installed").invalidate)(pd, mr.cast())
}

fn region(mr: *mut NDK_MR) -> Mr {
    Mr { raw: NonNull::new(mr).expect("a region"), pump: Pump::own() }
}

/// What a fast registration comes to, and what refused it when it was posted.
fn posted(asked: &Asked<'_>, memory: FastMemory<'_>, flags: ULONG) -> (NTSTATUS, Option<Error>) {
    let access = Access::from_flags(flags).expect("legal flags");
    connected(asked.pd, |port, _| {
        come_to(port, port.fast_register(&region(asked.mr), memory, access))
    })
}

/// As `posted`, of an invalidation.
fn ended(pd: *mut NDK_PD, mr: *mut NDK_MR) -> (NTSTATUS, Option<Error>) {
    connected(pd, |port, _| come_to(port, port.invalidate(&region(mr))))
}

fn come_to(port: &Qp, posted: Result<()>) -> (NTSTATUS, Option<Error>) {
    match posted {
        Ok(()) => (outcome(port, Ok(())), None),
        Err(error) => (error.status(), Some(error)),
    }
}

fn register(asked: &Asked<'_>) -> NTSTATUS {
    let status = posted(asked, asked.memory, asked.flags).0;
    if status == STATUS_SUCCESS {
        lock(&KNOWN).get_or_insert_default().insert(asked.mr.addr(), true);
    }
    status
}

fn end(pd: *mut NDK_PD, mr: *mut NDK_MR) -> NTSTATUS {
    let status = ended(pd, mr).0;
    if status == STATUS_SUCCESS {
        lock(&KNOWN).get_or_insert_default().insert(mr.addr(), false);
    }
    status
}

/// The regions that were fast-registered here, and whether nobody has invalidated them here since.
static KNOWN: Mutex<Option<HashMap<usize, bool>>> = Mutex::new(None);

fn known(mr: *mut NDK_MR) -> Option<bool> {
    lock(&KNOWN).get_or_insert_default().get(&mr.addr()).copied()
}

fn unaligned_page_is_rounded(asked: &Asked<'_>) -> NTSTATUS {
    let page = PAGE_SIZE as u64;
    let pages: Vec<u64> = asked.memory.pages.iter().map(|address| address / page * page).collect();
    register(&Asked { memory: FastMemory { pages: &pages, ..asked.memory }, ..*asked })
}

fn long_registration_is_cut(asked: &Asked<'_>) -> NTSTATUS {
    let room = (asked.memory.pages.len() * PAGE_SIZE) as u64;
    let most = room.saturating_sub(asked.memory.first_byte.into());
    let length = asked.memory.length.min(most);
    register(&Asked { memory: FastMemory { length, ..asked.memory }, ..*asked })
}

/// Rights that a region was initialised without are taken out of what is asked for: that of reading, where it is alone.
fn remote_read_is_dropped(asked: &Asked<'_>) -> NTSTATUS {
    match register(asked) {
        STATUS_ACCESS_VIOLATION if asked.flags == NDK_MR_FLAG_ALLOW_REMOTE_READ => {
            register(&Asked { flags: 0, ..*asked })
        }
        status => status,
    }
}

fn local_region_is_a_parameter(asked: &Asked<'_>) -> NTSTATUS {
    match register(asked) {
        STATUS_ACCESS_VIOLATION if asked.flags == NDK_MR_FLAG_ALLOW_REMOTE_READ => {
            STATUS_INVALID_PARAMETER
        }
        status => status,
    }
}

fn of_other_domain((status, refusal): (NTSTATUS, Option<Error>)) -> NTSTATUS {
    let is_it = refusal.is_some_and(|error| error.rule_id() == "F5");
    if is_it { STATUS_INVALID_DEVICE_STATE } else { status }
}

fn other_domain_is_a_state(asked: &Asked<'_>) -> NTSTATUS {
    of_other_domain(posted(asked, asked.memory, asked.flags))
}

fn other_domain_is_a_state_to_end(pd: *mut NDK_PD, mr: *mut NDK_MR) -> NTSTATUS {
    of_other_domain(ended(pd, mr))
}

/// A registration ends the one before it.
fn valid_region_is_registered_anew(asked: &Asked<'_>) -> NTSTATUS {
    match register(asked) {
        STATUS_INVALID_DEVICE_STATE if end(asked.pd, asked.mr) == STATUS_SUCCESS => register(asked),
        status => status,
    }
}

fn other_region_is_unsupported(asked: &Asked<'_>) -> NTSTATUS {
    let (status, refusal) = posted(asked, asked.memory, asked.flags);
    let is_other = refusal.is_some_and(|error| error.detail().contains("not initialised"));
    if is_other { STATUS_NOT_SUPPORTED } else { status }
}

/// A region that was invalidated, and by nobody else, can be invalidated again.
fn second_invalidation_succeeds(pd: *mut NDK_PD, mr: *mut NDK_MR) -> NTSTATUS {
    match end(pd, mr) {
        STATUS_INVALID_DEVICE_STATE if known(mr) == Some(false) => STATUS_SUCCESS,
        status => status,
    }
}

fn unregistered_region_is_invalidated(pd: *mut NDK_PD, mr: *mut NDK_MR) -> NTSTATUS {
    match end(pd, mr) {
        STATUS_INVALID_DEVICE_STATE if known(mr).is_none() => STATUS_SUCCESS,
        status => status,
    }
}

/// A page that is in no mapping is found by the device, where more than a byte is registered.
fn missing_page_is_a_violation(asked: &Asked<'_>) -> NTSTATUS {
    let (status, refusal) = posted(asked, asked.memory, asked.flags);
    let is_missing = refusal.is_some_and(|error| error.rule_id() == "L2");
    if is_missing && asked.memory.length > 1 { STATUS_ACCESS_VIOLATION } else { status }
}
