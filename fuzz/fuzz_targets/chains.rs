//! MDL chains: the view makes of them what the model of the core's tests does, and reads no byte beyond them.
#![no_main]

#[allow(dead_code, reason = "the tests draw their chains by strategies")]
#[path = "../../ndk-core/tests/mdl_view/chain.rs"]
mod chain;

use chain::{Damage, Element, MASK, apply, check, length_of};
use libfuzzer_sys::fuzz_target;
use ndk_core::abi::PAGE_SIZE;
use ndk_fuzz::Choices;

fn elements(choices: &mut Choices<'_>) -> Vec<Element> {
    let mut at = match choices.below(3) {
        0 => 0x10_0000 + choices.number() as usize % (8 * PAGE_SIZE),
        1 => choices.number() as usize,
        _ => 0_usize.wrapping_sub(choices.number() as usize % (8 * PAGE_SIZE)),
    };
    // Joints inside a page share the frame, unless something is damaged.
    let mut last = None;
    let mut element = |choices: &mut Choices<'_>| {
        let count = choices.number() as usize % (9 * PAGE_SIZE);
        let first = last.filter(|_| at & MASK != 0).unwrap_or(choices.number() as usize);
        let element = Element::new(at, count, first);
        at = at.wrapping_add(count);
        if count > 0 {
            last = element.frames.last().copied();
        }
        element
    };
    let mut elements = vec![element(choices)];
    elements.extend(choices.some(6, element));
    elements
}

fn damage(choices: &mut Choices<'_>) -> Damage {
    let number = choices.number();
    match choices.below(6) {
        0 => Damage::Move(number as i8),
        1 => Damage::Frame(number as usize),
        2 => Damage::Flags(number as i16),
        3 => Damage::Short(number as i16 % 49),
        4 => Damage::Offset(4090 + number % 10),
        _ => Damage::Unalign(number as u8),
    }
}

fuzz_target!(|input: &[u8]| {
    let choices = &mut Choices::new(input);
    let mut elements = elements(choices);
    for _ in 0..choices.below(4) {
        let place = choices.below(elements.len());
        apply(&mut elements[place], &damage(choices));
    }
    let back = choices.once_in(4).then(|| choices.below(elements.len()));
    let length = choices.number();
    check(&elements, back, length_of(&elements, length));
});
