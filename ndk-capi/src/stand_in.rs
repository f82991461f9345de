//! TEMPORARY: stands in for the simulator.
use ndk_core::abi::*;
use ndk_core::backend::*;
use ndk_core::mdl::MdlView;
use ndk_core::*;
use std::sync::atomic::*;
use std::sync::*;
use std::task::Poll;
use std::time::Duration;

static LIVE: AtomicU32 = AtomicU32::new(0);
#[derive(Clone)]
struct Sim { late: Option<u64>, next: Arc<AtomicU32> }
struct Region { sim: Sim, key: AtomicU32, remote: AtomicBool, _leak: Box<u64> }

async fn wait(late: Option<u64>) {
    let Some(late) = late else { return };
    let state = Arc::new(Mutex::new((false, None::<std::task::Waker>)));
    let their = state.clone();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_micros(late));
        let mut s = their.lock().unwrap();
        s.0 = true;
        if let Some(w) = s.1.take() { w.wake() }
    });
    std::future::poll_fn(move |cx| {
        let mut s = state.lock().unwrap();
        if s.0 { return Poll::Ready(()) }
        s.1 = Some(cx.waker().clone());
        Poll::Pending
    }).await
}

impl AdapterProvider for Sim {
    type Pd = ();
    type Mr = Region;
    type Qp = NoQueuePair<Region>;
    type Window = NoWindow;
    fn name(&self) -> &str { "sim" }
    fn info(&self) -> NDK_ADAPTER_INFO { NDK_ADAPTER_INFO { VendorId: 0x2c9, DeviceId: 0x1007, MaxRegistrationSize: usize::MAX, FRMRPageCount: 511, ..Default::default() } }
    fn capabilities(&self) -> Capabilities { unimplemented!() }
    async fn create_pd(&self) -> Result<()> { wait(self.late).await; Ok(()) }
    async fn close_pd(&self, _: &()) { wait(self.late).await; }
    async fn create_mr(&self, _: &(), _: RegionKind) -> Result<Region> { wait(self.late).await; LIVE.fetch_add(1, Ordering::Relaxed);
        Ok(Region { sim: self.clone(), key: AtomicU32::new(0), remote: AtomicBool::new(false), _leak: Box::new(1) }) }
}
impl MrProvider for Region {
    async fn register(&self, m: MdlView<'_>, a: Access) -> Result<()> {
        wait(self.sim.late).await;
        std::hint::black_box(m.frames().count());
        self.remote.store(a.is_remote(), Ordering::Relaxed);
        self.key.store(self.sim.next.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed); Ok(()) }
    async fn deregister(&self) -> Result<()> { wait(self.sim.late).await; Ok(()) }
    async fn initialize_fast_register(&self, _: u32, _: bool) -> Result<()> { wait(self.sim.late).await; Ok(()) }
    async fn close(&self) { wait(self.sim.late).await }
    fn local_token(&self) -> Option<LocalToken> { LocalToken::new(self.key.load(Ordering::Relaxed)) }
    fn remote_token(&self) -> Option<RemoteToken> { if self.remote.load(Ordering::Relaxed) { RemoteToken::new(self.key.load(Ordering::Relaxed) | 1 << 31) } else { None } }
}
pub(crate) fn factory(name: &BackendName) -> Result<BoxedAdapter> {
    let mut o = Options::of(name);
    let late = o.take("latency", "us")?;
    let _: Option<u64> = o.take("seed", "n")?;
    o.finish()?;
    Ok(BoxedAdapter::new(Sim { late, next: Arc::new(AtomicU32::new(77)) }))
}
