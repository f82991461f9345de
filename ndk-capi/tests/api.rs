//! The exported functions, called as C calls them: what they refuse, and what they leave as it was.

use ndk_core::abi::{
    MDL, NDIS_STATUS_BAD_VERSION, NDK_ADAPTER, NDK_OBJECT_HEADER, NDK_VERSION, NTSTATUS, PVOID,
    STATUS_INVALID_DEVICE_STATE, STATUS_INVALID_PARAMETER, STATUS_NOT_SUPPORTED, STATUS_SUCCESS,
};
use ndkmr::*;
use proptest::prelude::*;
use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{null, null_mut};

const V2: NDK_VERSION = NDK_VERSION { Major: 2, Minor: 0 };

fn open_with(
    name: &CStr,
    version: NDK_VERSION,
    options: *const ndkmr_options,
) -> Result<*mut NDK_ADAPTER, NTSTATUS> {
    let untouched = 0x10 as *mut NDK_ADAPTER;
    let mut adapter = untouched;
    // SAFETY: the options are null or a structure with its size; the rest is valid.
    let status = unsafe { ndkmr_open(name.as_ptr(), version, options, &mut adapter) };
    if status == STATUS_SUCCESS {
        return Ok(adapter);
    }
    assert_eq!(adapter, untouched, "written in spite of a failure");
    Err(status)
}

fn open(name: &CStr) -> Result<*mut NDK_ADAPTER, NTSTATUS> {
    open_with(name, V2, null())
}

fn close(adapter: *mut NDK_ADAPTER) -> NTSTATUS {
    // SAFETY: the tests do not use an adapter after its close.
    unsafe { ndkmr_close(adapter) }
}

fn last_error() -> String {
    let mut buffer = [0 as c_char; 2048];
    // SAFETY: the buffer has that size, and a zero byte is written.
    unsafe {
        ndkmr_last_error(buffer.as_mut_ptr(), buffer.len());
        CStr::from_ptr(buffer.as_ptr()).to_str().unwrap().into()
    }
}

#[test]
fn what_opens_is_closed_once() {
    let adapter = open(c"sim?seed=7").unwrap();
    assert_eq!(close(adapter), STATUS_SUCCESS);
    assert_eq!(close(adapter), STATUS_INVALID_PARAMETER);
    assert!(last_error().contains("that is still open"), "{}", last_error());
    assert_eq!(close(null_mut()), STATUS_INVALID_PARAMETER);
    assert!(last_error().contains("the adapter is null"), "{}", last_error());
    assert_eq!(close(std::ptr::dangling_mut()), STATUS_INVALID_PARAMETER);
}

#[test]
fn a_name_that_nothing_serves_is_refused_with_a_sentence() {
    assert_eq!(open(c"nonesuch"), Err(STATUS_NOT_SUPPORTED));
    assert!(last_error().starts_with("ndkmr_open: STATUS_NOT_SUPPORTED"), "{}", last_error());
    assert!(last_error().contains("\n  sim: "), "{}", last_error());
    assert_eq!(open(c"sim?sede=7"), Err(STATUS_INVALID_PARAMETER));
    assert!(last_error().contains("\n  seed: "), "{}", last_error());
    assert_eq!(open(c"sim?seed=x"), Err(STATUS_INVALID_PARAMETER));
    assert_eq!(open(c""), Err(STATUS_INVALID_PARAMETER));
    assert_eq!(open(c"sim\xFF"), Err(STATUS_INVALID_PARAMETER));
    assert!(last_error().contains("not UTF-8"), "{}", last_error());
    let old = NDK_VERSION { Major: 1, Minor: 3 };
    assert_eq!(open_with(c"sim", old, null()), Err(NDIS_STATUS_BAD_VERSION));
}

#[test]
fn null_pointers_are_refused() {
    let mut adapter = null_mut();
    // SAFETY: null is what is asked for.
    unsafe {
        assert_eq!(ndkmr_open(null(), V2, null(), &mut adapter), STATUS_INVALID_PARAMETER);
        assert_eq!(ndkmr_open(c"sim".as_ptr(), V2, null(), null_mut()), STATUS_INVALID_PARAMETER);
    }
    assert!(adapter.is_null());
}

#[test]
fn options_are_checked_and_later_ones_are_refused_unless_zero() {
    let size = size_of::<ndkmr_options>();
    let given =
        |size, executor_threads, reserved| ndkmr_options { size, executor_threads, reserved };
    for (options, expected) in [
        (given(size, 0, 0), STATUS_SUCCESS),
        (given(size, 3, 0), STATUS_SUCCESS),
        (given(size, 1025, 0), STATUS_INVALID_PARAMETER),
        (given(size, u32::MAX, 0), STATUS_INVALID_PARAMETER),
        (given(size, 1, 1), STATUS_NOT_SUPPORTED),
        (given(0, 1, 0), STATUS_INVALID_PARAMETER),
        (given(size - 1, 1, 0), STATUS_INVALID_PARAMETER),
        (given(usize::MAX, 1, 0), STATUS_INVALID_PARAMETER),
    ] {
        match open_with(c"sim", V2, &options) {
            Ok(adapter) => assert_eq!((close(adapter), expected), (STATUS_SUCCESS, STATUS_SUCCESS)),
            Err(status) => assert_eq!(status, expected, "{options:?}: {}", last_error()),
        }
    }
    // A program of a later header passes a larger structure.
    #[repr(C)]
    struct Later(ndkmr_options, u64);
    for (more, expected) in [(0, STATUS_SUCCESS), (1, STATUS_NOT_SUPPORTED)] {
        let later = Later(given(size_of::<Later>(), 1, 0), more);
        let opened = open_with(c"sim", V2, (&raw const later).cast());
        assert_eq!(opened.map_or_else(|status| status, close), expected);
    }
}

#[test]
fn of_several_threads_that_close_an_adapter_one_does() {
    for _ in 0..50 {
        let adapter = open(c"sim").unwrap().expose_provenance();
        let statuses = std::thread::scope(|scope| {
            let closers: Vec<_> = (0..4)
                .map(|_| scope.spawn(move || close(std::ptr::with_exposed_provenance_mut(adapter))))
                .collect();
            closers.into_iter().map(|closer| closer.join().unwrap()).collect::<Vec<_>>()
        });
        let done = statuses.iter().filter(|&&status| status == STATUS_SUCCESS).count();
        assert_eq!(done, 1, "{statuses:x?}");
        assert!(statuses.iter().all(|status| {
            [STATUS_SUCCESS, STATUS_INVALID_PARAMETER, STATUS_INVALID_DEVICE_STATE].contains(status)
        }));
    }
}

unsafe extern "system" fn created(_: PVOID, _: NTSTATUS, _: *mut NDK_OBJECT_HEADER) {
    panic!("B1: the simulator creates inline");
}

unsafe extern "system" fn closed(_: PVOID) {
    panic!("B1: the simulator closes inline");
}

#[test]
fn while_an_adapter_is_being_closed_it_is_asked_in_vain() {
    let adapter = open(c"verify+sim").unwrap();
    let mut pd = null_mut();
    // SAFETY: the adapter is open.
    let status = unsafe {
        let create = (*(*adapter).Dispatch).NdkCreatePd.expect("an entry");
        create(adapter, Some(created), null_mut(), &mut pd)
    };
    assert_eq!(status, STATUS_SUCCESS);
    let (mut consumer, mut provider) = (usize::MAX, usize::MAX);
    // SAFETY: the out pointers are null or valid.
    let mut count = || unsafe { ndkmr_count_findings(adapter, &mut consumer, &mut provider) };
    assert_eq!(count(), STATUS_SUCCESS);
    // SAFETY: as above.
    assert_eq!(unsafe { ndkmr_count_findings(adapter, null_mut(), null_mut()) }, STATUS_SUCCESS);
    std::thread::scope(|scope| {
        let address = adapter.expose_provenance();
        let closing = scope.spawn(move || close(std::ptr::with_exposed_provenance_mut(address)));
        // The close waits for the domain.
        while count() == STATUS_SUCCESS {
            std::thread::yield_now();
        }
        assert_eq!(count(), STATUS_INVALID_DEVICE_STATE, "H7");
        assert!(last_error().contains("another thread is closing"), "{}", last_error());
        assert_eq!(close(adapter), STATUS_INVALID_DEVICE_STATE, "H7");
        // SAFETY: the domain is open.
        let status = unsafe {
            let close = (*(*pd).Dispatch).NdkClosePd.expect("an entry");
            close(pd.cast(), Some(closed), null_mut())
        };
        assert_eq!(status, STATUS_SUCCESS);
        assert_eq!(closing.join().expect("no panic"), STATUS_SUCCESS, "H5");
    });
    assert_eq!(count(), STATUS_INVALID_PARAMETER);
    assert!(last_error().contains("that is still open"), "{}", last_error());
    assert_eq!((consumer, provider), (0, 0));
}

fn chain(parts: &[ndkmr_part], address: usize) -> Result<*mut MDL, NTSTATUS> {
    let mut mdl = null_mut();
    let address = std::ptr::without_provenance_mut(address);
    // SAFETY: the parts are memory of the tests, or null.
    let status = unsafe { ndkmr_mdl_create_chain(parts.as_ptr(), parts.len(), address, &mut mdl) };
    if status == STATUS_SUCCESS { Ok(mdl) } else { Err(status) }
}

fn free(mdl: *mut MDL) -> NTSTATUS {
    // SAFETY: the tests do not use an MDL after this, and register none.
    unsafe { ndkmr_mdl_free(mdl) }
}

#[test]
fn a_chain_follows_in_virtual_addresses_wherever_the_parts_lie() {
    let pages = ndk_core::mdl::Buffer::new(3 * 4096).unwrap();
    let at = |offset: usize, length| ndkmr_part {
        memory: pages.as_ptr().wrapping_add(offset).cast::<c_void>(),
        length,
    };
    let mdl = chain(&[at(8192, 4096), at(0, 100), at(100, 50)], 0x7000_0000).unwrap();
    let (mut at_mdl, mut seen) = (mdl, Vec::new());
    // SAFETY: a chain of MDLs, ended by null.
    while let Some(element) = unsafe { at_mdl.as_ref() } {
        seen.push((element.StartVa.addr() + element.ByteOffset as usize, element.ByteCount));
        at_mdl = element.Next;
    }
    assert_eq!(seen, [(0x7000_0000, 4096), (0x7000_1000, 100), (0x7000_1064, 50)]);
    assert_eq!(free(mdl), STATUS_SUCCESS);
    assert_eq!(free(mdl), STATUS_INVALID_PARAMETER);

    assert_eq!(chain(&[], 0), Err(STATUS_INVALID_PARAMETER));
    assert_eq!(chain(&[at(0, 100), at(200, 1)], 0), Err(STATUS_INVALID_PARAMETER));
    assert_eq!(chain(&[at(0, 100)], 0x7000_0001), Err(STATUS_INVALID_PARAMETER));
    assert_eq!(chain(&[at(0, usize::MAX)], 0), Err(STATUS_INVALID_PARAMETER));
    assert_eq!(chain(&[at(0, usize::MAX), at(1, 2)], 0), Err(STATUS_INVALID_PARAMETER));
    let nothing = ndkmr_part { memory: null_mut(), length: 1 };
    assert_eq!(chain(&[nothing], 0), Err(STATUS_INVALID_PARAMETER));
    // SAFETY: null is what is asked for; a number of parts that no array has is not followed.
    unsafe {
        let mut mdl = null_mut();
        let (part, memory) = (at(0, 1), at(0, 1).memory);
        assert_eq!(ndkmr_mdl_create(null_mut(), 1, &mut mdl), STATUS_INVALID_PARAMETER);
        assert_eq!(ndkmr_mdl_create(memory, 1, null_mut()), STATUS_INVALID_PARAMETER);
        let none = ndkmr_mdl_create_chain(null(), 1, null_mut(), &mut mdl);
        assert_eq!(none, STATUS_INVALID_PARAMETER);
        let many = ndkmr_mdl_create_chain(&part, usize::MAX, null_mut(), &mut mdl);
        assert_eq!(many, STATUS_INVALID_PARAMETER);
        assert!(mdl.is_null());
    }
}

proptest! {
    #[test]
    fn no_name_crashes(bytes in prop::collection::vec(1..=255_u8, 0..60)) {
        match open(&CString::new(bytes).unwrap()) {
            Ok(adapter) => prop_assert_eq!(close(adapter), STATUS_SUCCESS),
            Err(status) => prop_assert!(status < 0),
        }
    }

    #[test]
    fn no_options_of_the_simulator_crash(
        key in "seed|profile|plan|latency|fault|lose-adapter|regions|pinned-pages|tokens|[a-z]{1,4}",
        value in "[a-z0-9%&=:.,~-]{0,20}|[0-9]{1,20}(us|ms)?|register:[0-9.]{1,4}(us)?",
    ) {
        match open(&CString::new(format!("sim?{key}={value}")).unwrap()) {
            Ok(adapter) => prop_assert_eq!(close(adapter), STATUS_SUCCESS),
            Err(status) => prop_assert!(status < 0),
        }
    }
}
