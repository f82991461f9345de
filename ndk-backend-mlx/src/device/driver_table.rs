//! What is known of devices by their drivers and cannot be asked for (K1): measured, or from their documentation.

use super::attributes::Attributes;
use crate::self_test::Findings;
use crate::sys::work::IBV_WC_WITH_INV;
use ndk_core::{BaseAddress, Capabilities, FastRegistration, Refusal, TokenReuse, TokenScope};

/// The most pages of one fast registration. Nothing limits a registration of adjacent pages; this is what drivers of
/// such devices say to kernels, and 2 MiB.
pub(crate) const FAST_PAGES: u32 = 512;

/// How a device behaves where its attributes do not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The driver.
    pub(crate) driver: &'static str,
    /// Whether a region's addresses may start anywhere.
    pub(crate) base_address: BaseAddress,
    /// Whether access is exact to the byte.
    pub(crate) byte_exact: bool,
    /// Whether a peer's read is refused without the right.
    pub(crate) remote_read_enforced: bool,
    /// How a refusal reaches the initiator.
    pub(crate) refusal: Refusal,
    /// Whether a refused write may have written what is inside the bounds.
    pub(crate) partial_writes: bool,
    /// Whether windows of type 2 work as they should: bound by an unchanged key, and ended by an invalidation.
    pub(crate) windows: bool,
    /// Whether data is placed in the order in which it arrives.
    pub(crate) in_order: bool,
    /// Whether invalidating what is not valid harms the peer's kernel, so that it must not be sent.
    pub(crate) guards_invalidation: bool,
    /// By which flags a receive completion says that it invalidated something.
    pub(crate) invalidated_flags: u32,
    /// Whether it takes receives without elements, for messages without bytes.
    pub(crate) takes_empty_receives: bool,
    /// Whether everything is flushed when a queue pair was moved to error. It then uses no memory any more, and what was
    /// posted while it was in error already has no completion.
    pub(crate) flushes_at_once: bool,
}

/// The kernel's number of that flag, which is not libibverbs'.
const KERNEL_WITH_INVALIDATE: u32 = 1 << 2;

/// Soft-RoCE, measured on Linux 6.1. Its windows are not bounded themselves, only by the registration that they are
/// bound over; an invalidation of a window that is not bound dereferences null in the kernel; and its completions have
/// the kernel's flags.
const RXE: Facts = Facts {
    driver: "rxe",
    base_address: BaseAddress::Any,
    byte_exact: true,
    remote_read_enforced: true,
    refusal: Refusal::Completion,
    partial_writes: false,
    windows: true,
    in_order: true,
    guards_invalidation: true,
    invalidated_flags: IBV_WC_WITH_INV | KERNEL_WITH_INVALIDATE,
    takes_empty_receives: true,
    flushes_at_once: false,
};

/// Soft-iWARP, measured on Linux 6.1. It accepts another base address than the host's, and then ignores it; it does not
/// ask for the right to read; a refusal is the loss of the connection; each segment of a write is checked by itself.
const SIW: Facts = Facts {
    driver: "siw",
    base_address: BaseAddress::HostOnly,
    byte_exact: true,
    remote_read_enforced: false,
    refusal: Refusal::ConnectionLoss,
    partial_writes: true,
    windows: false,
    in_order: true,
    guards_invalidation: false,
    invalidated_flags: IBV_WC_WITH_INV,
    takes_empty_receives: false,
    flushes_at_once: true,
};

/// ConnectX-4 and later, from their documentation; none was measured.
const MLX5: Facts = Facts {
    driver: "mlx5",
    base_address: BaseAddress::Any,
    byte_exact: true,
    remote_read_enforced: true,
    refusal: Refusal::Completion,
    partial_writes: false,
    windows: true,
    in_order: false,
    guards_invalidation: false,
    invalidated_flags: IBV_WC_WITH_INV,
    takes_empty_receives: true,
    flushes_at_once: false,
};

/// A device of InfiniBand or RoCE that nobody has measured: as the specification has it.
const UNKNOWN: Facts = Facts { driver: "unknown", ..MLX5 };

/// An iWARP device that nobody has measured: what is certain on any.
const UNKNOWN_IWARP: Facts =
    Facts { driver: "unknown iWARP", remote_read_enforced: true, in_order: false, ..SIW };

/// The numbers by which the software devices name their vendor.
const RXE_VENDOR: u32 = 0xff_ffff;
const SIW_VENDOR: u32 = 0x62_6d74;
const MELLANOX: u32 = 0x02_c9;

impl Facts {
    /// The facts of a device.
    pub(crate) fn of(attributes: &Attributes) -> Self {
        match (attributes.device.vendor_id, attributes.iwarp) {
            (RXE_VENDOR, false) => RXE,
            (SIW_VENDOR, true) => SIW,
            (MELLANOX, false) => MLX5,
            (_, false) => UNKNOWN,
            (_, true) => UNKNOWN_IWARP,
        }
    }

    /// Whether a device has to be tried: nobody has looked at one, and it can be connected to itself by endpoint.
    pub(crate) fn need_a_try(&self) -> bool {
        self.driver == UNKNOWN.driver
    }

    /// The facts with what a try has found, where that is less.
    pub(crate) fn found(self, findings: Findings) -> Self {
        let Findings { any_base_address, bounds_enforced, remote_read_enforced } = findings;
        Self {
            base_address: if any_base_address { self.base_address } else { BaseAddress::HostOnly },
            byte_exact: self.byte_exact && bounds_enforced,
            remote_read_enforced: self.remote_read_enforced && remote_read_enforced,
            ..self
        }
    }

    /// The declaration of section K.
    ///
    /// Keys are the kernel's: both sides of a region have one, its order can be guessed, and nothing is said about when
    /// it comes back.
    pub(crate) fn capabilities(&self, attributes: &Attributes) -> Capabilities {
        let windows = self.windows && attributes.windows();
        Capabilities {
            base_address: self.base_address,
            scattered_pages: false,
            byte_exact: self.byte_exact,
            remote_read_enforced: self.remote_read_enforced,
            read_sink_grants_write: false,
            refusal: self.refusal,
            partial_writes: self.partial_writes,
            token_reuse: TokenReuse::Unknown,
            tokens_unpredictable: false,
            shared_key: true,
            fast_registration: windows.then_some(FastRegistration {
                pages: FAST_PAGES,
                rotating: false,
                emulated: true,
                scope: TokenScope::QueuePair,
            }),
            windows,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k1_what_a_try_finds_missing_is_not_declared() {
        assert!(UNKNOWN.need_a_try());
        assert!([RXE, SIW, MLX5, UNKNOWN_IWARP].iter().all(|facts| !facts.need_a_try()));
        let all =
            Findings { any_base_address: true, bounds_enforced: true, remote_read_enforced: true };
        assert_eq!(UNKNOWN.found(all), UNKNOWN);
        assert_eq!(SIW.found(all), SIW, "a try adds nothing to what is known");
        let none = Findings {
            any_base_address: false,
            bounds_enforced: false,
            remote_read_enforced: false,
        };
        let found = UNKNOWN.found(none);
        assert_eq!(found.base_address, BaseAddress::HostOnly);
        assert!(!found.byte_exact && !found.remote_read_enforced);
    }
}
