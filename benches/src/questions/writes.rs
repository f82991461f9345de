//! A remote write of 64 bytes, beside what libfabric's shared memory provider does for the same.

use super::data::{MEMCPY, memcpy, write};
use super::pair::STATIC;
use super::{Group, Question};
use crate::rounds::Contender;

pub(super) const QUESTION: Question =
    Question { name: "writes", groups: || vec!["writes/64".into()], group };

const LENGTH: usize = 64;

/// libfabric's ways, of which the bar takes the fastest.
pub const SHM_WAYS: [&str; 4] = [
    "libfabric shm, fi_write, 1 at a time",
    "libfabric shm, fi_write, 64 at a time",
    "libfabric shm, fi_inject_write, 1 at a time",
    "libfabric shm, fi_inject_write, 64 at a time",
];

fn group(id: &str) -> Group {
    let mut contenders =
        vec![Contender::new(MEMCPY, || memcpy(LENGTH)), Contender::new(STATIC, || write(LENGTH))];
    contenders.extend(libfabric());
    Group::new(id, contenders)
}

#[cfg(libfabric)]
fn libfabric() -> Vec<Contender> {
    use crate::fabric::{Fabric, Post};
    use ndk_core::mdl::Buffer;
    use std::time::Instant;

    let contender = |name: &str, post, depth| {
        Contender::new(name, move || {
            let fabric = Fabric::connected(c"shm");
            let target = Buffer::new(LENGTH).expect("memory");
            let region = fabric.register(target.as_ptr(), LENGTH);
            let mut source = [0; LENGTH];
            Box::new(move |count| {
                source.iter_mut().for_each(|byte: &mut u8| *byte = byte.wrapping_add(1));
                let to = (target.as_ptr(), &region);
                let start = Instant::now();
                // SAFETY: the target is as long as the source, and all of the region.
                unsafe { fabric.write(post, &source, to, (count, depth)) };
                let took = start.elapsed();
                let mut arrived = [0; LENGTH];
                target.read(0, &mut arrived).expect("inside");
                assert_eq!(arrived, source, "libfabric carried the writes out");
                took
            })
        })
    };
    let [one, many, inject_one, inject_many] = SHM_WAYS;
    vec![
        contender(one, Post::Write, 1),
        contender(many, Post::Write, 64),
        contender(inject_one, Post::Inject, 1),
        contender(inject_many, Post::Inject, 64),
    ]
}

#[cfg(not(libfabric))]
fn libfabric() -> Vec<Contender> {
    Vec::new()
}
