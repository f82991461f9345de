//! Whose limits and shape a simulated device has.

use ndk_core::abi::{
    NDK_ADAPTER_FLAG_IN_ORDER_DMA_SUPPORTED, NDK_ADAPTER_FLAG_LOOPBACK_CONNECTIONS_SUPPORTED,
    NDK_ADAPTER_FLAG_RDMA_READ_SINK_NOT_REQUIRED, NDK_ADAPTER_INFO, NdkRoCE, NdkRoCEv2, NdkiWarp,
};
use ndk_core::{
    BaseAddress, Capabilities, Error, ErrorKind, FastRegistration, Refusal, Result, TokenReuse,
    TokenScope,
};

use crate::token::RETIRE_DISTANCE;

/// What a device says of itself, by the name of one that does: the attributes of `NDK_ADAPTER_INFO`, the declaration of
/// section K, and how many regions it has. The functions that make one say where its figures come from.
///
/// Some attributes are nobody's: no simulated device carries inline data, and `LargeRequestThreshold` is this crate's,
/// since no driver reports one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    name: &'static str,
    info: NDK_ADAPTER_INFO,
    capabilities: Capabilities,
    regions: u32,
}

/// All profiles; each knows its name.
const KNOWN: [fn() -> Profile; 5] =
    [Profile::connectx3, Profile::rxe, Profile::siw, Profile::mlx5, Profile::iwarp];

const IN_ORDER: u32 = NDK_ADAPTER_FLAG_IN_ORDER_DMA_SUPPORTED;
const NO_READ_SINK: u32 = NDK_ADAPTER_FLAG_RDMA_READ_SINK_NOT_REQUIRED;
const LOOPBACK: u32 = NDK_ADAPTER_FLAG_LOOPBACK_CONNECTIONS_SUPPORTED;

/// What InfiniBand's connection manager leaves to the caller of a request that carries IP addresses: 92 - 36 bytes.
const CM_CALLER_DATA: u32 = 56;
/// What it leaves in the answer: that of a refusal, the smaller of the two answers.
const CM_CALLEE_DATA: u32 = 148;
/// What iWARP's connection start leaves either side.
const MPA_DATA: u32 = 512;
/// From here on this simulator's reads and writes are meant to serve better than sends.
const LARGE_REQUEST: u32 = 4096;

impl Profile {
    /// The names that [`by_name`](Self::by_name) knows.
    pub fn names() -> impl Iterator<Item = &'static str> {
        KNOWN.iter().map(|make| make().name)
    }

    /// The profile of that name.
    ///
    /// # Errors
    /// INVALID_PARAMETER for an unknown name, with the known ones.
    pub fn by_name(name: &str) -> Result<Self> {
        let found = KNOWN.iter().map(|make| make()).find(|profile| profile.name == name);
        found.ok_or_else(|| {
            let known = Self::names().collect::<Vec<_>>().join(", ");
            let detail = format!("no profile is named {name:?}; there are: {known}");
            Error::new(ErrorKind::InvalidParameter, detail)
        })
    }

    /// The name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The device's attributes; `Version` is the framework's to fill in.
    pub fn info(&self) -> NDK_ADAPTER_INFO {
        self.info
    }

    /// The declaration of section K.
    pub fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// The most regions that the device has at a time, unless the plan sets another limit (C14).
    pub fn regions(&self) -> u32 {
        self.regions
    }

    /// The same device with other limits: pages of a fast registration, bytes of a registration or a window, and regions
    /// at a time. A device without fast registration or windows has none with them either.
    pub fn limited(self, fast_pages: u32, bytes: usize, regions: u32) -> Self {
        let fast_registration = self.capabilities.fast_registration;
        let fast_registration =
            fast_registration.map(|fast| FastRegistration { pages: fast_pages, ..fast });
        let info = NDK_ADAPTER_INFO {
            FRMRPageCount: fast_registration.map_or(0, |fast| fast.pages),
            MaxRegistrationSize: bytes,
            MaxWindowSize: bytes.min(self.info.MaxWindowSize),
            ..self.info
        };
        let capabilities = Capabilities { fast_registration, ..self.capabilities };
        Self { info, capabilities, regions, ..self }
    }

    /// The same device with bounds of whole pages: what lies on a region's pages beside it can be reached too, and that is
    /// declared (C9, K1).
    pub fn by_pages(self) -> Self {
        let capabilities = Capabilities { byte_exact: false, ..self.capabilities };
        Self { capabilities, ..self }
    }

    /// `default`: the attributes that a ConnectX-3 was seen to report to an NDK consumer, and the best of every
    /// capability, since the simulator makes its own keys: hence a key for each side too (E3), which the card has not. The depth of a shared receive queue and the sizes of
    /// private data were not seen: the former is that of the other queues, the latter are InfiniBand's.
    pub fn connectx3() -> Self {
        let info = NDK_ADAPTER_INFO {
            VendorId: 0x02C9,
            DeviceId: 0x1007,
            MaxRegistrationSize: saturated(u64::MAX - (1 << 20) + 1),
            MaxWindowSize: saturated(1 << 40),
            FRMRPageCount: 511,
            MaxInitiatorRequestSge: 32,
            MaxReceiveRequestSge: 32,
            MaxReadRequestSge: 32,
            MaxTransferLength: 1 << 30,
            MaxInlineDataSize: 0,
            MaxInboundReadLimit: 16,
            MaxOutboundReadLimit: 128,
            MaxReceiveQueueDepth: 16_351,
            MaxInitiatorQueueDepth: 16_351,
            MaxSrqDepth: 16_351,
            MaxCqDepth: 4_194_303,
            LargeRequestThreshold: LARGE_REQUEST,
            MaxCallerData: CM_CALLER_DATA,
            MaxCalleeData: CM_CALLEE_DATA,
            AdapterFlags: IN_ORDER | NO_READ_SINK | LOOPBACK,
            RdmaTechnology: NdkRoCE,
            ..NDK_ADAPTER_INFO::default()
        };
        let capabilities = Capabilities {
            base_address: BaseAddress::Any,
            scattered_pages: true,
            byte_exact: true,
            remote_read_enforced: true,
            read_sink_grants_write: false,
            refusal: Refusal::Completion,
            partial_writes: false,
            token_reuse: TokenReuse::After(RETIRE_DISTANCE as u32),
            tokens_unpredictable: true,
            shared_key: false,
            fast_registration: Some(FastRegistration {
                pages: 511,
                rotating: false,
                emulated: false,
                scope: TokenScope::ProtectionDomain,
            }),
            windows: true,
        };
        Self { name: "default", info, capabilities, regions: 4_194_304 }
    }

    /// `rxe`: Soft-RoCE, as the driver of Linux 6.1 behaved under libibverbs.
    ///
    /// - Measured there: elements per request, send queue depth, number of regions, the largest region; a region at
    ///   any base address, exact to the byte; every refusal a completion with an error; local and remote key equal
    ///   wherever there is a remote one, and no access by the local key of a region without remote rights; keys that
    ///   count up; memory windows of type 2, each on one queue pair. Here a window works on every queue pair of its domain.
    /// - Its windows have a bug: they are bounded by the region that they are bound over only. A backend binds them over
    ///   a registration of exactly their bytes, so what reaches a consumer is exact, and so it is here.
    /// - A user program registers one range of its address space: scattered pages cannot be joined.
    /// - It has no fast registration for user programs. A type-2 memory window stands in for it, which belongs to one
    ///   queue pair; its page count is what the driver has for kernel consumers.
    /// - Depths of the other queues, read limits and message size are the driver's constants, not measured.
    pub fn rxe() -> Self {
        let base = Self::connectx3();
        let info = NDK_ADAPTER_INFO {
            VendorId: 0xFF_FFFF,
            DeviceId: 0,
            MaxRegistrationSize: usize::MAX,
            MaxWindowSize: usize::MAX,
            FRMRPageCount: 512,
            MaxTransferLength: 8 << 20,
            MaxInboundReadLimit: 128,
            MaxOutboundReadLimit: 128,
            MaxReceiveQueueDepth: 1 << 20,
            MaxInitiatorQueueDepth: 1 << 20,
            MaxSrqDepth: 1 << 20,
            MaxCqDepth: (1 << 15) - 1,
            RdmaTechnology: NdkRoCEv2,
            ..base.info
        };
        let capabilities = Capabilities {
            scattered_pages: false,
            token_reuse: TokenReuse::Unknown,
            tokens_unpredictable: false,
            shared_key: true,
            fast_registration: Some(FastRegistration {
                pages: 512,
                rotating: false,
                emulated: true,
                scope: TokenScope::QueuePair,
            }),
            ..base.capabilities
        };
        Self { name: "rxe", info, capabilities, regions: 524_287 }
    }

    /// `siw`: Soft-iWARP, as the driver of Linux 6.1 behaved under libibverbs.
    ///
    /// - Measured there: elements per request, send queue depth, number of regions; another base address than the
    ///   host's is accepted and then ignored; a peer reads a region without asking for the right; a refused write
    ///   completes with success at its initiator and the connection goes down, which flushes a refused read; a region
    ///   without remote rights has a remote key all the same, equal to the local one; a read's sink needs the right to
    ///   be written locally and no other, unlike iWARP's adapters in hardware; no memory windows.
    /// - iWARP's own: one element for each read, segments checked one by one, 512 bytes of private data.
    /// - Depths of the other queues and read limits are the driver's constants, not measured.
    pub fn siw() -> Self {
        let base = Self::connectx3();
        let info = NDK_ADAPTER_INFO {
            VendorId: 0x62_6D74,
            DeviceId: 1,
            MaxRegistrationSize: usize::MAX,
            MaxWindowSize: 0,
            FRMRPageCount: 0,
            MaxInitiatorRequestSge: 6,
            MaxReceiveRequestSge: 6,
            MaxReadRequestSge: 1,
            MaxTransferLength: u32::MAX,
            MaxInboundReadLimit: 128,
            MaxOutboundReadLimit: 128,
            MaxReceiveQueueDepth: 32_768,
            MaxInitiatorQueueDepth: 32_768,
            MaxSrqDepth: 327_680,
            MaxCqDepth: 3_276_800,
            MaxCallerData: MPA_DATA,
            MaxCalleeData: MPA_DATA,
            RdmaTechnology: NdkiWarp,
            ..base.info
        };
        let capabilities = Capabilities {
            base_address: BaseAddress::HostOnly,
            scattered_pages: false,
            byte_exact: true,
            remote_read_enforced: false,
            read_sink_grants_write: false,
            refusal: Refusal::ConnectionLoss,
            partial_writes: true,
            token_reuse: TokenReuse::Unknown,
            tokens_unpredictable: false,
            shared_key: true,
            fast_registration: None,
            windows: false,
        };
        Self { name: "siw", info, capabilities, regions: 1_024_000 }
    }

    /// `mlx5`: a ConnectX-5 as its published attributes and its user-space driver describe it. No card was measured.
    ///
    /// - Its one key for both sides and the kernel's cache that hands keys out again, last in first out, are known
    ///   from the driver.
    /// - Nothing published promises that data is placed in order: consumers that poll memory cannot rely on it.
    /// - 52 pages are what one inline work-queue entry took in a dry run of the driver without a card; pages are
    ///   joined by an indirect key, on every queue pair of the domain.
    /// - The device has more regions than this simulator has records.
    pub fn mlx5() -> Self {
        let base = Self::connectx3();
        let info = NDK_ADAPTER_INFO {
            DeviceId: 0x1017,
            MaxRegistrationSize: usize::MAX,
            MaxWindowSize: usize::MAX,
            FRMRPageCount: 52,
            MaxInitiatorRequestSge: 30,
            MaxReceiveRequestSge: 30,
            MaxReadRequestSge: 30,
            MaxOutboundReadLimit: 16,
            MaxReceiveQueueDepth: 32_768,
            MaxInitiatorQueueDepth: 32_768,
            MaxSrqDepth: 32_767,
            AdapterFlags: NO_READ_SINK | LOOPBACK,
            RdmaTechnology: NdkRoCEv2,
            ..base.info
        };
        let capabilities = Capabilities {
            token_reuse: TokenReuse::Unknown,
            tokens_unpredictable: false,
            shared_key: true,
            fast_registration: Some(FastRegistration {
                pages: 52,
                rotating: false,
                emulated: false,
                scope: TokenScope::ProtectionDomain,
            }),
            ..base.capabilities
        };
        Self { name: "mlx5", info, capabilities, regions: 4_194_304 }
    }

    /// `iwarp`: an iWARP adapter in hardware, as its specification and NDK's pages have it; no card was measured, and the
    /// limits are the default's.
    ///
    /// - The sink of a read is written by the peer through a remote key, so a region with RDMA_READ_SINK lets a peer
    ///   write (C10), and a read takes no other sink.
    /// - A refusal is the end of the connection, and segments are checked one by one.
    /// - One key for both sides, which the specification calls a steering tag.
    pub fn iwarp() -> Self {
        let base = Self::connectx3();
        let info = NDK_ADAPTER_INFO {
            VendorId: 0,
            DeviceId: 0,
            MaxReadRequestSge: 1,
            MaxCallerData: MPA_DATA,
            MaxCalleeData: MPA_DATA,
            AdapterFlags: LOOPBACK,
            RdmaTechnology: NdkiWarp,
            ..base.info
        };
        let capabilities = Capabilities {
            read_sink_grants_write: true,
            refusal: Refusal::ConnectionLoss,
            partial_writes: true,
            token_reuse: TokenReuse::Unknown,
            tokens_unpredictable: false,
            shared_key: true,
            ..base.capabilities
        };
        Self { name: "iwarp", info, capabilities, regions: base.regions }
    }
}

impl Default for Profile {
    fn default() -> Self {
        Self::connectx3()
    }
}

impl std::str::FromStr for Profile {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::by_name(name)
    }
}

/// A size as wide as a pointer can tell it: 32-bit programs see a device's larger limits as their own.
fn saturated(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_is_found_by_its_name() {
        for name in Profile::names() {
            assert_eq!(Profile::by_name(name).unwrap().name(), name);
            assert_eq!(name.parse::<Profile>().unwrap().name(), name);
        }
        assert_eq!(Profile::default().name(), "default");
    }

    #[test]
    fn an_unknown_name_lists_the_known() {
        let error = Profile::by_name("Rxe").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidParameter);
        assert_eq!(
            error.detail(),
            "no profile is named \"Rxe\"; there are: default, rxe, siw, mlx5, iwarp"
        );
    }

    #[test]
    fn what_a_profile_says_twice_it_says_alike() {
        for profile in Profile::names().map(|name| Profile::by_name(name).unwrap()) {
            let (info, capabilities) = (profile.info(), profile.capabilities());
            let pages = capabilities.fast_registration.map_or(0, |fast| fast.pages);
            assert_eq!(info.FRMRPageCount, pages, "{}", profile.name());
            assert_eq!(info.MaxWindowSize != 0, capabilities.windows, "{}", profile.name());
            // A device that needs the right for its own reads is the one where the right reaches peers (C10).
            let needs_sink = info.AdapterFlags & NO_READ_SINK == 0;
            assert_eq!(needs_sink, capabilities.read_sink_grants_write, "{}", profile.name());
        }
    }

    #[cfg(target_pointer_width = "64")]
    #[test]
    fn the_default_has_the_sizes_that_were_seen() {
        let info = Profile::default().info();
        assert_eq!(info.MaxRegistrationSize, 0xFFFF_FFFF_FFF0_0000);
        assert_eq!(info.MaxWindowSize, 0x100_0000_0000);
    }
}
