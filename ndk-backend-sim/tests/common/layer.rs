//! What the simulator is opened under: the verifier in the test target `verified`, which has these tests a second time,
//! and nothing in all others.

use super::on_purpose::is_on_purpose;
use ndk_backend_sim::SimAdapter;
use ndk_core::AdapterProvider;
use ndk_core::verifier::{Policy, Verified, Verifier};
use std::thread;
use std::time::Duration;

const VERIFIED: bool = matches!(env!("CARGO_CRATE_NAME").as_bytes(), b"verified");

/// With the verifier, or without.
pub(crate) struct Layer<const VERIFIED: bool>(Verifier);

/// The layer of this target.
pub(crate) type Under = Layer<VERIFIED>;

/// The adapter that is opened.
pub(crate) type Tested = <Under as Over>::Adapter;

/// A layer over the simulator.
pub(crate) trait Over {
    type Adapter: AdapterProvider;

    fn over(&self, sim: SimAdapter) -> Self::Adapter;

    fn sim(adapter: &Self::Adapter) -> &SimAdapter;
}

impl Over for Layer<false> {
    type Adapter = SimAdapter;

    fn over(&self, sim: SimAdapter) -> SimAdapter {
        sim
    }

    fn sim(adapter: &SimAdapter) -> &SimAdapter {
        adapter
    }
}

impl Over for Layer<true> {
    type Adapter = Verified<SimAdapter>;

    fn over(&self, sim: SimAdapter) -> Verified<SimAdapter> {
        self.0.verify(sim)
    }

    fn sim(adapter: &Verified<SimAdapter>) -> &SimAdapter {
        adapter.inner()
    }
}

impl Under {
    pub(crate) fn new() -> Self {
        // What pends waits for its test, however long that takes.
        let limit = Duration::from_secs(3600);
        Self(Verifier::new().policy(Policy::Count).backtraces(false).limit(limit))
    }
}

impl<const VERIFIED: bool> Drop for Layer<VERIFIED> {
    /// The adapter is gone: nothing was found but what the test does on purpose.
    fn drop(&mut self) {
        if thread::panicking() {
            return;
        }
        let mut findings = self.0.findings();
        let thread = thread::current();
        let test = thread.name().unwrap_or("a thread without a test's name");
        findings.retain(|finding| !is_on_purpose(test, finding));
        assert!(findings.is_empty(), "found, and not made on purpose: {findings:#?}");
    }
}
