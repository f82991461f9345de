//! From the rights of a region to those of the device, by a table.

use crate::sys::object::{
    IBV_ACCESS_LOCAL_WRITE, IBV_ACCESS_MW_BIND, IBV_ACCESS_REMOTE_READ, IBV_ACCESS_REMOTE_WRITE,
};
use ndk_core::Access;

/// What each right asks of the device. A read sink is written by the device on this side's behalf, which is a local
/// write to it; no device of the table asks for a remote right (C10).
const RIGHTS: [(Access, u32); 4] = [
    (Access::LOCAL_WRITE, IBV_ACCESS_LOCAL_WRITE),
    (Access::READ_SINK, IBV_ACCESS_LOCAL_WRITE),
    (Access::REMOTE_READ, IBV_ACCESS_REMOTE_READ),
    (Access::REMOTE_WRITE, IBV_ACCESS_REMOTE_WRITE),
];

/// The device's rights for a region that its owner and peers use.
pub(crate) fn of_region(access: Access) -> u32 {
    let given = RIGHTS.iter().filter(|(right, _)| access.contains(*right));
    given.fold(0, |flags, (_, flag)| flags | flag)
}

/// The rights of the registration that a window is bound over: no peer reaches it by its own key.
pub(crate) fn under_window(access: Access) -> u32 {
    of_region(access) & IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_MW_BIND
}

/// The rights of a window: the remote ones alone.
pub(crate) fn of_window(access: Access) -> u32 {
    of_region(access) & (IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LW: u32 = IBV_ACCESS_LOCAL_WRITE;
    const RR: u32 = IBV_ACCESS_REMOTE_READ;
    const RW: u32 = IBV_ACCESS_REMOTE_WRITE;
    const MB: u32 = IBV_ACCESS_MW_BIND;

    #[test]
    fn every_legal_union_of_flags_has_its_rights() {
        for (flags, region, window) in [
            (0x0, 0, 0),
            (0x1, LW, 0),
            (0x2, RR, RR),
            (0x3, LW | RR, RR),
            (0x5, LW | RW, RW),
            (0x7, LW | RR | RW, RR | RW),
            (0x8, LW, 0),
            (0x9, LW, 0),
            (0xA, LW | RR, RR),
            (0xB, LW | RR, RR),
            (0xD, LW | RW, RW),
            (0xF, LW | RR | RW, RR | RW),
        ] {
            let access = Access::from_flags(flags).unwrap();
            assert_eq!(of_region(access), region, "{flags:#x}");
            assert_eq!(of_window(access), window, "{flags:#x}");
            assert_eq!(under_window(access), region & LW | MB, "{flags:#x}");
            assert!(region & RW == 0 || region & LW != 0, "the kernel wants it so: {flags:#x}");
        }
    }
}
