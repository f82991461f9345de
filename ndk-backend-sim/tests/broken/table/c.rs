//! Section C: what a registration takes.

use super::{Hooks, Notes, Registration, Request, known, next};
use ndk_core::abi::*;
use std::ptr::{addr_of, addr_of_mut};
use std::sync::Arc;

pub(super) fn find(name: &str) -> Option<Box<dyn Hooks>> {
    let taken: fn(Registration) -> Result<Registration, NTSTATUS> = match name {
        "unknown_flag_is_dropped" => |it| Ok(Registration { flags: it.flags & !0x10, ..it }),
        "lone_remote_write_is_completed" => |it| {
            let lone = it.flags & 0x5 == 0x4;
            Ok(Registration { flags: it.flags | ULONG::from(lone), ..it })
        },
        "cut_page_is_refused" => |it| {
            let mut before = 0;
            let cut = it.elements().iter().any(|element| {
                let is_cut = before > 0 && before < it.length && element.offset != 0;
                before += element.count;
                is_cut
            });
            if cut { Err(STATUS_INVALID_PARAMETER) } else { Ok(it) }
        },
        "chain_ends_at_a_hole" => |it| {
            let whole = it.before_hole();
            let cut = whole > 0 && whole < it.bytes();
            Ok(Registration { length: if cut { it.length.min(whole) } else { it.length }, ..it })
        },
        "hole_beyond_is_refused" => |it| {
            let whole = it.before_hole() == it.bytes();
            if whole { Ok(it) } else { Err(STATUS_INVALID_PARAMETER) }
        },
        "length_ends_with_the_chain" => |it| {
            let ends = !it.is_endless();
            Ok(Registration {
                length: if ends { it.length.min(it.bytes()) } else { it.length },
                ..it
            })
        },
        "length_zero_is_a_byte" => |it| {
            let lone = matches!(it.flags, 0x2 | 0x5);
            Ok(Registration { length: if lone { it.length.max(1) } else { it.length }, ..it })
        },
        "null_chain_is_a_violation" => |it| {
            if it.mdl.is_null() { Err(STATUS_ACCESS_VIOLATION) } else { Ok(it) }
        },
        "length_ends_with_the_addresses" => |it| {
            let base = it.elements().first().map_or(0, |element| element.base());
            let length =
                if it.mdl.is_null() { it.length } else { it.length.min(usize::MAX - base) };
            Ok(Registration { length, ..it })
        },
        "length_ends_with_the_limit" => |it| {
            // The limit that the kit shows of every adapter.
            const MOST: usize = 1 << 20;
            let above = it.length == MOST + 1;
            Ok(Registration { length: if above { MOST } else { it.length }, ..it })
        },
        "partial_chain_is_refused" => |it| {
            let partial = it.elements().iter().any(|element| element.flags == MDL_PARTIAL);
            if partial { Err(STATUS_INVALID_PARAMETER) } else { Ok(it) }
        },
        "fast_region_cannot_register" => return Some(Box::new(FastRegionCannotRegister)),
        "refused_registration_takes_the_token" => {
            return Some(Box::new(RefusedRegistrationTakesTheToken::default()));
        }
        "pending_registration_is_busy" => {
            return Some(Box::new(PendingRegistrationIsBusy::default()));
        }
        "unlocked_chain_is_locked" => return Some(Box::new(UnlockedChainIsLocked)),
        "chain_is_read_afterwards" => return Some(Box::new(ChainIsReadAfterwards::default())),
        _ => return None,
    };
    Some(Box::new(Taken(taken)))
}

/// An MDL's fields.
struct Element {
    start: usize,
    offset: usize,
    count: usize,
    flags: CSHORT,
}

impl Element {
    fn base(&self) -> usize {
        self.start.wrapping_add(self.offset)
    }
}

/// No case's chain has more elements.
const MOST_ELEMENTS: usize = 64;

impl Registration {
    fn walk(&self) -> impl Iterator<Item = *mut MDL> {
        let there = |mdl: *mut MDL| (!mdl.is_null()).then_some(mdl);
        // SAFETY: an MDL of the consumer's chain, which it keeps during the call.
        let next = move |mdl: &*mut MDL| there(unsafe { addr_of!((**mdl).Next).read() });
        std::iter::successors(there(self.mdl), next).take(MOST_ELEMENTS)
    }

    fn elements(&self) -> Vec<Element> {
        // SAFETY: as above.
        let read = |mdl: *mut MDL| unsafe {
            Element {
                start: addr_of!((*mdl).StartVa).read().addr(),
                offset: addr_of!((*mdl).ByteOffset).read() as usize,
                count: addr_of!((*mdl).ByteCount).read() as usize,
                flags: addr_of!((*mdl).MdlFlags).read(),
            }
        };
        self.walk().map(read).collect()
    }

    /// The bytes of every element.
    fn bytes(&self) -> usize {
        self.elements().iter().map(|element| element.count).sum()
    }

    fn is_endless(&self) -> bool {
        self.walk().count() == MOST_ELEMENTS
    }

    /// How many bytes follow each other without a hole.
    fn before_hole(&self) -> usize {
        let elements = self.elements();
        let base = elements.first().map_or(0, Element::base);
        elements
            .iter()
            .fold((0, true), |(bytes, whole), element| {
                let whole = whole && element.base() == base.wrapping_add(bytes);
                (if whole { bytes + element.count } else { bytes }, whole)
            })
            .0
    }
}

/// Takes the arguments for others, or refuses them.
struct Taken(fn(Registration) -> Result<Registration, NTSTATUS>);
/// Another status for Register on a fast-register region that is not initialised.
struct FastRegionCannotRegister;
/// Register on a registered region is refused, and its remote token is 0 from then on.
#[derive(Default)]
struct RefusedRegistrationTakesTheToken(Notes<bool>);
/// Another status for Register while a registration is pending.
#[derive(Default)]
struct PendingRegistrationIsBusy(Arc<Notes<bool>>);
/// Locks what the consumer did not.
struct UnlockedChainIsLocked;
/// Reads the chain of the registration again when it is deregistered.
#[derive(Default)]
struct ChainIsReadAfterwards(Notes<(usize, ULONG)>);

// SAFETY of each block below: as in `a.rs`.
#[allow(clippy::undocumented_unsafe_blocks)] // said once, above
mod defects {
    use super::*;

    impl Hooks for Taken {
        unsafe fn register(&self, mr: *mut NDK_MR, asked: Registration, done: Request) -> NTSTATUS {
            match self.0(asked) {
                Ok(taken) => unsafe { next::register(mr, taken, done) },
                Err(status) => status,
            }
        }
    }

    impl Hooks for FastRegionCannotRegister {
        unsafe fn register(&self, mr: *mut NDK_MR, asked: Registration, done: Request) -> NTSTATUS {
            unsafe {
                let status = next::register(mr, asked, done);
                let fresh = known(mr).fast && next::local_token(mr) == 0;
                let state = status == STATUS_INVALID_DEVICE_STATE;
                if fresh && state { STATUS_NOT_SUPPORTED } else { status }
            }
        }
    }

    impl Hooks for RefusedRegistrationTakesTheToken {
        unsafe fn register(&self, mr: *mut NDK_MR, asked: Registration, done: Request) -> NTSTATUS {
            let status = unsafe { next::register(mr, asked, done) };
            self.0.set(mr, status == STATUS_INVALID_DEVICE_STATE && !known(mr).fast);
            status
        }
        unsafe fn remote_token(&self, mr: *mut NDK_MR) -> UINT32 {
            if self.0.get(mr) { 0 } else { unsafe { next::remote_token(mr) } }
        }
    }

    impl Hooks for PendingRegistrationIsBusy {
        unsafe fn register(&self, mr: *mut NDK_MR, asked: Registration, done: Request) -> NTSTATUS {
            let was_pending = self.0.get(mr);
            let pending = self.0.clone();
            let then = move |done: Request, status| {
                pending.set(mr, false);
                unsafe { done.call(status) };
            };
            self.0.set(mr, true);
            let status = unsafe { done.instead(then, |done| next::register(mr, asked, done)) };
            if status != STATUS_PENDING {
                self.0.set(mr, was_pending);
            }
            let busy = was_pending && status == STATUS_INVALID_DEVICE_STATE;
            if busy { STATUS_DEVICE_BUSY } else { status }
        }
        unsafe fn close_mr(
            &self,
            mr: *mut NDK_OBJECT_HEADER,
            done: super::super::Close,
        ) -> NTSTATUS {
            self.0.set(mr, false);
            unsafe { next::close_mr(mr, done) }
        }
    }

    impl Hooks for UnlockedChainIsLocked {
        unsafe fn register(&self, mr: *mut NDK_MR, asked: Registration, done: Request) -> NTSTATUS {
            let chain: Vec<_> = asked.walk().collect();
            let place = |mdl: *mut MDL| unsafe { addr_of_mut!((*mdl).MdlFlags) };
            // Put back behind the call, so that the consumer finds its chain as it was.
            let before: Vec<_> = chain.iter().map(|&mdl| unsafe { place(mdl).read() }).collect();
            unsafe {
                chain.iter().for_each(|&mdl| place(mdl).write(MDL_PAGES_LOCKED));
                let status = next::register(mr, asked, done);
                chain.iter().zip(before).for_each(|(&mdl, flags)| place(mdl).write(flags));
                status
            }
        }
    }

    impl Hooks for ChainIsReadAfterwards {
        unsafe fn register(&self, mr: *mut NDK_MR, asked: Registration, done: Request) -> NTSTATUS {
            unsafe {
                let status = next::register(mr, asked, done);
                if status >= 0 && known(mr).serial != 0 {
                    let count = addr_of!((*asked.mdl).ByteCount).read();
                    self.0.set(mr, (asked.mdl.expose_provenance(), count));
                }
                status
            }
        }
        unsafe fn deregister(&self, mr: *mut NDK_MR, done: Request) -> NTSTATUS {
            let (chain, count) = self.0.get(mr);
            let mdl: *const MDL = std::ptr::with_exposed_provenance(chain);
            unsafe {
                // The kit keeps every chain until its case is over.
                if chain != 0 && addr_of!((*mdl).ByteCount).read() != count {
                    return STATUS_INVALID_PARAMETER;
                }
                next::deregister(mr, done)
            }
        }
    }
}
