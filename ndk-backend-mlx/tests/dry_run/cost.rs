//! What a registration and its end cost beside the raw pair of calls, `ibv_reg_mr_iova2` and `ibv_dereg_mr`.

use crate::bench::{Bench, Fast, PAGE};
use crate::fake::Fake;
use crate::harness::{dry_run, instructions};
use ndk_backend_mlx::sys::load::Verbs;
use ndk_backend_mlx::sys::object::{IBV_ACCESS_LOCAL_WRITE, IBV_ACCESS_REMOTE_WRITE};
use ndk_backend_mlx::{Config, MlxAdapter};
use ndk_core::abi::{
    MDL, NDK_MR_FLAG_ALLOW_REMOTE_WRITE, NDK_VERSION, NTSTATUS, STATUS_PENDING, STATUS_SUCCESS,
};
use ndk_core::consumer::{Adapter, ProtectionDomain, Region};
use ndk_core::mdl::{Buffer, Mdl};
use ndk_core::{Access, BoxedAdapter, Opened, Std, ThreadPool};
use std::env;
use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread::{self, Thread};

const LENGTH: usize = 16 * 4096;

/// How pairs are made.
trait Pairs {
    fn pair(&self);
}

/// The calls of libibverbs, alone.
struct Raw {
    verbs: &'static Verbs,
    domain: *mut ndk_backend_mlx::sys::object::ibv_pd,
    buffer: Buffer,
}

impl Raw {
    fn open() -> Self {
        let verbs = Verbs::get().unwrap();
        let buffer = Buffer::new(LENGTH).unwrap();
        // SAFETY: the device is on the list, and stays open.
        let domain = unsafe {
            let devices = (verbs.ibv_get_device_list)(ptr::null_mut());
            (verbs.ibv_alloc_pd)((verbs.ibv_open_device)(*devices))
        };
        Self { verbs, domain, buffer }
    }
}

impl Pairs for Raw {
    fn pair(&self) {
        let access = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE;
        // SAFETY: domain and memory are alive.
        unsafe {
            let (memory, base) = (self.buffer.as_ptr().cast(), self.buffer.address() as u64);
            let region = (self.verbs.ibv_reg_mr_iova2)(self.domain, memory, LENGTH, base, access);
            assert!(!region.is_null());
            assert_eq!((self.verbs.ibv_dereg_mr)(region), 0);
        }
    }
}

/// The C table of a region of the adapter.
struct Table {
    region: Option<Region>,
    mdl: Mdl,
    _domain: ProtectionDomain,
    _adapter: Adapter,
}

impl Table {
    fn open() -> Self {
        let config = Config { device: Some("mlx5_0".into()), ..Config::default() };
        let adapter = BoxedAdapter::new(MlxAdapter::open(config).unwrap());
        let executor = Arc::new(ThreadPool::new(1).unwrap());
        let version = NDK_VERSION { Major: 1, Minor: 2 };
        let opened: Opened<BoxedAdapter, Std> = Opened::new(adapter, executor, version).unwrap();
        let adapter = Adapter::from(opened);
        let domain = adapter.create_domain_blocking().unwrap();
        let region = Some(domain.create_region_blocking().unwrap());
        let mdl = Mdl::new(&Buffer::new(LENGTH).unwrap()).unwrap();
        Self { region, mdl, _domain: domain, _adapter: adapter }
    }
}

/// Where a completion is waited for.
struct Done {
    status: AtomicI32,
    waiter: Thread,
}

impl Done {
    fn new() -> Self {
        Self { status: AtomicI32::new(STATUS_PENDING), waiter: thread::current() }
    }

    fn context(&self) -> *mut c_void {
        ptr::from_ref(self).cast_mut().cast()
    }

    fn wait(&self, returned: NTSTATUS) -> NTSTATUS {
        if returned != STATUS_PENDING {
            return returned;
        }
        loop {
            match self.status.load(Ordering::Acquire) {
                STATUS_PENDING => thread::park(),
                status => return status,
            }
        }
    }
}

unsafe extern "system" fn done(context: *mut c_void, status: NTSTATUS) {
    // SAFETY: whoever waits keeps it until the status is there; the waiter is taken before.
    let (state, waiter) = unsafe {
        let done = context.cast::<Done>();
        (&(*done).status, (*done).waiter.clone())
    };
    state.store(status, Ordering::Release);
    waiter.unpark();
}

impl Pairs for Table {
    fn pair(&self) {
        let region = self.region.as_ref().unwrap().as_ndk().as_ptr();
        // SAFETY: the region is alive, and so is its table; the chain stays until the registration has ended.
        let (register, deregister) = unsafe {
            let table = &*(*region).Dispatch;
            (table.NdkRegisterMr.unwrap(), table.NdkDeregisterMr.unwrap())
        };
        let (mdl, flags): (*mut MDL, _) = (self.mdl.as_ptr(), NDK_MR_FLAG_ALLOW_REMOTE_WRITE);
        let (registered, ended) = (Done::new(), Done::new());
        // SAFETY: as above; the contexts stay until the completions have come.
        let status =
            unsafe { register(region, mdl, LENGTH, flags, Some(done), registered.context()) };
        assert_eq!(registered.wait(status), STATUS_SUCCESS);
        // SAFETY: as above.
        let status = unsafe { deregister(region, Some(done), ended.context()) };
        assert_eq!(ended.wait(status), STATUS_SUCCESS);
    }
}

#[test]
fn a_registration_and_its_end_are_as_many_kernel_calls_as_the_raw_pair() {
    dry_run(
        "cost::a_registration_and_its_end_are_as_many_kernel_calls_as_the_raw_pair",
        &[],
        |fake| {
            let count = |pairs: &dyn Pairs| {
                pairs.pair();
                let before = fake.requests();
                (0..100).for_each(|_| pairs.pair());
                fake.requests() - before
            };
            assert_eq!(count(&Raw::open()), 200);
            assert_eq!(count(&Table::open()), 200);
            assert_eq!(fake.refused(), 0);
        },
    );
}

const ROUNDS: &str = "NDK_DRY_RUN_ROUNDS";
const SCATTERED: &str = "NDK_DRY_RUN_SCATTERED";

fn make_rounds(fake: Fake) {
    let rounds: u32 = env::var(ROUNDS).unwrap().parse().unwrap();
    let count: usize = env::var(SCATTERED).unwrap().parse().unwrap();
    let bench = Bench::open(fake);
    let memory = bench.memory(2 * count);
    let (queue_pair, region) = (bench.queue_pair(), bench.region(count as u32));
    let pages = (0..count).map(|index| memory.page(2 * index)).collect();
    let access = Access::REMOTE_WRITE;
    let fast = Fast { pages, first_byte: 0, length: count as u64 * PAGE, base: 0x7000, access };
    for _ in 0..rounds {
        let block = queue_pair.fast_register(&region, &fast).unwrap();
        assert_eq!(queue_pair.complete(block, 0).result, Ok(()));
        let block = queue_pair.invalidate(&region);
        assert_eq!(queue_pair.complete(block, 0).result, Ok(()));
    }
}

/// Prints instructions in user space. Meaningful with `--release` alone.
#[test]
#[ignore = "runs the dry run under valgrind; with --release"]
fn instructions_of_a_round_of_fast_registration() {
    const TEST: &str = "cost::instructions_of_a_round_of_fast_registration";
    const FEW: u32 = 1000;
    const MANY: u32 = 3000;
    let per_round = |pages: &str| {
        let count = |rounds: u32| {
            let rounds = rounds.to_string();
            let settings = [(ROUNDS, rounds.as_str()), (SCATTERED, pages)];
            instructions(TEST, &settings, make_rounds)
        };
        Some((count(MANY)? - count(FEW)?) / u64::from(MANY - FEW))
    };
    let (Some(one), Some(most)) = (per_round("1"), per_round("52")) else { return };
    println!("instructions of a fast registration and its invalidation, with both completions:");
    println!("{one} for one page, {most} for 52 scattered pages");
    assert!(one < 20_000 && most < 50_000, "{one}, {most}");
}

const PAIRS: &str = "NDK_DRY_RUN_PAIRS";
const BY_TABLE: &str = "NDK_DRY_RUN_BY_TABLE";

fn make_pairs(_: Fake) {
    let pairs: u32 = env::var(PAIRS).unwrap().parse().unwrap();
    let by: Box<dyn Pairs> = match env::var_os(BY_TABLE) {
        Some(_) => Box::new(Table::open()),
        None => Box::new(Raw::open()),
    };
    (0..pairs).for_each(|_| by.pair());
}

/// Prints instructions in user space, of all threads, by callgrind. Meaningful with `--release` alone.
#[test]
#[ignore = "runs the dry run under valgrind; with --release"]
fn instructions_of_a_registration_and_its_end() {
    const TEST: &str = "cost::instructions_of_a_registration_and_its_end";
    const FEW: u32 = 500;
    const MANY: u32 = 1500;
    let per_pair = |table: bool| {
        let count = |pairs: u32| {
            let pairs = pairs.to_string();
            let mut settings = vec![(PAIRS, pairs.as_str())];
            settings.extend(table.then_some((BY_TABLE, "1")));
            instructions(TEST, &settings, make_pairs)
        };
        Some((count(MANY)? - count(FEW)?) / u64::from(MANY - FEW))
    };
    let (Some(raw), Some(table)) = (per_pair(false), per_pair(true)) else { return };
    println!("instructions of a registration and its end: {raw} raw, {table} through the C table");
    // Handing two requests and two completions to other threads; how much that is depends on when they wake.
    assert!(table - raw < 60_000, "{table} - {raw}");
}
