//! A region of the layer's.

use super::notes::{Note, Registered};
use super::{Kill, is_at_once, layer};
use futures_lite::future::block_on;
use ndk_core::abi::{GUID, NDK_EXTENSION_INTERFACE, NDK_VERSION};
use ndk_core::mdl::MdlView;
use ndk_core::{Access, LocalToken, MrProvider, RemoteToken, Result};
use std::sync::Arc;

/// A region under the layer.
pub(crate) struct BrokenMr<M> {
    pub(super) inner: Arc<M>,
    pub(super) twin: Option<M>,
    pub(super) note: Note,
}

impl<M: MrProvider> BrokenMr<M> {
    /// The backend's tokens: local, remote.
    fn tokens(&self) -> (u32, u32) {
        let local = self.inner.local_token().map_or(0, LocalToken::get);
        (local, self.inner.remote_token().map_or(0, RemoteToken::get))
    }

    fn began(&self, memory: &MdlView<'_>, access: Access) {
        let (local, remote) = self.tokens();
        self.note.begin(Registered { local, remote, ..Registered::over(memory, access) });
        layer().registered(&self.note, memory);
    }

    fn ended(&self) {
        if let Some(was) = self.note.end() {
            layer().deregistered(&self.note, &was);
        }
    }

    async fn end_twin(&self) -> Result<()> {
        match &self.twin {
            Some(twin) if twin.local_token().is_some() => twin.deregister().await,
            _ => Ok(()),
        }
    }

    fn kill(&self) -> Kill {
        let inner = self.inner.clone();
        Box::new(move || {
            block_on(inner.deregister()).expect("the simulator deregisters what is registered");
        })
    }
}

impl<M: MrProvider> MrProvider for BrokenMr<M> {
    async fn register(&self, memory: MdlView<'_>, mut access: Access) -> Result<()> {
        layer().register(&self.note, &memory, &mut access)?;
        let registered = self.inner.register(memory, access).await;
        match registered {
            Ok(()) => self.began(&memory, access),
            Err(_) => layer().refused(&self.note),
        }
        registered
    }

    async fn deregister(&self) -> Result<()> {
        if layer().deregister(&self.note, self.kill())? {
            self.inner.deregister().await?;
            self.end_twin().await?;
        }
        self.ended();
        Ok(())
    }

    fn register_at_once(&self, memory: MdlView<'_>, mut access: Access) -> Option<Result<()>> {
        if !is_at_once() {
            return None;
        }
        if let Err(refusal) = layer().register(&self.note, &memory, &mut access) {
            return Some(Err(refusal));
        }
        if let Some(twin) = &self.twin
            && layer().registers_again(&memory)
        {
            return twin.register_at_once(memory, access).filter(Result::is_err);
        }
        let registered = self.inner.register_at_once(memory, access)?;
        match &registered {
            Ok(()) => self.began(&memory, access),
            Err(_) => layer().refused(&self.note),
        }
        Some(registered)
    }

    fn deregister_at_once(&self) -> Option<Result<()>> {
        if !is_at_once() {
            return None;
        }
        let ended = match layer().deregister(&self.note, self.kill()) {
            Ok(true) => {
                let ended = self.inner.deregister_at_once()?;
                block_on(self.end_twin()).and(ended)
            }
            changed => changed.map(drop),
        };
        if ended.is_ok() {
            self.ended();
        }
        Some(ended)
    }

    async fn initialize_fast_register(&self, pages: u32, remote: bool) -> Result<()> {
        layer().initialise(&self.note, remote)?;
        self.inner.initialize_fast_register(pages, remote).await?;
        self.note.end();
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        if let Some(twin) = &self.twin {
            twin.close().await?;
        }
        if layer().close(&self.note) {
            self.inner.close().await?;
        } else {
            // Closed for the framework, and there still for the device.
            std::mem::forget(self.inner.clone());
        }
        self.ended();
        Ok(())
    }

    fn local_token(&self) -> Option<LocalToken> {
        layer().local_token(&self.note, self.inner.local_token())
    }

    fn remote_token(&self) -> Option<RemoteToken> {
        layer().remote_token(&self.note, self.inner.remote_token())
    }

    fn query_extension(&self, id: &GUID, version: NDK_VERSION) -> Result<NDK_EXTENSION_INTERFACE> {
        self.inner.query_extension(id, version)
    }
}
