//! Sections D to G, as far as the framework enforces them.

use super::{Close, Hooks, Notes, Pages, Registration, Request, known, next};
use crate::rust::is_bound;
use ndk_core::abi::*;
use std::sync::Arc;

pub(super) fn find(name: &str) -> Option<Box<dyn Hooks>> {
    Some(match name {
        "second_deregistration_succeeds" => Box::new(SecondDeregistrationSucceeds::default()),
        "fast_region_cannot_deregister" => Box::new(FastRegionCannotDeregister),
        "bound_region_deregisters" => Box::new(BoundRegionDeregisters),
        "token_comes_before_its_registration" => {
            Box::new(TokenComesBeforeItsRegistration::default())
        }
        "refused_initialisation_takes_the_token" => {
            Box::new(RefusedInitialisationTakesTheToken::default())
        }
        "page_limit_is_a_parameter" => Box::new(PageLimitIsAParameter),
        "most_pages_and_one_are_taken" => Box::new(MostPagesAndOneAreTaken),
        "first_of_parallel_decides" => Box::new(FirstOfParallelDecides::default()),
        "valid_region_is_busy" => Box::new(ValidRegionIsBusy::default()),
        _ => return None,
    })
}

/// Deregistering once more succeeds once more.
#[derive(Default)]
struct SecondDeregistrationSucceeds(Notes<bool>);
/// Another status for Deregister on a fast-register region that is not initialised.
struct FastRegionCannotDeregister;
/// Deregister says SUCCESS of a region that a window is bound to.
struct BoundRegionDeregisters;
/// While a registration is pending there is a token already.
#[derive(Default)]
struct TokenComesBeforeItsRegistration(Arc<Notes<bool>>);
/// Initialising a registered conventional region is refused, and its local token is 0 from then on.
#[derive(Default)]
struct RefusedInitialisationTakesTheToken(Notes<bool>);
/// INVALID_PARAMETER for too many pages.
struct PageLimitIsAParameter;
/// Off by one at the limit of pages.
struct MostPagesAndOneAreTaken;
/// An initialisation that waits for another takes over whether that allowed remote access.
#[derive(Default)]
struct FirstOfParallelDecides(Arc<Notes<Option<BOOLEAN>>>);
/// Another status for initialising a region whose fast registration is valid.
#[derive(Default)]
struct ValidRegionIsBusy(Notes<bool>);

// SAFETY of each block below: as in `a.rs`.
#[allow(clippy::undocumented_unsafe_blocks)] // said once, above
mod defects {
    use super::*;

    impl Hooks for SecondDeregistrationSucceeds {
        unsafe fn register(&self, mr: *mut NDK_MR, asked: Registration, done: Request) -> NTSTATUS {
            self.0.set(mr, false);
            unsafe { next::register(mr, asked, done) }
        }
        unsafe fn deregister(&self, mr: *mut NDK_MR, done: Request) -> NTSTATUS {
            let status = unsafe { next::deregister(mr, done) };
            if status == STATUS_INVALID_DEVICE_STATE && self.0.get(mr) {
                return STATUS_SUCCESS;
            }
            self.0.set(mr, status >= 0);
            status
        }
        unsafe fn close_mr(&self, mr: *mut NDK_OBJECT_HEADER, done: Close) -> NTSTATUS {
            self.0.set(mr, false);
            unsafe { next::close_mr(mr, done) }
        }
    }

    impl Hooks for FastRegionCannotDeregister {
        unsafe fn deregister(&self, mr: *mut NDK_MR, done: Request) -> NTSTATUS {
            unsafe {
                let status = next::deregister(mr, done);
                let fresh = known(mr).fast && next::local_token(mr) == 0;
                let state = status == STATUS_INVALID_DEVICE_STATE;
                if fresh && state { STATUS_NOT_SUPPORTED } else { status }
            }
        }
    }

    impl Hooks for BoundRegionDeregisters {
        unsafe fn deregister(&self, mr: *mut NDK_MR, done: Request) -> NTSTATUS {
            unsafe {
                let status = next::deregister(mr, done);
                let bound = status == STATUS_DEVICE_BUSY && is_bound(next::local_token(mr));
                if bound { STATUS_SUCCESS } else { status }
            }
        }
    }

    impl Hooks for TokenComesBeforeItsRegistration {
        unsafe fn register(&self, mr: *mut NDK_MR, asked: Registration, done: Request) -> NTSTATUS {
            let pending = self.0.clone();
            let then = move |done: Request, status| {
                pending.set(mr, false);
                unsafe { done.call(status) };
            };
            let before = self.0.get(mr);
            self.0.set(mr, true);
            let status = unsafe { done.instead(then, |done| next::register(mr, asked, done)) };
            if status != STATUS_PENDING {
                self.0.set(mr, before);
            }
            status
        }
        unsafe fn local_token(&self, mr: *mut NDK_MR) -> UINT32 {
            if self.0.get(mr) { 0x77 } else { unsafe { next::local_token(mr) } }
        }
        unsafe fn close_mr(&self, mr: *mut NDK_OBJECT_HEADER, done: Close) -> NTSTATUS {
            self.0.set(mr, false);
            unsafe { next::close_mr(mr, done) }
        }
    }

    impl Hooks for RefusedInitialisationTakesTheToken {
        unsafe fn register(&self, mr: *mut NDK_MR, asked: Registration, done: Request) -> NTSTATUS {
            self.0.set(mr, false);
            unsafe { next::register(mr, asked, done) }
        }
        unsafe fn initialise(&self, mr: *mut NDK_MR, asked: Pages, done: Request) -> NTSTATUS {
            unsafe {
                let status = next::initialise(mr, asked, done);
                let registered = !known(mr).fast && next::local_token(mr) != 0;
                self.0.set(mr, registered && status == STATUS_INVALID_DEVICE_STATE);
                status
            }
        }
        unsafe fn local_token(&self, mr: *mut NDK_MR) -> UINT32 {
            if self.0.get(mr) { 0 } else { unsafe { next::local_token(mr) } }
        }
    }

    impl Hooks for PageLimitIsAParameter {
        unsafe fn initialise(&self, mr: *mut NDK_MR, asked: Pages, done: Request) -> NTSTATUS {
            let status = unsafe { next::initialise(mr, asked, done) };
            let limit = status == STATUS_IMPLEMENTATION_LIMIT;
            if limit { STATUS_INVALID_PARAMETER } else { status }
        }
    }

    impl Hooks for MostPagesAndOneAreTaken {
        unsafe fn initialise(&self, mr: *mut NDK_MR, asked: Pages, done: Request) -> NTSTATUS {
            unsafe {
                let status = next::initialise(mr, asked, done);
                if status != STATUS_IMPLEMENTATION_LIMIT {
                    return status;
                }
                let fewer = asked.count.saturating_sub(1);
                next::initialise(mr, Pages { count: fewer, ..asked }, done)
            }
        }
    }

    impl Hooks for FirstOfParallelDecides {
        unsafe fn initialise(&self, mr: *mut NDK_MR, asked: Pages, done: Request) -> NTSTATUS {
            let first = self.0.get(mr);
            let pending = self.0.clone();
            let then = move |done: Request, status| {
                pending.set(mr, None);
                unsafe { done.call(status) };
            };
            if first.is_none() {
                self.0.set(mr, Some(asked.remote));
            }
            let asked = Pages { remote: first.unwrap_or(asked.remote), ..asked };
            let status = unsafe { done.instead(then, |done| next::initialise(mr, asked, done)) };
            if status != STATUS_PENDING {
                self.0.set(mr, first);
            }
            status
        }
    }

    impl Hooks for ValidRegionIsBusy {
        unsafe fn initialise(&self, mr: *mut NDK_MR, asked: Pages, done: Request) -> NTSTATUS {
            let status = unsafe { next::initialise(mr, asked, done) };
            let closing = self.0.get(mr) || !known(mr).fast;
            let busy = status == STATUS_INVALID_DEVICE_STATE && !closing;
            if busy { STATUS_DEVICE_BUSY } else { status }
        }
        unsafe fn close_mr(&self, mr: *mut NDK_OBJECT_HEADER, done: Close) -> NTSTATUS {
            self.0.set(mr, true);
            unsafe { next::close_mr(mr, done) }
        }
    }
}
