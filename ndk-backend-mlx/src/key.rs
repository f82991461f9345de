//! Keys that this backend makes itself, which are never a device's.

/// The first of the keys that are kept from regions and windows: a device that gives one out is asked again.
const FIRST: u32 = 0xFFFE_0000;

/// A key that leads nowhere: for what a device is to refuse.
pub(crate) const NOWHERE: u32 = 0xFFFE_FFFF;

/// How many domains an adapter can have at a time.
pub(crate) const DOMAINS: usize = (NOWHERE - FIRST) as usize;

/// The privileged token of the domain with this place.
pub(crate) fn privileged(place: usize) -> u32 {
    debug_assert!(place < DOMAINS);
    FIRST + place as u32
}

/// Whether a device's key would be taken for one of these.
pub(crate) fn is_reserved(key: u32) -> bool {
    (FIRST..=NOWHERE).contains(&key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l5_every_domain_has_a_reserved_key_of_its_own() {
        assert_ne!(privileged(0), privileged(1));
        assert!(is_reserved(privileged(0)) && is_reserved(privileged(DOMAINS - 1)));
        assert!(is_reserved(NOWHERE) && privileged(DOMAINS - 1) != NOWHERE);
        assert!(!is_reserved(0x1f72) && !is_reserved(u32::MAX));
    }
}
