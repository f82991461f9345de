//! Sections H and L, as far as the framework enforces them.

use super::{Close, Create, Hooks, Notes, Pages, Registration, Request, known, lock, next};
use ndk_core::abi::*;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

pub(super) fn find(name: &str) -> Option<Box<dyn Hooks>> {
    Some(match name {
        "failed_region_does_not_close" => Box::new(FailedRegionDoesNotClose::default()),
        "close_overtakes_requests" => Box::new(CloseOvertakesRequests::default()),
        "close_of_a_queue_is_called_twice" => Box::new(CloseOfAQueueIsCalledTwice::default()),
        "domain_overtakes_the_childs_callback" => Box::new(DomainOvertakesTheChild::default()),
        "domain_of_many_stays" => Box::new(DomainOfManyStays::default()),
        "closing_region_is_removed" => Box::new(ClosingRegionIsRemoved::default()),
        "second_close_pends" => Box::new(SecondClosePends::default()),
        "lost_device_cancels" => Box::new(LostDeviceCancels),
        "lost_device_initialises" => Box::new(LostDeviceInitialises),
        "lost_device_is_not_ready_to_map" => Box::new(LostDeviceIsNotReadyToMap),
        "offset_is_forgotten" => Box::new(OffsetIsForgotten),
        "size_needed_is_the_header" => Box::new(SizeNeededIsTheHeader),
        _ => return None,
    })
}

/// The first Close of a region whose only registration failed for short resources is refused.
#[derive(Default)]
struct FailedRegionDoesNotClose(Arc<Notes<bool>>);
/// The close completion comes at once, whatever is pending.
#[derive(Default)]
struct CloseOvertakesRequests(Arc<Notes<usize>>);
/// The close completion comes twice, where initialisations wait for each other.
#[derive(Default)]
struct CloseOfAQueueIsCalledTwice(Arc<Notes<usize>>);
/// The close completion of a domain comes before that of its last region, where that one pends.
#[derive(Default)]
struct DomainOvertakesTheChild(Arc<Mutex<Domains>>);
/// The close of a domain completes, and yet it is not closed, where it had three regions or more.
#[derive(Default)]
struct DomainOfManyStays(Arc<Mutex<Domains>>);
/// Deregister on a region that is being closed is DEVICE_REMOVED.
#[derive(Default)]
struct ClosingRegionIsRemoved(Notes<bool>);
/// A second Close pends, and calls back.
#[derive(Default)]
struct SecondClosePends(Notes<bool>);
/// New registrations on a lost device are CANCELLED.
struct LostDeviceCancels;
/// InitializeFastRegister on a lost device says that it succeeded.
struct LostDeviceInitialises;
/// BuildLAM on a lost device is INVALID_DEVICE_STATE.
struct LostDeviceIsNotReadyToMap;
/// BuildLAM gives 0 for the offset of the first byte.
struct OffsetIsForgotten;
/// BuildLAM wants room for one page, however many there are.
struct SizeNeededIsTheHeader;

/// The regions of each domain, and the completion of a close that waits for them.
#[derive(Default)]
struct Domains {
    regions: HashMap<usize, usize>,
    waiting: HashMap<usize, Waiting>,
}

struct Waiting(Close);

// SAFETY: a consumer's context is a number to the layer, and its routine may be called on any thread.
unsafe impl Send for Waiting {}

impl Domains {
    fn add(&mut self, domain: usize) {
        *self.regions.entry(domain).or_default() += 1;
    }

    fn count(&self, domain: usize) -> usize {
        self.regions.get(&domain).copied().unwrap_or_default()
    }

    fn remove(&mut self, domain: usize) {
        if let Some(count) = self.regions.get_mut(&domain) {
            *count -= 1;
        }
    }

    /// A region is gone; who waits for it if it was the last.
    fn take_if_last(&mut self, domain: usize) -> Option<Waiting> {
        self.remove(domain);
        if self.count(domain) == 0 { self.waiting.remove(&domain) } else { None }
    }
}

unsafe extern "system" fn nobody(_: PVOID) {}

/// # Safety
/// As for the entry.
unsafe fn counted(
    domains: &Arc<Mutex<Domains>>,
    (pd, fast): (*mut NDK_PD, BOOLEAN),
    done: Create,
    out: *mut *mut NDK_MR,
) -> NTSTATUS {
    let (of, later) = (known(pd).serial, domains.clone());
    let then = move |done: Create, (status, object)| {
        if status == STATUS_SUCCESS {
            lock(&later).add(of);
        }
        // SAFETY: the creation's one callback.
        unsafe { done.call((status, object)) };
    };
    // SAFETY: the caller's promise.
    let status = unsafe { done.instead(then, |done| next::create_mr(pd, fast, done, out)) };
    if status == STATUS_SUCCESS {
        lock(domains).add(of);
    }
    status
}

// SAFETY of each block below: as in `a.rs`.
#[allow(clippy::undocumented_unsafe_blocks)] // said once, above
mod defects {
    use super::*;

    impl Hooks for FailedRegionDoesNotClose {
        unsafe fn register(&self, mr: *mut NDK_MR, asked: Registration, done: Request) -> NTSTATUS {
            let short = self.0.clone();
            let ended = move |status| short.set(mr, status == STATUS_INSUFFICIENT_RESOURCES);
            unsafe { super::super::b::watch(done, ended, |done| next::register(mr, asked, done)) }
        }
        unsafe fn close_mr(&self, mr: *mut NDK_OBJECT_HEADER, done: Close) -> NTSTATUS {
            if self.0.get(mr) {
                self.0.set(mr, false);
                return STATUS_INVALID_DEVICE_STATE;
            }
            unsafe { next::close_mr(mr, done) }
        }
    }

    impl CloseOvertakesRequests {
        unsafe fn enter(
            &self,
            mr: *mut NDK_MR,
            done: Request,
            entry: impl FnOnce(Request) -> NTSTATUS,
        ) -> NTSTATUS {
            let count = self.0.clone();
            count.set(mr, count.get(mr) + 1);
            let ended = move |_| count.set(mr, count.get(mr) - 1);
            unsafe { super::super::b::watch(done, ended, entry) }
        }
    }

    impl Hooks for CloseOvertakesRequests {
        unsafe fn register(&self, mr: *mut NDK_MR, asked: Registration, done: Request) -> NTSTATUS {
            unsafe { self.enter(mr, done, |done| next::register(mr, asked, done)) }
        }
        unsafe fn deregister(&self, mr: *mut NDK_MR, done: Request) -> NTSTATUS {
            unsafe { self.enter(mr, done, |done| next::deregister(mr, done)) }
        }
        unsafe fn close_mr(&self, mr: *mut NDK_OBJECT_HEADER, done: Close) -> NTSTATUS {
            unsafe {
                if self.0.get(mr) == 0 || done.routine.is_none() {
                    return next::close_mr(mr, done);
                }
                let status = next::close_mr(mr, Close { routine: Some(nobody), ..done });
                if status == STATUS_PENDING {
                    done.call(());
                }
                status
            }
        }
    }

    impl Hooks for CloseOfAQueueIsCalledTwice {
        unsafe fn initialise(&self, mr: *mut NDK_MR, asked: Pages, done: Request) -> NTSTATUS {
            let count = self.0.clone();
            count.set(mr, count.get(mr) + 1);
            let ended = move |_| count.set(mr, count.get(mr) - 1);
            unsafe { super::super::b::watch(done, ended, |done| next::initialise(mr, asked, done)) }
        }
        unsafe fn close_mr(&self, mr: *mut NDK_OBJECT_HEADER, done: Close) -> NTSTATUS {
            let queued = self.0.get(mr) > 1;
            let then = move |done: Close, ()| unsafe {
                done.call(());
                if queued {
                    done.call(());
                }
            };
            unsafe { done.instead(then, |done| next::close_mr(mr, done)) }
        }
    }

    impl Hooks for DomainOvertakesTheChild {
        unsafe fn create_mr(
            &self,
            pd: *mut NDK_PD,
            fast: BOOLEAN,
            done: Create,
            out: *mut *mut NDK_MR,
        ) -> NTSTATUS {
            unsafe { counted(&self.0, (pd, fast), done, out) }
        }
        unsafe fn close_pd(&self, pd: *mut NDK_OBJECT_HEADER, done: Close) -> NTSTATUS {
            let (of, domains) = (known(pd).serial, self.0.clone());
            if lock(&domains).count(of) == 0 {
                return unsafe { next::close_pd(pd, done) };
            }
            let then = move |_, ()| {
                let waiting = lock(&domains).waiting.remove(&of);
                if let Some(Waiting(done)) = waiting {
                    unsafe { done.call(()) };
                }
            };
            let status = unsafe { done.instead(then, |done| next::close_pd(pd, done)) };
            if status == STATUS_PENDING {
                lock(&self.0).waiting.insert(of, Waiting(done));
            }
            status
        }
        unsafe fn close_mr(&self, mr: *mut NDK_OBJECT_HEADER, done: Close) -> NTSTATUS {
            let (of, domains) = (known(mr).parent, self.0.clone());
            let then = move |done: Close, ()| {
                let waiting = lock(&domains).take_if_last(of);
                if let Some(Waiting(domain)) = waiting {
                    unsafe { domain.call(()) };
                }
                unsafe { done.call(()) };
            };
            let status = unsafe { done.instead(then, |done| next::close_mr(mr, done)) };
            if status == STATUS_SUCCESS {
                lock(&self.0).remove(of);
            }
            status
        }
    }

    impl Hooks for DomainOfManyStays {
        unsafe fn create_mr(
            &self,
            pd: *mut NDK_PD,
            fast: BOOLEAN,
            done: Create,
            out: *mut *mut NDK_MR,
        ) -> NTSTATUS {
            unsafe { counted(&self.0, (pd, fast), done, out) }
        }
        unsafe fn close_mr(&self, mr: *mut NDK_OBJECT_HEADER, done: Close) -> NTSTATUS {
            let of = known(mr).parent;
            let status = unsafe { next::close_mr(mr, done) };
            if status >= 0 {
                lock(&self.0).remove(of);
            }
            status
        }
        unsafe fn close_pd(&self, pd: *mut NDK_OBJECT_HEADER, done: Close) -> NTSTATUS {
            unsafe {
                if lock(&self.0).count(known(pd).serial) < 3 {
                    return next::close_pd(pd, done);
                }
                done.call(());
                STATUS_PENDING
            }
        }
    }

    impl Hooks for ClosingRegionIsRemoved {
        unsafe fn deregister(&self, mr: *mut NDK_MR, done: Request) -> NTSTATUS {
            let status = unsafe { next::deregister(mr, done) };
            let closing = self.0.get(mr) && status == STATUS_INVALID_DEVICE_STATE;
            if closing { STATUS_DEVICE_REMOVED } else { status }
        }
        unsafe fn close_mr(&self, mr: *mut NDK_OBJECT_HEADER, done: Close) -> NTSTATUS {
            self.0.set(mr, true);
            unsafe { next::close_mr(mr, done) }
        }
    }

    impl Hooks for SecondClosePends {
        unsafe fn close_mr(&self, mr: *mut NDK_OBJECT_HEADER, done: Close) -> NTSTATUS {
            unsafe {
                let status = next::close_mr(mr, done);
                let second = self.0.get(mr) && status == STATUS_INVALID_DEVICE_STATE;
                self.0.set(mr, true);
                if second {
                    done.call(());
                    return STATUS_PENDING;
                }
                status
            }
        }
    }

    impl Hooks for LostDeviceCancels {
        unsafe fn register(&self, mr: *mut NDK_MR, asked: Registration, done: Request) -> NTSTATUS {
            let status = unsafe { next::register(mr, asked, done) };
            if status == STATUS_DEVICE_REMOVED { STATUS_CANCELLED } else { status }
        }
    }

    impl Hooks for LostDeviceInitialises {
        unsafe fn initialise(&self, mr: *mut NDK_MR, asked: Pages, done: Request) -> NTSTATUS {
            let status = unsafe { next::initialise(mr, asked, done) };
            if status == STATUS_DEVICE_REMOVED { STATUS_SUCCESS } else { status }
        }
    }

    impl Hooks for LostDeviceIsNotReadyToMap {
        unsafe fn build_mapping(
            &self,
            adapter: *mut NDK_ADAPTER,
            memory: (*mut MDL, SIZE_T),
            done: Request,
            lam: *mut NDK_LOGICAL_ADDRESS_MAPPING,
            numbers: (*mut ULONG, *mut ULONG),
        ) -> NTSTATUS {
            let status = unsafe { next::build_mapping(adapter, memory, done, lam, numbers) };
            if status == STATUS_DEVICE_REMOVED { STATUS_INVALID_DEVICE_STATE } else { status }
        }
    }

    impl Hooks for OffsetIsForgotten {
        unsafe fn build_mapping(
            &self,
            adapter: *mut NDK_ADAPTER,
            memory: (*mut MDL, SIZE_T),
            done: Request,
            lam: *mut NDK_LOGICAL_ADDRESS_MAPPING,
            (size, fbo): (*mut ULONG, *mut ULONG),
        ) -> NTSTATUS {
            unsafe {
                let status = next::build_mapping(adapter, memory, done, lam, (size, fbo));
                if status >= 0 {
                    *fbo = 0;
                }
                status
            }
        }
    }

    impl Hooks for SizeNeededIsTheHeader {
        unsafe fn build_mapping(
            &self,
            adapter: *mut NDK_ADAPTER,
            memory: (*mut MDL, SIZE_T),
            done: Request,
            lam: *mut NDK_LOGICAL_ADDRESS_MAPPING,
            (size, fbo): (*mut ULONG, *mut ULONG),
        ) -> NTSTATUS {
            unsafe {
                let status = next::build_mapping(adapter, memory, done, lam, (size, fbo));
                if status == STATUS_BUFFER_TOO_SMALL {
                    *size = size_of::<NDK_LOGICAL_ADDRESS_MAPPING>() as ULONG;
                }
                status
            }
        }
    }
}
