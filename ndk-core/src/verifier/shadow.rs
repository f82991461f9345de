//! What is known of a region's registration, also to those who free memory, and to the region's requests that it outlives.

use super::desk::Desk;
use super::desks::watch_chain;
use super::frames::Frames;
use super::holder::{Holder, Pair};
use crate::mdl::{MdlView, Snapshot};
use crate::platform::Std;
use crate::sync::Mutex;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, Ordering};

/// What is known of a region's registration, also to those who free memory.
pub(super) struct Shadow {
    /// Its tokens, as they were noted.
    pub(super) holder: Arc<Holder>,
    /// What the device may reach.
    frames: Frames,
    /// What the device may reach is no longer the consumer's fault: the region's close has not ended, or a registration that
    /// the consumer was refused could not be taken back.
    is_leaked: AtomicBool,
    has_chain: AtomicBool,
    /// The chain of a registration that pends.
    chain: Mutex<Std, Option<Snapshot>>,
    /// The mappings that fast registrations use, the earliest first.
    uses: Mutex<Std, VecDeque<Use>>,
}

/// A fast registration that was posted, by its number among the region's, and the mappings that it uses.
struct Use(u64, Vec<u64>);

impl Shadow {
    pub(super) fn new(holder: Arc<Holder>) -> Self {
        Self {
            holder,
            frames: Frames::new(),
            is_leaked: AtomicBool::new(false),
            has_chain: AtomicBool::new(false),
            chain: Mutex::new(None),
            uses: Mutex::new(VecDeque::new()),
        }
    }

    /// The number by which the framework knows the region.
    pub(super) fn id(&self) -> u64 {
        self.holder.id()
    }

    pub(super) fn has_chain(&self, mdl: usize) -> bool {
        self.chain.lock().as_ref().is_some_and(|chain| chain.has(mdl))
    }

    pub(super) fn holds(&self, frames: &Range<usize>) -> bool {
        self.frames.overlap(frames)
    }

    pub(super) fn leak(&self) {
        self.is_leaked.store(true, Ordering::Release);
    }

    pub(super) fn is_leaked(&self) -> bool {
        self.is_leaked.load(Ordering::Acquire)
    }

    pub(super) fn keep_chain(&self, chain: Snapshot) {
        *self.chain.lock() = Some(chain);
        self.has_chain.store(true, Ordering::Relaxed);
        watch_chain(true);
    }

    /// The region's request takes what it has put there.
    pub(super) fn take_chain(&self) -> Option<Snapshot> {
        if !self.has_chain.load(Ordering::Relaxed) {
            return None;
        }
        self.has_chain.store(false, Ordering::Relaxed);
        watch_chain(false);
        self.chain.lock().take()
    }

    /// The token that the region has for peers.
    pub(super) fn remote_token(&self) -> u32 {
        self.holder.tokens().1
    }

    pub(super) fn let_go(&self) {
        self.frames.clear();
    }

    /// A fast registration that uses these mappings is about to be posted; gives its number.
    pub(super) fn begin_use(&self, used: Vec<u64>) -> u64 {
        let mut uses = self.uses.lock();
        let number = uses.back().map_or(0, |last| last.0) + 1;
        uses.push_back(Use(number, used));
        number
    }

    /// The earliest fast registration, or that of a number, is over: what it has used.
    pub(super) fn end_use(&self, number: Option<u64>) -> Vec<u64> {
        let mut uses = self.uses.lock();
        let place = match number {
            Some(number) => uses.iter().position(|one| one.0 == number),
            None => Some(0),
        };
        place.and_then(|place| uses.remove(place)).map_or_else(Vec::new, |one| one.1)
    }

    /// Nothing is fast-registered any more.
    pub(super) fn end_uses(&self) -> Vec<u64> {
        self.uses.lock().drain(..).flat_map(|one| one.1).collect()
    }
}

/// The frames of a registration that has not succeeded: the device has none where this is dropped.
pub(super) struct Trying<'s>(&'s Shadow);

impl<'s> Trying<'s> {
    pub(super) fn new(shadow: &'s Shadow, memory: MdlView<'_>) -> Self {
        shadow.frames.set(memory);
        Self(shadow)
    }

    pub(super) fn succeeded(self) {
        mem::forget(self);
    }
}

impl Drop for Trying<'_> {
    fn drop(&mut self) {
        self.0.let_go();
    }
}

/// A registration that is about to end. Where that fails, or is given up, the tokens are the region's again (B7, B9).
pub(super) struct Ending<'r> {
    desk: &'r Desk,
    shadow: &'r Shadow,
    tokens: Pair,
    is_refused: bool,
}

impl<'r> Ending<'r> {
    #[inline]
    pub(super) fn new(desk: &'r Desk, shadow: &'r Shadow) -> Self {
        Self { desk, shadow, tokens: desk.tokens.end(&shadow.holder), is_refused: false }
    }

    /// Of a registration that its consumer is refused. Where it does not end, the device has it until the region's close.
    pub(super) fn of_refused(desk: &'r Desk, shadow: &'r Shadow) -> Self {
        Self { desk, shadow, tokens: desk.tokens.end(&shadow.holder), is_refused: true }
    }

    #[inline]
    pub(super) fn ended(self) {
        self.shadow.let_go();
        mem::forget(self);
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.desk.tokens.resume(&self.shadow.holder, self.tokens);
        if self.is_refused {
            self.shadow.leak();
        }
    }
}
