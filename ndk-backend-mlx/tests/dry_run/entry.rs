//! Reads an entry of the send queue, field by field, as mlx5's format has them. Nothing here is shared with what writes
//! them.

/// An element of a list: bytes of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) length: u32,
    pub(crate) key: u32,
    pub(crate) address: u64,
}

/// The control segment, which every entry begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Control {
    pub(crate) opcode: u8,
    pub(crate) slot: u16,
    pub(crate) queue_pair: u32,
    pub(crate) octowords: u8,
    pub(crate) fence: u8,
    pub(crate) completion: u8,
    pub(crate) immediate: u32,
}

/// A UMR entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Umr {
    pub(crate) control: Control,
    pub(crate) inline: bool,
    pub(crate) check_free: bool,
    pub(crate) check_queue_pair: bool,
    pub(crate) list_octowords: u16,
    pub(crate) mask: u64,
    pub(crate) free: bool,
    pub(crate) rights: u8,
    pub(crate) queue_pair: u32,
    pub(crate) variant: u8,
    pub(crate) start: u64,
    pub(crate) length: u64,
    /// All elements that the list's size counts, with those that fill it up.
    pub(crate) list: Vec<Element>,
}

pub(crate) const OPCODE_SEND: u8 = 0x0a;
pub(crate) const OPCODE_UMR: u8 = 0x25;

/// Values of the fence field: bits 7 to 5.
pub(crate) const NO_FENCE: u8 = 0;
pub(crate) const INITIATOR_SMALL: u8 = 1;
pub(crate) const SMALL_AND_FENCE: u8 = 4;

/// Bits of the mask.
pub(crate) mod mask {
    pub(crate) const LENGTH: u64 = 1;
    pub(crate) const START: u64 = 1 << 6;
    pub(crate) const KEY: u64 = 1 << 13;
    pub(crate) const QUEUE_PAIR: u64 = 1 << 14;
    pub(crate) const LOCAL_WRITE: u64 = 1 << 18;
    pub(crate) const REMOTE_READ: u64 = 1 << 19;
    pub(crate) const REMOTE_WRITE: u64 = 1 << 20;
    pub(crate) const FREE: u64 = 1 << 29;
}

/// Bits of the rights.
pub(crate) mod right {
    pub(crate) const LOCAL_READ: u8 = 1 << 2;
    pub(crate) const LOCAL_WRITE: u8 = 1 << 3;
    pub(crate) const REMOTE_READ: u8 = 1 << 4;
    pub(crate) const REMOTE_WRITE: u8 = 1 << 5;
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

pub(crate) fn control(bytes: &[u8]) -> Control {
    Control {
        slot: number(&bytes[1..3]) as u16,
        opcode: bytes[3],
        queue_pair: number(&bytes[4..7]) as u32,
        octowords: bytes[7] & 0x3f,
        fence: bytes[11] >> 5,
        completion: bytes[11] >> 2 & 3,
        immediate: number(&bytes[12..16]) as u32,
    }
}

/// Reads a UMR entry, and checks that what has no meaning in it is zero.
pub(crate) fn umr(bytes: &[u8]) -> Umr {
    let control = control(bytes);
    assert_eq!(control.opcode, OPCODE_UMR);
    assert_eq!(bytes[0], 0, "the opcode's modifier");
    assert_eq!(bytes[8..11], [0; 3], "signature and reserved bytes of the control segment");
    assert_eq!(bytes[16] & 0x57, 0, "translation offset and unknown flags");
    assert_eq!(number(&bytes[17..20]), 0, "reserved in the UMR control segment");
    assert_eq!(number(&bytes[22..24]), 0, "the translation's offset");
    assert_eq!(bytes[32..64], [0; 32], "reserved in the UMR control segment");
    assert_eq!(number(&bytes[72..80]), 0, "reserved, and the domain, which is not to change");
    assert_eq!(bytes[96..128], [0; 32], "the rest of the key's attributes");
    fields(bytes, control)
}

/// Reads the UMR entry of libmlx5's invalidation, which leaves the fields that its mask excludes as they were.
pub(crate) fn invalidation(bytes: &[u8]) -> Umr {
    fields(bytes, control(bytes))
}

fn fields(bytes: &[u8], control: Control) -> Umr {
    let element = |bytes: &[u8]| Element {
        length: number(&bytes[..4]) as u32,
        key: number(&bytes[4..8]) as u32,
        address: number(&bytes[8..16]),
    };
    Umr {
        control,
        inline: bytes[16] & 1 << 7 != 0,
        check_free: bytes[16] & 1 << 5 != 0,
        check_queue_pair: bytes[16] & 1 << 3 != 0,
        list_octowords: number(&bytes[20..22]) as u16,
        mask: number(&bytes[24..32]),
        free: bytes[64] & 1 << 6 != 0,
        rights: bytes[66],
        queue_pair: number(&bytes[68..71]) as u32,
        variant: bytes[71],
        start: number(&bytes[80..88]),
        length: number(&bytes[88..96]),
        list: bytes[128.min(bytes.len())..].chunks(16).map(element).collect(),
    }
}
