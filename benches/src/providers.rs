//! The providers that the contenders use, opened.

use crate::layer::Layer;
use crate::objects::Adapter;
use crate::twin::Twin;
use ndk_backend_sim::{Config, SimAdapter};
use ndk_core::abi::NDK_VERSION;
use ndk_core::verifier::Verifier;
use ndk_core::{AdapterProvider, BoxedAdapter, Executor, Opened, Std, Task};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};

/// The version that every adapter is opened with.
pub const VERSION: NDK_VERSION = NDK_VERSION { Major: 1, Minor: 2 };

/// An executor that runs its tasks where [`run`](Self::run) is called: pending without another thread.
#[derive(Debug, Default)]
pub struct Queue(Mutex<VecDeque<Task>>);

impl Queue {
    /// Polls what there is until it is done.
    #[inline]
    pub fn run(&self) {
        loop {
            let next = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(mut task) = next else { return };
            if pin!(&mut task).poll(&mut Context::from_waker(Waker::noop())).is_pending() {
                self.spawn(task);
            }
        }
    }
}

impl Executor for Queue {
    fn spawn(&self, task: Task) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(task);
    }
}

/// A simulated adapter with nothing between.
pub fn sim() -> SimAdapter {
    SimAdapter::new(Config::default()).expect("the system has entropy")
}

/// A provider, opened; pending requests go to `queue`.
pub fn open<A: AdapterProvider>(provider: A, queue: Arc<Queue>) -> Opened<A, Std> {
    Opened::new(provider, queue, VERSION).expect("the version is served")
}

/// As [`open`], to be used through the tables.
pub fn adapter<A: AdapterProvider>(provider: A, queue: Arc<Queue>) -> Arc<Adapter> {
    let opened = open(provider, queue);
    Adapter::new(opened.adapter().as_ndk(), opened)
}

/// The simulator behind the framework's table: the backend's types are known when this is compiled.
pub fn static_adapter() -> Arc<Adapter> {
    adapter(sim(), Arc::default())
}

/// The same, boxed, as a backend that is opened by a name is.
pub fn boxed_adapter() -> Arc<Adapter> {
    adapter(BoxedAdapter::new(sim()), Arc::default())
}

/// The simulator with a layer that forwards every call.
pub fn layered_adapter() -> Arc<Adapter> {
    adapter(Layer::forwarding(sim()), Arc::default())
}

/// The simulator under the verifier.
pub fn verified_adapter() -> Arc<Adapter> {
    adapter(Verifier::new().verify(sim()), Arc::default())
}

/// The same, boxed below and above, as `verify+sim` is.
pub fn verified_by_name() -> Arc<Adapter> {
    let verified = Verifier::new().verify(BoxedAdapter::new(sim()));
    adapter(BoxedAdapter::new(verified), Arc::default())
}

/// The simulator whose registrations and deregistrations pend, and the queue that they wait in.
pub fn pending_adapter() -> (Arc<Adapter>, Arc<Queue>) {
    let queue = Arc::<Queue>::default();
    (adapter(Layer::yielding(sim()), queue.clone()), queue)
}

/// The hand-written table.
pub fn twin_adapter(regions: u32) -> Arc<Adapter> {
    let twin = Twin::open(regions);
    Adapter::new(twin.as_ndk(), twin)
}
