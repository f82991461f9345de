//! Who closes an adapter: its opener, of whatever type.

extern crate std;
use crate::adapter::{CloseRefused, Opened};
use crate::capabilities::Capabilities;
use crate::error::{Error, ErrorKind};
use crate::platform::Waits;
use crate::provider::AdapterProvider;
use alloc::boxed::Box;
use alloc::string::ToString;

/// Closes one adapter.
pub(crate) trait Opener: Send {
    /// Blocks until everything of the adapter is closed, and closes it (H5); gives itself back where that is refused.
    fn close(self: Box<Self>) -> Result<(), (Box<dyn Opener>, Error)>;

    /// Closes the adapter if that can be done without waiting.
    fn try_close(self: Box<Self>) -> Result<(), (Box<dyn Opener>, Error)>;

    /// What the device can do, where the opener knows.
    fn capabilities(&self) -> Option<Capabilities>;
}

impl<A: AdapterProvider, P: Waits> Opener for Opened<A, P> {
    fn close(self: Box<Self>) -> Result<(), (Box<dyn Opener>, Error)> {
        Opened::close(*self).map_err(given_back)
    }

    fn try_close(self: Box<Self>) -> Result<(), (Box<dyn Opener>, Error)> {
        Opened::try_close(*self).map_err(given_back)
    }

    fn capabilities(&self) -> Option<Capabilities> {
        Some(Opened::capabilities(self))
    }
}

fn given_back<A: AdapterProvider, P: Waits>(
    CloseRefused { adapter, error }: CloseRefused<A, P>,
) -> (Box<dyn Opener>, Error) {
    (Box::new(adapter), error)
}

/// The opener of an adapter that came from elsewhere: a function that closes it, and may block.
pub(crate) struct OpenerFn<F>(pub(crate) F);

impl<F: FnOnce() + Send + 'static> Opener for OpenerFn<F> {
    fn close(self: Box<Self>) -> Result<(), (Box<dyn Opener>, Error)> {
        (self.0)();
        Ok(())
    }

    fn try_close(self: Box<Self>) -> Result<(), (Box<dyn Opener>, Error)> {
        let cause = "an adapter from a pointer: whether something of it is open is not known";
        Err((self, Error::new(ErrorKind::DeviceBusy, cause)))
    }

    fn capabilities(&self) -> Option<Capabilities> {
        None
    }
}

/// Closes an adapter without making the caller wait: at once if nothing of it is open, else on a thread that waits.
pub(crate) fn close_later(opener: Box<dyn Opener>) {
    let Err((opener, _)) = opener.try_close() else { return };
    let wait = move || {
        if let Err((_leaked, error)) = opener.close() {
            log::error!("an adapter that was dropped stays open: {error}");
        }
    };
    let thread = std::thread::Builder::new().name("ndk-adapter-close".to_string()).spawn(wait);
    if let Err(error) = thread {
        log::error!(
            "an adapter that was dropped stays open: no thread to close it on: {error} [H5]"
        );
    }
}
