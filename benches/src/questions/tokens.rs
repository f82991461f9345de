//! The token getters, beside the least that a call through a table can be.

use super::pair::{BOXED, STATIC, TWIN, memory};
use super::{Group, Question};
use crate::objects::{Adapter, Region};
use crate::providers::{boxed_adapter, static_adapter, twin_adapter};
use crate::rounds::{Batch, Contender, repeat};
use crate::twin::BARE_TOKEN;
use ndk_core::abi::NDK_MR_DISPATCH;
use std::hint::black_box;
use std::ptr::addr_of_mut;
use std::sync::Arc;

pub(super) const QUESTION: Question = Question {
    name: "tokens",
    groups: || vec!["tokens/local".into(), "tokens/remote".into()],
    group,
};

/// One load in C behind an indirect call.
pub const BARE: &str = "bare indirect C call";

fn group(id: &str) -> Group {
    let remote = id.ends_with("remote");
    let contenders = vec![
        Contender::new(BARE, move || bare(remote)),
        Contender::new(TWIN, move || getter(twin_adapter(64), remote)),
        Contender::new(STATIC, move || getter(static_adapter(), remote)),
        Contender::new(BOXED, move || getter(boxed_adapter(), remote)),
    ];
    Group::new(id, contenders)
}

fn getter(adapter: Arc<Adapter>, remote: bool) -> Batch {
    tokens_of(adapter.domain().region(false), remote)
}

/// A region of the twin under a table whose getters do nothing but load: a consumer may replace an object's table (A4).
fn bare(remote: bool) -> Batch {
    let region = twin_adapter(64).domain().region(false);
    let mr = region.as_ndk().as_ptr();
    // SAFETY: the region is open, and the new table is never freed.
    unsafe {
        let table = NDK_MR_DISPATCH {
            NdkGetLocalTokenFromMr: Some(BARE_TOKEN),
            NdkGetRemoteTokenFromMr: Some(BARE_TOKEN),
            ..*(*mr).Dispatch
        };
        addr_of_mut!((*mr).Dispatch).write(Box::leak(Box::new(table)));
    }
    tokens_of(region, remote)
}

fn tokens_of(region: Region, remote: bool) -> Batch {
    let mdl = memory(1).1;
    region.register(&mdl);
    assert!(region.local_token() != 0 && region.remote_token() != 0);
    let kept = (region, mdl);
    match remote {
        false => repeat(move || _ = black_box(kept.0.local_token())),
        true => repeat(move || _ = black_box(kept.0.remote_token())),
    }
}
