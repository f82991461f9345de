//! How the pair grows with the number of live regions: one region again and again, and any region at random.

use super::pair::{STATIC, TWIN, memory};
use super::{Group, Question};
use crate::objects::{Adapter, Region};
use crate::providers::{static_adapter, twin_adapter};
use crate::rounds::{Batch, Contender, repeat};
use std::sync::Arc;

pub(super) const QUESTION: Question = Question { name: "growth", groups, group };

/// How many regions are live.
pub const LIVE: [usize; 4] = [1, 1_000, 100_000, 1_000_000];

/// Pairs before the first is timed. The simulator's token table doubles at about a million, and then moves its tokens a few
/// with each insert, for 262,144 of them.
const SETTLING: u64 = 300_000;

/// The names of the two groups.
pub const HOT: &str = "growth/hot";
/// As above.
pub const CHURN: &str = "growth/churn";

fn groups() -> Vec<String> {
    vec![HOT.into(), CHURN.into()]
}

/// A contender's name: whose regions, and how many are live.
pub fn name(provider: &str, live: usize) -> String {
    format!("{provider}, {live} live")
}

fn group(id: &str) -> Group {
    let work: fn(Arc<Adapter>, usize) -> Batch = if id == HOT { hot } else { churn };
    let table = |provider, open: fn() -> Arc<Adapter>| {
        LIVE.map(|live| Contender::new(name(provider, live), move || settled(work(open(), live))))
    };
    let room = || twin_adapter(1_000_001);
    let mut contenders = Vec::from(table(STATIC, static_adapter));
    contenders.extend(table(TWIN, room));
    contenders.extend(libfabric(id));
    Group::new(id, contenders)
}

fn settled(mut batch: Batch) -> Batch {
    batch(SETTLING);
    batch
}

fn live_regions(adapter: Arc<Adapter>, live: usize, register: impl Fn(&Region)) -> Vec<Region> {
    let domain = adapter.domain();
    let regions = (0..live).map(|_| {
        let region = domain.region(false);
        register(&region);
        region
    });
    regions.collect()
}

/// The regions share one page of memory: what grows is the provider, not the memory that is registered.
fn hot(adapter: Arc<Adapter>, live: usize) -> Batch {
    let mdl = memory(1).1;
    let regions = live_regions(adapter, live, |region| region.register(&mdl));
    let kept = (regions, mdl);
    repeat(move || {
        let region = &kept.0[0];
        region.deregister();
        region.register(&kept.1);
    })
}

fn churn(adapter: Arc<Adapter>, live: usize) -> Batch {
    let mdl = memory(1).1;
    let regions = live_regions(adapter, live, |region| region.register(&mdl));
    let mut random = fastrand::Rng::with_seed(1);
    let kept = (regions, mdl);
    repeat(move || {
        let region = &kept.0[random.usize(0..kept.0.len())];
        region.deregister();
        region.register(&kept.1);
    })
}

#[cfg(libfabric)]
fn libfabric(id: &str) -> Vec<Contender> {
    use super::pair::SHM;
    use crate::fabric::Fabric;

    let is_hot = id == HOT;
    let work = move |live| {
        let fabric = Fabric::open(c"shm");
        let memory = memory(1).0;
        let mut random = fastrand::Rng::with_seed(1);
        let register = move |fabric: &Fabric| fabric.register(memory.as_ptr(), memory.len());
        let mut regions: Vec<_> = (0..live).map(|_| Some(register(&fabric))).collect();
        repeat(move || {
            let place = if is_hot { 0 } else { random.usize(0..regions.len()) };
            regions[place] = None;
            regions[place] = Some(register(&fabric));
        })
    };
    LIVE.map(|live| Contender::new(name(SHM, live), move || settled(work(live)))).into()
}

#[cfg(not(libfabric))]
fn libfabric(_: &str) -> Vec<Contender> {
    Vec::new()
}
