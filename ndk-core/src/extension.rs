//! The framework's own extension interface: a backend's declaration, for consumers that have only an `NDK_ADAPTER`.

use crate::abi::{GUID, NDK_VERSION, UINT32};
use crate::capabilities::{BaseAddress, Capabilities, Refusal, TokenReuse, TokenScope};

/// The interface's identifier: `{6E646B6D-7263-6170-8000-000000000001}`.
///
/// `NdkQueryExtension` of an adapter gives a pointer to an [`NDKMR_CAPABILITIES`] in `Dispatch`, valid until the
/// adapter is closed.
pub const NDKMR_CAPABILITIES_GUID: GUID =
    GUID { Data1: 0x6E64_6B6D, Data2: 0x7263, Data3: 0x6170, Data4: [0x80, 0, 0, 0, 0, 0, 0, 1] };

/// The version of the interface; an older one with the same major number is served too.
pub const NDKMR_CAPABILITIES_VERSION: NDK_VERSION = NDK_VERSION { Major: 1, Minor: 0 };

/// [`Capabilities`] in C: fields are 0 or 1 unless they say otherwise. Later minor versions add fields at the end.
#[repr(C)]
#[allow(non_camel_case_types, non_snake_case)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NDKMR_CAPABILITIES {
    /// The size of the structure in bytes.
    pub Size: UINT32,
    /// A region's addresses may start anywhere; else at the memory's host address only.
    pub AnyBaseAddress: UINT32,
    /// A region's pages need not be adjacent in host memory.
    pub ScatteredPages: UINT32,
    /// Access is exact to the byte.
    pub ByteExact: UINT32,
    /// A peer's read is refused without the right.
    pub RemoteReadEnforced: UINT32,
    /// RDMA_READ_SINK gives peers remote write.
    pub ReadSinkGrantsWrite: UINT32,
    /// A refused access is a completion with an error; else the loss of the connection.
    pub RefusalByCompletion: UINT32,
    /// Bytes inside the bounds may change when an access is refused.
    pub PartialWrites: UINT32,
    /// A retired token does not come back within this many deregistrations; 0 says nothing about it.
    pub TokenReuseDistance: UINT32,
    /// Tokens cannot be guessed from earlier ones.
    pub TokensUnpredictable: UINT32,
    /// Local and remote token of a region are one key.
    pub SharedKey: UINT32,
    /// The most pages of a fast registration; 0 for a device that has none.
    pub FastRegistrationPages: UINT32,
    /// The low 8 bits of a fast registration's token change with each round.
    pub FastRegistrationRotates: UINT32,
    /// A memory window emulates fast registration.
    pub FastRegistrationEmulated: UINT32,
    /// The token of a fast registration works on one queue pair only.
    pub TokenOfOneQueuePair: UINT32,
    /// Memory windows can be bound.
    pub Windows: UINT32,
}

impl From<&Capabilities> for NDKMR_CAPABILITIES {
    fn from(from: &Capabilities) -> Self {
        let fast = from.fast_registration;
        Self {
            Size: size_of::<Self>() as UINT32,
            AnyBaseAddress: (from.base_address == BaseAddress::Any).into(),
            ScatteredPages: from.scattered_pages.into(),
            ByteExact: from.byte_exact.into(),
            RemoteReadEnforced: from.remote_read_enforced.into(),
            ReadSinkGrantsWrite: from.read_sink_grants_write.into(),
            RefusalByCompletion: (from.refusal == Refusal::Completion).into(),
            PartialWrites: from.partial_writes.into(),
            TokenReuseDistance: match from.token_reuse {
                TokenReuse::After(distance) => distance,
                TokenReuse::Unknown => 0,
            },
            TokensUnpredictable: from.tokens_unpredictable.into(),
            SharedKey: from.shared_key.into(),
            FastRegistrationPages: fast.map_or(0, |fast| fast.pages),
            FastRegistrationRotates: fast.is_some_and(|fast| fast.rotating).into(),
            FastRegistrationEmulated: fast.is_some_and(|fast| fast.emulated).into(),
            TokenOfOneQueuePair: fast
                .is_some_and(|fast| fast.scope == TokenScope::QueuePair)
                .into(),
            Windows: from.windows.into(),
        }
    }
}

/// Whether a consumer that knows `version` of the interface is served.
pub(crate) fn serves(version: NDK_VERSION) -> bool {
    let ours = NDKMR_CAPABILITIES_VERSION;
    version.Major == ours.Major && version.Minor <= ours.Minor
}
