//! Very many regions at a time: unique tokens, each of which leads to its own region, the limit (C14), full release.
#[path = "common/mod.rs"]
mod common;

use common::{Host, Memory, Mr, Pd, Pump, Qp, Random, connect, sge, window};
use futures_lite::future::block_on;
use ndk_backend_sim::{Config, Fabric, Profile, factory};
use ndk_core::abi::*;
use ndk_core::backend::Registry;
use ndk_core::mdl::{Buffer, Mdl};
use ndk_core::{
    Access, BoxedAdapter, DomainRef, ErrorKind, QueueDepths, RemoteToken, Std, ThreadPool,
};
use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Counts what is allocated and not freed.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is the system's allocator's; sizes are counted beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) };
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Held by each test: what one allocates is not to be counted with another's.
static ALONE: Mutex<()> = Mutex::new(());

fn live() -> usize {
    LIVE.load(Ordering::Relaxed)
}

/// Nothing is left allocated but what the test harness itself may have kept meanwhile.
fn given_back(before: usize) {
    let kept = live().saturating_sub(before);
    assert!(kept < 8192, "{kept} bytes were not given back");
}

/// The bytes of each region: a number of its own.
const EACH: usize = 8;
const READABLE: ULONG = NDK_MR_FLAG_ALLOW_REMOTE_READ;

fn open(pump: &Pump, fabric: &Fabric, profile: Profile, plan: &str) -> Host {
    let plan = plan.parse().expect("a plan");
    let fabric = fabric.clone();
    Host::new(Config { profile, plan, clock: pump.clock(), fabric, ..Config::default() }, pump)
}

/// The region of a pointer.
fn region(raw: NonNull<NDK_MR>, pd: &Pd) -> Mr {
    Mr { raw, pump: pd.pump.clone() }
}

/// Makes and registers a region over its own bytes of the buffer.
fn registered(pd: &Pd, buffer: &Buffer, number: usize) -> NonNull<NDK_MR> {
    let mr = pd.mr();
    let bytes = number * EACH..(number + 1) * EACH;
    let mdl = Mdl::builder().range(buffer, bytes).build().expect("an MDL");
    assert_eq!(mr.begin_register_mdl(&mdl, EACH, READABLE).finish(&pd.pump), STATUS_SUCCESS);
    mr.raw
}

/// Reads the region of that token through a queue pair, and gives the number found there.
fn read(qp: &Qp, sink: (&Memory, &Mr), token: u32, address: u64) -> Result<u64, ErrorKind> {
    let into = sge(sink.1.local(), sink.0.base(), EACH as u32);
    let token = RemoteToken::new(token).expect("a token");
    qp.read_through(into, token, address)?;
    Ok(u64::from_le_bytes(sink.0.bytes()[..EACH].try_into().expect("eight bytes")))
}

/// The same number of regions, of two domains, all live.
fn many(count: usize, samples: usize) {
    let _alone = ALONE.lock().unwrap_or_else(|failed| failed.into_inner());
    let buffer = Buffer::new(count * EACH).expect("memory");
    for number in 0..count {
        buffer.write(number * EACH, &(number as u64).to_le_bytes()).expect("inside");
    }
    let mut regions: Vec<NonNull<NDK_MR>> = Vec::with_capacity(count);
    let mut tokens: Vec<u32> = Vec::with_capacity(count);
    let before_all = live();
    let (pump, fabric) = (Pump::own(), Fabric::new());
    let host = open(&pump, &fabric, Profile::default(), "");
    let peer = open(&pump, &fabric, Profile::default(), "");
    let domains = [host.pd(), host.pd()];
    let far = [peer.pd(), peer.pd()];

    let (before, start) = (live(), Instant::now());
    regions.extend((0..count).map(|number| registered(&domains[number % 2], &buffer, number)));
    let (made, bytes) = (start.elapsed(), live() - before);
    println!(
        "{count} live regions: {} bytes each ({bytes} in all), made and registered in {} ns each",
        bytes / count,
        made.as_nanos() / count as u128
    );
    assert_eq!(host.sim().counters().live(), count as u64);
    assert_eq!(host.sim().live_records(), count + domains.len());

    tokens.extend(regions.iter().map(|raw| region(*raw, &domains[0]).remote_value()));
    let mut unique = tokens.clone();
    unique.sort_unstable();
    unique.dedup();
    assert!(unique.len() == count && unique[0] != 0, "E2: unique over all domains, E1: none is 0");
    drop(unique);

    let memory = Memory::new(EACH);
    let sinks = far.each_ref().map(|pd| pd.registered(&memory, NDK_MR_FLAG_ALLOW_LOCAL_WRITE));
    let mut pairs = [0, 1].map(|index| connect(&far[index], &domains[index]));
    let address = |number: usize| (buffer.address() + number * EACH) as u64;
    let mut random = Random::new(count as u64);
    for _ in 0..samples {
        let number = random.below(count);
        let (domain, token) = (number % 2, tokens[number]);
        let found = read(&pairs[domain].0, (&memory, &sinks[domain]), token, address(number));
        assert_eq!(found, Ok(number as u64), "the token leads to its own region");
    }
    for _ in 0..20 {
        let number = random.below(count - 2);
        let domain = number % 2;
        let next = [(tokens[number], number + 2), (tokens[number + 1], number + 1)];
        for (token, number) in next {
            // The neighbour of the same domain by this token, and one of the other domain by its own.
            let sink = (&memory, &sinks[domain]);
            let found = read(&pairs[domain].0, sink, token, address(number));
            assert_eq!(found, Err(ErrorKind::AccessViolation), "F1, F5");
            let (qp, end) =
                std::mem::replace(&mut pairs[domain], connect(&far[domain], &domains[domain]));
            qp.close();
            end.close();
        }
    }
    println!("{samples} of them read by a peer, each by its own token");

    // Half of them closed while registered, half deregistered first, in any order.
    let start = Instant::now();
    for (index, place) in random.order(count).into_iter().enumerate() {
        let mr = region(regions[place], &domains[0]);
        if index % 2 == 0 {
            assert_eq!(mr.deregister(), STATUS_SUCCESS);
        }
        mr.close();
    }
    println!("all of them closed in {} ns each", start.elapsed().as_nanos() / count as u128);
    assert_eq!((host.sim().counters().live(), host.sim().live_records()), (0, domains.len()));
    let qp = &pairs[0].0;
    let stale = read(qp, (&memory, &sinks[0]), tokens[0], address(0));
    assert_eq!(stale, Err(ErrorKind::AccessViolation), "H3");
    for (qp, end) in pairs {
        qp.close();
        end.close();
    }
    sinks.into_iter().for_each(|mr| mr.close());
    drop(memory);
    domains.into_iter().chain(far).for_each(|pd| pd.close());
    host.close();
    peer.close();
    drop((pump, fabric));
    given_back(before_all);
}

/// The limit of a device's profile or of a plan is exact, and a region that is closed makes room for one.
fn limit(profile: Profile, plan: &str, count: usize) {
    let _alone = ALONE.lock().unwrap_or_else(|failed| failed.into_inner());
    let mut regions: Vec<NonNull<NDK_MR>> = Vec::with_capacity(count);
    let before = live();
    let pump = Pump::own();
    let host = open(&pump, &Fabric::new(), profile, plan);
    let domains = [host.pd(), host.pd(), host.pd()];
    regions.extend((0..count).map(|number| domains[number % 3].mr().raw));
    let full = |fast| {
        let refused = domains[0].try_mr(fast).err();
        assert_eq!(refused, Some(STATUS_INSUFFICIENT_RESOURCES), "C14: {count} and no more");
    };
    full(false);
    full(true);
    // The first, one inside, and the last make room.
    for place in [0, count / 2, count - 1] {
        region(regions[place], &domains[0]).close();
        regions[place] = domains[place % 3].mr().raw;
        full(false);
    }
    let memory = Memory::new(1);
    let last = region(regions[count - 1], &domains[0]);
    assert_eq!(last.register(&memory, READABLE), STATUS_SUCCESS, "C14: live ones go on");
    regions.iter().for_each(|raw| region(*raw, &domains[0]).close());
    drop(memory);
    domains.into_iter().for_each(|pd| pd.close());
    host.close();
    drop(pump);
    println!("{count} regions and not one more");
    given_back(before);
}

#[test]
fn twenty_thousand_live_regions() {
    many(20_000, 2_000);
}

#[test]
#[ignore = "takes a release build: run by --ignored"]
fn a_million_live_regions() {
    many(1_000_000, 50_000);
}

#[test]
fn c14_a_limit_that_a_plan_sets_is_exact() {
    limit(Profile::default(), "limits = { regions = 20000 }", 20_000);
}

#[test]
#[ignore = "takes a release build: run by --ignored"]
fn c14_the_limit_of_a_profile_is_exact() {
    limit(Profile::rxe(), "", 524_287);
}

/// Every kind of object that a domain has, made, used and closed.
fn round(pd: &Pd, far: &Pd, host: &Host, memory: &Memory) {
    let (qp, end) = connect(pd, far);
    let done = || assert_eq!(qp.outcome(), Ok(0));
    let mr = pd.registered(memory, NDK_MR_FLAG_ALLOW_LOCAL_WRITE);
    let bound = window(pd).expect("a window");
    for _ in 0..2 {
        let range = (memory.base(), EACH as u64);
        qp.bind(&mr, &bound, range, Access::REMOTE_READ).expect("posted");
        done();
        qp.invalidate_window(5, &bound).expect("posted");
        done();
    }
    pd.pump.block_on("the close of a window", bound.close());
    let (fast, lam) = (pd.fast_mr(1, true), host.map(memory));
    for _ in 0..2 {
        qp.fast_register(&fast, lam.memory(memory.base()), Access::REMOTE_READ).expect("posted");
        done();
        qp.invalidate(&fast).expect("posted");
        done();
    }
    assert_eq!(fast.initialise(1, true), STATUS_SUCCESS);
    // Closed while registered, after its pages have got another token.
    qp.fast_register(&fast, lam.memory(memory.base()), Access::REMOTE_READ).expect("posted");
    done();
    fast.close();
    host.release(lam);
    mr.close();
    qp.close();
    end.close();
    host.pd().close();
}

#[test]
fn nothing_grows_with_what_was_closed() {
    const ROUNDS: usize = 2_000;
    let _alone = ALONE.lock().unwrap_or_else(|failed| failed.into_inner());
    let (pump, fabric) = (Pump::own(), Fabric::new());
    let open = || open(&pump, &fabric, Profile::default(), "");
    let (host, peer) = (open(), open());
    let (pd, far) = (host.pd(), peer.pd());
    let memory = Memory::new(EACH);
    let rounds = || (0..ROUNDS).for_each(|_| round(&pd, &far, &host, &memory));
    // Until the token table has as much room for tokens that were retired lately as it ever takes.
    (0..10).for_each(|_| rounds());
    let before = live();
    rounds();
    given_back(before);
    pd.close();
    far.close();
    host.close();
    peer.close();
}

#[test]
fn nothing_grows_with_the_queue_pairs_and_windows_that_were_closed_under_the_verifier() {
    unsafe extern "system" fn closed(_context: PVOID) {}
    unsafe extern "system" fn created(_: PVOID, _: NTSTATUS, _: *mut NDK_OBJECT_HEADER) {}
    let _alone = ALONE.lock().unwrap_or_else(|failed| failed.into_inner());
    let backends = Registry::new().with("sim", "a simulated adapter", factory(Fabric::new()));
    let pool = Arc::new(ThreadPool::new(1).expect("a thread"));
    let version = NDK_VERSION { Major: 1, Minor: 2 };
    let opened = backends.open("verify+sim", pool, version).expect("an adapter");
    let mut pd = null_mut();
    // SAFETY: the adapter is open, and the simulator makes domains inline.
    unsafe { opened.adapter().create_pd(Some(created), null_mut(), &mut pd) }.expect("a domain");
    // SAFETY: made by an adapter of that type.
    let domain: DomainRef<BoxedAdapter, Std> =
        unsafe { DomainRef::from_ndk(NonNull::new(pd).expect("a domain")) };
    let round = || {
        block_on(async {
            // SAFETY: the domain is open.
            let (qp, window) =
                unsafe { (domain.create_qp(QueueDepths::default()), domain.create_window()) };
            let (qp, window) = (qp.await.expect("a queue pair"), window.await.expect("a window"));
            qp.close().await;
            window.close().await;
        });
    };
    (0..500).for_each(|_| round());
    let before = live();
    (0..500).for_each(|_| round());
    given_back(before);
    // SAFETY: the domain is open, and its last call this.
    unsafe { domain.close(Some(closed), null_mut()) }.expect("closed");
    opened.close().expect("everything is closed");
}
