//! An indirect key, and the mappings that it leads to: what fast registration of a region is made of.
//!
//! The key is made free: nothing goes through it before a fast registration, and nothing after an invalidation, by
//! whichever side. Its value stays the same over all rounds (E4). libmlx5 makes the low 8 bits 0, which is what its
//! invalidation resets them to.

use super::limits::Limits;
use super::queue::RawQueue;
use super::runs::Runs;
use super::umr::Umr;
use crate::domain::Domain;
use crate::handle::IndirectKey;
use crate::mapping::{Keyed, PAGE};
use crate::rounds::Rounds;
use crate::sys::mlx5::mlx5dv_mkey;
use ndk_core::{Access, ErrorKind, FastMemory, Result};
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

/// The mappings that a registration is of.
pub(crate) type Mappings = SmallVec<[Arc<Keyed>; 2]>;

/// An indirect key with its registrations.
pub(crate) struct Indirect {
    domain: Arc<Domain>,
    me: Weak<Indirect>,
    limits: Limits,
    /// The key's value; 0 before there is one.
    value: AtomicU32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    key: Option<IndirectKey>,
    /// The mappings under registrations: a mapping lives until its last use is over (L4).
    rounds: Rounds<Mappings>,
    closed: bool,
}

/// A fast registration that waits for its turn.
pub(crate) struct FastRequest {
    indirect: Arc<Indirect>,
    base: u64,
    access: Access,
    runs: Runs,
    mappings: Mappings,
}

impl Indirect {
    /// One whose key is made by `renew`.
    pub(crate) fn without_key(domain: &Arc<Domain>, limits: Limits) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            domain: domain.clone(),
            me: me.clone(),
            limits,
            value: AtomicU32::new(0),
            state: Mutex::default(),
        })
    }

    /// The key's value, for peers and for this side.
    pub(crate) fn value(&self) -> u32 {
        self.value.load(Ordering::Acquire)
    }

    /// The key as mlx5dv has it; null before there is one.
    pub(crate) fn raw_key(&self) -> *mut mlx5dv_mkey {
        self.state.lock().key.as_ref().map_or(std::ptr::null_mut(), IndirectKey::raw)
    }

    /// Puts a new key in the place of the one there is, whose registration, if any, ends. Blocks.
    ///
    /// # Errors
    /// INSUFFICIENT_RESOURCES; all is as before then.
    pub(crate) fn renew(&self) -> Result<()> {
        let key = self.domain.indirect_key(self.limits.runs)?;
        let mut state = self.state.lock();
        if state.closed {
            return Ok(());
        }
        self.forget();
        let before = std::mem::take(&mut *state);
        self.value.store(key.value(), Ordering::Release);
        if let Some(me) = self.me.upgrade() {
            self.domain.enter_indirect(key.value(), &me);
        }
        state.key = Some(key);
        drop(state);
        before.give_up();
        Ok(())
    }

    /// Gives the key up; its registration ends. Blocks.
    ///
    /// # Errors
    /// The device has it still, and so what is under it is kept.
    pub(crate) fn close(&self) -> Result<()> {
        self.forget();
        let mut before = {
            let mut state = self.state.lock();
            std::mem::replace(&mut *state, State { closed: true, ..State::default() })
        };
        let Some(Err((key, error))) = before.key.take().map(IndirectKey::end) else {
            return Ok(());
        };
        *self.state.lock() = State { key: Some(key), closed: true, ..before };
        Err(error)
    }

    fn forget(&self) {
        self.domain.forget_indirect(self.value());
        self.domain.forget_read_sink(self.value());
    }

    /// Gives the key's value to `post` for an invalidation.
    ///
    /// # Errors
    /// What `post` gives; ACCESS_VIOLATION where it is not live.
    pub(crate) fn invalidate(
        &self,
        post: impl FnOnce(u32) -> Result<(), ErrorKind>,
    ) -> Result<(), ErrorKind> {
        let mut state = self.state.lock();
        if state.key.is_none() || !state.rounds.is_valid() {
            return Err(ErrorKind::AccessViolation);
        }
        post(self.value())?;
        state.rounds.invalidate();
        Ok(())
    }

    /// The oldest registration was seen to end.
    pub(crate) fn ended(&self) {
        let round = self.state.lock().rounds.ended();
        drop(round);
    }

    /// A peer's message has ended the registration.
    pub(crate) fn ended_by_peer(&self) {
        let round = self.state.lock().rounds.ended_by_peer();
        drop(round);
    }

    /// A registration that was given to the device did not come about.
    pub(crate) fn failed(&self) {
        let round = self.state.lock().rounds.failed();
        drop(round);
    }

    /// An invalidation that was given to the device did not come about.
    pub(crate) fn stays(&self) {
        self.state.lock().rounds.stays();
    }
}

impl State {
    /// The key first: what it leads to is used through it.
    fn give_up(self) {
        drop(self.key);
        drop(self.rounds);
    }
}

impl FastRequest {
    /// Finds the memory of a fast registration, and what it is in runs.
    ///
    /// # Errors
    /// INVALID_PARAMETER for an address outside every live mapping (L2); IMPLEMENTATION_LIMIT for more runs than a
    /// request holds.
    pub(crate) fn new(
        indirect: &Arc<Indirect>,
        memory: &FastMemory<'_>,
        access: Access,
    ) -> Result<Self> {
        const PAGE_LENGTH: u64 = PAGE as u64;
        let mut mappings = Mappings::new();
        let pages = memory.pages.iter().map(|&page| {
            // Most pages are of the same mapping as the one before.
            if let Some(last) = mappings.last()
                && let Some(host) = last.host_of(page, PAGE_LENGTH)
            {
                return Ok((last.key, host as u64));
            }
            let (keyed, host) = indirect.domain.find_mapped(page, PAGE_LENGTH)?;
            let key = keyed.key;
            mappings.push(keyed);
            Ok((key, host as u64))
        });
        let (first_byte, limit) = (u64::from(memory.first_byte), indirect.limits.runs);
        let runs = Runs::of_pages(pages, first_byte, memory.length, limit)?;
        Ok(Self { indirect: indirect.clone(), base: memory.base, access, runs, mappings })
    }

    /// Gives the device the request, as its number; what it made live.
    ///
    /// # Errors
    /// Why it does not take it.
    ///
    /// # Safety
    /// As for [`RawQueue::post`].
    pub(crate) unsafe fn give(
        self,
        queue: &RawQueue,
        number: u64,
    ) -> Result<Arc<Indirect>, ErrorKind> {
        let Self { indirect, base, access, runs, mappings } = self;
        let mut state = indirect.state.lock();
        if state.key.is_none() || state.rounds.is_valid() {
            return Err(ErrorKind::AccessViolation);
        }
        let limits = &indirect.limits;
        let umr = Umr {
            key: indirect.value(),
            queue_pair: queue.number(),
            base,
            runs: runs.as_slice(),
            access,
            fence: limits.fence,
        };
        // SAFETY: the caller's promise.
        let posted =
            umr.encode(limits.runs).and_then(|entry| unsafe { queue.post(number, &entry) });
        posted.map_err(|error| {
            log::warn!("a fast registration was not posted: {error}");
            error.kind()
        })?;
        // To the device a sink of reads is as good as one of receives (F4).
        let domain = &indirect.domain;
        match access.contains(Access::READ_SINK) && !access.contains(Access::LOCAL_WRITE) {
            true => domain.enter_read_sink(indirect.value()),
            false => domain.forget_read_sink(indirect.value()),
        }
        state.rounds.begin(mappings);
        drop(state);
        Ok(indirect)
    }
}
