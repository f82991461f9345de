//! Threads that call the C entries of shared regions at random while others close them: every PENDING gets its
//! callback, and nothing is left.

use ndk_core::abi::*;
use ndk_core::mdl::{Buffer, Mdl};
use ndk_core::{AdapterProvider, Executor, Opened, Std, Task, ThreadPool};
use std::future::Future;
use std::pin::pin;
use std::ptr::{addr_of, null, null_mut};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, RwLock};
use std::task::{Context, Waker};
use std::thread;

/// Numbers without a pattern (xorshift).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// Hands most tasks to a pool, and does something worse with the others (B9).
pub(crate) struct Moody {
    pool: ThreadPool,
    calls: AtomicU64,
}

impl Moody {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { pool: ThreadPool::new(3).expect("threads"), calls: AtomicU64::new(0) })
    }
}

impl Executor for Moody {
    fn spawn(&self, mut task: Task) {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        match Dice::new(call.wrapping_mul(0x9e37_79b9_7f4a_7c15)).roll(16) {
            0..=1 => drop(task),
            2 => {
                let _unwound = task;
                std::panic::resume_unwind(Box::new("planted"));
            }
            3..=5 => {
                let mut cx = Context::from_waker(Waker::noop());
                while pin!(&mut task).poll(&mut cx).is_pending() {
                    thread::yield_now();
                }
            }
            _ => self.pool.spawn(task),
        }
    }
}

/// What all threads together have seen.
#[derive(Default)]
pub(crate) struct Totals {
    pub(crate) calls: AtomicUsize,
    pub(crate) pendings: AtomicUsize,
    pub(crate) callbacks: AtomicUsize,
}

impl Totals {
    fn note(&self, status: NTSTATUS) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.pendings.fetch_add(usize::from(status == STATUS_PENDING), Ordering::Relaxed);
    }
}

unsafe extern "system" fn requested(context: PVOID, _status: NTSTATUS) {
    // SAFETY: the totals of the run, which outlive its adapter.
    unsafe { &*context.cast::<Totals>() }.callbacks.fetch_add(1, Ordering::Relaxed);
}

unsafe extern "system" fn closed(context: PVOID) {
    // SAFETY: as above.
    unsafe { requested(context, STATUS_SUCCESS) };
}

/// A creation that is waited for.
#[derive(Default)]
struct Creation {
    made: Mutex<Option<usize>>,
    done: Condvar,
}

unsafe extern "system" fn created(
    context: PVOID,
    _status: NTSTATUS,
    object: *mut NDK_OBJECT_HEADER,
) {
    // SAFETY: a reference that was given away for this one call.
    let creation = unsafe { Arc::from_raw(context.cast::<Creation>()) };
    *creation.made.lock().unwrap() = Some(object.expose_provenance());
    creation.done.notify_all();
}

/// Makes an object, and waits for it where that pends; null where it fails.
fn create<T>(
    totals: &Totals,
    entry: impl FnOnce(NDK_FN_CREATE_COMPLETION, PVOID, *mut *mut T) -> NTSTATUS,
) -> *mut T {
    let creation = Arc::<Creation>::default();
    let mut made = null_mut();
    let context = Arc::into_raw(creation.clone());
    let status = entry(created, context.cast_mut().cast(), &raw mut made);
    totals.note(status);
    if status != STATUS_PENDING {
        // SAFETY: the callback will not come (B1), so its reference is still here.
        drop(unsafe { Arc::from_raw(context) });
        return made;
    }
    totals.callbacks.fetch_add(1, Ordering::Relaxed);
    let waiting = |made: &mut Option<usize>| made.is_none();
    let made = creation.done.wait_while(creation.made.lock().unwrap(), waiting).unwrap();
    std::ptr::with_exposed_provenance_mut(made.expect("waited for"))
}

/// A region that threads share, with its domain.
#[derive(Clone, Copy)]
struct Shared {
    pd: *mut NDK_PD,
    mr: *mut NDK_MR,
}

// SAFETY: NDK objects may be used from any thread.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

struct Stress {
    adapter: Shared,
    slots: Vec<RwLock<Option<Shared>>>,
    page: Mdl,
    totals: Arc<Totals>,
}

macro_rules! entry {
    ($object:expr, $name:ident) => {
        (*addr_of!((*$object).Dispatch).read()).$name.expect(stringify!($name))
    };
}

impl Stress {
    fn context(&self) -> PVOID {
        Arc::as_ptr(&self.totals).cast_mut().cast()
    }

    fn open(&self, fast: bool) -> Option<Shared> {
        let adapter = self.adapter.pd.cast::<NDK_ADAPTER>();
        // SAFETY: the adapter is open, and so is the domain; what pends is waited for.
        let pd = create(&self.totals, |done, context, out| unsafe {
            entry!(adapter, NdkCreatePd)(adapter, Some(done), context, out)
        });
        if pd.is_null() {
            return None;
        }
        // SAFETY: as above.
        let mr = create(&self.totals, |done, context, out| unsafe {
            entry!(pd, NdkCreateMr)(pd, fast.into(), Some(done), context, out)
        });
        if mr.is_null() {
            // SAFETY: not used afterwards.
            self.totals
                .note(unsafe { entry!(pd, NdkClosePd)(pd.cast(), Some(closed), self.context()) });
            return None;
        }
        Some(Shared { pd, mr })
    }

    /// Closes both, in either order, and waits for neither (H4, H6).
    fn close(&self, Shared { pd, mr }: Shared, parent_first: bool) {
        let close_pd = || {
            // SAFETY: nobody else has the domain any more, and it is not used afterwards.
            self.totals
                .note(unsafe { entry!(pd, NdkClosePd)(pd.cast(), Some(closed), self.context()) });
        };
        if parent_first {
            close_pd();
        }
        // SAFETY: as for the domain.
        self.totals
            .note(unsafe { entry!(mr, NdkCloseMr)(mr.cast(), Some(closed), self.context()) });
        if !parent_first {
            close_pd();
        }
    }

    fn call(&self, mr: *mut NDK_MR, dice: &mut Dice) {
        let (mdl, length) = (self.page.as_ptr(), self.page.len());
        let (done, context) = (Some(requested as NDK_FN_REQUEST_COMPLETION), self.context());
        // SAFETY: whoever closes the region waits for this call's lock; the page lives to the end.
        self.totals.note(unsafe {
            match dice.roll(10) {
                0..=3 => {
                    let flags = dice.roll(17) as u32;
                    entry!(mr, NdkRegisterMr)(mr, mdl, length, flags, done, context)
                }
                4 => entry!(mr, NdkRegisterMr)(mr, mdl, length + 1, 0, done, context),
                5..=6 => entry!(mr, NdkDeregisterMr)(mr, done, context),
                7 => {
                    let pages = dice.roll(18) as u32;
                    entry!(mr, NdkInitializeFastRegisterMr)(mr, pages, 1, done, context)
                }
                8 => {
                    entry!(mr, NdkGetLocalTokenFromMr)(mr);
                    entry!(mr, NdkGetRemoteTokenFromMr)(mr);
                    STATUS_SUCCESS
                }
                _ => {
                    let mut out = NDK_EXTENSION_INTERFACE { Dispatch: null() };
                    let (mut id, version) = (GUID::default(), NDK_VERSION::default());
                    entry!(mr, NdkQueryExtension)(mr.cast(), &raw mut id, version, &raw mut out)
                }
            }
        });
    }

    fn run(&self, rounds: usize, dice: &mut Dice, disturb: &(impl Fn(u64) + Sync)) {
        for _ in 0..rounds {
            let slot = &self.slots[dice.roll(self.slots.len() as u64) as usize];
            if dice.roll(16) == 0 {
                let old = slot.write().unwrap().take();
                old.into_iter().for_each(|old| self.close(old, dice.roll(2) == 0));
                let fresh = self.open(dice.roll(3) == 0);
                // Another thread may have filled the place meanwhile.
                let raced = fresh.and_then(|fresh| slot.write().unwrap().replace(fresh));
                raced.into_iter().for_each(|raced| self.close(raced, false));
            } else if let Some(shared) = *slot.read().unwrap() {
                self.call(shared.mr, dice);
            }
            disturb(dice.roll(1000));
        }
    }
}

/// How much a run does.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) threads: usize,
    /// Calls of each thread.
    pub(crate) rounds: usize,
    pub(crate) seed: u64,
}

/// Runs the threads, closes everything, and gives the totals. `disturb` is called with a number below 1000 after each
/// call, to change the provider's mood.
pub(crate) fn run<A: AdapterProvider>(
    adapter: A,
    executor: Arc<dyn Executor>,
    load: Load,
    disturb: impl Fn(u64) + Sync,
) -> Arc<Totals> {
    let version = NDK_VERSION { Major: 2, Minor: 0 };
    let opened = Opened::<A, Std>::new(adapter, executor, version).expect("it opens");
    let root = opened.adapter().as_ndk().as_ptr();
    let stress = Stress {
        adapter: Shared { pd: root.cast(), mr: null_mut() },
        slots: (0..8).map(|_| RwLock::new(None)).collect(),
        page: Mdl::new(&Buffer::new(PAGE_SIZE).expect("a page")).expect("an MDL"),
        totals: Arc::default(),
    };
    thread::scope(|scope| {
        for index in 0..load.threads {
            let (stress, disturb) = (&stress, &disturb);
            let mut dice = Dice::new(load.seed.wrapping_add(index as u64 * 0x1234_5678_9abc));
            scope.spawn(move || stress.run(load.rounds, &mut dice, disturb));
        }
    });
    for slot in &stress.slots {
        let taken = slot.write().unwrap().take();
        taken.into_iter().for_each(|shared| stress.close(shared, true));
    }
    assert!(opened.close().is_ok(), "H5: blocks until every callback has returned");
    let totals = stress.totals;
    let count = |number: &AtomicUsize| number.load(Ordering::Relaxed);
    assert_eq!(count(&totals.callbacks), count(&totals.pendings), "B2, B9, H5");
    totals
}
