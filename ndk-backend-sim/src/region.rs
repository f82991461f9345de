//! A region of the simulator.

use crate::device::Device;
use crate::token::Token;
use ndk_core::mdl::MdlView;
use ndk_core::{Access, LocalToken, MrProvider, RegionKind, RemoteToken, Result};
use std::cell::UnsafeCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Pages whose frame numbers have room in the region itself; more take an allocation, which the region keeps.
const INLINE_PAGES: usize = 16;

/// A memory region: a record of the device, and the list of pages that the record points to.
#[derive(Debug)]
pub struct SimRegion {
    pub(crate) device: Arc<Device>,
    pub(crate) domain: u32,
    pub(crate) index: u32,
    pub(crate) kind: RegionKind,
    /// 0 where there is none.
    token: AtomicU32,
    remote: AtomicBool,
    pub(crate) pages: PageList,
}

impl SimRegion {
    pub(crate) fn new(device: Arc<Device>, domain: u32, kind: RegionKind) -> Result<Self> {
        let index = device.take_index()?;
        Ok(Self {
            device,
            domain,
            index,
            kind,
            token: AtomicU32::new(0),
            remote: AtomicBool::new(false),
            pages: PageList::default(),
        })
    }

    fn install(&self, memory: MdlView<'_>, access: Access) -> Result<()> {
        let record = self.device.record(self.index);
        // SAFETY: whoever made the view promised that the region is driven as `MrProvider` says, one operation at a
        // time, so the list is this call's alone; the record is dead, so no access reads it.
        let pages = unsafe { self.pages.fill(memory.page_count(), memory.frames()) };
        record.describe(self.domain, memory.base(), memory.len() as u64, pages);
        let token = self.device.issue(self.domain, self.index)?;
        record.enliven(access);
        self.remote.store(access.is_remote(), Ordering::Relaxed);
        self.token.store(token.get(), Ordering::Release);
        Ok(())
    }

    /// Stops new accesses, then waits for those at work.
    async fn withdraw(&self) {
        self.device.record(self.index).kill();
        if let Some(token) = Token::new(self.token.swap(0, Ordering::Relaxed)) {
            self.device.retire(self.domain, token);
        }
        self.device.quiesce(self.index).await;
    }

    /// The token, whatever it may do; 0 for none.
    pub(crate) fn key(&self) -> u32 {
        self.token.load(Ordering::Acquire)
    }
}

impl MrProvider for SimRegion {
    async fn register(&self, memory: MdlView<'_>, access: Access) -> Result<()> {
        self.install(memory, access)
    }

    async fn deregister(&self) -> Result<()> {
        self.withdraw().await;
        Ok(())
    }

    async fn initialize_fast_register(&self, _pages: u32, remote: bool) -> Result<()> {
        // A new token with each initialisation (E4); the old one must be dead first.
        self.withdraw().await;
        let token = self.device.issue(self.domain, self.index)?;
        self.remote.store(remote, Ordering::Relaxed);
        self.token.store(token.get(), Ordering::Release);
        Ok(())
    }

    async fn close(&self) {
        self.withdraw().await;
    }

    fn local_token(&self) -> Option<LocalToken> {
        LocalToken::new(self.key())
    }

    fn remote_token(&self) -> Option<RemoteToken> {
        if !self.remote.load(Ordering::Relaxed) {
            return None;
        }
        RemoteToken::new(self.key())
    }
}

impl Drop for SimRegion {
    fn drop(&mut self) {
        self.device.give_index_back(self.index);
    }
}

/// The frame numbers of a registration's pages.
#[derive(Debug, Default)]
pub(crate) struct PageList {
    inline: UnsafeCell<[usize; INLINE_PAGES]>,
    more: UnsafeCell<Vec<usize>>,
}

// SAFETY: the cells are written by `fill` only, whose caller promises that nobody else uses the list meanwhile.
unsafe impl Sync for PageList {}

impl PageList {
    /// Replaces the list.
    ///
    /// # Safety
    /// Nobody else fills or reads the list during the call, and nobody reads it after the next one.
    #[inline]
    pub(crate) unsafe fn fill(&self, count: usize, frames: impl Iterator<Item = usize>) -> &[usize] {
        if count <= INLINE_PAGES {
            // SAFETY: the caller's promise.
            let inline = unsafe { &mut *self.inline.get() };
            inline.iter_mut().zip(frames).for_each(|(slot, frame)| *slot = frame);
            return &inline[..count];
        }
        // SAFETY: the caller's promise.
        let more = unsafe { &mut *self.more.get() };
        more.clear();
        more.extend(frames);
        more
    }
}
