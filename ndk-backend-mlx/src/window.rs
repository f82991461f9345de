//! A memory window of the framework.

use crate::binder::Binder;
use crate::domain::Domain;
use ndk_core::{RemoteToken, Result, WindowProvider};
use std::sync::Arc;

/// A memory window of type 2.
pub struct MlxWindow {
    pub(crate) binder: Arc<Binder>,
    domain: Arc<Domain>,
}

impl MlxWindow {
    /// Blocks.
    pub(crate) fn new(domain: Arc<Domain>) -> Result<Self> {
        let binder = Binder::without_window(&domain);
        binder.renew()?;
        Ok(Self { binder, domain })
    }
}

impl WindowProvider for MlxWindow {
    fn remote_token(&self) -> Option<RemoteToken> {
        RemoteToken::new(self.binder.key())
    }

    async fn close(&self) {
        let binder = self.binder.clone();
        let closed = self.domain.device().pool.run(move || binder.close()).await;
        if let Err(error) = closed {
            let name = self.domain.device().name();
            log::error!("{name}: the close of a window: {error}; it stays leaked");
        }
    }
}
