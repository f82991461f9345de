//! One thread: what it does next, again and again.

use super::common::{Host, Memory, Random, entry};
use super::ledger::Entry;
use super::wire::Wire;
use super::world::{DOMAINS, LASTING, REGIONS, World, read};
use ndk_core::abi::*;
use std::ptr::{addr_of, null_mut};
use std::time::Instant;

pub(crate) struct Worker<'a> {
    world: &'a World,
    random: Random,
    wire: Wire<'a>,
}

impl<'a> Worker<'a> {
    pub(crate) fn new(world: &'a World, host: &'a Host, mut random: Random) -> Self {
        let domain = random.below(LASTING);
        Self { world, random, wire: Wire::new(world, host, domain) }
    }

    /// Goes on until the time is over; gives the number of work requests.
    pub(crate) fn run(mut self, end: Instant) -> u64 {
        while Instant::now() < end {
            // The clock is asked now and then only.
            (0..50).for_each(|_| self.step());
        }
        self.wire.finish()
    }

    fn step(&mut self) {
        let (world, random) = (self.world, &mut self.random);
        let place = random.below(REGIONS);
        match random.below(100) {
            0..45 => self.with_region(place, World::ask),
            45..57 => self.with_region(place, |world, random, _, life| world.misuse(random, life)),
            // Seldom beside the rest, so that most requests come to their own end.
            57 if random.once_in(5) => world.close_region(place),
            58 if random.once_in(5) => self.domain(),
            59..61 => self.map(),
            _ => self.wire.work(random),
        }
    }

    /// Does something with the region of a place, which is held meanwhile; one that is empty is filled in time.
    fn with_region(
        &mut self,
        place: usize,
        act: impl FnOnce(&World, &mut Random, usize, &std::sync::Arc<super::world::Life>),
    ) {
        let region = read(&self.world.regions[place]);
        match region.as_ref() {
            Some(life) => act(self.world, &mut self.random, place, life),
            None => {
                drop(region);
                self.world.create_region(&mut self.random, place);
            }
        }
    }

    /// One of the domains that come and go.
    fn domain(&mut self) {
        let place = LASTING + self.random.below(DOMAINS - LASTING);
        let there = read(&self.world.domains[place]).is_some();
        match there {
            true if self.random.once_in(4) => self.world.close_domain(place),
            true => {}
            false => self.world.create_domain(place),
        }
    }

    /// Builds a mapping, and releases it where that was done.
    fn map(&mut self) {
        let world = self.world;
        let memory: &Memory = self.random.pick(&world.memory);
        let (adapter, mdl) = (world.adapter, memory.mdl().as_ptr());
        let mut buffer = [0_u64; 32];
        let mut size = if self.random.once_in(3) { 20 } else { size_of_val(&buffer) as u32 };
        let (mut fbo, lam) = (0, buffer.as_mut_ptr().cast());
        // SAFETY: the adapter is open, the chain alive, the buffer as large as its size says. Without a completion
        // nothing pends (L6): where the plan asks for that, the build is refused.
        let status = unsafe {
            let build = entry!(adapter, NdkBuildLAM);
            let (raw, length) = (adapter.as_ptr(), memory.len());
            let status = build(raw, mdl, length, None, null_mut(), lam, &mut size, &mut fbo);
            if status == STATUS_SUCCESS {
                entry!(adapter, NdkReleaseLAM)(raw, lam);
            }
            status
        };
        world.ledger.note(Entry::BuildLam, status);
        let legal = [
            STATUS_SUCCESS,
            STATUS_BUFFER_TOO_SMALL,
            STATUS_INSUFFICIENT_RESOURCES,
            STATUS_INVALID_PARAMETER,
        ];
        world.expect(Entry::BuildLam, status, &legal);
    }
}
