//! Adapters whose tables were written by hand, and which say what they must not: what the bridge makes of it.
#![cfg(feature = "std")]

mod soft;

use futures_lite::future::block_on;
use ndk_core::abi::*;
use ndk_core::foreign::ForeignAdapter;
use ndk_core::mdl::{Buffer, Mdl};
use ndk_core::{AdapterProvider, ErrorKind};
use soft::provider::{Mode, Soft, World};
use std::ptr::{NonNull, addr_of_mut, null};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// What was logged.
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Keeper;

impl log::Log for Keeper {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        LINES.lock().unwrap().push(record.args().to_string());
    }

    fn flush(&self) {}
}

unsafe extern "system" fn no_info(
    _: *mut NDK_ADAPTER,
    _: *mut NDK_ADAPTER_INFO,
    _: *mut ULONG,
) -> NTSTATUS {
    STATUS_INSUFFICIENT_RESOURCES
}

unsafe extern "system" fn info(
    _: *mut NDK_ADAPTER,
    info: *mut NDK_ADAPTER_INFO,
    _: *mut ULONG,
) -> NTSTATUS {
    // SAFETY: the bridge gives room for it.
    unsafe { info.write(NDK_ADAPTER_INFO::default()) };
    STATUS_SUCCESS
}

/// Finds every extension, and stores none.
unsafe extern "system" fn finds_nothing(
    _: *mut NDK_OBJECT_HEADER,
    _: *mut GUID,
    _: NDK_VERSION,
    _: *mut NDK_EXTENSION_INTERFACE,
) -> NTSTATUS {
    STATUS_SUCCESS
}

/// A mapping of one page, whatever is asked for.
unsafe extern "system" fn build_one(
    _: *mut NDK_ADAPTER,
    _: *mut MDL,
    _: SIZE_T,
    _: Option<NDK_FN_REQUEST_COMPLETION>,
    _: PVOID,
    lam: *mut NDK_LOGICAL_ADDRESS_MAPPING,
    _: *mut ULONG,
    first_byte: *mut ULONG,
) -> NTSTATUS {
    // SAFETY: the bridge gives room for a page at least.
    unsafe {
        addr_of_mut!((*lam).AdapterPageCount).write(1);
        first_byte.write(0);
    }
    STATUS_SUCCESS
}

static RELEASED: AtomicUsize = AtomicUsize::new(0);

unsafe extern "system" fn release(_: *mut NDK_ADAPTER, _: *mut NDK_LOGICAL_ADDRESS_MAPPING) {
    RELEASED.fetch_add(1, Ordering::Relaxed);
}

/// An adapter with a table of its own, and who hears of its close.
struct ByHand {
    inside: NonNull<(NDK_ADAPTER, NDK_ADAPTER_DISPATCH)>,
    closes: Receiver<()>,
}

impl ByHand {
    /// The bridge over such a table, which goes before it.
    fn open(table: NDK_ADAPTER_DISPATCH) -> (ndk_core::Result<ForeignAdapter>, Self) {
        let header = NDK_OBJECT_HEADER {
            Version: NDK_VERSION { Major: 1, Minor: 2 },
            ObjectType: NdkObjectTypeAdapter,
            NdkReserved: NDK_OBJECT_HEADER_RESERVED_BLOCK::ZEROED,
        };
        let adapter = NDK_ADAPTER { Header: header, Dispatch: null() };
        let inside = NonNull::from(Box::leak(Box::new((adapter, table))));
        let capabilities = Soft(World::new(Mode::Inline)).capabilities();
        let (closed, closes) = channel();
        // SAFETY: the adapter is there until this is dropped, after the bridge; its mistakes are in what it answers.
        let foreign = unsafe {
            let (adapter, table) = (&raw mut (*inside.as_ptr()).0, &raw const (*inside.as_ptr()).1);
            (*adapter).Dispatch = table;
            let adapter = NonNull::new(adapter).expect("a field");
            ForeignAdapter::from_ndk(adapter, "by hand", capabilities, move || {
                closed.send(()).expect("the test waits");
            })
        };
        (foreign, Self { inside, closes })
    }
}

impl Drop for ByHand {
    fn drop(&mut self) {
        let closed = self.closes.recv_timeout(Duration::from_secs(60));
        if !std::thread::panicking() {
            closed.expect("H5: the adapter is closed");
        }
        // SAFETY: made by `open`, and the bridge has closed it.
        drop(unsafe { Box::from_raw(self.inside.as_ptr()) });
    }
}

fn memory(pages: usize) -> Mdl {
    Mdl::new(&Buffer::new(pages * PAGE_SIZE).unwrap()).unwrap()
}

#[test]
fn an_adapter_that_does_not_describe_itself_is_not_opened_and_is_closed() {
    let table = || NDK_ADAPTER_DISPATCH { NdkQueryAdapterInfo: None, ..Default::default() };
    for (entry, kind) in [
        (None, ErrorKind::NotSupported),
        (Some(no_info as NDK_FN_QUERY_ADAPTER_INFO), ErrorKind::InsufficientResources),
    ] {
        let (foreign, by_hand) =
            ByHand::open(NDK_ADAPTER_DISPATCH { NdkQueryAdapterInfo: entry, ..table() });
        let error = foreign.expect_err("it has no info");
        assert_eq!(error.kind(), kind);
        assert!(error.detail().starts_with("NdkQueryAdapterInfo: "), "{error}");
        drop(by_hand);
    }
}

#[test]
fn what_it_gives_that_cannot_be_is_an_error_and_nothing_is_lost() {
    let _ = log::set_logger(&Keeper).map(|()| log::set_max_level(log::LevelFilter::Error));
    let (foreign, by_hand) = ByHand::open(NDK_ADAPTER_DISPATCH {
        NdkQueryAdapterInfo: Some(info),
        NdkQueryExtension: Some(finds_nothing),
        NdkBuildLAM: Some(build_one),
        NdkReleaseLAM: Some(release),
        ..Default::default()
    });
    let foreign = foreign.expect("open");
    let found = foreign.query_extension(&GUID::default(), NDK_VERSION::default());
    assert_eq!(found.unwrap_err().kind(), ErrorKind::Internal, "A5: it is null");
    let two = memory(2);
    // SAFETY: the chain is only looked at.
    let view = unsafe { two.view(two.len()) }.unwrap();
    let built = block_on(foreign.build_mapping(view, &mut [0; 2]));
    assert_eq!(built.unwrap_err().kind(), ErrorKind::Internal, "L4: one page for two");
    assert_eq!(RELEASED.load(Ordering::Relaxed), 1, "L4: a failed build leaves no mapping");
    drop(foreign);
    drop(by_hand);
    let (foreign, by_hand) = ByHand::open(NDK_ADAPTER_DISPATCH {
        NdkQueryAdapterInfo: Some(info),
        NdkBuildLAM: Some(build_one),
        ..Default::default()
    });
    let foreign = foreign.expect("open");
    let one = memory(1);
    // SAFETY: as above.
    let view = unsafe { one.view(one.len()) }.unwrap();
    let mapping = block_on(foreign.build_mapping(view, &mut [0])).expect("a mapping");
    foreign.release_mapping(mapping);
    let lines = LINES.lock().unwrap();
    assert!(lines.iter().any(|line| line.contains("no NdkReleaseLAM")), "{lines:?}");
    drop((foreign, by_hand));
}
