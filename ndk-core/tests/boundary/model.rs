//! What the contract says of each call: a model that knows nothing of the framework.

use crate::call::{Call, Mood, Object, Register};
use crate::tiny::FAST_PAGES;
use ndk_core::abi::*;

/// Regions at a time.
pub(crate) const REGIONS: usize = 6;
/// MaxRegistrationSize.
pub(crate) const MAX_REGISTRATION: usize = 9000;

/// A region as a consumer may know it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Region {
    pub(crate) fast: bool,
    pub(crate) poisoned: bool,
    /// Local and remote token are there.
    pub(crate) tokens: (bool, bool),
    pub(crate) domain: u64,
}

/// What a call comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    /// The final status.
    pub(crate) status: NTSTATUS,
    /// Whether it comes through the callback, after PENDING.
    pub(crate) pends: bool,
}

/// The state of everything.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) regions: Vec<Region>,
    /// Numbers of the open domains.
    pub(crate) domains: Vec<u64>,
    made: u64,
    yields: bool,
    drops: bool,
    lost: bool,
    panics: bool,
    fails: bool,
}

const fn inline(status: NTSTATUS) -> Expected {
    Expected { status, pends: false }
}

const INVALID: Expected = inline(STATUS_INVALID_PARAMETER);
const STATE: Expected = inline(STATUS_INVALID_DEVICE_STATE);

impl Model {
    /// Whether the call can be made: there is what it is about, and it closes no domain that is still needed.
    pub(crate) fn allows(&self, call: &Call) -> bool {
        match *call {
            Call::Register(Register { region, .. })
            | Call::Deregister { region, .. }
            | Call::Initialise { region, .. }
            | Call::CloseMr { region, .. }
            | Call::Tokens { region, .. }
            | Call::Query { region, .. } => region < self.regions.len() * 3,
            Call::ClosePd { domain, .. } => {
                let domain = self.domains[domain % self.domains.len()];
                self.domains.len() > 1 && self.regions.iter().all(|region| region.domain != domain)
            }
            _ => true,
        }
    }

    /// What `call` comes to, and the state after it.
    pub(crate) fn step(&mut self, call: &Call) -> Expected {
        match *call {
            Call::CreatePd { object, completion, out } => {
                let expected = self.creation(object, completion, out, 0);
                if expected.status == STATUS_SUCCESS {
                    self.made += 1;
                    self.domains.push(self.made);
                }
                expected
            }
            Call::CreateMr { domain, object, fast, completion, out } => {
                let used = self.regions.len();
                let expected = self.creation(object, completion, out, used);
                if expected.status == STATUS_SUCCESS {
                    let domain = self.domains[domain % self.domains.len()];
                    self.regions.push(Region { fast, domain, ..Region::default() });
                }
                expected
            }
            Call::Register(ref register) => self.register(register),
            Call::Deregister { region, object, completion } => {
                let expected = self.check(region, object, completion, |region| {
                    if region.fast || !region.tokens.0 { Some(STATE) } else { None }
                });
                self.operate(region, expected, |region| region.tokens = (false, false))
            }
            Call::Initialise { region, object, pages, remote, completion } => {
                let expected = self.check(region, object, completion, |region| match pages {
                    _ if !region.fast => Some(STATE),
                    0 => Some(INVALID),
                    1..=FAST_PAGES => None,
                    _ => Some(inline(STATUS_IMPLEMENTATION_LIMIT)),
                });
                self.operate(region, expected, |region| region.tokens = (true, remote))
            }
            Call::CloseMr { region, object, completion } => {
                if object != Object::Right || !completion {
                    return INVALID;
                }
                let place = region % self.regions.len();
                self.regions.remove(place);
                Expected { status: STATUS_SUCCESS, pends: self.yields }
            }
            Call::ClosePd { domain, object, completion } => {
                if object != Object::Right || !completion {
                    return INVALID;
                }
                let place = domain % self.domains.len();
                self.domains.remove(place);
                inline(STATUS_SUCCESS)
            }
            Call::Tokens { .. } => inline(STATUS_SUCCESS),
            Call::Query { region, object, id, out } => {
                let poisoned = self.region(region).poisoned;
                match (object, id && out) {
                    (Object::Right, true) if poisoned => inline(STATUS_INTERNAL_ERROR),
                    (Object::Right, true) => inline(STATUS_NOT_SUPPORTED),
                    _ => INVALID,
                }
            }
            Call::CreateOther { object, completion } => match (object, completion) {
                (Object::Right, true) => inline(STATUS_NOT_SUPPORTED),
                _ => INVALID,
            },
            Call::Info { object, size, info } => match (object, size) {
                (Object::Right, Some(size)) => {
                    let enough = info && size as usize >= size_of::<NDK_ADAPTER_INFO>();
                    inline(if enough { STATUS_SUCCESS } else { STATUS_BUFFER_TOO_SMALL })
                }
                _ => INVALID,
            },
            Call::BuildLam { object, ref chain, length, room, fbo } => {
                self.build(object, chain, chain.bytes(length), room, fbo)
            }
            Call::Mood(mood) => {
                match mood {
                    Mood::Yields(yields) => self.yields = yields,
                    Mood::Drops(drops) => self.drops = drops,
                    Mood::Lost(lost) => self.lost = lost,
                    Mood::Panic => self.panics = true,
                    Mood::Fail => self.fails = true,
                }
                inline(STATUS_SUCCESS)
            }
        }
    }

    /// The tokens that a region shows: whether each is one.
    pub(crate) fn tokens(&self, region: usize) -> (bool, bool) {
        let region = self.region(region);
        if region.poisoned { (false, false) } else { region.tokens }
    }

    fn region(&self, region: usize) -> Region {
        self.regions[region % self.regions.len()]
    }

    /// Creations, of which `used` count against the limit.
    fn creation(&self, object: Object, completion: bool, out: bool, used: usize) -> Expected {
        if object != Object::Right || !completion || !out {
            return INVALID;
        }
        if self.lost {
            return inline(STATUS_DEVICE_REMOVED);
        }
        let room = used < REGIONS;
        let status = if room { STATUS_SUCCESS } else { STATUS_INSUFFICIENT_RESOURCES };
        self.pending(status)
    }

    fn pending(&self, status: NTSTATUS) -> Expected {
        let status = if self.yields && self.drops { STATUS_CANCELLED } else { status };
        Expected { status, pends: self.yields }
    }

    fn register(&mut self, register: &Register) -> Expected {
        let Register { region, object, ref chain, length, flags, completion } = *register;
        let length = chain.bytes(length);
        let expected = self.check(region, object, completion, |region| {
            let legal = flags & !0xf == 0 && flags & 0x5 != 0x4;
            match region {
                Region { fast: true, .. } | Region { tokens: (true, _), .. } => Some(STATE),
                _ if legal && chain.is_good(length) && length <= MAX_REGISTRATION => None,
                _ => Some(INVALID),
            }
        });
        self.operate(region, expected, |region| region.tokens = (true, flags & 0x6 != 0))
    }

    /// What every request is checked for before anything starts: the object, what is its own, the device. `None`
    /// where it starts.
    fn check(
        &self,
        region: usize,
        object: Object,
        completion: bool,
        own: impl FnOnce(&Region) -> Option<Expected>,
    ) -> Option<Expected> {
        if object != Object::Right || !completion {
            return Some(INVALID);
        }
        let region = self.region(region);
        if region.poisoned {
            return Some(inline(STATUS_INTERNAL_ERROR));
        }
        own(&region).or(self.lost.then_some(inline(STATUS_DEVICE_REMOVED)))
    }

    /// A request that reaches the provider, unless it was refused.
    fn operate(
        &mut self,
        region: usize,
        refused: Option<Expected>,
        change: impl FnOnce(&mut Region),
    ) -> Expected {
        if let Some(refused) = refused {
            return refused;
        }
        let expected = self.pending(STATUS_SUCCESS);
        if expected.status == STATUS_CANCELLED {
            return expected;
        }
        let place = region % self.regions.len();
        let region = &mut self.regions[place];
        if std::mem::take(&mut self.panics) {
            region.poisoned = true;
            return Expected { status: STATUS_INTERNAL_ERROR, ..expected };
        }
        if std::mem::take(&mut self.fails) {
            return Expected { status: STATUS_INSUFFICIENT_RESOURCES, ..expected };
        }
        change(region);
        expected
    }

    fn build(
        &self,
        object: Object,
        chain: &crate::chain::Chain,
        length: usize,
        room: usize,
        fbo: bool,
    ) -> Expected {
        if object != Object::Right {
            return INVALID;
        }
        if self.lost {
            return inline(STATUS_DEVICE_REMOVED);
        }
        if !fbo || !chain.is_good(length) {
            return INVALID;
        }
        let fits = room >= chain.pages(length);
        if fits { self.pending(STATUS_SUCCESS) } else { inline(STATUS_BUFFER_TOO_SMALL) }
    }
}
