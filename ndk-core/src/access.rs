//! Rights and tokens: what a region lets whom do, and the keys by which it is named.

use crate::abi::{
    NDK_MR_FLAG_ALLOW_LOCAL_WRITE, NDK_MR_FLAG_ALLOW_REMOTE_READ, NDK_MR_FLAG_ALLOW_REMOTE_WRITE,
    NDK_MR_FLAG_RDMA_READ_SINK, ULONG,
};
use crate::error::{Error, ErrorKind, Result};
use core::fmt;
use core::num::NonZeroU32;
use core::ops::BitOr;

/// The rights of a region: a legal union of the `NDK_MR_FLAG_*` values (rule C1).
///
/// Local read is always there. Remote write includes local write, as its flag does.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Access(ULONG);

impl Access {
    /// Local read only.
    pub const LOCAL_READ: Self = Self(0);
    /// Local write.
    pub const LOCAL_WRITE: Self = Self(NDK_MR_FLAG_ALLOW_LOCAL_WRITE);
    /// A peer may read.
    pub const REMOTE_READ: Self = Self(NDK_MR_FLAG_ALLOW_REMOTE_READ);
    /// A peer may write; includes local write.
    pub const REMOTE_WRITE: Self = Self(NDK_MR_FLAG_ALLOW_REMOTE_WRITE);
    /// The region may be the sink of an RDMA read.
    pub const READ_SINK: Self = Self(NDK_MR_FLAG_RDMA_READ_SINK);

    const ALL: ULONG =
        NDK_MR_FLAG_ALLOW_REMOTE_WRITE | NDK_MR_FLAG_ALLOW_REMOTE_READ | NDK_MR_FLAG_RDMA_READ_SINK;
    const REMOTE_WRITE_BIT: ULONG = NDK_MR_FLAG_ALLOW_REMOTE_WRITE & !NDK_MR_FLAG_ALLOW_LOCAL_WRITE;

    /// Checks a C flags argument.
    ///
    /// # Errors
    /// INVALID_PARAMETER for an unknown bit, or the remote-write bit without local write (C1).
    #[inline]
    pub fn from_flags(flags: ULONG) -> Result<Self> {
        let lone_remote_write = flags & NDK_MR_FLAG_ALLOW_REMOTE_WRITE == Self::REMOTE_WRITE_BIT;
        if flags & !Self::ALL != 0 || lone_remote_write {
            return Err(illegal_flags());
        }
        Ok(Self(flags))
    }

    /// The C flags.
    pub const fn flags(self) -> ULONG {
        self.0
    }

    /// Whether every right of `needed` is there: all, not any (F4).
    pub const fn contains(self, needed: Access) -> bool {
        self.0 & needed.0 == needed.0
    }

    /// Whether a peer has any right.
    pub const fn is_remote(self) -> bool {
        self.0 & (Self::REMOTE_WRITE_BIT | NDK_MR_FLAG_ALLOW_REMOTE_READ) != 0
    }
}

impl BitOr for Access {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LOCAL_READ")?;
        for (right, name) in [
            (Self::REMOTE_READ, "REMOTE_READ"),
            (Self::REMOTE_WRITE, "REMOTE_WRITE"),
            (Self::READ_SINK, "READ_SINK"),
        ] {
            if self.contains(right) {
                write!(f, "|{name}")?;
            }
        }
        if self.contains(Self::LOCAL_WRITE) && !self.contains(Self::REMOTE_WRITE) {
            f.write_str("|LOCAL_WRITE")?;
        }
        Ok(())
    }
}

#[cold]
#[inline(never)]
fn illegal_flags() -> Error {
    let cause = "the flags are not a union of 0x1, 0x2, 0x5 and 0x8";
    Error::new(ErrorKind::InvalidParameter, cause).rule("C1")
}

macro_rules! token {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(transparent)]
        pub struct $name(NonZeroU32);

        impl $name {
            /// The token with this value; `None` for 0, which is never a live token (E1).
            pub const fn new(value: u32) -> Option<Self> {
                match NonZeroU32::new(value) {
                    Some(value) => Some(Self(value)),
                    None => None,
                }
            }

            /// The value, as C and the wire carry it.
            pub const fn get(self) -> u32 {
                self.0.get()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:#010x})"), self.get())
            }
        }
    };
}

token! {
    /// The key by which its owner names a region in local work requests.
    LocalToken
}
token! {
    /// The key by which a peer names a region. It goes over the wire, so it is made from a plain number.
    RemoteToken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c1_legal_flags_are_the_unions_of_1_2_5_and_8() {
        let mut unions = alloc::vec![0u32];
        for flag in [0x1, 0x2, 0x5, 0x8] {
            let more: alloc::vec::Vec<u32> = unions.iter().map(|u| u | flag).collect();
            unions.extend(more);
        }
        for flags in (0..=0xFF).chain((4..32).map(|bit| 1u32 << bit)) {
            assert_eq!(Access::from_flags(flags).is_ok(), unions.contains(&flags), "{flags:#x}");
        }
    }

    #[test]
    fn rights_are_all_of_not_any_of() {
        let write_only = Access::REMOTE_WRITE;
        assert!(write_only.contains(Access::LOCAL_WRITE));
        assert!(!write_only.contains(Access::REMOTE_READ | Access::REMOTE_WRITE));
        assert!(!Access::READ_SINK.is_remote() && !Access::LOCAL_WRITE.is_remote());
        assert!(Access::REMOTE_READ.is_remote() && Access::REMOTE_WRITE.is_remote());
    }

    #[test]
    fn rights_are_shown_by_name_and_write_once() {
        let all = Access::REMOTE_READ | Access::REMOTE_WRITE | Access::READ_SINK;
        for (access, shown) in [
            (Access::LOCAL_READ, "LOCAL_READ"),
            (Access::LOCAL_WRITE, "LOCAL_READ|LOCAL_WRITE"),
            (Access::REMOTE_WRITE, "LOCAL_READ|REMOTE_WRITE"),
            (all, "LOCAL_READ|REMOTE_READ|REMOTE_WRITE|READ_SINK"),
        ] {
            assert_eq!(alloc::format!("{access:?}"), shown);
        }
    }
}
