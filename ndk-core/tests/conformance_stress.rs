//! Many threads on shared regions, under an executor and a provider that misbehave.
#![cfg(feature = "std")]

mod stress;
mod tiny;

use std::sync::atomic::Ordering;
use stress::{Load, Moody, run};
use tiny::Tiny;

/// As many regions as there can be; far fewer live at a time.
const ROOM: usize = 64;

/// `NDK_STRESS_ROUNDS` makes it longer: calls of each thread.
fn rounds() -> usize {
    let asked = std::env::var("NDK_STRESS_ROUNDS").ok();
    asked.map_or(20_000, |rounds| rounds.parse().expect("NDK_STRESS_ROUNDS is a number"))
}

#[test]
fn every_pending_gets_its_callback_and_nothing_is_left() {
    let tiny = Tiny::with_region_limit(ROOM);
    let (mood, room) = (tiny.mood(), tiny.room());
    mood.prompt_close.store(true, Ordering::Relaxed);
    let load = Load { threads: 8, rounds: rounds(), seed: 1 };
    let totals = run(tiny, Moody::new(), load, |number| match number {
        0..=49 => mood.yields.store(number % 4 != 0, Ordering::Relaxed),
        50..=59 => mood.panics.store(true, Ordering::Relaxed),
        60..=79 => mood.fails.store(true, Ordering::Relaxed),
        80 => mood.lost.store(true, Ordering::Relaxed),
        81..=99 => mood.lost.store(false, Ordering::Relaxed),
        _ => {}
    });
    assert_eq!(room(), ROOM, "H6: every region is freed");
    let pendings = totals.pendings.load(Ordering::Relaxed);
    println!("{} calls, {pendings} of them pending", totals.calls.load(Ordering::Relaxed));
    assert!(pendings > rounds(), "few requests pended: {pendings}");
}
