//! The questions, one file each.

pub mod create;
pub mod data;
pub mod fast;
pub mod growth;
pub mod pair;
pub mod threads;
pub mod tokens;
pub mod writes;

use crate::rounds::{Contender, Effort};

/// Contenders to be timed against each other.
pub struct Group {
    /// Question and size, such as `pair/16`.
    pub id: String,
    /// Who runs, in the order of the table.
    pub contenders: Vec<Contender>,
    /// Whether batches are to be longer, because starting one takes a while.
    pub slow_start: bool,
}

impl Group {
    fn new(id: impl Into<String>, contenders: Vec<Contender>) -> Self {
        Self { id: id.into(), contenders, slow_start: false }
    }

    /// The effort that this group takes where others take `effort`.
    pub fn effort(&self, effort: Effort) -> Effort {
        let factor = if self.slow_start { 5 } else { 1 };
        Effort { batch_us: effort.batch_us * factor, ..effort }
    }
}

/// A question: how its groups are found by name.
pub struct Question {
    /// The name on the command line, and the first part of the groups' names.
    pub name: &'static str,
    /// The names of its groups.
    pub groups: fn() -> Vec<String>,
    /// A group by its name.
    pub group: fn(&str) -> Group,
}

/// All of them, in the order of the page.
pub const ALL: [Question; 8] = [
    pair::QUESTION,
    tokens::QUESTION,
    create::QUESTION,
    fast::QUESTION,
    growth::QUESTION,
    threads::QUESTION,
    data::QUESTION,
    writes::QUESTION,
];

/// The group of that name.
///
/// # Panics
/// There is none.
pub fn group(id: &str) -> Group {
    let question = ALL.iter().find(|question| (question.groups)().iter().any(|group| group == id));
    (question.unwrap_or_else(|| panic!("no group is named {id}")).group)(id)
}

/// The number at the end of a group's name.
fn size(id: &str) -> usize {
    let number = id.rsplit('/').next().and_then(|number| number.parse().ok());
    number.unwrap_or_else(|| panic!("{id} has no size"))
}
