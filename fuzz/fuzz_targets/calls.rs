//! Sequences of calls at the C boundary, with any flags, lengths, chains and objects: each comes to what the model of the
//! core's tests says, and nothing is left.
#![no_main]

#[allow(dead_code, reason = "the tests draw their calls by a strategy, and count by their names")]
#[path = "../../ndk-core/tests/boundary/call.rs"]
mod call;
#[allow(dead_code, reason = "as above")]
#[path = "../../ndk-core/tests/boundary/chain.rs"]
mod chain;
#[path = "../../ndk-core/tests/boundary/compare.rs"]
mod compare;
#[path = "../../ndk-core/tests/boundary/model.rs"]
mod model;
#[path = "../../ndk-core/tests/boundary/other_calls.rs"]
mod other_calls;
#[path = "../../ndk-core/tests/tiny/mod.rs"]
mod tiny;
#[path = "../../ndk-core/tests/boundary/world.rs"]
mod world;

use call::{Call, Mood, Object, Register};
use chain::{Chain, Damage, Length};
use libfuzzer_sys::fuzz_target;
use ndk_fuzz::Choices;

fn object(choices: &mut Choices<'_>) -> Object {
    match choices.below(20) {
        18 => Object::Null,
        19 => Object::Wrong,
        _ => Object::Right,
    }
}

fn chain(choices: &mut Choices<'_>) -> Chain {
    const STARTS: [usize; 6] =
        [0x10_0000, 0x10_0001, 0x10_0fff, 0, usize::MAX - 0x1fff, usize::MAX - 0x5fff];
    const DAMAGES: [Damage; 10] = [
        Damage::None,
        Damage::Null,
        Damage::Gap,
        Damage::Overlap,
        Damage::Unlocked,
        Damage::WideOffset,
        Damage::CrookedStart,
        Damage::SmallSize,
        Damage::OtherFrame,
        Damage::Loop,
    ];
    let start = choices.pick(&STARTS);
    let mut counts = vec![choices.number() % 20_000];
    counts.extend(choices.some(3, |choices| choices.number() % 20_000));
    let damage = if choices.yes() { Damage::None } else { choices.pick(&DAMAGES) };
    Chain::new(start, &counts, damage, choices.below(counts.len()))
}

fn length(choices: &mut Choices<'_>) -> Length {
    use Length::*;
    choices.pick(&[All, Half, One, Zero, OneMore, Absurd])
}

fn call(choices: &mut Choices<'_>) -> Call {
    let kind = choices.below(24);
    let object = object(choices);
    let (region, domain) = (choices.below(16), choices.below(16));
    let completion = !choices.once_in(20);
    match kind {
        0 => Call::CreatePd { object, completion, out: !choices.once_in(20) },
        1..4 => {
            let (fast, out) = (choices.yes(), !choices.once_in(20));
            Call::CreateMr { domain, object, fast, completion, out }
        }
        4..9 => {
            let (chain, length) = (chain(choices), length(choices));
            let flags = choices.number();
            Call::Register(Register { region, object, chain, length, flags, completion })
        }
        9..12 => Call::Deregister { region, object, completion },
        12..14 => {
            let (pages, remote) = (choices.number(), choices.yes());
            Call::Initialise { region, object, pages, remote, completion }
        }
        14 => Call::CloseMr { region, object, completion },
        15 => Call::ClosePd { domain, object, completion },
        16 => Call::Tokens { region, object },
        17 => Call::Query { region, object, id: choices.yes(), out: choices.yes() },
        18 => Call::CreateOther { object, completion },
        19 => {
            let size = (!choices.once_in(10)).then(|| choices.number());
            Call::Info { object, size, info: !choices.once_in(10) }
        }
        20 => {
            let (chain, length) = (chain(choices), length(choices));
            let (room, fbo) = (choices.below(8), !choices.once_in(20));
            Call::BuildLam { object, chain, length, room, fbo }
        }
        21 => Call::Mood(Mood::Yields(choices.yes())),
        22 => Call::Mood(match choices.below(4) {
            0 => Mood::Drops(choices.once_in(4)),
            _ => Mood::Lost(choices.once_in(4)),
        }),
        _ => Call::Mood(if choices.yes() { Mood::Panic } else { Mood::Fail }),
    }
}

fuzz_target!(|input: &[u8]| {
    let choices = &mut Choices::new(input);
    let calls: Vec<_> = std::iter::from_fn(|| choices.more().then(|| call(choices))).collect();
    compare::run(&calls, |_, _| {});
});
