//! How long a registration and its end take, beside libibverbs alone, in the same run and in turn; and how registrations
//! that are in progress together add up. `NDK_VERBS_DEVICE` names the device. Under emulation only the ratios say anything.
//!
//! `cargo bench -p ndk-backend-mlx --bench registration`
//!
//! With `NDK_REGISTRATION_COST='backend 65536 100'`, or `'raw 65536 100'`, it makes 100 pairs of that size and ends, for a
//! tool that counts.

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "../tests/common/pairs.rs"]
mod pairs;

use futures_lite::future::{block_on, poll_fn};
use ndk_core::mdl::Buffer;
use pairs::{Backend, Raw};
use std::future::Future;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

const SIZES: [usize; 5] = [4 << 10, 64 << 10, 1 << 20, 4 << 20, 16 << 20];
const ROUNDS: usize = 40;

fn main() {
    let Some(device) = common::device("NDK_VERBS_DEVICE") else { return };
    if pairs::were_asked_for(&device) {
        return;
    }
    let (raw, backend) = (Raw::open(&device), Backend::open(&device));
    by_size(&raw, &backend);
    together(&raw, &backend);
}

fn by_size(raw: &Raw, backend: &Backend) {
    println!("one pair at a time, median of {ROUNDS} rounds");
    println!("{:>9} {:>10} {:>12} {:>7}", "bytes", "raw", "backend", "ratio");
    for size in SIZES {
        let memory = Buffer::new(size).unwrap();
        let mut pairs = backend.over(&memory);
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let alone = time(|| raw.pair(&memory));
            times.push((alone, time(|| block_on(pairs.pair()))));
        }
        let alone = median(times.iter().map(|(raw, _)| raw.as_secs_f64()));
        let ours = median(times.iter().map(|(_, ours)| ours.as_secs_f64()));
        let ratio = median(times.iter().map(|(raw, ours)| ours.as_secs_f64() / raw.as_secs_f64()));
        println!("{size:>9} {:>7.0} us {:>9.0} us {ratio:>7.2}", alone * 1e6, ours * 1e6);
    }
}

/// Pairs in progress at a time, each over memory of its own, against a loop of blocking calls over the same.
fn together(raw: &Raw, backend: &Backend) {
    const SIZE: usize = 1 << 20;
    const MOST: usize = 16;
    const EACH: usize = 4;
    println!(
        "\n{MOST} regions of {SIZE} bytes, {EACH} pairs each, times the speed of a loop of raw pairs"
    );
    println!("{:>11} {:>12} {:>12}", "at a time", "raw threads", "backend");
    let memories: Vec<_> = (0..MOST).map(|_| Buffer::new(SIZE).unwrap()).collect();
    let mut pairs: Vec<_> = memories.iter().map(|memory| backend.over(memory)).collect();
    for at_a_time in [1, 2, 4, 16] {
        let mut ratios = Vec::new();
        for _ in 0..ROUNDS / 2 {
            let alone = time(|| {
                (0..EACH).for_each(|_| memories.iter().for_each(|memory| raw.pair(memory)))
            });
            let threads = time(|| {
                std::thread::scope(|scope| {
                    for part in memories.chunks(MOST / at_a_time) {
                        let work = || part.iter().for_each(|memory| raw.pair(memory));
                        scope.spawn(move || (0..EACH).for_each(|_| work()));
                    }
                });
            });
            let ours = time(|| {
                block_on(all(pairs.chunks_mut(MOST / at_a_time).map(|part| async move {
                    for _ in 0..EACH {
                        for pairs in &mut *part {
                            pairs.pair().await;
                        }
                    }
                })));
            });
            ratios.push((alone.div_duration_f64(threads), alone.div_duration_f64(ours)));
        }
        let threads = median(ratios.iter().map(|(threads, _)| *threads));
        let ours = median(ratios.iter().map(|(_, ours)| *ours));
        println!("{at_a_time:>11} {threads:>12.2} {ours:>12.2}");
    }
}

/// Waits for every future.
async fn all<F: Future<Output = ()>>(futures: impl Iterator<Item = F>) {
    let mut pending: Vec<Pin<Box<F>>> = futures.map(Box::pin).collect();
    poll_fn(|context| {
        pending.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if pending.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
