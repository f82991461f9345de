//! What the harness knows of a request: its context, and every call that came back with it.

use super::watch::beat;
use crate::abi::{
    NDK_FN_CLOSE_COMPLETION, NDK_FN_CREATE_COMPLETION, NDK_FN_REQUEST_COMPLETION,
    NDK_OBJECT_HEADER, NTSTATUS, PVOID, STATUS_INTERNAL_ERROR, STATUS_SUCCESS,
};
use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::without_provenance_mut;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Wake;
use std::thread::{self, ThreadId};
use std::time::Duration;

/// A lock that a failed case may have left behind in the middle of something.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// The status; SUCCESS for the completion of a close, which has none.
    pub(super) status: NTSTATUS,
    /// The address of the object that a creation gave.
    pub(super) object: usize,
    /// Whether the entry had not returned yet (B3).
    pub(super) before_return: bool,
    /// Where it ran.
    pub(super) thread: ThreadId,
}

/// Rung when something came in that a waiting harness may want to see.
#[derive(Debug)]
pub(super) struct Bell {
    rings: Mutex<u64>,
    rung: Condvar,
    patience: Duration,
}

impl Bell {
    /// A bell that is waited for so long. It ends a hang; no passing case waits for a time.
    pub(super) fn new(patience: Duration) -> Arc<Self> {
        Arc::new(Self { rings: Mutex::default(), rung: Condvar::new(), patience })
    }

    pub(super) fn ring(&self) {
        *lock(&self.rings) += 1;
        self.rung.notify_all();
    }

    pub(super) fn rings(&self) -> u64 {
        *lock(&self.rings)
    }

    /// Waits until it has rung more often than `seen`; false where that took too long.
    pub(super) fn wait(&self, seen: u64) -> bool {
        beat();
        let waiting = |rings: &mut u64| *rings == seen;
        let (_guard, result) = self
            .rung
            .wait_timeout_while(lock(&self.rings), self.patience, waiting)
            .unwrap_or_else(PoisonError::into_inner);
        !result.timed_out()
    }
}

/// Wakes whoever waits for a future beside the executor.
impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }
}

/// What a case does inside a callback.
pub(super) type Hook = Box<dyn FnOnce(Call) + Send>;

/// One request, under a context that nobody else has.
pub(super) struct Ticket {
    context: usize,
    calls: Mutex<Vec<Call>>,
    in_entry: AtomicBool,
    hook: Mutex<Option<Hook>>,
    failure: Mutex<Option<Box<dyn Any + Send>>>,
    bell: Arc<Bell>,
}

/// The tickets that may still be called, by context. A context is a number and no pointer, so that a provider that
/// calls once too often, or with another context, is found out and does no harm.
static OPEN: Mutex<BTreeMap<usize, Arc<Ticket>>> = Mutex::new(BTreeMap::new());
/// Contexts that came back although no open ticket has them.
static STRAYS: Mutex<Vec<usize>> = Mutex::new(Vec::new());
static NEXT: AtomicUsize = AtomicUsize::new(0x1001);

impl Ticket {
    pub(super) fn new(bell: Arc<Bell>) -> Arc<Self> {
        Self::with_context(NEXT.fetch_add(1, Ordering::Relaxed), bell)
    }

    /// The ticket of a null context, of which there is one at a time.
    pub(super) fn null(bell: Arc<Bell>) -> Arc<Self> {
        Self::with_context(0, bell)
    }

    fn with_context(context: usize, bell: Arc<Bell>) -> Arc<Self> {
        let ticket = Arc::new(Self {
            context,
            calls: Mutex::default(),
            in_entry: AtomicBool::new(false),
            hook: Mutex::default(),
            failure: Mutex::default(),
            bell,
        });
        lock(&OPEN).insert(context, ticket.clone());
        ticket
    }

    /// No call can come any more; one that comes is a stray. The null context may be another ticket's by now.
    pub(super) fn withdraw(&self) {
        let mut open = lock(&OPEN);
        if open.get(&self.context).is_some_and(|ticket| std::ptr::eq(&**ticket, self)) {
            open.remove(&self.context);
        }
    }

    pub(super) fn context(&self) -> PVOID {
        without_provenance_mut(self.context)
    }

    /// Does something inside the callback.
    pub(super) fn on_call(&self, hook: impl FnOnce(Call) + Send + 'static) {
        *lock(&self.hook) = Some(Box::new(hook));
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        lock(&self.calls).clone()
    }

    pub(super) fn is_called(&self) -> bool {
        !lock(&self.calls).is_empty()
    }

    /// Notes that the entry is running, for `before_return`.
    pub(super) fn enter<R>(&self, entry: impl FnOnce() -> R) -> R {
        beat();
        self.in_entry.store(true, Ordering::SeqCst);
        let result = entry();
        self.in_entry.store(false, Ordering::SeqCst);
        result
    }

    /// What a hook's failed assertion said; it could not unwind through the provider's frames.
    pub(super) fn take_failure(&self) -> Option<Box<dyn Any + Send>> {
        lock(&self.failure).take()
    }

    fn called(&self, status: NTSTATUS, object: usize) {
        let call = Call {
            status,
            object,
            before_return: self.in_entry.load(Ordering::SeqCst),
            thread: thread::current().id(),
        };
        lock(&self.calls).push(call);
        let hook = lock(&self.hook).take();
        if let Some(hook) = hook
            && let Err(failure) = catch_unwind(AssertUnwindSafe(|| hook(call)))
        {
            *lock(&self.failure) = Some(failure);
        }
        self.bell.ring();
    }
}

/// The contexts that came back to nobody since the last question.
pub(super) fn take_strays() -> Vec<usize> {
    std::mem::take(&mut lock(&STRAYS))
}

fn complete(context: PVOID, status: NTSTATUS, object: usize) {
    let ticket = lock(&OPEN).get(&context.addr()).cloned();
    match ticket {
        Some(ticket) => ticket.called(status, object),
        None => lock(&STRAYS).push(context.addr()),
    }
}

/// Lets a request's case fail where that is looked for, rather than inside a callback, where no panic can be.
pub(super) fn fail(context: usize, why: &'static str) {
    let ticket = lock(&OPEN).get(&context).cloned();
    if let Some(ticket) = ticket {
        *lock(&ticket.failure) = Some(Box::new(why));
        ticket.called(STATUS_SUCCESS, 0);
    }
}

/// A close that pended is over, and leaks what the backend had not closed.
pub(super) fn leaks(context: usize) {
    complete(without_provenance_mut(context), STATUS_INTERNAL_ERROR, 0);
}

unsafe extern "system" fn request_completed(context: PVOID, status: NTSTATUS) {
    complete(context, status, 0);
}

unsafe extern "system" fn close_completed(context: PVOID) {
    complete(context, STATUS_SUCCESS, 0);
}

unsafe extern "system" fn create_completed(
    context: PVOID,
    status: NTSTATUS,
    object: *mut NDK_OBJECT_HEADER,
) {
    complete(context, status, object.expose_provenance());
}

/// A completion as an entry takes it: the routine, or null, and the context.
#[derive(Clone, Copy)]
pub(super) struct Done<F> {
    pub(super) routine: Option<F>,
    pub(super) context: PVOID,
}

/// The three C types of a completion routine, and the harness's own routine of each.
pub(super) trait Routine: Sized {
    const HARNESS: Self;
}

impl Routine for NDK_FN_REQUEST_COMPLETION {
    const HARNESS: Self = request_completed;
}

impl Routine for NDK_FN_CLOSE_COMPLETION {
    const HARNESS: Self = close_completed;
}

impl Routine for NDK_FN_CREATE_COMPLETION {
    const HARNESS: Self = create_completed;
}

impl<F: Routine> Done<F> {
    pub(super) fn of(ticket: &Ticket) -> Self {
        Self { routine: Some(F::HARNESS), context: ticket.context() }
    }

    /// A null routine, with the ticket's context so that a call would be seen.
    pub(super) fn null(ticket: &Ticket) -> Self {
        Self { routine: None, context: ticket.context() }
    }
}
