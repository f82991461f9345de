//! What a plan can speak of.

use std::fmt;
use std::str::FromStr;

use super::PlanError;

macro_rules! operations {
    ($($(#[$doc:meta])* $operation:ident = $name:literal,)*) => {
        /// One kind of request to the simulator, counted and planned for by itself.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Operation {
            $($(#[$doc])* $operation,)*
        }

        impl Operation {
            /// Every operation.
            pub const ALL: &'static [Operation] = &[$(Operation::$operation,)*];

            /// Its name in plans.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Operation::$operation => $name,)*
                }
            }
        }
    };
}

operations! {
    /// Making a protection domain.
    CreatePd = "create-pd",
    /// Making a region.
    CreateMr = "create-mr",
    /// Registering memory.
    Register = "register",
    /// Ending a registration.
    Deregister = "deregister",
    /// Preparing a region for fast registration.
    InitializeFastRegister = "initialize-fast-register",
    /// Giving a region up. It cannot fail (H1), only be late.
    CloseMr = "close-mr",
    /// Giving a protection domain up. It cannot fail (H1), only be late.
    ClosePd = "close-pd",
    /// Making a logical address mapping.
    BuildMapping = "build-mapping",
    /// A work request: send, with or without invalidation.
    Send = "send",
    /// A work request: receive. It takes its message's time, and a failure that pends shows when that comes.
    Receive = "receive",
    /// A work request: remote read.
    Read = "read",
    /// A work request: remote write.
    Write = "write",
    /// A work request: fast registration.
    FastRegister = "fast-register",
    /// A work request: invalidation of a fast registration or of a memory window.
    Invalidate = "invalidate",
    /// A work request: bind of a memory window.
    Bind = "bind",
}

impl Operation {
    /// Whether the contract lets it fail.
    pub const fn can_fail(self) -> bool {
        !matches!(self, Self::CloseMr | Self::ClosePd)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Which operations an entry of a plan is for. Written as the operation's name, or `all`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// Every operation, each counted by itself.
    All,
    /// This one.
    One(Operation),
}

impl Target {
    /// Whether the entry is for `operation`.
    pub fn covers(self, operation: Operation) -> bool {
        self == Self::All || self == Self::One(operation)
    }
}

impl FromStr for Target {
    type Err = PlanError;

    fn from_str(name: &str) -> Result<Self, PlanError> {
        if name == "all" {
            return Ok(Self::All);
        }
        let found = Operation::ALL.iter().find(|operation| operation.name() == name);
        found.map(|operation| Self::One(*operation)).ok_or_else(|| {
            let known: Vec<_> = Operation::ALL.iter().map(|operation| operation.name()).collect();
            let known = known.join(", ");
            PlanError(format!("no operation is named {name:?}; there are: all, {known}"))
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.pad("all"),
            Self::One(operation) => operation.fmt(f),
        }
    }
}
