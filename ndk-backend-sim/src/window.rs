//! A memory window of the simulator: a record of its own over the pages of a region.

use crate::device::Device;
use crate::record::{Keys, Side};
use crate::token::Token;
use ndk_core::{Access, RemoteToken, Result, WindowProvider};
use parking_lot::Mutex;
use std::sync::Arc;

/// What a window's requests work on, wherever they run.
#[derive(Debug)]
pub(crate) struct WindowCore {
    device: Arc<Device>,
    domain: u32,
    index: u32,
    token: Token,
    /// Bind and invalidate come from any queue pair of the domain, and may come after the close; whether that was.
    closed: Mutex<bool>,
}

/// A memory window.
#[derive(Debug)]
pub struct SimWindow {
    pub(crate) core: Arc<WindowCore>,
}

impl SimWindow {
    pub(crate) fn new(device: Arc<Device>, domain: u32) -> Result<Self> {
        let index = device.take_index()?;
        match device.issue(domain, index) {
            Ok(token) => {
                device.record(index).set_keys(Keys { local: 0, remote: token.get() });
                let closed = Mutex::new(false);
                Ok(Self { core: Arc::new(WindowCore { device, domain, index, token, closed }) })
            }
            Err(error) => {
                device.give_index_back(index);
                Err(error)
            }
        }
    }
}

impl WindowCore {
    /// Binds over a part of the region that `region`, a record's index, stands for; false where that cannot be.
    pub(crate) fn bind(
        &self,
        region: (u32, u32),
        (address, length): (u64, u64),
        access: Access,
    ) -> bool {
        // Held to the end: what a closed window was bound to is no longer kept registered.
        let closed = self.closed.lock();
        let (index, token) = region;
        let record = self.device.record(self.index);
        let Some(reading) = self.device.record(index).read(Side::Local, token) else {
            return false;
        };
        let inside = address.wrapping_sub(reading.base);
        let fits = inside < reading.length && length <= reading.length - inside;
        // A peer can be given no right to write that the region itself does not have.
        let allowed =
            !access.contains(Access::REMOTE_WRITE) || reading.rights.contains(Access::LOCAL_WRITE);
        if *closed || record.is_live() || !fits || !allowed || reading.domain != self.domain {
            return false;
        }
        let skipped = ((reading.base & 0xfff) + inside) >> 12;
        // SAFETY: the page of the window's first byte is on the region's list, which stays as long as the framework
        // keeps the region registered: while a window is bound to it.
        let pages = unsafe { reading.pages.add(skipped as usize) };
        let (base, length) = self.device.bounds(address, length);
        record.describe_at(self.domain, base, length, pages);
        record.enliven_window(access);
        true
    }

    /// Ends the binding; false where there is none.
    pub(crate) fn invalidate(&self) -> bool {
        let _step = self.closed.lock();
        self.device.invalidate(self.index, self.token.get(), self.domain, None)
    }
}

impl WindowProvider for SimWindow {
    fn remote_token(&self) -> Option<RemoteToken> {
        RemoteToken::new(self.core.token.get())
    }

    async fn close(&self) {
        {
            let mut closed = self.core.closed.lock();
            *closed = true;
            self.core.device.record(self.core.index).kill();
        }
        self.core.device.quiesce(self.core.index).await;
    }
}

impl Drop for WindowCore {
    fn drop(&mut self) {
        self.device.record(self.index).kill();
        self.device.retire(self.domain, self.token);
        self.device.quiesce_now(self.index);
        self.device.give_index_back(self.index);
    }
}
