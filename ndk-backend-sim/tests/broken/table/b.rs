//! Section B: how requests complete.

use super::{Close, Create, Hooks, Notes, Pages, Question, Registration, Request, lock, next};
use ndk_core::abi::*;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

pub(super) fn find(name: &str) -> Option<Box<dyn Hooks>> {
    Some(match name {
        "inline_failure_calls_back" => Box::new(InlineFailureCallsBack),
        "null_context_is_called_twice" => Box::new(NullContextIsCalledTwice),
        "null_context_is_not_called" => Box::new(NullContextIsNotCalled),
        "crowd_is_called_twice" => Box::new(CrowdIsCalledTwice::default()),
        "early_end_is_returned" => Box::new(EarlyEndIsReturned::default()),
        "state_comes_after_the_callback" => Box::new(StateComesAfterTheCallback),
        "close_inside_is_done_at_once" => Box::new(CloseInsideIsDoneAtOnce),
        "deregister_waits" => Box::new(DeregisterWaits::default()),
        "third_shortage_sticks" => Box::new(ThirdShortageSticks::default()),
        "short_deregistration_ends_all" => Box::new(ShortDeregistrationEndsAll::default()),
        "short_registration_has_a_token" => Box::new(ShortRegistrationHasAToken::default()),
        "short_initialisation_changes_the_token" => {
            Box::new(ShortInitialisationChangesTheToken::default())
        }
        "poisoned_region_answers_questions" => Box::new(PoisonedRegionAnswersQuestions),
        "poisoned_region_deregisters" => Box::new(PoisonedRegionDeregisters),
        "dropped_creation_is_short" => Box::new(DroppedCreationIsShort),
        _ => return None,
    })
}

/// A registration that fails inline in a way of the device's own calls back besides.
struct InlineFailureCallsBack;
/// Takes a null context for one that was not served yet.
struct NullContextIsCalledTwice;
/// Takes a null context for nobody.
struct NullContextIsNotCalled;
/// Loses count when many requests are pending.
#[derive(Default)]
struct CrowdIsCalledTwice(Arc<AtomicUsize>);
/// Returns the final status where the callback came before the return; on the second request that ends so, on another
/// thread. (The first, and others on the same thread, are what B9 tries.)
#[derive(Default)]
struct EarlyEndIsReturned(Notes<bool>);
/// Makes the new state visible only after the callback.
struct StateComesAfterTheCallback;
/// Says SUCCESS for a close inside a deregistration's callback, and calls back later.
struct CloseInsideIsDoneAtOnce;
/// Waits inside Deregister for the end of the operation, where the region gives no rights and its tokens were not read:
/// a wait takes long, so that few cases are to have one.
#[derive(Default)]
struct DeregisterWaits(Notes<bool>);
/// After the third registration for which resources were short, the region stays claimed.
#[derive(Default)]
struct ThirdShortageSticks(Arc<Notes<usize>>);
/// A deregistration for which resources were short leaves the region as if it had succeeded.
#[derive(Default)]
struct ShortDeregistrationEndsAll(Arc<Notes<bool>>);
/// A registration for which resources were short leaves a token.
#[derive(Default)]
struct ShortRegistrationHasAToken(Arc<Notes<bool>>);
/// An initialisation for which resources were short leaves another token.
#[derive(Default)]
struct ShortInitialisationChangesTheToken(Arc<Notes<bool>>);
/// QueryExtension does not ask whether the region is poisoned.
struct PoisonedRegionAnswersQuestions;
/// Deregister of a poisoned region is nothing to do.
struct PoisonedRegionDeregisters;
/// A creation that the executor dropped ends with INSUFFICIENT_RESOURCES.
struct DroppedCreationIsShort;

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Gives the end of a request to `ended`, whichever way it comes.
///
/// # Safety
/// As for the entry.
pub(super) unsafe fn watch(
    done: Request,
    ended: impl Fn(NTSTATUS) + Clone + 'static,
    entry: impl FnOnce(Request) -> NTSTATUS,
) -> NTSTATUS {
    let later = ended.clone();
    let then = move |done: Request, status| {
        later(status);
        // SAFETY: the request's one callback.
        unsafe { done.call(status) };
    };
    // SAFETY: the caller's promise.
    let status = unsafe { done.instead(then, entry) };
    if status != STATUS_PENDING {
        ended(status);
    }
    status
}

// SAFETY of each block in this file: as in `a.rs`.
#[allow(clippy::undocumented_unsafe_blocks)] // said once, above
mod defects {
    use super::*;

    impl Hooks for InlineFailureCallsBack {
        unsafe fn register(&self, mr: *mut NDK_MR, asked: Registration, done: Request) -> NTSTATUS {
            unsafe {
                let status = next::register(mr, asked, done);
                if status == STATUS_NOT_SUPPORTED {
                    done.call(status);
                }
                status
            }
        }
    }

    impl Hooks for NullContextIsCalledTwice {
        unsafe fn register(&self, mr: *mut NDK_MR, asked: Registration, done: Request) -> NTSTATUS {
            let twice = |done: Request, status| unsafe {
                done.call(status);
                if done.context.is_null() {
                    done.call(status);
                }
            };
            unsafe { done.instead(twice, |done| next::register(mr, asked, done)) }
        }
    }

    impl Hooks for NullContextIsNotCalled {
        unsafe fn register(&self, mr: *mut NDK_MR, asked: Registration, done: Request) -> NTSTATUS {
            let then = |done: Request, status| unsafe {
                if !done.context.is_null() {
                    done.call(status);
                }
            };
            unsafe { done.instead(then, |done| next::register(mr, asked, done)) }
        }
    }

    impl Hooks for CrowdIsCalledTwice {
        unsafe fn register(&self, mr: *mut NDK_MR, asked: Registration, done: Request) -> NTSTATUS {
            self.0.fetch_add(1, Ordering::SeqCst);
            let crowd = self.0.clone();
            let twice = move |done: Request, status| unsafe {
                let many = crowd.fetch_sub(1, Ordering::SeqCst) > 10;
                done.call(status);
                if many {
                    done.call(status);
                }
            };
            unsafe {
                let status = done.instead(twice, |done| next::register(mr, asked, done));
                if status != STATUS_PENDING {
                    self.0.fetch_sub(1, Ordering::SeqCst);
                }
                status
            }
        }
    }

    impl EarlyEndIsReturned {
        unsafe fn enter(
            &self,
            mr: *mut NDK_MR,
            done: Request,
            entry: impl FnOnce(Request) -> NTSTATUS,
        ) -> NTSTATUS {
            let called: Arc<Mutex<Option<(ThreadId, NTSTATUS)>>> = Arc::default();
            let note = called.clone();
            let then = move |done: Request, status| {
                *lock(&note) = Some((thread::current().id(), status));
                unsafe { done.call(status) };
            };
            let status = unsafe { done.instead(then, entry) };
            let early = lock(&called).filter(|(on, _)| *on != thread::current().id());
            let second = self.0.get(mr);
            self.0.set(mr, early.is_some());
            early.filter(|_| second).map_or(status, |(_, last)| last)
        }
    }

    impl Hooks for EarlyEndIsReturned {
        unsafe fn register(&self, mr: *mut NDK_MR, asked: Registration, done: Request) -> NTSTATUS {
            unsafe { self.enter(mr, done, |done| next::register(mr, asked, done)) }
        }
        unsafe fn deregister(&self, mr: *mut NDK_MR, done: Request) -> NTSTATUS {
            unsafe { self.enter(mr, done, |done| next::deregister(mr, done)) }
        }
    }

    impl Hooks for StateComesAfterTheCallback {
        unsafe fn register(&self, mr: *mut NDK_MR, asked: Registration, done: Request) -> NTSTATUS {
            let then = |done: Request, status| {
                INSIDE.set(true);
                unsafe { done.call(status) };
                INSIDE.set(false);
            };
            unsafe { done.instead(then, |done| next::register(mr, asked, done)) }
        }
        unsafe fn remote_token(&self, mr: *mut NDK_MR) -> UINT32 {
            if INSIDE.get() { 0 } else { unsafe { next::remote_token(mr) } }
        }
    }

    impl Hooks for CloseInsideIsDoneAtOnce {
        unsafe fn deregister(&self, mr: *mut NDK_MR, done: Request) -> NTSTATUS {
            let then = |done: Request, status| {
                INSIDE.set(true);
                unsafe { done.call(status) };
                INSIDE.set(false);
            };
            unsafe { done.instead(then, |done| next::deregister(mr, done)) }
        }
        unsafe fn close_mr(&self, mr: *mut NDK_OBJECT_HEADER, done: Close) -> NTSTATUS {
            let status = unsafe { next::close_mr(mr, done) };
            if INSIDE.get() { STATUS_SUCCESS } else { status }
        }
    }

    impl Hooks for DeregisterWaits {
        unsafe fn register(&self, mr: *mut NDK_MR, asked: Registration, done: Request) -> NTSTATUS {
            self.0.set(mr, asked.flags == 0);
            unsafe { next::register(mr, asked, done) }
        }
        unsafe fn local_token(&self, mr: *mut NDK_MR) -> UINT32 {
            self.0.set(mr, false);
            unsafe { next::local_token(mr) }
        }
        unsafe fn deregister(&self, mr: *mut NDK_MR, done: Request) -> NTSTATUS {
            // Long enough for the kit to lose its patience, and then over, so that the process ends.
            const LONG: Duration = Duration::from_millis(1500);
            if !self.0.get(mr) {
                return unsafe { next::deregister(mr, done) };
            }
            let (ended, note) = (Arc::new(AtomicBool::new(false)), Instant::now());
            let end = ended.clone();
            let then = move |done: Request, status| {
                end.store(true, Ordering::SeqCst);
                unsafe { done.call(status) };
            };
            let status = unsafe { done.instead(then, |done| next::deregister(mr, done)) };
            while status == STATUS_PENDING && !ended.load(Ordering::SeqCst) && note.elapsed() < LONG
            {
                thread::sleep(Duration::from_millis(1));
            }
            status
        }
    }

    impl Hooks for ThirdShortageSticks {
        unsafe fn register(&self, mr: *mut NDK_MR, asked: Registration, done: Request) -> NTSTATUS {
            if self.0.get(mr) == 3 {
                return STATUS_INVALID_DEVICE_STATE;
            }
            let count = self.0.clone();
            let ended = move |status| {
                let short = status == STATUS_INSUFFICIENT_RESOURCES;
                count.set(mr, if short { count.get(mr) + 1 } else { 0 });
            };
            unsafe { watch(done, ended, |done| next::register(mr, asked, done)) }
        }
    }

    impl Hooks for ShortDeregistrationEndsAll {
        unsafe fn deregister(&self, mr: *mut NDK_MR, done: Request) -> NTSTATUS {
            if self.0.get(mr) {
                return STATUS_INVALID_DEVICE_STATE;
            }
            let short = self.0.clone();
            let ended = move |status| short.set(mr, status == STATUS_INSUFFICIENT_RESOURCES);
            unsafe { watch(done, ended, |done| next::deregister(mr, done)) }
        }
    }

    impl Hooks for ShortRegistrationHasAToken {
        unsafe fn register(&self, mr: *mut NDK_MR, asked: Registration, done: Request) -> NTSTATUS {
            let short = self.0.clone();
            let ended = move |status| short.set(mr, status == STATUS_INSUFFICIENT_RESOURCES);
            unsafe { watch(done, ended, |done| next::register(mr, asked, done)) }
        }
        unsafe fn local_token(&self, mr: *mut NDK_MR) -> UINT32 {
            if self.0.get(mr) { 0x77 } else { unsafe { next::local_token(mr) } }
        }
    }

    impl Hooks for ShortInitialisationChangesTheToken {
        unsafe fn initialise(&self, mr: *mut NDK_MR, asked: Pages, done: Request) -> NTSTATUS {
            let short = self.0.clone();
            let ended = move |status| short.set(mr, status == STATUS_INSUFFICIENT_RESOURCES);
            unsafe { watch(done, ended, |done| next::initialise(mr, asked, done)) }
        }
        unsafe fn remote_token(&self, mr: *mut NDK_MR) -> UINT32 {
            let token = unsafe { next::remote_token(mr) };
            if self.0.get(mr) && token > 0x100 { token ^ 1 } else { token }
        }
    }

    impl Hooks for PoisonedRegionAnswersQuestions {
        unsafe fn query_mr(&self, mr: *mut NDK_OBJECT_HEADER, asked: Question) -> NTSTATUS {
            let status = unsafe { next::query_mr(mr, asked) };
            if status == STATUS_INTERNAL_ERROR { STATUS_NOT_SUPPORTED } else { status }
        }
    }

    impl Hooks for PoisonedRegionDeregisters {
        unsafe fn deregister(&self, mr: *mut NDK_MR, done: Request) -> NTSTATUS {
            let status = unsafe { next::deregister(mr, done) };
            if status == STATUS_INTERNAL_ERROR { STATUS_SUCCESS } else { status }
        }
    }

    impl Hooks for DroppedCreationIsShort {
        unsafe fn create_mr(
            &self,
            pd: *mut NDK_PD,
            fast: BOOLEAN,
            done: Create,
            out: *mut *mut NDK_MR,
        ) -> NTSTATUS {
            let then = |done: Create, (status, object)| {
                let dropped = status == STATUS_CANCELLED;
                let status = if dropped { STATUS_INSUFFICIENT_RESOURCES } else { status };
                unsafe { done.call((status, object)) };
            };
            unsafe { done.instead(then, |done| next::create_mr(pd, fast, done, out)) }
        }
    }
}
