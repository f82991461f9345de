//! Queue pairs and windows of the framework, and what is asked of them.

use super::{Mr, Pd, Pump, Tested};
use ndk_core::{
    Access, ErrorKind, FastMemory, LocalToken, MemoryWindow, QueueDepths, QueuePair, RemoteAddress,
    RemoteToken, Result, Sge, Std, WorkCompletion,
};
use std::ops::Deref;
use std::pin::pin;
use std::task::{Context, Waker};

/// A queue pair, with what makes its requests go on.
pub(crate) struct Qp {
    inner: QueuePair<Tested, Std>,
    pump: Pump,
}

impl Deref for Qp {
    type Target = QueuePair<Tested, Std>;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}

pub(crate) type Window = MemoryWindow<Tested, Std>;

pub(crate) fn sge(token: LocalToken, address: u64, length: u32) -> Sge {
    Sge { address, length, token }
}

impl Qp {
    pub(crate) fn new(pd: &Pd) -> Self {
        Self::with_depths(pd, QueueDepths::default())
    }

    pub(crate) fn with_depths(pd: &Pd, depths: QueueDepths) -> Self {
        // SAFETY: the domain is not closed.
        let make = unsafe { pd.domain().create_qp(depths) };
        let inner = pd.pump.block_on("a queue pair", make).expect("a queue pair");
        Self { inner, pump: pd.pump.clone() }
    }

    /// The next completion, which must come.
    pub(crate) fn next(&self) -> WorkCompletion {
        let mut completion = None;
        self.pump.until("a completion of work", || {
            completion = completion.take().or_else(|| self.inner.poll());
            completion.is_some()
        });
        completion.expect("a completion")
    }

    /// The outcome of the one request that is in progress.
    pub(crate) fn outcome(&self) -> Result<u32, ErrorKind> {
        let completion = self.next();
        assert!(self.inner.poll().is_none(), "one completion for one request");
        completion.result.map(|()| completion.bytes)
    }

    /// Writes from one place to another, and waits.
    pub(crate) fn write_through(
        &self,
        from: Sge,
        token: RemoteToken,
        address: u64,
    ) -> Result<u32, ErrorKind> {
        self.inner.write(1, &[from], RemoteAddress { address, token }).expect("posted");
        self.outcome()
    }

    /// Reads from one place into another, and waits.
    pub(crate) fn read_through(
        &self,
        into: Sge,
        token: RemoteToken,
        address: u64,
    ) -> Result<u32, ErrorKind> {
        self.inner.read(1, &[into], RemoteAddress { address, token }).expect("posted");
        self.outcome()
    }

    /// Posts a fast registration.
    pub(crate) fn fast_register(
        &self,
        mr: &Mr,
        memory: FastMemory<'_>,
        access: Access,
    ) -> Result<()> {
        // SAFETY: the region is not closed, and the tests' memory outlives their regions.
        unsafe { self.inner.fast_register(2, mr.region(), memory, access) }
    }

    /// Posts an invalidation.
    pub(crate) fn invalidate(&self, mr: &Mr) -> Result<()> {
        // SAFETY: the region is not closed.
        unsafe { self.inner.invalidate(3, mr.region()) }
    }

    /// Posts the bind of a window.
    pub(crate) fn bind(
        &self,
        mr: &Mr,
        window: &Window,
        range: (u64, u64),
        access: Access,
    ) -> Result<()> {
        // SAFETY: the region is not closed.
        unsafe { self.inner.bind(4, mr.region(), window, range, access) }
    }

    /// Whether the queue pair is in error: a request then completes with CANCELLED (F6).
    pub(crate) fn is_broken(&self) -> bool {
        let probe = self.inner.receive(99, &[]);
        assert!(probe.is_ok(), "F6: requests are posted also in error");
        match self.inner.poll() {
            Some(flushed) => {
                assert_eq!(flushed.result, Err(ErrorKind::Cancelled), "F6");
                true
            }
            None => false,
        }
    }

    pub(crate) fn close(self) {
        self.pump.block_on("the close of a queue pair", self.inner.close());
    }
}

/// Two queue pairs that are connected to each other.
pub(crate) fn connect(here: &Pd, there: &Pd) -> (Qp, Qp) {
    let (a, b) = (Qp::new(here), Qp::new(there));
    join(&a, &b);
    (a, b)
}

/// Connects two queue pairs to each other.
pub(crate) fn join(a: &Qp, b: &Qp) {
    let (to_b, to_a) = (b.endpoint(), a.endpoint());
    let (mut first, mut second) = (pin!(a.inner.connect(&to_b)), pin!(b.inner.connect(&to_a)));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(first.as_mut().poll(&mut cx).is_pending(), "the peer has not asked yet");
    a.pump.block_on("the connection", second.as_mut()).expect("connected");
    a.pump.block_on("the connection", first.as_mut()).expect("connected");
}

/// A queue pair that is connected to itself.
pub(crate) fn loopback(pd: &Pd) -> Qp {
    let qp = Qp::new(pd);
    let own = qp.endpoint();
    pd.pump.block_on("the connection", qp.inner.connect(&own)).expect("connected");
    qp
}

/// A memory window of a domain.
pub(crate) fn window(pd: &Pd) -> Result<Window> {
    // SAFETY: the domain is not closed.
    pd.pump.block_on("a window", unsafe { pd.domain().create_window() })
}
