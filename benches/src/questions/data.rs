//! Remote writes and reads through the page list, beside a plain copy of as many bytes. All copy between memory that starts
//! with a page, as registered memory mostly does: where source and sink lie in their pages makes a copy half as fast again.

use super::{Group, Question, size};
use crate::rounds::{Batch, Contender, repeat};
use crate::wire::{End, filled};
use std::hint::black_box;
use std::{ptr, slice};

pub(super) const QUESTION: Question = Question { name: "data", groups, group };

/// A plain copy.
pub const MEMCPY: &str = "memcpy";
/// A remote write on the simulator: posted, carried out, its completion polled.
pub const WRITE: &str = "remote write";
/// A remote read.
pub const READ: &str = "remote read";
/// What a peer's write does at the memory it writes to, without a queue pair.
pub const WRITE_ALONE: &str = "remote write, access alone";
/// The same of a read.
pub const READ_ALONE: &str = "remote read, access alone";

/// The sizes, in bytes.
pub const BYTES: [usize; 5] = [8, 64, 4 << 10, 64 << 10, 1 << 20];

fn groups() -> Vec<String> {
    BYTES.iter().map(|bytes| format!("data/{bytes}")).collect()
}

fn group(id: &str) -> Group {
    let length = size(id);
    let contenders = vec![
        Contender::new(MEMCPY, move || memcpy(length)),
        Contender::new(WRITE_ALONE, move || write_alone(length)),
        Contender::new(READ_ALONE, move || read_alone(length)),
        Contender::new(WRITE, move || write(length)),
        Contender::new(READ, move || read(length)),
    ];
    Group::new(id, contenders)
}

pub(super) fn memcpy(length: usize) -> Batch {
    let (from, to) = (filled(length), filled(length));
    repeat(move || {
        let (from, to) = black_box((from.as_ptr(), to.as_ptr()));
        // SAFETY: both buffers are kept, and as long; nobody else uses them.
        unsafe { ptr::copy_nonoverlapping(from, to, black_box(length)) };
    })
}

fn write_alone(length: usize) -> Batch {
    let (end, bytes) = (End::loopback(length), filled(length));
    let (mut peer, remote) = (end.initiator(), end.remote());
    repeat(move || {
        let _open = &end;
        // SAFETY: the buffer is kept, and nobody writes it.
        let bytes = unsafe { slice::from_raw_parts(bytes.as_ptr(), bytes.len()) };
        peer.write(black_box(remote), black_box(bytes)).expect("written");
    })
}

fn read_alone(length: usize) -> Batch {
    let (end, bytes) = (End::loopback(length), filled(length));
    let (mut peer, remote) = (end.initiator(), end.remote());
    repeat(move || {
        let _open = &end;
        // SAFETY: the buffer is kept, and nobody else uses it.
        let bytes = unsafe { slice::from_raw_parts_mut(bytes.as_ptr(), bytes.len()) };
        peer.read(black_box(remote), black_box(bytes)).expect("read");
    })
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
