//! Registrations: many, of read-only memory, through mappings, and in a program that forks.

use crate::common::device;
use crate::world::*;
use futures_lite::future::block_on;
use ndk_core::mdl::{Buffer, Mdl, MdlView};
use ndk_core::{Access, AdapterProvider, ErrorKind, MrProvider, Sge, WorkRequest as R};

#[test]
fn c14_ten_thousand_registrations_leave_nothing() {
    let Some(name) = device("NDK_VERBS_DEVICE") else { return };
    let adapter = open(&name);
    let domain = pd(&adapter);
    let memory = Registered::new(&adapter, &domain, 4096, ALL);
    for round in 0..10_000 {
        block_on(memory.region.deregister()).unwrap_or_else(|error| panic!("{round}: {error}"));
        register(&memory.region, &memory.mdl, ALL)
            .unwrap_or_else(|error| panic!("{round}: {error}"));
    }
    memory.close();
    close_pd(&adapter, &domain);
}

/// Memory that this process may read only.
struct ReadOnly {
    address: *mut libc::c_void,
}

const PAGE: usize = 4096;

impl ReadOnly {
    fn new() -> Self {
        // SAFETY: new memory, at an address of the kernel's choice.
        let address = unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            libc::mmap(std::ptr::null_mut(), PAGE, libc::PROT_READ, flags, -1, 0)
        };
        assert_ne!(address, libc::MAP_FAILED);
        address.expose_provenance();
        Self { address }
    }

    /// An MDL over it.
    fn mdl(&self) -> Vec<usize> {
        use ndk_core::abi::{MDL, MDL_PAGES_LOCKED};
        let words = size_of::<MDL>() / size_of::<usize>();
        let mut chain = vec![0usize; words + 1];
        let mdl = chain.as_mut_ptr().cast::<MDL>();
        // SAFETY: the vector has room for the structure and one frame.
        unsafe {
            (&raw mut (*mdl).Size).write((chain.len() * size_of::<usize>()) as i16);
            (&raw mut (*mdl).MdlFlags).write(MDL_PAGES_LOCKED);
            (&raw mut (*mdl).StartVa).write(self.address);
            (&raw mut (*mdl).ByteCount).write(PAGE as u32);
        }
        chain[words] = self.address.addr() >> 12;
        chain
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        // SAFETY: mapped in `new`, and nothing is registered over it.
        unsafe { libc::munmap(self.address, PAGE) };
    }
}

#[test]
fn read_only_memory_is_registered_for_reading_and_not_for_writing() {
    let Some(name) = device("NDK_VERBS_DEVICE") else { return };
    let adapter = open(&name);
    let domain = pd(&adapter);
    let (memory, region) = (ReadOnly::new(), region(&adapter, &domain));
    let chain = memory.mdl();
    // SAFETY: the chain and the memory stay until the region is closed.
    let view = || unsafe { MdlView::new(chain.as_ptr().cast(), PAGE) }.unwrap();
    let refusal = block_on(region.register(view(), ALL)).unwrap_err();
    assert_eq!(refusal.kind(), ErrorKind::InvalidParameter, "{refusal}");
    assert!(refusal.detail().contains("read-only"), "{refusal}");
    block_on(region.register(view(), Access::REMOTE_READ)).unwrap();
    block_on(region.close()).unwrap();
    // A mapping can be written through.
    let refusal = block_on(adapter.build_mapping(view(), &mut [0])).unwrap_err();
    assert_eq!(refusal.kind(), ErrorKind::InvalidParameter, "{refusal}");
    close_pd(&adapter, &domain);
}

#[test]
fn l5_a_mapping_is_there_in_every_domain_older_or_newer() {
    let Some(name) = device("NDK_VERBS_DEVICE") else { return };
    let adapter = open(&name);
    let older = pd(&adapter);
    let buffer = Buffer::new(8192).unwrap();
    let mdl = Mdl::builder().buffer(&buffer).build().unwrap();
    let (mapping, pages) = map(&adapter, &mdl);
    let newer = pd(&adapter);
    let far = pd(&adapter);
    let target = Registered::new(&adapter, &far, 4096, ALL);
    for domain in [&older, &newer] {
        let ports = [queue_pair(&adapter, domain), queue_pair(&adapter, &far)];
        connect(&ports[0], &ports[1]);
        let token = adapter.privileged_token(domain).unwrap();
        let local = [Sge { address: pages[1] - 50, length: 100, token }];
        let write = R::Write { local: &local, remote: target.at(0) };
        assert_eq!(carry_out(&ports[0], write), Ok(100));
        close(ports);
    }
    adapter.release_mapping(mapping);
    target.close();
    [older, newer, far].iter().for_each(|domain| close_pd(&adapter, domain));
}

/// What the child inherits is not its own: dropping it there leaves the parent's registration as it is.
#[test]
fn a_forked_child_touches_nothing() {
    let Some(name) = device("NDK_VERBS_DEVICE") else { return };
    let (adapter, domains, [owner, peer]) = two_domains(&name);
    let target = Registered::new(&adapter, &domains[0], 4096, ALL);
    let own = Registered::new(&adapter, &domains[1], 64, ALL);
    // SAFETY: the child makes no call but the drops that are tried, and ends by a system call.
    let child = unsafe { libc::fork() };
    if child == 0 {
        drop(adapter);
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: waits for the child made above.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0, "the child ended well");
    let local = [own.element(64)];
    own.buffer.write(0, &[9; 64]).unwrap();
    let write = R::Write { local: &local, remote: target.at(0) };
    assert_eq!(carry_out(&peer, write), Ok(64), "the parent goes on");
    close([owner, peer]);
    target.close();
    own.close();
    domains.iter().for_each(|domain| close_pd(&adapter, domain));
}
