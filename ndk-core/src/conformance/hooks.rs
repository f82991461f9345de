//! The strings of a case ([`Control`](super::control::Control)) where a provider has tables only: its hooks are called in
//! place of a wrapper around it. A case that pulls one that is not there is left out, with the reason.

use super::control::{Fault, Step};
use super::desk::Spawning;
use super::route::Adapter;
use super::tables::TableProvider;
use super::ticket::lock;
use crate::abi::{BOOLEAN, ULONG};
use std::panic::resume_unwind;
use std::sync::Mutex;

/// How a case ends that cannot go on, and why: what it unwinds with.
pub(super) struct LeftOut(pub(super) &'static str);

/// Leaves the running case out.
pub(super) fn leave_out(reason: &'static str) -> ! {
    resume_unwind(Box::new(LeftOut(reason)))
}

/// Why requests cannot be made to pend.
pub(super) const NO_PACE: &str = "the provider gives the kit no hooks to make requests pend";
const NO_HOLD: &str = "the provider gives the kit no hooks to hold operations";
const NO_FAULT: &str = "the provider gives the kit no hook to make an operation fail";
const NO_LOSS: &str = "the provider gives the kit no hook to lose the device";
/// Why nothing reaches for memory.
pub(super) const NO_ACCESS: &str = "the provider gives the kit no hook to access memory";
/// Why no fast registration is posted.
pub(super) const NO_FAST_REGISTRATION: &str =
    "the provider gives the kit no hooks for fast registration";
/// Why no window is bound.
pub(super) const NO_BIND: &str = "the provider gives the kit no hooks for memory windows";
/// Why nothing panics.
pub(super) const NO_PANIC: &str = "code in C does not panic";
/// Why an executor cannot misbehave.
pub(super) const NO_EXECUTOR: &str = "a table alone has no executor of the kit's (B9)";

/// The values of `NDK_CONFORMANCE_PACE`.
const BY_ITSELF: ULONG = 0;
const PENDING: ULONG = 1;
const EARLY: ULONG = 2;

struct State {
    adapters: Vec<Adapter>,
    yields: bool,
    spawning: Spawning,
    held: ULONG,
    deaf: bool,
    /// Whether anything may pend that only a call of Run finishes.
    waits_for_run: bool,
}

impl State {
    fn pace(&self) -> ULONG {
        match self.spawning {
            _ if !self.yields => BY_ITSELF,
            Spawning::Inside => EARLY,
            _ => PENDING,
        }
    }

    /// Whether requests that are made now wait for Run.
    fn makes_wait(&self) -> bool {
        self.held != 0 || self.pace() != BY_ITSELF
    }
}

/// The hooks of a provider, for all adapters that a case has open.
pub(super) struct Hooks {
    provider: TableProvider,
    state: Mutex<State>,
}

// SAFETY of each call below: whoever made the kit vouches for the provider's functions, and an adapter is in the list from
// after it was opened until it is closed. One that another thread closes meanwhile is kept open by what the case has open, or
// by a request that pends until Run is called; not by one of which the case has not seen the callback, which may have come.
#[allow(clippy::undocumented_unsafe_blocks)] // said once, above
impl Hooks {
    pub(super) fn new(provider: TableProvider) -> Self {
        let spawning = Spawning::Queue;
        let state = State {
            adapters: Vec::new(),
            yields: false,
            spawning,
            held: 0,
            deaf: false,
            waits_for_run: false,
        };
        Self { provider, state: Mutex::new(state) }
    }

    /// A case has opened one, perhaps one more.
    pub(super) fn opened(&self, adapter: Adapter) {
        lock(&self.state).adapters.push(adapter);
        self.pace();
        if self.is_holding() {
            self.change_held(|held| held);
        }
    }

    pub(super) fn closed(&self, adapter: Adapter) {
        lock(&self.state).adapters.retain(|&other| other != adapter);
    }

    fn each(&self, mut call: impl FnMut(Adapter)) {
        // The lock is free during a call, inside of which callbacks come.
        let adapters = lock(&self.state).adapters.clone();
        adapters.into_iter().for_each(&mut call);
    }

    pub(super) fn set_yields(&self, yields: bool) {
        lock(&self.state).yields = yields;
        self.pace();
    }

    pub(super) fn set_spawning(&self, spawning: Spawning) {
        if !matches!(spawning, Spawning::Queue | Spawning::Inside) {
            leave_out(NO_EXECUTOR);
        }
        lock(&self.state).spawning = spawning;
        self.pace();
    }

    fn pace(&self) {
        let pace = {
            let mut state = lock(&self.state);
            state.waits_for_run |= state.makes_wait();
            state.pace()
        };
        match (self.provider.pace, self.provider.run) {
            (Some(set), Some(_)) => self.each(|adapter| unsafe { set(adapter.0, pace) }),
            _ if pace == BY_ITSELF => {}
            _ => leave_out(NO_PACE),
        }
    }

    /// Lets what waits go on.
    pub(super) fn run(&self) {
        if let Some(run) = self.provider.run {
            let mut state = lock(&self.state);
            state.waits_for_run = state.makes_wait();
            drop(state);
            self.each(|adapter| unsafe { run(adapter.0) });
        }
    }

    /// As `run`, where something may wait for it. What pends by the provider itself may end the adapter, too, at any time.
    pub(super) fn run_what_waits(&self) {
        if lock(&self.state).waits_for_run {
            self.run();
        }
    }

    pub(super) fn hold(&self, step: Step) {
        self.change_held(|held| held | step.bit());
    }

    pub(super) fn release(&self, step: Step) {
        self.change_held(|held| held & !step.bit());
    }

    /// Opens every gate, for a case that ends before its time.
    pub(super) fn release_all(&self) {
        if lock(&self.state).held != 0 {
            self.change_held(|_| 0);
        }
    }

    pub(super) fn is_holding(&self) -> bool {
        lock(&self.state).held != 0
    }

    fn change_held(&self, change: impl FnOnce(ULONG) -> ULONG) {
        let (Some(hold), Some(_)) = (self.provider.hold, self.provider.run) else {
            leave_out(NO_HOLD)
        };
        let (held, deaf) = {
            let mut state = lock(&self.state);
            state.held = change(state.held);
            state.waits_for_run |= state.makes_wait();
            (state.held, state.deaf)
        };
        self.each(|adapter| unsafe { hold(adapter.0, held, BOOLEAN::from(!deaf)) });
    }

    pub(super) fn set_deaf(&self, deaf: bool) {
        lock(&self.state).deaf = deaf;
    }

    pub(super) fn plan(&self, step: Step, fault: Fault) {
        let (Fault::Fail(kind) | Fault::FailAtOnce(kind)) = fault else { leave_out(NO_PANIC) };
        let Some(fail) = self.provider.fail else { leave_out(NO_FAULT) };
        self.each(|adapter| unsafe { fail(adapter.0, step as ULONG, kind.status()) });
    }

    pub(super) fn trap(&self) -> ! {
        leave_out(NO_PANIC)
    }

    pub(super) fn lose(&self) {
        let Some(lose) = self.provider.lose else { leave_out(NO_LOSS) };
        self.each(|adapter| unsafe { lose(adapter.0) });
    }

    /// How many domains and regions exist; 0 where the provider does not say.
    pub(super) fn objects(&self) -> usize {
        let (Some(count), Some(_)) = (self.provider.objects, self.provider.run) else { return 0 };
        let mut objects = 0;
        self.each(|adapter| objects += unsafe { count(adapter.0) } as usize);
        objects
    }
}
