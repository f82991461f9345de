//! Remote writes and reads through the page list, beside a plain copy of as many bytes.

use super::{Group, Question, size};
use crate::rounds::{Batch, Contender, repeat};
use crate::wire::End;
use std::hint::black_box;

pub(super) const QUESTION: Question = Question { name: "data", groups, group };

/// A plain copy.
pub const MEMCPY: &str = "memcpy";
/// A remote write on the simulator: posted, carried out, its completion polled.
pub const WRITE: &str = "remote write";
/// A remote read.
pub const READ: &str = "remote read";

/// The sizes, in bytes.
pub const BYTES: [usize; 5] = [8, 64, 4 << 10, 64 << 10, 1 << 20];

fn groups() -> Vec<String> {
    BYTES.iter().map(|bytes| format!("data/{bytes}")).collect()
}

fn group(id: &str) -> Group {
    let length = size(id);
    let contenders = vec![
        Contender::new(MEMCPY, move || memcpy(length)),
        Contender::new(WRITE, move || write(length)),
        Contender::new(READ, move || read(length)),
    ];
    Group::new(id, contenders)
}

pub(super) fn memcpy(length: usize) -> Batch {
    let (from, mut to) = (vec![1_u8; length], vec![0_u8; length]);
    repeat(move || black_box(&mut to[..]).copy_from_slice(black_box(&from[..])))
}

pub(super) fn write(length: usize) -> Batch {
    let (here, there) = End::pair(length);
    let (local, remote) = ([here.local(length)], there.remote());
    repeat(move || {
        let _open = &there;
        here.qp.write(0, black_box(&local), black_box(remote)).expect("posted");
        here.finish();
    })
}

fn read(length: usize) -> Batch {
    let (here, there) = End::pair(length);
    let (local, remote) = ([here.local(length)], there.remote());
    repeat(move || {
        let _open = &there;
        here.qp.read(0, black_box(&local), black_box(remote)).expect("posted");
        here.finish();
    })
}
