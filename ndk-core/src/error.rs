//! Errors: a kind, the rule that was broken, and a sentence of cause; one table between kinds and NTSTATUS.

use crate::abi::{self, NTSTATUS};
use alloc::borrow::Cow;
use core::fmt;

/// What a fallible operation of this crate gives.
pub type Result<T, E = Error> = core::result::Result<T, E>;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $status:ident,)*) => {
        /// What went wrong, one kind for each NTSTATUS that the contract uses.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorKind {
            $($(#[$doc])* $kind,)*
            /// A failure status that the contract does not use, as a foreign table gave it.
            Other(NTSTATUS),
        }

        impl ErrorKind {
            /// Every kind that has a status of its own.
            pub const ALL: &'static [ErrorKind] = &[$(ErrorKind::$kind,)*];

            /// The NTSTATUS of this kind.
            pub const fn status(self) -> NTSTATUS {
                match self {
                    $(ErrorKind::$kind => abi::$status,)*
                    ErrorKind::Other(status) => status,
                }
            }

            /// The kind that a failure status stands for; `None` for the success codes, PENDING included.
            pub const fn from_status(status: NTSTATUS) -> Option<Self> {
                match status {
                    $(abi::$status => Some(ErrorKind::$kind),)*
                    // Success and informational codes have the sign bit clear (PENDING is one of them).
                    other if other >= 0 => None,
                    other => Some(ErrorKind::Other(other)),
                }
            }
        }

        /// The NTSTATUS's name as the C headers spell it, or `None` for one that the contract does not use.
        pub const fn status_name(status: NTSTATUS) -> Option<&'static str> {
            match status {
                abi::STATUS_SUCCESS => Some("STATUS_SUCCESS"),
                abi::STATUS_PENDING => Some("STATUS_PENDING"),
                $(abi::$status => Some(stringify!($status)),)*
                _ => None,
            }
        }
    };
}

kinds! {
    /// Access beyond a region's bounds or rights.
    AccessViolation = STATUS_ACCESS_VIOLATION,
    /// An argument that is never right.
    InvalidParameter = STATUS_INVALID_PARAMETER,
    /// Right arguments, wrong time: the object's state does not allow the operation.
    InvalidDeviceState = STATUS_INVALID_DEVICE_STATE,
    /// A limit of memory, pins, regions or tokens; a later retry may succeed.
    InsufficientResources = STATUS_INSUFFICIENT_RESOURCES,
    /// The device or this build cannot do it.
    NotSupported = STATUS_NOT_SUPPORTED,
    /// The request was given up before it took effect.
    Cancelled = STATUS_CANCELLED,
    /// More than the device's fixed limit.
    ImplementationLimit = STATUS_IMPLEMENTATION_LIMIT,
    /// The queue pair is not connected.
    ConnectionInvalid = STATUS_CONNECTION_INVALID,
    /// The peer refused the connection.
    ConnectionRefused = STATUS_CONNECTION_REFUSED,
    /// The provider failed in a way it should not: a panic, a broken promise.
    Internal = STATUS_INTERNAL_ERROR,
    /// Something else still uses the object (a bound memory window).
    DeviceBusy = STATUS_DEVICE_BUSY,
    /// The device is gone.
    DeviceRemoved = STATUS_DEVICE_REMOVED,
    /// The peer did not answer in time.
    Timeout = STATUS_IO_TIMEOUT,
    /// The peer had no receive posted.
    RemoteResources = STATUS_REMOTE_RESOURCES,
    /// The buffer given is too small; the size needed is told.
    BufferTooSmall = STATUS_BUFFER_TOO_SMALL,
    /// A version of NDK that is not served.
    BadVersion = NDIS_STATUS_BAD_VERSION,
}

/// A failure: its kind (and so its NTSTATUS), the contract rule it comes from, and the cause in words.
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    rule: &'static str,
    detail: Cow<'static, str>,
}

impl Error {
    /// An error with its cause. Write the cause so that the reader knows what to change.
    pub fn new(kind: ErrorKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, rule: "", detail: detail.into() }
    }

    /// The same error with the ID of the contract rule that it enforces.
    pub fn rule(mut self, rule: &'static str) -> Self {
        self.rule = rule;
        self
    }

    /// The kind.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The ID of the contract rule, or an empty string.
    pub fn rule_id(&self) -> &'static str {
        self.rule
    }

    /// The cause in words.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The NTSTATUS a C consumer gets. A success code cannot be an error: a provider that claims one failed
    /// internally.
    pub fn status(&self) -> NTSTATUS {
        match self.kind.status() {
            status if status >= 0 => abi::STATUS_INTERNAL_ERROR,
            status => status,
        }
    }

    /// Turns a status from C into a result. PENDING is not a final status and counts as a broken promise.
    pub fn check(status: NTSTATUS, what: &'static str) -> Result<()> {
        match ErrorKind::from_status(status) {
            Some(kind) => Err(Error::new(kind, what)),
            None if status == abi::STATUS_PENDING => {
                Err(Error::new(ErrorKind::Internal, "PENDING given as a final status"))
            }
            None => Ok(()),
        }
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self { kind, rule: "", detail: Cow::Borrowed("") }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match status_name(self.status()) {
            Some(name) => write!(f, "{name} ({:#010x})", self.status())?,
            None => write!(f, "status {:#010x}", self.status())?,
        }
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        if !self.rule.is_empty() {
            write!(f, " [{}]", self.rule)?;
        }
        Ok(())
    }
}

/// As `Display`: what `unwrap` and a program's `main` print is for a person to read, lists of backends included.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn every_kind_maps_to_its_status_and_back() {
        for &kind in ErrorKind::ALL {
            assert!(kind.status() < 0 || kind == ErrorKind::BadVersion, "{kind:?} is no failure");
            assert_eq!(ErrorKind::from_status(kind.status()), Some(kind));
            assert!(status_name(kind.status()).is_some());
        }
        let mut statuses: alloc::vec::Vec<_> = ErrorKind::ALL.iter().map(|k| k.status()).collect();
        statuses.sort_unstable();
        statuses.dedup();
        assert_eq!(statuses.len(), ErrorKind::ALL.len(), "two kinds share a status");
    }

    #[test]
    fn success_codes_are_no_errors_and_no_error_is_a_success_code() {
        assert_eq!(ErrorKind::from_status(abi::STATUS_SUCCESS), None);
        assert_eq!(ErrorKind::from_status(abi::STATUS_PENDING), None);
        assert_eq!(
            Error::from(ErrorKind::Other(abi::STATUS_PENDING)).status(),
            abi::STATUS_INTERNAL_ERROR
        );
        assert_eq!(Error::from(ErrorKind::Other(0)).status(), abi::STATUS_INTERNAL_ERROR);
        assert!(Error::check(abi::STATUS_SUCCESS, "x").is_ok());
        assert_eq!(Error::check(abi::STATUS_PENDING, "x").unwrap_err().kind(), ErrorKind::Internal);
    }

    #[test]
    fn a_foreign_status_is_kept() {
        let unknown = 0xC000_0001_u32 as NTSTATUS;
        assert_eq!(ErrorKind::from_status(unknown), Some(ErrorKind::Other(unknown)));
        assert_eq!(Error::from(ErrorKind::Other(unknown)).status(), unknown);
    }

    #[test]
    fn display_says_status_cause_and_rule() {
        let text =
            Error::new(ErrorKind::InvalidParameter, "the length is 0").rule("C6").to_string();
        assert_eq!(text, "STATUS_INVALID_PARAMETER (0xc000000d): the length is 0 [C6]");
    }

    #[test]
    fn debug_is_for_a_person_too() {
        let error = Error::new(ErrorKind::NotSupported, "the backends are:\n  sim");
        assert_eq!(std::format!("{error:?}"), error.to_string());
    }
}
