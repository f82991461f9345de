//! A region of the simulator.

mod page_list;

use crate::device::Device;
use crate::mapping::Pages;
use crate::pace::Cancel;
use crate::plan::Operation;
use crate::record::{Handle, Keys, Killed, Record};
use crate::token::{Supply, Token};
use ndk_core::mdl::MdlView;
use ndk_core::{
    Access, BaseAddress, Error, ErrorKind, LocalToken, MrProvider, RegionKind, RemoteToken, Result,
    TokenScope,
};
use page_list::PageList;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A memory region: a record of the device, and the list of pages that the record points to.
///
/// What every registration uses comes first, so that it is on few lines of cache.
#[derive(Debug)]
#[repr(C)]
pub struct SimRegion {
    pub(crate) device: Arc<Device>,
    record: Handle,
    domain: u32,
    pub(crate) index: u32,
    /// What the local token is in the table; 0 where there is none.
    number: AtomicU32,
    /// The tokens that the consumer is given; 0 where there is none.
    local: AtomicU32,
    remote: AtomicU32,
    /// How many pages of the registration are pinned.
    pinned: AtomicU32,
    supply: Supply,
    pages: PageList,
    /// There for regions made for fast registration, whose requests may run after the posting call.
    pub(crate) fast: Option<Arc<FastCore>>,
    pub(crate) cancel: Cancel,
}

/// The tokens that replace a region's, with the number of the local one in the table; none by default.
#[derive(Clone, Copy, Default)]
struct Next {
    number: u32,
    keys: Keys,
    remote: bool,
}

impl SimRegion {
    pub(crate) fn new(device: Arc<Device>, domain: u32, kind: RegionKind) -> Result<Self> {
        let index = device.take_region()?;
        let fast = (kind == RegionKind::FastRegister).then(|| {
            let inside = Mutex::new(FastInside::default());
            Arc::new(FastCore { device: device.clone(), domain, index, inside })
        });
        Ok(Self {
            record: device.record_handle(index),
            device,
            domain,
            index,
            number: AtomicU32::new(0),
            local: AtomicU32::new(0),
            remote: AtomicU32::new(0),
            pinned: AtomicU32::new(0),
            supply: Supply::default(),
            pages: PageList::default(),
            cancel: Cancel::default(),
            fast,
        })
    }

    #[inline(always)]
    fn install(&self, memory: MdlView<'_>, access: Access) -> Result<()> {
        if !self.device.takes_all_memory {
            self.check_shape(memory)?;
        }
        let count = memory.page_count();
        self.device.pin(count)?;
        let record = &*self.record;
        // SAFETY: whoever made the view promised that the region is driven as `MrProvider` says, one operation at a
        // time, so the list is this call's alone; the record is dead, so no access reads it.
        let pages = unsafe { self.pages.fill(count, |pages| memory.copy_frames(pages)) };
        let (base, length) = self.device.bounds(memory.base(), memory.len() as u64);
        record.describe(self.domain, base, length, pages);
        let remote = access.is_remote();
        let (number, keys) = self
            .device
            .issue_keys(self.domain, self.index, &self.supply, remote, Keys::default())
            .inspect_err(|_| self.device.unpin(|| count as u32))?;
        self.pinned.store(count as u32, Ordering::Relaxed);
        record.set_keys(keys);
        record.enliven(access);
        self.number.store(number, Ordering::Relaxed);
        self.give_out(keys, remote);
        Ok(())
    }

    /// What the device's shape cannot express is refused before anything happens (K2).
    #[cold]
    #[inline(never)]
    fn check_shape(&self, memory: MdlView<'_>) -> Result<()> {
        let shape = &self.device.shape;
        let mut frames = memory.frames();
        let first = frames.next().unwrap_or(0);
        let host = ((first << 12) + memory.page_offset()) as u64;
        let cause = if shape.base_address == BaseAddress::HostOnly && memory.base() != host {
            "this device reaches memory at its host address only"
        } else if !shape.scattered_pages
            && !frames.enumerate().all(|(index, frame)| frame == first + index + 1)
        {
            "this device cannot join pages that are not adjacent in host memory"
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::NotSupported, cause).rule("K2"))
    }

    /// Stops new accesses, then waits for those at work.
    async fn withdraw(&self) {
        let busy = match &self.fast {
            Some(fast) => fast.stop(self, Next::default()),
            None => self.stop(),
        };
        if busy {
            self.device.quiesce(self.index).await;
        }
        self.unpin();
    }

    /// Gives the region for fast registration new tokens (E4); the old ones are dead before those can be used.
    fn renew(&self, fast: &FastCore, remote: bool) -> Result<()> {
        // First, so that all is as before where there are none (B7).
        let (number, keys) = self.device.issue_keys(
            self.domain,
            self.index,
            &self.supply,
            remote,
            self.given_out(),
        )?;
        if fast.stop(self, Next { number, keys, remote }) {
            self.device.quiesce_now(self.index);
        }
        Ok(())
    }

    /// Stops new accesses; true where some are at work still.
    #[inline(always)] // a call would save and restore as many registers as there are
    fn stop(&self) -> bool {
        self.stop_for(Next::default())
    }

    /// As `stop`, where other tokens replace the region's.
    #[inline(always)]
    fn stop_for(&self, next: Next) -> bool {
        let number = self.number.load(Ordering::Relaxed);
        self.device.prefetch_keys(&self.supply);
        if number == 0 {
            // Nothing is retired, so that there is no fence but this.
            self.record.kill();
        } else {
            self.record.kill_before_fence();
            let keys = || self.given_out();
            self.device.retire_keys(self.domain, number, &self.supply, keys, next.keys);
        }
        if number != 0 || next.number != 0 {
            self.number.store(next.number, Ordering::Relaxed);
            self.give_out(next.keys, next.remote);
        }
        self.device.hazards.is_busy(self.index)
    }

    /// Ends the registration of a conventional region, if no access is at work; else all is as before (B7).
    #[inline(always)]
    fn end_at_once(&self) -> bool {
        let number = self.number.load(Ordering::Relaxed);
        self.device.prefetch_keys(&self.supply);
        let killed = self.record.kill_before_fence();
        if !self.device.bury_keys(number) {
            // Nothing is registered. `deregister` sees to it.
            return false;
        }
        if self.device.hazards.is_busy(self.index) {
            self.take_back(number, killed);
            return false;
        }
        self.forget_keys();
        true
    }

    /// The tokens, which are buried, stay so.
    #[inline(always)]
    fn forget_keys(&self) {
        self.device.count_retired(self.domain, &self.supply, || self.given_out());
        self.number.store(0, Ordering::Relaxed);
        self.give_out(Keys::default(), false);
    }

    /// The tokens, which are buried, lead here again.
    #[cold]
    #[inline(never)]
    fn take_back(&self, number: u32, killed: Killed) {
        if self.device.take_keys_back(number, self.index) {
            self.record.revive(killed);
        } else {
            // This thread has slept through as many removals as keep a token retired. What is left is to wait.
            self.forget_keys();
        }
    }

    /// The registration is over.
    #[inline]
    fn unpin(&self) {
        self.device.unpin(|| self.pinned.swap(0, Ordering::Relaxed));
    }

    /// Makes the tokens readable. Also where both keys are one: who has no remote rights is given no remote token (E1).
    #[inline]
    fn give_out(&self, keys: Keys, remote: bool) {
        self.remote.store(if remote { keys.remote } else { 0 }, Ordering::Relaxed);
        self.local.store(keys.local, Ordering::Release);
    }

    #[inline]
    fn given_out(&self) -> Keys {
        let local = self.local.load(Ordering::Acquire);
        Keys { local, remote: self.remote.load(Ordering::Relaxed) }
    }

    /// The local token; 0 for none.
    pub(crate) fn local_key(&self) -> u32 {
        self.local.load(Ordering::Acquire)
    }

    /// The tokens as the region's record has them.
    pub(crate) fn keys(&self) -> Keys {
        let keys = self.given_out();
        if self.device.shape.shared_key { Keys { remote: keys.local, ..keys } } else { keys }
    }

    /// Posts a fast registration, before it with a new remote token where tokens rotate (E4). The old one leads to the
    /// record until the request is carried out; what is not posted leaves the region the old one.
    pub(crate) fn post_fast_register(&self, post: impl FnOnce() -> Result<()>) -> Result<()> {
        let (Some(fast), Some(old)) = (&self.fast, Token::new(self.given_out().remote)) else {
            return post();
        };
        if !self.device.rotates {
            return post();
        }
        let new = self.device.sibling(self.domain, old)?;
        fast.inside.lock().replaced.push(old);
        self.give_out_remote(new);
        post().inspect_err(|_| {
            fast.inside.lock().replaced.pop();
            self.give_out_remote(old);
            self.device.leave(new, 0);
        })
    }

    fn give_out_remote(&self, token: Token) {
        let shared = self.device.shape.shared_key;
        if shared {
            self.number.store(self.device.number(token), Ordering::Relaxed);
        }
        let local = if shared { token.get() } else { self.local_key() };
        self.give_out(Keys { local, remote: token.get() }, true);
    }
}

impl MrProvider for SimRegion {
    async fn register(&self, memory: MdlView<'_>, access: Access) -> Result<()> {
        self.device.pace(Operation::Register, Some(&self.cancel)).await?;
        self.install(memory, access)
    }

    async fn deregister(&self) -> Result<()> {
        self.device.pace(Operation::Deregister, Some(&self.cancel)).await?;
        let stopped = Stopped { record: &self.record, killed: self.record.kill() };
        self.device.quiet(self.index).await;
        std::mem::forget(stopped);
        // No access is at work, and none is let through any more.
        self.stop();
        self.unpin();
        Ok(())
    }

    #[inline(always)]
    fn register_at_once(&self, memory: MdlView<'_>, access: Access) -> Option<Result<()>> {
        let planned = self.device.plans(Operation::Register);
        (!planned).then(|| self.install(memory, access))
    }

    #[inline(always)]
    fn deregister_at_once(&self) -> Option<Result<()>> {
        if self.device.plans(Operation::Deregister) || !self.end_at_once() {
            return None;
        }
        self.unpin();
        Some(Ok(()))
    }

    async fn initialize_fast_register(&self, _pages: u32, remote: bool) -> Result<()> {
        self.device.pace(Operation::InitializeFastRegister, Some(&self.cancel)).await?;
        match &self.fast {
            Some(fast) => self.renew(fast, remote),
            None => Err(Error::new(
                ErrorKind::InvalidDeviceState,
                "the region is for conventional registration",
            )
            .rule("G1")),
        }
    }

    async fn close(&self) -> Result<()> {
        if self.device.plans(Operation::CloseMr) {
            // A close is late at most: it does not fail (H1).
            let _ = self.device.pace(Operation::CloseMr, None).await;
        }
        self.withdraw().await;
        if let Some(fast) = &self.fast {
            fast.inside.lock().pages.mappings.clear();
        }
        Ok(())
    }

    fn local_token(&self) -> Option<LocalToken> {
        LocalToken::new(self.local_key())
    }

    fn remote_token(&self) -> Option<RemoteToken> {
        RemoteToken::new(self.given_out().remote)
    }
}

impl Drop for SimRegion {
    fn drop(&mut self) {
        // Dropped without a close, as a creation that failed is: nothing may lead to the record any more.
        match &self.fast {
            Some(fast) => fast.stop(self, Next::default()),
            None => self.stop(),
        };
        self.device.settle_supply(self.domain, &self.supply);
        self.device.quiesce_now(self.index);
        self.device.give_region_back(self.index);
    }
}

/// A deregistration that waits for accesses at work. One that is given up leaves the region registered (B7).
struct Stopped<'a> {
    record: &'a Record,
    killed: Killed,
}

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        self.record.revive(self.killed);
    }
}

/// What fast-register and invalidate requests work on, wherever they run.
#[derive(Debug)]
pub(crate) struct FastCore {
    device: Arc<Device>,
    domain: u32,
    index: u32,
    inside: Mutex<FastInside>,
}

#[derive(Debug, Default)]
struct FastInside {
    /// With what they are of: a mapping lives until its last use is over (L4).
    pages: Pages,
    /// Remote tokens that were replaced by the posting of a later round, and lead to the record still (E4).
    replaced: Vec<Token>,
}

/// A fast registration as a device carries it out.
#[derive(Debug)]
pub(crate) struct FastRequest {
    /// The region's tokens of this round. If they lead nowhere by now, it was initialised anew.
    pub(crate) keys: Keys,
    pub(crate) pages: Pages,
    pub(crate) base: u64,
    pub(crate) length: u64,
    pub(crate) access: Access,
}

impl FastCore {
    /// Carries a fast registration out; false where the region is registered, or no longer that of the request.
    pub(crate) fn register(&self, request: FastRequest, queue_pair: u64) -> bool {
        let mut inside = self.inside.lock();
        let record = self.device.record(self.index);
        if record.is_live() || self.device.find(request.keys.local) != Some(self.index) {
            return false;
        }
        // The record is dead, so that no access begins; one that had begun is waited for.
        self.device.quiesce_now(self.index);
        inside.pages = request.pages;
        self.forget_replaced(&mut inside, request.keys);
        record.set_keys(request.keys);
        let (base, length) = self.device.bounds(request.base, request.length);
        record.describe(self.domain, base, length, &inside.pages.frames);
        let scope = self.device.shape.fast_registration.map(|fast| fast.scope);
        if scope == Some(TokenScope::QueuePair) {
            record.set_scope(queue_pair);
        }
        record.enliven_fast(request.access);
        true
    }

    /// The tokens of the rounds before that of `current` lead nowhere from now on.
    fn forget_replaced(&self, inside: &mut FastInside, current: Keys) {
        let later = inside.replaced.iter().position(|token| token.get() == current.remote);
        let before = later.unwrap_or(inside.replaced.len());
        let number = Token::new(current.local).map_or(0, |local| self.device.number(local));
        inside.replaced.drain(..before).for_each(|token| self.device.leave(token, number));
    }

    /// Carries an invalidation out; false where nothing is registered with the token.
    pub(crate) fn invalidate(&self, token: u32) -> bool {
        let mut inside = self.inside.lock();
        let was = self.device.invalidate(self.index, token, self.domain, None);
        inside.pages.mappings.clear();
        was
    }

    /// Stops new accesses to the region; true where some are at work still. A registration that another thread is
    /// carrying out comes before this, or finds its token dead. Where other tokens replace the region's, they are given.
    fn stop(&self, region: &SimRegion, next: Next) -> bool {
        let mut inside = self.inside.lock();
        // From now on no peer can invalidate it.
        region.record.kill();
        let local = region.local_key();
        self.forget_replaced(&mut inside, Keys { local, remote: 0 });
        region.stop_for(next)
    }
}
