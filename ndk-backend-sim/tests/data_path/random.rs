//! Random regions and random requests, compared with arrays of bytes.

use super::common::{Lam, Memory, Mr, Net, Pd, Qp, Random, Shape, privileged, sge};
use super::{LOCAL, READ, SINK, WRITE};
use ndk_core::abi::*;
use ndk_core::{Access, ErrorKind, LocalToken, RemoteAddress, Sge};

const FLAGS: [ULONG; 16] = [0, 1, 2, 3, 5, 7, 8, 9, 10, 11, 13, 15, 15, 15, 15, 15];

/// A region, and what its bytes should be.
struct Area {
    memory: Memory,
    model: Vec<u8>,
    mr: Mr,
    /// What it counts from; its memory's own address where it is registered conventionally.
    base: u64,
    flags: ULONG,
    lam: Lam,
}

struct Side {
    areas: Vec<Area>,
    privileged: LocalToken,
}

fn memory(random: &mut Random) -> Memory {
    let length = random.length(30_000) + 1;
    let offset = *random.pick(&[0, 1, 63, 2000, 4095]);
    let count = (offset + length).div_ceil(4096);
    // Some pages lie side by side in the host, most do not, and some between are no region's.
    let mut order = random.order(count + 3);
    if random.once_in(3) {
        order.sort_unstable();
    }
    order.truncate(count);
    let cuts = (0..random.below(4)).map(|_| random.below(length + 1)).collect();
    let address = random.once_in(2).then(|| (random.next() as usize >> 1) & !0xfff | offset);
    Memory::shaped(length, Shape { offset, order, cuts, address })
}

impl Side {
    /// Some regions of a domain, registered in either way; what is posted for it goes to `qp`.
    fn new(random: &mut Random, host: &super::common::Host, pd: &Pd, qp: &Qp) -> Self {
        let area = |_| {
            let memory = memory(random);
            let (salt, flags) = (random.next() as u8, *random.pick(&FLAGS));
            let (model, lam) = (memory.fill(salt), host.map(&memory));
            if random.once_in(2) {
                let mr = pd.registered(&memory, flags);
                return Area { base: memory.base(), memory, model, mr, flags, lam };
            }
            let mr = pd.fast_mr(lam.pages.len() as u32, true);
            let described = lam.memory(random.next() >> 1 & !0xfff);
            let access = Access::from_flags(flags).expect("legal flags");
            qp.fast_register(&mr, described, access).expect("posted");
            assert_eq!(qp.outcome(), Ok(0));
            Area { base: described.base, memory, model, mr, flags, lam }
        };
        let areas = (0..4).map(area).collect();
        Self { areas, privileged: privileged(pd.privileged_token()) }
    }

    /// Some elements, and which bytes of which areas they are; seldom one is out of bounds.
    fn elements(&self, random: &mut Random, wild: bool) -> Vec<Element> {
        let count = random.below(5);
        let element = |_| {
            let index = random.below(self.areas.len());
            let area = &self.areas[index];
            let logical = random.once_in(4);
            let length = random.length(area.model.len());
            let mut at = random.below(area.model.len() - length + 1) as i64;
            if length == 0 {
                // Not beyond the last page, where no logical address is.
                at = 0;
            }
            if wild && !logical && random.once_in(2) {
                at = *random.pick(&[-1, area.model.len() as i64 - length as i64 + 1]);
            }
            let sge = match logical {
                true => sge(self.privileged, area.lam.address(at as usize), length as u32),
                false => sge(
                    LocalToken::new(area.mr.local_value()).expect("a token"),
                    area.base.wrapping_add_signed(at),
                    length as u32,
                ),
            };
            Element { index, at, length, logical, sge }
        };
        (0..count).map(element).collect()
    }
}

/// An element of a request, and what it should mean.
struct Element {
    index: usize,
    at: i64,
    length: usize,
    logical: bool,
    sge: Sge,
}

impl Element {
    /// Whether it may be used: it is inside, and has one of these rights where it needs one.
    fn is_legal(&self, side: &Side, needs: Option<ULONG>) -> bool {
        let area = &side.areas[self.index];
        let inside = self.length == 0
            || (self.at >= 0 && self.at as usize + self.length <= area.model.len());
        let allowed = self.logical || needs.is_none_or(|flags| area.flags & flags != 0);
        inside && allowed
    }

    fn bytes<'a>(&self, side: &'a Side) -> &'a [u8] {
        match self.length {
            0 => &[],
            length => &side.areas[self.index].model[self.at as usize..][..length],
        }
    }
}

fn gather(side: &Side, elements: &[Element]) -> Vec<u8> {
    elements.iter().flat_map(|element| element.bytes(side)).copied().collect()
}

fn scatter(side: &mut Side, elements: &[Element], mut bytes: &[u8]) {
    for element in elements {
        let (part, rest) = bytes.split_at(element.length.min(bytes.len()));
        if !part.is_empty() {
            let model = &mut side.areas[element.index].model;
            model[element.at as usize..][..part.len()].copy_from_slice(part);
        }
        bytes = rest;
    }
}

fn list(elements: &[Element]) -> Vec<Sge> {
    elements.iter().map(|element| element.sge).collect()
}

fn total(elements: &[Element]) -> usize {
    elements.iter().map(|element| element.length).sum()
}

/// One request of `own`'s queue pair; whether it was to succeed.
fn step(random: &mut Random, (qp, own): (&Qp, &mut Side), (peer, other): (&Qp, &mut Side)) -> bool {
    let wild = random.once_in(8);
    let elements = own.elements(random, wild);
    let length = total(&elements);
    let way = random.below(3);
    if way == 2 {
        return message(random, (qp, own, elements), (peer, other));
    }
    let area = &other.areas[random.below(other.areas.len())];
    let mut room = area.model.len() as i64 - length as i64;
    if room < 0 || (wild && random.once_in(2)) {
        room = room.max(-3);
    }
    let at = if room < 0 || (wild && random.once_in(2)) {
        room + 1
    } else {
        random.below(room as usize + 1) as i64
    };
    let inside = length == 0 || (at >= 0 && at as usize + length <= area.model.len());
    let token = area.mr.tried();
    let remote = RemoteAddress { address: area.base.wrapping_add_signed(at), token };
    let (needs, right) = if way == 0 { (None, WRITE) } else { (Some(LOCAL | SINK), READ) };
    let legal = inside
        && area.flags & right == right
        && elements.iter().all(|element| element.is_legal(own, needs));
    let posted = match way {
        0 => qp.write(1, &list(&elements), remote),
        _ => qp.read(1, &list(&elements), remote),
    };
    posted.expect("posted");
    let index =
        other.areas.iter().position(|other| std::ptr::eq(other, area)).expect("one of them");
    if !legal {
        assert_eq!(qp.outcome(), Err(ErrorKind::AccessViolation));
        return false;
    }
    assert_eq!(qp.outcome(), Ok(length as u32));
    let far = at.max(0) as usize;
    match way {
        0 => {
            let bytes = gather(own, &elements);
            if length > 0 {
                other.areas[index].model[far..][..length].copy_from_slice(&bytes);
            }
        }
        _ if length > 0 => {
            let bytes = other.areas[index].model[far..][..length].to_vec();
            scatter(own, &elements, &bytes);
        }
        _ => {}
    }
    true
}

fn message(
    random: &mut Random,
    (qp, own, elements): (&Qp, &mut Side, Vec<Element>),
    (peer, other): (&Qp, &mut Side),
) -> bool {
    let sinks = other.elements(random, false);
    peer.receive(2, &list(&sinks)).expect("posted");
    qp.send(1, &list(&elements), None).expect("posted");
    let length = total(&elements);
    if total(&sinks) < length {
        assert_eq!(qp.outcome(), Err(ErrorKind::BufferTooSmall));
        assert_eq!(peer.outcome(), Err(ErrorKind::BufferTooSmall));
        return false;
    }
    let legal = elements.iter().all(|element| element.is_legal(own, None))
        && sinks.iter().all(|element| element.is_legal(other, Some(LOCAL)));
    if !legal {
        assert_eq!(qp.outcome(), Err(ErrorKind::AccessViolation));
        assert_eq!(peer.outcome(), Err(ErrorKind::AccessViolation));
        return false;
    }
    assert_eq!((qp.outcome(), peer.outcome()), (Ok(length as u32), Ok(length as u32)));
    let bytes = gather(own, &elements);
    scatter(other, &sinks, &bytes);
    true
}

/// Whether every byte is what it should be, those around the regions included.
fn compare(side: &Side, around: &[Vec<u8>]) {
    for (area, around) in side.areas.iter().zip(around) {
        assert!(area.memory.bytes() == area.model, "bytes of a region");
        assert!(area.memory.surroundings() == *around, "bytes around a region");
    }
}

#[test]
fn whatever_is_asked_the_bytes_are_those_of_a_model() {
    let (mut done, mut refused) = (0, 0);
    for seed in 0..30 {
        let mut random = Random::new(seed);
        let mut net = Net::new();
        let mut here = Side::new(&mut random, &net.a, &net.here, &net.qp);
        let mut there = Side::new(&mut random, &net.b, &net.there, &net.peer);
        let around = [&here, &there].map(|side| {
            side.areas.iter().map(|area| area.memory.surroundings()).collect::<Vec<_>>()
        });
        for number in 0..150 {
            let forth = random.once_in(2);
            let (own, other) = ((&net.qp, &mut here), (&net.peer, &mut there));
            let (own, other) = if forth { (own, other) } else { (other, own) };
            // What failed is found again by these two numbers.
            let _context = Context(seed, number);
            if step(&mut random, own, other) {
                done += 1;
            } else {
                refused += 1;
                assert!(net.qp.is_broken() && net.peer.is_broken(), "F6");
                net.reconnect();
            }
            if number % 30 == 29 {
                compare(&here, &around[0]);
                compare(&there, &around[1]);
            }
        }
        for (host, side) in [(&net.a, here), (&net.b, there)] {
            for area in side.areas {
                area.mr.close();
                host.release(area.lam);
            }
        }
        net.finish([]);
    }
    println!("{done} requests moved bytes, {refused} were refused");
    assert!(done > 1000 && refused > 200, "{done} {refused}: both kinds are there");
}

/// Says where a random test failed.
struct Context(u64, usize);

impl Drop for Context {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}, request {}", self.0, self.1);
        }
    }
}
