//! Pairs of register and deregister through the C table, under an executor and an allocator that show every heap
//! allocation.

use ndk_core::abi::*;
use ndk_core::mdl::{Buffer, Mdl, MdlView};
use ndk_core::{
    Access, AdapterProvider, Capabilities, Executor, LocalToken, MrProvider, NoQueuePair, NoWindow,
    Opened, RegionKind, RemoteToken, Result, Std, Task, ThreadPool,
};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::ptr::{addr_of, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    /// Whether the thread's allocations count in `TOGETHER` too.
    static COUNTS: Cell<bool> = const { Cell::new(false) };
}

/// Allocations of the threads that a test measures together.
static TOGETHER: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, with a count of each thread's allocations.
pub(crate) struct Counting;

fn count() {
    // A thread that is being torn down is none that a test measures.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
    let together = COUNTS.try_with(Cell::get).unwrap_or(false);
    TOGETHER.fetch_add(together.into(), Ordering::Relaxed);
}

/// How often this thread has allocated.
pub(crate) fn allocations() -> usize {
    ALLOCATIONS.with(Cell::get)
}

// SAFETY: everything is the system allocator's own work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(memory, layout, size) }
    }
}

/// A queue with room for a few tasks, which are polled until they are done.
pub(crate) struct Queue(Mutex<VecDeque<Task>>);

impl Queue {
    fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(VecDeque::with_capacity(16))))
    }

    fn run(&self) {
        loop {
            let next = self.0.lock().unwrap().pop_front();
            let Some(mut task) = next else { return };
            if pin!(&mut task).poll(&mut Context::from_waker(Waker::noop())).is_pending() {
                self.0.lock().unwrap().push_back(task);
            }
        }
    }
}

impl Executor for Queue {
    fn spawn(&self, task: Task) {
        self.0.lock().unwrap().push_back(task);
    }
}

/// An adapter whose regions' operations give way once, if asked to, and so pend; without an allocation.
pub(crate) struct Yielding<A>(pub(crate) A, pub(crate) bool);

/// A region of a [`Yielding`] adapter.
pub(crate) struct YieldingMr<M>(M, bool);

impl<M> YieldingMr<M> {
    async fn wait(&self) {
        let mut waited = !self.1;
        poll_fn(|_| match std::mem::replace(&mut waited, true) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }
}

impl<M: MrProvider> MrProvider for YieldingMr<M> {
    async fn register(&self, memory: MdlView<'_>, access: Access) -> Result<()> {
        self.wait().await;
        self.0.register(memory, access).await
    }

    async fn deregister(&self) -> Result<()> {
        self.wait().await;
        self.0.deregister().await
    }

    async fn initialize_fast_register(&self, pages: u32, remote: bool) -> Result<()> {
        self.0.initialize_fast_register(pages, remote).await
    }

    async fn close(&self) -> Result<()> {
        self.0.close().await
    }

    fn local_token(&self) -> Option<LocalToken> {
        self.0.local_token()
    }

    fn remote_token(&self) -> Option<RemoteToken> {
        self.0.remote_token()
    }
}

impl<A: AdapterProvider> AdapterProvider for Yielding<A> {
    type Pd = A::Pd;
    type Mr = YieldingMr<A::Mr>;
    type Qp = NoQueuePair<Self::Mr>;
    type Window = NoWindow;

    fn name(&self) -> &str {
        self.0.name()
    }

    fn info(&self) -> NDK_ADAPTER_INFO {
        self.0.info()
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    async fn create_pd(&self) -> Result<A::Pd> {
        self.0.create_pd().await
    }

    async fn close_pd(&self, pd: &A::Pd) {
        self.0.close_pd(pd).await;
    }

    async fn create_mr(&self, pd: &A::Pd, kind: RegionKind) -> Result<Self::Mr> {
        Ok(YieldingMr(self.0.create_mr(pd, kind).await?, self.1))
    }
}

/// What the completions of a run have counted.
#[derive(Default)]
struct Completed {
    requests: AtomicUsize,
    failures: AtomicUsize,
    /// The threads that complete requests are to be measured too.
    on_other_threads: bool,
}

unsafe extern "system" fn request_completed(context: PVOID, status: NTSTATUS) {
    // SAFETY: the context of every request of a run, which waits for them.
    let completed = unsafe { &*context.cast::<Completed>() };
    if completed.on_other_threads {
        COUNTS.set(true);
    }
    completed.failures.fetch_add(usize::from(status != STATUS_SUCCESS), Ordering::Relaxed);
    completed.requests.fetch_add(1, Ordering::Release);
}

unsafe extern "system" fn create_completed(_: PVOID, _: NTSTATUS, _: *mut NDK_OBJECT_HEADER) {}
unsafe extern "system" fn close_completed(_: PVOID) {}

/// Registers and deregisters a page `pairs` times, in a fresh region of `adapter`. Gives the heap allocations of
/// this thread meanwhile; the requests must pend, or not, as `pending` says.
pub(crate) fn allocations_of_pairs<A: AdapterProvider>(
    adapter: A,
    pairs: usize,
    pending: bool,
) -> usize {
    let queue = Queue::new();
    let completed = Completed::default();
    let expected = if pending { STATUS_PENDING } else { STATUS_SUCCESS };
    let allocated = with_region(Yielding(adapter, pending), queue.clone(), |mr, page| {
        let before = allocations();
        // SAFETY: a live region, not registered; the queue completes every request.
        unsafe { run_pairs(mr, page, &completed, pairs, expected, |_| queue.run()) };
        allocations() - before
    });
    assert_eq!(completed.requests.into_inner(), if pending { 2 * pairs } else { 0 });
    allocated
}

/// As `allocations_of_pairs`, of requests that pend in the default executor: the allocations of this thread and of the
/// executor's, for each request.
pub(crate) fn allocations_in_the_pool<A: AdapterProvider>(adapter: A, pairs: usize) -> f64 {
    let pool = Arc::new(ThreadPool::new(1).expect("a thread"));
    let completed = Completed { on_other_threads: true, ..Completed::default() };
    let wait = |requests: usize| {
        while completed.requests.load(Ordering::Acquire) < requests {
            std::thread::yield_now();
        }
    };
    COUNTS.set(true);
    let allocated = with_region(Yielding(adapter, true), pool, |mr, page| {
        let run = |pairs, wait: &dyn Fn(usize)| {
            // SAFETY: a live region, not registered; every request is waited for.
            unsafe { run_pairs(mr, page, &completed, pairs, STATUS_PENDING, wait) };
        };
        // The first pair makes itself known, and has the pool's lists grow.
        run(1, &wait);
        let before = TOGETHER.load(Ordering::Relaxed);
        run(pairs, &|requests| wait(requests + 2));
        TOGETHER.load(Ordering::Relaxed) - before
    });
    COUNTS.set(false);
    allocated as f64 / (2 * pairs) as f64
}

/// Does `work` on a fresh region of the adapter, and a page.
fn with_region<A: AdapterProvider, T>(
    adapter: A,
    executor: Arc<dyn Executor>,
    work: impl FnOnce(*mut NDK_MR, &Mdl) -> T,
) -> T {
    let version = NDK_VERSION { Major: 2, Minor: 0 };
    let opened: Opened<_, Std> = Opened::new(adapter, executor, version).expect("it opens");
    let page = Mdl::new(&Buffer::new(PAGE_SIZE).expect("a page")).expect("an MDL");
    let (mut pd, mut mr) = (null_mut(), null_mut());
    let adapter = opened.adapter().as_ndk().as_ptr();
    // SAFETY: the adapter is open; creation and the closes below are inline, the objects used as the C interface has
    // it; the memory outlives the registrations, and what completes is waited for.
    unsafe {
        let table = *addr_of!((*adapter).Dispatch).read();
        let status =
            table.NdkCreatePd.unwrap()(adapter, Some(create_completed), null_mut(), &raw mut pd);
        assert_eq!(status, STATUS_SUCCESS);
        let table = *addr_of!((*pd).Dispatch).read();
        let status =
            table.NdkCreateMr.unwrap()(pd, 0, Some(create_completed), null_mut(), &raw mut mr);
        assert_eq!(status, STATUS_SUCCESS);
        let done = work(mr, &page);
        let mr_table = *addr_of!((*mr).Dispatch).read();
        let status = mr_table.NdkCloseMr.unwrap()(mr.cast(), Some(close_completed), null_mut());
        assert!([STATUS_SUCCESS, STATUS_PENDING].contains(&status), "{status:#x}");
        let status = table.NdkClosePd.unwrap()(pd.cast(), Some(close_completed), null_mut());
        assert!([STATUS_SUCCESS, STATUS_PENDING].contains(&status), "{status:#x}");
        done
    }
}

/// `settle` sees to it that so many requests of this call have completed.
///
/// # Safety
/// `mr` is a live region, not registered, and `settle` does what it should.
unsafe fn run_pairs(
    mr: *mut NDK_MR,
    page: &Mdl,
    completed: &Completed,
    pairs: usize,
    expected: NTSTATUS,
    settle: impl Fn(usize),
) {
    let context: PVOID = (&raw const *completed).cast_mut().cast();
    let done: Option<NDK_FN_REQUEST_COMPLETION> = Some(request_completed);
    // SAFETY: the caller's promise.
    let table = unsafe { *addr_of!((*mr).Dispatch).read() };
    let (register, deregister) = (table.NdkRegisterMr.unwrap(), table.NdkDeregisterMr.unwrap());
    for pair in 0..pairs {
        // SAFETY: a live region; the memory outlives its registration, the context the request.
        let status = unsafe {
            register(mr, page.as_ptr(), page.len(), NDK_MR_FLAG_ALLOW_REMOTE_READ, done, context)
        };
        assert_eq!(status, expected);
        settle(2 * pair + 1);
        // SAFETY: as above.
        let status = unsafe { deregister(mr, done, context) };
        assert_eq!(status, expected);
        settle(2 * pair + 2);
    }
    assert_eq!(completed.failures.load(Ordering::Relaxed), 0);
}
