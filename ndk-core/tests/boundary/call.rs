//! What can be called, with what arguments.

use crate::chain::{Chain, Length, chain, length};
use proptest::prelude::*;

/// Which object an entry is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Object {
    Right,
    Null,
    /// A live object of another type.
    Wrong,
}

/// A call of an entry; `region` and `domain` are places in the list of live ones, taken modulo its length.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    CreatePd { object: Object, completion: bool, out: bool },
    CreateMr { domain: usize, object: Object, fast: bool, completion: bool, out: bool },
    Register(Register),
    Deregister { region: usize, object: Object, completion: bool },
    Initialise { region: usize, object: Object, pages: u32, remote: bool, completion: bool },
    CloseMr { region: usize, object: Object, completion: bool },
    ClosePd { domain: usize, object: Object, completion: bool },
    Tokens { region: usize, object: Object },
    Query { region: usize, object: Object, id: bool, out: bool },
    CreateOther { object: Object, completion: bool },
    Info { object: Object, size: Option<u32>, info: bool },
    BuildLam { object: Object, chain: Chain, length: Length, room: usize, fbo: bool },
    Mood(Mood),
}

#[derive(Clone, Debug)]
pub(crate) struct Register {
    pub(crate) region: usize,
    pub(crate) object: Object,
    pub(crate) chain: Chain,
    pub(crate) length: Length,
    pub(crate) flags: u32,
    pub(crate) completion: bool,
}

impl Call {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Call::CreatePd { .. } => "create pd",
            Call::CreateMr { .. } => "create mr",
            Call::Register(_) => "register",
            Call::Deregister { .. } => "deregister",
            Call::Initialise { .. } => "initialise",
            Call::CloseMr { .. } => "close mr",
            Call::ClosePd { .. } => "close pd",
            Call::Tokens { .. } => "tokens",
            Call::Query { .. } => "query",
            Call::CreateOther { .. } => "create other",
            Call::Info { .. } => "info",
            Call::BuildLam { .. } => "build lam",
            Call::Mood(_) => "(mood)",
        }
    }
}

/// A change of what goes on below.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mood {
    /// Operations pend from now on, or no longer.
    Yields(bool),
    /// The executor drops every task from now on, or no longer.
    Drops(bool),
    /// The device is gone, or is back, which no real one does.
    Lost(bool),
    /// The next operation of a region panics.
    Panic,
    /// The next operation of a region fails.
    Fail,
}

fn object() -> impl Strategy<Value = Object> {
    prop_oneof![18 => Just(Object::Right), 1 => Just(Object::Null), 1 => Just(Object::Wrong)]
}

/// Mostly there.
fn given() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.95)
}

fn flags() -> impl Strategy<Value = u32> {
    prop_oneof![
        8 => prop::sample::select(vec![0_u32, 1, 2, 3, 5, 7, 8, 9, 10, 11, 13, 15]),
        1 => prop::sample::select(vec![4_u32, 6, 12, 14]),
        1 => any::<u32>(),
    ]
}

fn mood() -> impl Strategy<Value = Mood> {
    prop_oneof![
        4 => any::<bool>().prop_map(Mood::Yields),
        1 => prop::bool::weighted(0.3).prop_map(Mood::Drops),
        2 => prop::bool::weighted(0.2).prop_map(Mood::Lost),
        1 => Just(Mood::Panic),
        2 => Just(Mood::Fail),
    ]
}

pub(crate) fn call() -> impl Strategy<Value = Call> {
    let place = 0..16_usize;
    let pages = prop_oneof![Just(0_u32), 1..=16_u32, Just(17), any::<u32>()];
    let size = prop::option::weighted(0.9, prop_oneof![Just(0_u32), 80..120_u32, any::<u32>()]);
    let register = (place.clone(), object(), chain(), length(), flags(), given()).prop_map(
        |(region, object, chain, length, flags, completion)| {
            Call::Register(Register { region, object, chain, length, flags, completion })
        },
    );
    prop_oneof![
        1 => (object(), given(), given())
            .prop_map(|(object, completion, out)| Call::CreatePd { object, completion, out }),
        3 => (place.clone(), object(), any::<bool>(), given(), given()).prop_map(
            |(domain, object, fast, completion, out)| Call::CreateMr {
                domain, object, fast, completion, out,
            }
        ),
        8 => register,
        4 => (place.clone(), object(), given()).prop_map(
            |(region, object, completion)| Call::Deregister { region, object, completion }
        ),
        3 => (place.clone(), object(), pages, any::<bool>(), given()).prop_map(
            |(region, object, pages, remote, completion)| Call::Initialise {
                region, object, pages, remote, completion,
            }
        ),
        2 => (place.clone(), object(), given())
            .prop_map(|(region, object, completion)| Call::CloseMr { region, object, completion }),
        1 => (place.clone(), object(), given())
            .prop_map(|(domain, object, completion)| Call::ClosePd { domain, object, completion }),
        2 => (place.clone(), object()).prop_map(|(region, object)| Call::Tokens { region, object }),
        1 => (place, object(), given(), given())
            .prop_map(|(region, object, id, out)| Call::Query { region, object, id, out }),
        1 => (object(), given())
            .prop_map(|(object, completion)| Call::CreateOther { object, completion }),
        1 => (object(), size, given())
            .prop_map(|(object, size, info)| Call::Info { object, size, info }),
        1 => (object(), chain(), length(), 0..8_usize, given()).prop_map(
            |(object, chain, length, room, fbo)| Call::BuildLam { object, chain, length, room, fbo }
        ),
        3 => mood().prop_map(Call::Mood),
    ]
}
