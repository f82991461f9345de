//! Memory windows of a provider that has tables only: they are in its tables, but for what queue pairs do with them.

use super::port::{Waiting, Window};
use super::route::Pd;
use super::table::entry;
use crate::abi::{NDK_MW, NTSTATUS};
use crate::access::RemoteToken;
use crate::call::{Created, Request, start_close, start_create};
use crate::error::{Error, ErrorKind, Result};
use std::any::Any;
use std::ptr::addr_of;

/// A window.
pub(super) struct TableWindow(pub(super) *mut NDK_MW);

/// What a case waits for to its end, and keeps nothing for.
struct Waited;

/// The creation of a window.
struct Creation;

impl Request for Waited {
    type Output = NTSTATUS;
}

impl Request for Creation {
    type Output = Created;
}

/// Has the provider make a window.
///
/// # Safety
/// The domain is the provider's, and not closed before the window is.
pub(super) unsafe fn create(pd: Pd) -> Waiting<'static, Result<Box<dyn Window>>> {
    // SAFETY: the caller's promise; the completion is made for the entry.
    let running = unsafe {
        let table = *addr_of!((*pd.0).Dispatch).read();
        start_create(Creation, |done, context, out| {
            entry!(table, NdkCreateMw(pd.0, done, context, out.cast()))
        })
    };
    Box::pin(async move {
        let (_, created) = running.await;
        Error::check(created.status, "NdkCreateMw")?;
        if created.object.is_null() {
            return Err(Error::new(ErrorKind::Internal, "NdkCreateMw gave no window"));
        }
        Ok(Box::new(TableWindow(created.object.cast())) as Box<dyn Window>)
    })
}

impl Window for TableWindow {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn remote_token(&self) -> Option<RemoteToken> {
        // SAFETY: the window is open, since its close takes it.
        let token = unsafe {
            let table = *addr_of!((*self.0).Dispatch).read();
            entry!(table, NdkGetRemoteTokenFromMw(self.0))
        };
        RemoteToken::new(token)
    }

    fn name(&self) -> String {
        format!("{:p}", self.0)
    }

    fn close(self: Box<Self>) -> Waiting<'static, ()> {
        // SAFETY: as above; the completion is made for the entry.
        let running = unsafe {
            let table = *addr_of!((*self.0).Dispatch).read();
            start_close(Waited, |done, context| {
                entry!(table, NdkCloseMw(self.0.cast(), done, context))
            })
        };
        Box::pin(async move {
            let (Waited, status) = running.await;
            Error::check(status, "NdkCloseMw").expect("H1: a close does not fail");
        })
    }
}
