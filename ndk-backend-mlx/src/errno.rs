//! What the kernel's error numbers mean here, and what to do about them.

use ndk_core::{Error, ErrorKind};
use std::io;

/// A kernel call that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) i32);

impl Errno {
    /// That of the last call of this thread.
    pub(crate) fn last() -> Self {
        Self(io::Error::last_os_error().raw_os_error().unwrap_or(0))
    }

    /// What a function gives that returns 0, an error number, or -1 and sets `errno`.
    pub(crate) fn check(returned: i32) -> Result<(), Self> {
        match returned {
            0 => Ok(()),
            -1 => Err(Self::last()),
            number => Err(Self(number.abs())),
        }
    }

    /// Whether it says that the device is gone: whatever was asked of it counts as done.
    pub(crate) fn is_loss(self) -> bool {
        matches!(self.0, libc::EIO | libc::ENODEV | libc::ENXIO)
    }

    /// The kind, and what a person can do about it.
    fn meaning(self) -> (ErrorKind, &'static str) {
        match self.0 {
            libc::ENOMEM => (
                ErrorKind::InsufficientResources,
                "the memory that may be locked, the device's own memory or its limit is used up; see `ulimit -l`",
            ),
            libc::EAGAIN | libc::ENOSPC | libc::EDQUOT => (
                ErrorKind::InsufficientResources,
                "a limit of the device or of this control group is reached; see rdma.max of the cgroup",
            ),
            libc::EMFILE | libc::ENFILE => {
                (ErrorKind::InsufficientResources, "too many files are open; see `ulimit -n`")
            }
            libc::EPERM | libc::EACCES => (
                ErrorKind::NotSupported,
                "this user may not use the device; see the rights of /dev/infiniband/uverbs*",
            ),
            libc::EFAULT => (
                ErrorKind::InvalidParameter,
                "the memory is not there, or is read-only and its flags allow writing",
            ),
            libc::EINVAL => (ErrorKind::InvalidParameter, "the device refuses the arguments"),
            libc::EBUSY => (ErrorKind::DeviceBusy, "something of the device still uses it"),
            libc::EOPNOTSUPP | libc::ENOSYS | libc::ENOTTY | libc::EPROTONOSUPPORT => {
                (ErrorKind::NotSupported, "the device or its driver cannot do it")
            }
            libc::ETIMEDOUT => (ErrorKind::Timeout, "there was no answer in time"),
            libc::ECONNREFUSED => (ErrorKind::ConnectionRefused, "nobody is listening there"),
            libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EADDRNOTAVAIL => {
                (ErrorKind::ConnectionRefused, "there is no way to that address")
            }
            _ if self.is_loss() => (ErrorKind::DeviceRemoved, "the device is gone"),
            _ => (ErrorKind::Internal, "that is not expected here"),
        }
    }

    /// The error of a call: what was tried, what the kernel said, what to do.
    pub(crate) fn error(self, what: &str) -> Error {
        let (kind, hint) = self.meaning();
        let said = io::Error::from_raw_os_error(self.0);
        Error::new(kind, format!("{what}: {said}: {hint}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_has_its_kind() {
        for (number, kind) in [
            (libc::ENOMEM, ErrorKind::InsufficientResources),
            (libc::EAGAIN, ErrorKind::InsufficientResources),
            (libc::ENOSPC, ErrorKind::InsufficientResources),
            (libc::EMFILE, ErrorKind::InsufficientResources),
            (libc::EPERM, ErrorKind::NotSupported),
            (libc::EACCES, ErrorKind::NotSupported),
            (libc::EFAULT, ErrorKind::InvalidParameter),
            (libc::EINVAL, ErrorKind::InvalidParameter),
            (libc::EBUSY, ErrorKind::DeviceBusy),
            (libc::EOPNOTSUPP, ErrorKind::NotSupported),
            (libc::ETIMEDOUT, ErrorKind::Timeout),
            (libc::ECONNREFUSED, ErrorKind::ConnectionRefused),
            (libc::EADDRNOTAVAIL, ErrorKind::ConnectionRefused),
            (libc::EIO, ErrorKind::DeviceRemoved),
            (libc::ENODEV, ErrorKind::DeviceRemoved),
            (libc::ESPIPE, ErrorKind::Internal),
        ] {
            assert_eq!(Errno(number).error("trying").kind(), kind, "{number}");
        }
    }

    #[test]
    fn the_message_says_what_was_tried_and_what_to_do() {
        let error = Errno(libc::ENOMEM).error("registering 8192 bytes");
        assert_eq!(error.kind(), ErrorKind::InsufficientResources);
        assert!(error.detail().starts_with("registering 8192 bytes: "), "{error}");
        assert!(error.detail().contains("ulimit -l"), "{error}");
    }

    #[test]
    fn results_are_read_in_each_of_their_forms() {
        assert_eq!(Errno::check(0), Ok(()));
        assert_eq!(Errno::check(libc::EBUSY), Err(Errno(libc::EBUSY)));
        assert_eq!(Errno::check(-libc::EBUSY), Err(Errno(libc::EBUSY)));
    }
}
