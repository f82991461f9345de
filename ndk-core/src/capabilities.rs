//! What a backend declares about its device (section K of the contract).

/// Where a region's addresses may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaseAddress {
    /// The MDL's virtual address, whatever it is (C2).
    Any,
    /// The host address of the memory only; another one is NOT_SUPPORTED.
    HostOnly,
}

/// How a refused access reaches its initiator (F6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A completion with an error.
    Completion,
    /// Loss of the connection; the request itself may have completed with success.
    ConnectionLoss,
}

/// When a retired token may be issued again (D4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenReuse {
    /// Not within this many deregistrations of the adapter.
    After(u32),
    /// The device says nothing about it.
    Unknown,
}

/// On which queue pairs the token of a fast registration works (G11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenScope {
    /// Every connected queue pair of the protection domain.
    ProtectionDomain,
    /// The queue pair that the registration was posted on.
    QueuePair,
}

/// How fast registration is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FastRegistration {
    /// The most pages of one registration (FRMRPageCount).
    pub pages: u32,
    /// Whether the low 8 bits of the remote token change with each round (E4): consumers read it after each FastRegister.
    pub rotating: bool,
    /// Whether a memory window emulates it, at the cost of a kernel call per round.
    pub emulated: bool,
    /// Where the token works.
    pub scope: TokenScope,
}

/// A backend's declaration. The conformance kit runs a case, its inverse, or leaves it out by it, and a declaration
/// that the kit disproves is a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Where a region's addresses may start.
    pub base_address: BaseAddress,
    /// Whether pages need not be adjacent in host memory.
    pub scattered_pages: bool,
    /// Whether access is exact to the byte (C9).
    pub byte_exact: bool,
    /// Whether a peer's read is refused without REMOTE_READ.
    pub remote_read_enforced: bool,
    /// Whether RDMA_READ_SINK gives peers remote write (C10).
    pub read_sink_grants_write: bool,
    /// How a refusal reaches the initiator.
    pub refusal: Refusal,
    /// Whether bytes inside the bounds may change when an access is refused (F1).
    pub partial_writes: bool,
    /// When a retired token may come back.
    pub token_reuse: TokenReuse,
    /// Whether tokens cannot be guessed from earlier ones (E5).
    pub tokens_unpredictable: bool,
    /// Whether a local token is the same key as the remote one, so that it names the region remotely too (E3).
    pub shared_key: bool,
    /// Fast registration, or `None` where the device has none.
    pub fast_registration: Option<FastRegistration>,
    /// Whether memory windows can be bound.
    pub windows: bool,
}
