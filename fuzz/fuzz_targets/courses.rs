//! Courses of requests that overlap, on the simulator, beside the model of its tests: states, tokens, completions, bytes.
#![no_main]

#[path = "../../ndk-backend-sim/tests/common/mod.rs"]
mod common;
#[path = "../../ndk-backend-sim/tests/model/model.rs"]
mod model;
#[path = "../../ndk-backend-sim/tests/model/region.rs"]
mod region;
#[path = "../../ndk-backend-sim/tests/model/run.rs"]
mod run;
#[allow(dead_code, reason = "the tests draw their steps by a strategy")]
#[path = "../../ndk-backend-sim/tests/model/step.rs"]
mod step;

use libfuzzer_sys::fuzz_target;
use ndk_fuzz::Choices;
use step::{Access, Course, Flaw, Length, Step, VARIED};

fn course(choices: &mut Choices<'_>) -> Course {
    let operations = VARIED.iter().map(|(operation, _)| *operation);
    let pending = operations.filter(|_| choices.yes()).collect();
    Course { pending, fails: choices.yes(), seed: choices.below(64) as u64 }
}

fn step(choices: &mut Choices<'_>) -> Step {
    let kind = choices.below(32);
    let place = choices.below(8);
    match kind {
        0 => Step::CreateDomain,
        1 => Step::CloseDomain(place),
        2..5 => Step::Create { domain: place / 4, fast: choices.yes() },
        5..9 => {
            let (memory, flags) = (choices.below(3), choices.number());
            let length = match choices.below(8) {
                0 => Length::One,
                1 => Length::Zero,
                2 => Length::TooLong,
                _ => Length::All,
            };
            Step::Register { region: place, memory, length, flags }
        }
        9..12 => Step::Deregister(place),
        12..15 => {
            Step::Initialise { region: place, pages: choices.number(), remote: choices.yes() }
        }
        15 => Step::Close(place),
        16..19 => {
            let (memory, flags) = (choices.below(3), choices.number() & 0xf);
            let flaw = match choices.below(16) {
                0 => Flaw::Base,
                1 => Flaw::Offset,
                2 => Flaw::Long,
                3 => Flaw::Empty,
                _ => Flaw::None,
            };
            Step::FastRegister { region: place, memory, flaw, flags }
        }
        19..21 => Step::Invalidate(place),
        21..25 => {
            let (stale, write) = (choices.once_in(16), choices.yes());
            let (at, length) = (choices.number() % 9003, choices.number() % 9003);
            Step::Access(Access { region: place, stale, write, at: i64::from(at) - 2, length })
        }
        25..27 => Step::Poll,
        27 => Step::Reconnect,
        _ if choices.once_in(128) => Step::Lose,
        _ => Step::Run,
    }
}

fuzz_target!(|input: &[u8]| {
    let choices = &mut Choices::new(input);
    let mut counts = run::Counts::new();
    let mut run = run::Run::new(course(choices), &mut counts);
    while choices.more() {
        run.step(&step(choices));
    }
    run.end();
});
