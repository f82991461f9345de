//! How a request ended, and what rules B1 and B2 say about that wherever it is looked at.

use super::case::Way;
use super::ticket::Call;
use crate::abi::{NTSTATUS, STATUS_PENDING, STATUS_SUCCESS};
use crate::error::status_name;

/// A status with its name, for messages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Status(pub(super) NTSTATUS);

impl std::fmt::Debug for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match status_name(self.0) {
            Some(name) => f.write_str(name),
            None => write!(f, "{:#010x}", self.0),
        }
    }
}

/// How a request ended: what the entry returned, and every callback.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) returned: NTSTATUS,
    pub(super) calls: Vec<Call>,
    way: Way,
    safe: bool,
}

impl Outcome {
    /// Checks B1 and B2 on the way in. A callback under another context would be missing here. `safe`: through the safe
    /// consumer, to whom an early callback looks like an inline end.
    #[track_caller]
    pub(super) fn new(returned: NTSTATUS, calls: Vec<Call>, way: Way, safe: bool) -> Self {
        let statuses: Vec<_> = calls.iter().map(|call| Status(call.status)).collect();
        match returned {
            STATUS_PENDING => {
                assert_eq!(calls.len(), 1, "B2: PENDING wants one callback; came: {statuses:?}");
                assert_ne!(calls[0].status, STATUS_PENDING, "B2: PENDING is no final status");
            }
            inline => assert!(
                calls.is_empty(),
                "B1: {:?} was returned inline, and yet the callback came: {statuses:?}",
                Status(inline)
            ),
        }
        Self { returned, calls, way, safe }
    }

    /// The final status.
    pub(super) fn status(&self) -> NTSTATUS {
        self.calls.first().map_or(self.returned, |call| call.status)
    }

    /// Whether it ended through the callback.
    pub(super) fn is_called(&self) -> bool {
        !self.calls.is_empty()
    }

    /// The request got as far as the backend and succeeded, in the way of the case.
    #[track_caller]
    pub(super) fn success(&self) -> &Self {
        self.ended(STATUS_SUCCESS)
    }

    /// The request got as far as the backend and ended with `status`, in the way of the case.
    #[track_caller]
    pub(super) fn ended(&self, status: NTSTATUS) -> &Self {
        self.has(status);
        let before_return = self.calls.first().map(|call| call.before_return);
        match self.way {
            Way::Inline => {}
            Way::Pending => assert_eq!(before_return, Some(false), "B2: no callback after PENDING"),
            Way::Early if self.safe => {
                assert_eq!(before_return, None, "B3: not ready at the first poll");
            }
            Way::Early => assert_eq!(before_return, Some(true), "B3: no callback in the entry"),
        }
        self
    }

    /// The entry refused the request before anything started: inline, whatever the way of the case.
    #[track_caller]
    pub(super) fn refused(&self, status: NTSTATUS) -> &Self {
        assert_eq!(Status(self.returned), Status(status), "returned by the entry");
        self
    }

    /// The request ended with `status`, in whatever way.
    #[track_caller]
    pub(super) fn has(&self, status: NTSTATUS) -> &Self {
        assert_eq!(Status(self.status()), Status(status), "the request's final status");
        self
    }
}
