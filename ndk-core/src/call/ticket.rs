//! Requests to a table that is watched: its provider gets a number for a context, which leads to nothing by itself. So a
//! completion that is called twice, late, or although its entry has not returned PENDING, is found, and does nothing
//! (V20, V21, V23).

extern crate std;
use super::{Cell, Created, Request, Running, State};
use crate::abi::{
    NDK_FN_CLOSE_COMPLETION, NDK_FN_CREATE_COMPLETION, NDK_FN_REQUEST_COMPLETION,
    NDK_OBJECT_HEADER, NTSTATUS, PVOID, STATUS_INTERNAL_ERROR, STATUS_PENDING, STATUS_SUCCESS,
};
use crate::mdl::Mdl;
use crate::platform::Std;
use crate::provider::Watch;
use crate::sync::Mutex;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::mem;
use core::ptr::{null_mut, without_provenance_mut};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::LazyLock;

/// So many requests that are over are remembered.
const MOST_OVER: usize = 65_536;

/// An object of the watched table.
pub(crate) struct Watched {
    /// The adapter above keeps it; what is remembered of requests that are over does not.
    watch: Weak<dyn Watch>,
    /// What it is, for a domain or adapter, which has no number of its own here.
    kind: &'static str,
    id: AtomicU64,
    closed: AtomicBool,
    /// The tickets of what is pending on it, the close excepted. Locked inside of the desk's lock.
    pending: Mutex<Std, Vec<usize>>,
}

impl Watched {
    pub(crate) fn new(watch: &Arc<dyn Watch>, kind: &'static str) -> Arc<Self> {
        Arc::new(Self {
            watch: Arc::downgrade(watch),
            kind,
            id: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            pending: Mutex::new(Vec::new()),
        })
    }

    pub(crate) fn watch(&self) -> Option<Arc<dyn Watch>> {
        self.watch.upgrade()
    }

    pub(crate) fn numbered(&self, id: u64) {
        self.id.store(id, Ordering::Relaxed);
    }

    /// Tells of a mistake of the provider's.
    pub(crate) fn broken(&self, rules: &'static [&'static str], did: &str) {
        let (id, kind) = (self.id.load(Ordering::Relaxed), self.kind);
        let did = if id == 0 { format!("of {kind}: {did}") } else { String::from(did) };
        match self.watch() {
            Some(watch) => watch.broken(rules, id, did),
            None => log::error!("after its adapter's close: {did} [{}]", rules.join(", ")),
        }
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}

type Finish = Box<dyn FnOnce(NTSTATUS, *mut NDK_OBJECT_HEADER) + Send>;

enum Stage {
    Pending(Finish),
    /// The completion was called.
    Called,
    /// The entry returned a final status.
    Inline,
    /// The object was closed before.
    Abandoned,
}

struct Ticket {
    object: Arc<Watched>,
    call: &'static str,
    stage: Stage,
    /// What a provider may still read that never ended the request.
    kept: Option<Mdl>,
}

#[derive(Default)]
struct Desk {
    tickets: BTreeMap<usize, Ticket>,
    over: VecDeque<usize>,
    last: usize,
}

static DESK: LazyLock<Mutex<Std, Desk>> = LazyLock::new(|| Mutex::new(Desk::default()));

impl Desk {
    /// The request is over, and remembered for a while.
    fn end(&mut self, number: usize, stage: Stage) -> Option<(Stage, Option<Mdl>)> {
        let ticket = self.tickets.get_mut(&number)?;
        let before = mem::replace(&mut ticket.stage, stage);
        ticket.object.pending.lock().retain(|&other| other != number);
        // What a provider that has closed the object may still read is never freed.
        let is_abandoned = matches!(ticket.stage, Stage::Abandoned);
        let kept = if is_abandoned { None } else { ticket.kept.take() };
        self.over.push_back(number);
        while self.over.len() > MOST_OVER {
            let oldest = self.over.pop_front().and_then(|oldest| self.tickets.remove(&oldest));
            mem::forget(oldest.and_then(|ticket| ticket.kept));
        }
        Some((before, kept))
    }
}

/// Starts a request as [`start`](super::start) does, with a number for a context.
fn start<R: Request>(
    object: &Arc<Watched>,
    (call, kept): (&'static str, Option<Mdl>),
    request: R,
    entry: impl FnOnce(PVOID) -> NTSTATUS,
    inline: impl FnOnce(NTSTATUS) -> R::Output,
    output: fn(NTSTATUS, *mut NDK_OBJECT_HEADER) -> R::Output,
) -> Running<R> {
    let cell = Arc::new(Cell(Mutex::new(State::Running(request, None))));
    let called = cell.clone();
    let finish = Box::new(move |status, object| called.complete(output(status, object)));
    let number = {
        let mut desk = DESK.lock();
        desk.last += 1;
        let number = desk.last;
        let stage = Stage::Pending(finish);
        if call != CLOSE {
            object.pending.lock().push(number);
        }
        desk.tickets.insert(number, Ticket { object: object.clone(), call, stage, kept });
        number
    };
    let status = entry(without_provenance_mut(number));
    if status != STATUS_PENDING {
        let ended = {
            let mut desk = DESK.lock();
            match desk.tickets.get(&number).map(|ticket| &ticket.stage) {
                Some(Stage::Pending(_)) => desk.end(number, Stage::Inline),
                _ => None,
            }
        };
        match ended {
            Some(_dropped_unlocked) => cell.complete(inline(status)),
            None => {
                let did = format!("{call} called its completion and returned a final status");
                object.broken(&["V20", "B1"], &did);
            }
        }
    }
    Running(cell)
}

/// # Safety
/// As for [`super::start_request`], but that the routine may be called at any time, and any number of times.
pub(crate) unsafe fn start_request<R: Request<Output = NTSTATUS>>(
    object: &Arc<Watched>,
    call: (&'static str, Option<Mdl>),
    request: R,
    entry: impl FnOnce(Option<NDK_FN_REQUEST_COMPLETION>, PVOID) -> NTSTATUS,
) -> Running<R> {
    let entry = |context| entry(Some(request_done), context);
    start(object, call, request, entry, |status| status, |status, _| status)
}

/// # Safety
/// As above.
pub(crate) unsafe fn start_create<R: Request<Output = Created>>(
    object: &Arc<Watched>,
    call: &'static str,
    request: R,
    entry: impl FnOnce(Option<NDK_FN_CREATE_COMPLETION>, PVOID, *mut *mut NDK_OBJECT_HEADER) -> NTSTATUS,
) -> Running<R> {
    let mut made = null_mut();
    let out = &raw mut made;
    start(
        object,
        (call, None),
        request,
        |context| entry(Some(create_done), context, out),
        // SAFETY: the local is alive, and the entry is through with it.
        |status| Created { status, object: unsafe { out.read() } },
        |status, object| Created { status, object },
    )
}

/// # Safety
/// As above; nothing of the object is used any more.
pub(crate) unsafe fn start_close<R: Request<Output = NTSTATUS>>(
    object: &Arc<Watched>,
    request: R,
    entry: impl FnOnce(Option<NDK_FN_CLOSE_COMPLETION>, PVOID) -> NTSTATUS,
) -> Running<R> {
    let closed = object.clone();
    start(
        object,
        (CLOSE, None),
        request,
        |context| {
            let status = entry(Some(close_done), context);
            if status == STATUS_SUCCESS {
                end_object(&closed);
            }
            status
        },
        |status| status,
        |status, _| status,
    )
}

const CLOSE: &str = "close";

/// The object is closed. What pends on it will never end, or too late: its waiters are told that the provider failed.
fn end_object(object: &Arc<Watched>) {
    object.closed.store(true, Ordering::Release);
    let abandoned: Vec<_> = {
        let mut desk = DESK.lock();
        let left = mem::take(&mut *object.pending.lock());
        let end = |number| {
            let call = desk.tickets.get(&number)?.call;
            Some((desk.end(number, Stage::Abandoned)?.0, call))
        };
        left.into_iter().filter_map(end).collect()
    };
    for (stage, call) in abandoned {
        object.broken(&["V23", "H2"], &format!("its close completed while {call} was pending"));
        if let Stage::Pending(finish) = stage {
            finish(STATUS_INTERNAL_ERROR, null_mut());
        }
    }
}

/// A completion was called.
fn called(context: PVOID, status: NTSTATUS, made: *mut NDK_OBJECT_HEADER) {
    let number = context.addr();
    let (object, call, before) = {
        let mut desk = DESK.lock();
        let Some(ticket) = desk.tickets.get(&number) else {
            drop(desk);
            log::error!(
                "a completion was called with a context that no request has: {number:#x} [B2]"
            );
            return;
        };
        let (object, call) = (ticket.object.clone(), ticket.call);
        let is_pending = matches!(ticket.stage, Stage::Pending(_));
        let before = if is_pending { desk.end(number, Stage::Called) } else { None };
        (object, call, before)
    };
    if let Some((Stage::Pending(finish), _dropped_last)) = before {
        // A late one was abandoned, so that this is in time.
        finish(status, made);
        return;
    }
    let (stage, is_closed) = {
        let desk = DESK.lock();
        let stage = desk.tickets.get(&number).map(|ticket| match ticket.stage {
            Stage::Inline => "after its entry returned a final status",
            Stage::Abandoned => "after the object's close",
            _ => "twice",
        });
        (stage.unwrap_or("twice"), object.is_closed())
    };
    let did = format!("the completion of {call} was called {stage}");
    match (stage, is_closed) {
        ("after the object's close", _) => object.broken(&["V21", "H2"], &did),
        (_, true) => object.broken(&["V20", "V21", "B2"], &did),
        (_, false) => object.broken(&["V20", "B2"], &did),
    }
}

unsafe extern "system" fn request_done(context: PVOID, status: NTSTATUS) {
    called(context, status, null_mut());
}

unsafe extern "system" fn create_done(
    context: PVOID,
    status: NTSTATUS,
    object: *mut NDK_OBJECT_HEADER,
) {
    called(context, status, object);
}

unsafe extern "system" fn close_done(context: PVOID) {
    let object = {
        let desk = DESK.lock();
        let ticket = desk.tickets.get(&context.addr());
        ticket.filter(|ticket| !ticket.object.is_closed()).map(|ticket| ticket.object.clone())
    };
    if let Some(object) = object {
        end_object(&object);
    }
    called(context, STATUS_SUCCESS, null_mut());
}
