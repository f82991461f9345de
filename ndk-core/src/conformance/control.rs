//! The strings that a case pulls: when an operation of the adapter under test waits, fails, or panics.

use super::desk::{Spawning, blow};
use super::hooks::Hooks;
use super::tables::TableProvider;
use super::ticket::lock;
use crate::error::{Error, ErrorKind, Result};
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Poll, Waker};

/// An operation of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    CreatePd,
    ClosePd,
    CreateMr,
    CloseMr,
    Register,
    Deregister,
    Initialise,
    BuildMapping,
}

impl Step {
    pub(super) fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// What goes wrong at the next call of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It fails with this kind, without reaching the backend.
    Fail(ErrorKind),
    /// As `Fail`, without a future where the operation can do without.
    FailAtOnce(ErrorKind),
    /// The method that makes no future panics, or where there is none the one that does.
    PanicAtOnce,
    /// The method panics, before there is a future.
    PanicAtEntry,
    /// The first poll panics.
    PanicAtFirstPoll,
    /// A later poll panics, in the executor.
    PanicAtLaterPoll,
    /// The future panics when it is dropped, finished or not.
    PanicInDrop,
}

impl Fault {
    /// Every place at which an operation can panic.
    pub(super) const PANICS: [Self; 5] = [
        Self::PanicAtOnce,
        Self::PanicAtEntry,
        Self::PanicAtFirstPoll,
        Self::PanicAtLaterPoll,
        Self::PanicInDrop,
    ];
}

/// A method without a future, or a drop, that panics at its next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trap {
    LocalToken,
    RemoteToken,
    QueryExtension,
    Cancel,
    IsLost,
    PrivilegedToken,
    DropMr,
    DropPd,
}

#[derive(Default)]
struct State {
    yields: bool,
    held: u32,
    deaf: bool,
    wakers: Vec<Waker>,
    faults: Vec<(Step, Fault)>,
    traps: Vec<Trap>,
    cancels: usize,
}

/// Shared between a case and the wrapped adapter.
#[derive(Default)]
pub(super) struct Control {
    state: Mutex<State>,
    lost: AtomicBool,
    objects: AtomicUsize,
    /// Of a provider that has tables only, and so no wrapper that asks here.
    hooks: OnceLock<Arc<Hooks>>,
}

/// One of the backend's objects, counted while it lives.
pub(super) struct Counted(Arc<Control>);

impl Counted {
    pub(super) fn new(control: &Arc<Control>) -> Self {
        control.objects.fetch_add(1, Ordering::SeqCst);
        Self(control.clone())
    }

    pub(super) fn control(&self) -> &Arc<Control> {
        &self.0
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.objects.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Control {
    /// Goes through these hooks from now on.
    pub(super) fn attach(&self, provider: TableProvider) -> Arc<Hooks> {
        self.hooks.get_or_init(|| Arc::new(Hooks::new(provider))).clone()
    }

    pub(super) fn hooks(&self) -> Option<&Hooks> {
        self.hooks.get().map(|hooks| &**hooks)
    }

    /// What the executor does with tasks; its own hands tell where there is one.
    pub(super) fn set_spawning(&self, spawning: Spawning) {
        if let Some(hooks) = self.hooks() {
            hooks.set_spawning(spawning);
        }
    }

    /// Lets what waits in a provider of tables only go on.
    pub(super) fn run(&self) {
        if let Some(hooks) = self.hooks() {
            hooks.run();
        }
    }

    /// As `run`, where something may wait for that.
    pub(super) fn run_what_waits(&self) {
        if let Some(hooks) = self.hooks() {
            hooks.run_what_waits();
        }
    }

    /// Whether every operation gives way once before it starts, so that it pends.
    pub(super) fn set_yields(&self, yields: bool) {
        if let Some(hooks) = self.hooks() {
            return hooks.set_yields(yields);
        }
        lock(&self.state).yields = yields;
    }

    /// Closes the gate before a step: its operations wait until it is opened.
    pub(super) fn hold(&self, step: Step) {
        if let Some(hooks) = self.hooks() {
            return hooks.hold(step);
        }
        lock(&self.state).held |= step.bit();
    }

    /// Opens a gate.
    pub(super) fn release(&self, step: Step) {
        if let Some(hooks) = self.hooks() {
            return hooks.release(step);
        }
        lock(&self.state).held &= !step.bit();
        self.wake();
    }

    /// Whether a gate is closed.
    pub(super) fn is_holding(&self) -> bool {
        if let Some(hooks) = self.hooks() {
            return hooks.is_holding();
        }
        lock(&self.state).held != 0
    }

    /// Whether waiting operations go on waiting when they are cancelled, as a kernel call does.
    pub(super) fn set_deaf(&self, deaf: bool) {
        if let Some(hooks) = self.hooks() {
            return hooks.set_deaf(deaf);
        }
        lock(&self.state).deaf = deaf;
    }

    /// Plans a fault for the next call of a step.
    pub(super) fn plan(&self, step: Step, fault: Fault) {
        if let Some(hooks) = self.hooks() {
            return hooks.plan(step, fault);
        }
        lock(&self.state).faults.push((step, fault));
    }

    /// Plans a panic for the next call of a method.
    pub(super) fn trap(&self, trap: Trap) {
        if let Some(hooks) = self.hooks() {
            hooks.trap();
        }
        lock(&self.state).traps.push(trap);
    }

    /// Takes the device away; what waits at a gate ends with DEVICE_REMOVED (H8).
    pub(super) fn lose(&self) {
        if let Some(hooks) = self.hooks() {
            return hooks.lose();
        }
        self.lost.store(true, Ordering::SeqCst);
        self.wake();
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::SeqCst)
    }

    /// How many domains and regions of the backend exist.
    pub(super) fn objects(&self) -> usize {
        if let Some(hooks) = self.hooks() {
            return hooks.objects();
        }
        self.objects.load(Ordering::SeqCst)
    }

    /// Whether the framework asked to cancel; of a provider of tables only, the statuses of its requests tell.
    pub(super) fn was_asked_to_cancel(&self) -> bool {
        self.hooks().is_some() || lock(&self.state).cancels > 0
    }

    pub(super) fn cancel(&self, cancelled: &AtomicBool) {
        let mut state = lock(&self.state);
        state.cancels += 1;
        if !state.deaf {
            cancelled.store(true, Ordering::SeqCst);
        }
        drop(state);
        self.wake();
    }

    /// Panics where that was planned.
    pub(super) fn pass(&self, trap: Trap) {
        let mut state = lock(&self.state);
        let Some(place) = state.traps.iter().position(|&planned| planned == trap) else { return };
        state.traps.remove(place);
        drop(state);
        blow("planted: method");
    }

    /// Whether the next call of `step` may do without a future, as nothing is planned for it; or what it comes to.
    pub(super) fn at_once(&self, step: Step) -> Option<Result<()>> {
        let mut state = lock(&self.state);
        if state.yields || state.held & step.bit() != 0 {
            return None;
        }
        let place = state.faults.iter().position(|&(planned, _)| planned == step);
        let Some(place) = place else { return Some(Ok(())) };
        let fault = state.faults[place].1;
        if matches!(fault, Fault::FailAtOnce(_) | Fault::PanicAtOnce) {
            state.faults.remove(place);
        }
        drop(state);
        match fault {
            Fault::FailAtOnce(kind) => Some(Err(Error::new(kind, "planted"))),
            Fault::PanicAtOnce => blow("planted: at once"),
            _ => None,
        }
    }

    /// What the next call of `step` meets.
    pub(super) fn turn(self: &Arc<Self>, step: Step, cancelled: Option<Arc<AtomicBool>>) -> Turn {
        let mut state = lock(&self.state);
        let place = state.faults.iter().position(|&(planned, _)| planned == step);
        let fault = place.map(|place| state.faults.remove(place).1);
        let yields = state.yields;
        drop(state);
        if matches!(fault, Some(Fault::PanicAtEntry | Fault::PanicAtOnce)) {
            blow("planted: entry");
        }
        Turn { control: self.clone(), step, fault, yields, cancelled }
    }

    fn wake(&self) {
        let wakers = std::mem::take(&mut lock(&self.state).wakers);
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// One call of a step, on its way to the backend.
pub(super) struct Turn {
    control: Arc<Control>,
    step: Step,
    fault: Option<Fault>,
    yields: bool,
    cancelled: Option<Arc<AtomicBool>>,
}

impl Turn {
    pub(super) fn panics_in_drop(&self) -> bool {
        self.fault == Some(Fault::PanicInDrop)
    }

    /// Waits and fails as planned; the backend's turn comes after a success.
    pub(super) async fn come(self) -> Result<()> {
        if self.fault == Some(Fault::PanicAtFirstPoll) {
            blow("planted: first poll");
        }
        if self.yields || self.fault == Some(Fault::PanicAtLaterPoll) {
            give_way().await;
        }
        poll_fn(|cx| self.gate(cx.waker())).await?;
        match self.fault {
            Some(Fault::PanicAtLaterPoll) => blow("planted: later poll"),
            Some(Fault::Fail(kind) | Fault::FailAtOnce(kind)) => Err(Error::new(kind, "planted")),
            _ => Ok(()),
        }
    }

    fn gate(&self, waker: &Waker) -> Poll<Result<()>> {
        let mut state = lock(&self.control.state);
        if state.held & self.step.bit() == 0 {
            return Poll::Ready(Ok(()));
        }
        if self.cancelled.as_ref().is_some_and(|cancelled| cancelled.load(Ordering::SeqCst)) {
            return Poll::Ready(Err(Error::new(ErrorKind::Cancelled, "planted")));
        }
        if self.control.is_lost() {
            return Poll::Ready(Err(Error::new(ErrorKind::DeviceRemoved, "planted")));
        }
        state.wakers.push(waker.clone());
        Poll::Pending
    }
}

async fn give_way() {
    let mut gave = false;
    poll_fn(|cx| {
        if gave {
            return Poll::Ready(());
        }
        gave = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
