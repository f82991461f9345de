use super::*;
use ndk_core::ErrorKind;

fn umr(runs: &[Run]) -> Umr<'_> {
    Umr {
        key: 0x00ab_cd07,
        queue_pair: 0x0000_4321,
        base: 0x1122_3344_5566_7123,
        runs,
        access: Access::REMOTE_WRITE | Access::REMOTE_READ,
        fence: Fence::StrongOrdering,
    }
}

fn scattered(count: usize) -> Vec<Run> {
    let run = |index: usize| Run {
        key: 0x0001_0000 + index as u32,
        address: 0x7f00_0000_0000 + index as u64 * 0x3000,
        length: 4096,
    };
    (0..count).map(run).collect()
}

/// Text of bytes in hexadecimal; white space does not count.
fn bytes(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().filter_map(|digit| digit.to_digit(16)).map(|d| d as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

#[test]
fn an_entry_with_one_run_is_these_bytes() {
    let runs = [Run { key: 0x0bad_cafe, address: 0x7f12_3456_7123, length: 0x1388 }];
    let expected = bytes(
        "
        00000025 0043210c 00000068 00abcd07
        a0000000 00040000 00000000 201c2041
        00000000 00000000 00000000 00000000
        00000000 00000000 00000000 00000000
        00003c00 ffffff07 00000000 00000000
        11223344 55667123 00000000 00001388
        00000000 00000000 00000000 00000000
        00000000 00000000 00000000 00000000
        00001388 0badcafe 00007f12 34567123
        00000000 00000000 00000000 00000000
        00000000 00000000 00000000 00000000
        00000000 00000000 00000000 00000000
        ",
    );
    assert_eq!(umr(&runs).encode(52).unwrap().bytes(), expected);
}

#[test]
fn the_list_has_an_element_for_each_run_and_is_filled_up_with_zeros() {
    for count in [1, 2, 3, 4, 5, 16, 51, 52] {
        let runs = scattered(count);
        let entry = umr(&runs).encode(52).unwrap();
        let bytes = entry.bytes();
        let padded = count.div_ceil(4) * 4;
        assert_eq!(bytes.len(), 128 + padded * 16, "{count} runs");
        assert_eq!(bytes.len(), entry_size(count));
        assert_eq!(usize::from(bytes[7]), bytes.len() / 16, "the size in the control segment");
        assert_eq!(bytes[20..22], (padded as u16).to_be_bytes(), "the size of the list");
        let total = count as u64 * 4096;
        assert_eq!(bytes[88..96], total.to_be_bytes(), "the length of the region");
        let mut elements = bytes[128..].chunks(16);
        for run in &runs {
            let element = elements.next().unwrap();
            assert_eq!(element[..4], [0, 0, 0x10, 0]);
            assert_eq!(element[4..8], run.key.to_be_bytes());
            assert_eq!(element[8..], run.address.to_be_bytes());
        }
        assert!(elements.all(|padding| padding == [0; 16]), "{count} runs");
    }
}

#[test]
fn a_run_more_than_the_limit_is_refused() {
    for (limit, most) in [(1, 1), (24, 24), (52, 52), (1000, 52)] {
        assert!(umr(&scattered(most)).encode(limit).is_ok());
        let error = umr(&scattered(most + 1)).encode(limit).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::ImplementationLimit);
        assert!(error.to_string().contains(&most.to_string()), "{error}");
    }
}

#[test]
fn a_list_without_meaning_is_refused() {
    let run = |length| Run { key: 1, address: 0x1000, length };
    for runs in [&[][..], &[run(0)], &[run(4096), run(0)], &[run(LONGEST_RUN + 1)]] {
        assert_eq!(umr(runs).encode(52).err().unwrap().kind(), ErrorKind::Internal);
    }
}

#[test]
fn two_gibibytes_in_one_run_are_written_as_zero() {
    let runs = [Run { key: 1, address: 0x1000, length: LONGEST_RUN }];
    let entry = umr(&runs).encode(52).unwrap();
    assert_eq!(entry.bytes()[128..132], [0; 4]);
    assert_eq!(entry.bytes()[88..96], LONGEST_RUN.to_be_bytes());
}

#[test]
fn each_right_has_its_bit() {
    let rights = [
        (Access::LOCAL_READ, 0b00_0100),
        (Access::LOCAL_WRITE, 0b00_1100),
        (Access::READ_SINK, 0b00_1100),
        (Access::REMOTE_READ, 0b01_0100),
        (Access::REMOTE_WRITE, 0b10_1100),
        (Access::REMOTE_READ | Access::REMOTE_WRITE, 0b11_1100),
        (Access::REMOTE_READ | Access::READ_SINK, 0b01_1100),
    ];
    for (access, expected) in rights {
        let entry = Umr { access, ..umr(&scattered(1)) }.encode(52).unwrap();
        assert_eq!(entry.bytes()[66], expected, "{access:?}");
    }
}

#[test]
fn the_fence_is_in_the_control_segment_beside_the_report() {
    let runs = scattered(1);
    let fence = |fence| Umr { fence, ..umr(&runs) }.encode(52).unwrap().bytes()[11];
    assert_eq!(fence(Fence::InitiatorSmall), 0x28);
    assert_eq!(fence(Fence::StrongOrdering), 0x68);
}

#[test]
fn the_limit_follows_from_the_largest_entry() {
    let limits =
        [(0, 0), (128, 0), (191, 0), (192, 4), (512, 24), (960, 52), (1024, 52), (2048, 52)];
    for (largest, runs) in limits {
        assert_eq!(most_runs(largest), runs, "{largest} bytes");
        assert!(runs == 0 || entry_size(runs) <= largest);
    }
    assert_eq!(entry_size(52), 960);
    assert!(entry_size(53) / 16 > 63, "53 runs are too many for the field of the size");
}
