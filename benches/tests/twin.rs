//! The hand-written table called directly: what its own checks answer, which the bridge's callers never reach.

use ndk_benches::objects::{Adapter, Region};
use ndk_benches::providers::twin_adapter;
use ndk_benches::twin::Twin;
use ndk_core::abi::*;
use ndk_core::mdl::{Buffer, Mdl};
use std::ptr::null_mut;

const READ: ULONG = NDK_MR_FLAG_ALLOW_REMOTE_READ;

unsafe extern "system" fn no_request(_: PVOID, _: NTSTATUS) {
    panic!("nothing pends");
}

unsafe extern "system" fn no_close(_: PVOID) {
    panic!("nothing pends");
}

fn table(mr: *mut NDK_MR) -> NDK_MR_DISPATCH {
    // SAFETY: the tests' regions are open.
    unsafe { *(*mr).Dispatch }
}

fn register(mr: *mut NDK_MR, mdl: *mut MDL, length: usize, flags: ULONG) -> NTSTATUS {
    // SAFETY: the tests' regions are open, and the memory outlives them.
    unsafe {
        table(mr).NdkRegisterMr.unwrap()(mr, mdl, length, flags, Some(no_request), null_mut())
    }
}

fn deregister(mr: *mut NDK_MR) -> NTSTATUS {
    // SAFETY: as above.
    unsafe { table(mr).NdkDeregisterMr.unwrap()(mr, Some(no_request), null_mut()) }
}

fn initialize(mr: *mut NDK_MR, pages: ULONG, remote: BOOLEAN) -> NTSTATUS {
    let entry = table(mr).NdkInitializeFastRegisterMr.unwrap();
    // SAFETY: as above.
    unsafe { entry(mr, pages, remote, Some(no_request), null_mut()) }
}

fn tokens(region: &Region) -> (UINT32, UINT32) {
    (region.local_token(), region.remote_token())
}

fn mdl(length: usize) -> Mdl {
    Mdl::new(&Buffer::new(length).unwrap()).unwrap()
}

#[test]
fn a_region_lives_and_its_token_with_it() {
    let domain = twin_adapter(8).domain();
    let region = domain.region(false);
    let mr = region.as_ndk().as_ptr();
    let memory = mdl(3 * PAGE_SIZE);
    let mut seen = Vec::new();
    for _ in 0..3 {
        assert_eq!(tokens(&region), (0, 0));
        assert_eq!(register(mr, memory.as_ptr(), memory.len(), READ), STATUS_SUCCESS);
        let (local, remote) = tokens(&region);
        assert!(local != 0 && local == remote && !seen.contains(&local), "{local:#x}");
        seen.push(local);
        assert_eq!(register(mr, memory.as_ptr(), 1, READ), STATUS_INVALID_DEVICE_STATE, "C12");
        assert_eq!(initialize(mr, 1, TRUE), STATUS_INVALID_DEVICE_STATE);
        assert_eq!(tokens(&region), (local, remote), "C12");
        assert_eq!(deregister(mr), STATUS_SUCCESS);
        assert_eq!(deregister(mr), STATUS_INVALID_DEVICE_STATE);
    }
    assert_eq!(register(mr, memory.as_ptr(), 1, NDK_MR_FLAG_ALLOW_LOCAL_WRITE), STATUS_SUCCESS);
    assert!(region.local_token() != 0 && region.remote_token() == 0, "E1");
}

#[test]
fn arguments_are_refused() {
    let domain = twin_adapter(8).domain();
    let region = domain.region(false);
    let mr = region.as_ndk().as_ptr();
    let memory = mdl(PAGE_SIZE);
    for (mdl, length, flags) in [
        (null_mut(), 1, READ),
        (memory.as_ptr(), 0, READ),
        (memory.as_ptr(), PAGE_SIZE + 1, READ),
        (memory.as_ptr(), usize::MAX, READ),
        (memory.as_ptr(), 1, 0x10),
        (memory.as_ptr(), 1, 0x4),
    ] {
        assert_eq!(register(mr, mdl, length, flags), STATUS_INVALID_PARAMETER, "{length} {flags}");
    }
    for spoil in [
        (|mdl: &mut MDL| mdl.MdlFlags = 0) as fn(&mut MDL),
        |mdl| mdl.StartVa = mdl.StartVa.wrapping_byte_add(1),
        |mdl| mdl.ByteOffset = PAGE_SIZE as ULONG,
        |mdl| mdl.Size = 48,
    ] {
        let spoilt = mdl_spoilt_by(spoil);
        assert_eq!(register(mr, spoilt.as_ptr(), 1, READ), STATUS_INVALID_PARAMETER);
    }
    let entry = table(mr).NdkRegisterMr.unwrap();
    // SAFETY: the region is open; a null completion is refused (A7), and an object of another type (A6).
    unsafe {
        let status = entry(mr, memory.as_ptr(), 1, READ, None, null_mut());
        assert_eq!(status, STATUS_INVALID_PARAMETER);
        let pd = domain.as_ndk().as_ptr().cast();
        let status = entry(pd, memory.as_ptr(), 1, READ, Some(no_request), null_mut());
        assert_eq!(status, STATUS_INVALID_PARAMETER);
        assert_eq!(table(mr).NdkGetLocalTokenFromMr.unwrap()(pd), 0);
        let close = table(mr).NdkCloseMr.unwrap();
        assert_eq!(close(mr.cast(), None, null_mut()), STATUS_INVALID_PARAMETER);
        assert_eq!(close(null_mut(), Some(no_close), null_mut()), STATUS_INVALID_PARAMETER);
    }
    assert_eq!(register(mr, memory.as_ptr(), PAGE_SIZE, READ), STATUS_SUCCESS, "B7");
}

fn mdl_spoilt_by(spoil: fn(&mut MDL)) -> Mdl {
    let mdl = mdl(PAGE_SIZE);
    // SAFETY: nobody else reads the MDL meanwhile.
    spoil(unsafe { &mut *mdl.as_ptr() });
    mdl
}

#[test]
fn chains_are_walked() {
    let domain = twin_adapter(8).domain();
    let region = domain.region(false);
    let mr = region.as_ndk().as_ptr();
    let buffer = Buffer::new(40 * PAGE_SIZE).unwrap();
    // A joint inside a page, an empty MDL, more pages than the region has room for itself.
    let chain = Mdl::builder().buffer(&buffer).split_at(100).split_at(5000).split_at(5000);
    let chain = chain.build().unwrap();
    assert_eq!(register(mr, chain.as_ptr(), chain.len(), READ), STATUS_SUCCESS);
    assert_eq!(deregister(mr), STATUS_SUCCESS);
    let second = chain.elements().nth(1).unwrap();
    // SAFETY: nobody else reads the chain meanwhile.
    unsafe { (*second).StartVa = (*second).StartVa.wrapping_byte_add(PAGE_SIZE) };
    let status = register(mr, chain.as_ptr(), chain.len(), READ);
    assert_eq!(status, STATUS_INVALID_PARAMETER, "C4: a hole");
    assert_eq!(register(mr, chain.as_ptr(), 100, READ), STATUS_SUCCESS, "C4: not looked at");
    assert_eq!(deregister(mr), STATUS_SUCCESS);
    // SAFETY: as above; an MDL that leads back to itself.
    unsafe {
        let first = chain.as_ptr();
        ((*first).ByteCount, (*first).Next) = (0, first);
    }
    assert_eq!(register(mr, chain.as_ptr(), 1, READ), STATUS_INVALID_PARAMETER, "C4: a ring");
}

#[test]
fn fast_register_regions_are_initialised() {
    let domain = twin_adapter(8).domain();
    let region = domain.region(true);
    let mr = region.as_ndk().as_ptr();
    let memory = mdl(1);
    assert_eq!(register(mr, memory.as_ptr(), 1, READ), STATUS_INVALID_DEVICE_STATE, "C11");
    assert_eq!(initialize(mr, 0, TRUE), STATUS_INVALID_PARAMETER, "G2");
    assert_eq!(initialize(mr, 512, TRUE), STATUS_IMPLEMENTATION_LIMIT, "G2");
    assert_eq!(tokens(&region), (0, 0));
    assert_eq!(initialize(mr, 511, TRUE), STATUS_SUCCESS);
    assert!(region.remote_token() != 0);
    assert_eq!(initialize(mr, 1, FALSE), STATUS_SUCCESS, "a second one replaces the first");
    assert!(region.local_token() != 0 && region.remote_token() == 0);
    assert_eq!(deregister(mr), STATUS_INVALID_DEVICE_STATE);
}

#[test]
fn a_domain_closes_after_its_regions() {
    unsafe extern "system" fn closed(context: PVOID) {
        // SAFETY: the flag below.
        unsafe { *context.cast::<bool>() = true };
    }
    let twin = Twin::open(2);
    let (adapter, mut over) = (twin.as_ndk().as_ptr(), false);
    let (mut pd, mut mr) = (null_mut(), null_mut());
    unsafe extern "system" fn created(_: PVOID, _: NTSTATUS, _: *mut NDK_OBJECT_HEADER) {}
    // SAFETY: the objects are used between their creation and their close.
    unsafe {
        let create = (*(*adapter).Dispatch).NdkCreatePd.unwrap();
        assert_eq!(create(adapter, Some(created), null_mut(), &mut pd), STATUS_SUCCESS);
        let domain = *(*pd).Dispatch;
        let create = domain.NdkCreateMr.unwrap();
        assert_eq!(create(pd, FALSE, Some(created), null_mut(), &mut mr), STATUS_SUCCESS);
        let mut others = [null_mut(); 2];
        assert_eq!(create(pd, FALSE, Some(created), null_mut(), &mut others[0]), STATUS_SUCCESS);
        let full = create(pd, FALSE, Some(created), null_mut(), &mut others[1]);
        assert_eq!(full, STATUS_INSUFFICIENT_RESOURCES, "C14");
        let memory = mdl(1);
        assert_eq!(register(mr, memory.as_ptr(), 1, READ), STATUS_SUCCESS);
        let context = (&raw mut over).cast();
        let close = domain.NdkClosePd.unwrap();
        assert_eq!(close(pd.cast(), Some(closed), context), STATUS_PENDING, "H4");
        let refused = create(pd, FALSE, Some(created), null_mut(), &mut others[1]);
        assert_eq!(refused, STATUS_INVALID_DEVICE_STATE);
        for mr in [mr, others[0]] {
            assert!(!over);
            let close = table(mr).NdkCloseMr.unwrap();
            assert_eq!(close(mr.cast(), Some(no_close), null_mut()), STATUS_SUCCESS, "H3");
        }
        assert!(over);
    }
}

#[test]
fn threads_share_an_adapter() {
    let twin = Twin::open(64);
    let adapter = Adapter::new(twin.as_ndk(), twin);
    let domain = adapter.domain();
    let threads = (0..4).map(|_| {
        let domain = domain.clone();
        std::thread::spawn(move || {
            let (region, memory) = (domain.region(false), mdl(PAGE_SIZE));
            for _ in 0..20_000 {
                region.register(&memory);
                assert!(region.remote_token() != 0);
                region.deregister();
            }
        })
    });
    threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
}
