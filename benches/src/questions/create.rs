//! Making a region and closing it.

use super::pair::{BOXED, STATIC, TWIN};
use super::{Group, Question};
use crate::objects::Adapter;
use crate::providers::{boxed_adapter, static_adapter, twin_adapter};
use crate::rounds::{Batch, Contender, repeat};
use std::sync::Arc;

pub(super) const QUESTION: Question =
    Question { name: "create", groups: || vec!["create/close".into()], group };

fn group(id: &str) -> Group {
    let contenders = vec![
        Contender::new(TWIN, || lives(twin_adapter(64))),
        Contender::new(STATIC, || lives(static_adapter())),
        Contender::new(BOXED, || lives(boxed_adapter())),
    ];
    Group::new(id, contenders)
}

fn lives(adapter: Arc<Adapter>) -> Batch {
    let domain = adapter.domain();
    repeat(move || domain.create_and_close())
}
