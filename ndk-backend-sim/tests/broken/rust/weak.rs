//! Tokens that can be guessed (E5), each by a predictor of its own: a region's remote ones, or its local ones. The tokens of conventional regions are others than
//! the backend's, even for the owner and odd for peers, so that none is issued twice; a request is given the backend's
//! again.

use super::notes::{End, Note};
use super::{Layer, Request, lock};
use ndk_core::mdl::MdlView;
use ndk_core::{LocalToken, RemoteToken, Result};
use std::collections::HashMap;
use std::sync::Mutex;

/// Begins the name of a provider whose local tokens are the weak ones.
const LOCAL: &str = "local_";

pub(super) fn find(name: &str) -> Option<Box<dyn Layer>> {
    let (name, is_local) = match name.strip_prefix(LOCAL) {
        Some(name) => (name, true),
        None => (name, false),
    };
    let next: fn(&mut Drawn) -> u32 = match name {
        "tokens_count" => |drawn| drawn.count.wrapping_mul(0x101).wrapping_add(0x100),
        "tokens_are_a_linear_congruence" => |drawn| {
            drawn.word = drawn.word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            drawn.word
        },
        "tokens_are_a_shift_register" => |drawn| {
            drawn.word ^= drawn.word << 13;
            drawn.word ^= drawn.word >> 17;
            drawn.word ^= drawn.word << 5;
            drawn.word
        },
        "tokens_show_the_place" => |drawn| (drawn.place as u32) << 17 | mix_of(17, drawn.count),
        "tokens_count_uses" => |drawn| mix(drawn.place as u32 + 1).wrapping_add(drawn.uses),
        "domains_go_side_by_side" => {
            |drawn| mix(drawn.count / 3 * 3).wrapping_add(77 * (drawn.count % 3))
        }
        "a_bit_is_mostly_set" => {
            |drawn| mix(drawn.count) & !0x40 | if mix(!drawn.count) & 7 > 0 { 0x40 } else { 0 }
        }
        _ => return None,
    };
    Some(Box::new(Weak { next, is_local, issued: Mutex::default() }))
}

/// A permutation of the words, whose values look like chance.
fn mix(mut word: u32) -> u32 {
    word ^= word >> 16;
    word = word.wrapping_mul(0x7feb_352d);
    word ^= word >> 15;
    word = word.wrapping_mul(0x846c_a68b);
    word ^ word >> 16
}

/// As `mix`, of numbers of so many bits.
fn mix_of(bits: u32, word: u32) -> u32 {
    let mask = (1 << bits) - 1;
    let word = word & mask;
    let word = (word ^ word >> (bits / 2)).wrapping_mul(0x7feb_352d) & mask;
    let word = (word ^ word >> (bits / 3)).wrapping_mul(0x846c_a68b) & mask;
    word ^ word >> (bits / 2)
}

/// What a generator goes by.
struct Drawn {
    /// Tokens drawn before.
    count: u32,
    word: u32,
    /// The region's place, which the next region gets when it is closed, and its registrations there.
    place: usize,
    uses: u32,
}

struct Weak {
    next: fn(&mut Drawn) -> u32,
    is_local: bool,
    issued: Mutex<Issued>,
}

struct Issued {
    drawn: Drawn,
    places: HashMap<usize, usize>,
    uses: HashMap<usize, u32>,
    now: HashMap<usize, Tokens>,
}

/// The tokens of a region that is registered, each with the backend's. 0 where there is none.
#[derive(Clone, Copy)]
struct Tokens {
    local: (u32, u32),
    remote: (u32, u32),
}

impl Default for Issued {
    fn default() -> Self {
        let drawn = Drawn { count: 1, word: 0x1234_5678, place: 0, uses: 0 };
        Self { drawn, places: HashMap::new(), uses: HashMap::new(), now: HashMap::new() }
    }
}

impl Layer for Weak {
    fn created(&self, region: &Note) {
        let mut issued = lock(&self.issued);
        let free = (0..).find(|place| !issued.places.values().any(|taken| taken == place));
        issued.places.insert(region.number, free.expect("numbers do not end"));
    }
    fn close(&self, region: &Note) -> bool {
        let mut issued = lock(&self.issued);
        issued.places.remove(&region.number);
        issued.now.remove(&region.number);
        true
    }
    fn registered(&self, region: &Note, _: &MdlView<'_>) {
        let Some(registered) = region.registered() else { return };
        let issued = &mut *lock(&self.issued);
        issued.drawn.place = issued.places[&region.number];
        let uses = issued.uses.entry(issued.drawn.place).or_default();
        issued.drawn.uses = *uses;
        *uses += 1;
        let weak = (self.next)(&mut issued.drawn);
        let strong = mix_of(31, issued.drawn.count);
        let (local, remote) = if self.is_local { (weak, strong) } else { (strong, weak) };
        let remote = if registered.remote == 0 { 0 } else { remote << 1 | 1 };
        let (local, remote) = ((local << 1, registered.local), (remote, registered.remote));
        issued.drawn.count += 1;
        issued.now.insert(region.number, Tokens { local, remote });
    }
    fn deregistered(&self, region: &Note, _: &super::Registered) {
        lock(&self.issued).now.remove(&region.number);
    }
    fn local_token(&self, region: &Note, token: Option<LocalToken>) -> Option<LocalToken> {
        let now = lock(&self.issued).now.get(&region.number).copied();
        now.map_or(token, |tokens| LocalToken::new(tokens.local.0))
    }
    fn remote_token(&self, region: &Note, token: Option<RemoteToken>) -> Option<RemoteToken> {
        let now = lock(&self.issued).now.get(&region.number).copied();
        now.map_or(token, |tokens| RemoteToken::new(tokens.remote.0))
    }
    fn post(&self, _: &End, request: &mut Request) -> Result<()> {
        let issued = lock(&self.issued);
        for element in &mut request.local {
            let token = element.token.get();
            let named = issued.now.values().find(|tokens| tokens.local.0 == token);
            let own = named.and_then(|tokens| LocalToken::new(tokens.local.1));
            element.token = own.unwrap_or(element.token);
        }
        if let Some(remote) = request.remote {
            let token = remote.token.get();
            let named = issued.now.values().find(|tokens| tokens.remote.0 == token);
            request.name(named.and_then(|tokens| RemoteToken::new(tokens.remote.1)));
        }
        Ok(())
    }
}
