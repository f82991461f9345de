//! What the conformance kit does not ask: two devices, connections by address, limits, and programs that fork.

mod common;
#[path = "common/world.rs"]
mod world;

use common::device;
use futures_lite::future::block_on;
use ndk_backend_mlx::{Config, MlxAdapter, MlxQueuePair};
use ndk_core::mdl::{Buffer, Mdl, MdlView};
use ndk_core::{
    Access, AdapterProvider, ErrorKind, FastMemory, MrProvider, QpProvider, QueueDepths,
    RegionKind, Sge, WorkRequest as R,
};
use std::env;
use std::net::IpAddr;
use world::*;

const ALL: Access = Access::REMOTE_WRITE;

/// The address of a device, where the environment says it.
fn address(device: &str) -> Option<IpAddr> {
    let addresses = env::var("NDK_VERBS_ADDRESSES").ok()?;
    let of = addresses.split_whitespace().find_map(|entry| {
        entry.split_once('=').filter(|(name, _)| *name == device).map(|(_, address)| address)
    });
    Some(of?.parse().expect("an address"))
}

/// Moves bytes from one adapter to the other and back, and has a bad access refused.
fn exchange(left: &MlxAdapter, right: &MlxAdapter) {
    let (here, there) = (pd(left), pd(right));
    let ports = [queue_pair(left, &here), queue_pair(right, &there)];
    connect(&ports[0], &ports[1]);
    let own = Registered::new(left, &here, 9000, ALL | Access::READ_SINK);
    let far = Registered::new(right, &there, 9000, ALL | Access::REMOTE_READ);
    own.buffer.write(0, &[0x5a; 9000]).unwrap();
    let local = [own.element(9000)];
    let write = R::Write { local: &local, remote: far.at(0) };
    assert_eq!(carry_out(&ports[0], write), Ok(9000));
    let read = R::Read { local: &local, remote: far.at(0) };
    assert_eq!(carry_out(&ports[0], read), Ok(9000));
    assert_eq!(far.buffer.to_vec(), [0x5a; 9000]);
    let beyond = R::Read { local: &local, remote: far.at(1) };
    assert!(carry_out(&ports[0], beyond).is_err(), "one byte past the end");
    let far_port = &ports[1];
    post(far_port, 9, R::Receive { local: &[] }).unwrap();
    assert_eq!(completion(far_port).result, Err(ErrorKind::Cancelled), "F6: the other end too");
    close(ports);
    own.close();
    far.close();
    close_pd(left, &here);
    close_pd(right, &there);
}

fn pair() -> Option<[String; 2]> {
    let pair = device("NDK_VERBS_PAIR")?;
    let mut names = pair.split_whitespace().map(String::from);
    Some([names.next()?, names.next().expect("two devices")])
}

#[test]
fn two_devices_reach_each_other() {
    let Some([left, right]) = pair() else { return };
    exchange(&open(&left), &open(&right));
}

#[test]
fn queue_pairs_connect_by_address() {
    let Some(names) = pair() else { return };
    let [left, right] = names.map(|name| {
        let address = address(&name);
        assert!(address.is_some(), "NDK_VERBS_ADDRESSES has the address of {name}");
        open_with(Config { device: Some(name), address, ..Config::default() })
    });
    exchange(&left, &right);
}

#[test]
fn iwarp_connects_by_address() {
    let Some(name) = device("NDK_VERBS_IWARP") else { return };
    exchange(&open(&name), &open(&name));
}

#[test]
fn an_address_of_nobody_is_refused() {
    let Some(name) = device("NDK_VERBS_DEVICE") else { return };
    let address = address(&name);
    let adapter = open_with(Config { device: Some(name), address, ..Config::default() });
    let domain = pd(&adapter);
    let port = queue_pair(&adapter, &domain);
    // Smaller than any endpoint, so that nobody calls, and larger, so that nobody answers.
    for nobody in ["verbs:no", "cm:zzz"] {
        let refusal = block_on(port.connect(&ndk_core::Endpoint(nobody.into()))).unwrap_err();
        assert_eq!(refusal.kind(), ErrorKind::ConnectionRefused, "{refusal}");
    }
    close([port]);
    close_pd(&adapter, &domain);
}

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
    block_on(region.close());
    // A mapping can be written through.
    let refusal = block_on(adapter.build_mapping(view(), &mut [0])).unwrap_err();
    assert_eq!(refusal.kind(), ErrorKind::InvalidParameter, "{refusal}");
    close_pd(&adapter, &domain);
}

/// A mapping over `buffer`, by its pages.
fn map(adapter: &MlxAdapter, mdl: &Mdl) -> (ndk_core::Mapping, Vec<u64>) {
    // SAFETY: the tests keep MDL and buffer until the mapping is released.
    let view = unsafe { MdlView::new(mdl.as_ptr(), mdl.len()) }.unwrap();
    let mut pages = vec![0; view.page_count()];
    let mapping = block_on(adapter.build_mapping(view, &mut pages)).unwrap();
    (mapping, pages)
}

fn all_of<'a>(buffer: &Buffer, pages: &'a [u64]) -> FastMemory<'a> {
    let base = buffer.address() as u64;
    FastMemory { pages, first_byte: (base % 4096) as u32, length: buffer.len() as u64, base }
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

/// A fast-registered region of `port`'s domain, with all remote rights.
struct Fast {
    region: ndk_backend_mlx::MlxRegion,
    buffer: Buffer,
    pages: Vec<u64>,
    mapping: ndk_core::Mapping,
}

impl Fast {
    fn new(adapter: &MlxAdapter, domain: &ndk_backend_mlx::MlxPd) -> Self {
        let buffer = Buffer::new(3 * 4096).unwrap();
        let mdl = Mdl::builder().buffer(&buffer).build().unwrap();
        let (mapping, pages) = map(adapter, &mdl);
        let region = block_on(adapter.create_mr(domain, RegionKind::FastRegister)).unwrap();
        block_on(region.initialize_fast_register(3, true)).unwrap();
        Self { region, buffer, pages, mapping }
    }

    fn register(&self, base: u64) -> Request<'_> {
        let memory = FastMemory { base, ..all_of(&self.buffer, &self.pages) };
        R::FastRegister { region: &self.region, memory, access: ALL | Access::REMOTE_READ }
    }

    fn close(self, adapter: &MlxAdapter) {
        block_on(self.region.close());
        adapter.release_mapping(self.mapping);
    }
}

/// A device with windows: two domains, and a connection between them.
fn fast_world(name: &str) -> (MlxAdapter, [ndk_backend_mlx::MlxPd; 2], [MlxQueuePair; 2]) {
    let adapter = open(name);
    let domains = [pd(&adapter), pd(&adapter)];
    let ports = [queue_pair(&adapter, &domains[0]), queue_pair(&adapter, &domains[1])];
    connect(&ports[0], &ports[1]);
    (adapter, domains, ports)
}

#[test]
fn g8_rounds_are_posted_without_waiting_for_each_other_at_any_base() {
    let Some(name) = device("NDK_VERBS_DEVICE") else { return };
    let (adapter, domains, [owner, peer]) = fast_world(&name);
    let fast = Fast::new(&adapter, &domains[0]);
    let token = fast.region.remote_token().unwrap();
    let own = Registered::new(&adapter, &domains[1], 4096, ALL);
    for base in [0x5a5a_0000_0000, 0x1000] {
        for round in 0..3 {
            post(&peer, 100, R::Receive { local: &[] }).unwrap();
            if round > 0 {
                post(&owner, 1, R::InvalidateRegion { region: &fast.region }).unwrap();
            }
            post(&owner, 2, fast.register(base)).unwrap();
            // The message says that the token is good: it comes after the registration.
            post(&owner, 3, R::Send { local: &[], invalidate: None }).unwrap();
            assert_eq!(completion(&peer).result, Ok(()));
            assert_eq!(fast.region.remote_token(), Some(token), "E4");
            own.buffer.write(0, &[round as u8 + 1; 10]).unwrap();
            let local = [own.element(10)];
            let remote = ndk_core::RemoteAddress { address: base + 8190, token };
            assert_eq!(carry_out(&peer, R::Write { local: &local, remote }), Ok(10));
            assert_eq!(fast.buffer.to_vec()[8190..8200], [round as u8 + 1; 10]);
            let expected = if round > 0 { vec![1, 2, 3] } else { vec![2, 3] };
            for context in expected {
                let done = completion(&owner);
                assert_eq!((done.id.context, done.result), (context, Ok(())));
            }
        }
        assert_eq!(carry_out(&owner, R::InvalidateRegion { region: &fast.region }), Ok(0));
    }
    close([owner, peer]);
    fast.close(&adapter);
    own.close();
    domains.iter().for_each(|domain| close_pd(&adapter, domain));
}

#[test]
fn the_send_queue_is_as_deep_as_it_says_while_a_registration_waits() {
    let Some(name) = device("NDK_VERBS_DEVICE") else { return };
    let adapter = open(&name);
    let domain = pd(&adapter);
    let depths = QueueDepths { receive: 8, initiator: 4 };
    let ports = [depths, QueueDepths::default()]
        .map(|depths| block_on(adapter.create_qp(&domain, depths)).unwrap());
    connect(&ports[0], &ports[1]);
    let fast = Fast::new(&adapter, &domain);
    post(&ports[0], 0, fast.register(0x1000)).unwrap();
    for context in 1..4 {
        post(&ports[1], context, R::Receive { local: &[] }).unwrap();
        post(&ports[0], context, R::Send { local: &[], invalidate: None }).unwrap();
    }
    let full = post(&ports[0], 4, R::Send { local: &[], invalidate: None }).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::InsufficientResources, "{full}");
    for context in 0..4 {
        let done = completion(&ports[0]);
        assert_eq!((done.id.context, done.result), (context, Ok(())), "in order");
    }
    close(ports);
    fast.close(&adapter);
    close_pd(&adapter, &domain);
}

#[test]
fn many_queue_pairs_use_one_region_by_turns() {
    let Some(name) = device("NDK_VERBS_DEVICE") else { return };
    let (adapter, domains, [owner, peer]) = fast_world(&name);
    close([owner, peer]);
    let fast = Fast::new(&adapter, &domains[0]);
    for round in 0..20 {
        let ports = [queue_pair(&adapter, &domains[0]), queue_pair(&adapter, &domains[1])];
        connect(&ports[0], &ports[1]);
        assert_eq!(carry_out(&ports[0], fast.register(0x7000)), Ok(0), "{round}");
        if round % 2 == 0 {
            let invalidate = R::InvalidateRegion { region: &fast.region };
            assert_eq!(carry_out(&ports[0], invalidate), Ok(0), "{round}");
            close(ports);
        } else {
            // The queue pair goes first, and the token with it; another one ends the registration.
            close(ports);
            let ports = [queue_pair(&adapter, &domains[0]), queue_pair(&adapter, &domains[1])];
            connect(&ports[0], &ports[1]);
            let invalidate = R::InvalidateRegion { region: &fast.region };
            assert_eq!(carry_out(&ports[0], invalidate), Ok(0), "{round}");
            close(ports);
        }
    }
    fast.close(&adapter);
    domains.iter().for_each(|domain| close_pd(&adapter, domain));
}

#[test]
fn a_flush_while_registrations_wait_ends_each_once() {
    let Some(name) = device("NDK_VERBS_DEVICE") else { return };
    for _ in 0..10 {
        let (adapter, domains, [owner, peer]) = fast_world(&name);
        let fast: Vec<Fast> = (0..8).map(|_| Fast::new(&adapter, &domains[0])).collect();
        for (context, fast) in fast.iter().enumerate() {
            post(&owner, context as u64, fast.register(0x1000)).unwrap();
        }
        owner.flush();
        let mut flushed = false;
        for context in 0..8 {
            let done = completion(&owner);
            assert_eq!(done.id.context, context, "each once, in order");
            flushed |= done.result.is_err();
            let expected = if flushed { Err(ErrorKind::Cancelled) } else { Ok(()) };
            assert_eq!(done.result, expected);
        }
        close([owner, peer]);
        fast.into_iter().for_each(|fast| fast.close(&adapter));
        domains.iter().for_each(|domain| close_pd(&adapter, domain));
    }
}

/// What the child inherits is not its own: dropping it there leaves the parent's registration as it is.
#[test]
fn a_forked_child_touches_nothing() {
    let Some(name) = device("NDK_VERBS_DEVICE") else { return };
    let (adapter, domains, [owner, peer]) = fast_world(&name);
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
