//! A consumer in the manner of C, that can do everything wrong: objects by their pointers, through their tables.

use futures_lite::future::block_on;
use ndk_backend_sim::{Fabric, factory};
use ndk_core::abi::*;
use ndk_core::backend::Registry;
use ndk_core::mdl::{Buffer, Mdl};
use ndk_core::verifier::Verifier;
use ndk_core::{BoxedAdapter, DomainRef, Executor, Finding, Opened, Party, Std, Task, ThreadPool};
use std::mem::offset_of;
use std::ptr::{NonNull, addr_of, null_mut};
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Reads an entry of an object's table, as C does.
macro_rules! entry {
    ($object:expr, $entry:ident) => {
        (*addr_of!((*$object).Dispatch).read()).$entry.expect(stringify!($entry))
    };
}
pub(crate) use entry;

/// Every ticket, so that a leak checker finds them.
static TICKETS: Mutex<Vec<&'static Ticket>> = Mutex::new(Vec::new());

/// A completion, and its context. It is leaked, since a wrong program may use it for longer than it should.
pub(crate) struct Ticket(AtomicI32, AtomicPtr<NDK_OBJECT_HEADER>);

impl Ticket {
    pub(crate) fn new() -> &'static Self {
        let object = AtomicPtr::new(null_mut());
        let ticket: &Self = Box::leak(Box::new(Self(AtomicI32::new(STATUS_PENDING), object)));
        TICKETS.lock().unwrap().push(ticket);
        ticket
    }

    pub(crate) fn context(&'static self) -> PVOID {
        (&raw const *self).cast_mut().cast()
    }

    /// Waits for the completion of what returned this.
    pub(crate) fn wait(&self, returned: NTSTATUS) -> NTSTATUS {
        if returned != STATUS_PENDING {
            return returned;
        }
        until("a completion", || self.0.load(Ordering::Acquire) != STATUS_PENDING);
        self.0.load(Ordering::Acquire)
    }
}

/// Waits for what comes, and fails where it does not.
pub(crate) fn until(what: &str, mut came: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(60);
    while !came() {
        assert!(Instant::now() < limit, "{what} does not come");
        thread::sleep(Duration::from_millis(1));
    }
}

pub(crate) unsafe extern "system" fn request_done(context: PVOID, status: NTSTATUS) {
    // SAFETY: tickets are leaked.
    unsafe { (*context.cast::<Ticket>()).0.store(status, Ordering::Release) };
}

pub(crate) unsafe extern "system" fn close_done(context: PVOID) {
    // SAFETY: as above.
    unsafe { request_done(context, STATUS_SUCCESS) };
}

pub(crate) unsafe extern "system" fn create_done(
    context: PVOID,
    status: NTSTATUS,
    object: *mut NDK_OBJECT_HEADER,
) {
    // SAFETY: tickets are leaked.
    let ticket = unsafe { &*context.cast::<Ticket>() };
    ticket.1.store(object, Ordering::Release);
    ticket.0.store(status, Ordering::Release);
}

/// Creates something, and waits for it.
#[inline(never)]
pub(crate) fn create<T>(start: impl FnOnce(PVOID, *mut *mut T) -> NTSTATUS) -> *mut T {
    let (ticket, mut object) = (Ticket::new(), null_mut());
    let status = start(ticket.context(), &mut object);
    assert_eq!(ticket.wait(status), STATUS_SUCCESS);
    if object.is_null() { ticket.1.load(Ordering::Acquire).cast() } else { object }
}

/// A program with one adapter, opened by its name.
pub(crate) struct Program {
    pub(crate) opened: Opened<BoxedAdapter, Std>,
    pub(crate) verifier: Verifier,
}

/// An executor that gives up whatever it is to run (B9).
pub(crate) struct GivesUp;

impl Executor for GivesUp {
    fn spawn(&self, task: Task) {
        drop(task);
    }
}

/// An executor that runs nothing until it is told to.
#[derive(Default)]
pub(crate) struct Asleep(pub(crate) Mutex<Vec<Task>>);

impl Asleep {
    /// Runs what is there, and what comes of that, the latest first.
    pub(crate) fn run(&self) {
        while let Some(task) = { self.0.lock().unwrap().pop() } {
            block_on(task);
        }
    }
}

impl Executor for Asleep {
    fn spawn(&self, task: Task) {
        self.0.lock().unwrap().push(task);
    }
}

/// Opens a name; the verifier's findings are the program's to read.
pub(crate) fn open(name: &str) -> Program {
    open_on(name, Arc::new(ThreadPool::new(1).expect("a thread")))
}

/// As `open`, with an executor of the test's.
pub(crate) fn open_on(name: &str, executor: Arc<dyn Executor>) -> Program {
    let verifier = Verifier::new();
    let backends = Registry::new()
        .with("sim", "a simulated adapter", factory(Fabric::new()))
        .verifier(verifier.clone());
    let version = NDK_VERSION { Major: 1, Minor: 2 };
    let opened = backends.open(name, executor, version).expect("an adapter");
    Program { opened, verifier }
}

impl Program {
    pub(crate) fn adapter(&self) -> *mut NDK_ADAPTER {
        self.opened.adapter().as_ndk().as_ptr()
    }

    pub(crate) fn domain(&self) -> *mut NDK_PD {
        let adapter = self.adapter();
        // SAFETY: the adapter is open.
        create(|context, out| unsafe {
            entry!(adapter, NdkCreatePd)(adapter, Some(create_done), context, out)
        })
    }

    /// What was found, each as party, first rule and object.
    pub(crate) fn found(&self) -> Vec<(Party, &'static str, String)> {
        let findings = self.verifier.findings().into_iter();
        findings.map(|finding| (finding.party, finding.rules[0], finding.object)).collect()
    }

    /// The one mistake that was found: a consumer's, by this rule, on what has this in its name.
    #[track_caller]
    pub(crate) fn consumer(&self, rule: &str, object: &str) -> Finding {
        self.only(Party::Consumer, rule, object)
    }

    #[track_caller]
    pub(crate) fn only(&self, party: Party, rule: &str, object: &str) -> Finding {
        let findings = self.verifier.findings();
        let [finding] = &findings[..] else { panic!("not one finding: {findings:#?}") };
        assert_eq!((finding.party, finding.rules[0]), (party, rule), "{finding}");
        assert!(finding.object.contains(object), "{finding}");
        assert!(!finding.did.is_empty() && finding.right.len() > 20, "{finding}");
        finding.clone()
    }

    #[track_caller]
    pub(crate) fn silent(&self) {
        assert_eq!(self.verifier.findings(), [], "a right program");
    }

    /// Closes the domain, whose regions are closed, and the adapter.
    pub(crate) fn end(self, pd: *mut NDK_PD) {
        let ticket = Ticket::new();
        // SAFETY: the domain is open.
        let status =
            unsafe { entry!(pd, NdkClosePd)(pd.cast(), Some(close_done), ticket.context()) };
        assert_eq!(ticket.wait(status), STATUS_SUCCESS);
        self.opened.close().expect("everything is closed");
    }
}

/// The framework's domain behind a pointer, for what has no table.
pub(crate) fn native(pd: *mut NDK_PD) -> DomainRef<BoxedAdapter, Std> {
    // SAFETY: made by an adapter of that type.
    unsafe { DomainRef::from_ndk(NonNull::new(pd).expect("a domain")) }
}

#[inline(never)]
pub(crate) fn region(pd: *mut NDK_PD, fast: bool) -> *mut NDK_MR {
    // SAFETY: the domain is open.
    create(|context, out| unsafe {
        entry!(pd, NdkCreateMr)(pd, fast.into(), Some(create_done), context, out)
    })
}

pub(crate) fn register_with(
    mr: *mut NDK_MR,
    mdl: &Mdl,
    flags: ULONG,
    ticket: &'static Ticket,
) -> NTSTATUS {
    // SAFETY: the region may be called, be it that it is closed and its memory kept.
    unsafe {
        let register = entry!(mr, NdkRegisterMr);
        register(mr, mdl.as_ptr(), mdl.len(), flags, Some(request_done), ticket.context())
    }
}

/// Registers for remote reads, and waits.
pub(crate) fn register(mr: *mut NDK_MR, mdl: &Mdl) -> NTSTATUS {
    let ticket = Ticket::new();
    ticket.wait(register_with(mr, mdl, NDK_MR_FLAG_ALLOW_REMOTE_READ, ticket))
}

pub(crate) fn deregister(mr: *mut NDK_MR) -> NTSTATUS {
    let ticket = Ticket::new();
    // SAFETY: as above.
    ticket.wait(unsafe { entry!(mr, NdkDeregisterMr)(mr, Some(request_done), ticket.context()) })
}

/// Calls Close, and waits.
pub(crate) fn close(mr: *mut NDK_MR) -> NTSTATUS {
    let ticket = Ticket::new();
    ticket.wait(start_close(mr, ticket))
}

pub(crate) fn start_close(mr: *mut NDK_MR, ticket: &'static Ticket) -> NTSTATUS {
    // SAFETY: as above.
    unsafe { entry!(mr, NdkCloseMr)(mr.cast(), Some(close_done), ticket.context()) }
}

pub(crate) fn local_token(mr: *mut NDK_MR) -> u32 {
    // SAFETY: as above.
    unsafe { entry!(mr, NdkGetLocalTokenFromMr)(mr) }
}

pub(crate) fn remote_token(mr: *mut NDK_MR) -> u32 {
    // SAFETY: as above.
    unsafe { entry!(mr, NdkGetRemoteTokenFromMr)(mr) }
}

/// Memory of so many bytes.
pub(crate) fn memory(length: usize) -> Mdl {
    Mdl::new(&Buffer::new(length).expect("memory")).expect("an MDL")
}

/// Maps memory that the backend maps inline; gives what the table has filled, in words for its alignment.
pub(crate) fn map(adapter: *mut NDK_ADAPTER, mdl: &Mdl) -> Vec<u64> {
    let mut lam = vec![0_u64; 100];
    let (mut size, mut first_byte) = (size_of_val(&lam[..]) as ULONG, 0);
    // SAFETY: the adapter is open, and the buffer as long as is said.
    let status = unsafe {
        let (build, out) = (entry!(adapter, NdkBuildLAM), lam.as_mut_ptr().cast());
        let (head, size, first_byte) = (mdl.as_ptr(), &mut size, &mut first_byte);
        build(adapter, head, mdl.len(), None, null_mut(), out, size, first_byte)
    };
    assert_eq!((status, first_byte), (STATUS_SUCCESS, 0));
    lam
}

/// The logical address of the first page of a mapping.
pub(crate) fn first_page(lam: &[u64]) -> u64 {
    lam[offset_of!(NDK_LOGICAL_ADDRESS_MAPPING, AdapterPageArray) / size_of::<u64>()]
}

/// Releases a mapping, once.
pub(crate) fn release(adapter: *mut NDK_ADAPTER, lam: &mut [u64]) {
    // SAFETY: the adapter is open; `map` has filled it.
    unsafe { entry!(adapter, NdkReleaseLAM)(adapter, lam.as_mut_ptr().cast()) };
}

/// Initialises a region for one page.
pub(crate) fn initialise(mr: *mut NDK_MR, remote: BOOLEAN) {
    let ticket = Ticket::new();
    // SAFETY: the region is open.
    let status = unsafe {
        entry!(mr, NdkInitializeFastRegisterMr)(mr, 1, remote, Some(request_done), ticket.context())
    };
    assert_eq!(ticket.wait(status), STATUS_SUCCESS);
}
