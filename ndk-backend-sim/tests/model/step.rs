//! What can happen, in what courses.

use super::common::{Random, Shape};
use ndk_backend_sim::plan::Operation;
use proptest::prelude::*;

/// How the adapter goes on: which of its operations pend, and whether some fail.
#[derive(Clone, Debug)]
pub(crate) struct Course {
    pub(crate) pending: Vec<Operation>,
    pub(crate) fails: bool,
    /// What the memory looks like.
    pub(crate) seed: u64,
}

/// Operations whose pending, and failing, is varied; of each that can fail, one in so many does.
pub(crate) const VARIED: [(Operation, u32); 5] = [
    (Operation::Register, 5),
    (Operation::Deregister, 7),
    (Operation::InitializeFastRegister, 4),
    (Operation::CloseMr, 0),
    (Operation::ClosePd, 0),
];

impl Course {
    pub(crate) fn pends(&self, operation: Operation) -> bool {
        self.pending.contains(&operation)
    }

    /// Whether the occurrence of that number fails.
    pub(crate) fn fails(&self, operation: Operation, number: u32) -> bool {
        let every = VARIED.iter().find(|(varied, _)| *varied == operation).map_or(0, |(_, n)| *n);
        self.fails && every > 0 && number.is_multiple_of(every)
    }

    /// The adapter's plan. Operations take different times, so that they overtake each other.
    pub(crate) fn plan(&self, regions: usize, pages: usize) -> String {
        let mut plan =
            format!("[limits]\nregions = {regions}\npinned-pages = {pages}\n[latency]\n");
        for operation in &self.pending {
            plan += &format!("{} = \"{}us\"\n", operation.name(), 3 + 4 * *operation as u32 % 11);
        }
        for (operation, every) in VARIED {
            if self.fails && every > 0 {
                let when = if self.pends(operation) { "pending" } else { "inline" };
                plan += &format!(
                    "[[fault]]\noperation = \"{}\"\nevery = {every}\nstatus = \"timeout\"\nwhen = \"{when}\"\n",
                    operation.name()
                );
            }
        }
        plan
    }

    /// The shapes of some pieces of memory, each with its length.
    pub(crate) fn shapes(&self) -> Vec<(usize, Shape)> {
        let mut random = Random::new(self.seed);
        let shape = |length: usize| {
            let offset = *random.pick(&[0, 1, 2000, 4095]);
            let order = random.order((offset + length).div_ceil(4096));
            let cuts = vec![random.below(length + 1)];
            let address =
                random.once_in(2).then(|| (random.next() as usize >> 1) & !0xfff | offset);
            (length, Shape { offset, order, cuts, address })
        };
        [39, 700, 9000].map(shape).into()
    }
}

pub(crate) fn course() -> impl Strategy<Value = Course> {
    let operations: Vec<_> = VARIED.iter().map(|(operation, _)| *operation).collect();
    let pending = prop::sample::subsequence(operations, 0..=VARIED.len());
    (pending, any::<bool>(), 0..64_u64).prop_map(|(pending, fails, seed)| Course {
        pending,
        fails,
        seed,
    })
}

/// One step. Regions, domains and memory are places among those that there are, taken modulo their number.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    CreateDomain,
    CloseDomain(usize),
    Create {
        domain: usize,
        fast: bool,
    },
    Register {
        region: usize,
        memory: usize,
        length: Length,
        flags: u32,
    },
    Deregister(usize),
    Initialise {
        region: usize,
        pages: u32,
        remote: bool,
    },
    Close(usize),
    FastRegister {
        region: usize,
        memory: usize,
        flaw: Flaw,
        flags: u32,
    },
    Invalidate(usize),
    Access(Access),
    /// One completion of the owner's queue pair is polled.
    Poll,
    /// Two queue pairs take the place of those there are.
    Reconnect,
    /// One task runs, or time passes to where one can.
    Run,
    /// The device goes away.
    Lose,
}

/// What a peer asks of a region.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    pub(crate) region: usize,
    /// By a token of an earlier registration.
    pub(crate) stale: bool,
    pub(crate) write: bool,
    /// From where on, from the region's first byte.
    pub(crate) at: i64,
    pub(crate) length: u32,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Length {
    All,
    One,
    Zero,
    TooLong,
}

/// What is wrong with a fast registration (G4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    Base,
    Offset,
    Long,
    Empty,
}

fn flags() -> impl Strategy<Value = u32> {
    prop_oneof![8 => Just(7), 8 => prop::sample::select(&LEGAL), 1 => 0..0x40_u32]
}

const LEGAL: [u32; 12] = [0, 1, 2, 3, 5, 7, 8, 9, 10, 11, 13, 15];

fn access(place: impl Strategy<Value = usize>) -> impl Strategy<Value = Access> {
    let at = prop_oneof![9 => 0..20_i64, 1 => -2..9002_i64];
    let length = prop_oneof![8 => 1..20_u32, 1 => Just(0), 1 => 0..9002_u32];
    (place, prop::bool::weighted(0.02), any::<bool>(), at, length)
        .prop_map(|(region, stale, write, at, length)| Access { region, stale, write, at, length })
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let place = 0..8_usize;
    let length = prop_oneof![
        8 => Just(Length::All), 1 => Just(Length::One), 1 => Just(Length::Zero),
        1 => Just(Length::TooLong),
    ];
    let flaw = prop_oneof![
        12 => Just(Flaw::None), 1 => Just(Flaw::Base), 1 => Just(Flaw::Offset),
        1 => Just(Flaw::Long), 1 => Just(Flaw::Empty),
    ];
    let pages = prop_oneof![8 => 1..8_u32, 1 => Just(0), 1 => 500..600_u32];
    prop_oneof![
        2 => Just(Step::CreateDomain),
        2 => place.clone().prop_map(Step::CloseDomain),
        // Mostly in the domain of the queue pairs.
        8 => (prop_oneof![2 => Just(0), 1 => place.clone()], any::<bool>())
            .prop_map(|(domain, fast)| Step::Create { domain, fast }),
        14 => (place.clone(), place.clone(), length, flags())
            .prop_map(|(region, memory, length, flags)| Step::Register {
                region, memory, length, flags,
            }),
        8 => place.clone().prop_map(Step::Deregister),
        10 => (place.clone(), pages, prop::bool::weighted(0.7))
            .prop_map(|(region, pages, remote)| Step::Initialise { region, pages, remote }),
        3 => place.clone().prop_map(Step::Close),
        12 => (place.clone(), place.clone(), flaw, flags())
            .prop_map(|(region, memory, flaw, flags)| Step::FastRegister {
                region, memory, flaw, flags,
            }),
        6 => place.clone().prop_map(Step::Invalidate),
        20 => access(place).prop_map(Step::Access),
        9 => Just(Step::Poll),
        16 => Just(Step::Reconnect),
        22 => Just(Step::Run),
        1 => prop::bool::weighted(0.05).prop_map(|lose| if lose { Step::Lose } else { Step::Run }),
    ]
}
