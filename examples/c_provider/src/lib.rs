//! A provider in C, as the conformance kit takes it. See `README.md`.

use ndk_core::conformance::{Kit, TableProvider};
use ndk_core::{BaseAddress, Capabilities, FastRegistration, Refusal, TokenReuse, TokenScope};

unsafe extern "C" {
    /// `const NDK_CONFORMANCE_PROVIDER soft_provider` of `hooks.c`.
    static soft_provider: TableProvider;
}

/// What the provider declares (section K of the contract).
pub const CAPABILITIES: Capabilities = Capabilities {
    base_address: BaseAddress::Any,
    scattered_pages: true,
    byte_exact: true,
    remote_read_enforced: true,
    read_sink_grants_write: false,
    refusal: Refusal::Completion,
    partial_writes: false,
    token_reuse: TokenReuse::After(65_536),
    tokens_unpredictable: true,
    shared_key: false,
    fast_registration: Some(FastRegistration {
        pages: 256,
        rotating: false,
        emulated: false,
        scope: TokenScope::ProtectionDomain,
    }),
    windows: true,
};

/// The provider with all its hooks, or with those that are left of them.
pub fn provider() -> TableProvider {
    // SAFETY: a constant of the C files, of this type.
    unsafe { soft_provider }
}

/// A kit on the provider's tables.
pub fn kit(provider: &TableProvider) -> Kit {
    // SAFETY: the functions are the provider's, or less of them, and do what the header asks for.
    unsafe { Kit::table(provider, CAPABILITIES) }
}
