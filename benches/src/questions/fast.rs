//! A fast registration and its invalidation on a queue pair, beside a registration and its deregistration.

use super::pair::{STATIC, TWIN, memory, through_table};
use super::{Group, Question, size};
use crate::providers::{static_adapter, twin_adapter};
use crate::rounds::{Batch, Contender, repeat};
use crate::wire::End;
use futures_lite::future::block_on;
use ndk_core::{Access, AdapterProvider, FastMemory, RegionRef};

pub(super) const QUESTION: Question = Question { name: "fast", groups, group };

/// Both requests posted, and their completions polled.
pub const FAST: &str = "fast-register and invalidate";

/// The sizes, in pages.
pub const PAGES: [usize; 3] = [1, 16, 256];

fn groups() -> Vec<String> {
    PAGES.iter().map(|pages| format!("fast/{pages}")).collect()
}

fn group(id: &str) -> Group {
    let pages = size(id);
    let contenders = vec![
        Contender::new(TWIN, move || through_table(twin_adapter(64), pages)),
        Contender::new(STATIC, move || through_table(static_adapter(), pages)),
        Contender::new(FAST, move || fast(pages)),
    ];
    Group::new(id, contenders)
}

fn fast(pages: usize) -> Batch {
    let end = End::loopback(8);
    let region = end.domain.region(true);
    region.initialize(pages as u32);
    let (_buffer, mdl) = memory(pages);
    let mut addresses = vec![0; pages];
    // SAFETY: the MDL is kept for longer than the registrations.
    let view = unsafe { mdl.view(mdl.len()) }.expect("a chain");
    let mapping = block_on(end.provider().build_mapping(view, &mut addresses)).expect("a mapping");
    let kept = (region, mdl, mapping);
    repeat(move || {
        // SAFETY: the region is of these types, and open.
        let region = unsafe { RegionRef::from_ndk(kept.0.as_ndk()) };
        let memory = FastMemory {
            pages: &addresses,
            first_byte: 0,
            length: kept.1.len() as u64,
            base: 0x1000_0000,
        };
        let access = Access::REMOTE_READ | Access::REMOTE_WRITE;
        // SAFETY: as above, and the memory stays.
        unsafe { end.qp.fast_register(0, region, memory, access) }.expect("posted");
        end.finish();
        // SAFETY: as above.
        unsafe { end.qp.invalidate(0, region) }.expect("posted");
        end.finish();
    })
}
