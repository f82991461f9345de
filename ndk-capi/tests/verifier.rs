//! The verifier over a provider in C that breaks the contract: V20 to V23, by name, each without following a pointer that
//! the provider should have forgotten.
#![cfg(target_os = "linux")]

mod common;

use common::Workbench;
use ndk_core::abi::*;
use ndk_core::backend::Registry;
use ndk_core::foreign::ForeignAdapter;
use ndk_core::mdl::{Buffer, Mdl};
use ndk_core::verifier::Verifier;
use ndk_core::{
    BaseAddress, BoxedAdapter, Capabilities, Finding, Opened, Party, Refusal, Std, ThreadPool,
    TokenReuse,
};
use std::ffi::{CString, c_char, c_int, c_void};
use std::mem::transmute;
use std::path::PathBuf;
use std::ptr::{NonNull, addr_of, null_mut};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

unsafe extern "C" {
    fn dlopen(file: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// The ways of `wrong_provider.c`.
#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    CompletesTwice,
    CompletesAfterInline,
    CompletesAndInline,
    ClosesEarly,
    CloseCompletesTwice,
    WritesReserved,
    FreshNotZeroed,
    CreatesEarly,
    CreationCompletesTwice,
    CallsWithNoContext,
    CloseFails,
}

/// The provider has one adapter at a time.
static ONE: Mutex<()> = Mutex::new(());

struct Provider {
    finish: unsafe extern "C" fn(),
    verifier: Verifier,
    opened: Opened<BoxedAdapter, Std>,
    _one: MutexGuard<'static, ()>,
}

const CAPABILITIES: Capabilities = Capabilities {
    base_address: BaseAddress::Any,
    scattered_pages: true,
    byte_exact: true,
    remote_read_enforced: true,
    read_sink_grants_write: false,
    refusal: Refusal::Completion,
    partial_writes: false,
    token_reuse: TokenReuse::Unknown,
    tokens_unpredictable: false,
    shared_key: true,
    fast_registration: None,
    windows: false,
};

/// The library's functions; built once.
fn functions() -> (unsafe extern "C" fn(c_int) -> *mut NDK_ADAPTER, unsafe extern "C" fn()) {
    static LIBRARY: Mutex<Option<(usize, usize)>> = Mutex::new(None);
    let mut library = LIBRARY.lock().unwrap();
    let (open, finish) = *library.get_or_insert_with(|| {
        let bench = Workbench::new();
        let source =
            PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/c/wrong_provider.c"));
        let file = bench.shared_library("wrong_provider", &source);
        let file = CString::new(file.to_str().expect("a path")).unwrap();
        // SAFETY: the library has no constructors; it stays open.
        unsafe {
            let library = dlopen(file.as_ptr(), 2);
            assert!(!library.is_null(), "the library opens");
            let symbol = |name: &std::ffi::CStr| dlsym(library, name.as_ptr()).addr();
            (symbol(c"provider_open"), symbol(c"provider_finish"))
        }
    });
    assert!(open != 0 && finish != 0);
    // SAFETY: the functions of the source.
    unsafe {
        (
            transmute::<usize, unsafe extern "C" fn(c_int) -> *mut NDK_ADAPTER>(open),
            transmute::<usize, unsafe extern "C" fn()>(finish),
        )
    }
}

impl Provider {
    fn open(fault: Fault) -> Self {
        let one = ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (open, finish) = functions();
        let verifier = Verifier::new();
        let backends = Registry::new()
            .with("wrong", "a provider in C that is wrong", move |_| {
                // SAFETY: the adapter is open for ever; that its tables keep the contract is what is tested.
                let foreign = unsafe {
                    let adapter = NonNull::new(open(fault as c_int)).expect("an adapter");
                    ForeignAdapter::from_ndk(adapter, "wrong", CAPABILITIES, || ())
                };
                foreign.map(BoxedAdapter::new)
            })
            .verifier(verifier.clone());
        let pool = Arc::new(ThreadPool::new(1).unwrap());
        let version = NDK_VERSION { Major: 1, Minor: 2 };
        let opened = backends.open("verify+wrong", pool, version).expect("an adapter");
        Self { finish, verifier, opened, _one: one }
    }

    /// Completes what pends.
    fn finish(&self) {
        // SAFETY: one thread at a time does so.
        unsafe { (self.finish)() };
    }

    /// What was found: all of it is the provider's.
    fn found(&self) -> Vec<Finding> {
        assert_eq!(self.verifier.counts().consumer, 0, "{:#?}", self.verifier.findings());
        self.verifier.findings()
    }

    #[track_caller]
    fn only(&self, rules: &[&str], said: &str) {
        let found = self.found();
        let [finding] = &found[..] else { panic!("not one finding: {found:#?}") };
        assert_eq!((finding.party, &finding.rules[..]), (Party::Provider, rules), "{finding}");
        assert!(finding.did.contains(said) && finding.object.starts_with("wrong/pd"), "{finding}");
        assert!(!finding.right.is_empty(), "{finding}");
    }
}

macro_rules! entry {
    ($object:expr, $entry:ident) => {
        (*addr_of!((*$object).Dispatch).read()).$entry.expect(stringify!($entry))
    };
}

/// A request's status, until its completion PENDING. Leaked, as a provider that is wrong may use it for longer.
fn ticket() -> &'static AtomicI32 {
    static TICKETS: Mutex<Vec<&'static AtomicI32>> = Mutex::new(Vec::new());
    let ticket: &AtomicI32 = Box::leak(Box::new(AtomicI32::new(STATUS_PENDING)));
    // For a leak checker to find.
    TICKETS.lock().unwrap().push(ticket);
    ticket
}

fn context(ticket: &'static AtomicI32) -> PVOID {
    ticket.as_ptr().cast()
}

fn wait(ticket: &AtomicI32, returned: NTSTATUS) -> NTSTATUS {
    if returned != STATUS_PENDING {
        return returned;
    }
    let limit = Instant::now() + Duration::from_secs(60);
    loop {
        match ticket.load(Ordering::Acquire) {
            STATUS_PENDING => assert!(Instant::now() < limit, "no completion"),
            status => return status,
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

unsafe extern "system" fn request_done(context: PVOID, status: NTSTATUS) {
    // SAFETY: tickets are leaked.
    let before = unsafe { AtomicI32::from_ptr(context.cast()) }.swap(status, Ordering::AcqRel);
    assert_eq!(before, STATUS_PENDING, "the consumer hears of a request once");
}

unsafe extern "system" fn close_done(context: PVOID) {
    // SAFETY: as above.
    unsafe { request_done(context, STATUS_SUCCESS) };
}

unsafe extern "system" fn create_done(_: PVOID, _: NTSTATUS, _: *mut NDK_OBJECT_HEADER) {}

/// A right consumer, with one domain and one region.
struct Consumer {
    pd: *mut NDK_PD,
    mr: *mut NDK_MR,
    mdl: Mdl,
}

impl Consumer {
    fn new(provider: &Provider) -> Self {
        let adapter = provider.opened.adapter().as_ndk().as_ptr();
        let (mut pd, mut mr) = (null_mut(), null_mut());
        // SAFETY: the objects are open; everything is created inline.
        unsafe {
            let status =
                entry!(adapter, NdkCreatePd)(adapter, Some(create_done), null_mut(), &mut pd);
            assert_eq!(status, STATUS_SUCCESS);
            let status = entry!(pd, NdkCreateMr)(pd, 0, Some(create_done), null_mut(), &mut mr);
            assert_eq!(status, STATUS_SUCCESS);
        }
        Self { pd, mr, mdl: Mdl::new(&Buffer::new(100).unwrap()).unwrap() }
    }

    fn register(&self, ticket: &'static AtomicI32) -> NTSTATUS {
        // SAFETY: the region is open.
        unsafe {
            let register = entry!(self.mr, NdkRegisterMr);
            let flags = NDK_MR_FLAG_ALLOW_REMOTE_READ;
            register(self.mr, self.mdl.as_ptr(), 100, flags, Some(request_done), context(ticket))
        }
    }

    fn deregister(&self) -> NTSTATUS {
        let ticket = ticket();
        // SAFETY: the region is open.
        let status = unsafe {
            entry!(self.mr, NdkDeregisterMr)(self.mr, Some(request_done), context(ticket))
        };
        wait(ticket, status)
    }

    fn close_region(&self) -> NTSTATUS {
        let ticket = ticket();
        // SAFETY: the region is open.
        let status = unsafe {
            entry!(self.mr, NdkCloseMr)(self.mr.cast(), Some(close_done), context(ticket))
        };
        wait(ticket, status)
    }

    fn end(self, provider: Provider) {
        let ticket = ticket();
        // SAFETY: the domain is open, and its region closed.
        let status = unsafe {
            entry!(self.pd, NdkClosePd)(self.pd.cast(), Some(close_done), context(ticket))
        };
        assert_eq!(wait(ticket, status), STATUS_SUCCESS);
        provider.opened.close().unwrap();
    }
}

/// Registers, which pends where the provider does not say otherwise, and finishes it.
fn registered(fault: Fault) -> (Provider, Consumer) {
    let provider = Provider::open(fault);
    let consumer = Consumer::new(&provider);
    let ticket = ticket();
    let status = consumer.register(ticket);
    provider.finish();
    assert_eq!(wait(ticket, status), STATUS_SUCCESS);
    (provider, consumer)
}

#[test]
fn a_right_provider_in_c_is_not_reported() {
    let (provider, consumer) = registered(Fault::None);
    assert_eq!((consumer.deregister(), consumer.close_region()), (STATUS_SUCCESS, STATUS_SUCCESS));
    assert!(provider.found().is_empty());
    consumer.end(provider);
    // One whose close has to cancel what pends.
    let provider = Provider::open(Fault::None);
    let (consumer, ticket) = (Consumer::new(&provider), ticket());
    let status = consumer.register(ticket);
    assert_eq!((status, consumer.close_region()), (STATUS_PENDING, STATUS_SUCCESS));
    assert_eq!(wait(ticket, status), STATUS_CANCELLED);
    assert!(provider.found().is_empty());
    consumer.end(provider);
}

#[test]
fn v20_a_completion_that_is_called_twice() {
    let (provider, consumer) = registered(Fault::CompletesTwice);
    provider.only(&["V20", "B2"], "the completion of register was called twice");
    assert_eq!((consumer.deregister(), consumer.close_region()), (STATUS_SUCCESS, STATUS_SUCCESS));
    consumer.end(provider);
}

#[test]
fn v20_a_completion_that_is_called_after_a_final_status() {
    let (provider, consumer) = registered(Fault::CompletesAfterInline);
    let said = "was called after its entry returned a final status";
    provider.only(&["V20", "B2"], said);
    assert_eq!((consumer.deregister(), consumer.close_region()), (STATUS_SUCCESS, STATUS_SUCCESS));
    consumer.end(provider);
}

#[test]
fn v20_a_completion_that_is_called_before_a_final_status() {
    let (provider, consumer) = registered(Fault::CompletesAndInline);
    provider.only(&["V20", "B1"], "called its completion and returned a final status");
    assert_eq!((consumer.deregister(), consumer.close_region()), (STATUS_SUCCESS, STATUS_SUCCESS));
    consumer.end(provider);
}

#[test]
fn v20_the_completion_of_a_creation() {
    for (fault, expected) in [(Fault::CreatesEarly, 0), (Fault::CreationCompletesTwice, 1)] {
        let (provider, consumer) = registered(fault);
        let found = provider.found();
        assert_eq!(found.len(), expected, "{found:#?}");
        for finding in found {
            assert_eq!(finding.rules, ["V20", "B2"], "{finding}");
            let said = "of a domain: the completion of create region was called twice";
            assert_eq!(finding.did, said, "{finding}");
        }
        assert_eq!(consumer.deregister(), STATUS_SUCCESS);
        assert_eq!(consumer.close_region(), STATUS_SUCCESS);
        consumer.end(provider);
    }
}

#[test]
fn a_completion_with_a_context_of_no_request_reaches_none() {
    // Nobody knows of which object it is, so that it is a line in the log, and no finding.
    let (provider, consumer) = registered(Fault::CallsWithNoContext);
    assert_eq!((consumer.deregister(), consumer.close_region()), (STATUS_SUCCESS, STATUS_SUCCESS));
    assert!(provider.found().is_empty());
    consumer.end(provider);
}

#[test]
fn h1_a_close_that_fails_is_the_providers_mistake_and_succeeds_for_the_consumer() {
    let (provider, consumer) = registered(Fault::CloseFails);
    assert_eq!(consumer.close_region(), STATUS_SUCCESS);
    provider.only(&["H1"], "its close failed");
    consumer.end(provider);
}

#[test]
fn v23_and_v21_a_close_before_a_request_has_completed_and_what_comes_later() {
    let provider = Provider::open(Fault::ClosesEarly);
    let (consumer, ticket) = (Consumer::new(&provider), ticket());
    let status = consumer.register(ticket);
    assert_eq!((status, consumer.close_region()), (STATUS_PENDING, STATUS_SUCCESS));
    assert_eq!(wait(ticket, status), STATUS_INTERNAL_ERROR, "not left to wait for ever");
    provider.only(&["V23", "H2"], "its close completed while register was pending");
    provider.finish();
    let found = provider.found();
    assert_eq!((found.len(), &found[1].rules[..]), (2, &["V21", "H2"][..]), "{found:#?}");
    assert!(found[1].did.contains("after the object's close"), "{}", found[1]);
    consumer.end(provider);
}

#[test]
fn v21_a_close_completion_that_is_called_twice() {
    let (provider, consumer) = registered(Fault::CloseCompletesTwice);
    assert_eq!(consumer.close_region(), STATUS_SUCCESS);
    assert!(provider.found().is_empty());
    provider.finish();
    provider.only(&["V20", "V21", "B2"], "the completion of close was called twice");
    consumer.end(provider);
}

#[test]
fn v22_a_reserved_block_that_is_written_to() {
    let (provider, consumer) = registered(Fault::WritesReserved);
    provider.only(&["V22", "A3"], "was written to");
    assert_eq!((consumer.deregister(), consumer.close_region()), (STATUS_SUCCESS, STATUS_SUCCESS));
    consumer.end(provider);
}

#[test]
fn v22_a_reserved_block_that_is_not_zeroed_at_first() {
    let provider = Provider::open(Fault::FreshNotZeroed);
    let consumer = Consumer::new(&provider);
    let found = provider.found();
    assert!(found.iter().all(|finding| finding.rules == ["V22", "A2"]), "{found:#?}");
    assert_eq!(consumer.close_region(), STATUS_SUCCESS);
    consumer.end(provider);
}
