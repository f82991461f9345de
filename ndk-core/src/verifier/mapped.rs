//! Whether a buffer can be as long as its owner says (V10). Only what is certain counts: no memory is there.

/// Whether the last byte of the buffer is in no memory of the program.
pub(super) fn is_beyond_memory(buffer: usize, length: usize) -> bool {
    match buffer.checked_add(length) {
        None => true,
        Some(end) => ends_in_nothing(buffer, end),
    }
}

/// Reads the program's mappings; where they cannot be read, nothing is known.
#[cfg(target_os = "linux")]
fn ends_in_nothing(start: usize, end: usize) -> bool {
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else { return false };
    ends_outside(&maps, start, end)
}

#[cfg(not(target_os = "linux"))]
fn ends_in_nothing(_start: usize, _end: usize) -> bool {
    false
}

/// Whether the bytes from `start` to `end` are not all in mappings that may be read and follow each other.
#[cfg(any(target_os = "linux", test))]
fn ends_outside(maps: &str, start: usize, end: usize) -> bool {
    let mut next = start;
    for line in maps.lines() {
        let Some((range, rest)) = line.split_once(' ') else { continue };
        let Some((from, to)) = range.split_once('-') else { continue };
        // What nobody may read is kept free by an allocator or a sanitizer, and no memory.
        if !rest.starts_with('r') {
            continue;
        }
        let parse = |number| usize::from_str_radix(number, 16);
        let (Ok(from), Ok(to)) = (parse(from), parse(to)) else { continue };
        if (from..to).contains(&next) {
            next = to;
        }
        if next >= end {
            return false;
        }
    }
    // A start that is in none was not read in full: then nothing is known.
    next != start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_ends_where_its_mappings_do() {
        let maps = "1000-3000 rw-p 00000000 00:00 0\n3000-4000 r--p\n\
                    6000-7000 rw-p\n7000-9000 ---p\nffff [x]\n";
        assert!(!ends_outside(maps, 0x1000, 0x4000), "two that follow each other");
        assert!(!ends_outside(maps, 0x2fff, 0x3000));
        assert!(ends_outside(maps, 0x1000, 0x4001), "a hole");
        assert!(ends_outside(maps, 0x6000, 0x8000));
        assert!(!ends_outside(maps, 0x5000, 0x5001), "not known at all");
    }

    #[test]
    fn a_true_length_is_believed_and_garbage_is_not() {
        let buffer = [0_u8; 64];
        assert!(!is_beyond_memory(buffer.as_ptr().addr(), buffer.len()));
        assert!(is_beyond_memory(buffer.as_ptr().addr(), usize::MAX));
        #[cfg(target_os = "linux")]
        assert!(is_beyond_memory(buffer.as_ptr().addr(), 0xCCCC_CCCC_CCCC));
    }
}
