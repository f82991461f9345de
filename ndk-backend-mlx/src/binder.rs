//! A memory window, and the registrations that it is bound over: what a window of the framework is, and what fast
//! registration is made of.
//!
//! Each binding has a registration of its own over exactly its bytes, which no peer reaches by its own key, so that the
//! window reaches no further even where a device does not check a window's bounds. The window's key stays the same over
//! all bindings. A window belongs to the queue pair on which it was bound.

use crate::device::Device;
use crate::domain::Domain;
use crate::handle::{Mr, Mw};
use crate::mapping::Mapped;
use crate::rounds::Rounds;
use crate::sys::object::ibv_mw;
use ndk_core::{Access, ErrorKind, Result};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

/// The registration under a binding.
pub(crate) struct Exact {
    mr: Option<Mr>,
    device: Arc<Device>,
    /// What it was registered through: a mapping lives until its last use is over (L4).
    mappings: Vec<Arc<Mapped>>,
    access: Access,
}

impl Exact {
    pub(crate) fn new(
        mr: Mr,
        device: &Arc<Device>,
        mappings: Vec<Arc<Mapped>>,
        access: Access,
    ) -> Self {
        Self { mr: Some(mr), device: device.clone(), mappings, access }
    }

    pub(crate) fn mr(&self) -> &Mr {
        self.mr.as_ref().expect("it is there until the drop")
    }
}

impl Drop for Exact {
    fn drop(&mut self) {
        self.mappings.clear();
        let mr = self.mr.take();
        self.device.pool.spawn(move || drop(mr));
    }
}

/// A window with its bindings.
pub(crate) struct Binder {
    domain: Arc<Domain>,
    me: Weak<Binder>,
    /// The window's key; 0 before there is one.
    key: AtomicU32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    window: Option<Mw>,
    /// The registrations under bindings.
    rounds: Rounds<Arc<Exact>>,
    /// The queue pair that it belongs to, by the requests posted so far.
    owner: Option<u64>,
    closed: bool,
}

impl Binder {
    /// One whose window is made by `renew`.
    pub(crate) fn without_window(domain: &Arc<Domain>) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            domain: domain.clone(),
            me: me.clone(),
            key: AtomicU32::new(0),
            state: Mutex::default(),
        })
    }

    /// The window's key.
    pub(crate) fn key(&self) -> u32 {
        self.key.load(Ordering::Acquire)
    }

    /// Puts a new window in the place of the one there is, whose binding, if any, ends. Blocks.
    ///
    /// # Errors
    /// INSUFFICIENT_RESOURCES; all is as before then.
    pub(crate) fn renew(&self) -> Result<()> {
        let window = self.domain.window()?;
        let mut state = self.state.lock();
        if state.closed {
            return Ok(());
        }
        self.domain.forget_binder(self.key());
        let before = std::mem::take(&mut *state);
        self.key.store(window.key(), Ordering::Release);
        if let Some(me) = self.me.upgrade() {
            self.domain.enter_binder(window.key(), &me);
        }
        state.window = Some(window);
        drop(state);
        before.give_up();
        Ok(())
    }

    /// Gives the window up; its binding ends. Blocks.
    ///
    /// # Errors
    /// The device has it still, and so what it is bound over is kept.
    pub(crate) fn close(&self) -> Result<()> {
        self.domain.forget_binder(self.key());
        let mut before = {
            let mut state = self.state.lock();
            std::mem::replace(&mut *state, State { closed: true, ..State::default() })
        };
        let Some(Err((window, error))) = before.window.take().map(Mw::end) else {
            return Ok(());
        };
        *self.state.lock() = State { window: Some(window), closed: true, ..before };
        Err(error)
    }

    /// The queue pair is being given up: a window that is bound on it would keep it. Blocks.
    pub(crate) fn leave(&self, port: u64) {
        if self.state.lock().owner != Some(port) {
            return;
        }
        if let Err(error) = self.renew() {
            log::warn!(
                "{}: a window whose queue pair is closed: {error}",
                self.domain.device().name()
            );
            let before = std::mem::take(&mut *self.state.lock());
            before.give_up();
        }
    }

    /// A binding is being posted on that queue pair.
    pub(crate) fn claim(&self, port: u64) {
        self.state.lock().owner = Some(port);
    }

    /// Whether the window belongs to that queue pair.
    pub(crate) fn is_of(&self, port: u64) -> bool {
        self.state.lock().owner == Some(port)
    }

    /// Gives the window to `post` for a binding over `exact`, which it keeps.
    ///
    /// # Errors
    /// What `post` gives; ACCESS_VIOLATION where there is no window, or it is bound.
    pub(crate) fn bind(
        &self,
        exact: Arc<Exact>,
        post: impl FnOnce(*mut ibv_mw, u32) -> Result<(), ErrorKind>,
    ) -> Result<(), ErrorKind> {
        let mut state = self.state.lock();
        let unbound = state.window.as_ref().filter(|_| !state.rounds.is_valid());
        let window = unbound.ok_or(ErrorKind::AccessViolation)?;
        post(window.raw(), window.key())?;
        state.rounds.begin(exact);
        Ok(())
    }

    /// Gives the window's key to `post` for an invalidation. What is not bound must not be invalidated: there are devices
    /// that do not survive it.
    ///
    /// # Errors
    /// What `post` gives; ACCESS_VIOLATION where it is not bound.
    pub(crate) fn invalidate(
        &self,
        post: impl FnOnce(u32) -> Result<(), ErrorKind>,
    ) -> Result<(), ErrorKind> {
        let mut state = self.state.lock();
        if state.window.is_none() || !state.rounds.is_valid() {
            return Err(ErrorKind::AccessViolation);
        }
        post(self.key())?;
        state.rounds.invalidate();
        Ok(())
    }

    /// The oldest binding was seen to end.
    pub(crate) fn ended(&self) {
        let round = self.state.lock().rounds.ended();
        drop(round);
    }

    /// A peer's message has ended the binding.
    pub(crate) fn ended_by_peer(&self) {
        let round = self.state.lock().rounds.ended_by_peer();
        drop(round);
    }

    /// A binding that was given to the device did not come about.
    pub(crate) fn failed(&self) {
        let round = self.state.lock().rounds.failed();
        drop(round);
    }

    /// An invalidation that was given to the device did not come about.
    pub(crate) fn stays(&self) {
        self.state.lock().rounds.stays();
    }

    /// As `local_key`, for a receive, which needs the right to write (F4).
    pub(crate) fn receive_key(&self) -> Option<u32> {
        let writes = |exact: &&Arc<Exact>| exact.access.contains(Access::LOCAL_WRITE);
        let state = self.state.lock();
        state.rounds.current().filter(writes).map(|exact| exact.mr().local_key())
    }

    /// The device's key for local use of what the window is bound over.
    pub(crate) fn local_key(&self) -> Option<u32> {
        let state = self.state.lock();
        state.rounds.current().map(|exact| exact.mr().local_key())
    }
}

impl State {
    /// The window first: what it is bound over cannot be given up before.
    fn give_up(self) {
        drop(self.window);
        drop(self.rounds);
    }
}
