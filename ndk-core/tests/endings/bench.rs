//! An open adapter with a domain, an executor that drops tasks when it is told to, and what callbacks said.

use crate::backend::{Control, Hooked};
use ndk_core::abi::*;
use ndk_core::{
    Access, DomainRef, ErrorKind, Executor, FastMemory, MemoryWindow, Opened, Progress,
    QueueDepths, QueuePair, RegionKind, RegionRef, Result, Std, Task,
};
use std::cell::RefCell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, Once};
use std::task::{Context, Poll, Waker};

pub(crate) type Domain = DomainRef<Hooked, Std>;
pub(crate) type Region = RegionRef<Hooked, Std>;
pub(crate) type Qp = QueuePair<Hooked, Std>;
pub(crate) type Window = MemoryWindow<Hooked, Std>;

/// Polls a task once, at once, and keeps it where it pends; or drops it.
#[derive(Default)]
pub(crate) struct Runner {
    pub(crate) drops: AtomicBool,
    kept: Mutex<Vec<Task>>,
}

impl Runner {
    pub(crate) fn take(&self) -> Task {
        self.kept.lock().unwrap().pop().expect("a task that pends")
    }

    pub(crate) fn waiting(&self) -> usize {
        self.kept.lock().unwrap().len()
    }
}

impl Executor for Runner {
    fn spawn(&self, mut task: Task) {
        if self.drops.load(Ordering::Relaxed) {
            return;
        }
        if Pin::new(&mut task).poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            self.kept.lock().unwrap().push(task);
        }
    }
}

/// The statuses that callbacks brought; a close brings a success.
#[derive(Default)]
pub(crate) struct Calls(Mutex<Vec<NTSTATUS>>);

impl Calls {
    /// To be passed with a callback, during which this has to be alive.
    pub(crate) fn context(&self) -> PVOID {
        (&raw const *self).cast_mut().cast()
    }

    pub(crate) fn note(&self, status: NTSTATUS) {
        self.0.lock().unwrap().push(status);
    }

    pub(crate) fn take(&self) -> Vec<NTSTATUS> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

pub(crate) unsafe extern "system" fn requested(context: PVOID, status: NTSTATUS) {
    // SAFETY: the context is `Calls::context`.
    unsafe { &*context.cast::<Calls>() }.note(status);
}

pub(crate) unsafe extern "system" fn closed(context: PVOID) {
    // SAFETY: as above.
    unsafe { &*context.cast::<Calls>() }.note(STATUS_SUCCESS);
}

pub(crate) unsafe extern "system" fn created(
    _context: PVOID,
    _status: NTSTATUS,
    _object: *mut NDK_OBJECT_HEADER,
) {
    panic!("B1: creations are inline here");
}

/// Formats every line, for a line about an object reads the object, and keeps it.
struct Reader;

/// What the closes of adapters that wait have said, on any thread.
static WAITS: (Mutex<Vec<String>>, Condvar) = (Mutex::new(Vec::new()), Condvar::new());

/// Waits until the close of that adapter says what it waits for.
pub(crate) fn wait_until_a_close_waits(adapter: &str) -> String {
    let wanted = format!("{adapter}: close waits for what is still open: ");
    let mut waits = WAITS.0.lock().unwrap();
    loop {
        match waits.iter().find_map(|line| line.strip_prefix(&wanted)) {
            Some(open) => return open.into(),
            None => waits = WAITS.1.wait(waits).unwrap(),
        }
    }
}

thread_local! {
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// What was logged on this thread since the last time.
pub(crate) fn logged() -> Vec<String> {
    LINES.take()
}

impl log::Log for Reader {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = record.args().to_string();
        assert!(!line.is_empty());
        if line.contains("close waits for ") {
            WAITS.0.lock().unwrap().push(line.clone());
            WAITS.1.notify_all();
        }
        LINES.with_borrow_mut(|lines| lines.push(line));
    }

    fn flush(&self) {}
}

/// What a close that does not end leaks (B8, B9) is found again here, so that leak checkers have nothing to say.
static LEAKED: Mutex<Vec<Arc<Control>>> = Mutex::new(Vec::new());
/// As above, by their addresses; those that are closed are gone.
static REGIONS: Mutex<Vec<usize>> = Mutex::new(Vec::new());

pub(crate) fn new_control() -> Arc<Control> {
    let control = Arc::<Control>::default();
    LEAKED.lock().unwrap().push(control.clone());
    control
}

pub(crate) fn open(control: &Arc<Control>, runner: &Arc<Runner>) -> Result<Opened<Hooked, Std>> {
    let version = NDK_VERSION { Major: 2, Minor: 0 };
    Opened::new(Hooked(control.clone()), runner.clone(), version)
}

pub(crate) struct Bench {
    pub(crate) control: Arc<Control>,
    pub(crate) runner: Arc<Runner>,
    pub(crate) domain: Domain,
    pub(crate) opened: Opened<Hooked, Std>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::of(new_control())
    }

    /// An adapter that is as it is told to be from its opening on.
    pub(crate) fn of(control: Arc<Control>) -> Self {
        static LOGGER: Once = Once::new();
        LOGGER.call_once(|| {
            log::set_logger(&Reader).expect("the only logger");
            log::set_max_level(log::LevelFilter::Trace);
        });
        let runner = Arc::<Runner>::default();
        let opened = open(&control, &runner).expect("open");
        let domain = domain_of(&opened);
        Self { control, runner, domain, opened }
    }

    pub(crate) fn region(&self) -> Region {
        self.region_of(RegionKind::FastRegister)
    }

    pub(crate) fn region_of(&self, kind: RegionKind) -> Region {
        let mut out = null_mut();
        // SAFETY: the domain is not closed, and the out pointer valid; the region is of these types.
        unsafe {
            let made = self.domain.create_mr(kind, Some(created), null_mut(), &mut out);
            assert_eq!(made.expect("a region"), Progress::Done);
            REGIONS.lock().unwrap().push(out.addr());
            RegionRef::from_ndk(NonNull::new(out).expect("a region"))
        }
    }

    /// A region that is initialised for one page.
    pub(crate) fn fast_region(&self) -> Region {
        let region = self.region();
        initialise_inline(region);
        region
    }

    pub(crate) fn qp(&self) -> Qp {
        // SAFETY: the domain is not closed.
        ready(unsafe { self.domain.create_qp(QueueDepths::default()) }).expect("a queue pair")
    }

    pub(crate) fn window(&self) -> Window {
        // SAFETY: the domain is not closed.
        ready(unsafe { self.domain.create_window() }).expect("a window")
    }

    /// Closes the domain and the adapter, of which nothing may be left.
    pub(crate) fn end(self) {
        close_domain(self.domain);
        self.end_adapter();
    }

    /// Closes the adapter, whose domain is closed.
    pub(crate) fn end_adapter(self) {
        assert!(self.opened.try_close().is_ok(), "H5: something still holds the adapter");
    }
}

pub(crate) fn domain_of(opened: &Opened<Hooked, Std>) -> Domain {
    let mut out = null_mut();
    // SAFETY: the adapter is open, and the out pointer valid; the domain is of these types.
    unsafe {
        let made = opened.adapter().create_pd(Some(created), null_mut(), &mut out);
        assert_eq!(made.expect("a domain"), Progress::Done);
        DomainRef::from_ndk(NonNull::new(out).expect("a domain"))
    }
}

/// The output of a future that does not pend.
pub(crate) fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it pends"),
    }
}

/// What a request in the wrong state is told.
pub(crate) const WRONG_STATE: Option<ErrorKind> = Some(ErrorKind::InvalidDeviceState);

/// Why something was refused, if it was.
pub(crate) fn kind<T>(result: Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

pub(crate) fn initialise(region: Region, calls: &Calls) -> Result<Progress> {
    // SAFETY: the tests' regions are not closed before, and the calls outlive what pends.
    unsafe { region.initialize_fast_register(1, true, Some(requested), calls.context()) }
}

pub(crate) fn initialise_inline(region: Region) {
    let calls = Calls::default();
    assert_eq!(initialise(region, &calls).expect("initialised"), Progress::Done);
    assert_eq!(calls.take(), [], "B1");
}

/// Closes a region that nothing is pending on.
pub(crate) fn close(region: Region) {
    let calls = Calls::default();
    // SAFETY: the region is not closed; nothing comes after an inline close.
    let progress = unsafe { region.close(Some(closed), calls.context()) };
    assert_eq!(progress.expect("H1: a close succeeds"), Progress::Done);
    assert_eq!(calls.take(), [], "B1");
}

/// Closes a domain, of which nothing may be left.
pub(crate) fn close_domain(domain: Domain) {
    let calls = Calls::default();
    // SAFETY: the domain is not closed, and the context outlives what pends, unless the test fails.
    let progress = unsafe { domain.close(Some(closed), calls.context()) };
    if progress.expect("H4: a close succeeds") == Progress::Pending {
        assert_eq!(calls.take(), [STATUS_SUCCESS], "H4: the domain's close never completes");
    }
}

/// Posts a fast registration of one page.
pub(crate) fn fast_register(qp: &Qp, region: Region) -> Result<()> {
    let memory = FastMemory { pages: &[4096], first_byte: 0, length: 4096, base: 0x1000 };
    // SAFETY: the region is not closed; no device reaches the memory.
    unsafe { qp.fast_register(1, region, memory, Access::REMOTE_READ) }
}

pub(crate) fn invalidate(qp: &Qp, region: Region) -> Result<()> {
    // SAFETY: the region is not closed.
    unsafe { qp.invalidate(2, region) }
}

/// Posts the bind of a window to the first byte of a region.
pub(crate) fn bind(qp: &Qp, region: Region, window: &Window) -> Result<()> {
    // SAFETY: the region is not closed.
    unsafe { qp.bind(1, region, window, (0, 1), Access::REMOTE_READ) }
}

/// The next request of the device completes, and its completion is polled.
pub(crate) fn complete(bench: &Bench, qp: &Qp, result: std::result::Result<(), ErrorKind>) {
    bench.control.complete(result);
    assert_eq!(qp.poll().expect("a completion").result, result);
}
