//! What a region made for fast registration consists of: an indirect key where the device has them, else a window.

use crate::binder::Binder;
use crate::domain::Domain;
use crate::mlx5::indirect::Indirect;
use crate::sys::mlx5::mlx5dv_mkey;
use ndk_core::Result;
use std::sync::Arc;

/// What fast registration of a region is made of.
pub(crate) enum Fast {
    /// An indirect key, changed by requests of the send queue alone.
    Indirect(Arc<Indirect>),
    /// A window, under which each round has a registration of its own.
    Window(Arc<Binder>),
}

impl Fast {
    /// What the domain's device has. It has no key before `renew`.
    pub(crate) fn of(domain: &Arc<Domain>) -> Self {
        match domain.device().umr {
            Some(limits) => Self::Indirect(Indirect::without_key(domain, limits)),
            None => Self::Window(Binder::without_window(domain)),
        }
    }

    /// The key, for peers and, unless it is a window's, for this side; 0 before there is one.
    pub(crate) fn key(&self) -> u32 {
        match self {
            Self::Indirect(indirect) => indirect.value(),
            Self::Window(binder) => binder.key(),
        }
    }

    /// The key as mlx5dv has it; null where it is a window's, and before there is one.
    pub(crate) fn raw_key(&self) -> *mut mlx5dv_mkey {
        match self {
            Self::Indirect(indirect) => indirect.raw_key(),
            Self::Window(_) => std::ptr::null_mut(),
        }
    }

    /// Puts a new key in the place of the one there is, whose registration, if any, ends. Blocks.
    ///
    /// # Errors
    /// INSUFFICIENT_RESOURCES; all is as before then.
    pub(crate) fn renew(&self) -> Result<()> {
        match self {
            Self::Indirect(indirect) => indirect.renew(),
            Self::Window(binder) => binder.renew(),
        }
    }

    /// Gives the key up; its registration ends. Blocks.
    ///
    /// # Errors
    /// The device has it still.
    pub(crate) fn close(&self) -> Result<()> {
        match self {
            Self::Indirect(indirect) => indirect.close(),
            Self::Window(binder) => binder.close(),
        }
    }
}
